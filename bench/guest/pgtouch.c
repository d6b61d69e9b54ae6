/* SPDX-License-Identifier: GPL-2.0-or-later */
/* First touch of anonymous pages, 16 MB at a time: page faults.  One iteration is a page. */
#include "bench/guest/bench.h"

#define PAGES 4096u

static uint32_t work(uint32_t n)
{
    uint32_t sum = 0;

    while (n >= PAGES) {
        /* PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS */
        uint8_t *p = (uint8_t *)sys6(SYS_mmap2, 0, PAGES * 4096, 3, 0x22, -1, 0);

        if ((unsigned long)p > -4096ul)
            return ~0u;
        for (uint32_t i = 0; i < PAGES; i++)
            p[i * 4096] = (uint8_t)i;
        for (uint32_t i = 0; i < PAGES; i++)
            sum = sum * 31 + p[i * 4096];
        SYS(SYS_munmap, p, PAGES * 4096, 0);
        n -= PAGES;
    }
    return sum;
}

BENCH("pgtouch", 20 * PAGES)
