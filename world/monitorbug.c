// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bugs of the monitor, on purpose.
 */
#include "world/monitorbug.h"

#include "base/assert.h"

/* Ends where a byte is found that is not there. */
static __attribute__((noinline)) unsigned recur(const volatile uint8_t *above)
{
    volatile uint8_t frame[128];

    frame[0] = *above;
    return frame[0] ? 0 : recur(frame) + frame[0];
}

void monitor_bug(enum monitor_bug bug)
{
    const volatile uint8_t zero = 0;

    switch (bug) {
    case MONITOR_BUG_WILD:
        *(volatile uint8_t *)(uintptr_t)monitor_bug = 0;
        break;
    case MONITOR_BUG_STACK:
        recur(&zero);
        break;
    case MONITOR_BUG_LOST_STACK:
        __asm__ volatile("mov $8, %esp\n\tud2");
        break;
    default:
        ASSERT(bug == MONITOR_BUG_NONE);
    }
    NOT_REACHED();
}
