/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a benchmark program stands on: system calls and start-up are those of
 * the test programs (scripts/guest/nolibc.h), this adds the clock and the
 * result line
 *
 *     NAME NANOSECONDS ITERATIONS RESULT
 *
 * RESULT is a value that the work computes, in hex; it must be the same
 * wherever the program runs.  A program defines one function
 * `uint32_t work(uint32_t n)` and ends with BENCH(name, iterations); its argument divides
 * the iterations (for quick runs).
 *
 * World: i386 user code, on the host or in a guest.
 */
#ifndef BENCH_H
#define BENCH_H

#include "scripts/guest/nolibc.h"

#define CLOCK_MONOTONIC 1
#define SYS_getppid 64

static inline uint64_t bench_now(void)
{
    int32_t ts[2];

    SYS(SYS_clock_gettime, CLOCK_MONOTONIC, ts, 0);
    return (uint64_t)(uint32_t)ts[0] * 1000000000u + (uint32_t)ts[1];
}

/* Two divisions by hand: there is no library for a 64-bit one. */
static inline uint32_t divide10(uint64_t *x)
{
    uint32_t high = (uint32_t)(*x >> 32), low = (uint32_t)*x, rest = high % 10;

    high /= 10;
    asm("divl %2" : "+a"(low), "+d"(rest) : "r"(10u) : "cc");
    *x = (uint64_t)high << 32 | low;
    return rest;
}

static inline void put_decimal(uint64_t x)
{
    char digits[21], *p = digits + 20;

    *p = 0;
    do
        *--p = (char)('0' + divide10(&x));
    while (x);
    put(p);
}

static inline uint32_t bench_divisor(void)
{
    uint32_t n = 0;

    if (start_stack[0] > 1)
        for (const char *p = (const char *)start_stack[2]; *p >= '0' && *p <= '9'; p++)
            n = n * 10 + (uint32_t)(*p - '0');
    return n ? n : 1;
}

static inline void bench_run(const char *name, uint32_t (*work)(uint32_t n), uint32_t n)
{
    uint64_t begin, end;
    uint32_t result;

    n /= bench_divisor();
    if (!n)
        n = 1;
    begin = bench_now();
    result = work(n);
    end = bench_now();
    put(name);
    put(" ");
    put_decimal(end - begin);
    put(" ");
    put_decimal(n);
    put(" ");
    put_hex(result);
    put("\n");
}

#define BENCH(name, iterations)               \
    static void test(void)                    \
    {                                         \
        bench_run(name, work, (iterations));  \
    }

#endif
