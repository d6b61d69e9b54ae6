/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The crosspage: what host and VMM world both have mapped, at the same linear address.
 *
 * World: both.  Data: one struct crosspage for each VM, in the kernel's own mapping of memory. Code: one page of
 * the module's text (crosspage.S), for all VMs.  Owner: struct vm.  Units: linear addresses.
 *
 * There are two switch IDTs, alike but for their gates' code selector: the host's own one while the host's GDT
 * may be loaded, BTMON_CS while the monitor's may be; the cross GDT, which is loaded while one gives way to the
 * other, has both. The handlers know the VM by where the IDT lies, so IDTs and all they use are in the first page.
 */
#ifndef BTMON_CROSSPAGE_H
#define BTMON_CROSSPAGE_H

#include <linux/compiler.h>
#include <linux/mm.h>
#include <asm/desc_defs.h>
#include <asm/segment.h>
#include "abi.h"

#define CROSS_VECTORS 21
#define CROSS_LOUD 3 /* MSRs that have the CPU write to memory by itself */
#define CROSS_TRACE_STRESS 2 /* self-test: abi.trace asks for single steps */

/* What the host gets back. */
struct cross_host {
	u64 rsp, cr0, cr3, cr4, dr7;
	u64 fs_base, gs_base;
	u64 loud[CROSS_LOUD]; /* MSRs */
	struct desc_ptr gdtr, idtr;
	u16 ldt, tr, ds, es, fs, gs;
};

struct crosspage {
	struct btmon_cross_abi abi; /* must be first: the monitor's pointer */
	struct cross_host host;
	u64 mon_rsp;
	struct desc_ptr gdtr; /* the cross GDT */
	struct desc_ptr idtr_host, idtr_vmm;
	gate_desc idt_host[CROSS_VECTORS] __aligned(16);
	gate_desc idt_vmm[CROSS_VECTORS];
	u8 stack[1024] __aligned(16); /* while neither world's is known to be mapped */
	u64 gdt[512] __aligned(PAGE_SIZE); /* the first GDT_ENTRIES are the host's */
};
static_assert(offsetof(struct crosspage, gdt) == PAGE_SIZE);
static_assert(sizeof(struct crosspage) == 2 * PAGE_SIZE);
static_assert(GDT_ENTRIES <= BTMON_CS / 8);

/* crosspage.S */
extern const char cross_code[];
void cross_enter(struct crosspage *x);
void cross_to_host(struct btmon_cross_abi *abi);
extern const char cross_nmi[], cross_mc[], cross_stress[];
extern const char cross_fault_host[], cross_fault_host_error[], cross_fault_vmm[];

#endif
