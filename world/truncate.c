// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Truncated segments.
 *
 * No offset that a descriptor admits may reach linear `end` or above.  Limit checks are made on offsets, before
 * the base is added (SDM vol. 3A 5.3).  So a segment that is allowed to wrap around 4 GiB admits two ranges of
 * offsets, [0, end - base) and [4 GiB - base, 4 GiB); one descriptor can express either, the second as an
 * expand-down segment.  For user code the first is taken (thread control blocks lie at small offsets), for the
 * kernel the larger one (per-CPU bases just below 4 GiB).  Accesses outside become #GP and are emulated.
 *
 * With few_limits the first range of a user's 4 GiB segment is cut down to a power of two: what lies beyond is
 * hardly used, and threads with different bases then need the same descriptor.
 *
 * A code segment in a data register is expressed as read-only data.
 */
#include "world/truncate.h"

#include "world/world.h"

/* Put the limit for n > 0 valid offsets into t; page granularity rounds down. */
static void put_limit(struct truncated *t, uint64_t n)
{
    if (n <= 0x100000) {
        t->limit = (uint32_t)(n - 1);
    } else {
        t->limit = (uint32_t)((n >> 12) - 1);
        t->flags |= TRUNC_PAGES;
    }
}

/* An expand-down guest segment: all or nothing. */
static bool truncate_down(const struct seg *s, gla_t end, struct truncated *t)
{
    bool big = s->attr & SEG_ATTR_DB;
    uint64_t top = big ? 0xffffffffu : 0xffffu;

    if (s->limit >= top)
        return false; /* empty */
    if ((uint64_t)(uint32_t)(s->base + s->limit + 1) + (top - s->limit) > end)
        return false;
    t->flags |= TRUNC_DOWN | (big ? TRUNC_BIG : 0);
    t->limit = s->limit;
    if (s->limit > 0xfffff) {
        t->limit = s->limit >> 12;
        t->flags |= TRUNC_PAGES;
    }
    return true;
}

static bool truncate_up(const struct seg *s, gla_t end, bool is_ss, bool few_limits, struct truncated *t)
{
    bool big = s->attr & SEG_ATTR_DB;
    uint64_t up = s->base < end ? min_u64((uint64_t)s->limit + 1, end - s->base) : 0;
    /* The wrapped part, if the descriptor's fixed upper end is the guest's own. */
    uint64_t down = s->limit == 0xffffffffu && s->base <= end && (big || !is_ss) ? s->base : 0;

    if (end == WIN_BASE && down > up) {
        t->flags |= TRUNC_DOWN | TRUNC_BIG | TRUNC_PAGES;
        t->limit = ~s->base >> 12; /* last invalid offset is 4 GiB - base - 1 */
        return true;
    }
    if (!up)
        return false;
    if (big || !is_ss)
        t->flags |= TRUNC_BIG;
    if (few_limits && end < WIN_BASE && up > 0x100000 && s->limit == 0xffffffffu)
        up = 1ull << (63 - __builtin_clzll(up)); /* threads and processes share a handful of descriptors */
    put_limit(t, up);
    return true;
}

bool seg_truncate(const struct seg *s, gla_t end, bool is_ss, bool few_limits, struct truncated *t)
{
    t->base = s->base;
    t->flags = TRUNC_VALID;
    if (!(s->attr & SEG_ATTR_P) || !(s->attr & SEG_ATTR_S))
        return false;
    if (s->attr & SEG_ATTR_CODE) {
        if (!(s->attr & SEG_ATTR_RW))
            return false; /* execute-only */
        t->flags |= TRUNC_RDONLY;
    } else if (!(s->attr & SEG_ATTR_RW)) {
        t->flags |= TRUNC_RDONLY;
    }
    if (is_ss && (t->flags & TRUNC_RDONLY))
        return false;
    if (!(s->attr & SEG_ATTR_CODE) && (s->attr & SEG_ATTR_EC))
        return truncate_down(s, end, t);
    return truncate_up(s, end, is_ss, few_limits, t);
}
