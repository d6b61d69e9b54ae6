/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The console's rings over pipes; escapes as on a terminal. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/console.h"

static struct cross *x;
static int to_console, from_console;
static struct console c;

static void setup(void)
{
    int in[2], out[2];

    cr_assert(pipe(in) == 0 && pipe(out) == 0);
    x = calloc(1, sizeof *x);
    c = (struct console){.in = in[0], .out = out[1]};
    to_console = in[1];
    from_console = out[0];
    signal(SIGPIPE, SIG_IGN);
}

TestSuite(host_console, .init = setup, .timeout = 10);

static enum console_event type(const char *bytes, size_t n, bool *fed)
{
    cr_assert_eq(write(to_console, bytes, n), (ssize_t)n);
    return console_input(&c, x, fed);
}

static void expect_rx(const char *bytes, size_t n)
{
    cr_assert_eq(x->rx_head - x->rx_tail, n);
    for (size_t i = 0; i < n; i++)
        cr_expect_eq(x->rx[x->rx_tail++ % CROSS_RX_SIZE], (uint8_t)bytes[i]);
}

Test(host_console, bytes_pass_from_a_pipe)
{
    bool fed;

    cr_expect_eq(type("a\001x\003b", 5, &fed), CONSOLE_NOTHING);
    cr_expect(fed);
    expect_rx("a\001x\003b", 5);
}

Test(host_console, escapes_on_a_terminal)
{
    bool fed;

    c.raw = true;
    cr_expect_eq(type("ab\003", 3, &fed), CONSOLE_NOTHING);
    expect_rx("ab\003", 3);
    cr_expect_eq(type("\001", 1, &fed), CONSOLE_NOTHING);
    cr_expect(!fed);
    cr_expect_eq(type("\001", 1, &fed), CONSOLE_NOTHING);
    expect_rx("\001", 1);
    cr_expect_eq(type("\001s", 2, &fed), CONSOLE_STATS);
    cr_expect_eq(type("\001x", 2, &fed), CONSOLE_QUIT);
    expect_rx("", 0);
}

Test(host_console, end_of_input_only_ends_input)
{
    bool fed;

    close(to_console);
    cr_expect_eq(console_input(&c, x, &fed), CONSOLE_NOTHING);
    cr_expect(!console_wants_input(&c, x));
}

Test(host_console, a_terminal_that_hangs_up_is_gone)
{
    bool fed;

    c.raw = true;
    close(to_console);
    cr_expect_eq(console_input(&c, x, &fed), CONSOLE_GONE);
}

Test(host_console, input_waits_for_room)
{
    static char lots[CROSS_RX_SIZE + 100];
    bool fed;

    memset(lots, 'q', sizeof lots);
    x->rx_head = x->rx_tail = 0xfffffff0u; /* the indices wrap around */
    cr_assert_eq(write(to_console, lots, sizeof lots), (ssize_t)sizeof lots);
    for (int i = 0; i < 40 && console_wants_input(&c, x); i++)
        console_input(&c, x, &fed);
    cr_expect_eq(x->rx_head - x->rx_tail, CROSS_RX_SIZE);
    x->rx_tail += 100;
    cr_expect(console_wants_input(&c, x));
    console_input(&c, x, &fed);
    cr_expect_eq(x->rx_head - x->rx_tail, CROSS_RX_SIZE);
}

Test(host_console, output_in_order_across_the_end)
{
    char buf[100];

    x->tx_head = x->tx_tail = 0u - 5;
    for (int i = 0; i < 50; i++)
        x->tx[x->tx_head++ % CROSS_TX_SIZE] = (uint8_t)('A' + i);
    cr_expect_eq(console_output(&c, x, false), CONSOLE_NOTHING);
    cr_expect(!console_has_output(x));
    cr_assert_eq(read(from_console, buf, sizeof buf), 50);
    for (int i = 0; i < 50; i++)
        cr_expect_eq(buf[i], 'A' + i);
}

Test(host_console, a_slow_reader_does_not_block_us)
{
    x->tx_head = CROSS_TX_SIZE;
    cr_expect_eq(console_output(&c, x, false), CONSOLE_NOTHING);
    x->tx_head = x->tx_tail + CROSS_TX_SIZE;
    cr_expect_eq(console_output(&c, x, false), CONSOLE_NOTHING);
    cr_expect(console_has_output(x)); /* the pipe is full by now */
}

Test(host_console, a_vanished_reader_is_told_once)
{
    close(from_console);
    x->tx_head = 10;
    cr_expect_eq(console_output(&c, x, false), CONSOLE_GONE);
    cr_expect(!console_has_output(x));
    x->tx_head = 20;
    cr_expect_eq(console_output(&c, x, false), CONSOLE_NOTHING);
    cr_expect(!console_has_output(x));
}

/* The VMM may write any index: the length stays within the ring. */
Test(host_console, wild_indices)
{
    c.out = -1;
    x->tx_head = 0x80000000u;
    cr_expect_eq(console_output(&c, x, false), CONSOLE_NOTHING);
}

Test(host_console, null_serial)
{
    struct console n;

    cr_assert(console_open(&n, "null"));
    x->tx_head = 100;
    cr_expect_eq(console_output(&n, x, true), CONSOLE_NOTHING);
    cr_expect(!console_has_output(x));
    cr_expect(!console_wants_input(&n, x));
}
