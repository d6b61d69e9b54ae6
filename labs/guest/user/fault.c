/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Touches what it may not.  The kernel ends it; a status of 0 would mean that it got away. */
#include "user.h"

int program(uint32_t argument)
{
    (void)argument;
    return *(volatile uint32_t *)0xC0100000 * 0;
}
