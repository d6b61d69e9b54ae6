/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tight loop of integer arithmetic in registers: adds, shifts, multiplications, a branch that varies.
 * About a second natively. */
#include "bench/guest/bench.h"

static uint32_t work(uint32_t n)
{
    uint32_t a = 1, b = 0x9e3779b9, c = 0;

    for (uint32_t i = 0; i < n; i++) {
        a = a * 1664525 + 1013904223;
        b ^= a >> 13;
        c += b << 3;
        if (c & 0x100)
            b += i;
        else
            a ^= c;
    }
    return a ^ b ^ c;
}

BENCH("intloop", 200000000)
