// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The world switch: everything but the step between the address spaces, which is crosspage.S.
 *
 * What the VMM world must not find or may spoil is saved and lowered, in this order: breakpoints, whose exception only
 * the host's IDT can take; then the switch IDT, and from there on the host's handlers can't run until it gets its IDT back,
 * last of all: they need its GS base, GDT and CR4, and its NMI handler would switch on again what has the CPU
 * write at host addresses by itself (PEBS, BTS, PT), which comes next.
 *
 * Left alone, because the VMM world neither uses nor changes them, or gives them back itself: DR0-3 and DR6,
 * KERNEL_GS_BASE, EFER, SYSENTER_* and SYSCALL's MSRs, PAT, XCR0, SPEC_CTRL. CR2 is dead in a system call.
 *
 * The function is compiled without stack protector and instrumentation: GS is not the host's while it runs.
 */
#include <linux/pgtable.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
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
	 X86_CR4_LA57 | X86_CR4_VMXE | X86_CR4_PCIDE | X86_CR4_OSXSAVE | X86_CR4_UMIP)

#define DR7_ENABLED 0xffu
#define DR7_NONE 0x400u
#define TSS_BUSY_BIT BIT_ULL(41)
#define CODE64 0x00af9b000000ffffull

/* Bits of Intel's MSRs that have the CPU write to memory by itself, or step by branches. */
struct loud {
	u32 msr, feature;
	u64 bits;
};
static const struct loud known[CROSS_LOUD] __initconst = {
	{ MSR_IA32_PEBS_ENABLE, X86_FEATURE_PEBS, ~0ull },
	{ MSR_IA32_DEBUGCTLMSR, X86_FEATURE_DS, DEBUGCTLMSR_TR | DEBUGCTLMSR_BTS | DEBUGCTLMSR_BTINT | DEBUGCTLMSR_BTF },
	{ MSR_IA32_RTIT_CTL, X86_FEATURE_INTEL_PT, RTIT_CTL_TRACEEN },
};
static struct loud loud[CROSS_LOUD] __ro_after_init; /* those that this processor has */
static int louds __ro_after_init;

void __init switch_setup(void)
{
	int i;

	for (i = 0; i < CROSS_LOUD; i++)
		if (boot_cpu_data.x86_vendor == X86_VENDOR_INTEL && boot_cpu_has(known[i].feature))
			loud[louds++] = known[i];
}

static void set_gate(gate_desc *gate, const char *handler, u16 selector)
{
	pack_gate(gate, GATE_INTERRUPT, (unsigned long)handler, 0, 0, 0);
	gate->segment = selector; /* pack_gate() knows the kernel's only */
}

/* The same handler in both. */
static void set_gates(struct crosspage *x, unsigned int vector, const char *handler)
{
	set_gate(&x->idt_host[vector], handler, __KERNEL_CS);
	set_gate(&x->idt_vmm[vector], handler, BTMON_CS);
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
	set_gates(x, X86_TRAP_NMI, cross_nmi);
	set_gates(x, X86_TRAP_MC, cross_mc);
	if (BTMON_SELFTEST)
		set_gates(x, X86_TRAP_DB, cross_stress);
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
	x->abi.la57 = pgtable_l5_enabled();
	x->abi.vmm_cr0 = VMM_CR0;
}

/* The cross GDT begins with this CPU's own: its TSS is needed, to load TR from a descriptor that can be written to. */
void cross_arrive(struct crosspage *x)
{
	struct desc_ptr gdtr;

	raw_sgdt(&gdtr);
	memcpy(x->gdt, (void *)gdtr.address, GDT_ENTRIES * sizeof(x->gdt[0]));
}

static __always_inline void breakpoints_off(struct cross_host *h)
{
	h->dr7 = raw_read_dr7();
	if (h->dr7 & DR7_ENABLED)
		raw_write_dr7(DR7_NONE);
}

static __always_inline void breakpoints_on(const struct cross_host *h)
{
	if (h->dr7 & DR7_ENABLED)
		raw_write_dr7(h->dr7);
}

static __always_inline void quiet(struct cross_host *h)
{
	int i;

	for (i = 0; i < louds; i++) {
		h->loud[i] = raw_rdmsr(loud[i].msr);
		if (h->loud[i] & loud[i].bits)
			raw_wrmsr(loud[i].msr, h->loud[i] & ~loud[i].bits);
	}
}

static __always_inline void unquiet(const struct cross_host *h)
{
	int i;

	for (i = 0; i < louds; i++)
		if (h->loud[i] & loud[i].bits)
			raw_wrmsr(loud[i].msr, h->loud[i]);
}

static __always_inline void save(struct cross_host *h)
{
	h->cr0 = raw_read_cr0();
	h->cr3 = raw_read_cr3();
	h->cr4 = raw_read_cr4();
	raw_sgdt(&h->gdtr);
	h->ldt = raw_read_ldt();
	h->tr = raw_read_tr();
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
	raw_write_tr(h->tr);
	raw_lgdt(&h->gdtr);
	raw_write_ldt(h->ldt);
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

	breakpoints_off(h);
	raw_sidt(&h->idtr);
	raw_lidt(&x->idtr_host);
	stress_begin(x);
	quiet(h);
	save(h);
	raw_lgdt(&x->gdtr);
	x->abi.vmm_cr4 = h->cr4 & VMM_CR4_FROM_HOST; /* VMXE comes and goes */
	raw_write_cr4(x->abi.vmm_cr4);
	raw_write_cr0(x->abi.vmm_cr0);
	cross_enter(x);
	restore(x);
	unquiet(h);
	stress_end();
	raw_lidt(&h->idtr);
	breakpoints_on(h);
}
