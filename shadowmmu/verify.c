// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Does the record of live entries agree with itself? Counts, bitmaps, reverse map, traces and the free
 * list are computed anew and compared. Slow; called by tests and by hand from a debugger.
 */
#include "shadowmmu/mmu_priv.h"

static bool rmap_knows(const struct mmu *m, const struct view *view, uint32_t page, uint32_t word)
{
    const struct rmap *r = &m->rmap[word_gpn(word)];
    uint32_t place = page_gla(page) | (uint32_t)view->id << 4 | RMAP_USED;

    return (r->at[0] & RMAP_MULTI) || r->at[0] == place || r->at[1] == place;
}

static const char *word_verify(const struct vm *vm, const struct view *view, uint32_t page, uint32_t word)
{
    const struct mmu *m = vm->mmu;
    enum phys_kind kind = gpn_kind(m, word_gpn(word));

    if (!(word & WORD_LIVE))
        return "flags without WORD_LIVE";
    if (kind == PHYS_MMIO || (kind == PHYS_ROM && (word & WORD_W)))
        return "a word for what can't be mapped so";
    if (view->kind == KIND_USER && !(word & WORD_U))
        return "a supervisor word in a user view";
    if (m->space && view->kind == KIND_KERNEL && (word & (WORD_U | WORD_G)) != WORD_G)
        return "a word that spaces can't share";
    if ((view->kind == KIND_KERNEL || view->kind == KIND_SPACE) && page_gla(page) >= WIN_BASE)
        return "a word inside the window";
    if (view->kind != KIND_CODE && page_gla(page) < m->min_gla)
        return "a word too low";
    if ((word & WORD_W) && gpn_traced(m, word_gpn(word)))
        return "a traced page is writable";
    if ((view->kind == KIND_KERNEL || (view->kind == KIND_SPACE && !(word & WORD_U))) && (word & WORD_X))
        return "an executable supervisor page";
    if (view->kind != KIND_CODE && (word & WORD_X) && !gpn_held(m, word_gpn(word), HOLD_EXEC))
        return "an executable page that nobody holds";
    return NULL;
}

static const char *leaf_verify(const struct vm *vm, const struct view *view, uint32_t s)
{
    const struct leaf *leaf = view->slot[s].leaf;
    unsigned nlive = 0, nlocal = 0, nsup = 0, nlarge = 0;

    for (uint32_t i = 0; i < SLOT_PAGES; i++) {
        uint32_t word = leaf->word[i], page = s * SLOT_PAGES + i;
        const char *wrong = word ? word_verify(vm, view, page, word) : NULL;

        if (wrong)
            return wrong;
        if (map_bit(leaf->live, i) != !!word)
            return "live bit";
        if (word_noted(view, word) && !rmap_knows(vm->mmu, view, page, word))
            return "reverse map misses a writable or executable page";
        nlive += !!word;
        nlocal += word && !(word & WORD_G);
        nsup += word && !(word & WORD_U);
        nlarge += !!(word & WORD_L);
    }
    if (!nlive)
        return "empty leaf";
    if (nlive != leaf->nlive || nlocal != leaf->nlocal || nsup != leaf->nsup || nlarge != leaf->nlarge)
        return "leaf counts";
    if (map_bit(view->local, s) != !!nlocal || map_bit(view->sup, s) != !!nsup || map_bit(view->large, s))
        return "slot bits of a leaf";
    return NULL;
}

static const char *large_verify(const struct vm *vm, const struct view *view, uint32_t s)
{
    uint32_t word = view->slot[s].large;

    for (uint32_t i = 0; i < SLOT_PAGES && (word & WORD_W); i++)
        if (gpn_watched(vm->mmu, word_gpn(word) + i))
            return "a watched page in a writable large word";
    for (uint32_t i = 0; i < SLOT_PAGES; i++) {
        const char *wrong = word_verify(vm, view, s * SLOT_PAGES + i, word + i * WORD_NEXT);

        if (wrong)
            return wrong;
    }
    if (!word_runs_large(view, word) || !map_bit(view->large, s) || map_bit(view->local, s) != !(word & WORD_G) ||
        map_bit(view->sup, s) != !(word & WORD_U))
        return "slot bits of a large word";
    return NULL;
}

static bool summary_wrong(uint32_t words, const uint64_t *map)
{
    for (uint32_t k = 0; k < SLOT_WORDS; k++)
        if ((words >> k & 1) != !!map[k])
            return true;
    return false;
}

static const char *view_verify(const struct vm *vm, const struct view *view)
{
    uint32_t leaves = 0;

    if (summary_wrong(view->used_words, view->used) || summary_wrong(view->local_words, view->local))
        return "summaries of slots";

    for (uint32_t s = 0; s < SLOTS; s++) {
        const struct slot *slot = &view->slot[s];
        const char *wrong = NULL;

        if (slot->leaf && slot->large)
            return "leaf and large word";
        if (map_bit(view->used, s) != (slot->leaf || slot->large))
            return "used bit";
        if (slot->leaf)
            wrong = leaf_verify(vm, view, s);
        else if (slot->large)
            wrong = large_verify(vm, view, s);
        else if (map_bit(view->local, s) || map_bit(view->sup, s) || map_bit(view->large, s))
            wrong = "bits of an empty slot";
        if (wrong)
            return wrong;
        leaves += !!slot->leaf;
    }
    if (leaves != view->nleaves)
        return "number of leaves";
    return view->kind != KIND_CODE && live_count_runs(view) > view->runs ? "more runs than the bound" : NULL;
}

const char *live_verify(const struct vm *vm)
{
    const struct mmu *m = vm->mmu;
    uint32_t leaves = m->code->nleaves;
    const char *wrong = view_verify(vm, m->code);

    for (unsigned i = 0; i < m->nviews && !wrong; i++) {
        wrong = view_verify(vm, m->view[i]);
        leaves += m->view[i]->nleaves;
    }
    if (wrong)
        return wrong;
    if (leaves + m->leaves_free != m->leaves_made)
        return "leaves lost";
    if (m->user_limit_known && m->user_limit != page_gla(lowest_sup(m)))
        return "user limit";
    return NULL;
}
