/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Double precision on the x87: multiply, add, and a division and square root now and then.
 * About a second natively. */
#include "bench/guest/bench.h"

static uint32_t work(uint32_t n)
{
    volatile double sink;
    double x = 0.5, y = 1.0, s = 0.0;

    for (uint32_t i = 0; i < n; i++) {
        x = x * 1.0000001 + 0.25;
        y = y * 0.9999999 + x * 0.125;
        s += y - x;
        if (!(i & 63)) {
            x = __builtin_sqrt(x) + 1.0 / y;
            s *= 0.5;
        }
    }
    sink = s;
    uint32_t words[2];
    memcpy(words, (const void *)&sink, 8);
    return words[0] ^ words[1];
}

BENCH("fploop", 180000000)
