/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Privileged instructions, bare.  The kernel's own wrappers pin bits of CR4, trace MSR accesses or go through
 * paravirt calls, none of which can be had while half of the CPU's state is another world's.
 */
#ifndef BTMON_RAW_H
#define BTMON_RAW_H

#include <linux/types.h>
#include <asm/desc_defs.h>

#define RAW_REGISTER(name)                                                                  \
	static __always_inline u64 raw_read_##name(void)                                    \
	{                                                                                   \
		u64 value;                                                                  \
		asm volatile("mov %%" #name ", %0" : "=r"(value) : : "memory");             \
		return value;                                                               \
	}                                                                                   \
	static __always_inline void raw_write_##name(u64 value)                             \
	{                                                                                   \
		asm volatile("mov %0, %%" #name : : "r"(value) : "memory");                 \
	}
#define RAW_SELECTOR(name)                                                                  \
	static __always_inline u16 raw_read_##name(void)                                    \
	{                                                                                   \
		u16 value;                                                                  \
		asm volatile("mov %%" #name ", %0" : "=rm"(value));                         \
		return value;                                                               \
	}                                                                                   \
	static __always_inline void raw_write_##name(u16 value)                             \
	{                                                                                   \
		asm volatile("mov %0, %%" #name : : "r"((u32)value) : "memory");            \
	}

RAW_REGISTER(cr0)
RAW_REGISTER(cr3)
RAW_REGISTER(cr4)
RAW_REGISTER(dr7)
RAW_SELECTOR(ds)
RAW_SELECTOR(es)
RAW_SELECTOR(fs)
RAW_SELECTOR(gs)

static __always_inline u64 raw_rdmsr(u32 msr)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return low | (u64)high << 32;
}

static __always_inline void raw_wrmsr(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static __always_inline void raw_sgdt(struct desc_ptr *p)
{
	asm volatile("sgdt %0" : "=m"(*p));
}

static __always_inline void raw_lgdt(const struct desc_ptr *p)
{
	asm volatile("lgdt %0" : : "m"(*p) : "memory");
}

static __always_inline void raw_sidt(struct desc_ptr *p)
{
	asm volatile("sidt %0" : "=m"(*p));
}

static __always_inline void raw_lidt(const struct desc_ptr *p)
{
	asm volatile("lidt %0" : : "m"(*p) : "memory");
}

static __always_inline u16 raw_sldt(void)
{
	u16 selector;

	asm volatile("sldt %0" : "=rm"(selector));
	return selector;
}

static __always_inline void raw_lldt(u16 selector)
{
	asm volatile("lldt %0" : : "rm"(selector) : "memory");
}

static __always_inline u16 raw_str(void)
{
	u16 selector;

	asm volatile("str %0" : "=rm"(selector));
	return selector;
}

static __always_inline void raw_ltr(u16 selector)
{
	asm volatile("ltr %0" : : "rm"(selector) : "memory");
}

#endif
