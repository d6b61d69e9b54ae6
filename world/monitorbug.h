/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bugs of the monitor, on purpose: what a world does when the monitor breaks can be tried out (-d monitorbug).
 *
 * World: VMM, any.  Does not return.
 */
#ifndef WORLD_MONITORBUG_H
#define WORLD_MONITORBUG_H

enum monitor_bug {          /* ORDER features.def */
    MONITOR_BUG_NONE,
    MONITOR_BUG_ASSERT,
    MONITOR_BUG_WILD,       /* a store to the monitor's own text */
    MONITOR_BUG_STACK,      /* a recursion that does not end */
    MONITOR_BUG_LOST_STACK, /* an exception without a stack: in ring 0, a double fault */
};

__attribute__((noreturn)) void monitor_bug(enum monitor_bug bug);

#endif
