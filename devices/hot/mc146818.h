/*
 * MC146818 real-time clock and CMOS RAM, ports 70h and 71h.
 *
 * World: monitor.  Units: `now` is ns of guest time, never goes back;
 * wallclock_ns is UTC since 1970 at guest time 0.  Owner: whoever embeds
 * struct mc146818.  Order: mc146818_init() first.  Errors: none.
 */
#ifndef DEVICES_HOT_MC146818_H
#define DEVICES_HOT_MC146818_H

#include "devices/hot/irq_line.h"

struct mc146818 {
    uint8_t ram[128];       /* 0-0Dh: clock registers as written; the rest: memory */
    uint8_t index;
    bool nmi_masked;        /* bit 7 of port 70h, which is no part of the chip */
    bool running;           /* the divider counts */
    uint8_t weekday_shift;  /* the day register is independent of the date */
    uint64_t div_origin;    /* divider time = now + div_origin, while running (mod 2^64) */
    int64_t clock;          /* seconds since 1970 shown = clock + divider seconds */
    uint64_t seen;          /* divider time up to which flags were set */
    struct irq_line irq8;
};

void mc146818_init(struct mc146818 *r, uint64_t wallclock_ns, uint64_t ram_size, const struct irq_line *irq8);
uint8_t mc146818_in(struct mc146818 *r, uint64_t now, unsigned reg); /* reg 0: port 70h, 1: 71h */
void mc146818_out(struct mc146818 *r, uint64_t now, unsigned reg, uint8_t value);
/* Set the flags of what has come due. */
void mc146818_advance(struct mc146818 *r, uint64_t now);
/* When IRQ 8 will rise next; UINT64_MAX = never. */
uint64_t mc146818_deadline(const struct mc146818 *r);

static inline bool mc146818_nmi_masked(const struct mc146818 *r) { return r->nmi_masked; }

#endif
