/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keyboard controller (IBM AT technical reference; PS/2 additions).
 *
 * The guest meets a working controller whose two connectors are empty.
 * Commands are carried out and answered at once.  A byte sent to a device
 * comes back as FEh with the time-out bit, which is what a controller
 * reports when nobody clocks the line; the interface test of the auxiliary port says
 * "clock stuck", and its loopback test does not mark its answer as auxiliary.
 * So drivers find out in microseconds instead of waiting for time-outs.
 *
 * Two lines out of this chip matter more than keys do: bit 0 of the output port is
 * the processor's reset, bit 1 is the A20 gate.  The gate's state is kept and
 * read back, but address line 20 is always on here.
 *
 * Not done: keys and mice.
 */
#include "devices/hot/i8042.h"

#include "base/bits.h"
#include "base/mem.h"

#define STATUS_OBF BIT(0)
#define STATUS_SYS BIT(2)
#define STATUS_COMMAND BIT(3)
#define STATUS_UNLOCKED BIT(4)
#define STATUS_AUX BIT(5)
#define STATUS_TIMEOUT BIT(6)

#define CB_IRQ1 BIT(0)
#define CB_IRQ12 BIT(1)
#define CB_SYS BIT(2)
#define CB_KBD_OFF BIT(4)
#define CB_AUX_OFF BIT(5)
#define CB_TRANSLATE BIT(6)

#define OUT_NOT_RESET BIT(0)
#define OUT_A20 BIT(1)
#define OUT_KBD_OBF BIT(4)
#define OUT_AUX_OBF BIT(5)

static void irq_update(struct i8042 *k)
{
    bool full = k->flags & STATUS_OBF, aux = k->flags & STATUS_AUX;

    irq_line_set(&k->irq1, full && !aux && k->ram[0] & CB_IRQ1);
    irq_line_set(&k->irq12, full && aux && k->ram[0] & CB_IRQ12);
}

static void reply(struct i8042 *k, uint8_t data, uint8_t flags)
{
    k->data = data;
    k->flags = STATUS_OBF | flags;
    irq_update(k);
}

static void output_port(struct i8042 *k, uint8_t value)
{
    k->output_port = value;
    if (!(value & OUT_NOT_RESET))
        k->reset(k->opaque);
}

static uint8_t output_port_read(const struct i8042 *k)
{
    uint8_t obf = k->flags & STATUS_AUX ? OUT_AUX_OBF : OUT_KBD_OBF;

    return (k->output_port & (uint8_t)~(OUT_KBD_OBF | OUT_AUX_OBF)) | (k->flags & STATUS_OBF ? obf : 0);
}

/* Commands 20h-3Fh and 60h-7Fh address the controller's RAM, A7h-AEh switch the two interfaces. */
static void command_simple(struct i8042 *k, uint8_t command)
{
    switch (command) {
    case 0xa4: /* no password */
        reply(k, 0xf1, 0);
        break;
    case 0xa7:
        k->ram[0] |= CB_AUX_OFF;
        break;
    case 0xa8:
        k->ram[0] &= (uint8_t)~CB_AUX_OFF;
        break;
    case 0xa9: /* auxiliary interface test: clock line stuck low */
        reply(k, 0x01, 0);
        break;
    case 0xaa:
        k->ram[0] |= CB_SYS;
        reply(k, 0x55, 0);
        break;
    case 0xab:
        reply(k, 0x00, 0);
        break;
    case 0xad:
        k->ram[0] |= CB_KBD_OFF;
        break;
    case 0xae:
        k->ram[0] &= (uint8_t)~CB_KBD_OFF;
        break;
    case 0xc0: /* input port: keyboard not inhibited, manufacturing jumper absent */
        reply(k, 0xa0, 0);
        break;
    case 0xd0:
        reply(k, output_port_read(k), 0);
        break;
    case 0xdd:
        k->output_port &= (uint8_t)~OUT_A20;
        break;
    case 0xdf:
        k->output_port |= OUT_A20;
        break;
    case 0xe0: /* test inputs */
        reply(k, 0x00, 0);
        break;
    }
}

static void command_write(struct i8042 *k, uint8_t command)
{
    k->last_was_command = true;
    k->pending = 0;
    if ((command & 0xe0) == 0x20) {
        reply(k, k->ram[command & 31], 0);
    } else if ((command & 0xe0) == 0x60 || (command >= 0xd1 && command <= 0xd4)) {
        k->pending = command;
    } else if (command >= 0xf0) { /* pulse the low lines whose bits are clear */
        if (!(command & 1))
            k->reset(k->opaque);
    } else {
        command_simple(k, command);
    }
}

static void data_write(struct i8042 *k, uint8_t value)
{
    uint8_t command = k->pending;

    k->last_was_command = false;
    k->pending = 0;
    switch (command) {
    case 0xd1:
        output_port(k, value);
        break;
    case 0xd2: /* as if the keyboard had sent it */
    case 0xd3: /* the same for the auxiliary port, unmarked: no such port */
        reply(k, value, 0);
        break;
    case 0xd4:
        reply(k, 0xfe, STATUS_TIMEOUT | STATUS_AUX);
        break;
    case 0: /* to the keyboard, which enables its interface */
        k->ram[0] &= (uint8_t)~CB_KBD_OFF;
        reply(k, 0xfe, STATUS_TIMEOUT);
        break;
    default:
        k->ram[command & 31] = value;
        irq_update(k);
    }
}

void i8042_out(struct i8042 *k, unsigned reg, uint8_t value)
{
    if (reg)
        command_write(k, value);
    else
        data_write(k, value);
}

uint8_t i8042_in(struct i8042 *k, unsigned reg)
{
    if (reg)
        return (uint8_t)(k->flags | STATUS_UNLOCKED | (k->ram[0] & CB_SYS ? STATUS_SYS : 0) |
                         (k->last_was_command ? STATUS_COMMAND : 0));
    k->flags = 0;
    irq_update(k);
    return k->data;
}

void i8042_set_a20(struct i8042 *k, bool on)
{
    k->output_port = (uint8_t)((k->output_port & ~OUT_A20) | (on ? OUT_A20 : 0));
}

bool i8042_a20(const struct i8042 *k)
{
    return k->output_port & OUT_A20;
}

void i8042_init(struct i8042 *k, const struct irq_line *irq1, const struct irq_line *irq12,
                void (*reset)(void *opaque), void *opaque)
{
    memset(k, 0, sizeof *k);
    k->irq1 = *irq1;
    k->irq12 = *irq12;
    k->reset = reset;
    k->opaque = opaque;
    k->ram[0] = CB_TRANSLATE | CB_SYS | CB_IRQ1;
    k->output_port = 0xcf; /* reset released, A20 on, both lines to the devices idle */
}
