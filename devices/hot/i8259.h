/*
 * The two cascaded 8259A interrupt controllers of a PC.
 *
 * World: monitor.  Units: IRQ numbers 0-15; chip 0 is the master, 1 the
 * slave.  Owner: whoever embeds struct i8259.  Order: i8259_init() first; the
 * chips ask for nothing before they have got their ICWs.  Errors: none.
 * acked() is called after an INTA or poll cycle has taken a request, with
 * the controller in a settled state, so it may move lines again.
 */
#ifndef DEVICES_HOT_I8259_H
#define DEVICES_HOT_I8259_H

#include "base/types.h"

struct i8259_chip {
    uint8_t line;           /* input levels */
    uint8_t irr;            /* requests: edge latches and level inputs */
    uint8_t isr, imr;
    uint8_t elcr;           /* level-triggered inputs */
    uint8_t base;           /* ICW2 */
    uint8_t icw1, icw3, icw4;
    uint8_t step;           /* which command word comes next, enum in i8259.c */
    uint8_t lowest;         /* input of lowest priority */
    bool rotate_aeoi, special_mask, read_isr, poll;
};

struct i8259 {
    struct i8259_chip chip[2];
    bool intr;
    void (*acked)(void *opaque, unsigned irq);
    void *opaque;
};

void i8259_init(struct i8259 *p, void (*acked)(void *opaque, unsigned irq), void *opaque);
uint8_t i8259_in(struct i8259 *p, unsigned chip, unsigned a0);
void i8259_out(struct i8259 *p, unsigned chip, unsigned a0, uint8_t value);
uint8_t i8259_elcr_in(const struct i8259 *p, unsigned chip);
void i8259_elcr_out(struct i8259 *p, unsigned chip, uint8_t value);
void i8259_set_line(struct i8259 *p, unsigned irq, bool level);
uint8_t i8259_inta(struct i8259 *p);
/* Could an input have asked just now and withdrawn?  The vector that the INTA cycle then gets; no ISR bit is set. */
bool i8259_spurious(const struct i8259 *p, uint8_t *vector);
/* No request on this input can reach the CPU until a guest writes a controller port. */
bool i8259_masked(const struct i8259 *p, unsigned irq);
/* Has the CPU taken this input's request, and not yet ended it (EOI)? */
static inline bool i8259_in_service(const struct i8259 *p, unsigned irq)
{
    return p->chip[irq >> 3].isr >> (irq & 7) & 1;
}

static inline bool i8259_intr(const struct i8259 *p) { return p->intr; }

#endif
