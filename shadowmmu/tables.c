// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which of the guest's page tables have been written to.
 *
 * Comparing an address space's entries with the guest's tables at each CR3 load costs a visit to each of them. Where
 * shadow page tables are the hardware's own, it can be saved: the D bits of the entries through which the
 * guest can write to a table's page tell whether it has. So a table that entries were compared with is watched:
 * its page gets a generation, which changes whenever a D bit is found set (and cleared), or the monitor itself writes to
 * the page; a slot whose directory entry and table generation are as they were at the last comparison still
 * agrees with the tables, without a look at its entries. No write is trapped, and the guest pays nothing.
 *
 * An entry that goes, or loses its W, counts as having been written through.
 *
 * The entries are found by the reverse map, which does not hold large words: these are split when a watch begins, and
 * none is made around a watched page. A page with more aliases than the reverse map holds counts as written each time.
 */
#include "shadowmmu/mmu_priv.h"

static bool place_dirty(struct vm *vm, uint32_t place)
{
    return (place & RMAP_USED) && world_take_dirty(vm, bits(place, 4, 8), gla_page(place));
}

static void watch(struct vm *vm, gpn_t gpn)
{
    struct mmu *m = vm->mmu;

    map_put(m->watched, gpn, true);
    m->vcpu->gmem_gen++;
    for (unsigned i = 0; i < m->nviews; i++)
        large_split(vm, m->view[i], gpn);
}

uint32_t table_generation(struct vm *vm, gpn_t gpn)
{
    struct mmu *m = vm->mmu;
    const struct rmap *r;
    bool dirty;

    if (gpn >= m->ram_pages)
        return 0;
    dirty = !gpn_watched(m, gpn);
    if (dirty)
        watch(vm, gpn);
    r = &m->rmap[gpn];
    dirty |= place_dirty(vm, r->at[0]);
    dirty |= place_dirty(vm, r->at[1]);
    if (dirty || (r->at[0] & RMAP_MULTI))
        table_written(m, gpn);
    return m->table_gen[gpn];
}

void table_written(struct mmu *m, gpn_t gpn)
{
    if (unlikely(!++m->table_clock)) { /* it has gone round: what was known of any table is void */
        memset(m->table_gen, 0, m->ram_pages * sizeof *m->table_gen);
        m->table_clock = 1;
    }
    m->table_gen[gpn] = m->table_clock;
}
