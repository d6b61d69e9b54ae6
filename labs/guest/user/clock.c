/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tells the time since start once a second, `seconds` times. */
#include "user.h"

int program(uint32_t seconds)
{
    struct line l = { .length = 0 };

    for (uint32_t i = 0; i < seconds; i++) {
        line_text(&l, "  ");
        line_number(&l, call(CALL_TIME, 0, 0));
        line_text(&l, " ms");
        line_end(&l);
        call(CALL_SLEEP, 1000, 0);
    }
    return 0;
}
