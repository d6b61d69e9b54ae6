/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sieve of Eratosthenes over 8 MB of bytes: loads and stores with growing strides.  One iteration
 * is a pass; 20 take about a second natively, in which the first touch of 2,048 pages (what pgtouch measures)
 * is lost. */
#include "bench/guest/bench.h"

#define SIZE (8u << 20)

static uint8_t composite[SIZE];

static uint32_t pass(void)
{
    uint32_t primes = 0;

    memset(composite, 0, SIZE);
    for (uint32_t i = 2; i < SIZE; i++) {
        if (composite[i])
            continue;
        primes++;
        for (uint32_t k = i; k < SIZE - i;) {
            k += i;
            composite[k] = 1;
        }
    }
    return primes;
}

static uint32_t work(uint32_t n)
{
    uint32_t primes = 0;

    for (uint32_t i = 0; i < n; i++)
        primes += pass();
    return primes;
}

BENCH("sieve", 20)
