/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest RAM as the loaders see it.  Ranges in use are a short unsorted list:
 * a handful of segments, modules and tables, searched linearly.
 */
#include "host/guestram.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"

void guestram_init(struct guestram *g, void *base, uint64_t size)
{
    g->base = base;
    g->size = size;
    g->count = 0;
    g->err[0] = '\0';
}

bool guestram_fail(struct guestram *g, const char *format, ...)
{
    va_list ap;

    if (g->err[0])
        return false;
    va_start(ap, format);
    vsnprintf(g->err, sizeof g->err, format, ap);
    va_end(ap);
    return false;
}

bool guestram_reserve(struct guestram *g, gpa_t gpa, uint64_t size, const char *what)
{
    if (gpa > g->size || size > g->size - gpa)
        return guestram_fail(g, "%s does not fit: it ends at %#llx, guest RAM at %#llx (see -m)", what,
                             (unsigned long long)gpa + size, (unsigned long long)g->size);
    if (gpa < GUESTRAM_HOLE_END && gpa + size > GUESTRAM_HOLE)
        return guestram_fail(g, "%s at %#llx overlaps the video memory at 0xa0000", what,
                             (unsigned long long)gpa);
    if (g->count == GUESTRAM_RANGES)
        return guestram_fail(g, "more than %u pieces to load", GUESTRAM_RANGES);
    g->used[g->count].start = gpa;
    g->used[g->count].end = gpa + size;
    g->count++;
    return true;
}

bool guestram_place(struct guestram *g, gpa_t gpa, const void *data, uint64_t len, uint64_t total,
                    const char *what)
{
    if (total < len)
        return guestram_fail(g, "%s is longer in the file than in memory", what);
    if (total == 0)
        return true;
    if (!guestram_reserve(g, gpa, total, what))
        return false;
    if (len)
        memcpy(g->base + gpa, data, len);
    memset(g->base + gpa + len, 0, total - len);
    return true;
}

bool guestram_find(const struct guestram *g, uint64_t size, uint64_t align, gpa_t lo, gpa_t hi, gpa_t *gpa)
{
    gpa_t top = min_u64(hi, g->size);

    for (;;) {
        if (top < lo || size > top - lo)
            return false;
        gpa_t start = align_down(top - size, align);
        if (start < lo)
            return false;
        /* Whatever this place overlaps, go on just below it. */
        gpa_t clash = UINT64_MAX;
        if (start < GUESTRAM_HOLE_END && start + size > GUESTRAM_HOLE)
            clash = GUESTRAM_HOLE;
        for (unsigned i = 0; i < g->count; i++)
            if (start < g->used[i].end && start + size > g->used[i].start)
                clash = min_u64(clash, g->used[i].start);
        if (clash == UINT64_MAX) {
            *gpa = start;
            return true;
        }
        top = clash;
    }
}
