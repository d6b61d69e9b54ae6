/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that resets its machine whenever it has started (tests/ring0/ends.tap): each start must find memory as the loader leaves it,
 * with nothing of the last run in it.
 */
#include "rt.h"

#define FAR_AWAY 0x01800000u
#define PAGES 64u

static uint32_t changed = 1; /* of the image: loaded anew */

void test_main(void)
{
    volatile uint32_t *far_away = (volatile uint32_t *)FAR_AWAY;
    uint32_t left = 0;

    for (uint32_t i = 0; i < PAGES * 1024; i += 256)
        left |= far_away[i];
    put(left || changed != 1 ? "start: not clean\n" : "start: clean\n");
    for (uint32_t i = 0; i < PAGES * 1024; i += 256)
        far_away[i] = ~0u;
    changed = 2;
    outb(0x64, 0xfe); /* the keyboard controller's reset line */
    for (;;)
        asm volatile("hlt");
}
