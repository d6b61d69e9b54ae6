/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The page of code that both worlds have mapped: the step from one address space to the other, and the handlers
 * of the switch IDTs.
 *
 * Each world sees the other as a function: cross_enter() is called by the host and returns when the monitor
 * calls cross_to_host(), and the other way round. A world's registers wait on its own stack; only its stack
 * pointer is in the crosspage. An NMI can come between any two instructions. So RSP is never an address that
 * one of the two address spaces lacks while CR3 changes: it is in the crosspage then. And IDT and GDT are changed in
 * an order in which the IDT's gates name a code segment of the GDT at all times.
 *
 * Code here may reach this page and what RDI leads to, nothing else of the kernel: no return thunk, no
 * retpoline.  Hence the far returns; they also change CS.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/segment.h>
#include <asm/ibt.h>
#include <asm/nospec-branch.h>
#include "offsets.h"

/* In place of a function's return address: one for LRETQ to the code segment. */
.macro FAR_RETURN_ADDRESS cs
	pop	%rax
	push	$\cs
	push	%rax
.endm

.macro PUSH_CALLEE_SAVED
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
.endm

.macro POP_CALLEE_SAVED
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
.endm

/* In a handler: the IDT is in its first page. */
.macro FIND_CROSSPAGE register
	sub	$16, %rsp
	sidt	(%rsp)
	mov	2(%rsp), \register
	add	$16, %rsp
	and	$-4096, \register
.endm

/* objtool shall take these as they are: they are entered and left by ways that no unwinder can follow. */
.macro CROSS_START name
	STACK_FRAME_NON_STANDARD \name
SYM_FUNC_START_NOALIGN(\name)
	ENDBR
.endm

	.section .text.cross, "ax"
	.balign	4096, 0xcc
SYM_ENTRY(cross_code, SYM_L_GLOBAL, SYM_A_NONE)

/* void cross_enter(struct crosspage *): with the cross GDT and idt_host loaded. */
CROSS_START cross_enter
	FAR_RETURN_ADDRESS __KERNEL_CS
	pushfq
	PUSH_CALLEE_SAVED
	mov	%rsp, X_HOST_RSP(%rdi)
	lea	X_STACK_TOP(%rdi), %rsp
	mov	X_VMM_CR3(%rdi), %rax
	mov	%rax, %cr3
	lidt	X_IDTR_VMM(%rdi)
	xor	%eax, %eax
	mov	%eax, %ss		/* the host's has no meaning in the monitor's GDT */
	mov	X_MON_RSP(%rdi), %rsp
	POP_CALLEE_SAVED
	lretq
	RET				/* not reached: shows objtool that the caller gets control back */
SYM_FUNC_END(cross_enter)

/* void cross_to_host(struct btmon_cross_abi *): the monitor's GDT and IDT are loaded, or (after a fault) the switch's. */
CROSS_START cross_to_host
	lidt	X_IDTR_VMM(%rdi)	/* from here on an NMI does not nest another switch */
	lgdt	X_GDTR(%rdi)
	FAR_RETURN_ADDRESS X_CS
	PUSH_CALLEE_SAVED
	mov	%rsp, X_MON_RSP(%rdi)
	lea	X_STACK_TOP(%rdi), %rsp
	mov	X_HOST_CR3(%rdi), %rax
	mov	%rax, %cr3
	lidt	X_IDTR_HOST(%rdi)
	mov	$__KERNEL_DS, %eax
	mov	%eax, %ss
	mov	X_HOST_RSP(%rdi), %rsp
	POP_CALLEE_SAVED
	popfq				/* first of all: NT, AC or DF of the monitor are not the host's */
	lretq
	int3
SYM_FUNC_END(cross_to_host)

/*
 * NMI and machine check: note it, for the host to see when it has its IDT back. The return is not by IRET,
 * which would let the next NMI in before the host's handler has dealt with this one (SDM vol. 3A 6.7.1): POPF and a
 * far return do the same from the interrupted stack. The words go where the CPU's frame was, so all of it is
 * read before any is written; the interrupted RSP is at least the frame's end.
 */
.macro HOLD bit
	push	%rax
	push	%rbx
	push	%rcx
	push	%rdx
	FIND_CROSSPAGE %rax
	orb	$\bit, X_HELD(%rax)
	mov	32(%rsp), %rax		/* RIP */
	mov	40(%rsp), %rbx		/* CS */
	mov	48(%rsp), %rcx		/* RFLAGS */
	mov	56(%rsp), %rdx		/* RSP */
	mov	%rbx, -8(%rdx)
	mov	%rax, -16(%rdx)
	mov	%rcx, -24(%rdx)
	mov	(%rsp), %rcx
	mov	%rcx, -32(%rdx)		/* RDX, to be popped last */
	mov	8(%rsp), %rcx
	mov	16(%rsp), %rbx
	mov	24(%rsp), %rax
	lea	-32(%rdx), %rsp
	pop	%rdx
	popfq
	lretq
	int3
.endm

CROSS_START cross_nmi
	HOLD X_HELD_NMI
SYM_FUNC_END(cross_nmi)

CROSS_START cross_mc
	HOLD X_HELD_MC
SYM_FUNC_END(cross_mc)

/* A fault, in our own code, on the host's side: do it again under the host's own IDT, which will report it. */
CROSS_START cross_fault_host_error
	add	$8, %rsp
	jmp	.Lfault_host
SYM_FUNC_END(cross_fault_host_error)
CROSS_START cross_fault_host
.Lfault_host:
	push	%rax
	FIND_CROSSPAGE %rax
	lidt	X_HOST_IDTR(%rax)
	pop	%rax
	iretq
	int3
SYM_FUNC_END(cross_fault_host)

/* The same on the VMM's side: give up the VM, telling where. The vector is not known any more. */
CROSS_START cross_fault_vmm
	FIND_CROSSPAGE %rdi
	movl	$X_OP_DEAD, X_OP(%rdi)
	movl	$-1, X_CODE(%rdi)
	pop	%rax			/* RIP, or the error code */
	mov	%rax, X_ARG(%rdi)
	push	%rax
	jmp	cross_to_host
SYM_FUNC_END(cross_fault_vmm)

#if BTMON_SELFTEST
/* #DB: every instruction of the switch is stepped; simulate an NMI behind each. IRET sets RF, which steps on. */
CROSS_START cross_stress
	push	%rax
	FIND_CROSSPAGE %rax
	incq	X_STRESS_STEPS(%rax)
	movl	$0, X_HELD(%rax)
	int	$2
	testl	$X_HELD_NMI, X_HELD(%rax)
	jz	1f
	incq	X_STRESS_NMIS(%rax)
1:	movl	$0, X_HELD(%rax)
	pop	%rax
	orl	$0x10000, 16(%rsp)
	iretq
	int3
SYM_FUNC_END(cross_stress)
#endif

	.balign	4096, 0xcc
