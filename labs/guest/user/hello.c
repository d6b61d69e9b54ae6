/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Greets `count` times and sleeps in between. */
#include "user.h"

int program(uint32_t count)
{
    struct line l = { .length = 0 };

    for (uint32_t i = 1; i <= count; i++) {
        line_text(&l, "  hello from ring 3, pid ");
        line_number(&l, call(CALL_GETPID, 0, 0));
        line_text(&l, ", ");
        line_number(&l, i);
        line_text(&l, " of ");
        line_number(&l, count);
        line_end(&l);
        call(CALL_SLEEP, 50, 0);
    }
    return 0;
}
