// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shadow page tables of the ring-0 world: real ones.
 *
 * A view is four page directories (linear 0-4 GiB; SDM vol. 3A 4.5) and the page tables below, taken from a pool
 * of private pages. There is one PML4 and one page of PDPTEs, the module's; a view is loaded by storing its four
 * directories there and reloading CR3. The top 4 MiB of the kernel view are the window, by two tables that stay.
 *
 * Kernel views are for CPL 1, so supervisor pages do; user views have the U bit. All entries have A and D set: the guest's own
 * bits are kept by shadowmmu/, which maps a page only when its A bit is set and writable only when D is.
 *
 * Running out of pool pages is the caller's to handle: it drops entries and tries again. Tables go back to the
 * pool when what is unmapped covers them.
 */
#include "world/ring0/ring0.h"

#include "base/assert.h"

#define LEAF (PTE_P | PTE_A | PTE_D)
#define TABLE (PTE_P | PTE_W | PTE_U | PTE_A)
#define PT_ENTRIES 512u
#define FLUSH_ALL 32u /* from so many pages on, one CR3 load is cheaper than INVLPGs */

/* --- the pool --- */

static uint64_t *pt_hva(const struct world *w, uint32_t n)
{
    return (uint64_t *)(w->pool.base + (uint64_t)(n - 1) * PAGE_SIZE);
}

static uint64_t private_pa(const void *p)
{
    uint64_t page = ((uint64_t)p - MON_PRIVATE) >> PAGE_SHIFT;

    return (uint64_t)((const uint32_t *)MON_PFN_PRIVATE)[page] << PAGE_SHIFT;
}

static uint64_t ram_pa(gpn_t gpn)
{
    return (uint64_t)((const uint32_t *)MON_PFN_RAM)[gpn] << PAGE_SHIFT;
}

/* An empty table, or PT_NONE. */
static uint32_t pt_new(struct world *w)
{
    struct pt_pool *p = &w->pool;
    uint32_t n = p->free;

    if (n) {
        p->free = (uint32_t)*pt_hva(w, n);
        p->nfree--;
        *pt_hva(w, n) = 0; /* freed tables are empty but for this word */
        return n;
    }
    return p->made < p->pages ? ++p->made : PT_NONE;
}

static void pt_free(struct world *w, uint32_t n)
{
    struct pt_pool *p = &w->pool;

    *pt_hva(w, n) = p->free;
    p->free = n;
    p->nfree++;
}

/* --- one view's tables --- */

static void pde_set(struct space *s, uint32_t slot, uint64_t entry)
{
    s->pd[slot / PT_ENTRIES][slot % PT_ENTRIES] = entry;
}

static uint64_t *pt_get(struct world *w, struct space *s, uint32_t slot, bool make)
{
    uint32_t n = s->pt[slot];

    if (n || !make)
        return n ? pt_hva(w, n) : NULL;
    n = pt_new(w);
    if (!n)
        return NULL;
    s->pt[slot] = (uint16_t)n;
    pde_set(s, slot, private_pa(pt_hva(w, n)) | TABLE);
    return pt_hva(w, n);
}

static void pt_drop(struct world *w, struct space *s, uint32_t slot)
{
    uint32_t n = s->pt[slot];

    memset(pt_hva(w, n), 0, PAGE_SIZE);
    pde_set(s, slot, 0);
    s->pt[slot] = PT_NONE;
    pt_free(w, n);
}

static struct space *space_get(struct world *w, unsigned view)
{
    ASSERT(view < w->nspaces);
    return w->space[view];
}

/* The TLB holds entries of the loaded view only: loading another flushes it. */
static void forget(struct world *w, unsigned view, gla_t gla, uint32_t npages)
{
    if (view != w->space_loaded)
        return;
    if (npages >= FLUSH_ALL)
        w->flush = true;
    else
        for (uint32_t i = 0; i < npages && !w->flush; i++)
            invlpg(gla + i * PAGE_SIZE);
}

static uint64_t rights(unsigned view, unsigned prot)
{
    return LEAF | (prot & MAP_W ? PTE_W : 0) | (prot & MAP_X ? 0 : PTE_NX) | (view ? PTE_U : 0);
}

static void range_check(gla_t gla, uint32_t npages, unsigned view)
{
    uint64_t end = view ? 1ull << 32 : WIN_BASE;

    ASSERT(!page_offset(gla) && npages && (uint64_t)gla + ((uint64_t)npages << PAGE_SHIFT) <= end);
}

bool world_map(struct vm *vm, unsigned view, gla_t gla, gpa_t gpa, uint32_t npages, unsigned prot)
{
    struct world *w = vm->world;
    struct space *s = space_get(w, view);
    uint64_t bits = rights(view, prot);
    gpn_t gpn = gpa_to_gpn(gpa);

    range_check(gla, npages, view);
    ASSERT(!(gpa & PAGE_MASK) && gpa < vm->ram_size && ((uint64_t)npages << PAGE_SHIFT) <= vm->ram_size - gpa);
    for (uint32_t page = gla >> PAGE_SHIFT, end = page + npages; page < end;) {
        uint64_t *pt = pt_get(w, s, page / PT_ENTRIES, true);

        if (!pt)
            return false;
        do {
            pt[page % PT_ENTRIES] = ram_pa(gpn++) | bits;
        } while (++page % PT_ENTRIES && page < end);
    }
    forget(w, view, gla, npages);
    return true;
}

bool world_protect(struct vm *vm, unsigned view, gla_t gla, uint32_t npages, unsigned prot)
{
    struct world *w = vm->world;
    struct space *s = space_get(w, view);
    const uint64_t keep = ~(uint64_t)(PTE_W | PTE_NX | 0xfff);

    range_check(gla, npages, view);
    for (uint32_t page = gla >> PAGE_SHIFT, end = page + npages; page < end; page++) {
        uint64_t *pt = pt_get(w, s, page / PT_ENTRIES, false);

        if (pt && pt[page % PT_ENTRIES])
            pt[page % PT_ENTRIES] = (pt[page % PT_ENTRIES] & keep) | rights(view, prot);
    }
    forget(w, view, gla, npages);
    return true;
}

bool world_unmap(struct vm *vm, unsigned view, gla_t gla, uint32_t npages)
{
    struct world *w = vm->world;
    struct space *s = space_get(w, view);
    uint32_t page = gla >> PAGE_SHIFT, end = page + npages;

    range_check(gla, npages, view);
    while (page < end) {
        uint32_t slot = page / PT_ENTRIES, next = (uint32_t)min_u64((slot + 1) * PT_ENTRIES, end);

        if (s->pt[slot] && next - page == PT_ENTRIES)
            pt_drop(w, s, slot);
        else if (s->pt[slot])
            memset(pt_hva(w, s->pt[slot]) + page % PT_ENTRIES, 0, (next - page) * 8);
        page = next;
    }
    forget(w, view, gla, npages);
    return true;
}

gla_t world_min_gla(struct vm *vm)
{
    (void)vm;
    return 0;
}

/* --- loading --- */

void ring0_space_load(struct world *w, unsigned view)
{
    uint64_t *pdpt = (uint64_t *)MON_LOW_PDPT;

    if (likely(view == w->space_loaded && !w->flush))
        return;
    if (view != w->space_loaded)
        for (unsigned i = 0; i < 4; i++)
            pdpt[i] = private_pa(w->space[view]->pd[i]) | TABLE;
    w->space_loaded = view;
    w->flush = false;
    write_cr3(w->cross->vmm_cr3);
}

/* --- the start --- */

static void window_entry(struct world *w, uint64_t *pt, gla_t gla)
{
    uint64_t bits = LEAF;

    if (gla < WIN_DATA + WIN_DATA_SIZE)
        bits |= PTE_W | PTE_NX;
    pt[gla >> PAGE_SHIFT & (PT_ENTRIES - 1)] = private_pa(w->win + (gla - WIN_BASE)) | bits;
}

static void window_init(struct world *w)
{
    const uint32_t size = 0u - WIN_BASE;

    w->win = arena_alloc(&w->vm->arena, size, PAGE_SIZE);
    for (uint32_t off = 0; off < size; off += PAGE_SIZE) {
        uint32_t slot = (WIN_BASE + off) >> 21;
        uint64_t *pt = pt_get(w, w->space[0], slot, true);

        ASSERT(pt);
        window_entry(w, pt, WIN_BASE + off);
    }
}

static struct space *space_new(struct world *w)
{
    struct space *s = arena_alloc(&w->vm->arena, sizeof *s, 64);

    for (unsigned i = 0; i < 4; i++)
        s->pd[i] = arena_alloc(&w->vm->arena, PAGE_SIZE, PAGE_SIZE);
    return s;
}

void ring0_memory_init(struct world *w, uint8_t *pool, uint32_t pool_pages)
{
    w->pool = (struct pt_pool){ .base = pool, .pages = pool_pages };
    w->nspaces = 1 + world_direct_views(w->vm);
    for (unsigned i = 0; i < w->nspaces; i++)
        w->space[i] = space_new(w);
    window_init(w);
    w->space_loaded = SPACES_MAX;
}
