// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Code traces: write protection of physical pages whose contents the monitor has cached.
 *
 * A page is held for a reason: translations were made from it (HOLD_CODE), or user views may execute it
 * (HOLD_EXEC, exec.c). While there is any, it is mapped writable in no view. Taking the first hold takes the
 * W from every alias that has it; fills (cursor_word()) never give it back while the bit is set, so a write
 * faults and comes out as FILL_TRACED. Dropping the last one touches no mapping: the next write faults, and the
 * fill finds the page writable again.
 *
 * The aliases come from the reverse map. A writable large word is split first (a leaf's words
 * are in the reverse map), or its slot dropped if there is no leaf.
 */
#include "shadowmmu/mmu_priv.h"

static void word_restrict(struct vm *vm, struct view *view, uint32_t page, uint32_t rights)
{
    uint32_t word = live_word(view, page) & ~rights;

    live_set(vm, view, page, word);
    view->runs += 2;
    if (!world_protect(vm, view->id, page_gla(page), 1, word_prot(view, word))) {
        live_drop_all(vm, view); /* out of runs: an empty view allows nothing either */
        return;
    }
    vm->stats->shadow_maps++;
    TRACE_EV(vm->trace, map, page_gla(page), word_gpn(word), 1 | word_prot(view, word) << 24);
}

void large_split(struct vm *vm, struct view *view, gpn_t gpn)
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
static void search_restrict(struct vm *vm, struct view *view, gpn_t gpn, uint32_t rights)
{
    for (uint32_t s = 0; s < SLOTS; s++) {
        for (uint32_t i = 0; view->slot[s].leaf && i < SLOT_PAGES; i++) {
            uint32_t word = view->slot[s].leaf->word[i];

            if ((word & rights) && word_gpn(word) == gpn)
                word_restrict(vm, view, s * SLOT_PAGES + i, rights);
        }
    }
}

static void place_restrict(struct vm *vm, uint32_t place, uint32_t rights)
{
    if (place & RMAP_USED)
        word_restrict(vm, vm->mmu->view[bits(place, 4, 8)], place >> PAGE_SHIFT, rights);
}

/* All that the reverse map knows of a page is of one kind: a page is writable or executable, never both. */
void page_restrict(struct vm *vm, gpn_t gpn, uint32_t rights)
{
    struct mmu *m = vm->mmu;
    struct rmap *r = &m->rmap[gpn];

    if (r->at[0] & RMAP_MULTI) {
        for (unsigned i = 0; i < m->nviews; i++)
            search_restrict(vm, m->view[i], gpn, rights);
        r->at[0] = r->at[1] = 0;
    } else {
        place_restrict(vm, r->at[0], rights);
        place_restrict(vm, r->at[1], rights);
    }
}

bool hold_take(struct vm *vm, gpn_t gpn, enum hold why)
{
    struct mmu *m = vm->mmu;

    if (gpn >= m->ram_pages || gpn_held(m, gpn, why))
        return false;
    map_put(m->held[why], gpn, true);
    if (gpn_traced(m, gpn))
        return true;
    map_put(m->traced, gpn, true);
    m->vcpu->gmem_gen++;
    for (unsigned i = 0; i < m->nviews; i++)
        large_split(vm, m->view[i], gpn);
    page_restrict(vm, gpn, WORD_W);
    return true;
}

bool hold_drop(struct vm *vm, gpn_t gpn, enum hold why)
{
    struct mmu *m = vm->mmu;

    if (!gpn_held(m, gpn, why))
        return false;
    map_put(m->held[why], gpn, false);
    map_put(m->traced, gpn, gpn_held(m, gpn, HOLD_CODE) || gpn_held(m, gpn, HOLD_EXEC));
    return true;
}

void mmu_trace(struct vm *vm, gpn_t gpn)
{
    if (hold_take(vm, gpn, HOLD_CODE))
        TRACE_EV(vm->trace, codetrace, gpn, 1, 0);
}

void mmu_untrace(struct vm *vm, gpn_t gpn)
{
    if (!hold_drop(vm, gpn, HOLD_CODE))
        return;
    vm->mmu->exec[gpn].sensitive = false;
    TRACE_EV(vm->trace, codetrace, gpn, 0, 0);
}

bool mmu_traced(const struct vm *vm, gpn_t gpn)
{
    return gpn_held(vm->mmu, gpn, HOLD_CODE);
}

void traced_written(struct vm *vm, gpa_t gpa, uint32_t len)
{
    gpn_t gpn = gpa_to_gpn(gpa);

    exec_written(vm, gpn);
    if (gpn_held(vm->mmu, gpn, HOLD_CODE))
        bt_code_written(vm, gpa, len);
}
