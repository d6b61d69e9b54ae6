/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A byte to another process and back through two pipes: context switches.  One iteration is a round trip. */
#include "bench/guest/bench.h"

static void __attribute__((noreturn)) echo(int from, int to)
{
    uint8_t byte;

    while (SYS(SYS_read, from, &byte, 1) == 1) {
        byte++;
        SYS(SYS_write, to, &byte, 1);
    }
    for (;;)
        SYS(SYS_exit, 0, 0, 0);
}

static uint32_t work(uint32_t n)
{
    int there[2], back[2], status;
    uint8_t byte = 0;
    long pid;

    if (SYS(SYS_pipe, there, 0, 0) || SYS(SYS_pipe, back, 0, 0))
        return ~0u;
    pid = SYS(SYS_fork, 0, 0, 0);
    if (pid == 0) {
        SYS(SYS_close, there[1], 0, 0);
        echo(there[0], back[1]);
    }
    if (pid < 0)
        return ~0u;
    for (uint32_t i = 0; i < n; i++)
        if (SYS(SYS_write, there[1], &byte, 1) != 1 || SYS(SYS_read, back[0], &byte, 1) != 1)
            return ~0u;
    SYS(SYS_close, there[1], 0, 0);
    SYS(SYS_waitpid, pid, &status, 0);
    return byte;
}

BENCH("pipepp", 20000)
