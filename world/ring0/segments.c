// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest segments as descriptors of the monitor's GDT, for translated code.
 *
 * Translated code never sees a selector (the translator keeps the guest's in the data page), so each guest
 * segment register has one GDT entry of its own, which holds what stands for its hidden part: the cached
 * descriptors of the classic design. A store of eight bytes makes one.
 */
#include "world/ring0/ring0.h"

#include "cpu/segment.h"

/* The descriptor for s, truncated at end; 0: none does. The last answers are kept, apart for user and kernel mode. */
static uint64_t descriptor_of(struct world *w, unsigned seg, const struct seg *s, gla_t end)
{
    struct seg_made *m = &w->made[end < WIN_BASE][seg];
    struct truncated t;

    if (unlikely(!seg_equal(&m->from, s) || m->end != end)) {
        m->from = *s;
        m->end = end;
        m->descriptor = seg_truncate(s, end, seg == SEG_SS, false, &t) ? ring0_descriptor(&t, 1) : 0;
    }
    return m->descriptor;
}

static void sync_one(struct world *w, struct vcpu *v, unsigned seg, const struct seg *s, gla_t end)
{
    uint64_t descriptor = descriptor_of(w, seg, s, end);
    uint8_t *entry = w->gdt + (SEL_BT(seg) & ~7u);
    uint16_t sel = descriptor ? SEL_BT(seg) : 0;

    if (v->hsel[seg] == sel && (!descriptor || get64(entry) == descriptor))
        return;
    if (descriptor)
        put64(entry, descriptor);
    v->hsel[seg] = sel;
    w->seg_changed |= BIT(seg);
}

bool world_seg_sync(struct vcpu *v, gla_t user_limit, bool gs_to_fs)
{
    static const uint8_t order[] = { SEG_SS, SEG_DS, SEG_ES };
    struct world *w = v->vm->world;
    unsigned dirty = v->hsel_dirty;
    gla_t end = user_limit < WIN_BASE ? user_limit : WIN_BASE;

    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        if (dirty & BIT(order[i]))
            sync_one(w, v, order[i], &v->seg[order[i]], end);
    if (dirty & (BIT(SEG_FS) | BIT(SEG_GS)))
        sync_one(w, v, SEG_FS, &v->seg[gs_to_fs ? SEG_GS : SEG_FS], end);
    v->hsel[SEG_CS] = SEL_BT_CS;
    v->hsel[SEG_GS] = SEL_BT_GS;
    /* An SS that can't be had stays dirty, so that the next call looks again. */
    v->hsel_dirty = v->hsel[SEG_SS] ? 0 : BIT(SEG_SS);
    return v->hsel[SEG_SS] != 0;
}
