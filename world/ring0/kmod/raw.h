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
#define RAW_SELECTOR(name, read, write)                                                     \
	static __always_inline u16 raw_read_##name(void)                                    \
	{                                                                                   \
		u16 selector;                                                               \
		asm volatile(read : "=rm"(selector));                                       \
		return selector;                                                            \
	}                                                                                   \
	static __always_inline void raw_write_##name(u16 selector)                          \
	{                                                                                   \
		asm volatile(write : : "r"((u32)selector) : "memory");                      \
	}
#define RAW_TABLE(name)                                                                     \
	static __always_inline void raw_s##name(struct desc_ptr *p)                         \
	{                                                                                   \
		asm volatile("s" #name " %0" : "=m"(*p));                                   \
	}                                                                                   \
	static __always_inline void raw_l##name(const struct desc_ptr *p)                   \
	{                                                                                   \
		asm volatile("l" #name " %0" : : "m"(*p) : "memory");                       \
	}

RAW_REGISTER(cr0)
RAW_REGISTER(cr3)
RAW_REGISTER(cr4)
RAW_REGISTER(dr7)
RAW_SELECTOR(ds, "mov %%ds, %0", "mov %0, %%ds")
RAW_SELECTOR(es, "mov %%es, %0", "mov %0, %%es")
RAW_SELECTOR(fs, "mov %%fs, %0", "mov %0, %%fs")
RAW_SELECTOR(gs, "mov %%gs, %0", "mov %0, %%gs")
RAW_SELECTOR(ldt, "sldt %0", "lldt %w0")
RAW_SELECTOR(tr, "str %0", "ltr %w0")
RAW_TABLE(gdt)
RAW_TABLE(idt)

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

#endif
