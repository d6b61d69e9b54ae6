/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real-time clock: calendar, formats, UIP, setting, the three interrupts, memory sizes. */
#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

#include "devices/hot/mc146818.h"

#define S 1000000000ull

static struct mc146818 rtc;
static bool level;
static unsigned edges;

static void wire_set(void *opaque, unsigned irq, bool on)
{
    (void)opaque;
    cr_assert_eq(irq, 8);
    edges += on && !level;
    level = on;
}

static void start(uint64_t wallclock_ns)
{
    struct irq_line line = { wire_set, NULL, 8 };

    level = false;
    edges = 0;
    mc146818_init(&rtc, wallclock_ns, 256ull << 20, &line);
}

static uint8_t get(uint64_t now, uint8_t reg)
{
    mc146818_out(&rtc, now, 0, reg);
    return mc146818_in(&rtc, now, 1);
}

static void put(uint64_t now, uint8_t reg, uint8_t value)
{
    mc146818_out(&rtc, now, 0, reg | 0x80);
    mc146818_out(&rtc, now, 1, value);
}

static uint8_t bcd(int x) { return (uint8_t)(x / 10 * 16 + x % 10); }

static void check_shows(uint64_t now, time_t want)
{
    struct tm tm;

    gmtime_r(&want, &tm);
    cr_assert_eq(get(now, 0), bcd(tm.tm_sec), "%s", asctime(&tm));
    cr_assert_eq(get(now, 2), bcd(tm.tm_min));
    cr_assert_eq(get(now, 4), bcd(tm.tm_hour));
    cr_assert_eq(get(now, 6), tm.tm_wday + 1);
    cr_assert_eq(get(now, 7), bcd(tm.tm_mday), "%s", asctime(&tm));
    cr_assert_eq(get(now, 8), bcd(tm.tm_mon + 1), "%s", asctime(&tm));
    cr_assert_eq(get(now, 9), bcd(tm.tm_year % 100), "%s", asctime(&tm));
    cr_assert_eq(get(now, 0x32), bcd(tm.tm_year / 100 + 19));
}

Test(devices_mc146818, calendar_agrees_with_libc)
{
    for (int64_t t = 0; t < 4102444800ll * 2; t += 86400 * 3 + 12347) {
        start((uint64_t)t * S);
        check_shows(S / 2, t);
    }
}

Test(devices_mc146818, time_passes)
{
    start(1700000000ull * S + 900000000);
    check_shows(99999999, 1700000000);
    check_shows(100000000, 1700000001);
    check_shows(86400ull * S, 1700086400);
}

Test(devices_mc146818, formats)
{
    start((1700000000ull / 86400 * 86400 + 13 * 3600) * S); /* 13:00 */
    cr_assert_eq(get(1, 0x0b), 0x02);
    cr_assert_eq(get(1, 4), 0x13);
    put(1, 0x0b, 0x06);
    cr_assert_eq(get(1, 4), 13);
    put(1, 0x0b, 0x04);
    cr_assert_eq(get(1, 4), 0x81);
    put(1, 0x0b, 0x00);
    cr_assert_eq(get(11 * 3600 * S, 4), 0x12, "midnight");
    cr_assert_eq(get(10 * 3600 * S + 11 * 60 * S, 2), 0x11);
    cr_assert_eq(get(23 * 3600 * S, 4), 0x92, "noon");
}

Test(devices_mc146818, uip_window)
{
    start(1000 * S);
    cr_assert_eq(get(S - 2228001, 0x0a), 0x26);
    cr_assert_eq(get(S - 2228000, 0x0a), 0xa6);
    cr_assert_eq(get(S - 1, 0x0a), 0xa6);
    cr_assert_eq(get(S, 0x0a), 0x26);
    put(S, 0x0b, 0x82);
    cr_assert_eq(get(2 * S - 1, 0x0a), 0x26, "no updates while SET");
}

Test(devices_mc146818, set_the_time)
{
    static const uint8_t regs[] = { 0, 2, 4, 6, 7, 8, 9, 0x32 };
    static const uint8_t values[] = { 0x58, 0x59, 0x23, 0x04, 0x28, 0x02, 0x24, 0x20 };

    start(1000 * S + S / 4);
    put(0, 0x0b, 0x82);
    for (unsigned i = 0; i < 8; i++)
        put(0, regs[i], values[i]);
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(get(5 * S, regs[i]), values[i], "frozen while SET");
    put(5 * S, 0x0b, 0x02);
    check_shows(5 * S + 1, 1709164798); /* 2024-02-28 23:59:58, a Wednesday */
}

Test(devices_mc146818, any_date_can_be_set)
{
    static const uint8_t regs[] = { 0, 2, 4, 6, 7, 8, 9, 0x32 };

    for (int64_t t = 86400 * 58; t < 4102444800ll * 2; t += 86400 * 5 + 54321) {
        time_t want = (time_t)t;
        struct tm tm;

        gmtime_r(&want, &tm);
        const int fields[] = { tm.tm_sec, tm.tm_min, tm.tm_hour, tm.tm_wday + 1, tm.tm_mday, tm.tm_mon + 1,
                               tm.tm_year % 100, tm.tm_year / 100 + 19 };
        start(0);
        put(0, 0x0b, 0x82);
        for (unsigned i = 0; i < 8; i++)
            put(0, regs[i], bcd(fields[i]));
        put(0, 0x0b, 0x02);
        check_shows(0, want);
        check_shows(40 * 86400 * S, want + 40 * 86400);
    }
}

Test(devices_mc146818, weekday_is_independent)
{
    start(1709164798ull * S); /* a Wednesday */
    cr_assert_eq(get(0, 6), 4);
    put(0, 6, 7);
    cr_assert_eq(get(0, 6), 7);
    cr_assert_eq(get(2 * S, 6), 1);
    cr_assert_eq(get(2 * S, 7), 0x29);
}

Test(devices_mc146818, divider_reset_aligns_the_second)
{
    start(1000 * S + 123);
    put(7 * S, 0x0a, 0x76);
    put(7 * S, 0, 0x30);
    cr_assert_eq(get(9 * S, 0), 0x30, "it stands");
    put(9 * S, 0x0a, 0x26);
    cr_assert_eq(get(9 * S + S / 2 - 1, 0), 0x30);
    cr_assert_eq(get(9 * S + S / 2, 0), 0x31);
}

Test(devices_mc146818, update_interrupt)
{
    start(1000 * S + S / 4);
    cr_assert_eq(mc146818_deadline(&rtc), UINT64_MAX);
    put(0, 0x0b, 0x12);
    cr_assert_eq(mc146818_deadline(&rtc), 3 * S / 4);
    mc146818_advance(&rtc, 3 * S / 4 - 1);
    cr_assert(!level);
    mc146818_advance(&rtc, 3 * S / 4);
    cr_assert(level);
    cr_assert_eq(mc146818_deadline(&rtc), UINT64_MAX, "nothing new before C is read");
    cr_assert_eq(get(S, 0x0c) & 0x90, 0x90);
    cr_assert(!level);
    cr_assert_eq(get(S, 0x0c), 0);
    cr_assert_eq(mc146818_deadline(&rtc), 7 * S / 4);
    put(S, 0x0b, 0x92);
    cr_assert_eq(get(S, 0x0b), 0x82, "SET clears UIE");
    cr_assert_eq(mc146818_deadline(&rtc), UINT64_MAX);
}

Test(devices_mc146818, periodic_interrupt_at_every_rate)
{
    for (uint8_t rate = 1; rate < 16; rate++) {
        uint64_t hz_ticks = rate < 3 ? 64u << rate : 1u << (rate - 1), n = 0, now;

        start(5000 * S);
        put(0, 0x0a, 0x20 | rate);
        put(0, 0x0b, 0x42);
        for (now = 0; n < 1000; n++) {
            uint64_t when = mc146818_deadline(&rtc);
            uint64_t tick = (n + 1) * hz_ticks;

            cr_assert_eq(when, tick / 32768 * S + (tick % 32768 * S + 32767) / 32768, "rate %u", rate);
            mc146818_advance(&rtc, when - 1);
            cr_assert(!level);
            mc146818_advance(&rtc, when);
            cr_assert(level);
            now = when;
            get(now, 0x0c);
        }
        cr_assert_eq(edges, 1000);
    }
    start(0);
    put(0, 0x0a, 0x20);
    put(0, 0x0b, 0x42);
    cr_assert_eq(mc146818_deadline(&rtc), UINT64_MAX, "rate 0 is off");
}

Test(devices_mc146818, alarm)
{
    start(86400 * 100ull * S); /* midnight */
    put(0, 1, 0x30);
    put(0, 3, 0x15);
    put(0, 5, 0x06);
    put(0, 0x0b, 0x22);
    cr_assert_eq(mc146818_deadline(&rtc), (6 * 3600 + 15 * 60 + 30) * S);
    mc146818_advance(&rtc, (6 * 3600 + 15 * 60 + 30) * S);
    cr_assert(level);
    cr_assert_eq(get(7 * 3600 * S, 0x0c) & 0xa0, 0xa0);
    cr_assert_eq(mc146818_deadline(&rtc), (86400 + 6 * 3600 + 15 * 60 + 30) * S, "and tomorrow");
    put(7 * 3600 * S, 5, 0xc0); /* any hour */
    cr_assert_eq(mc146818_deadline(&rtc), (7 * 3600 + 15 * 60 + 30) * S);
    put(7 * 3600 * S, 3, 0xff);
    cr_assert_eq(mc146818_deadline(&rtc), (7 * 3600 + 30) * S);
    put(7 * 3600 * S, 1, 0xc5);
    cr_assert_eq(mc146818_deadline(&rtc), (7 * 3600 + 1) * S);
    put(7 * 3600 * S, 1, 0x75); /* no such second */
    cr_assert_eq(mc146818_deadline(&rtc), UINT64_MAX);
    mc146818_advance(&rtc, 90 * 3600 * S);
    cr_assert_eq(get(90 * 3600 * S, 0x0c) & 0x20, 0);
}

Test(devices_mc146818, a_late_look_finds_the_alarm)
{
    start(86400 * 100ull * S);
    put(0, 1, 0x30);
    put(0, 3, 0x15);
    put(0, 5, 0x06);
    cr_assert_eq(get(22000 * S, 0x0c), 0x50, "update and period, no alarm yet, nothing enabled");
    cr_assert_eq(get(30000 * S, 0x0c), 0x70);
    put(30000 * S, 0x0b, 0x72);
    cr_assert(!level, "old flags are gone");
    cr_assert_eq(get(30001 * S, 0x0c), 0xd0);
}

Test(devices_mc146818, enabling_with_the_flag_up_interrupts)
{
    start(0);
    mc146818_advance(&rtc, S);
    cr_assert(!level);
    put(S, 0x0b, 0x12);
    cr_assert(level);
    put(S, 0x0b, 0x02);
    cr_assert(!level);
}

static uint32_t size_at(uint8_t reg) { return get(0, reg) | (uint32_t)get(0, (uint8_t)(reg + 1)) << 8; }

Test(devices_mc146818, memory_sizes)
{
    struct irq_line line = { wire_set, NULL, 8 };
    unsigned sum = 0;

    start(0);
    cr_assert_eq(size_at(0x15), 640);
    cr_assert_eq(size_at(0x17), 0xffff);
    cr_assert_eq(size_at(0x30), 0xffff);
    cr_assert_eq(size_at(0x34), 240 * 16);
    cr_assert_eq(size_at(0x5b), 0);
    cr_assert_eq(get(0, 0x5d), 0);
    cr_assert_eq(get(0, 0x10), 0, "no floppy");
    cr_assert_eq(get(0, 0x0d), 0x80);
    for (uint8_t i = 0x10; i < 0x2e; i++)
        sum += get(0, i);
    cr_assert_eq(get(0, 0x2e) << 8 | get(0, 0x2f), sum & 0xffff);
    mc146818_init(&rtc, 0, 16ull << 20, &line);
    cr_assert_eq(size_at(0x17), 15 * 1024);
    cr_assert_eq(size_at(0x34), 0);
    mc146818_init(&rtc, 0, 3ull << 30, &line);
    cr_assert_eq(size_at(0x34), 3056 * 16);
}

Test(devices_mc146818, plain_memory)
{
    start(0);
    put(0, 0x0f, 0x05);
    put(0, 0x7f, 0xaa);
    put(0, 0x0c, 0xff);
    put(0, 0x0d, 0x00);
    cr_assert_eq(get(0, 0x0f), 0x05);
    cr_assert_eq(get(0, 0xff), 0xaa, "bit 7 of the index is not part of it");
    cr_assert_eq(get(0, 0x0c), 0);
    cr_assert_eq(get(0, 0x0d), 0x80);
    cr_assert_eq(mc146818_in(&rtc, 0, 0), 0xff);
}

/* No byte that a guest can write may break the clock. */
Test(devices_mc146818, garbage)
{
    uint32_t x = 99;
    uint64_t now = 0;

    start(1700000000 * S);
    for (unsigned i = 0; i < 200000; i++) {
        x = x * 1664525 + 1013904223;
        now += x >> 4 & 0xfffff;
        put(now, x >> 24 & (i & 1 ? 0x0f : 0x3f), (uint8_t)(x >> 16));
        get(now, (uint8_t)(x >> 9));
        mc146818_deadline(&rtc);
    }
}
