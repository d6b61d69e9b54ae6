/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmap, munmap, mprotect: pages that come, change and go, with code among them,
 * and code that is rewritten in place.
 */
#include "nolibc.h"

enum { PROT_R = 1, PROT_W = 2, PROT_X = 4, MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANON = 0x20 };

static void *map(unsigned bytes, int prot, int flags)
{
    return (void *)sys6(SYS_mmap2, 0, bytes, prot, flags | MAP_ANON, -1, 0);
}

static void test_touch(void)
{
    unsigned pages = 1024, zero = 0, kept = 0;
    volatile unsigned *p = map(pages * 4096, PROT_R | PROT_W, MAP_PRIVATE);

    for (unsigned i = 0; i < pages; i++)
        zero += p[i * 1024] == 0;
    for (unsigned i = 0; i < pages; i++)
        p[i * 1024 + i % 1024] = i ^ 0x5a5a5a5a;
    for (unsigned i = 0; i < pages; i++)
        kept += p[i * 1024 + i % 1024] == (i ^ 0x5a5a5a5a);
    CHECK("zero-pages", zero, pages);
    CHECK("kept-pages", kept, pages);
    CHECK("munmap", SYS(SYS_munmap, p, pages * 4096, 0), 0);
}

static void test_remap(void)
{
    unsigned good = 0;

    for (unsigned i = 0; i < 100; i++) {
        volatile unsigned *p = map(4096, PROT_R | PROT_W, MAP_PRIVATE);

        good += p[0] == 0;
        p[0] = i + 1;
        good += p[0] == i + 1;
        SYS(SYS_munmap, p, 4096, 0);
    }
    CHECK("remap", good, 200);
}

static void test_shared(void)
{
    volatile unsigned *p = map(4096, PROT_R | PROT_W, MAP_SHARED);
    int status = 0;
    long pid = SYS(SYS_fork, 0, 0, 0);

    if (pid == 0) {
        for (unsigned i = 0; i < 1024; i++)
            p[i] = i * 3;
        SYS(SYS_exit, 0, 0, 0);
    }
    SYS(SYS_waitpid, pid, &status, 0);
    CHECK("shared", p[1023], 3069);
}

/* movl $value, %eax; ret */
static void write_code(volatile unsigned char *p, unsigned value)
{
    p[0] = 0xb8;
    p[1] = value;
    p[2] = value >> 8;
    p[3] = value >> 16;
    p[4] = value >> 24;
    p[5] = 0xc3;
}

static void test_code(void)
{
    unsigned good = 0;
    unsigned char *p = map(8192, PROT_R | PROT_W | PROT_X, MAP_PRIVATE);
    unsigned (*call)(void) = (unsigned (*)(void))p;
    unsigned (*across)(void) = (unsigned (*)(void))(p + 4093);

    for (unsigned i = 0; i < 200; i++) {
        write_code(p, i);
        good += call() == i;
    }
    CHECK("rewritten-code", good, 200);
    good = 0;
    for (unsigned i = 0; i < 50; i++) {
        write_code(p + 4093, i * 0x01010101);
        good += across() == i * 0x01010101;
    }
    CHECK("rewritten-across-pages", good, 50);
    SYS(SYS_mprotect, p, 8192, PROT_R | PROT_X);
    CHECK("read-only-code", across(), 49 * 0x01010101);
    SYS(SYS_munmap, p, 8192, 0);
}

static void test(void)
{
    test_touch();
    test_remap();
    test_shared();
    test_code();
}
