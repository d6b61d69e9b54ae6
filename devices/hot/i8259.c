/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 8259A pair (Intel 8259A data sheet, order number 231468).
 *
 * A chip has eight inputs.  An edge-triggered input latches a rising edge into
 * IRR; the request stays only as long as the input stays high, so a device
 * that lowers its line before the INTA cycle withdraws the request.  A
 * level-triggered input is its IRR bit.  Which is which is said by ELCR (one
 * bit an input, a later addition of the chip sets), or by ICW1.LTIM for all.
 *
 * The highest unmasked request interrupts if it ranks above everything in
 * service.  Rank is circular: `lowest` names the input of lowest rank, the
 * next one up has the highest.  Rotation moves `lowest`.  Special mask mode
 * takes masked ISR bits out of the comparison.  The special fully nested mode
 * lets the cascade input interrupt itself, so that a slave's request may nest
 * in a lower one of the same slave.
 *
 * The slave's INT drives the master's input 2.  A slave drops INT at each
 * INTA cycle and raises it again if it has more, which gives the master the
 * edge that it needs; cascade_pulse() does that.
 *
 * An INTA cycle that finds no request answers with input 7 and sets no ISR
 * bit: the spurious interrupt.  If it is the slave that finds none, the master has
 * its bit 2 in service and must get its EOI.
 *
 * Not done: 8080 mode (ICW4.uPM = 0 is taken as 8086 mode), buffered mode
 * (no meaning to software on a PC), slave identities other than the wiring.
 */
#include "devices/hot/i8259.h"

#include "base/bits.h"
#include "base/mem.h"

enum { STEP_NONE, STEP_ICW2, STEP_ICW3, STEP_ICW4, STEP_READY };

#define ICW1_IC4 BIT(0)
#define ICW1_SNGL BIT(1)
#define ICW1_LTIM BIT(3)
#define ICW1_SELECT BIT(4)
#define ICW4_AEOI BIT(1)
#define ICW4_SFNM BIT(4)
#define OCW3_SELECT BIT(3)
#define OCW3_RIS BIT(0)
#define OCW3_RR BIT(1)
#define OCW3_POLL BIT(2)
#define OCW3_SMM BIT(5)
#define OCW3_ESMM BIT(6)

#define CASCADE 2u

/* Inputs that the chip set wires to edge-triggered parts: 0, 1, 2 and 8, 13. */
static const uint8_t elcr_allowed[2] = { 0xf8, 0xde };

static uint8_t chip_level_inputs(const struct i8259_chip *c)
{
    return c->icw1 & ICW1_LTIM ? 0xff : c->elcr;
}

static void chip_set_line(struct i8259_chip *c, unsigned input, bool level)
{
    uint8_t bit = (uint8_t)BIT(input);

    if (!level) {
        c->irr &= (uint8_t)~bit;
        c->line &= (uint8_t)~bit;
        return;
    }
    if (!(c->line & bit) || chip_level_inputs(c) & bit)
        c->irr |= bit;
    c->line |= bit;
}

/* The highest ranking input in `set`, which is not empty. */
static unsigned chip_highest(const struct i8259_chip *c, uint8_t set)
{
    unsigned shift = (c->lowest + 1u) & 7;
    unsigned turned = (unsigned)(set | set << 8) >> shift & 0xff;

    return ((unsigned)__builtin_ctz(turned) + shift) & 7;
}

static unsigned chip_rank(const struct i8259_chip *c, unsigned input)
{
    return (input - c->lowest - 1u) & 7;
}

/* ISR bits that take part in priority resolution. */
static uint8_t chip_busy(const struct i8259_chip *c)
{
    return c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr;
}

/* The input that the chip asks service for, or -1. */
static int chip_request(const struct i8259_chip *c, bool master)
{
    uint8_t want = c->irr & (uint8_t)~c->imr;
    uint8_t busy = chip_busy(c);
    unsigned best, top;

    if (!want || c->step != STEP_READY)
        return -1;
    best = chip_highest(c, want);
    if (!busy)
        return (int)best;
    top = chip_highest(c, busy);
    if (chip_rank(c, best) < chip_rank(c, top))
        return (int)best;
    if (master && c->icw4 & ICW4_SFNM && best == CASCADE && top == CASCADE)
        return (int)best;
    return -1;
}

static void chip_ack(struct i8259_chip *c, unsigned input)
{
    uint8_t bit = (uint8_t)BIT(input);

    if (!(chip_level_inputs(c) & bit))
        c->irr &= (uint8_t)~bit;
    if (!(c->icw4 & ICW4_AEOI))
        c->isr |= bit;
    else if (c->rotate_aeoi)
        c->lowest = (uint8_t)input;
}

static void pair_update(struct i8259 *p)
{
    chip_set_line(&p->chip[0], CASCADE, chip_request(&p->chip[1], false) >= 0);
    p->intr = chip_request(&p->chip[0], true) >= 0;
}

static void cascade_pulse(struct i8259 *p)
{
    chip_set_line(&p->chip[0], CASCADE, false);
    pair_update(p);
}

void i8259_init(struct i8259 *p, void (*acked)(void *opaque, unsigned irq), void *opaque)
{
    memset(p, 0, sizeof *p);
    p->acked = acked;
    p->opaque = opaque;
    for (unsigned i = 0; i < 2; i++) {
        p->chip[i].lowest = 7;
        p->chip[i].step = STEP_NONE;
    }
}

void i8259_set_line(struct i8259 *p, unsigned irq, bool level)
{
    if (irq == CASCADE || irq > 15)
        return;
    chip_set_line(&p->chip[irq >> 3], irq & 7, level);
    pair_update(p);
}

bool i8259_masked(const struct i8259 *p, unsigned irq)
{
    const struct i8259_chip *m = &p->chip[0], *c = &p->chip[irq >> 3 & 1];

    if (m->step != STEP_READY || c->step != STEP_READY)
        return true;
    return c->imr >> (irq & 7) & 1 || (c != m && m->imr & BIT(CASCADE));
}

/* The slave's part of an INTA cycle: its vector; *irq is -1 if it was spurious. */
static uint8_t slave_inta(struct i8259 *p, int *irq)
{
    struct i8259_chip *s = &p->chip[1];
    int input = chip_request(s, false);

    *irq = -1;
    if (input < 0)
        return s->base | 7;
    chip_ack(s, (unsigned)input);
    *irq = 8 + input;
    return s->base | (uint8_t)input;
}

uint8_t i8259_inta(struct i8259 *p)
{
    struct i8259_chip *m = &p->chip[0];
    int irq = chip_request(m, true);
    uint8_t vector;

    if (irq < 0)
        return m->base | 7;
    chip_ack(m, (unsigned)irq);
    vector = m->base | (uint8_t)irq;
    if (irq == (int)CASCADE && !(m->icw1 & ICW1_SNGL) && m->icw3 & BIT(CASCADE))
        vector = slave_inta(p, &irq);
    cascade_pulse(p);
    if (irq >= 0)
        p->acked(p->opaque, (unsigned)irq);
    return vector;
}

bool i8259_spurious(const struct i8259 *p, uint8_t *vector)
{
    struct i8259_chip c = p->chip[0];

    c.irr = 0xff;
    *vector = c.base | 7;
    return chip_request(&c, true) >= 0;
}

/* The read after OCW3.P is an INTA cycle of this chip alone. */
static uint8_t chip_poll(struct i8259 *p, unsigned chip)
{
    struct i8259_chip *c = &p->chip[chip];
    int input = chip_request(c, chip == 0);

    c->poll = false;
    if (input < 0)
        return 7;
    chip_ack(c, (unsigned)input);
    if (chip == 1)
        cascade_pulse(p);
    else
        pair_update(p);
    p->acked(p->opaque, chip * 8 + (unsigned)input);
    return 0x80 | (uint8_t)input;
}

uint8_t i8259_in(struct i8259 *p, unsigned chip, unsigned a0)
{
    struct i8259_chip *c = &p->chip[chip & 1];

    if (c->poll)
        return chip_poll(p, chip & 1);
    if (a0)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

static void chip_icw1(struct i8259_chip *c, uint8_t value)
{
    c->icw1 = value;
    c->icw4 = 0;
    c->isr = 0;
    c->imr = 0;
    c->lowest = 7;
    c->rotate_aeoi = c->special_mask = c->read_isr = c->poll = false;
    /* The edge sense circuit is reset: an edge input must go low before it can ask again. */
    c->irr = c->line & chip_level_inputs(c);
    c->step = STEP_ICW2;
}

static void chip_ocw2(struct i8259_chip *c, uint8_t value)
{
    unsigned level = value & 7;
    bool rotate = value & 0x80, specific = value & 0x40, eoi = value & 0x20;

    if (eoi && !specific) {
        uint8_t busy = chip_busy(c);

        if (!busy)
            return;
        level = chip_highest(c, busy);
    }
    if (eoi)
        c->isr &= (uint8_t)~BIT(level);
    if (eoi || specific) {
        if (rotate) /* with SL and without EOI: "set priority" */
            c->lowest = (uint8_t)level;
    } else {
        c->rotate_aeoi = rotate;
    }
}

static void chip_ocw3(struct i8259_chip *c, uint8_t value)
{
    if (value & OCW3_ESMM)
        c->special_mask = value & OCW3_SMM;
    if (value & OCW3_RR)
        c->read_isr = value & OCW3_RIS;
    c->poll = value & OCW3_POLL;
}

static void chip_data(struct i8259_chip *c, uint8_t value)
{
    switch (c->step) {
    case STEP_ICW2:
        c->base = value & 0xf8;
        if (!(c->icw1 & ICW1_SNGL))
            c->step = STEP_ICW3;
        else
            c->step = c->icw1 & ICW1_IC4 ? STEP_ICW4 : STEP_READY;
        break;
    case STEP_ICW3:
        c->icw3 = value;
        c->step = c->icw1 & ICW1_IC4 ? STEP_ICW4 : STEP_READY;
        break;
    case STEP_ICW4:
        c->icw4 = value;
        c->step = STEP_READY;
        break;
    default:
        c->imr = value;
    }
}

void i8259_out(struct i8259 *p, unsigned chip, unsigned a0, uint8_t value)
{
    struct i8259_chip *c = &p->chip[chip & 1];

    if (a0)
        chip_data(c, value);
    else if (value & ICW1_SELECT)
        chip_icw1(c, value);
    else if (value & OCW3_SELECT)
        chip_ocw3(c, value);
    else
        chip_ocw2(c, value);
    pair_update(p);
}

uint8_t i8259_elcr_in(const struct i8259 *p, unsigned chip)
{
    return p->chip[chip & 1].elcr;
}

void i8259_elcr_out(struct i8259 *p, unsigned chip, uint8_t value)
{
    struct i8259_chip *c = &p->chip[chip & 1];

    c->elcr = value & elcr_allowed[chip & 1];
    c->irr = (c->irr & (uint8_t)~chip_level_inputs(c)) | (c->line & chip_level_inputs(c));
    pair_update(p);
}
