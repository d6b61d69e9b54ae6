/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keyboard controller with nothing attached. */
#include <criterion/criterion.h>
#include <string.h>

#include "devices/hot/i8042.h"

static struct i8042 kbc;
static bool level[16];
static unsigned resets;

static void wire_set(void *opaque, unsigned irq, bool on)
{
    (void)opaque;
    level[irq] = on;
}

static void reset(void *opaque)
{
    cr_assert_eq(opaque, &resets);
    resets++;
}

static void setup(void)
{
    struct irq_line irq1 = { wire_set, NULL, 1 }, irq12 = { wire_set, NULL, 12 };

    memset(level, 0, sizeof level);
    resets = 0;
    i8042_init(&kbc, &irq1, &irq12, reset, &resets);
}

static uint8_t status(void) { return i8042_in(&kbc, 1); }
static void command(uint8_t c) { i8042_out(&kbc, 1, c); }
static void data(uint8_t d) { i8042_out(&kbc, 0, d); }

static uint8_t answer(uint8_t want_status)
{
    cr_assert_eq(status() & 0x61, want_status);
    return i8042_in(&kbc, 0);
}

Test(devices_i8042, self_test, .init = setup)
{
    cr_assert_eq(status() & 0x11, 0x10, "empty and not locked");
    command(0xaa);
    cr_assert_eq(status() & 0x08, 0x08);
    cr_assert_eq(answer(0x01), 0x55);
    cr_assert_eq(status() & 0x01, 0);
    command(0xab);
    cr_assert_eq(answer(0x01), 0x00);
}

Test(devices_i8042, command_byte, .init = setup)
{
    command(0x60);
    data(0x74);
    command(0x20);
    cr_assert_eq(answer(0x01), 0x74);
    command(0xa7);
    command(0x20);
    cr_assert_eq(i8042_in(&kbc, 0) & 0x20, 0x20);
    command(0xa8);
    command(0xae);
    command(0x20);
    cr_assert_eq(i8042_in(&kbc, 0) & 0x30, 0x00);
    command(0x7f);
    data(0x99);
    command(0x3f);
    cr_assert_eq(answer(0x01), 0x99);
}

Test(devices_i8042, no_keyboard, .init = setup)
{
    command(0x60);
    data(0x41);
    data(0xf2);
    cr_assert(level[1]);
    cr_assert_eq(answer(0x41), 0xfe, "time-out, at once");
    cr_assert(!level[1]);
    command(0x60);
    data(0x40);
    data(0xff);
    cr_assert(!level[1]);
    cr_assert_eq(answer(0x41), 0xfe);
}

Test(devices_i8042, no_auxiliary_port, .init = setup)
{
    command(0xd3);
    data(0x5a);
    cr_assert_eq(answer(0x01), 0x5a, "not marked as auxiliary");
    command(0xa9);
    cr_assert_eq(answer(0x01), 0x01);
    command(0x60);
    data(0x42);
    command(0xd4);
    data(0xf2);
    cr_assert(level[12] && !level[1]);
    cr_assert_eq(answer(0x61), 0xfe);
    cr_assert(!level[12]);
}

Test(devices_i8042, output_port, .init = setup)
{
    command(0xd0);
    cr_assert_eq(i8042_in(&kbc, 0) & 0x03, 0x03);
    command(0xd1);
    data(0xdd);
    cr_assert(!i8042_a20(&kbc));
    command(0xd1);
    data(0xdf);
    cr_assert(i8042_a20(&kbc));
    command(0xdd);
    cr_assert(!i8042_a20(&kbc));
    command(0xdf);
    cr_assert(i8042_a20(&kbc));
    cr_assert_eq(resets, 0);
    command(0xd1);
    data(0xfe);
    cr_assert_eq(resets, 1);
}

Test(devices_i8042, pulse, .init = setup)
{
    command(0xff);
    command(0xf1);
    cr_assert_eq(resets, 0);
    command(0xfe);
    cr_assert_eq(resets, 1);
    command(0xf0);
    cr_assert_eq(resets, 2);
}

Test(devices_i8042, every_byte_is_harmless, .init = setup)
{
    for (unsigned c = 0; c < 256; c++)
        for (unsigned d = 0; d < 256; d++) {
            command((uint8_t)c);
            data((uint8_t)d);
            i8042_in(&kbc, 0);
            cr_assert_eq(status() & 0x61, 0);
            cr_assert(!level[1] && !level[12]);
        }
}
