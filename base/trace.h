/*
 * The trace ring: fixed binary records; text is made by the host side.
 *
 * World: written by the monitor, read by the VMX (and by the dump of a dying
 * VM).  `mask` selects events (bit = event number); a cleared bit costs one
 * test.  The ring overwrites its oldest records unless the VMX drains it; a
 * lossless one makes the writer wait.
 * Owner: the memory that both worlds share.  No errors.
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include "base/types.h"

enum trace_event {
#define TRACE(name, group, text) TRACE_##name,
#include "base/trace.def"
#undef TRACE
    TRACE_COUNT
};

struct trace_record {
    uint64_t tsc;
    uint32_t event;
    uint32_t a, b, c;
};

#define TRACE_RECORDS 65536u /* a power of two */

struct trace_ring {
    uint64_t mask;
    volatile uint64_t head; /* records ever written */
    volatile uint64_t tail; /* records that the VMX has taken */
    volatile uint32_t lossless; /* VMX, before start: the writer waits in trace_full() for a reader that lags */
    struct trace_record rec[TRACE_RECORDS];
};

_Static_assert(TRACE_COUNT <= 64, "the mask is one word");

void trace_write(struct trace_ring *t, enum trace_event event, uint32_t a, uint32_t b, uint32_t c);
/* Of something that has happened at that time. */
void trace_write_at(struct trace_ring *t, uint64_t tsc, enum trace_event event, uint32_t a, uint32_t b, uint32_t c);

/* Wait until a full ring has room again: bound at link time by a world that can wait.  Writes no records. */
void trace_full(struct trace_ring *t);

#define TRACE_ON(t, ev) unlikely((t)->mask >> TRACE_##ev & 1)
#define TRACE_EV(t, ev, a, b, c)                                          \
    do {                                                                  \
        if (TRACE_ON(t, ev))                                              \
            trace_write(t, TRACE_##ev, (uint32_t)(a), (uint32_t)(b), (uint32_t)(c)); \
    } while (0)

#endif
