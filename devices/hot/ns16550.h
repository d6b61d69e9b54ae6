/*
 * NS16550A serial port.
 *
 * World: monitor.  Units: `now` is ns of guest time, never goes back.  Owner:
 * whoever embeds struct ns16550.  Order: ns16550_init() first.  Errors: none.
 * tx() takes a byte that leaves the port and must not block.  A byte pushed
 * with ns16550_rx() without room is lost (overrun), as on a wire.
 */
#ifndef DEVICES_HOT_NS16550_H
#define DEVICES_HOT_NS16550_H

#include "devices/hot/irq_line.h"

#define NS16550_FIFO 16u

struct ns16550 {
    uint8_t ier, lcr, mcr, lsr, msr, scr, fcr;
    uint16_t divisor;
    uint8_t fifo[NS16550_FIFO];
    uint8_t head, used;     /* of fifo; without FCR.0 at most one byte is used */
    bool thre_int;          /* the THRE source of the interrupt */
    bool timeout_int;       /* bytes below the trigger level have waited long enough */
    uint64_t timeout_at;    /* when they will have; UINT64_MAX = not counting */
    struct irq_line irq;
    void (*tx)(void *opaque, uint8_t byte);
    void *opaque;
};

void ns16550_init(struct ns16550 *u, const struct irq_line *irq,
                  void (*tx)(void *opaque, uint8_t byte), void *opaque);
uint8_t ns16550_in(struct ns16550 *u, uint64_t now, unsigned reg);
void ns16550_out(struct ns16550 *u, uint64_t now, unsigned reg, uint8_t value);
void ns16550_rx(struct ns16550 *u, uint64_t now, uint8_t byte);
unsigned ns16550_room(const struct ns16550 *u);
void ns16550_advance(struct ns16550 *u, uint64_t now);
/* When a receive time-out will raise the interrupt; UINT64_MAX = never. */
uint64_t ns16550_deadline(const struct ns16550 *u);

#endif
