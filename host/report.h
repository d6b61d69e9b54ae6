/*
 * What the user reads about a VM: counters, the trace, and how it ended.
 *
 * World: VMX.  Ownership: streams belong to the caller.  Everything that
 * comes from the VMM is treated as untrusted text and numbers.  No errors.
 */
#ifndef HOST_REPORT_H
#define HOST_REPORT_H

#include <stdio.h>

#include "host/guestram.h"
#include "host/listing.h"
#include "host/symbols.h"
#include "world/cross.h"

const char *report_stop_name(enum vm_stop_kind kind);

void report_stats_text(FILE *f, const struct stats *s, uint64_t tsc_hz);
void report_stats_json(FILE *f, const struct stats *s, uint64_t tsc_hz, const char *stop, const char *world);

/* Trace text. */
struct trace_out {
    FILE *file;                  /* NULL: no trace */
    const struct symbols *symbols;
    uint64_t tsc_start, tsc_hz;
    struct listing_tu *tu;       /* being put together from its records, or NULL */
};

/* Take what is new in the ring and write it as lines; returns the number of records taken. */
uint64_t trace_drain(struct trace_out *t, struct trace_ring *ring);
/* Nothing more will come: write what waits for more records. */
void trace_finish(struct trace_out *t);
/* One record as text, without the time and the newline. */
void trace_format(char *buf, size_t size, const struct trace_record *r, const struct symbols *symbols);

/* The code and the stack at which a guest ended, out of its RAM. */
void report_guest_end(FILE *f, const struct cross_end *end, const struct guestram *ram, const struct symbols *symbols);

#endif
