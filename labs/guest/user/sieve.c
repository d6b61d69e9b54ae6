/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counts primes in heap memory that did not exist before it was touched. */
#include "user.h"

int program(uint32_t limit)
{
    struct line l = { .length = 0 };
    uint32_t primes = 0;

    for (uint32_t i = 2; i < limit; i++) {
        if (HEAP[i])
            continue;
        primes++;
        for (uint32_t j = i * 2; j < limit; j += i)
            HEAP[j] = 1;
    }
    line_text(&l, "  sieve: ");
    line_number(&l, primes);
    line_text(&l, " primes below ");
    line_number(&l, limit);
    line_end(&l);
    return primes % 256;
}
