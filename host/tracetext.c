/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The trace ring as lines of text.
 *
 * The formats are the third column of base/trace.def: three conversions, %u or
 * %#x, for the record's a, b and c.  A hexadecimal value that follows the word
 * "eip" is an address in guest code and gets its symbol behind it.
 *
 * The writer overwrites old records unless we keep up, so a batch is copied
 * first and then checked against where the writer has got to meanwhile.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "host/report.h"

static const struct {
    const char *name, *group, *text;
} events[] = {
#define TRACE(name, group, text) {#name, group, text},
#include "base/trace.def"
#undef TRACE
};

#define BATCH 1024u

static size_t append(char *buf, size_t size, size_t at, const char *format, uint32_t value)
{
    int n = at < size ? snprintf(buf + at, size - at, format, value) : 0;
    return at + (n > 0 ? (size_t)n : 0);
}

static size_t append_symbol(char *buf, size_t size, size_t at, uint32_t addr, const struct symbols *symbols)
{
    uint32_t off;
    const char *name = symbols ? symbols_find(symbols, addr, &off) : NULL;

    if (!name || at >= size)
        return at;
    int n = snprintf(buf + at, size - at, off ? " <%s+%#x>" : " <%s>", name, off);
    return at + (n > 0 ? (size_t)n : 0);
}

void trace_format(char *buf, size_t size, const struct trace_record *r, const struct symbols *symbols)
{
    uint32_t event = r->event;

    if (event >= TRACE_COUNT) {
        snprintf(buf, size, "unknown event %u: %#x %#x %#x", event, r->a, r->b, r->c);
        return;
    }
    const uint32_t values[3] = {r->a, r->b, r->c};
    unsigned used = 0;
    const char *text = events[event].text;
    size_t at = (size_t)snprintf(buf, size, "%s.%s ", events[event].group, events[event].name);

    for (const char *p = text; *p && at < size - 1;) {
        bool hex = !strncmp(p, "%#x", 3);
        if (used < 3 && (hex || !strncmp(p, "%u", 2))) {
            uint32_t value = values[used++];
            at = append(buf, size, at, hex ? "%#x" : "%u", value);
            if (hex && p - text >= 4 && !strncmp(p - 4, "eip ", 4))
                at = append_symbol(buf, size, at, value, symbols);
            p += hex ? 3 : 2;
        } else {
            buf[at++] = *p++;
            buf[at] = '\0';
        }
    }
}

static void write_line(struct trace_out *t, const struct trace_record *r)
{
    char text[512];
    double seconds = t->tsc_hz ? (double)(r->tsc - t->tsc_start) / (double)t->tsc_hz : 0;

    trace_format(text, sizeof text, r, t->symbols);
    fprintf(t->file, "%12.6f %s\n", seconds, text);
    if (r->event == TRACE_tu && t->tu_listing)
        t->tu_listing(t, r->a, r->b, r->c);
}

uint64_t trace_drain(struct trace_out *t, struct trace_ring *ring)
{
    struct trace_record batch[BATCH];
    uint64_t tail = ring->tail, taken = 0;
    /* What is written while we print waits for the next call. */
    uint64_t stop = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);

    while (tail < stop) {
        uint64_t n = min_u64(stop - tail, BATCH);
        for (uint64_t i = 0; i < n; i++)
            batch[i] = ring->rec[(tail + i) & (TRACE_RECORDS - 1)];
        uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
        uint64_t lost = head - tail > TRACE_RECORDS ? head - tail - TRACE_RECORDS : 0;
        if (lost) {
            if (t->file)
                fprintf(t->file, "... %" PRIu64 " records lost\n", lost);
            tail += lost;
            stop = max_u64(stop, tail);
            continue;
        }
        for (uint64_t i = 0; i < n && t->file; i++)
            write_line(t, &batch[i]);
        tail += n;
        taken += n;
        __atomic_store_n(&ring->tail, tail, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&ring->tail, tail, __ATOMIC_RELEASE);
    return taken;
}
