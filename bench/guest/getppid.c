/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cheapest system call by int 0x80, over and over. */
#include "bench/guest/bench.h"

static uint32_t work(uint32_t n)
{
    uint32_t same = 0, parent = (uint32_t)SYS(SYS_getppid, 0, 0, 0);

    for (uint32_t i = 0; i < n; i++)
        same += (uint32_t)SYS(SYS_getppid, 0, 0, 0) == parent;
    return same == n;
}

BENCH("getppid", 1000000)
