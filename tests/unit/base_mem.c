/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * base/mem.c against byte loops.  The file is included under other names, so
 * that the monitor's own mem* are tested and not libc's.
 */
#include <criterion/criterion.h>
#include <setjmp.h>
#include <stdlib.h>

#undef HOSTED_TEST
#define memcpy mon_memcpy
#define memmove mon_memmove
#define memset mon_memset
#define memcmp mon_memcmp
#define strlen mon_strlen
#define arena_init mon_arena_init
#define arena_alloc mon_arena_alloc
#define bug_at mon_bug_at
#include "base/mem.c"

static jmp_buf bug_jump;

void mon_bug_at(const char *file, int line, const char *what)
{
    (void)file, (void)line, (void)what;
    longjmp(bug_jump, 1);
}

#define N 700

static void fill(uint8_t *p, unsigned seed)
{
    for (unsigned i = 0; i < N; i++)
        p[i] = (uint8_t)((i + seed) * 167 >> 2);
}

static bool same(const uint8_t *a, const uint8_t *b)
{
    for (unsigned i = 0; i < N; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

Test(base_mem, memcpy_every_length)
{
    uint8_t src[N], dst[N], want[N];

    for (unsigned n = 0; n < 600; n++) {
        fill(src, n);
        fill(dst, 99);
        fill(want, 99);
        for (unsigned i = 0; i < n; i++)
            want[i + 3] = src[i + 5];
        cr_assert_eq(mon_memcpy(dst + 3, src + 5, n), dst + 3);
        cr_assert(same(dst, want), "n = %u", n);
    }
}

Test(base_mem, memmove_overlaps_both_ways)
{
    static const unsigned lengths[] = {0,  1,  2,  3,  5,   8,   9,   15,  16, 17,
                                       23, 24, 25, 64, 100, 255, 256, 257, 400};
    uint8_t buf[N], want[N];

    for (unsigned k = 0; k < ARRAY_SIZE(lengths); k++)
        for (int delta = -40; delta <= 40; delta++) {
            unsigned n = lengths[k], from = 100, to = (unsigned)(100 + delta);
            fill(buf, n);
            fill(want, n);
            uint8_t copy[N];
            fill(copy, n);
            for (unsigned i = 0; i < n; i++)
                want[to + i] = copy[from + i];
            mon_memmove(buf + to, buf + from, n);
            cr_assert(same(buf, want), "n = %u delta = %d", n, delta);
        }
}

Test(base_mem, memset_every_length)
{
    uint8_t dst[N], want[N];

    for (unsigned n = 0; n < 600; n++) {
        fill(dst, 1);
        fill(want, 1);
        for (unsigned i = 0; i < n; i++)
            want[i + 7] = 0xa5;
        cr_assert_eq(mon_memset(dst + 7, 0xfa5, n), dst + 7);
        cr_assert(same(dst, want), "n = %u", n);
    }
}

Test(base_mem, memcmp_orders_as_unsigned_bytes)
{
    uint8_t a[N], b[N];

    for (unsigned n = 1; n < 50; n++)
        for (unsigned at = 0; at < n; at++) {
            fill(a, 0);
            fill(b, 0);
            cr_assert_eq(mon_memcmp(a, b, n), 0);
            a[at] = 0x80;
            b[at] = 0x7f;
            cr_assert_gt(mon_memcmp(a, b, n), 0);
            cr_assert_lt(mon_memcmp(b, a, n), 0);
            cr_assert_eq(mon_memcmp(a, b, at), 0);
        }
}

Test(base_mem, strlen_counts)
{
    cr_assert_eq(mon_strlen(""), 0);
    cr_assert_eq(mon_strlen("monitor"), 7);
}

Test(base_mem, arena_aligns_zeroes_and_stops)
{
    uint8_t *block = aligned_alloc(4096, 8192);
    struct arena a;

    mon_memset(block, 0xff, 8192);
    mon_arena_init(&a, block, 8192);
    uint8_t *p = mon_arena_alloc(&a, 3, 1);
    uint8_t *q = mon_arena_alloc(&a, 100, 64);
    cr_assert_eq(p, block);
    cr_assert_eq(q, block + 64);
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(q[i], 0);
    cr_assert_eq(mon_arena_alloc(&a, 4096, 4096), block + 4096);
    if (setjmp(bug_jump) == 0) {
        mon_arena_alloc(&a, 1, 1);
        cr_assert_fail("an exhausted arena must be a BUG");
    }
    free(block);
}
