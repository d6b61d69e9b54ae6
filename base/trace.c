/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The writer's side of the trace ring.
 *
 * One writer, one reader in another process: the record is complete before
 * `head` moves past it.  x86 keeps stores in order (SDM vol. 3A 8.2.2), so a
 * compiler barrier is enough.  A full ring overwrites its oldest records (the
 * reader sees from head - tail that it was too late), unless `lossless` is set:
 * then the world makes the writer wait for the reader.
 */
#include "base/trace.h"

/* Where no world says how to wait, oldest records go. */
__attribute__((weak)) void trace_full(struct trace_ring *t)
{
    (void)t;
}

void trace_write_at(struct trace_ring *t, uint64_t tsc, enum trace_event event, uint32_t a, uint32_t b, uint32_t c)
{
    uint64_t head = t->head;
    struct trace_record *r = &t->rec[head & (TRACE_RECORDS - 1)];

    if (unlikely(head - t->tail >= TRACE_RECORDS) && t->lossless)
        trace_full(t);
    r->tsc = tsc;
    r->event = event;
    r->a = a;
    r->b = b;
    r->c = c;
    __atomic_store_n(&t->head, head + 1, __ATOMIC_RELEASE);
}

void trace_write(struct trace_ring *t, enum trace_event event, uint32_t a, uint32_t b, uint32_t c)
{
    trace_write_at(t, __builtin_ia32_rdtsc(), event, a, b, c);
}
