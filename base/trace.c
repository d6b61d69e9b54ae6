/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The writer's side of the trace ring.
 *
 * One writer, one reader in another process: the record is complete before
 * `head` moves past it.  x86 keeps stores in order (SDM vol. 3A 8.2.2), so a
 * compiler barrier is enough.  A full ring overwrites its oldest records, also
 * when `lossless` is set: the reader sees from head - tail that it was too late.
 */
#include "base/trace.h"

void trace_write(struct trace_ring *t, enum trace_event event, uint32_t a, uint32_t b, uint32_t c)
{
    uint64_t head = t->head;
    struct trace_record *r = &t->rec[head & (TRACE_RECORDS - 1)];

    r->tsc = __builtin_ia32_rdtsc();
    r->event = event;
    r->a = a;
    r->b = b;
    r->c = c;
    __atomic_store_n(&t->head, head + 1, __ATOMIC_RELEASE);
}
