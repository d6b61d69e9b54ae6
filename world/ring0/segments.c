// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest segments as descriptors of the monitor's GDT, for translated code.
 *
 * Translated code never sees a selector (the translator keeps the guest's in the data page), so each guest
 * segment register has one GDT entry of its own, which holds what stands for its hidden part: the cached
 * descriptors of the classic design. A store of eight bytes makes one; so nothing is kept or looked up.
 */
#include "world/ring0/ring0.h"

#include "base/assert.h"

static void sync_one(struct world *w, struct vcpu *v, unsigned seg, const struct seg *s, gla_t end)
{
    uint8_t *entry = w->gdt + (SEL_BT(seg) & ~7u);
    uint16_t sel = 0;
    struct truncated t;

    if (seg_truncate(s, end, seg == SEG_SS, false, &t)) {
        uint64_t descriptor = ring0_descriptor(&t, 1);

        sel = SEL_BT(seg);
        if (get64(entry) != descriptor) {
            put64(entry, descriptor);
            w->seg_changed |= BIT(seg);
        }
    }
    if (v->hsel[seg] != sel)
        w->seg_changed |= BIT(seg);
    v->hsel[seg] = sel;
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
