/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the self-test's monitor and its caller agree on.  It lies at the start of the shared pages.
 *
 * World: both.  One writer at a time: the caller until BTMON_RUN, then the monitor until it returns.
 */
#ifndef BTMON_SELFTEST_H
#define BTMON_SELFTEST_H

#include "world/ring0/abi.h"

/* With less the monitor can't do. */
#define SELFTEST_RAM_MIN 0x10000ul
#define SELFTEST_SHARED_MIN 0x2000ul

enum selftest_command {
    SELFTEST_ECHO,      /* arg[0] comes back in btmon_run.arg */
    SELFTEST_SPOIL,     /* load tables, segments and FPU registers of our own before returning */
    SELFTEST_WAIT,      /* let interrupts come until event is set: by an alarm at arg[0], or the caller */
    SELFTEST_ALARM,     /* set one at arg[0] and return before it rings */
    SELFTEST_PROBE,     /* access arg[0] in the way of arg[1]; result[0]: 0, or 1 + the page fault's error code */
    SELFTEST_SWITCHES,  /* to the host and back, arg[0] times; with spoilt tables in between if arg[1] */
    SELFTEST_STRESS,    /* the same under single steps; result[0], [1]: so many in all, with so many NMIs held behind them; [2]: that
                         * met the monitor's own IDT on the way out */
    SELFTEST_HOLD,      /* arg[0] switches, each as if an NMI had come meanwhile; result[0]: NMIs still held after one */
    SELFTEST_VECTOR,    /* arg[0] switches, each as if the vector arg[1] had interrupted the VMM world */
    SELFTEST_COUNT,     /* result[0], [1]: cycles of the way out and in */
    SELFTEST_FILL,      /* write a pattern from arg[0] to all private pages; result[0]: words that were not of arg[1]'s */
    SELFTEST_DIE,
    SELFTEST_UD,        /* an undefined instruction under the switch IDT */
    SELFTEST_BADVECTOR, /* pretend an interrupt that no device makes: arg[0] */
};

enum selftest_access { SELFTEST_READ, SELFTEST_WRITE, SELFTEST_EXEC };

struct selftest {
    __u32 command, pad;
    __u64 arg[2];
    __u64 result[4];
    __u64 interrupts[256]; /* taken in the VMM world, by vector */
    __u64 held;            /* NMIs that came during a switch */
    __u64 constants, cross, cross_code; /* linear addresses: of the image's read-only part, of the crosspage */
};

#endif
