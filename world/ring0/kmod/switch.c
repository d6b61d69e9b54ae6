// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The world switch: everything but the step between the address spaces, which is crosspage.S.
 *
 * What the VMM world must not find or may spoil is saved and lowered, in this order: first what could make the
 * CPU itself raise or write something at a host address (breakpoints, PEBS, BTS, PT), under the host's IDT; then
 * the switch IDT, and from there on the host's handlers can't run until it gets its IDT back, last of all: they
 * need its GS base, GDT and CR4.
 *
 * Left alone, because the VMM world neither uses nor changes them, or gives them back itself: DR0-3 and DR6,
 * KERNEL_GS_BASE, EFER, SYSENTER_* and SYSCALL's MSRs, PAT, XCR0, SPEC_CTRL. CR2 is dead in a system call.
 *
 * The function is compiled without stack protector and instrumentation: GS is not the host's while it runs.
 */
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/perf_event.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "raw.h"
#include "stress.h"
#include "switch.h"

#define VMM_CR0 (X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG)
/*
 * What follows the host: what can't be changed here (PAE, LA57, VMXE in VMX operation) and what the monitor
 * needs or does not mind. Not there: PGE, so that every write of CR4 here flushes the other world's global
 * entries; SMEP and SMAP, since CPL 1 works on user pages; CET, PKE, PCE, TSD.
 */
#define VMM_CR4_FROM_HOST                                                                          \
	(X86_CR4_PAE | X86_CR4_DE | X86_CR4_PSE | X86_CR4_MCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | \
	 X86_CR4_LA57 | X86_CR4_VMXE | X86_CR4_PCIDE | X86_CR4_OSXSAVE)

#define DR7_ENABLED 0xffu
#define DR7_NONE 0x400u
#define DEBUGCTL_HARMFUL (DEBUGCTLMSR_TR | DEBUGCTLMSR_BTS | DEBUGCTLMSR_BTINT | DEBUGCTLMSR_BTF)
#define RTIT_TRACE_EN 1u
#define TSS_BUSY_BIT BIT_ULL(41)
#define CODE64 0x00af9b000000ffffull

static struct {
	bool debugctl, pebs, pt; /* this CPU model has it and it may write to memory */
} has __ro_after_init;

void __init switch_setup(void)
{
	bool intel = boot_cpu_data.x86_vendor == X86_VENDOR_INTEL;

	has.debugctl = intel && boot_cpu_has(X86_FEATURE_DS);
	has.pebs = intel && boot_cpu_has(X86_FEATURE_PEBS);
	has.pt = intel && boot_cpu_has(X86_FEATURE_INTEL_PT);
}

static void set_gate(gate_desc *gate, const char *handler, u16 selector)
{
	unsigned long la = (unsigned long)handler;

	*gate = (gate_desc){
		.offset_low = la & 0xffff,
		.offset_middle = la >> 16 & 0xffff,
		.offset_high = la >> 32,
		.segment = selector,
		.bits = { .type = GATE_INTERRUPT, .p = 1 },
	};
}

static bool pushes_error_code(unsigned int vector)
{
	return vector == X86_TRAP_DF || (vector >= X86_TRAP_TS && vector <= X86_TRAP_PF) || vector == X86_TRAP_AC;
}

static void fill_idts(struct crosspage *x)
{
	unsigned int v;

	for (v = 0; v < CROSS_VECTORS; v++) {
		set_gate(&x->idt_host[v], pushes_error_code(v) ? cross_fault_host_error : cross_fault_host, __KERNEL_CS);
		set_gate(&x->idt_vmm[v], cross_fault_vmm, BTMON_CS);
	}
	set_gate(&x->idt_host[X86_TRAP_NMI], cross_nmi, __KERNEL_CS);
	set_gate(&x->idt_vmm[X86_TRAP_NMI], cross_nmi, BTMON_CS);
	set_gate(&x->idt_host[X86_TRAP_MC], cross_mc, __KERNEL_CS);
	set_gate(&x->idt_vmm[X86_TRAP_MC], cross_mc, BTMON_CS);
#ifdef BTMON_SELFTEST
	set_gate(&x->idt_host[X86_TRAP_DB], cross_stress, __KERNEL_CS);
	set_gate(&x->idt_vmm[X86_TRAP_DB], cross_stress, BTMON_CS);
#endif
}

static void set_table(struct desc_ptr *p, void *table, size_t size)
{
	p->address = (unsigned long)table;
	p->size = size - 1;
}

void cross_init(struct crosspage *x)
{
	fill_idts(x);
	set_table(&x->idtr_host, x->idt_host, sizeof(x->idt_host));
	set_table(&x->idtr_vmm, x->idt_vmm, sizeof(x->idt_vmm));
	x->gdt[BTMON_CS / 8] = CODE64;
	set_table(&x->gdtr, x->gdt, BTMON_CS + 8);
	x->abi.self = (unsigned long)x;
	x->abi.to_host = (unsigned long)cross_to_host;
	x->abi.la57 = !!(raw_read_cr4() & X86_CR4_LA57);
	x->abi.vmm_cr0 = VMM_CR0;
	x->cr4_umip = boot_cpu_has(X86_FEATURE_UMIP) ? X86_CR4_UMIP : 0;
}

/* The cross GDT begins with this CPU's own: its TSS is needed, to load TR from a descriptor that can be written to. */
void cross_arrive(struct crosspage *x)
{
	struct desc_ptr gdtr;

	raw_sgdt(&gdtr);
	memcpy(x->gdt, (void *)gdtr.address, CROSS_HOST_ENTRIES * sizeof(x->gdt[0]));
}

static __always_inline void quiet(struct cross_host *h)
{
	h->dr7 = raw_read_dr7();
	if (h->dr7 & DR7_ENABLED)
		raw_write_dr7(DR7_NONE);
	if (has.pebs) {
		h->pebs_enable = raw_rdmsr(MSR_IA32_PEBS_ENABLE);
		if (h->pebs_enable)
			raw_wrmsr(MSR_IA32_PEBS_ENABLE, 0);
	}
	if (has.debugctl) {
		h->debugctl = raw_rdmsr(MSR_IA32_DEBUGCTLMSR);
		if (h->debugctl & DEBUGCTL_HARMFUL)
			raw_wrmsr(MSR_IA32_DEBUGCTLMSR, h->debugctl & ~DEBUGCTL_HARMFUL);
	}
	if (has.pt) {
		h->rtit_ctl = raw_rdmsr(MSR_IA32_RTIT_CTL);
		if (h->rtit_ctl & RTIT_TRACE_EN)
			raw_wrmsr(MSR_IA32_RTIT_CTL, h->rtit_ctl & ~(u64)RTIT_TRACE_EN);
	}
}

static __always_inline void unquiet(const struct cross_host *h)
{
	if (has.pt && (h->rtit_ctl & RTIT_TRACE_EN))
		raw_wrmsr(MSR_IA32_RTIT_CTL, h->rtit_ctl);
	if (has.debugctl && (h->debugctl & DEBUGCTL_HARMFUL))
		raw_wrmsr(MSR_IA32_DEBUGCTLMSR, h->debugctl);
	if (has.pebs && h->pebs_enable)
		raw_wrmsr(MSR_IA32_PEBS_ENABLE, h->pebs_enable);
	if (h->dr7 & DR7_ENABLED)
		raw_write_dr7(h->dr7);
}

static __always_inline void save(struct cross_host *h)
{
	h->cr0 = raw_read_cr0();
	h->cr3 = raw_read_cr3();
	h->cr4 = raw_read_cr4();
	raw_sgdt(&h->gdtr);
	h->ldt = raw_sldt();
	h->tr = raw_str();
	h->ds = raw_read_ds();
	h->es = raw_read_es();
	h->fs = raw_read_fs();
	h->gs = raw_read_gs();
	h->fs_base = raw_rdmsr(MSR_FS_BASE);
	h->gs_base = raw_rdmsr(MSR_GS_BASE);
}

/* CR3 is back.  The write of CR4 sets PGE, which drops the VMM world's TLB entries. */
static __always_inline void restore(struct crosspage *x)
{
	const struct cross_host *h = &x->host;

	raw_write_cr0(h->cr0);
	raw_write_cr4(h->cr4);
	x->gdt[h->tr / 8] &= ~TSS_BUSY_BIT; /* the host's own GDT can't be written to */
	raw_ltr(h->tr);
	raw_lgdt(&h->gdtr);
	raw_lldt(h->ldt);
	raw_write_ds(h->ds);
	raw_write_es(h->es);
	raw_write_fs(h->fs);
	raw_write_gs(h->gs);
	raw_wrmsr(MSR_FS_BASE, h->fs_base);
	raw_wrmsr(MSR_GS_BASE, h->gs_base);
}

noinstr void world_switch(struct crosspage *x)
{
	struct cross_host *h = &x->host;

	quiet(h);
	raw_sidt(&h->idtr);
	raw_lidt(&x->idtr_host);
	stress_begin(x);
	save(h);
	raw_lgdt(&x->gdtr);
	x->abi.vmm_cr4 = (h->cr4 & VMM_CR4_FROM_HOST) | x->cr4_umip; /* VMXE comes and goes */
	raw_write_cr4(x->abi.vmm_cr4);
	raw_write_cr0(x->abi.vmm_cr0);
	cross_enter(x);
	restore(x);
	stress_end(x);
	raw_lidt(&h->idtr);
	unquiet(h);
}
