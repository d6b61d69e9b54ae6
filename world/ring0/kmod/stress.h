/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Self-test: every instruction of the world switch is single-stepped, and an NMI simulated behind each (cross_stress
 * in crosspage.S).  Only in a module built with SELFTEST; nothing otherwise, BTMON_SELFTEST being 0.
 */
#ifndef BTMON_STRESS_H
#define BTMON_STRESS_H

#include "crosspage.h"

/* While the host's IDT is loaded TF must be off. */
static __always_inline void stress_begin(const struct crosspage *x)
{
	if (BTMON_SELFTEST && x->abi.trace == CROSS_TRACE_STRESS)
		asm volatile("pushfq; orl %0, (%%rsp); popfq" : : "i"(X86_EFLAGS_TF) : "memory", "cc");
}

static __always_inline void stress_end(void)
{
	if (BTMON_SELFTEST)
		asm volatile("pushfq; andl %0, (%%rsp); popfq" : : "i"(~X86_EFLAGS_TF) : "memory", "cc");
}

#endif
