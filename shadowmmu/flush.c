// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Paging events: what the CPU does to its TLB, done to the shadow entries (SDM
 * vol. 3A 4.10.4).
 *
 * Dropping is rarely needed: an entry that agrees with the guest's tables at the
 * moment of the flush is what the next access would have made anew. So every flush
 * is a comparison, and only what differs goes. A CR3 load looks at what is not global
 * (at everything without CR4.PGE), a toggle of PGE, PSE or NXE at everything. When the
 * format of the tables changes (PG, PAE), nothing is worth comparing.
 * CR0.WP needs nothing here: the shadow never maps a page writable that
 * the guest's tables don't; such writes are emulated.
 *
 * A view that is not current (views.c) waits until it is.
 *
 * The code table answers the translator's question whether kernel code may have moved:
 * it holds the pages of supervisor fetches and is compared like a view.
 */
#include "shadowmmu/mmu_priv.h"

void code_note(struct vcpu *v, gla_t gla)
{
    struct vm *vm = v->vm;
    struct view *code = vm->mmu->code;
    uint32_t page = gla_to_page(gla), s = page / SLOT_PAGES, word;
    struct cursor c;

    cursor_load(v, s, &c);
    word = cursor_word(vm->mmu, &c, page % SLOT_PAGES, KIND_CODE);
    if (live_word(code, page) == word)
        return;
    /* Something else was there, and no flush has told: the fetch did. All fetches shall see the same now. */
    if (live_word(code, page)) {
        vm->mmu->gens.global++;
        tlb_drop(vm->mmu, gla);
    }
    if (!code->slot[s].leaf)
        live_reserve(vm, 1);
    live_set(vm, code, page, word);
    slot_seen_check(code, s, &c);
}

static void code_revalidate(struct vcpu *v, uint32_t first, uint32_t end, bool globals_too)
{
    struct mmu *m = v->vm->mmu;

    if (live_revalidate(v, m->code, first, end, globals_too, NULL))
        m->gens.global++;
}

static uint32_t spaces_loaded(struct vcpu *v, struct mmu *m, bool globals_too, uint32_t *kept)
{
    bool missed = space_switch(v);
    uint32_t dropped = live_revalidate_changed(v, m->view[VIEW_KERNEL], globals_too, kept) +
                       live_revalidate_changed(v, m->space, globals_too || missed, kept);

    if (live_revalidate_changed(v, m->code, globals_too, NULL))
        m->gens.global++;
    return dropped;
}

static __attribute__((noinline)) uint32_t views_loaded(struct vcpu *v, struct mmu *m, bool globals_too, uint32_t *kept)
{
    uint32_t dropped = 0;

    for (unsigned i = 0; i < m->nviews; i++) {
        struct view *view = m->view[i];

        if (view_current(m, view))
            dropped += live_revalidate(v, view, 0, GLA_PAGES, globals_too || view->stale, kept);
        view->stale = !view_current(m, view);
    }
    if (globals_too || m->code->local_words)
        code_revalidate(v, 0, GLA_PAGES, globals_too);
    return dropped;
}

void gmem_cr3_loaded(struct vcpu *v)
{
    struct vm *vm = v->vm;
    struct mmu *m = vm->mmu;
    bool globals_too = !(v->cr4 & CR4_PGE);
    uint32_t kept = 0, dropped;

    vm->stats->cr3_loads++;
    if (!(v->cr0 & CR0_PG))
        return;
    if (globals_too)
        tlb_flush(m);
    else
        tlb_flush_local(m);
    m->gens.user++;
    dropped = m->space ? spaces_loaded(v, m, globals_too, &kept) : views_loaded(v, m, globals_too, &kept);
    TRACE_EV(vm->trace, cr3, v->cr3, kept, dropped);
}

void gmem_mode_changed(struct vcpu *v, uint32_t old_cr0, uint32_t old_cr4, uint64_t old_efer)
{
    struct mmu *m = v->vm->mmu;
    uint32_t cr0 = old_cr0 ^ v->cr0, cr4 = old_cr4 ^ v->cr4;
    bool nxe = (old_efer ^ v->efer) & EFER_NXE;
    bool format = (cr0 & CR0_PG) || ((v->cr0 & CR0_PG) && (cr4 & CR4_PAE));

    if ((cr0 & (CR0_PG | CR0_WP)) || (cr4 & (CR4_PAE | CR4_PSE | CR4_PGE)) || nxe)
        tlb_flush(m);
    if (!format && !((v->cr0 & CR0_PG) && ((cr4 & (CR4_PSE | CR4_PGE)) || nxe)))
        return;
    m->gens.user++;
    m->flushes++;
    if ((cr4 & CR4_PSE) || nxe)
        tables_forget(m);
    for (unsigned i = 0; i < m->nviews; i++) {
        if (format)
            live_drop_all(v->vm, m->view[i]);
        else if (view_current(m, m->view[i]))
            live_revalidate(v, m->view[i], 0, GLA_PAGES, true, NULL);
        else
            m->view[i]->stale = true;
    }
    if (format) {
        space_reset(v->vm);
        live_drop_all(v->vm, m->code);
        m->gens.global++;
    } else {
        code_revalidate(v, 0, GLA_PAGES, true);
    }
}

/* The pages that INVLPG is about: the whole large page if one is, or was, mapped there. */
static void invlpg_range(struct vcpu *v, const struct view *view, uint32_t page, uint32_t *first,
                         uint32_t *end)
{
    uint32_t s = page / SLOT_PAGES, n = 1;
    struct cursor c;
    bool large;

    if (!(v->cr4 & CR4_PAE)) {
        s &= ~1u;
        n = 2;
    }
    cursor_load(v, page / SLOT_PAGES, &c);
    large = c.large;
    for (uint32_t i = s; i < s + n; i++)
        large |= view->slot[i].large || (view->slot[i].leaf && view->slot[i].leaf->nlarge);
    *first = large ? s * SLOT_PAGES : page;
    *end = large ? (s + n) * SLOT_PAGES : page + 1;
}

#define INVLPG_AHEAD 16u

static uint32_t view_invlpg(struct vcpu *v, struct view *view, gla_t gla)
{
    uint32_t first, end, dropped, s = gla_to_page(gla) / SLOT_PAGES;

    if (!map_bit(view->used, s) && !map_bit(view->used, s ^ 1))
        return 0;
    invlpg_range(v, view, gla_to_page(gla), &first, &end);
    if (end == first + 1 && !live_word(view, first))
        return 0;
    dropped = live_revalidate(v, view, first, end, true, NULL);
    /* Kernels take mappings down page by page, upwards; unmapping costs the same for many. */
    if (dropped && end == first + 1 && view->kind == KIND_KERNEL && !v->vm->mmu->space)
        live_drop_sup_range(v->vm, view, end, (uint32_t)min_u64(end + INVLPG_AHEAD, gla_to_page(WIN_BASE)));
    return dropped;
}

/* Does it concern user code?  That a page of it is part of may be large. */
static bool near_user_code(const struct mmu *m, gla_t gla)
{
    return m->fetched_gen == m->gens.user && gla >> 22 >= m->fetched_first >> 22 && gla >> 22 <= m->fetched_last >> 22;
}

void gmem_invlpg(struct vcpu *v, gla_t gla)
{
    struct vm *vm = v->vm;
    struct mmu *m = vm->mmu;

    vm->stats->invlpgs++;
    TRACE_EV(vm->trace, invlpg, gla, v->eip, 0);
    if (!(v->cr0 & CR0_PG))
        return;
    if (near_user_code(m, gla))
        m->gens.user++;
    m->flushes++;
    tlb_drop(m, gla);
    for (unsigned i = 0; i < m->nviews; i++)
        if (!m->view[i]->stale)
            view_invlpg(v, m->view[i], gla);
    if (view_invlpg(v, m->code, gla))
        m->gens.global++;
}

static uint32_t view_fault_seen(struct vcpu *v, struct view *view, gla_t gla)
{
    return live_word(view, gla_to_page(gla)) ? view_invlpg(v, view, gla) : 0;
}

void mmu_fault_seen(struct vcpu *v, struct view *view, gla_t gla)
{
    struct mmu *m = v->vm->mmu;

    m->flushes++;
    tlb_drop(m, gla);
    view_fault_seen(v, view, gla);
    if (view->kind == KIND_SPACE)
        view_fault_seen(v, m->view[VIEW_KERNEL], gla);
    if (view_fault_seen(v, m->code, gla))
        m->gens.global++;
}

gla_t mmu_user_limit(struct vcpu *v)
{
    struct mmu *m = v->vm->mmu;
    const uint32_t middle = gla_to_page(0x80000000u);
    uint32_t lowest;

    if (likely(m->user_limit_known))
        return m->user_limit;
    lowest = lowest_sup(m);
    if (lowest < middle) {
        live_drop_sup(v->vm, m->view[VIEW_KERNEL], middle);
        if (m->space)
            live_drop_sup(v->vm, m->space, middle);
        lowest = lowest_sup(m);
    }
    m->user_limit = page_gla(lowest);
    m->user_limit_known = true;
    return m->user_limit;
}
