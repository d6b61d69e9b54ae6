// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which of the guest's page tables have been written to.
 *
 * Comparing an address space's entries with the guest's tables at each CR3 load costs a visit to each of them. Where
 * shadow page tables are the hardware's own, it can be saved: the D bits of the entries through which the
 * guest can write to a table's page (its aliases) tell whether it has. So a table that entries were compared with is watched:
 * its page gets a generation, which changes whenever a D bit is found set (and cleared), the monitor itself writes to
 * the page, or its aliases change. A slot remembers directory entry, generation and aliases; while the first two
 * are the same and no alias has its D bit set, it still agrees with the tables, which takes some twenty instructions to find out
 * and no look at its entries. No write is trapped, and the guest pays nothing.
 *
 * The aliases are found by the reverse map, which does not hold large words: these are split when a watch begins, and
 * none is made around a watched page. Of a page with more aliases than the reverse map holds nothing is remembered.
 */
#include "shadowmmu/mmu_priv.h"

static bool place_dirty(struct vm *vm, uint32_t place)
{
    return (place & RMAP_USED) && world_take_dirty(vm, bits(place, 4, 8), gla_page(place));
}

static const uint64_t *place_entry(struct vm *vm, uint32_t place)
{
    static const uint64_t none;

    return place & RMAP_USED ? world_entry(vm, bits(place, 4, 8), gla_page(place)) : &none;
}

static void watch(struct vm *vm, gpn_t gpn)
{
    struct mmu *m = vm->mmu;

    map_put(m->watched, gpn, true);
    m->vcpu->gmem_gen++;
    for (unsigned i = 0; i < m->nviews; i++)
        large_split(vm, m->view[i], gpn);
}

/* Take note of the writes up to now, and of where to look for those to come; false: they can't all be known. */
static bool table_look(struct vm *vm, gpn_t gpn, struct table_seen *seen)
{
    struct mmu *m = vm->mmu;
    const struct rmap *r = &m->rmap[gpn];
    bool dirty;

    if (!gpn_watched(m, gpn))
        watch(vm, gpn);
    if (r->at[0] & RMAP_MULTI)
        return false;
    dirty = !m->table_gen[gpn];
    for (unsigned i = 0; i < 2; i++) {
        dirty |= place_dirty(vm, r->at[i]);
        seen->alias[i] = place_entry(vm, r->at[i]);
    }
    if (dirty)
        table_written(m, gpn);
    seen->gen = m->table_gen[gpn];
    return true;
}

void tables_look(struct vm *vm, const struct cursor *c, struct table_seen *seen)
{
    bool known = c->mapped;

    *seen = (struct table_seen){0};
    if (known && !c->large)
        known = c->table_gpn < vm->mmu->ram_pages && table_look(vm, c->table_gpn, seen);
    seen->pde = known ? c->pde : 0;
}

__attribute__((cold)) void tables_forget(struct mmu *m)
{
    for (uint32_t s = 0; s < SLOTS; s++) {
        m->code->slot[s].seen.pde = 0;
        for (unsigned i = 0; i < m->nviews; i++)
            m->view[i]->slot[s].seen.pde = 0;
    }
}

void table_written(struct mmu *m, gpn_t gpn)
{
    if (unlikely(!++m->table_clock)) {
        tables_forget(m); /* it has gone round */
        memset(m->table_gen, 0, m->ram_pages * sizeof *m->table_gen);
        m->table_clock = 1;
    }
    m->table_gen[gpn] = m->table_clock;
}
