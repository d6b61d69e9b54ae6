/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fork, exit in the child, wait in the parent: address spaces made and thrown away. */
#include "bench/guest/bench.h"

static uint32_t work(uint32_t n)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < n; i++) {
        int status = 0;
        long pid = SYS(SYS_fork, 0, 0, 0);

        if (pid == 0)
            for (;;)
                SYS(SYS_exit, i & 63, 0, 0);
        if (pid < 0 || SYS(SYS_waitpid, pid, &status, 0) != pid)
            return ~0u;
        sum += (uint32_t)status >> 8;
    }
    return sum;
}

BENCH("forkwait", 2000)
