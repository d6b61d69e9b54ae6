/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thread-local storage and segment registers as user code sees them: a GDT
 * entry by set_thread_area, an LDT entry by modify_ldt, selectors read back,
 * bases that survive a context switch, limits that are enforced.
 */
#include "nolibc.h"

struct user_desc {
    unsigned entry_number, base_addr, limit;
    unsigned seg_32bit : 1, contents : 2, read_exec_only : 1, limit_in_pages : 1,
             seg_not_present : 1, useable : 1;
};

static unsigned tls_block[16];
static unsigned ldt_block[16];

static unsigned gs_read(unsigned offset)
{
    unsigned v;

    asm volatile("movl %%gs:(%1), %0" : "=r"(v) : "r"(offset));
    return v;
}

static unsigned fs_read(unsigned offset)
{
    unsigned v;

    asm volatile("movl %%fs:(%1), %0" : "=r"(v) : "r"(offset));
    return v;
}

static unsigned gs_selector(void)
{
    unsigned short s;

    asm volatile("movw %%gs, %0" : "=r"(s));
    return s;
}

static void test_tls(void)
{
    struct user_desc d = { .entry_number = -1u, .base_addr = (unsigned)tls_block, .limit = 0xfffff,
                           .seg_32bit = 1, .limit_in_pages = 1, .useable = 1 };
    unsigned selector, got, pushed, same = 0;

    for (unsigned i = 0; i < 16; i++)
        tls_block[i] = 0x1000 + i;
    CHECK("set-thread-area", SYS(SYS_set_thread_area, &d, 0, 0), 0);
    selector = d.entry_number * 8 + 3;
    asm volatile("movw %w0, %%gs" : : "r"(selector));
    CHECK("gs-selector", gs_selector(), selector);
    asm volatile("pushl %%gs\n\tpopl %0" : "=r"(pushed));
    CHECK("gs-pushed", pushed & 0xffff, selector);
    CHECK("gs-read", gs_read(20), 0x1005);
    asm volatile("movl %0, %%gs:24" : : "r"(0xabcd) : "memory");
    CHECK("gs-write", tls_block[6], 0xabcd);
    asm volatile("xorl %0, %0\n\tlslw %w1, %w0" : "=&r"(got) : "r"(selector));
    for (unsigned i = 0; i < 200; i++) {
        SYS(SYS_sched_yield, 0, 0, 0);
        same += gs_read(28) == 0x1007 && gs_selector() == selector;
    }
    CHECK("gs-across-switch", same, 200);
}

static void test_ldt(void)
{
    struct user_desc d = { .entry_number = 3, .base_addr = (unsigned)ldt_block, .limit = 31,
                           .seg_32bit = 1, .useable = 1 };
    unsigned selector = 3 * 8 + 7, limit = 0;

    for (unsigned i = 0; i < 16; i++)
        ldt_block[i] = 0x2000 + i;
    if (SYS(SYS_modify_ldt, 1, &d, sizeof d) != 0) {
        put("ok ldt # SKIP modify_ldt is not there\n");
        return;
    }
    asm volatile("movw %w0, %%fs" : : "r"(selector));
    CHECK("ldt-read", fs_read(12), 0x2003);
    asm volatile("lsll %1, %0" : "+r"(limit) : "r"(selector) : "cc");
    CHECK("ldt-limit", limit, 31);
    SYS(SYS_sched_yield, 0, 0, 0);
    CHECK("ldt-across-switch", fs_read(28), 0x2007);
    asm volatile("movw %w0, %%fs" : : "r"(0));
}

static void test(void)
{
    test_tls();
    test_ldt();
}
