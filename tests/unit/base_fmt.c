/* SPDX-License-Identifier: GPL-2.0-or-later */
/* base/fmt.c against libc's snprintf, and its truncation. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>

#include "base/fmt.h"

#define SAME(...)                                                          \
    do {                                                                   \
        char ours[128], libc[128];                                         \
        int n = fmt(ours, sizeof ours, __VA_ARGS__);                       \
        int want = snprintf(libc, sizeof libc, __VA_ARGS__);               \
        cr_assert_eq(n, want, "%d instead of %d for \"%s\"", n, want, libc); \
        cr_assert_str_eq(ours, libc);                                      \
    } while (0)

Test(base_fmt, integers)
{
    static const int values[] = {0, 1, -1, 9, 10, -10, 255, 65536, INT_MAX, INT_MIN};

    for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
        int x = values[i];
        SAME("%d|%u|%x|%#x", x, (unsigned)x, (unsigned)x, (unsigned)x);
        SAME("%8d|%08d|%3u|%08x|%#010x|%#6x", x, x, (unsigned)x, (unsigned)x, (unsigned)x, (unsigned)x);
        SAME("%-8d|%-#10x|%.4d|%8.3u", x, (unsigned)x, x, (unsigned)x);
        long l = (long)x * (1l << 31);
        SAME("%ld %lu %lx %#llx %016llx", l, (unsigned long)l, (unsigned long)l, (unsigned long long)l,
             (unsigned long long)l);
        SAME("%zu", (size_t)l);
        SAME("proc_main%+ld %+d|%+8d", l, x, x);
    }
}

Test(base_fmt, text)
{
    SAME("plain");
    SAME("%s and %c and %%", "string", 'x');
    SAME("[%8s][%-8s][%.3s][%c]", "abc", "abc", "abcdef", 'q');
    SAME("eip %#x: %s", 0xc0100000u, "");
}

Test(base_fmt, truncates_and_terminates)
{
    char buf[8] = "zzzzzzz";

    cr_assert_eq(fmt(buf, 5, "%s", "0123456789"), 10);
    cr_assert_str_eq(buf, "0123");
    cr_assert_eq(buf[5], 'z');
    cr_assert_eq(fmt(buf, 1, "abc"), 3);
    cr_assert_eq(buf[0], 0);
    buf[0] = 'k';
    cr_assert_eq(fmt(buf, 0, "abc"), 3);
    cr_assert_eq(buf[0], 'k');
    cr_assert_eq(fmt(buf, 4, "abc"), 3);
    cr_assert_str_eq(buf, "abc");
}
