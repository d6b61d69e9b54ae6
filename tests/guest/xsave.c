/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XSAVE and XRSTOR as XCR0 says: which components an image may name, what is written, what comes back (SDM volume
 * 1, 13.3, 13.7, 13.8).  The host's XCR0 has more components than a guest's may have.
 */
#include "rt.h"

enum { CR4_OSXSAVE = 0x40000, AREA = 4096, XSTATE_BV = 512, XCOMP_BV = 520 };

static uint8_t area[AREA] __attribute__((aligned(64)));
static bool compacts;

CODE(x_on, "movl %cr4,%eax\n orl $0x40000,%eax\n movl %eax,%cr4");
CODE(x_setbv, "movl 4(%esp),%eax\n xorl %edx,%edx\n xorl %ecx,%ecx\n xsetbv");
CODE(x_getbv, "xorl %ecx,%ecx\n xgetbv");
CODE(x_save, "movl 4(%esp),%ecx\n movl $-1,%eax\n movl $-1,%edx\n xsave (%ecx)\n movl %eax,%eax");
CODE(x_restore, "movl 4(%esp),%ecx\n movl $-1,%eax\n movl $-1,%edx\n stc\n xrstor (%ecx)\n sbbl %eax,%eax\n andl %edx,%eax");
CODE(x_restore_eax, "movl 4(%esp),%eax\n movl $-1,%edx\n andl $-64,%eax\n xrstor (%eax)");
CODE(x_fill, "movl $0x12345678,%eax\n movd %eax,%xmm1\n pcmpeqd %xmm7,%xmm7");
CODE(x_clear, "pxor %xmm1,%xmm1\n pxor %xmm7,%xmm7");
CODE(x_read, "movd %xmm1,%eax\n movd %xmm7,%ecx\n andl %ecx,%eax");

static void header(uint64_t xstate_bv, uint64_t xcomp_bv)
{
    memset(area, 0, sizeof area);
    area[24] = 0x80, area[25] = 0x1f; /* MXCSR */
    memcpy(area + XSTATE_BV, &xstate_bv, 8);
    memcpy(area + XCOMP_BV, &xcomp_bv, 8);
}

/* Images that name one component each: the numbers of those that are not taken, or taken, against the manual. */
static void test_headers(const char *name, void (*code)(void *), uint32_t xcr0, bool compact)
{
    uint32_t wrong = 0;

    for (unsigned i = 0; i < 64; i++) {
        uint64_t bit = 1ull << i;
        bool good = compact ? compacts && (i == 63 || (bit & xcr0)) : (bit & xcr0) != 0;
        int want = good ? NO_TRAP : GP;

        header(compact ? 0 : bit, compact ? bit | 1ull << 63 : 0);
        wrong += rt_try(code, area) != want || (want == GP && rt_last.error);
        wrong += rt_try_user(code, area) != want || (want == GP && rt_last.error);
    }
    check(name, wrong, 0);
}

static void test_xcr0(uint32_t xcr0)
{
    uint32_t r[4], untouched = 0;
    uint64_t bv;

    check_trap("xsetbv", rt_try(x_setbv, (void *)xcr0), NO_TRAP, 0);
    rt_try(x_getbv, 0);
    check("xgetbv", rt_result, xcr0);
    test_headers("xrstor-components", x_restore, xcr0, false);
    test_headers("xrstor-compacted", x_restore, xcr0, true);
    test_headers("xrstor-by-eax", x_restore_eax, xcr0, false);
    memset(area, 0xa5, sizeof area);
    memset(area + XSTATE_BV, 0, 64);
    cpuid(13, r);
    rt_try(x_fill, 0);
    check_trap("xsave", rt_try(x_save, area), NO_TRAP, 0);
    check("xsave-eax", rt_result, 0xffffffff);
    memcpy(&bv, area + XSTATE_BV, 8);
    check("xsave-components", (uint32_t)bv & ~xcr0, 0);
    check("xsave-sse", (uint32_t)bv & 2, xcr0 & 2);
    for (uint32_t i = r[1]; i < AREA; i++)
        untouched += area[i] == 0xa5;
    check("xsave-behind", untouched, AREA - r[1]);
    rt_try(x_clear, 0);
    check_trap("xrstor", rt_try(x_restore, area), NO_TRAP, 0);
    check("xrstor-registers", rt_result, 0xffffffff);
    rt_try(x_read, 0);
    check("xrstor-value", rt_result, xcr0 & 2 ? 0x12345678 : 0);
}

void test_main(void)
{
    uint32_t r[4];

    cpuid(1, r);
    if (!(r[2] & 1 << 26)) {
        check_trap("not-offered", rt_try(x_on, 0), GP, 0);
        skip("xsave", "not offered");
        return;
    }
    WRITE_CR(4, READ_CR(4) | CR4_OSFXSR | CR4_OSXMMEXCPT);
    check_trap("osxsave", rt_try(x_on, 0), NO_TRAP, 0);
    asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(13), "c"(1));
    compacts = r[0] & 2;
    cpuid(13, r);
    check_trap("xsetbv-hidden", rt_try(x_setbv, (void *)(r[0] | 1u << 31)), GP, 0);
    test_xcr0(1);
    test_xcr0(3);
    if (r[0] & 4)
        test_xcr0(7);
    test_xcr0(r[0]);
}
