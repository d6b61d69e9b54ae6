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
 * What the descriptors say is world/truncate.c's.  CS itself is always the one flat execute-only segment that
 * reaches the translation cache.
 */
#include "world/proc/kview.h"

#include "base/assert.h"
#include "world/truncate.h"

/* The kernel's struct user_desc (modify_ldt(2)). */
struct user_desc {
    uint32_t entry, base, limit, flags;
};

static long ldt_write(unsigned entry, const struct truncated *k)
{
    struct user_desc d = { .entry = entry, .base = k->base, .limit = k->limit };

    d.flags = (k->flags & TRUNC_BIG ? BIT(0) : 0) | (k->flags & TRUNC_DOWN ? BIT(1) : 0) |
              (k->flags & TRUNC_CODE ? BIT(2) : 0) | (k->flags & TRUNC_RDONLY ? BIT(3) : 0) |
              (k->flags & TRUNC_PAGES ? BIT(4) : 0) | BIT(6);
    return sys3(SYS_NR_modify_ldt, 0x11, (long)&d, sizeof d);
}

long proc_ldt_init(struct world *w)
{
    const struct truncated cs = { 0, 0xfffff, TRUNC_VALID | TRUNC_BIG | TRUNC_RDONLY | TRUNC_PAGES | TRUNC_CODE };
    const struct truncated gs = { WIN_DATA, WIN_DATA_SIZE - 1, TRUNC_VALID | TRUNC_BIG };
    const struct truncated top = { 0, 0, TRUNC_VALID | TRUNC_BIG };
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

static bool key_equal(const struct truncated *a, const struct truncated *b)
{
    return a->base == b->base && a->limit == b->limit && a->flags == b->flags;
}

static bool sel_in_use(const struct vcpu *v, uint16_t sel)
{
    return sel == v->hsel[SEG_DS] || sel == v->hsel[SEG_ES] || sel == v->hsel[SEG_SS] ||
           sel == v->hsel[SEG_FS];
}

/* The selector of a descriptor that says k, made if need be; 0 when the host refused. */
static uint16_t ldt_get(struct vcpu *v, const struct truncated *k)
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

static bool sync_one(struct vcpu *v, unsigned seg, const struct seg *s, gla_t end)
{
    struct truncated k;

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
