/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MC146818 (Motorola data sheet; the PC's use of the RAM behind it as in
 * the AT technical reference).
 *
 * The divider chain turns 32768 Hz into periodic ticks and one update a
 * second.  It is represented by divider time: nanoseconds since some whole
 * second of the chain, div_origin + now.  Seconds shown are `clock` plus the
 * whole seconds of divider time, so setting the clock changes `clock` and
 * leaves the phase of ticks and updates alone, as on the chip.  DV = 11x holds the chain in
 * reset; the first update comes half a second after it is let go.
 *
 * Register B.SET stops the transfer to the user's registers: they are
 * frozen as plain bytes in ram[], the guest writes them, and clearing SET parses
 * them.  A write to one register with SET clear goes the same way at once.
 *
 * UIP is up during the 244 us before an update cycle and the 1984 us that it
 * takes; the new time and UF appear when it falls.
 *
 * Flags in C are set by mc146818_advance(), which looks at what the time since `seen`
 * contained: any update, any second that matches the alarm, any period
 * boundary.  mc146818_deadline() gives the first of these whose interrupt is
 * enabled and whose flag is still clear, exact to the nanosecond.
 *
 * Not done: daylight saving (B.DSE), the square wave output, the slow crystals of DV = 00x.
 */
#include "devices/hot/mc146818.h"

#include "base/bits.h"
#include "base/mem.h"

#define NS_PER_S 1000000000ull
#define UPDATE_NS 2228000ull /* 244 us + 1984 us */
#define DAY 86400

enum {
    R_SEC, R_SEC_ALARM, R_MIN, R_MIN_ALARM, R_HOUR, R_HOUR_ALARM, R_WDAY, R_DAY, R_MONTH, R_YEAR,
    R_A, R_B, R_C, R_D, R_SHUTDOWN, R_CENTURY = 0x32
};

#define A_UIP BIT(7)
#define B_24H BIT(1)
#define B_BINARY BIT(2)
#define B_UIE BIT(4)
#define B_AIE BIT(5)
#define B_PIE BIT(6)
#define B_SET BIT(7)
#define C_IRQF BIT(7)
#define C_FLAGS (B_UIE | B_AIE | B_PIE) /* UF, AF, PF sit at the same bits */
#define D_VRT BIT(7)

struct civil {
    int64_t year;
    unsigned month, day, hour, min, sec, weekday; /* weekday 0 = Sunday */
};

/* --- calendar (proleptic Gregorian; a year begins in March here, so that leap days come last) --- */

static int64_t days_from_civil(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t era = y / 400, of_era = y % 400; /* years here are 1900 and later */
    unsigned from_march = (month + 9) % 12;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
           (153 * from_march + 2) / 5 + day - 1 - 719468;
}

static void civil_from_seconds(int64_t seconds, struct civil *c)
{
    int64_t days = seconds / DAY, rest = seconds % DAY;
    int64_t era, year_of_era;
    unsigned of_era, of_year, from_march;

    if (rest < 0) {
        rest += DAY;
        days--;
    }
    c->hour = (unsigned)(rest / 3600);
    c->min = (unsigned)(rest / 60 % 60);
    c->sec = (unsigned)(rest % 60);
    c->weekday = (unsigned)(((days + 4) % 7 + 7) % 7);
    days += 719468;
    era = days / 146097;
    of_era = (unsigned)(days % 146097);
    year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    of_year = of_era - (unsigned)(365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    from_march = (5 * of_year + 2) / 153;
    c->day = of_year - (153 * from_march + 2) / 5 + 1;
    c->month = from_march < 10 ? from_march + 3 : from_march - 9;
    c->year = era * 400 + year_of_era + (c->month <= 2);
}

/* --- register formats --- */

static uint8_t to_bcd(unsigned x) { return (uint8_t)(x / 10 % 10 << 4 | x % 10); }
static unsigned from_bcd(uint8_t x) { return (x >> 4) * 10u + (x & 15); }

static uint8_t reg_encode(const struct mc146818 *r, unsigned x)
{
    return r->ram[R_B] & B_BINARY ? (uint8_t)x : to_bcd(x);
}

static unsigned reg_decode(const struct mc146818 *r, uint8_t x)
{
    return r->ram[R_B] & B_BINARY ? x : from_bcd(x);
}

static uint8_t hour_encode(const struct mc146818 *r, unsigned hour)
{
    if (r->ram[R_B] & B_24H)
        return reg_encode(r, hour);
    return reg_encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

static unsigned hour_decode(const struct mc146818 *r, uint8_t x)
{
    if (r->ram[R_B] & B_24H)
        return reg_decode(r, x);
    return reg_decode(r, x & 0x7f) % 12 + (x & 0x80 ? 12 : 0);
}

/* --- time --- */

static uint64_t div_time(const struct mc146818 *r, uint64_t now)
{
    return now + r->div_origin;
}

static int64_t clock_seconds(const struct mc146818 *r, uint64_t now)
{
    return r->clock + (r->running ? (int64_t)(div_time(r, now) / NS_PER_S) : 0);
}

/* Make ram[] show the time. */
static void clock_show(struct mc146818 *r, uint64_t now)
{
    struct civil c;

    civil_from_seconds(clock_seconds(r, now), &c);
    r->ram[R_SEC] = reg_encode(r, c.sec);
    r->ram[R_MIN] = reg_encode(r, c.min);
    r->ram[R_HOUR] = hour_encode(r, c.hour);
    r->ram[R_WDAY] = reg_encode(r, (c.weekday + r->weekday_shift) % 7 + 1);
    r->ram[R_DAY] = reg_encode(r, c.day);
    r->ram[R_MONTH] = reg_encode(r, c.month);
    r->ram[R_YEAR] = reg_encode(r, (unsigned)(c.year % 100));
    r->ram[R_CENTURY] = to_bcd((unsigned)(c.year / 100));
}

static unsigned clamp(unsigned x, unsigned low, unsigned high)
{
    return x < low ? low : x > high ? high : x;
}

/* Take the time from ram[]; values no clock can show are clamped. */
static void clock_take(struct mc146818 *r, uint64_t now)
{
    unsigned century = clamp(from_bcd(r->ram[R_CENTURY]), 19, 99);
    unsigned year = clamp(reg_decode(r, r->ram[R_YEAR]), 0, 99);
    unsigned month = clamp(reg_decode(r, r->ram[R_MONTH]), 1, 12);
    unsigned day = clamp(reg_decode(r, r->ram[R_DAY]), 1, 31);
    unsigned weekday = clamp(reg_decode(r, r->ram[R_WDAY]), 1, 7) - 1;
    int64_t seconds = days_from_civil(century * 100 + year, month, day) * DAY;
    struct civil c;

    seconds += clamp(hour_decode(r, r->ram[R_HOUR]), 0, 23) * 3600;
    seconds += clamp(reg_decode(r, r->ram[R_MIN]), 0, 59) * 60;
    seconds += clamp(reg_decode(r, r->ram[R_SEC]), 0, 59);
    civil_from_seconds(seconds, &c);
    r->weekday_shift = (uint8_t)((weekday + 7 - c.weekday) % 7);
    r->clock = 0;
    r->clock = seconds - clock_seconds(r, now);
}

/* --- alarm, update, period --- */

static bool alarm_field(uint8_t alarm, uint8_t shown)
{
    return alarm >= 0xc0 || alarm == shown;
}

/* Seconds from the time of day `from` to the next match after it, at most a day; 0 = never. */
static uint32_t alarm_delta(const struct mc146818 *r, uint32_t from)
{
    uint32_t t = from + 1, end = from + DAY;

    while (t <= end) {
        uint32_t of_day = t % DAY;

        if (!alarm_field(r->ram[R_HOUR_ALARM], hour_encode(r, of_day / 3600)))
            t += 3600 - of_day % 3600;
        else if (!alarm_field(r->ram[R_MIN_ALARM], reg_encode(r, of_day / 60 % 60)))
            t += 60 - of_day % 60;
        else if (!alarm_field(r->ram[R_SEC_ALARM], reg_encode(r, of_day % 60)))
            t++;
        else
            return t - from;
    }
    return 0;
}

static uint32_t time_of_day(int64_t seconds)
{
    return (uint32_t)((seconds % DAY + DAY) % DAY);
}

/* Period in 32768 Hz ticks; 0 = none.  Rates 1 and 2 are the same as 8 and 9. */
static uint32_t period_ticks(const struct mc146818 *r)
{
    unsigned rate = r->ram[R_A] & 15;

    if (rate == 0)
        return 0;
    return 1u << ((rate < 3 ? rate + 7 : rate) - 1);
}

static uint64_t ticks_from_div(uint64_t div)
{
    return div / NS_PER_S * 32768 + div % NS_PER_S * 32768 / NS_PER_S;
}

static uint64_t div_from_ticks(uint64_t ticks)
{
    return ticks / 32768 * NS_PER_S + (ticks % 32768 * NS_PER_S + 32767) / 32768;
}

static bool updates(const struct mc146818 *r)
{
    return r->running && !(r->ram[R_B] & B_SET);
}

static void irq_update(struct mc146818 *r)
{
    bool on = r->ram[R_C] & r->ram[R_B] & C_FLAGS;

    r->ram[R_C] = (r->ram[R_C] & C_FLAGS) | (on ? C_IRQF : 0);
    irq_line_set(&r->irq8, on);
}

void mc146818_advance(struct mc146818 *r, uint64_t now)
{
    uint64_t div = div_time(r, now), from, to;
    uint32_t period = period_ticks(r);
    uint8_t flags = 0;

    if (!r->running || div <= r->seen)
        return;
    if (period && ticks_from_div(div) / period != ticks_from_div(r->seen) / period)
        flags |= B_PIE;
    from = r->seen / NS_PER_S;
    to = div / NS_PER_S;
    if (updates(r) && to != from) {
        uint32_t delta = alarm_delta(r, time_of_day(r->clock + (int64_t)from));

        flags |= B_UIE;
        if (delta && delta <= to - from)
            flags |= B_AIE;
    }
    r->seen = div;
    if (flags & ~r->ram[R_C]) {
        r->ram[R_C] |= flags;
        irq_update(r);
    }
}

uint64_t mc146818_deadline(const struct mc146818 *r)
{
    uint8_t wanted = r->ram[R_B] & (uint8_t)~r->ram[R_C];
    uint64_t second = r->seen / NS_PER_S, best = UINT64_MAX;
    uint32_t period = period_ticks(r), delta;

    if (!r->running || r->ram[R_B] & r->ram[R_C] & C_FLAGS)
        return UINT64_MAX; /* the line is up already */
    if (wanted & B_PIE && period)
        best = div_from_ticks((ticks_from_div(r->seen) / period + 1) * period);
    if (wanted & B_UIE && updates(r))
        best = min_u64(best, (second + 1) * NS_PER_S);
    if (wanted & B_AIE && updates(r)) {
        delta = alarm_delta(r, time_of_day(r->clock + (int64_t)second));
        if (delta)
            best = min_u64(best, (second + delta) * NS_PER_S);
    }
    return best == UINT64_MAX ? best : best - r->div_origin;
}

/* --- registers --- */

static bool time_register(unsigned reg)
{
    return (reg < R_A && reg != R_SEC_ALARM && reg != R_MIN_ALARM && reg != R_HOUR_ALARM) || reg == R_CENTURY;
}

static void write_a(struct mc146818 *r, uint64_t now, uint8_t value)
{
    bool run = (value & 0x70) == 0x20;

    if (run && !r->running) {
        r->div_origin = NS_PER_S / 2 - now;
        r->seen = NS_PER_S / 2;
    } else if (!run && r->running) {
        r->clock = clock_seconds(r, now);
    }
    r->running = run;
    r->ram[R_A] = value & 0x7f;
}

static void write_b(struct mc146818 *r, uint64_t now, uint8_t value)
{
    uint8_t old = r->ram[R_B];

    if (!(old & B_SET))
        clock_show(r, now); /* in the old format: a mode change does not convert */
    if (value & B_SET)
        value &= (uint8_t)~B_UIE;
    r->ram[R_B] = value;
    if (old & B_SET && !(value & B_SET))
        clock_take(r, now);
    irq_update(r);
}

static void cmos_write(struct mc146818 *r, uint64_t now, uint8_t value)
{
    bool set = r->ram[R_B] & B_SET;

    if (time_register(r->index)) {
        if (!set)
            clock_show(r, now);
        r->ram[r->index] = value;
        if (!set)
            clock_take(r, now);
        return;
    }
    switch (r->index) {
    case R_A:
        write_a(r, now, value);
        break;
    case R_B:
        write_b(r, now, value);
        break;
    case R_C:
    case R_D:
        break; /* read only */
    default:
        r->ram[r->index] = value;
    }
}

static uint8_t read_a(const struct mc146818 *r, uint64_t now)
{
    bool uip = updates(r) && div_time(r, now) % NS_PER_S >= NS_PER_S - UPDATE_NS;

    return r->ram[R_A] | (uip ? A_UIP : 0);
}

static uint8_t cmos_read(struct mc146818 *r, uint64_t now)
{
    uint8_t value;

    if (r->index == R_A)
        return read_a(r, now);
    if (r->index == R_C) {
        value = r->ram[R_C];
        r->ram[R_C] = 0;
        irq_update(r);
        return value;
    }
    if (time_register(r->index) && !(r->ram[R_B] & B_SET))
        clock_show(r, now);
    return r->ram[r->index];
}

uint8_t mc146818_in(struct mc146818 *r, uint64_t now, unsigned reg)
{
    mc146818_advance(r, now);
    return reg ? cmos_read(r, now) : 0xff; /* the index is write-only */
}

void mc146818_out(struct mc146818 *r, uint64_t now, unsigned reg, uint8_t value)
{
    mc146818_advance(r, now);
    if (reg) {
        cmos_write(r, now, value);
    } else {
        r->index = value & 0x7f;
        r->nmi_masked = value & 0x80;
    }
}

/* The memory sizes and the checksum that firmware keeps here. */
static void cmos_defaults(struct mc146818 *r, uint64_t ram_size)
{
    uint64_t ext_kb = ram_size > 0x100000 ? (ram_size - 0x100000) >> 10 : 0;
    uint64_t above_16m = ram_size > 0x1000000 ? (ram_size - 0x1000000) >> 16 : 0;
    uint64_t high = 0; /* in 64 KiB; RAM above 4 GiB, which a board does not have */
    uint16_t sum = 0;

    r->ram[0x14] = 0x02; /* equipment: a coprocessor; no floppy, no display */
    put16(&r->ram[0x15], 640);
    put16(&r->ram[0x17], (uint16_t)min_u64(ext_kb, 0xffff));
    put16(&r->ram[0x30], (uint16_t)min_u64(ext_kb, 0xffff));
    put16(&r->ram[0x34], (uint16_t)min_u64(above_16m, 0xffff));
    if (ram_size > 0x100000000ull)
        high = (ram_size - 0x100000000ull) >> 16;
    put16(&r->ram[0x5b], (uint16_t)high);
    r->ram[0x5d] = (uint8_t)(high >> 16);
    for (unsigned i = 0x10; i < 0x2e; i++)
        sum = (uint16_t)(sum + r->ram[i]);
    r->ram[0x2e] = (uint8_t)(sum >> 8);
    r->ram[0x2f] = (uint8_t)sum;
}

void mc146818_init(struct mc146818 *r, uint64_t wallclock_ns, uint64_t ram_size, const struct irq_line *irq8)
{
    memset(r, 0, sizeof *r);
    r->irq8 = *irq8;
    r->ram[R_A] = 0x26;
    r->ram[R_B] = B_24H;
    r->ram[R_D] = D_VRT;
    r->running = true;
    r->div_origin = wallclock_ns % NS_PER_S;
    r->clock = (int64_t)(wallclock_ns / NS_PER_S);
    r->seen = r->div_origin;
    cmos_defaults(r, ram_size);
}
