// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Loads of segment registers that change nothing.
 *
 * Kernels load the same few selectors at each entry and take the old ones back at each exit; mostly the register
 * holds that very selector. The load must still look at the descriptor, which may have been rewritten since
 * (SDM vol. 3A 3.4.3). So the data page keeps, for each register whose selector could be loaded again without
 * any effect, what the descriptor then says; the translation of a load compares selector and descriptor with
 * that, and calls the monitor if they differ (tr_segment.c).
 *
 * What is kept stays true as long as the register, the tables' places and the flat stack segment, through which
 * the translation reads the descriptor, stay what they are. reload_note() is called before translated code
 * runs after any of these may have changed. Only CPL 0 makes use of it, so the privileges checked here are the
 * weakest that matter.
 */
#include "bt/bt_priv.h"
#include "cpu/segment.h"
#include "world/world.h"

#define NEVER 1u /* no selector's negative */

static bool flat_stack(const struct vcpu *v)
{
    const struct seg *ss = &v->seg[SEG_SS];

    return ss->base == 0 && ss->limit == 0xffffffffu && !(ss->attr & SEG_ATTR_EC);
}

static uint32_t ldt_limit(const struct vcpu *v) { return v->ldtr.attr & SEG_ATTR_P ? v->ldtr.limit : 0; }

bool reload_tables_moved(const struct vcpu *v)
{
    const struct desc_tables *t = &v->vm->bt->tables;

    return t->gdt != v->gdtr.base || t->gdt_limit != v->gdtr.limit || t->ldt != v->ldtr.base ||
           t->ldt_limit != ldt_limit(v) || t->flat_stack != flat_stack(v);
}

static void note_one(struct vcpu *v, struct reload *r, unsigned seg)
{
    struct desc d;
    gla_t gla;

    r->neg_sel = NEVER;
    if (!v->vm->bt->tables.flat_stack || !seg_reload_same(v, seg, &gla, &d) || gla >= WIN_BASE)
        return;
    *r = (struct reload){ 0u - v->seg[seg].sel, gla, 0u - d.lo, 0u - d.hi };
}

void reload_note(struct vcpu *v, unsigned dirty)
{
    static const uint8_t segs[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    struct bt *bt = v->vm->bt;

    if (reload_tables_moved(v)) {
        bt->tables = (struct desc_tables){ .gdt = v->gdtr.base, .gdt_limit = v->gdtr.limit, .ldt = v->ldtr.base,
                                           .ldt_limit = ldt_limit(v), .flat_stack = flat_stack(v) };
        dirty = ~0u;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(segs); i++)
        if (dirty & BIT(segs[i]))
            note_one(v, &bt->wd->reload[segs[i]], segs[i]);
}
