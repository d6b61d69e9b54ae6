/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The trace ring as lines of text.
 *
 * The formats are the third column of base/trace.def: three conversions, %u or
 * %#x, for the record's a, b and c.  A hexadecimal value that follows the word
 * "eip" is an address in guest code and gets its symbol behind it.
 *
 * A `tu` record is followed by records that carry the guest's code, a map and the
 * translation, twelve bytes each.  They are collected and become a listing
 * when the last has come, or when the next record is not one of them.
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
    if (at >= size)
        return at;
    symbols_text(symbols, addr, buf + at, size - at);
    return at + strlen(buf + at);
}

void trace_format(char *buf, size_t size, const struct trace_record *r, const struct symbols *symbols)
{
    uint32_t event = r->event;

    if (event >= TRACE_COUNT) {
        snprintf(buf, size, "unknown event %u: %#x %#x %#x", event, r->a, r->b, r->c);
        return;
    }
    const uint32_t values[4] = {r->a, r->b, event == TRACE_tu ? r->c & 0xffff : r->c, r->c >> 16};
    unsigned used = 0;
    const char *text = events[event].text;
    size_t at = (size_t)snprintf(buf, size, "%s.%s ", events[event].group, events[event].name);

    for (const char *p = text; *p && at < size - 1;) {
        bool hex = !strncmp(p, "%#x", 3);
        if (used < 4 && (hex || !strncmp(p, "%u", 2))) {
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

/* ------------------------------------------------------------- listings */

static void listing_end(struct trace_out *t)
{
    if (!t->tu)
        return;
    if (t->tu->guest_got || t->tu->host_got)
        listing_tu(t->file, t->tu, t->symbols);
    free(t->tu);
    t->tu = NULL;
}

static void listing_begin(struct trace_out *t, const struct trace_record *r)
{
    t->tu = calloc(1, sizeof *t->tu);
    if (!t->tu)
        return;
    t->tu->eip = r->a;
    t->tu->tca = r->b;
    t->tu->guest_len = (unsigned)min_u64(r->c & 0xffff, sizeof t->tu->guest);
    t->tu->host_len = (unsigned)min_u64(r->c >> 16, sizeof t->tu->host);
}

static void take_bytes(const struct trace_record *r, uint8_t *to, unsigned *got, unsigned len)
{
    const uint32_t words[3] = {r->a, r->b, r->c};
    unsigned n = (unsigned)min_u64(len - *got, sizeof words);

    memcpy(to + *got, words, n);
    *got += n;
}

static void take_map(struct listing_tu *tu, const struct trace_record *r)
{
    const uint32_t words[3] = {r->a, r->b, r->c};

    for (unsigned i = 0; i < 3 && tu->nmap < ARRAY_SIZE(tu->map); i++)
        if (words[i] & BIT(31))
            tu->map[tu->nmap++] = (struct listing_map){(uint16_t)words[i], words[i] >> 16 & 15, words[i] >> 20 & 15};
}

/* True if the record was a part of the listing that is being put together. */
static bool listing_take(struct trace_out *t, const struct trace_record *r)
{
    struct listing_tu *tu = t->tu;

    if (!tu)
        return false;
    switch (r->event) {
    case TRACE_tu_guest:
        take_bytes(r, tu->guest, &tu->guest_got, tu->guest_len);
        return true;
    case TRACE_tu_map:
        take_map(tu, r);
        return true;
    case TRACE_tu_host:
        take_bytes(r, tu->host, &tu->host_got, tu->host_len);
        if (tu->host_got == tu->host_len)
            listing_end(t);
        return true;
    default:
        listing_end(t);
        return false;
    }
}

static void write_record(struct trace_out *t, const struct trace_record *r)
{
    char text[512];
    double seconds = t->tsc_hz ? (double)(int64_t)(r->tsc - t->tsc_start) / (double)t->tsc_hz : 0;

    if (listing_take(t, r))
        return;
    trace_format(text, sizeof text, r, t->symbols);
    fprintf(t->file, "%12.6f %s\n", seconds, text);
    if (r->event == TRACE_tu)
        listing_begin(t, r);
}

void trace_finish(struct trace_out *t)
{
    if (!t->file)
        return;
    listing_end(t);
    fflush(t->file);
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
            if (t->file) {
                listing_end(t);
                fprintf(t->file, "... %" PRIu64 " records lost\n", lost);
            }
            tail += lost;
            stop = max_u64(stop, tail);
            continue;
        }
        for (uint64_t i = 0; i < n && t->file; i++)
            write_record(t, &batch[i]);
        tail += n;
        taken += n;
        __atomic_store_n(&ring->tail, tail, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&ring->tail, tail, __ATOMIC_RELEASE);
    return taken;
}
