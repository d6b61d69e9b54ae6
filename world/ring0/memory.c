// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shadow page tables of the ring-0 world: real ones.
 *
 * A view is four page directories (linear 0-4 GiB; SDM vol. 3A 4.5) and the page tables below, taken from a pool
 * of private pages. There is one PML4 and one page of PDPTEs, the module's; a view is loaded by storing its four
 * directories there and reloading CR3.
 *
 * Views are spaces (world.h): user pages have the U bit, so that translated kernel code (CPL 1, a supervisor for paging) and
 * direct user code (CPL 3) run in the same tables. View 0 holds what all spaces share. Where a space has no table
 * of its own for 2 MiB, its directory leads to view 0's; so a space has a table only while something is mapped in
 * it, which is counted. The top 4 MiB are the window, by two tables of view 0 that stay.
 *
 * All entries have A and D set: the guest's own bits are kept by shadowmmu/, which maps a page only when its A bit
 * is set and writable only when D is.
 *
 * What the TLB may still know of changed entries is collected, and forgotten before the guest runs: the monitor
 * itself never uses the guest's linear addresses. A CPU keeps nothing of entries that are not present (SDM vol. 3A 4.10.2.3),
 * so filling empty ones costs nothing. Where a table takes another's place or goes, everything is forgotten, for
 * entries of directories are kept apart from those of pages.
 *
 * Running out of pool pages is the caller's to handle: it drops entries and tries again.
 */
#include "world/ring0/ring0.h"

#include "base/assert.h"

#define LEAF (PTE_P | PTE_A | PTE_D)
#define TABLE (PTE_P | PTE_W | PTE_U | PTE_A)
#define PT_ENTRIES 512u
#define SPACES 8u

/* --- the pool --- */

static uint64_t *pt_hva(const struct world *w, uint32_t n)
{
    return (uint64_t *)(w->pages.pool + (uint64_t)(n - 1) * PAGE_SIZE);
}

static uint64_t private_pa(const struct world *w, const void *p)
{
    size_t page = (size_t)((const uint8_t *)p - w->pages.private) >> PAGE_SHIFT;

    return (uint64_t)w->pages.pfn_private[page] << PAGE_SHIFT;
}

static uint64_t ram_pa(const struct world *w, gpn_t gpn) { return (uint64_t)w->pages.pfn_ram[gpn] << PAGE_SHIFT; }

/* An empty table, or PT_NONE. */
static uint32_t pt_new(struct world *w)
{
    uint32_t n = w->pt_free;

    if (n) {
        w->pt_free = (uint32_t)*pt_hva(w, n);
        *pt_hva(w, n) = 0; /* freed tables are empty but for this word */
        return n;
    }
    return w->pt_made < w->pages.pool_pages ? ++w->pt_made : PT_NONE;
}

static void pt_free(struct world *w, uint32_t n)
{
    *pt_hva(w, n) = w->pt_free;
    w->pt_free = n;
}

/* --- what the TLB has to forget --- */

static void forget_all(struct world *w)
{
    w->flush = true;
    w->nstale = STALE_MAX + 1;
}

/* It holds entries of the loaded view and of the shared one only: loading another flushes it. */
static bool may_be_known(const struct world *w, unsigned view) { return !view || view == w->space_loaded; }

static void forget(struct world *w, uint32_t page)
{
    w->flush = true;
    if (w->nstale >= STALE_MAX)
        forget_all(w);
    else
        w->stale[w->nstale++] = (gla_t)page << PAGE_SHIFT;
}

void ring0_tlb_flush(struct world *w)
{
    if (w->nstale > STALE_MAX)
        write_cr3(w->cross->vmm_cr3);
    else
        for (unsigned i = 0; i < w->nstale; i++)
            invlpg(w->stale[i]);
    w->nstale = 0;
    w->flush = false;
}

/* --- one view's tables --- */

/* A view's directory entry for a slot: its own table, or else the shared one. */
static void pde_update(struct world *w, unsigned view, uint32_t slot)
{
    struct space *s = w->space[view];
    uint32_t n = s->pt[slot] ? s->pt[slot] : w->space[0]->pt[slot];
    uint64_t *pde = &s->pd[slot / PT_ENTRIES][slot % PT_ENTRIES];
    uint64_t was = *pde;

    *pde = n ? private_pa(w, pt_hva(w, n)) | TABLE : 0;
    if (was && was != *pde && may_be_known(w, view))
        forget_all(w);
}

/* A view has got, or lost, its table for a slot. */
static void pt_changed(struct world *w, unsigned view, uint32_t slot)
{
    unsigned end = view ? view + 1 : w->nspaces;

    for (unsigned i = view; i < end; i++)
        pde_update(w, i, slot);
}

static uint64_t *pt_get(struct world *w, unsigned view, uint32_t slot)
{
    struct space *s = w->space[view];
    uint32_t n = s->pt[slot];

    if (likely(n))
        return pt_hva(w, n);
    n = pt_new(w);
    if (!n)
        return NULL;
    s->pt[slot] = (uint16_t)n;
    s->used[slot] = 0;
    pt_changed(w, view, slot);
    return pt_hva(w, n);
}

static void pt_drop(struct world *w, unsigned view, uint32_t slot)
{
    uint32_t n = w->space[view]->pt[slot];

    w->space[view]->pt[slot] = PT_NONE;
    pt_changed(w, view, slot);
    pt_free(w, n);
}

static struct space *space_get(struct world *w, unsigned view)
{
    ASSERT(view < w->nspaces);
    return w->space[view];
}

/* The entry of a page; NULL if there is no table for it. */
static uint64_t *pte_get(struct world *w, unsigned view, uint32_t page)
{
    uint32_t n = space_get(w, view)->pt[page / PT_ENTRIES];

    return n ? &pt_hva(w, n)[page % PT_ENTRIES] : NULL;
}

/* Change an entry. */
static inline void pte_put(struct world *w, unsigned view, uint32_t page, uint64_t *pte, uint64_t to)
{
    if (*pte && *pte != to && may_be_known(w, view))
        forget(w, page);
    *pte = to;
}

static uint64_t rights(unsigned prot)
{
    return LEAF | (prot & MAP_W ? PTE_W : 0) | (prot & MAP_X ? 0 : PTE_NX) | (prot & MAP_U ? PTE_U : 0);
}

static void range_check(gla_t gla, uint32_t npages)
{
    ASSERT(!page_offset(gla) && npages && (uint64_t)gla + ((uint64_t)npages << PAGE_SHIFT) <= WIN_BASE);
}

bool world_map(struct vm *vm, unsigned view, gla_t gla, gpa_t gpa, uint32_t npages, unsigned prot)
{
    struct world *w = vm->world;
    struct space *s = space_get(w, view);
    uint64_t bits = rights(prot);
    gpn_t gpn = gpa_to_gpn(gpa);

    range_check(gla, npages);
    ASSERT(!(gpa & PAGE_MASK) && gpa < vm->ram_size && ((uint64_t)npages << PAGE_SHIFT) <= vm->ram_size - gpa);
    for (uint32_t page = gla >> PAGE_SHIFT, end = page + npages; page < end;) {
        uint32_t slot = page / PT_ENTRIES;
        uint64_t *pt = pt_get(w, view, slot);

        if (!pt)
            return false;
        do {
            uint64_t *pte = &pt[page % PT_ENTRIES];

            s->used[slot] = (uint16_t)(s->used[slot] + !*pte);
            pte_put(w, view, page, pte, ram_pa(w, gpn++) | bits);
        } while (++page % PT_ENTRIES && page < end);
    }
    return true;
}

bool world_protect(struct vm *vm, unsigned view, gla_t gla, uint32_t npages, unsigned prot)
{
    struct world *w = vm->world;
    const uint64_t keep = ~(PTE_NX | PAGE_MASK);

    range_check(gla, npages);
    for (uint32_t page = gla >> PAGE_SHIFT, end = page + npages; page < end; page++) {
        uint64_t *pte = pte_get(w, view, page);

        if (pte && *pte)
            pte_put(w, view, page, pte, (*pte & keep) | rights(prot));
    }
    return true;
}

/* Mapped again, or with other rights, an entry counts as written through. */
bool world_take_dirty(struct vm *vm, unsigned view, gla_t gla)
{
    uint64_t *pte = pte_get(vm->world, view, gla >> PAGE_SHIFT);

    if (!pte || !(*pte & PTE_D))
        return false;
    /* What the TLB knows would not set it again. */
    pte_put(vm->world, view, gla >> PAGE_SHIFT, pte, *pte & ~(uint64_t)PTE_D);
    return true;
}

/* Tables go when they are empty. */
const uint64_t *world_entry(struct vm *vm, unsigned view, gla_t gla)
{
    const uint64_t *pte = pte_get(vm->world, view, gla >> PAGE_SHIFT);

    ASSERT(pte && *pte);
    return pte;
}

/* Entries of one table; it goes when it is empty. */
static void unmap_in(struct world *w, unsigned view, uint32_t slot, uint32_t first, uint32_t end)
{
    struct space *s = w->space[view];
    uint64_t *pt = pt_hva(w, s->pt[slot]);

    for (uint32_t i = first; i < end; i++) {
        s->used[slot] = (uint16_t)(s->used[slot] - !!pt[i]);
        pte_put(w, view, slot * PT_ENTRIES + i, &pt[i], 0);
    }
    if (!s->used[slot])
        pt_drop(w, view, slot);
}

bool world_unmap(struct vm *vm, unsigned view, gla_t gla, uint32_t npages)
{
    struct world *w = vm->world;
    struct space *s = space_get(w, view);
    uint32_t page = gla >> PAGE_SHIFT, end = page + npages;

    range_check(gla, npages);
    while (page < end) {
        uint32_t slot = page / PT_ENTRIES, next = (uint32_t)min_u64((slot + 1) * PT_ENTRIES, end);

        if (s->pt[slot])
            unmap_in(w, view, slot, page % PT_ENTRIES, next - slot * PT_ENTRIES);
        page = next;
    }
    return true;
}

gla_t world_min_gla(struct vm *vm)
{
    (void)vm;
    return 0;
}

bool world_spaces(struct vm *vm)
{
    (void)vm;
    return true;
}

unsigned world_direct_views(struct vm *vm)
{
    (void)vm;
    return SPACES;
}

/* --- loading --- */

void world_load_view(struct vm *vm, unsigned view)
{
    struct world *w = vm->world;
    struct space *s = space_get(w, view);

    __builtin_memcpy(w->pages.low_pdpt, s->pdpte, sizeof s->pdpte); /* four moves */
    w->space_loaded = view;
    forget_all(w);
}

/* --- the start --- */

static void window_init(struct world *w)
{
    const uint32_t size = 0u - WIN_BASE;

    w->win = arena_alloc(&w->vm->arena, size, PAGE_SIZE);
    for (uint32_t off = 0; off < size; off += PAGE_SIZE) {
        gla_t gla = WIN_BASE + off;
        uint64_t *pt = pt_get(w, 0, gla >> 21), bits = LEAF;

        ASSERT(pt);
        if (gla < WIN_DATA + WIN_DATA_SIZE)
            bits |= PTE_W | PTE_NX;
        pt[gla >> PAGE_SHIFT & (PT_ENTRIES - 1)] = private_pa(w, w->win + off) | bits;
    }
}

static struct space *space_new(struct world *w)
{
    struct space *s = arena_alloc(&w->vm->arena, sizeof *s, 64);

    for (unsigned i = 0; i < 4; i++) {
        s->pd[i] = arena_alloc(&w->vm->arena, PAGE_SIZE, PAGE_SIZE);
        s->pdpte[i] = private_pa(w, s->pd[i]) | TABLE;
    }
    return s;
}

void ring0_memory_init(struct world *w, const struct ring0_pages *pages)
{
    w->pages = *pages;
    w->nspaces = 1 + SPACES;
    for (unsigned i = 0; i < w->nspaces; i++)
        w->space[i] = space_new(w);
    window_init(w);
}
