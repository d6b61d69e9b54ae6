/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System control ports (IBM PS/2 and AT technical references; CF9h as in
 * Intel's south bridges).
 *
 * Port 61h: bit 0 is GATE of the 8254's counter 2, bit 1 the speaker, bits 2
 * and 3 switch off parity and channel check, and read-only bit 4 toggles with
 * each memory refresh, bit 5 is OUT2.  Refresh is counter 1's period, 18 ticks
 * (15.085 us), whatever is programmed there.  Delay loops and clock
 * calibrations are built on bits 4 and 5.
 *
 * Port 92h: bit 1 is another A20 gate, a rising bit 0 resets.  Port CF9h resets when
 * bit 2 rises; bit 1 chooses how hard, which makes no difference here.
 *
 * Not done: DMA.  No device here uses it; the page registers keep what is
 * written (firmware tests them), the controllers read zero.
 */
#include "devices/hot/ports.h"

#include "base/bits.h"
#include "base/mem.h"

#define REFRESH_TICKS 18

void ports_init(struct ports *s, struct i8254 *pit, struct i8042 *kbc,
                void (*event)(void *opaque, enum board_event event, uint32_t code), void *opaque)
{
    memset(s, 0, sizeof *s);
    s->pit = pit;
    s->kbc = kbc;
    s->event = event;
    s->opaque = opaque;
}

uint8_t ports_61_in(struct ports *s, uint64_t now)
{
    uint8_t refresh = i8254_ticks(now) / REFRESH_TICKS & 1 ? BIT(4) : 0;

    return s->control_b | refresh | (i8254_out2(s->pit, now) ? BIT(5) : 0);
}

void ports_61_out(struct ports *s, uint64_t now, uint8_t value)
{
    s->control_b = value & 0x0f;
    i8254_gate2(s->pit, now, value & 1);
}

uint8_t ports_92_in(const struct ports *s)
{
    return i8042_a20(s->kbc) ? BIT(1) : 0;
}

void ports_92_out(struct ports *s, uint8_t value)
{
    i8042_set_a20(s->kbc, value & BIT(1));
    if (value & BIT(0))
        s->event(s->opaque, BOARD_RESET, 0);
}

uint8_t ports_cf9_in(const struct ports *s)
{
    return s->reset_control;
}

void ports_cf9_out(struct ports *s, uint8_t value)
{
    bool rises = value & ~s->reset_control & BIT(2);

    s->reset_control = value & 0x0e;
    if (rises)
        s->event(s->opaque, BOARD_RESET, 0);
}
