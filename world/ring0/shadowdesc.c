// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's descriptor tables in the monitor's, in place, for directly executed code.
 *
 * User code loads its own selectors and reads them back; so below GDT_OURS the monitor's GDT holds what the
 * guest's has at the same places, and likewise the LDT. Only what user code may load is there: code and data segments of
 * DPL 3 and conforming ones. Those that are present, only once the guest's kernel has marked them accessed; everything else traps when it
 * is loaded, and the interpreter does it with the guest's own tables, sets the accessed bit or finds the fault. The L bit, without
 * meaning for a 32-bit CPU, goes: there must be no 64-bit segment that user code can reach. Limits stay as they are, for page tables keep
 * user code from what is not its own.
 *
 * LAR, LSL, VERR and VERW don't trap. Once a table holds what they would have to tell of but is not in ours as it is (segments
 * not yet accessed, 64-bit ones, system descriptors of DPL 3), user code with these instructions is translated from then on.
 *
 * The guest's tables are ordinary memory that its kernel writes (Linux sets three entries at each context
 * switch), and are not traced: before user code runs and after the kernel has, they are compared with what was
 * seen last, word by word.
 *
 * Not done: LAR and its kin see an entry that was of no use to user code before and has changed since only after the tables
 * have been compared as a whole (after a load of it, or a change of what is of use). A user program that can write to its kernel's
 * descriptor tables sees the effect after the next trap only.
 */
#include "world/ring0/ring0.h"

#include "cpu/gmem.h"
#include "cpu/segment.h"
#include "shadowmmu/mmu.h"

#define DESC_P BIT64(47)
#define DESC_DPL(raw) ((raw) >> 45 & 3)
#define DESC_S BIT64(44)
#define DESC_CODE BIT64(43)
#define DESC_CONFORMING (DESC_S | DESC_CODE | BIT64(42))
#define DESC_ACCESSED BIT64(40)
#define DESC_L BIT64(53)
#define DESC_TYPE(raw) ((raw) >> 40 & 0xf)
/* System types that LAR tells of, in 32-bit mode: task state segments, LDT, call and task gates. */
#define LAR_TYPES 0x1a3eu

/* By its privilege, user code may ask for it and, if it is a segment, load it. */
static bool reachable(uint64_t raw)
{
    if ((raw & DESC_CONFORMING) == DESC_CONFORMING)
        return true;
    return DESC_DPL(raw) == 3 && (raw & DESC_S || LAR_TYPES >> DESC_TYPE(raw) & 1);
}

/* What stands in our table for a guest's descriptor. */
static uint64_t admit(uint64_t raw)
{
    if (!(raw & DESC_S) || !reachable(raw) || (raw & (DESC_P | DESC_ACCESSED)) == DESC_P)
        return 0;
    return raw & DESC_CODE ? raw & ~DESC_L : raw;
}

static bool loadable(uint64_t raw) { return raw & DESC_P && admit(raw); }

/* Would user code that asks for it get another answer than from the guest's table? */
static bool differs(uint64_t raw) { return reachable(raw) && admit(raw) != raw; }

static void live_list(struct shadow_table *t)
{
    t->nlive = 0;
    t->gen = 0;
    for (uint32_t i = 0; i < t->n; i++)
        if (admit(t->seen[i]) && t->nlive++ < SHADOW_LIVE)
            t->live[t->nlive - 1] = (uint16_t)i;
}

static inline bool live_equal(const struct shadow_table *t, const uint8_t *p)
{
    for (const uint16_t *i = t->live; i < t->live + t->nlive; i++)
        if (get64(p + 8u * *i) != t->seen[*i])
            return false;
    return true;
}

/* The same while the table's place is known. */
static inline bool live_again(const struct vcpu *v, const struct shadow_table *t)
{
    return !t->nlive || (t->gen == v->gmem_gen && live_equal(t, t->hva));
}

/* Do the entries that user code can load still say what was seen?  What else has changed traps when it is loaded. */
static bool live_hold(struct vcpu *v, struct shadow_table *t, gla_t gla, uint32_t n)
{
    const uint8_t *p;

    if (t->gla != gla || t->n != n || t->nlive > SHADOW_LIVE)
        return false;
    if (!t->nlive)
        return true;
    p = gmem_keep(v, gla, n * 8, GMEM_READ);
    if (!p)
        return false;
    t->gen = v->gmem_gen;
    t->hva = p;
    return live_equal(t, p);
}

/* Bring all n entries (of 8 bytes) up to date, from a table at gla; false: it can't be read. */
static bool table_sync(struct vcpu *v, struct shadow_table *t, uint8_t *ours, gla_t gla, uint32_t n)
{
    uint64_t now[SHADOW_ENTRIES];
    bool differ = n == SHADOW_ENTRIES; /* it may have more */
    struct fault f;

    if (n && !gmem_read(v, gla, now, n * 8, GMEM_READ, &f))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (likely(i < t->n && now[i] == t->seen[i]))
            continue;
        t->seen[i] = now[i];
        put64(ours + 8 * i, i || t->zero_usable ? admit(now[i]) : 0);
        differ |= (i || t->zero_usable) && differs(now[i]);
    }
    if (unlikely(differ))
        mmu_scan_for(v->vm, world_direct_traits(v->vm).shows | DIRECT_SHOWS_DESCRIPTORS);
    for (uint32_t i = n; i < t->n; i++) {
        t->seen[i] = 0;
        put64(ours + 8 * i, 0);
    }
    t->n = n;
    t->gla = gla;
    live_list(t);
    return true;
}

static uint32_t entries(uint32_t limit)
{
    return (uint32_t)min_u64(((uint64_t)limit + 1) / 8, SHADOW_ENTRIES);
}

static uint32_t ldt_entries(const struct vcpu *v)
{
    return v->ldtr.attr & SEG_ATTR_P ? entries(v->ldtr.limit) : 0;
}

static bool tables_hold(struct world *w, struct vcpu *v)
{
    return live_hold(v, &w->shadow_gdt, v->gdtr.base, entries(v->gdtr.limit)) &&
           live_hold(v, &w->shadow_ldt, v->ldtr.base, ldt_entries(v));
}

static bool tables_sync(struct world *w, struct vcpu *v)
{
    w->shadow_ldt.zero_usable = true;
    w->desc_changed = true;
    memset(w->verified, 0, sizeof w->verified);
    return table_sync(v, &w->shadow_gdt, w->gdt, v->gdtr.base, entries(v->gdtr.limit)) &&
           table_sync(v, &w->shadow_ldt, w->ldt, v->ldtr.base, ldt_entries(v));
}

/* The guest's descriptor behind a selector, if user code could load it by itself. */
static bool find(const struct world *w, uint16_t sel, struct desc *d)
{
    const struct shadow_table *t = sel & 4 ? &w->shadow_ldt : &w->shadow_gdt;
    uint32_t i = sel >> 3;

    if (i >= t->n || (!i && !t->zero_usable) || !loadable(t->seen[i]))
        return false;
    *d = (struct desc){ (uint32_t)t->seen[i], (uint32_t)(t->seen[i] >> 32) };
    return true;
}

/* Would loading its selector give this segment register the hidden part that it has? */
static bool reversible(const struct world *w, const struct seg *s)
{
    struct desc d;
    struct seg want;

    if (!(s->attr & SEG_ATTR_P))
        return !(s->sel & ~3u);
    if (!find(w, s->sel, &d))
        return false;
    seg_from_desc(&want, s->sel, d);
    return want.base == s->base && want.limit == s->limit && want.attr == s->attr;
}

static bool segments_reversible(struct world *w, const struct vcpu *v)
{
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        if (likely(seg_equal(&v->seg[i], &w->verified[i])))
            continue;
        if (!reversible(w, &v->seg[i]))
            return false;
        w->verified[i] = v->seg[i];
    }
    return true;
}

bool ring0_direct_segments(struct world *w, struct vcpu *v)
{
    if (unlikely(!vcpu_stack32(v)))
        return false;
    if ((w->desc_synced || tables_hold(w, v)) && segments_reversible(w, v)) {
        w->desc_synced = true;
        return true;
    }
    w->desc_synced = tables_sync(w, v) && segments_reversible(w, v);
    return w->desc_synced;
}

bool world_direct_again(struct vcpu *v)
{
    struct world *w = v->vm->world;

    if (w->desc_synced)
        return true;
    if (unlikely(!live_again(v, &w->shadow_gdt) || !live_again(v, &w->shadow_ldt)))
        return ring0_direct_segments(w, v);
    w->desc_synced = true;
    return true;
}

void ring0_segment_found(struct world *w, struct vcpu *v, unsigned seg, uint16_t sel)
{
    struct seg s = { .sel = sel };
    struct desc d;

    if (sel & ~3u) {
        if (!find(w, sel, &d)) {
            vm_stop(v->vm, VM_STOP_BUG, "world: user code loaded selector %#x, which is not the guest's, at %#x", sel,
                    v->eip);
            return;
        }
        seg_from_desc(&s, sel, d);
    }
    seg_set(v, seg, &s);
}
