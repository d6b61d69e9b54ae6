/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * void btmon_raise(unsigned vector): INT n for any n, so that the host's own handler runs as if the interrupt had
 * come now.  INT has its vector in the instruction, hence a table.
 */
#include <linux/linkage.h>
#include <asm/ibt.h>
#include <asm/nospec-branch.h>

	.text
	.balign	16, 0xcc
SYM_FUNC_START(btmon_raise)
	movzbl	%dil, %eax
	shl	$4, %eax
	lea	raise_0(%rip), %rdx
	add	%rdx, %rax
	ANNOTATE_RETPOLINE_SAFE
	jmp	*%rax
SYM_FUNC_END(btmon_raise)

/* A function each, in 16 bytes. */
.macro RAISE vector
	.balign	16, 0xcc
SYM_FUNC_START_LOCAL_NOALIGN(raise_\vector)
	ENDBR
	.byte	0xcd, \vector
	RET
SYM_FUNC_END(raise_\vector)
.endm

	.altmacro
	vector = 0
	.rept	256
	RAISE	%vector
	vector = vector + 1
	.endr
