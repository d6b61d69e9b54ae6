/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 8254 against a model that steps every clock pulse as the data sheet's
 * diagrams do, and the interrupt side: no tick lost, none invented.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "devices/hot/i8254.h"

struct wire {
    bool level;
    unsigned edges;
};

static void wire_set(void *opaque, unsigned irq, bool level)
{
    struct wire *w = opaque;

    cr_assert_eq(irq, 0);
    w->edges += level && !w->level;
    w->level = level;
}

static struct wire wire;
static struct i8254 pit;

static void setup(void)
{
    struct irq_line line = { wire_set, &wire, 0 };

    memset(&wire, 0, sizeof wire);
    i8254_init(&pit, &line);
    wire.edges = 0;
}

static uint64_t at(uint64_t tick) { return i8254_tick_time(tick); }

/* --- a stepping model of one counter --- */

struct model {
    unsigned mode, m;
    bool bcd, gate, out, started, load, trigger, strobe_armed, null;
    uint32_t cr, n, ce; /* n: what the counting element was loaded from */
};

static void model_start(struct model *s)
{
    s->n = s->cr;
    s->ce = s->mode == 3 ? s->n & ~1u : s->n;
}

static void model_load(struct model *s)
{
    model_start(s);
    s->load = s->trigger = false;
    s->started = s->strobe_armed = true;
    if (s->mode == 2 || s->mode == 3)
        s->out = true;
    if (s->mode == 1)
        s->out = false;
}

static void model_down(struct model *s)
{
    s->ce = (s->ce % s->m + s->m - 1) % s->m;
}

static void model_step3(struct model *s)
{
    bool odd_high = s->out && s->ce == 0;

    if (!odd_high)
        s->ce -= 2;
    if (odd_high || (s->ce == 0 && (!s->out || !(s->n & 1)))) {
        s->out = !s->out;
        model_start(s);
    }
}

static void model_tick(struct model *s)
{
    bool was_strobe = s->mode >= 4 && !s->out;

    if (was_strobe)
        s->out = true;
    if ((s->load && s->mode != 1 && s->mode != 5) || s->trigger) {
        model_load(s);
        return;
    }
    if (!s->started || (!s->gate && s->mode != 1 && s->mode != 5))
        return;
    switch (s->mode) {
    case 0:
    case 1:
        model_down(s);
        if (s->ce == 0)
            s->out = true;
        break;
    case 2:
        if (s->ce == 1) {
            s->ce = s->cr;
            s->out = true;
        } else if (--s->ce == 1) {
            s->out = false;
        }
        break;
    case 3:
        model_step3(s);
        break;
    default:
        model_down(s);
        if (s->ce == 0 && s->strobe_armed) {
            s->out = false;
            s->strobe_armed = false;
        }
    }
}

static void model_control(struct model *s, unsigned mode, bool bcd)
{
    bool gate = s->gate;

    memset(s, 0, sizeof *s);
    s->gate = gate;
    s->mode = mode;
    s->bcd = bcd;
    s->m = bcd ? 10000 : 65536;
    s->out = mode != 0;
}

static void model_write(struct model *s, uint32_t n)
{
    bool first = s->cr == 0;

    s->cr = n ? n : s->m;
    if (s->mode == 0)
        s->out = false;
    if (s->mode == 2 || s->mode == 3) {
        if (first || !s->gate || s->load)
            s->load = true; /* otherwise picked up at the next reload */
    } else {
        s->load = true;
    }
}

static void model_gate(struct model *s, bool level)
{
    if (level && !s->gate && s->mode != 0 && s->mode != 4 && s->cr)
        s->trigger = true;
    if (!level && (s->mode == 2 || s->mode == 3))
        s->out = true;
    if (!level && s->mode == 4)
        s->out = true;
    s->gate = level;
}

static uint32_t bcd(uint32_t n)
{
    return n / 1000 % 10 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10;
}

static uint32_t rng_state;

static uint32_t rng(uint32_t below)
{
    rng_state = rng_state * 1664525u + 1013904223u;
    return (rng_state >> 8) % below;
}

static uint16_t latched_count(uint64_t now)
{
    uint16_t lo;

    i8254_out(&pit, now, 3, 0x80);
    lo = i8254_in(&pit, now, 2);
    return (uint16_t)(lo | i8254_in(&pit, now, 2) << 8);
}

static void write_count(uint64_t now, uint32_t n, bool in_bcd)
{
    uint32_t raw = in_bcd ? bcd(n) : n;

    i8254_out(&pit, now, 2, (uint8_t)raw);
    i8254_out(&pit, now, 2, (uint8_t)(raw >> 8));
}

/* Random writes and gates on counter 2; count and OUT compared at every tick. */
static void compare_with_model(unsigned mode, bool in_bcd, uint32_t seed)
{
    struct model s = { 0 };
    uint64_t t = 1000;
    uint32_t n;

    setup();
    rng_state = seed;
    i8254_gate2(&pit, at(t), true);
    s.gate = true;
    i8254_out(&pit, at(t), 3, (uint8_t)(0xb0 | mode << 1 | in_bcd));
    model_control(&s, mode, in_bcd);
    for (unsigned step = 0; step < 3000; step++, t++) {
        if (rng(40) == 0 || step == 1) {
            n = 2 + rng(rng(2) ? 30 : 6);
            write_count(at(t), n, in_bcd);
            model_write(&s, n);
        } else if (rng(25) == 0) {
            i8254_gate2(&pit, at(t), !s.gate);
            model_gate(&s, !s.gate);
        }
        cr_assert_eq(i8254_out2(&pit, at(t)), s.out, "mode %u seed %u step %u: OUT should be %d", mode,
                     seed, step, s.out);
        if (s.started && !s.load && !s.trigger) {
            uint32_t want = in_bcd ? bcd(s.ce % s.m) : s.ce & 0xffff;

            cr_assert_eq(latched_count(at(t)), want, "mode %u seed %u step %u: count %#x, not %#x", mode,
                         seed, step, latched_count(at(t)), want);
        }
        model_tick(&s);
    }
}

Test(devices_i8254, stepping_model)
{
    for (unsigned mode = 0; mode <= 5; mode++)
        for (uint32_t seed = 1; seed <= 40; seed++)
            compare_with_model(mode, seed & 1, seed);
}

Test(devices_i8254, ticks_are_exact)
{
    static const uint64_t far = 400ull * 86400 * I8254_HZ;

    cr_assert_eq(i8254_ticks(999999999), I8254_HZ - 1);
    cr_assert_eq(i8254_ticks(1000000000), I8254_HZ);
    cr_assert_eq(i8254_ticks(86400ull * 365 * 1000000000), 86400ull * 365 * I8254_HZ);
    for (uint64_t i = 0; i < 200000; i++) {
        uint64_t tick = i < 100000 ? i : far + i * 7919, now = i8254_tick_time(tick);

        cr_assert_eq(i8254_ticks(now), tick);
        cr_assert(now == 0 || i8254_ticks(now - 1) == tick - 1);
    }
}

Test(devices_i8254, access_modes, .init = setup)
{
    uint64_t now = at(100);

    i8254_out(&pit, now, 3, 0x90); /* counter 2, low byte only, mode 0 */
    i8254_out(&pit, now, 2, 0x12);
    cr_assert_eq(i8254_in(&pit, now, 2), 0x12);
    cr_assert_eq(i8254_in(&pit, now, 2), 0x12);
    i8254_out(&pit, now, 3, 0xa0); /* high byte only */
    i8254_out(&pit, now, 2, 0x34);
    cr_assert_eq(i8254_in(&pit, now, 2), 0x34);
    i8254_out(&pit, now, 3, 0xb0);
    i8254_out(&pit, now, 2, 0x78);
    i8254_out(&pit, now, 2, 0x56);
    cr_assert_eq(i8254_in(&pit, now, 2), 0x78);
    cr_assert_eq(i8254_in(&pit, now, 2), 0x56);
    cr_assert_eq(i8254_in(&pit, now, 3), 0xff, "port 43h cannot be read");
}

Test(devices_i8254, latch_holds_until_read, .init = setup)
{
    i8254_gate2(&pit, at(10), true);
    i8254_out(&pit, at(10), 3, 0xb0);
    write_count(at(10), 0x8000, false);
    i8254_out(&pit, at(11 + 16), 3, 0x80);
    i8254_out(&pit, at(11 + 500), 3, 0x80); /* ignored: not yet read */
    cr_assert_eq(i8254_in(&pit, at(1000), 2), 0xf0);
    cr_assert_eq(i8254_in(&pit, at(1000), 2), 0x7f);
    cr_assert_eq(i8254_in(&pit, at(11 + 0x100), 2), 0x00, "then the live count");
}

Test(devices_i8254, read_back_status_then_count, .init = setup)
{
    i8254_gate2(&pit, at(10), true);
    i8254_out(&pit, at(10), 3, 0xb4); /* mode 2 */
    write_count(at(10), 1000, false);
    i8254_out(&pit, at(10), 3, 0xc8); /* count and status, counter 2 */
    cr_assert_eq(i8254_in(&pit, at(10), 2), 0xf4, "OUT high, null count, both bytes, mode 2");
    i8254_in(&pit, at(10), 2);
    i8254_in(&pit, at(10), 2);
    i8254_out(&pit, at(11 + 999), 3, 0xc8);
    cr_assert_eq(i8254_in(&pit, at(5000), 2), 0x34, "OUT low in the last tick, count loaded");
    cr_assert_eq(i8254_in(&pit, at(5000), 2), 1);
    cr_assert_eq(i8254_in(&pit, at(5000), 2), 0);
    write_count(at(5000), 500, false);
    i8254_out(&pit, at(5001), 3, 0xe8); /* status only */
    cr_assert_eq(i8254_in(&pit, at(5001), 2), 0xf4, "the new count waits for the end of the period");
    i8254_out(&pit, at(5011), 3, 0xe8);
    cr_assert_eq(i8254_in(&pit, at(5011), 2), 0xb4);
}

Test(devices_i8254, mode0_first_byte_stops, .init = setup)
{
    i8254_gate2(&pit, at(10), true);
    i8254_out(&pit, at(10), 3, 0xb0);
    write_count(at(10), 50, false);
    cr_assert(!i8254_out2(&pit, at(60)));
    cr_assert(i8254_out2(&pit, at(61)), "N + 1 pulses after the write");
    i8254_out(&pit, at(70), 2, 5);
    cr_assert(!i8254_out2(&pit, at(70)));
    cr_assert(!i8254_out2(&pit, at(70000)));
    i8254_out(&pit, at(70000), 2, 0);
    cr_assert(!i8254_out2(&pit, at(70005)));
    cr_assert(i8254_out2(&pit, at(70006)));
}

/* --- interrupts --- */

static void program0(uint64_t now, unsigned mode, uint32_t n)
{
    i8254_out(&pit, now, 3, (uint8_t)(0x30 | mode << 1));
    i8254_out(&pit, now, 0, (uint8_t)n);
    i8254_out(&pit, now, 0, (uint8_t)(n >> 8));
}

Test(devices_i8254, periodic_deadlines_are_exact, .init = setup)
{
    uint64_t now = 12345678, first = i8254_ticks(now) + 1;

    program0(now, 2, 4772); /* 250 Hz */
    for (uint64_t k = 1; k <= 5000; k++) {
        uint64_t when = i8254_deadline(&pit);

        cr_assert_eq(when, at(first + k * 4772));
        i8254_advance(&pit, when - 1);
        cr_assert_eq(wire.edges, k - 1);
        i8254_advance(&pit, when);
        cr_assert_eq(wire.edges, k);
        i8254_acked(&pit);
    }
    cr_assert_eq(wire.edges, 5000, "an acknowledge alone raises nothing");
}

Test(devices_i8254, late_advance_keeps_every_period, .init = setup)
{
    uint64_t first, total = 0;

    program0(0, 2, 4772);
    first = 1;
    rng_state = 7;
    for (uint64_t now = 0; now < 20000000000ull; now += 1 + rng(300000000)) {
        i8254_advance(&pit, now);
        total = (i8254_ticks(now) - (i8254_ticks(now) ? first : 0)) / 4772;
        while (pit.unacked)
            i8254_acked(&pit);
        cr_assert_eq(wire.edges, total);
    }
    cr_assert_gt(total, 4000);
}

Test(devices_i8254, unacknowledged_periods_wait, .init = setup)
{
    program0(0, 3, 11932); /* about 100 Hz */
    for (unsigned k = 1; k <= 10; k++)
        i8254_advance(&pit, at(1 + 11932 * k));
    cr_assert_eq(pit.backlog, 9);
    cr_assert(wire.level);
    i8254_acked(&pit);
    cr_assert_eq(pit.backlog, 8);
    i8254_advance(&pit, 3600ull * 1000000000);
    cr_assert_eq(pit.backlog, 2 * I8254_HZ / 11932, "no more than two seconds' worth");
    i8254_drop_backlog(&pit, false);
    i8254_acked(&pit);
    cr_assert(!pit.unacked);
}

Test(devices_i8254, new_control_word_drops_old_ticks, .init = setup)
{
    program0(0, 2, 1000);
    i8254_advance(&pit, at(5500));
    cr_assert_eq(pit.backlog, 4);
    cr_assert(wire.level);
    i8254_out(&pit, at(5500), 3, 0x30); /* mode 0: OUT falls */
    cr_assert_eq(pit.backlog, 0);
    cr_assert(!wire.level && !pit.unacked);
    cr_assert_eq(i8254_deadline(&pit), UINT64_MAX);
}

Test(devices_i8254, one_shot_modes_fire_once, .init = setup)
{
    program0(at(100), 0, 1000);
    cr_assert_eq(i8254_deadline(&pit), at(1101));
    i8254_advance(&pit, at(200000));
    cr_assert_eq(wire.edges, 1);
    cr_assert_eq(i8254_deadline(&pit), UINT64_MAX);
    setup();
    program0(at(100), 4, 1000);
    cr_assert_eq(i8254_deadline(&pit), at(1102), "when the strobe ends");
    i8254_advance(&pit, at(200000));
    cr_assert_eq(wire.edges, 1);
    i8254_out(&pit, at(200000), 0, 100); /* a new count starts the next shot */
    i8254_out(&pit, at(200000), 0, 0);
    i8254_acked(&pit);
    cr_assert_eq(i8254_deadline(&pit), at(200102));
    i8254_advance(&pit, at(200102));
    cr_assert_eq(wire.edges, 2);
}

Test(devices_i8254, new_count_in_mode_2_keeps_the_period, .init = setup)
{
    program0(at(0), 2, 1000);
    i8254_advance(&pit, at(1500));
    i8254_acked(&pit);
    i8254_out(&pit, at(1500), 0, 0x2c); /* 300 */
    i8254_out(&pit, at(1500), 0, 0x01);
    cr_assert_eq(i8254_deadline(&pit), at(2001));
    i8254_advance(&pit, at(2001));
    i8254_acked(&pit);
    cr_assert_eq(i8254_deadline(&pit), at(2301));
    i8254_advance(&pit, at(3501)); /* 2301 2601 2901 3201 3501 */
    cr_assert_eq(pit.backlog, 4);
}
