// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Code traces: write protection of physical pages whose contents the monitor has cached.
 *
 * A page under trace is mapped writable in no view. mmu_trace() takes the W from every
 * alias that has it; fills (cursor_word()) never give it back while the bit is set, so a write
 * faults and comes out as FILL_TRACED. Lifting a trace touches no mapping: the next write faults, and the
 * fill finds the page writable again.
 *
 * The aliases come from the reverse map. A writable large word is split first (a leaf's words
 * are in the reverse map), or its slot dropped if there is no leaf.
 */
#include "shadowmmu/mmu_priv.h"

static void page_protect(struct vm *vm, struct view *view, uint32_t page)
{
    uint32_t word = live_word(view, page) & ~WORD_W;

    live_set(vm, view, page, word);
    view->runs += 2;
    if (!world_protect(vm, view->id, page_gla(page), 1, word_prot(word))) {
        live_drop_all(vm, view); /* out of runs: an empty view has the trace as well */
        return;
    }
    vm->stats->shadow_maps++;
    TRACE_EV(vm->trace, map, page_gla(page), word_gpn(word), 1 | word_prot(word) << 24);
}

static void large_split(struct vm *vm, struct view *view, gpn_t gpn)
{
    for (uint32_t k = 0; k < SLOT_WORDS; k++) {
        for (uint64_t large = view->large[k]; large; large &= large - 1) {
            uint32_t s = k * 64 + (uint32_t)__builtin_ctzll(large), word = view->slot[s].large;

            if (!(word & WORD_W) || gpn - word_gpn(word) >= SLOT_PAGES)
                continue;
            if (!live_split(vm, view, s))
                live_drop_slot(vm, view, s);
        }
    }
}

/* More aliases than the reverse map holds: look at every leaf. */
static void search_protect(struct vm *vm, struct view *view, gpn_t gpn)
{
    for (uint32_t s = 0; s < SLOTS; s++) {
        for (uint32_t i = 0; view->slot[s].leaf && i < SLOT_PAGES; i++) {
            uint32_t word = view->slot[s].leaf->word[i];

            if ((word & WORD_W) && word_gpn(word) == gpn)
                page_protect(vm, view, s * SLOT_PAGES + i);
        }
    }
}

static void place_protect(struct vm *vm, uint32_t place)
{
    if (place & RMAP_USED)
        page_protect(vm, vm->mmu->view[bits(place, 4, 8)], place >> PAGE_SHIFT);
}

void mmu_trace(struct vm *vm, gpn_t gpn)
{
    struct mmu *m = vm->mmu;
    struct rmap *r;

    if (gpn >= m->ram_pages || gpn_traced(m, gpn))
        return;
    map_put(m->traced, gpn, true);
    TRACE_EV(vm->trace, codetrace, gpn, 1, 0);
    for (unsigned i = 0; i < m->nviews; i++)
        large_split(vm, m->view[i], gpn);
    r = &m->rmap[gpn];
    if (r->at[0] & RMAP_MULTI) {
        for (unsigned i = 0; i < m->nviews; i++)
            search_protect(vm, m->view[i], gpn);
        r->at[0] = r->at[1] = 0;
    } else {
        place_protect(vm, r->at[0]);
        place_protect(vm, r->at[1]);
    }
}

void mmu_untrace(struct vm *vm, gpn_t gpn)
{
    struct mmu *m = vm->mmu;

    if (!gpn_traced(m, gpn))
        return;
    map_put(m->traced, gpn, false);
    TRACE_EV(vm->trace, codetrace, gpn, 0, 0);
}

bool mmu_traced(const struct vm *vm, gpn_t gpn)
{
    return gpn_traced(vm->mmu, gpn);
}
