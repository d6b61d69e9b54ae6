/*
 * What the user reads about a VM: counters, the trace, and how it ended.
 *
 * World: VMX.  Ownership: streams belong to the caller.  Everything that
 * comes from the VMM is treated as untrusted text and numbers.  No errors.
 */
#ifndef HOST_REPORT_H
#define HOST_REPORT_H

#include <stdio.h>

#include "host/symbols.h"
#include "world/cross.h"

const char *report_stop_name(enum vm_stop_kind kind);

void report_stats_text(FILE *f, const struct stats *s, uint64_t tsc_hz);
void report_stats_json(FILE *f, const struct stats *s, uint64_t tsc_hz, const char *stop);

/* Trace text. */
struct trace_out {
    FILE *file;                  /* NULL: no trace */
    const struct symbols *symbols;
    uint64_t tsc_start, tsc_hz;
    /* Called after a `tu` line to list the guest code and its translation; may be NULL. */
    void (*tu_listing)(struct trace_out *t, uint32_t eip, uint32_t tca, uint32_t len);
    void *opaque;
};

/* Take what is new in the ring and write it as lines; returns the number of records taken. */
uint64_t trace_drain(struct trace_out *t, struct trace_ring *ring);
/* One record as text, without the time and the newline. */
void trace_format(char *buf, size_t size, const struct trace_record *r, const struct symbols *symbols);

/* A Capstone listing of `n` bytes at `addr` as 16- or 32-bit code, one instruction a line. */
void listing_code(FILE *f, const uint8_t *code, size_t n, uint32_t addr, unsigned bits, const char *prefix);

#endif
