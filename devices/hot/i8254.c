/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 8254 (Intel 8254 data sheet, order number 231164).
 *
 * Nothing here counts.  A counter's state is the tick at which its counting
 * element was loaded and the number n that was loaded then; the count and OUT
 * at any later tick follow in closed form from the time that has passed:
 *
 *   mode  count after e ticks     OUT
 *   0     n - e, wrapping         low until e = n
 *   1     the same                low from the trigger until e = n
 *   2     n - e mod n             low in the last tick of each period
 *   3     by twos, in half cycles high (n+1)/2 ticks, low n/2 ticks
 *   4, 5  n - e, wrapping         low in the one tick e = n
 *
 * A count written at tick t is loaded at t + 1, as the chip waits for the
 * next clock pulse.  In modes 2 and 3 a counter that runs takes a new count at
 * the end of its period or half cycle; this is `reload`, folded in by
 * counter_settle().  GATE low freezes modes 0, 2, 3, 4; its rising edge
 * (re)starts modes 1, 2, 3, 5.
 *
 * Ticks are whole clock periods since guest time 0, computed from nanoseconds
 * by i8254_ticks() without rounding twice, so nothing drifts and no tick is
 * lost or invented however rarely anyone looks.
 *
 * Counter 0 drives IRQ 0.  Only rising edges matter to an edge-triggered
 * 8259, so OUT0's falling edges in modes 2-5 are not passed on: the request
 * stays up till it is taken, even if we are late.  Periods that pass while a
 * request waits would merge on the real board, where this happens only to software that
 * is too slow; here the host may have taken the CPU away.  They go to a backlog
 * (at most two seconds' worth), and each acknowledged interrupt raises the
 * next one, so that guests which keep time by counting keep it.
 *
 * Not done: a count of 1 in modes 2 and 3, which the data sheet forbids, runs
 * as 2.
 */
#include "devices/hot/i8254.h"

#include "base/bits.h"
#include "base/mem.h"

#define NS_PER_S 1000000000ull
#define NEVER INT64_MAX

#define CTL_BCD BIT(0)
#define CTL_RW 0x30u
#define CTL_RW_LOW 0x10u
#define CTL_RW_HIGH 0x20u
#define STATUS_OUT BIT(7)
#define STATUS_NULL BIT(6)

uint64_t i8254_ticks(uint64_t now)
{
    return now / NS_PER_S * I8254_HZ + now % NS_PER_S * I8254_HZ / NS_PER_S;
}

uint64_t i8254_tick_time(uint64_t tick)
{
    return tick / I8254_HZ * NS_PER_S + (tick % I8254_HZ * NS_PER_S + I8254_HZ - 1) / I8254_HZ;
}

static bool periodic(const struct i8254_counter *c)
{
    return c->mode == 2 || c->mode == 3;
}

static uint32_t counter_modulus(const struct i8254_counter *c)
{
    return c->control & CTL_BCD ? 10000 : 65536;
}

static uint32_t count_decode(const struct i8254_counter *c)
{
    uint32_t n = c->cr;

    if (c->control & CTL_BCD)
        n = (n >> 12) * 1000 + (n >> 8 & 15) * 100 + (n >> 4 & 15) * 10 + (n & 15);
    if (n == 0)
        n = counter_modulus(c);
    if (n == 1 && periodic(c))
        n = 2;
    return n;
}

static uint16_t count_encode(const struct i8254_counter *c, uint32_t n)
{
    if (!(c->control & CTL_BCD))
        return (uint16_t)n;
    return (uint16_t)(n / 1000 % 10 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10);
}

/* Ticks counted by the load at `start`; 0 until it has happened. */
static uint64_t counter_elapsed(const struct i8254_counter *c, int64_t t)
{
    if (c->frozen)
        return (uint64_t)c->frozen_for;
    return t > c->start ? (uint64_t)(t - c->start) : 0;
}

static uint32_t mode3_count(uint32_t n, uint32_t e)
{
    uint32_t high = (n + 1) / 2;

    return (n & ~1u) - 2 * (e < high ? e : e - high);
}

static uint16_t counter_count(const struct i8254_counter *c, int64_t t)
{
    uint64_t e = counter_elapsed(c, t);
    uint32_t m = counter_modulus(c), n;

    if (!c->loaded)
        return c->cr;
    if (c->mode == 2)
        n = c->n - (uint32_t)(e % c->n);
    else if (c->mode == 3)
        n = mode3_count(c->n, (uint32_t)(e % c->n));
    else
        n = (c->n % m + m - (uint32_t)(e % m)) % m;
    return count_encode(c, n);
}

static bool counter_out(const struct i8254_counter *c, int64_t t)
{
    uint64_t e = counter_elapsed(c, t);

    if (!c->loaded)
        return c->old_out;
    if (periodic(c) && !c->gate)
        return true;
    if (!c->frozen && t < c->start)
        return c->old_out;
    switch (c->mode) {
    case 0:
    case 1:
        return e >= c->n;
    case 2:
        return e % c->n != c->n - 1;
    case 3:
        return e % c->n < (c->n + 1) / 2;
    default:
        return e != c->n;
    }
}

/* The next tick after t at which OUT rises, as loaded now (that is, without a coming reload). */
static int64_t counter_next_rise(const struct i8254_counter *c, int64_t t)
{
    int64_t at;

    if (!c->loaded || c->frozen)
        return NEVER;
    if (periodic(c)) {
        if (t < c->start)
            return c->start + c->n;
        return c->start + ((t - c->start) / c->n + 1) * c->n;
    }
    at = c->start + c->n + (c->mode >= 4);
    return at > t ? at : NEVER;
}

/* Rises in (from, to] without a reload in between. */
static uint64_t counter_rises(const struct i8254_counter *c, int64_t from, int64_t to)
{
    int64_t first = counter_next_rise(c, from);

    if (first > to)
        return 0;
    return periodic(c) ? (uint64_t)((to - first) / c->n) + 1 : 1;
}

static void counter_reload(struct i8254_counter *c)
{
    bool low_half = c->mode == 3 && (uint64_t)(c->reload_at - c->start) % c->n != 0;

    c->n = count_decode(c);
    c->start = c->reload_at;
    if (low_half) /* as if the high half had come before */
        c->start -= (c->n + 1) / 2;
    c->reload = false;
}

/* Bring the counter to tick t; returns how often OUT rose by counting. */
static uint64_t counter_settle(struct i8254_counter *c, int64_t t)
{
    uint64_t rises = 0;

    if (t <= c->seen)
        return 0;
    if (c->reload && c->reload_at <= t) {
        rises = counter_rises(c, c->seen, c->reload_at);
        c->seen = c->reload_at;
        counter_reload(c);
    }
    rises += counter_rises(c, c->seen, t);
    c->seen = t;
    return rises;
}

/* The next clock pulse loads the counting element. */
static void counter_load(struct i8254_counter *c, int64_t t)
{
    c->old_out = c->mode == 0 ? false : counter_out(c, t);
    c->n = count_decode(c);
    c->start = t + 1;
    c->loaded = true;
    c->reload = false;
    c->frozen = !c->gate && c->mode != 1 && c->mode != 5;
    c->frozen_for = 0;
}

/* A count is complete in cr. */
static void counter_written(struct i8254_counter *c, int64_t t)
{
    bool first = !c->has_count;

    c->has_count = true;
    if (c->mode == 1 || c->mode == 5)
        return; /* loaded by the trigger */
    if (first || !periodic(c) || c->frozen || t < c->start) {
        counter_load(c, t);
        return;
    }
    if (c->reload)
        return; /* the later count wins, at the same boundary */
    c->reload = true;
    c->reload_at = counter_next_rise(c, t);
    if (c->mode == 3) {
        int64_t fall = c->reload_at - c->n / 2;

        if (fall > t)
            c->reload_at = fall;
    }
}

static void counter_freeze(struct i8254_counter *c, int64_t t)
{
    if (!c->loaded || c->frozen)
        return;
    c->frozen_for = (int64_t)counter_elapsed(c, t);
    if (c->mode == 4 && c->frozen_for == c->n) /* the strobe is over; the count is the same a turn later */
        c->frozen_for += counter_modulus(c);
    c->frozen = true;
    c->reload = false;
}

static void counter_write(struct i8254_counter *c, int64_t t, uint8_t value)
{
    switch (c->control & CTL_RW) {
    case CTL_RW_LOW:
        c->cr = value;
        break;
    case CTL_RW_HIGH:
        c->cr = (uint16_t)(value << 8);
        break;
    default:
        c->write_high = !c->write_high;
        if (c->write_high) {
            c->write_low = value;
            if (c->mode == 0) { /* the first byte stops the count and lowers OUT */
                c->loaded = false;
                c->old_out = false;
            }
            return;
        }
        c->cr = (uint16_t)(value << 8 | c->write_low);
    }
    counter_written(c, t);
}

static void counter_latch(struct i8254_counter *c, int64_t t)
{
    if (c->latched)
        return;
    c->latch = counter_count(c, t);
    c->latched = (c->control & CTL_RW) == CTL_RW ? 2 : 1;
}

static void counter_latch_status(struct i8254_counter *c, int64_t t)
{
    bool null = !c->loaded || c->reload || (!c->frozen && t < c->start);

    if (c->status_latched)
        return;
    c->status = (uint8_t)(c->control | (counter_out(c, t) ? STATUS_OUT : 0) | (null ? STATUS_NULL : 0));
    c->status_latched = true;
}

static uint8_t counter_read(struct i8254_counter *c, int64_t t)
{
    uint16_t count;
    bool high = (c->control & CTL_RW) == CTL_RW_HIGH;

    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    count = c->latched ? c->latch : counter_count(c, t);
    if ((c->control & CTL_RW) == CTL_RW) {
        high = c->read_high;
        c->read_high = !c->read_high;
    }
    if (c->latched)
        c->latched--;
    return (uint8_t)(high ? count >> 8 : count);
}

static void counter_control(struct i8254_counter *c, uint8_t value)
{
    uint8_t mode = value >> 1 & 7;

    c->control = value & 0x3f;
    c->mode = mode > 5 ? mode & 3 : mode;
    c->write_high = c->read_high = false;
    c->latched = 0;
    c->status_latched = false;
    c->has_count = c->loaded = c->frozen = c->reload = false;
    c->old_out = c->mode != 0;
}

static void counter_gate(struct i8254_counter *c, int64_t t, bool level)
{
    if (level == c->gate)
        return;
    switch (c->mode) {
    case 0:
    case 4:
        if (!level) {
            counter_freeze(c, t);
        } else if (c->frozen) {
            c->frozen = false;
            c->start = t - c->frozen_for;
        }
        break;
    case 2:
    case 3:
        if (!level)
            counter_freeze(c, t);
        break;
    }
    if (level && c->mode != 0 && c->mode != 4 && c->has_count) {
        bool out = counter_out(c, t);

        c->gate = true;
        counter_load(c, t);
        c->old_out = out;
    }
    c->gate = level;
}

/* --- the chip --- */

static void irq0_raise(struct i8254 *p)
{
    p->unacked = true;
    irq_line_set(&p->irq0, false);
    irq_line_set(&p->irq0, true);
}

static void irq0_periods(struct i8254 *p, uint64_t rises)
{
    const struct i8254_counter *c = &p->counter[0];
    uint32_t cap = I8254_BACKLOG_SECONDS * I8254_HZ / c->n;

    if (rises == 0)
        return;
    if (periodic(c)) {
        uint64_t missed = p->backlog + rises - !p->unacked;

        p->backlog = (uint32_t)min_u64(missed, cap);
    }
    irq0_raise(p);
}

static int64_t pit_settle(struct i8254 *p, uint64_t now)
{
    int64_t t = (int64_t)i8254_ticks(now);
    uint64_t rises = counter_settle(&p->counter[0], t);

    counter_settle(&p->counter[1], t);
    counter_settle(&p->counter[2], t);
    irq0_periods(p, rises);
    return t;
}

void i8254_init(struct i8254 *p, const struct irq_line *irq0)
{
    static const uint8_t control[3] = { 0x36, 0x14, 0x36 };
    static const uint16_t count[3] = { 0, 18, 0 };

    /* The data sheet leaves this open; take what firmware leaves behind: the
     * 18.2 Hz tick, memory refresh, and a silent speaker. */
    memset(p, 0, sizeof *p);
    p->irq0 = *irq0;
    for (unsigned i = 0; i < 3; i++) {
        counter_control(&p->counter[i], control[i]);
        p->counter[i].gate = i != 2;
        p->counter[i].cr = count[i];
        counter_written(&p->counter[i], 0);
    }
    irq_line_set(&p->irq0, true);
}

/* IRQ 0 as passed on: without the low phases of modes 2-5. */
static bool irq0_level(const struct i8254 *p, int64_t t)
{
    const struct i8254_counter *c = &p->counter[0];

    return c->mode > 1 || counter_out(c, t);
}

/* A write may have moved OUT0. */
static void irq0_written(struct i8254 *p, int64_t t, bool before)
{
    bool after = irq0_level(p, t);

    if (before && !after) {
        irq_line_set(&p->irq0, false);
        i8254_drop_backlog(p, true);
    } else if (!before && after) {
        irq0_raise(p);
    }
}

static void pit_read_back(struct i8254 *p, int64_t t, uint8_t value)
{
    for (unsigned i = 0; i < 3; i++) {
        if (!(value & BIT(i + 1)))
            continue;
        if (!(value & BIT(5)))
            counter_latch(&p->counter[i], t);
        if (!(value & BIT(4)))
            counter_latch_status(&p->counter[i], t);
    }
}

static void pit_control(struct i8254 *p, int64_t t, uint8_t value)
{
    unsigned i = value >> 6;
    bool before = irq0_level(p, t);

    if (i == 3) {
        pit_read_back(p, t, value);
    } else if (!(value & CTL_RW)) {
        counter_latch(&p->counter[i], t);
    } else {
        counter_control(&p->counter[i], value);
        if (i == 0) {
            i8254_drop_backlog(p, false);
            irq0_written(p, t, before);
        }
    }
}

void i8254_out(struct i8254 *p, uint64_t now, unsigned reg, uint8_t value)
{
    int64_t t = pit_settle(p, now);
    bool before;

    if (reg >= 3) {
        pit_control(p, t, value);
        return;
    }
    before = irq0_level(p, t);
    counter_write(&p->counter[reg], t, value);
    if (reg == 0)
        irq0_written(p, t, before);
}

uint8_t i8254_in(struct i8254 *p, uint64_t now, unsigned reg)
{
    int64_t t = pit_settle(p, now);

    return reg < 3 ? counter_read(&p->counter[reg], t) : 0xff;
}

void i8254_gate2(struct i8254 *p, uint64_t now, bool level)
{
    counter_gate(&p->counter[2], pit_settle(p, now), level);
}

bool i8254_out2(struct i8254 *p, uint64_t now)
{
    return counter_out(&p->counter[2], pit_settle(p, now));
}

void i8254_advance(struct i8254 *p, uint64_t now)
{
    pit_settle(p, now);
}

uint64_t i8254_deadline(const struct i8254 *p)
{
    const struct i8254_counter *c = &p->counter[0];
    int64_t next = counter_next_rise(c, c->seen);

    if (c->reload && next > c->reload_at) {
        struct i8254_counter later = *c;

        counter_reload(&later);
        next = counter_next_rise(&later, c->reload_at);
    }
    return next == NEVER ? UINT64_MAX : i8254_tick_time((uint64_t)next);
}

void i8254_acked(struct i8254 *p)
{
    p->unacked = false;
    if (p->backlog > 0) {
        p->backlog--;
        irq0_raise(p);
    }
}

void i8254_drop_backlog(struct i8254 *p, bool pending)
{
    p->backlog = 0;
    if (pending)
        p->unacked = false;
}
