/*
 * i8042 keyboard controller with nothing plugged in, ports 60h and 64h.
 *
 * World: monitor.  Owner: whoever embeds struct i8042.  Order: i8042_init()
 * first.  Errors: none.  reset() is called when the guest pulls the
 * processor's reset line; it may be called several times.
 */
#ifndef DEVICES_HOT_I8042_H
#define DEVICES_HOT_I8042_H

#include "devices/hot/irq_line.h"

struct i8042 {
    uint8_t ram[32];        /* [0] is the command byte */
    uint8_t data;           /* output buffer */
    uint8_t flags;          /* status bits that come with it: OBF, time-out, auxiliary */
    uint8_t output_port;
    uint8_t pending;        /* command that waits for its parameter, 0 = none */
    bool last_was_command;
    struct irq_line irq1, irq12;
    void (*reset)(void *opaque);
    void *opaque;
};

void i8042_init(struct i8042 *k, const struct irq_line *irq1, const struct irq_line *irq12,
                void (*reset)(void *opaque), void *opaque);
uint8_t i8042_in(struct i8042 *k, unsigned reg);    /* 0: port 60h, 1: port 64h */
void i8042_out(struct i8042 *k, unsigned reg, uint8_t value);
void i8042_set_a20(struct i8042 *k, bool on);       /* port 92h shares the line */
bool i8042_a20(const struct i8042 *k);

#endif
