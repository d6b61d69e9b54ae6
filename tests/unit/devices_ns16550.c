/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The serial port: registers, interrupt ranks and their ends, FIFOs, time-out, loopback. */
#include <criterion/criterion.h>
#include <string.h>

#include "devices/hot/ns16550.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

static struct ns16550 uart;
static bool level;
static unsigned edges, sent;
static uint8_t last_sent;

static void wire_set(void *opaque, unsigned irq, bool on)
{
    (void)opaque;
    cr_assert_eq(irq, 4);
    edges += on && !level;
    level = on;
}

static void tx(void *opaque, uint8_t byte)
{
    cr_assert_eq(opaque, &sent);
    sent++;
    last_sent = byte;
}

static void setup(void)
{
    struct irq_line line = { wire_set, NULL, 4 };

    level = false;
    edges = sent = 0;
    ns16550_init(&uart, &line, tx, &sent);
}

static uint8_t in(unsigned reg) { return ns16550_in(&uart, 0, reg); }
static void out(unsigned reg, uint8_t value) { ns16550_out(&uart, 0, reg, value); }

static void setup_115200_fifo(void)
{
    setup();
    out(LCR, 0x83);
    out(DATA, 1);
    out(IER, 0);
    out(LCR, 0x03);
    out(FCR, 0x87); /* FIFOs on and clear, trigger at 8 */
    out(MCR, 0x0b);
}

Test(devices_ns16550, registers, .init = setup)
{
    cr_assert_eq(in(LSR), 0x60);
    cr_assert_eq(in(IIR), 0x01);
    cr_assert_eq(in(MSR), 0xb0);
    out(SCR, 0x5a);
    cr_assert_eq(in(SCR), 0x5a);
    out(IER, 0xff);
    cr_assert_eq(in(IER), 0x0f);
    out(MCR, 0xff);
    cr_assert_eq(in(MCR), 0x1f);
    out(LCR, 0x83);
    out(DATA, 0x34);
    out(IER, 0x12);
    cr_assert_eq(in(DATA), 0x34);
    cr_assert_eq(in(IER), 0x12);
    cr_assert_eq(sent, 0);
    out(LCR, 0x03);
    cr_assert_eq(in(IER), 0x0f);
    cr_assert_eq(in(LCR), 0x03);
}

Test(devices_ns16550, fifo_identifies_as_16550a, .init = setup)
{
    out(FCR, 0x01);
    cr_assert_eq(in(IIR), 0xc1);
    out(FCR, 0x00);
    cr_assert_eq(in(IIR), 0x01);
}

Test(devices_ns16550, transmit, .init = setup)
{
    out(MCR, 0x08);
    out(DATA, 'x');
    cr_assert_eq(sent, 1);
    cr_assert_eq(last_sent, 'x');
    cr_assert_eq(in(LSR), 0x60);
    cr_assert(!level);
    out(IER, 0x02);
    cr_assert(level, "THRE is up when the interrupt is enabled");
    cr_assert_eq(in(IIR), 0x02);
    cr_assert(!level, "reading IIR ends it");
    cr_assert_eq(in(IIR), 0x01);
    out(IER, 0x02);
    cr_assert(!level, "it was enabled already");
    out(DATA, 'y');
    cr_assert(level);
    cr_assert_eq(edges, 2);
    out(DATA, 'z');
    cr_assert(level);
    cr_assert_eq(edges, 3, "each byte makes a new edge");
    out(IER, 0x00);
    cr_assert(!level);
    out(IER, 0x02);
    cr_assert(level);
}

Test(devices_ns16550, out2_gates_the_line, .init = setup)
{
    out(IER, 0x02);
    cr_assert(!level);
    cr_assert_eq(in(IIR) & 0x0f, 0x02);
    out(DATA, 'a');
    out(MCR, 0x08);
    cr_assert(level);
    out(MCR, 0x18);
    cr_assert(!level, "loopback cuts OUT2 off");
}

Test(devices_ns16550, receive_without_fifo, .init = setup)
{
    out(MCR, 0x08);
    out(IER, 0x05);
    cr_assert_eq(ns16550_room(&uart), 1);
    ns16550_rx(&uart, 0, 'q');
    cr_assert_eq(ns16550_room(&uart), 0);
    cr_assert(level);
    cr_assert_eq(in(IIR), 0x04);
    cr_assert_eq(in(LSR), 0x61);
    ns16550_rx(&uart, 0, 'r');
    cr_assert_eq(in(IIR), 0x06, "overrun ranks first");
    cr_assert_eq(in(LSR), 0x63);
    cr_assert_eq(in(LSR), 0x61, "reading clears it");
    cr_assert_eq(in(DATA), 'r');
    cr_assert(!level);
    cr_assert_eq(in(LSR), 0x60);
}

Test(devices_ns16550, fifo_trigger_and_order, .init = setup_115200_fifo)
{
    out(IER, 0x01);
    cr_assert_eq(ns16550_room(&uart), 16);
    for (unsigned i = 0; i < 7; i++)
        ns16550_rx(&uart, 0, (uint8_t)('a' + i));
    cr_assert(!level);
    ns16550_rx(&uart, 0, 'h');
    cr_assert(level);
    cr_assert_eq(in(IIR), 0xc4);
    for (unsigned i = 8; i < 16; i++)
        ns16550_rx(&uart, 0, (uint8_t)('a' + i));
    cr_assert_eq(ns16550_room(&uart), 0);
    ns16550_rx(&uart, 0, 'X');
    cr_assert_eq(in(LSR) & 0x03, 0x03, "overrun");
    for (unsigned i = 0; i < 16; i++) {
        cr_assert_eq(level, i < 9, "at or above the trigger level");
        cr_assert_eq(in(DATA), 'a' + i);
    }
    cr_assert_eq(in(LSR), 0x60);
}

Test(devices_ns16550, timeout, .init = setup_115200_fifo)
{
    uint64_t four = 4 * 10 * 1000000000ull / 115200;

    out(IER, 0x01);
    ns16550_rx(&uart, 1000, 'a');
    cr_assert_eq(ns16550_deadline(&uart), 1000 + four);
    ns16550_rx(&uart, 2000, 'b');
    cr_assert_eq(ns16550_deadline(&uart), 2000 + four, "each byte starts it again");
    ns16550_advance(&uart, 2000 + four - 1);
    cr_assert(!level);
    ns16550_advance(&uart, 2000 + four);
    cr_assert(level);
    cr_assert_eq(ns16550_deadline(&uart), UINT64_MAX);
    cr_assert_eq(ns16550_in(&uart, 3000 + four, IIR), 0xcc);
    cr_assert_eq(ns16550_in(&uart, 3000 + four, DATA), 'a');
    cr_assert(!level);
    cr_assert_eq(ns16550_deadline(&uart), 3000 + 2 * four);
    cr_assert_eq(ns16550_in(&uart, 3000 + four, DATA), 'b');
    cr_assert_eq(ns16550_deadline(&uart), UINT64_MAX, "nothing left to wait for");
}

Test(devices_ns16550, timeout_wakes_nobody_when_disabled, .init = setup_115200_fifo)
{
    ns16550_rx(&uart, 1000, 'a');
    cr_assert_eq(ns16550_deadline(&uart), UINT64_MAX);
    ns16550_out(&uart, 10000000, IER, 0x01);
    cr_assert(level, "it has run out meanwhile");
    cr_assert_eq(ns16550_in(&uart, 10000000, IIR), 0xcc);
    ns16550_out(&uart, 10000000, FCR, 0x83);
    cr_assert(!level);
    cr_assert_eq(ns16550_room(&uart), 16, "FCR emptied the FIFO");
}

Test(devices_ns16550, ranks, .init = setup_115200_fifo)
{
    out(IER, 0x0f);
    out(MCR, 0x1b);  /* loopback: CTS, DSR, DCD stay, as RTS, DTR, OUT2 are set */
    in(MSR);
    out(MCR, 0x19);  /* CTS goes */
    out(MCR, 0x09);  /* back to the line: CTS again */
    for (unsigned i = 0; i < 17; i++)
        ns16550_rx(&uart, 0, 0);
    cr_assert_eq(in(IIR), 0xc6);
    in(LSR);
    cr_assert_eq(in(IIR), 0xc4);
    for (unsigned i = 0; i < 9; i++)
        in(DATA);
    ns16550_advance(&uart, 1000000000);
    cr_assert_eq(ns16550_in(&uart, 1000000000, IIR), 0xcc);
    for (unsigned i = 0; i < 7; i++)
        ns16550_in(&uart, 1000000000, DATA);
    cr_assert_eq(ns16550_in(&uart, 1000000000, IIR), 0xc2);
    cr_assert_eq(ns16550_in(&uart, 1000000000, IIR), 0xc0);
    cr_assert(level);
    cr_assert_eq(ns16550_in(&uart, 1000000000, MSR) & 0x0f, 0x01);
    cr_assert_eq(ns16550_in(&uart, 1000000000, IIR), 0xc1);
    cr_assert(!level);
}

Test(devices_ns16550, loopback, .init = setup)
{
    out(MCR, 0x10);
    in(MSR);
    cr_assert_eq(in(MSR), 0x00);
    out(MCR, 0x1a);
    cr_assert_eq(in(MSR), 0x99, "RTS to CTS, OUT2 to DCD, with deltas");
    out(MCR, 0x14);
    cr_assert_eq(in(MSR) & 0xf4, 0x40, "RI rose: no trailing edge yet");
    out(MCR, 0x10);
    cr_assert_eq(in(MSR) & 0xf4, 0x04);
    out(DATA, 0xa5);
    cr_assert_eq(sent, 0, "nothing leaves");
    cr_assert_eq(in(LSR), 0x61);
    cr_assert_eq(in(DATA), 0xa5);
    out(LCR, 0x00); /* five bits */
    out(DATA, 0xff);
    cr_assert_eq(in(DATA), 0x1f);
    ns16550_rx(&uart, 0, 'x');
    cr_assert_eq(in(LSR), 0x60, "the pin is cut off");
    cr_assert_eq(ns16550_room(&uart), 0);
}

Test(devices_ns16550, toggling_the_fifo_empties_it, .init = setup_115200_fifo)
{
    ns16550_rx(&uart, 0, 'x');
    out(FCR, 0x00);
    cr_assert_eq(in(LSR), 0x60);
    ns16550_rx(&uart, 0, 'y');
    out(FCR, 0x01);
    cr_assert_eq(in(LSR), 0x60);
}
