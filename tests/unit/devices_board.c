/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The board as software sees it: ports, interrupt routing, deadlines, calibration loops, events. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "devices/hot/board.h"

#define HZ 1193182ull
#define MS 1000000ull

static struct board *b;
static uint64_t now;
static unsigned sent;

static void serial_tx(void *opaque, uint8_t byte)
{
    (void)opaque;
    (void)byte;
    sent++;
}

static uint8_t inb(uint16_t port) { return (uint8_t)board_in(b, now, port, 1); }
static void outb(uint16_t port, uint8_t value) { board_out(b, now, port, value, 1); }

static void setup(void)
{
    struct board_config c = { .ram_size = 128 << 20, .wallclock_ns = 1700000000ull * 1000000000,
                              .serial_tx = serial_tx, .debug_exit_port = 0xf4 };

    now = 0;
    sent = 0;
    b = malloc(board_size());
    board_init(b, &c);
}

static void teardown(void) { free(b); }

/* As a PC operating system sets the pair up: vectors 30h and 38h, all masked. */
static void pic_setup(void)
{
    static const uint16_t port[] = { 0x20, 0x21, 0x21, 0x21, 0xa0, 0xa1, 0xa1, 0xa1, 0x21, 0xa1 };
    static const uint8_t value[] = { 0x11, 0x30, 0x04, 0x01, 0x11, 0x38, 0x02, 0x01, 0xfb, 0xff };

    for (unsigned i = 0; i < 10; i++)
        outb(port[i], value[i]);
}

static void unmask(unsigned irq)
{
    uint16_t port = irq < 8 ? 0x21 : 0xa1;

    outb(port, inb(port) & (uint8_t)~(1u << (irq & 7)));
}

static void mask(unsigned irq)
{
    uint16_t port = irq < 8 ? 0x21 : 0xa1;

    outb(port, inb(port) | (uint8_t)(1u << (irq & 7)));
}

static void pit_setup(uint16_t count, uint8_t control)
{
    outb(0x43, control);
    outb(0x40, (uint8_t)count);
    outb(0x40, (uint8_t)(count >> 8));
}

TestSuite(devices_board, .init = setup, .fini = teardown);

Test(devices_board, nobody_home)
{
    cr_assert_eq(inb(0x300), 0xff);
    cr_assert_eq(board_in(b, 0, 0x300, 2), 0xffff);
    cr_assert_eq(board_in(b, 0, 0x300, 4), 0xffffffff);
    board_out(b, 0, 0xcf8, 0x80000000, 4);
    cr_assert_eq(board_in(b, 0, 0xcf8, 4), 0xffffffff);
    cr_assert_eq(board_in(b, 0, 0xcfc, 4), 0xffffffff);
    cr_assert_eq(board_in(b, 0, 0xcfe, 2), 0xffff);
    cr_assert_eq(inb(0x2f8 + 5), 0xff, "one serial port only");
    outb(0x80, 0x42);
    cr_assert_eq(inb(0x80), 0x42);
    outb(0x87, 0x07);
    cr_assert_eq(inb(0x87), 0x07);
    outb(0x0b, 0x40);
    cr_assert_eq(inb(0x08), 0);
}

Test(devices_board, every_port_takes_every_size)
{
    uint32_t code;

    for (unsigned size = 1; size <= 4; size *= 2)
        for (uint32_t port = 0; port < 0x10000; port++) {
            uint32_t value = board_in(b, now, (uint16_t)port, size);

            cr_assert(size == 4 || value >> size * 8 == 0);
            board_out(b, now, (uint16_t)port, 0xdeadbeef * port, size);
            now += 1000;
            board_deadline(b);
            board_take_event(b, &code);
        }
}

Test(devices_board, byte_lanes)
{
    board_out(b, 0, 0x3ff, 0xff5a, 2); /* scratch register, then nothing */
    cr_assert_eq(board_in(b, 0, 0x3fe, 2), 0x5ab0);
}

Test(devices_board, events)
{
    uint32_t code = 1;

    cr_assert_eq(board_take_event(b, &code), BOARD_NONE);
    outb(0x64, 0xfe);
    outb(0xf4, 3);
    cr_assert_eq(board_take_event(b, &code), BOARD_RESET, "the first event counts");
    cr_assert_eq(board_take_event(b, &code), BOARD_NONE);
    board_out(b, 0, 0xf4, 0x1234, 4);
    cr_assert_eq(board_take_event(b, &code), BOARD_EXIT);
    cr_assert_eq(code, 0x1234);
    outb(0xcf9, 0x02);
    cr_assert_eq(board_take_event(b, &code), BOARD_NONE);
    outb(0xcf9, 0x06);
    cr_assert_eq(board_take_event(b, &code), BOARD_RESET);
    outb(0xcf9, 0x0e);
    cr_assert_eq(board_take_event(b, &code), BOARD_NONE, "bit 2 did not rise");
    outb(0xcf9, 0x00);
    outb(0xcf9, 0x0e);
    cr_assert_eq(board_take_event(b, &code), BOARD_RESET);
    cr_assert_eq(inb(0x92), 0x02);
    outb(0x92, 0x00);
    cr_assert_eq(inb(0x92), 0x00);
    cr_assert_eq(board_take_event(b, &code), BOARD_NONE);
    outb(0x92, 0x03);
    cr_assert_eq(board_take_event(b, &code), BOARD_RESET);
}

Test(devices_board, timer_interrupts_and_sleep)
{
    pic_setup();
    pit_setup(4772, 0x34);
    cr_assert_eq(board_deadline(b), UINT64_MAX, "masked: nobody can see it");
    unmask(0);
    for (unsigned k = 1; k <= 2500; k++) {
        uint64_t when = board_deadline(b);

        cr_assert_gt(when, now);
        now = when - 1;
        board_advance(b, now);
        cr_assert(!board_intr(b));
        now = when;
        board_advance(b, now);
        cr_assert(board_intr(b));
        cr_assert_eq(board_inta(b), 0x30);
        outb(0x20, 0x20);
        cr_assert(!board_intr(b));
    }
    cr_assert_lt(now, 2500 * 4772 * 1000000000ull / HZ + 4000);
    mask(0);
    cr_assert_eq(board_deadline(b), UINT64_MAX);
    now += 10 * MS;
    outb(0x20, 0x0a);
    cr_assert_eq(inb(0x20) & 1, 1, "IRR is up to date when read");
}

/* A handler as Linux has it for the 8259: mask, EOI, work, unmask. */
static unsigned take_ticks(void)
{
    unsigned n = 0;

    board_advance(b, now);
    while (board_intr(b)) {
        cr_assert_eq(board_inta(b), 0x30);
        mask(0);
        outb(0x20, 0x60);
        now += 50000;
        unmask(0);
        board_advance(b, now);
        n++;
    }
    return n;
}

Test(devices_board, no_tick_is_lost_to_a_busy_host)
{
    uint64_t ticks = 0;
    uint32_t x = 1;

    pic_setup();
    pit_setup(4772, 0x34);
    unmask(0);
    while (now < 60000 * MS) {
        x = x * 1664525 + 1013904223;
        now += 1000 + (x >> 24 == 0 ? 1500 * MS : (x >> 8) % (20 * MS));
        ticks += take_ticks();
    }
    cr_assert_eq(ticks, (now / 1000000000 * HZ + now % 1000000000 * HZ / 1000000000 - 1) / 4772);
}

/* The same, and the host takes the CPU away anywhere in it. */
static unsigned take_ticks_on_a_busy_host(uint64_t pause)
{
    unsigned n = 0, at = 0;

    board_advance(b, now);
    while (board_intr(b)) {
        cr_assert_eq(board_inta(b), 0x30);
        for (unsigned step = 0; step < 4; step++) {
            if (at++ % 29 == 0)
                now += pause;
            if (step == 0)
                mask(0);
            if (step == 1)
                outb(0x20, 0x60);
            if (step == 3)
                unmask(0);
        }
        now += 20000;
        board_advance(b, now);
        n++;
    }
    return n;
}

Test(devices_board, no_tick_is_lost_in_the_handler)
{
    uint64_t ticks = 0;

    pic_setup();
    pit_setup(47727, 0x34); /* 25 a second */
    unmask(0);
    for (unsigned i = 0; i < 40; i++) {
        now += 100 * MS;
        ticks += take_ticks_on_a_busy_host(i % 2 ? 251 * MS : 60 * MS);
        ticks += take_ticks();
    }
    cr_assert_gt(now, 8000 * MS);
    cr_assert_eq(ticks, (now / 1000000000 * HZ + now % 1000000000 * HZ / 1000000000 - 1) / 47727);
}

/* A handler that leaves its interrupt masked: two seconds later nobody waits for the old ticks. */
Test(devices_board, a_mask_set_in_the_handler_forgets_too)
{
    pic_setup();
    pit_setup(4772, 0x34);
    unmask(0);
    now += 5 * MS;
    board_advance(b, now);
    cr_assert_eq(board_inta(b), 0x30);
    mask(0);
    outb(0x20, 0x60);
    now += 2100 * MS;
    unmask(0);
    cr_assert_leq(take_ticks(), 1);
    /* And the next mask, not in the handler, does so as soon as any. */
    mask(0);
    now += 260 * MS;
    unmask(0);
    cr_assert_leq(take_ticks(), 1);
}

Test(devices_board, a_long_mask_forgets)
{
    pic_setup();
    pit_setup(4772, 0x34);
    unmask(0);
    take_ticks();
    mask(0);
    now += 1000 * MS;
    unmask(0);
    cr_assert_leq(take_ticks(), 1);
}

Test(devices_board, pic_reset_forgets_ticks)
{
    pic_setup();
    pit_setup(4772, 0x34);
    unmask(0);
    now += 100 * MS;
    board_advance(b, now);
    pic_setup();
    unmask(0);
    cr_assert_eq(take_ticks(), 0);
    now += 4 * MS;
    cr_assert_leq(take_ticks(), 1);
    now += 4 * MS;
    cr_assert_geq(take_ticks(), 1, "but new ones come");
}

Test(devices_board, rtc_through_the_cascade)
{
    pic_setup();
    outb(0x70, 0x0b);
    outb(0x71, 0x42); /* periodic, 1024 Hz */
    cr_assert_eq(board_deadline(b), UINT64_MAX);
    unmask(8);
    cr_assert_eq(board_deadline(b), 976563);
    now = 976563;
    board_advance(b, now);
    cr_assert_eq(board_inta(b), 0x38);
    outb(0x70, 0x0c);
    cr_assert_eq(inb(0x71) & 0xc0, 0xc0);
    outb(0xa0, 0x20);
    outb(0x20, 0x20);
    cr_assert_eq(board_deadline(b), 1953125);
    mask(2);
    cr_assert_eq(board_deadline(b), UINT64_MAX);
}

Test(devices_board, serial)
{
    pic_setup();
    unmask(4);
    outb(0x3f8 + 2, 0xc1);
    outb(0x3f8 + 4, 0x0b);
    outb(0x3f8 + 1, 0x01);
    cr_assert_eq(board_serial_rx(b, now, (const uint8_t *)"0123456789abcdefghij", 20), 16);
    cr_assert_eq(board_serial_room(b), 0);
    cr_assert_eq(board_inta(b), 0x34);
    outb(0x20, 0x20);
    for (unsigned i = 0; i < 16; i++)
        cr_assert_eq(inb(0x3f8), "0123456789abcdef"[i]);
    cr_assert_eq(board_serial_rx(b, now, (const uint8_t *)"x", 1), 1);
    cr_assert(!board_intr(b), "below the trigger");
    cr_assert_eq(board_deadline(b), 4 * 10 * 1000000000ull / 9600, "time-out at 9600 baud");
    mask(4);
    cr_assert_eq(board_deadline(b), UINT64_MAX);
    unmask(4);
    now = board_deadline(b);
    board_advance(b, now);
    cr_assert_eq(board_inta(b), 0x34);
    board_out(b, now, 0x3f8, 'A', 1);
    cr_assert_eq(sent, 1);
}

/* The ways operating systems measure their clocks against counter 2. */

Test(devices_board, calibration_by_port_61_bit_5)
{
    uint64_t begin;

    outb(0x61, (inb(0x61) & (uint8_t)~0x02) | 0x01);
    outb(0x43, 0xb0);
    outb(0x42, 59659 & 0xff); /* 50 ms */
    outb(0x42, 59659 >> 8);
    begin = now;
    while (!(inb(0x61) & 0x20))
        now += 1700;
    cr_assert(now - begin >= 50 * MS && now - begin < 50 * MS + 4000, "%lu ns", now - begin);
}

Test(devices_board, calibration_by_high_byte)
{
    uint64_t last = 0;

    outb(0x61, (inb(0x61) & (uint8_t)~0x02) | 0x01);
    outb(0x43, 0xb0);
    outb(0x42, 0xff);
    outb(0x42, 0xff);
    now += 1500;
    inb(0x42);
    inb(0x42);
    for (unsigned high = 0xff; high >= 0x80; high--) {
        unsigned seen = 0;

        for (;; seen++) {
            now += 1500;
            inb(0x42);
            now += 1500;
            if (inb(0x42) != high)
                break;
        }
        cr_assert_gt(seen, 50, "each high byte stays for 256 ticks");
        if (last && high < 0xfe)
            cr_assert(llabs((long long)(now - last) - 214550) < 7000, "%lu", now - last);
        last = now;
        if (high > 0x80) { /* the read that saw a new byte saw the next one, no other */
            inb(0x42);
            cr_assert_eq(inb(0x42), high - 1);
        }
    }
}

Test(devices_board, gate_2_stops_counting)
{
    uint8_t low;

    outb(0x61, 0x01);
    outb(0x43, 0xb0);
    outb(0x42, 0xff);
    outb(0x42, 0xff);
    now += MS;
    outb(0x61, 0x00);
    outb(0x43, 0x80);
    low = inb(0x42);
    inb(0x42);
    now += 7 * MS;
    outb(0x43, 0x80);
    cr_assert_eq(inb(0x42), low);
    inb(0x42);
    outb(0x61, 0x01);
    now += 56 * MS;
    cr_assert(inb(0x61) & 0x20);
}

Test(devices_board, refresh_bit_toggles)
{
    unsigned toggles = 0;
    uint8_t last = inb(0x61) & 0x10;

    for (now = 0; now < 100 * MS; now += 1000) {
        uint8_t bit = inb(0x61) & 0x10;

        toggles += bit != last;
        last = bit;
    }
    cr_assert(toggles > 6620 && toggles < 6640, "every 15.085 us: %u", toggles);
}

/* The NMI line is an edge: what comes while port 70h masks it waits. */
Test(devices_board, nmi_and_its_mask)
{
    cr_expect(!board_take_nmi(b));
    board_raise_nmi(b);
    cr_expect(board_take_nmi(b));
    cr_expect(!board_take_nmi(b), "once");
    outb(0x70, 0x8f);
    board_raise_nmi(b);
    cr_expect(!board_take_nmi(b));
    outb(0x70, 0x0f);
    cr_expect(board_take_nmi(b));
}

static uint64_t seed;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(seed >> 33) % n;
}

/* Values that mean something now and then: counter modes, end of interrupt, timer interrupts of the clock on and off. */
static uint8_t likely_value(uint16_t port)
{
    static const uint8_t pic[] = { 0x20, 0x60, 0x68, 0x0a, 0x0b, 0x11 }, rtc_b[] = { 0x42, 0x02, 0x12, 0x22, 0x72, 0x82 };

    if (port == 0x43)
        return (uint8_t)(rnd(4) << 6 | rnd(4) << 4 | rnd(6) << 1);
    if ((port == 0x20 || port == 0xa0) && rnd(40))
        return pic[rnd(5)];
    if (port == 0x21 || port == 0xa1)
        return rnd(3) ? (uint8_t)(rnd(256) & rnd(256) & ~4u) : 0xff;
    if (port == 0x70)
        return (uint8_t)(10 + rnd(3));
    if (port == 0x71)
        return rnd(2) ? rtc_b[rnd(6)] : (uint8_t)(0x20 | (3 + rnd(13)));
    return (uint8_t)rnd(256);
}

/*
 * When the timers are due is remembered.  A board that is made to forget it before every step, by what changes nothing, must
 * look the same to software.
 */
Test(devices_board, remembered_deadlines)
{
    static const uint16_t ports[] = { 0x20,  0x21,  0x20,  0x21,  0xa0, 0xa1, 0x40, 0x40, 0x42,
                                      0x43,  0x61,  0x70,  0x71,  0x71, 0x3f8, 0x3f9, 0x3fa, 0x3fc };
    struct board *board[2];
    unsigned taken = 0;

    for (unsigned i = 0; i < 2; i++) {
        if (i)
            setup();
        pic_setup();
        unmask(0);
        pit_setup(1193, 0x34);
        board[i] = b;
    }
    seed = 1;
    for (unsigned step = 0; step < 300000; step++) {
        uint16_t port = ports[rnd(ARRAY_SIZE(ports))];
        uint8_t value = likely_value(port), byte = (uint8_t)rnd(256);
        unsigned what = rnd(10);
        uint64_t result[2], deadline[2];

        now += rnd(4) ? rnd(3000) : rnd(3000000);
        for (unsigned i = 0; i < 2; i++) {
            b = board[i];
            if (i) {
                inb(0x61);
                board_serial_rx(b, now, &byte, 0);
            }
            board_advance(b, now);
            result[i] = board_intr(b);
            if (result[i] && what < 6)
                result[i] = board_inta(b);
            else if (what == 6)
                result[i] = board_serial_rx(b, now, &byte, 1);
            else if (what & 1)
                result[i] = inb(port);
            else
                outb(port, value);
            deadline[i] = board_deadline(b);
            taken += result[i] >= 0x30;
        }
        cr_assert(result[0] == result[1], "step %u, port %#x: %#lx %#lx", step, port, result[0], result[1]);
        cr_assert(deadline[0] == deadline[1], "step %u, port %#x: %lu %lu", step, port, deadline[0], deadline[1]);
    }
    cr_assert(taken > 10000, "%u", taken);
    free(board[0]);
}
