/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8259 pair: priorities, rotation, cascade, EOI forms, special modes, spurious interrupts. */
#include <criterion/criterion.h>

#include "devices/hot/i8259.h"

static struct i8259 pic;
static unsigned acks[16];

static void acked(void *opaque, unsigned irq)
{
    (void)opaque;
    acks[irq]++;
}

static void chip_setup(unsigned chip, uint8_t icw1, uint8_t icw4)
{
    i8259_out(&pic, chip, 0, icw1);
    i8259_out(&pic, chip, 1, chip ? 0x28 : 0x20);
    if (!(icw1 & 2))
        i8259_out(&pic, chip, 1, chip ? 2 : 4);
    if (icw1 & 1)
        i8259_out(&pic, chip, 1, icw4);
}

static void setup(void)
{
    i8259_init(&pic, acked, NULL);
    chip_setup(0, 0x11, 1);
    chip_setup(1, 0x11, 1);
}

static void line(unsigned irq, bool level) { i8259_set_line(&pic, irq, level); }
static void edge(unsigned irq) { line(irq, false); line(irq, true); }
static void eoi(unsigned chip) { i8259_out(&pic, chip, 0, 0x20); }

static uint8_t irr(unsigned chip)
{
    i8259_out(&pic, chip, 0, 0x0a);
    return i8259_in(&pic, chip, 0);
}

static uint8_t isr(unsigned chip)
{
    i8259_out(&pic, chip, 0, 0x0b);
    return i8259_in(&pic, chip, 0);
}

Test(devices_i8259, silent_before_icws)
{
    i8259_init(&pic, acked, NULL);
    edge(0);
    cr_assert(!i8259_intr(&pic));
    cr_assert(i8259_masked(&pic, 0));
    i8259_out(&pic, 0, 0, 0x11);
    i8259_out(&pic, 0, 1, 0x20);
    i8259_out(&pic, 0, 1, 0x04);
    edge(0);
    cr_assert(!i8259_intr(&pic), "ICW4 is still to come");
    i8259_out(&pic, 0, 1, 0x01);
    cr_assert(i8259_intr(&pic));
}

Test(devices_i8259, icw1_forgets_edges, .init = setup)
{
    edge(3);
    i8259_out(&pic, 0, 1, 0xff);
    chip_setup(0, 0x11, 1);
    cr_assert_eq(i8259_in(&pic, 0, 1), 0, "IMR is cleared");
    cr_assert(!i8259_intr(&pic));
    line(3, true);
    cr_assert(!i8259_intr(&pic), "the line did not move");
    edge(3);
    cr_assert(i8259_intr(&pic));
}

Test(devices_i8259, nesting, .init = setup)
{
    edge(4);
    cr_assert_eq(i8259_inta(&pic), 0x24);
    cr_assert_eq(acks[4], 1);
    edge(5);
    cr_assert(!i8259_intr(&pic), "lower than what is in service");
    edge(4);
    cr_assert(!i8259_intr(&pic), "nor the same");
    edge(1);
    cr_assert_eq(i8259_inta(&pic), 0x21);
    cr_assert_eq(isr(0), 0x12);
    eoi(0);
    cr_assert_eq(isr(0), 0x10, "the highest in service ends first");
    cr_assert(!i8259_intr(&pic));
    i8259_out(&pic, 0, 0, 0x64); /* specific EOI 4 */
    cr_assert_eq(i8259_inta(&pic), 0x24);
    eoi(0);
    cr_assert_eq(i8259_inta(&pic), 0x25);
}

Test(devices_i8259, edge_withdrawn, .init = setup)
{
    line(6, true);
    cr_assert(i8259_intr(&pic));
    line(6, false);
    cr_assert(!i8259_intr(&pic));
    cr_assert_eq(i8259_inta(&pic), 0x27, "spurious");
    cr_assert_eq(isr(0), 0, "which is not in service");
    line(7, true);
    cr_assert_eq(i8259_inta(&pic), 0x27);
    cr_assert_eq(isr(0), 0x80, "the real one is");
}

Test(devices_i8259, edge_taken_once, .init = setup)
{
    line(6, true);
    i8259_inta(&pic);
    eoi(0);
    cr_assert(!i8259_intr(&pic));
    line(6, true);
    cr_assert(!i8259_intr(&pic));
}

Test(devices_i8259, level_asks_until_dropped, .init = setup)
{
    i8259_elcr_out(&pic, 0, 0xff);
    i8259_elcr_out(&pic, 1, 0xff);
    cr_assert_eq(i8259_elcr_in(&pic, 0), 0xf8);
    cr_assert_eq(i8259_elcr_in(&pic, 1), 0xde);
    line(5, true);
    cr_assert_eq(i8259_inta(&pic), 0x25);
    eoi(0);
    cr_assert(i8259_intr(&pic));
    i8259_inta(&pic);
    line(5, false);
    eoi(0);
    cr_assert(!i8259_intr(&pic));
    edge(0);
    i8259_inta(&pic);
    eoi(0);
    cr_assert(!i8259_intr(&pic), "IRQ 0 stays edge-triggered");
}

Test(devices_i8259, ltim_makes_all_level)
{
    i8259_init(&pic, acked, NULL);
    chip_setup(0, 0x19, 1);
    chip_setup(1, 0x19, 1);
    line(0, true);
    i8259_inta(&pic);
    eoi(0);
    cr_assert(i8259_intr(&pic));
    line(0, false);
    line(10, true);
    cr_assert_eq(i8259_inta(&pic), 0x2a);
    eoi(1);
    eoi(0);
    cr_assert_eq(i8259_inta(&pic), 0x2a);
}

Test(devices_i8259, cascade, .init = setup)
{
    edge(12);
    edge(8);
    cr_assert_eq(irr(0), 0x04);
    cr_assert_eq(irr(1), 0x11);
    cr_assert_eq(i8259_inta(&pic), 0x28);
    cr_assert_eq(acks[8], 1);
    cr_assert_eq(acks[2], 0);
    cr_assert_eq(isr(0), 0x04);
    cr_assert_eq(isr(1), 0x01);
    cr_assert(!i8259_intr(&pic));
    eoi(1);
    cr_assert(!i8259_intr(&pic), "the master still has the slave in service");
    eoi(0);
    cr_assert_eq(i8259_inta(&pic), 0x2c);
    edge(1);
    cr_assert_eq(i8259_inta(&pic), 0x21, "the slave ranks as input 2");
    edge(3);
    eoi(0);
    cr_assert(!i8259_intr(&pic));
}

Test(devices_i8259, more_slave_requests_than_edges, .init = setup)
{
    for (unsigned irq = 8; irq < 16; irq++)
        line(irq, true);
    for (unsigned irq = 8; irq < 16; irq++) {
        cr_assert(i8259_intr(&pic));
        cr_assert_eq(i8259_inta(&pic), 0x20 + irq);
        eoi(1);
        eoi(0);
    }
    cr_assert(!i8259_intr(&pic));
}

/* A slave that keeps asking must still give the master an edge for each. */
Test(devices_i8259, slave_with_automatic_eoi)
{
    i8259_init(&pic, acked, NULL);
    chip_setup(0, 0x11, 1);
    chip_setup(1, 0x11, 3);
    line(9, true);
    line(11, true);
    cr_assert_eq(i8259_inta(&pic), 0x29);
    eoi(0);
    cr_assert(i8259_intr(&pic));
    cr_assert_eq(i8259_inta(&pic), 0x2b);
    eoi(0);
    cr_assert(!i8259_intr(&pic));
}

Test(devices_i8259, spurious_slave, .init = setup)
{
    /* The slave's request vanishes between the two chips; no port access gets there. */
    edge(12);
    pic.chip[1].irr = 0;
    cr_assert_eq(i8259_inta(&pic), 0x2f);
    cr_assert_eq(isr(1), 0);
    cr_assert_eq(isr(0), 0x04, "the master needs an EOI");
    for (unsigned irq = 0; irq < 16; irq++)
        cr_assert_eq(acks[irq], 0);
}

Test(devices_i8259, masks, .init = setup)
{
    i8259_out(&pic, 0, 1, 0x10);
    edge(4);
    cr_assert(!i8259_intr(&pic));
    cr_assert(i8259_masked(&pic, 4) && !i8259_masked(&pic, 5));
    cr_assert_eq(irr(0), 0x10, "a masked request is latched");
    i8259_out(&pic, 0, 1, 0x04);
    cr_assert_eq(i8259_inta(&pic), 0x24);
    eoi(0);
    edge(8);
    cr_assert(!i8259_intr(&pic));
    cr_assert(i8259_masked(&pic, 8), "behind the masked cascade input");
    i8259_out(&pic, 0, 1, 0);
    cr_assert(i8259_intr(&pic));
    i8259_out(&pic, 1, 1, 0x01);
    cr_assert(!i8259_intr(&pic));
}

Test(devices_i8259, rotation, .init = setup)
{
    edge(3);
    i8259_inta(&pic);
    i8259_out(&pic, 0, 0, 0xa0); /* rotate on non-specific EOI: 3 is lowest, 4 highest */
    edge(0);
    edge(3);
    edge(6);
    cr_assert_eq(i8259_inta(&pic), 0x26);
    eoi(0);
    cr_assert_eq(i8259_inta(&pic), 0x20);
    eoi(0);
    cr_assert_eq(i8259_inta(&pic), 0x23);
    i8259_out(&pic, 0, 0, 0xe3); /* rotate on specific EOI 3 */
    i8259_out(&pic, 0, 0, 0xc5); /* set priority: 5 lowest, 6 highest */
    edge(5);
    edge(7);
    cr_assert_eq(i8259_inta(&pic), 0x27);
    eoi(0);
    cr_assert_eq(i8259_inta(&pic), 0x25);
}

Test(devices_i8259, automatic_eoi)
{
    i8259_init(&pic, acked, NULL);
    chip_setup(0, 0x11, 3);
    chip_setup(1, 0x11, 1);
    edge(5);
    edge(2 + 4);
    cr_assert_eq(i8259_inta(&pic), 0x25);
    cr_assert_eq(isr(0), 0);
    cr_assert_eq(i8259_inta(&pic), 0x26);
    i8259_out(&pic, 0, 0, 0x80); /* rotate in automatic EOI mode */
    edge(3);
    i8259_inta(&pic);
    edge(3);
    edge(4);
    cr_assert_eq(i8259_inta(&pic), 0x24, "3 has become the lowest");
    i8259_out(&pic, 0, 0, 0x00);
    cr_assert_eq(i8259_inta(&pic), 0x23);
    edge(4);
    edge(5);
    cr_assert_eq(i8259_inta(&pic), 0x25, "4 was the last to rotate");
}

Test(devices_i8259, special_mask, .init = setup)
{
    edge(2 + 1);
    i8259_inta(&pic);
    edge(6);
    cr_assert(!i8259_intr(&pic));
    i8259_out(&pic, 0, 1, 0x08);
    i8259_out(&pic, 0, 0, 0x68);
    cr_assert_eq(i8259_inta(&pic), 0x26, "3 is masked and lets others through");
    eoi(0);
    cr_assert_eq(isr(0), 0x08, "a non-specific EOI passes over masked bits");
    i8259_out(&pic, 0, 0, 0x48);
    edge(6);
    cr_assert(!i8259_intr(&pic));
    eoi(0);
    cr_assert_eq(isr(0), 0);
}

Test(devices_i8259, special_fully_nested)
{
    i8259_init(&pic, acked, NULL);
    chip_setup(0, 0x11, 0x11);
    chip_setup(1, 0x11, 1);
    edge(12);
    cr_assert_eq(i8259_inta(&pic), 0x2c);
    edge(13);
    cr_assert(!i8259_intr(&pic));
    edge(9);
    cr_assert_eq(i8259_inta(&pic), 0x29, "a higher one of the same slave nests");
    edge(3);
    cr_assert(!i8259_intr(&pic), "lower inputs of the master do not");
    eoi(1);
    eoi(1);
    cr_assert(i8259_intr(&pic), "13 now nests in the master's input 2");
}

Test(devices_i8259, poll, .init = setup)
{
    i8259_out(&pic, 0, 0, 0x0c);
    cr_assert_eq(i8259_in(&pic, 0, 0) & 0x80, 0);
    edge(9);
    i8259_out(&pic, 0, 0, 0x0c);
    cr_assert_eq(i8259_in(&pic, 0, 0), 0x82);
    cr_assert_eq(isr(0), 0x04);
    i8259_out(&pic, 1, 0, 0x0c);
    cr_assert_eq(i8259_in(&pic, 1, 0), 0x81);
    cr_assert_eq(i8259_in(&pic, 1, 0), 0x00, "one read only, then IRR again");
    cr_assert_eq(acks[9], 1);
    cr_assert_eq(isr(1), 0x02);
    cr_assert_eq(irr(0), 0);
}

Test(devices_i8259, reads_keep_their_register, .init = setup)
{
    edge(1);
    i8259_inta(&pic);
    edge(5);
    i8259_out(&pic, 0, 0, 0x0b);
    cr_assert_eq(i8259_in(&pic, 0, 0), 0x02);
    cr_assert_eq(i8259_in(&pic, 0, 0), 0x02);
    i8259_out(&pic, 0, 0, 0x08);
    cr_assert_eq(i8259_in(&pic, 0, 0), 0x02, "RR = 0 changes nothing");
    i8259_out(&pic, 0, 0, 0x0a);
    cr_assert_eq(i8259_in(&pic, 0, 0), 0x20);
    i8259_out(&pic, 0, 1, 0xfb);
    cr_assert_eq(i8259_in(&pic, 0, 1), 0xfb);
}

Test(devices_i8259, single_mode_has_no_slave)
{
    i8259_init(&pic, acked, NULL);
    chip_setup(0, 0x13, 1);
    chip_setup(1, 0x11, 1);
    edge(8);
    cr_assert_eq(i8259_inta(&pic), 0x22);
}

/* Whatever is written and wired: no vector from nowhere, and EOIs bring the pair back to rest. */
Test(devices_i8259, random_traffic_settles)
{
    uint32_t x = 12345;

    for (unsigned round = 0; round < 3000; round++) {
        setup();
        for (unsigned i = 0; i < 60; i++) {
            x = x * 1664525 + 1013904223;
            switch (x >> 28) {
            case 0:
                i8259_out(&pic, x >> 27 & 1, 1, (uint8_t)(x >> 8));
                break;
            case 1:
                i8259_out(&pic, x >> 27 & 1, 0, (uint8_t)(x >> 8) & 0xe7);
                break;
            case 2:
                i8259_out(&pic, x >> 27 & 1, 0, ((uint8_t)(x >> 8) & 0x63) | 8);
                break;
            case 3:
            case 4:
                if (i8259_intr(&pic)) {
                    uint8_t vector = i8259_inta(&pic);

                    cr_assert(vector >= 0x20 && vector < 0x30 && vector != 0x22);
                }
                break;
            default:
                line(x >> 12 & 15, x >> 11 & 1);
            }
        }
        i8259_out(&pic, 0, 0, 0x48);
        i8259_out(&pic, 1, 0, 0x48);
        for (unsigned i = 0; i < 8; i++) {
            eoi(0);
            eoi(1);
        }
        cr_assert_eq(isr(0) | isr(1), 0);
        i8259_out(&pic, 0, 1, 0);
        i8259_out(&pic, 1, 1, 0);
        for (unsigned irq = 0; irq < 16; irq++)
            line(irq, false);
        cr_assert(!i8259_intr(&pic));
    }
}

/* A spurious interrupt is possible while an unmasked input would outrank what is in service. */
Test(devices_i8259, spurious_when_an_input_could_ask)
{
    uint8_t vector = 0;

    i8259_init(&pic, acked, NULL);
    cr_expect(!i8259_spurious(&pic, &vector), "no ICWs yet");
    setup();
    cr_expect(i8259_spurious(&pic, &vector));
    cr_expect_eq(vector, 0x27);
    cr_expect(!i8259_intr(&pic) && isr(0) == 0 && irr(0) == 0, "asking has changed nothing");
    i8259_out(&pic, 0, 1, 0xff);
    cr_expect(!i8259_spurious(&pic, &vector), "all masked");
    i8259_out(&pic, 0, 1, 0xef);
    cr_expect(i8259_spurious(&pic, &vector));
    edge(4);
    cr_assert_eq(i8259_inta(&pic), 0x24);
    cr_expect(!i8259_spurious(&pic, &vector), "its own rank is in service");
    i8259_out(&pic, 0, 1, 0xeb);
    cr_expect(i8259_spurious(&pic, &vector), "a higher one could ask");
    eoi(0);
    i8259_out(&pic, 0, 1, 0xef);
    cr_expect(i8259_spurious(&pic, &vector));
}
