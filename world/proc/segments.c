/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest segments as host LDT descriptors, truncated below the window.
 *
 * In the process world a descriptor comes from modify_ldt() (1-2 us), so descriptors are cached: a
 * set-associative table keyed by what the descriptor says.  FS gets its base by WRFSBASE, and its descriptor
 * has base 0 whatever the guest's base is: a context switch that changes only the base of a thread's TLS
 * segment then costs no system call. Limit checks are made on offsets (SDM vol. 3A 5.3), before the base is
 * added, so each (limit, type) needs its own descriptor.
 *
 * Truncation: no offset that a descriptor admits may reach linear `end` or above.  A segment that is allowed
 * to wrap around 4 GiB admits two ranges of offsets, [0, end - base) and [4 GiB - base, 4 GiB); one
 * descriptor can express either, the second as an expand-down segment.  For user code the first is taken
 * (thread control blocks lie at small offsets), for the kernel the larger one (per-CPU bases just below 4
 * GiB).  Accesses outside become #GP and are emulated. The first range of a user's 4 GiB segment in FS is cut
 * down to a power of two: what lies beyond is hardly used, and threads with different bases then need the
 * same descriptor.
 *
 * A code segment in a data register is expressed as read-only data.  CS itself is always the one flat
 * execute-only segment that reaches the translation cache.
 */
#include "world/proc/kview.h"

#include "base/assert.h"

/* ldt_key.flags; user_desc's bit-field is made of them.  Zero means no descriptor. */
#define LDT_VALID BIT(0)
#define LDT_BIG BIT(1)
#define LDT_RDONLY BIT(2)
#define LDT_DOWN BIT(3)
#define LDT_PAGES BIT(4)
#define LDT_CODE BIT(5)

/* The kernel's struct user_desc (modify_ldt(2)). */
struct user_desc {
    uint32_t entry, base, limit, flags;
};

static long ldt_write(unsigned entry, const struct ldt_key *k)
{
    struct user_desc d = { .entry = entry, .base = k->base, .limit = k->limit };

    d.flags = (k->flags & LDT_BIG ? BIT(0) : 0) | (k->flags & LDT_DOWN ? BIT(1) : 0) |
              (k->flags & LDT_CODE ? BIT(2) : 0) | (k->flags & LDT_RDONLY ? BIT(3) : 0) |
              (k->flags & LDT_PAGES ? BIT(4) : 0) | BIT(6);
    return sys3(SYS_NR_modify_ldt, 0x11, (long)&d, sizeof d);
}

long proc_ldt_init(struct world *w)
{
    const struct ldt_key cs = { 0, 0xfffff, LDT_VALID | LDT_BIG | LDT_RDONLY | LDT_PAGES | LDT_CODE };
    const struct ldt_key gs = { WIN_DATA, WIN_DATA_SIZE - 1, LDT_VALID | LDT_BIG };
    const struct ldt_key top = { 0, 0, LDT_VALID | LDT_BIG };
    long err;

    err = ldt_write(LDT_SETS * LDT_WAYS - 1, &top); /* the table gets its final size at once */
    if (!err)
        err = ldt_write(LDT_CS >> 3, &cs);
    if (!err)
        err = ldt_write(LDT_GS >> 3, &gs);
    w->ldt[LDT_CS >> 3] = cs;
    w->ldt[LDT_GS >> 3] = gs;
    w->reload = true;
    return err;
}

static bool key_equal(const struct ldt_key *a, const struct ldt_key *b)
{
    return a->base == b->base && a->limit == b->limit && a->flags == b->flags;
}

static bool sel_in_use(const struct vcpu *v, uint16_t sel)
{
    return sel == v->hsel[SEG_DS] || sel == v->hsel[SEG_ES] || sel == v->hsel[SEG_SS] ||
           sel == v->hsel[SEG_FS];
}

/* The selector of a descriptor that says k, made if need be; 0 when the host refused. */
static uint16_t ldt_get(struct vcpu *v, const struct ldt_key *k)
{
    struct world *w = v->vm->world;
    uint32_t hash = (k->base >> 4) * 0x9e3779b1u ^ k->limit * 0x85ebca6bu ^ k->flags * 0xc2b2ae35u;
    unsigned set = 1 + (hash >> 8) % (LDT_SETS - 1), slot; /* set 0 holds the fixed ones */

    for (unsigned way = 0; way < LDT_WAYS; way++) {
        slot = set * LDT_WAYS + way;
        if (key_equal(&w->ldt[slot], k))
            return (uint16_t)(slot << 3 | 7);
    }
    /* The register being loaded has given up its selector, so at most three of four ways are held. */
    for (unsigned i = 0; i < 2 * LDT_WAYS; i++) {
        slot = set * LDT_WAYS + w->ldt_next[set]++ % LDT_WAYS;
        if (!w->ldt[slot].flags || !sel_in_use(v, (uint16_t)(slot << 3 | 7)))
            break;
    }
    if (ldt_write(slot, k)) {
        vm_stop(v->vm, VM_STOP_HOST, "host: modify_ldt refused a descriptor");
        return 0;
    }
    w->ldt[slot] = *k;
    w->reload = true; /* a register may still hold the slot's old descriptor */
    return (uint16_t)(slot << 3 | 7);
}

/* Put the limit for n > 0 valid offsets into k; page granularity rounds down. */
static void key_limit(struct ldt_key *k, uint64_t n)
{
    if (n <= 0x100000) {
        k->limit = (uint32_t)(n - 1);
    } else {
        k->limit = (uint32_t)((n >> 12) - 1);
        k->flags |= LDT_PAGES;
    }
}

/* An expand-down guest segment: all or nothing. */
static bool truncate_down(const struct seg *s, gla_t end, struct ldt_key *k)
{
    bool big = s->attr & SEG_ATTR_DB;
    uint64_t top = big ? 0xffffffffu : 0xffffu;

    if (s->limit >= top)
        return false; /* empty */
    if ((uint64_t)(uint32_t)(s->base + s->limit + 1) + (top - s->limit) > end)
        return false;
    k->flags |= LDT_DOWN | (big ? LDT_BIG : 0);
    k->limit = s->limit;
    if (s->limit > 0xfffff) {
        k->limit = s->limit >> 12;
        k->flags |= LDT_PAGES;
    }
    return true;
}

static bool truncate_up(const struct seg *s, gla_t end, bool is_ss, bool based, struct ldt_key *k)
{
    bool big = s->attr & SEG_ATTR_DB;
    uint64_t up = s->base < end ? min_u64((uint64_t)s->limit + 1, end - s->base) : 0;
    /* The wrapped part, if the descriptor's fixed upper end is the guest's own. */
    uint64_t down = s->limit == 0xffffffffu && s->base <= end && (big || !is_ss) ? s->base : 0;

    if (end == WIN_BASE && down > up) {
        k->flags |= LDT_DOWN | LDT_BIG | LDT_PAGES;
        k->limit = ~s->base >> 12; /* last invalid offset is 4 GiB - base - 1 */
        return true;
    }
    if (!up)
        return false;
    if (big || !is_ss)
        k->flags |= LDT_BIG;
    if (based && end < WIN_BASE && up > 0x100000 && s->limit == 0xffffffffu)
        up = 1ull << (63 - __builtin_clzll(up)); /* threads and processes share a handful of descriptors */
    key_limit(k, up);
    return true;
}

/* The descriptor that stands for s in a data segment register; false: none does.  based: its base is set by
 * WRFSBASE. */
static bool seg_truncate(const struct seg *s, gla_t end, bool is_ss, bool based, struct ldt_key *k)
{
    k->base = s->base;
    k->flags = LDT_VALID;
    if (!(s->attr & SEG_ATTR_P) || !(s->attr & SEG_ATTR_S))
        return false;
    if (s->attr & SEG_ATTR_CODE) {
        if (!(s->attr & SEG_ATTR_RW))
            return false; /* execute-only */
        k->flags |= LDT_RDONLY;
    } else if (!(s->attr & SEG_ATTR_RW)) {
        k->flags |= LDT_RDONLY;
    }
    if (is_ss && (k->flags & LDT_RDONLY))
        return false;
    if (!(s->attr & SEG_ATTR_CODE) && (s->attr & SEG_ATTR_EC))
        return truncate_down(s, end, k);
    return truncate_up(s, end, is_ss, based, k);
}

static bool sync_one(struct vcpu *v, unsigned seg, const struct seg *s, gla_t end)
{
    struct ldt_key k;

    v->hsel[seg] = 0;
    if (!seg_truncate(s, end, seg == SEG_SS, seg == SEG_FS, &k))
        return false;
    if (seg == SEG_FS)
        k.base = 0;
    v->hsel[seg] = ldt_get(v, &k);
    return v->hsel[seg] != 0;
}

bool world_seg_sync(struct vcpu *v, gla_t user_limit, bool gs_to_fs)
{
    static const uint8_t order[] = { SEG_SS, SEG_DS, SEG_ES };
    const struct seg *fs = &v->seg[gs_to_fs ? SEG_GS : SEG_FS];
    unsigned dirty = v->hsel_dirty;
    gla_t end = user_limit < WIN_BASE ? user_limit : WIN_BASE;
    bool ok = true;

    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        if (dirty & BIT(order[i]))
            sync_one(v, order[i], &v->seg[order[i]], end);
    if (dirty & (BIT(SEG_FS) | BIT(SEG_GS))) {
        sync_one(v, SEG_FS, fs, end);
        v->hseg_base[0] = v->hsel[SEG_FS] ? fs->base : 0;
    }
    v->hsel[SEG_CS] = LDT_CS;
    v->hsel[SEG_GS] = LDT_GS;
    v->hseg_base[1] = WIN_DATA;
    ok = v->hsel[SEG_SS] != 0;
    /* An SS that can't be had stays dirty, so that the next call looks again. */
    v->hsel_dirty = ok ? 0 : BIT(SEG_SS);
    return ok;
}
