/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starts a child of the same kind, down to generation 0, and adds up what they return. */
#include "user.h"

int program(uint32_t generation)
{
    struct line l = { .length = 0 };
    int32_t child, below = 0;

    if (generation > 0 && generation < 8) {
        child = call(CALL_SPAWN, (uint32_t)"family", generation - 1);
        call(CALL_YIELD, 0, 0);
        below = call(CALL_WAIT, child, 0);
    }
    line_text(&l, "  family: generation ");
    line_number(&l, generation);
    line_text(&l, " is pid ");
    line_number(&l, call(CALL_GETPID, 0, 0));
    line_end(&l);
    return below + generation;
}
