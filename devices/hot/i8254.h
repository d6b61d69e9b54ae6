/*
 * The 8254 interval timer: three counters on a 1193182 Hz clock.
 *
 * World: monitor.  Units: `now` is ns of guest time and never goes back;
 * inside, time is ticks of the clock since guest time 0.  Owner: whoever
 * embeds struct i8254.  Order: i8254_init() first; i8254_acked() when the
 * interrupt controller has taken counter 0's request.  Errors: none.
 */
#ifndef DEVICES_HOT_I8254_H
#define DEVICES_HOT_I8254_H

#include "devices/hot/irq_line.h"

#define I8254_HZ 1193182u
#define I8254_BACKLOG_SECONDS 2u /* worth of counter 0's periods are made up for at most */

struct i8254_counter {
    uint8_t mode;           /* 0-5 */
    uint8_t control;        /* RW, M and BCD bits as written, for read-back */
    bool gate;
    /* Writing and reading. */
    bool write_high, read_high;     /* next byte is the most significant */
    uint8_t write_low;
    uint8_t latched;        /* bytes of the count latch still to be read */
    bool status_latched;
    uint16_t latch;
    uint8_t status;
    /* Counting. */
    uint16_t cr;            /* count register, as written */
    bool has_count;         /* cr was written since the control word */
    bool loaded;            /* the counting element holds n since tick `start` */
    bool frozen;            /* by the gate, or half-way through a mode 0 write */
    bool old_out;           /* OUT before `start` */
    bool reload;            /* modes 2, 3: cr is loaded at tick reload_at */
    uint32_t n;             /* 1..65536 */
    int64_t start;
    int64_t frozen_for;     /* ticks counted when it froze */
    int64_t reload_at;
    int64_t seen;           /* edges up to this tick have been handled */
};

struct i8254 {
    struct i8254_counter counter[3];
    struct irq_line irq0;
    bool unacked;           /* a request of counter 0 waits for INTA */
    uint32_t backlog;       /* further periods that have passed meanwhile */
};

void i8254_init(struct i8254 *p, const struct irq_line *irq0);
/* Ports 40h-43h: reg 0-3. */
uint8_t i8254_in(struct i8254 *p, uint64_t now, unsigned reg);
void i8254_out(struct i8254 *p, uint64_t now, unsigned reg, uint8_t value);
void i8254_gate2(struct i8254 *p, uint64_t now, bool level);
bool i8254_out2(struct i8254 *p, uint64_t now);
/* Deliver counter 0's edges up to now. */
void i8254_advance(struct i8254 *p, uint64_t now);
/* When counter 0 has its next rising edge; UINT64_MAX = never. */
uint64_t i8254_deadline(const struct i8254 *p);
void i8254_acked(struct i8254 *p);
/* Forget missed periods; pending: the request itself is lost as well. */
void i8254_drop_backlog(struct i8254 *p, bool pending);

uint64_t i8254_ticks(uint64_t now);     /* clock ticks completed by then */
uint64_t i8254_tick_time(uint64_t tick); /* the first ns at which i8254_ticks() is tick */

#endif
