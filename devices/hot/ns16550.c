/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The NS16550A (National Semiconductor data sheet PC16550D).
 *
 * Bytes move at once: a byte written to THR is out before the OUT
 * instruction ends, so THRE and TEMT are always up, and the THRE interrupt is
 * requested again by each write.  Received bytes arrive as the host has them,
 * never more than fit.  The one thing that takes time is the character
 * time-out: with FIFOs on, bytes below the trigger level interrupt after four
 * character times without a byte coming or going.
 *
 * Interrupt sources by rank: receiver line status, received data (at the trigger level),
 * character time-out, THRE, modem status.  IIR shows the highest; reading IIR
 * clears THRE if that is what it shows.  The output goes to the PC's interrupt
 * line through a gate that MCR.OUT2 opens; in loopback OUT2 is cut off.
 *
 * A THR write drops the THRE source before raising it again, so that the edge-triggered
 * interrupt controller sees a new edge.
 *
 * Not done: break and framing (the line has none), automatic flow control
 * (a 16550A has none).
 */
#include "devices/hot/ns16550.h"

#include "base/bits.h"
#include "base/mem.h"

enum { R_DATA, R_IER, R_IIR_FCR, R_LCR, R_MCR, R_LSR, R_MSR, R_SCR };

#define IER_ERBFI BIT(0)
#define IER_ETBEI BIT(1)
#define IER_ELSI BIT(2)
#define IER_EDSSI BIT(3)
#define IIR_NONE 0x01
#define IIR_MODEM 0x00
#define IIR_THRE 0x02
#define IIR_DATA 0x04
#define IIR_LINE 0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFOS 0xc0
#define FCR_ENABLE BIT(0)
#define FCR_CLEAR_RX BIT(1)
#define LCR_DLAB BIT(7)
#define MCR_DTR BIT(0)
#define MCR_RTS BIT(1)
#define MCR_OUT1 BIT(2)
#define MCR_OUT2 BIT(3)
#define MCR_LOOP BIT(4)
#define LSR_DR BIT(0)
#define LSR_OE BIT(1)
#define LSR_ERRORS 0x1e
#define LSR_THRE BIT(5)
#define LSR_TEMT BIT(6)
#define MSR_TERI BIT(2)
#define MSR_DELTAS 0x0f
#define MSR_CTS BIT(4)
#define MSR_DSR BIT(5)
#define MSR_RI BIT(6)
#define MSR_DCD BIT(7)

#define CLOCK_HZ 1843200u

static bool fifo_on(const struct ns16550 *u)
{
    return u->fcr & FCR_ENABLE;
}

static unsigned fifo_trigger(const struct ns16550 *u)
{
    static const uint8_t level[4] = { 1, 4, 8, 14 };

    return fifo_on(u) ? level[u->fcr >> 6] : 1;
}

static uint8_t iir_source(const struct ns16550 *u)
{
    if (u->ier & IER_ELSI && u->lsr & LSR_ERRORS)
        return IIR_LINE;
    if (u->ier & IER_ERBFI && u->used >= fifo_trigger(u))
        return IIR_DATA;
    if (u->ier & IER_ERBFI && u->timeout_int)
        return IIR_TIMEOUT;
    if (u->ier & IER_ETBEI && u->thre_int)
        return IIR_THRE;
    if (u->ier & IER_EDSSI && u->msr & MSR_DELTAS)
        return IIR_MODEM;
    return IIR_NONE;
}

static void irq_update(struct ns16550 *u)
{
    bool gate = (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

    irq_line_set(&u->irq, gate && iir_source(u) != IIR_NONE);
}

/* Start, bits, parity, stop: the time of four characters. */
static uint64_t timeout_ns(const struct ns16550 *u)
{
    uint64_t bits = 1 + 5 + (u->lcr & 3) + (u->lcr >> 3 & 1) + 1 + (u->lcr >> 2 & 1);
    uint64_t divisor = u->divisor ? u->divisor : 65536;

    return 4 * bits * divisor * 16 * 1000000000ull / CLOCK_HZ;
}

/* A byte came or went: the time-out counts anew. */
static void timeout_restart(struct ns16550 *u, uint64_t now)
{
    bool counts = fifo_on(u) && u->used;

    u->timeout_int = false;
    u->timeout_at = counts ? now + timeout_ns(u) : UINT64_MAX;
}

static void fifo_clear(struct ns16550 *u)
{
    u->head = u->used = 0;
    u->lsr &= (uint8_t)~LSR_DR;
    u->timeout_int = false;
    u->timeout_at = UINT64_MAX;
}

static void fifo_push(struct ns16550 *u, uint64_t now, uint8_t byte)
{
    if (u->used >= (fifo_on(u) ? NS16550_FIFO : 1)) {
        u->lsr |= LSR_OE;
        if (!fifo_on(u)) /* the new byte replaces the old one; a full FIFO keeps its bytes */
            u->fifo[u->head] = byte;
        return;
    }
    u->fifo[(u->head + u->used) % NS16550_FIFO] = byte;
    u->used++;
    u->lsr |= LSR_DR;
    timeout_restart(u, now);
}

static uint8_t fifo_pop(struct ns16550 *u, uint64_t now)
{
    uint8_t byte = u->fifo[u->head];

    if (u->used) {
        u->head = (u->head + 1) % NS16550_FIFO;
        u->used--;
        if (!u->used)
            u->lsr &= (uint8_t)~LSR_DR;
        timeout_restart(u, now);
    }
    return byte;
}

/* The modem inputs: another machine that is always there, or the own outputs in loopback. */
static void modem_update(struct ns16550 *u)
{
    uint8_t lines = MSR_CTS | MSR_DSR | MSR_DCD, old = u->msr & 0xf0, changed;

    if (u->mcr & MCR_LOOP)
        lines = (uint8_t)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
                          (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
    changed = (uint8_t)((lines ^ old) >> 4);
    if (!(old & MSR_RI)) /* RI counts when it ends */
        changed &= (uint8_t)~MSR_TERI;
    u->msr = lines | (u->msr & MSR_DELTAS) | changed;
}

static void thr_write(struct ns16550 *u, uint64_t now, uint8_t byte)
{
    u->thre_int = false;
    irq_update(u);
    if (u->mcr & MCR_LOOP)
        fifo_push(u, now, byte & (uint8_t)(0xff >> (3 - (u->lcr & 3))));
    else
        u->tx(u->opaque, byte);
    u->thre_int = true;
}

static void ier_write(struct ns16550 *u, uint8_t value)
{
    uint8_t risen = value & (uint8_t)~u->ier;

    u->ier = value & 0x0f;
    if (risen & IER_ETBEI)
        u->thre_int = true;
}

static void fcr_write(struct ns16550 *u, uint64_t now, uint8_t value)
{
    bool toggled = (value ^ u->fcr) & FCR_ENABLE;

    if (toggled || (value & FCR_ENABLE && value & FCR_CLEAR_RX))
        fifo_clear(u);
    u->fcr = value & FCR_ENABLE ? value & 0xc9 : 0; /* other bits take effect with bit 0 only */
    if (u->used && !u->timeout_int)
        timeout_restart(u, now);
}

void ns16550_out(struct ns16550 *u, uint64_t now, unsigned reg, uint8_t value)
{
    ns16550_advance(u, now);
    switch (reg) {
    case R_DATA:
        if (u->lcr & LCR_DLAB)
            u->divisor = (uint16_t)((u->divisor & 0xff00) | value);
        else
            thr_write(u, now, value);
        break;
    case R_IER:
        if (u->lcr & LCR_DLAB)
            u->divisor = (uint16_t)((u->divisor & 0xff) | value << 8);
        else
            ier_write(u, value);
        break;
    case R_IIR_FCR:
        fcr_write(u, now, value);
        break;
    case R_LCR:
        u->lcr = value;
        break;
    case R_MCR:
        u->mcr = value & 0x1f;
        modem_update(u);
        break;
    case R_SCR:
        u->scr = value;
        break;
    }
    irq_update(u);
}

static uint8_t iir_read(struct ns16550 *u)
{
    uint8_t source = iir_source(u);

    if (source == IIR_THRE)
        u->thre_int = false;
    return source | (fifo_on(u) ? IIR_FIFOS : 0);
}

static uint8_t reg_read(struct ns16550 *u, uint64_t now, unsigned reg)
{
    uint8_t value;

    switch (reg) {
    case R_DATA:
        return u->lcr & LCR_DLAB ? (uint8_t)u->divisor : fifo_pop(u, now);
    case R_IER:
        return u->lcr & LCR_DLAB ? (uint8_t)(u->divisor >> 8) : u->ier;
    case R_IIR_FCR:
        return iir_read(u);
    case R_LCR:
        return u->lcr;
    case R_MCR:
        return u->mcr;
    case R_LSR:
        value = u->lsr;
        u->lsr &= (uint8_t)~LSR_ERRORS;
        return value;
    case R_MSR:
        value = u->msr;
        u->msr &= (uint8_t)~MSR_DELTAS;
        return value;
    case R_SCR:
        return u->scr;
    default:
        return 0xff;
    }
}

uint8_t ns16550_in(struct ns16550 *u, uint64_t now, unsigned reg)
{
    uint8_t value;

    ns16550_advance(u, now);
    value = reg_read(u, now, reg);
    irq_update(u);
    return value;
}

void ns16550_rx(struct ns16550 *u, uint64_t now, uint8_t byte)
{
    ns16550_advance(u, now);
    if (u->mcr & MCR_LOOP)
        return; /* the input pin is cut off */
    fifo_push(u, now, byte);
    irq_update(u);
}

unsigned ns16550_room(const struct ns16550 *u)
{
    if (u->mcr & MCR_LOOP)
        return 0;
    return (fifo_on(u) ? NS16550_FIFO : 1) - u->used;
}

void ns16550_advance(struct ns16550 *u, uint64_t now)
{
    if (now < u->timeout_at)
        return;
    u->timeout_at = UINT64_MAX;
    u->timeout_int = u->used > 0;
    irq_update(u);
}

uint64_t ns16550_deadline(const struct ns16550 *u)
{
    bool gate = (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

    if (!gate || !(u->ier & IER_ERBFI) || iir_source(u) != IIR_NONE)
        return UINT64_MAX;
    return u->timeout_at;
}

void ns16550_init(struct ns16550 *u, const struct irq_line *irq,
                  void (*tx)(void *opaque, uint8_t byte), void *opaque)
{
    memset(u, 0, sizeof *u);
    u->irq = *irq;
    u->tx = tx;
    u->opaque = opaque;
    u->lsr = LSR_THRE | LSR_TEMT;
    u->divisor = 12; /* 9600 */
    u->lcr = 3;
    modem_update(u);
    u->msr &= (uint8_t)~MSR_DELTAS;
    fifo_clear(u);
}
