// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ring-0 world's page tables, read as a CPU reads them: what a linear address leads to in the view that is
 * loaded must be what was asked for, a view hides the shared one exactly where it has anything, and whatever a
 * TLB may have kept since the last flush and is no longer so must be among what is to be forgotten.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "world/ring0/ring0.h"

#define RAM (8u << 20)
#define POOL 12u            /* pages; two are the window's */
#define PRIVATE_SIZE (6u << 20)
#define VIEWS 4u            /* of those there are */
#define SLOT 512u           /* pages */
#define NSLOTS 4u
#define NPAGES (NSLOTS * SLOT)
#define PFN_PRIVATE 0x123000u
#define PFN_RAM 0x456000u

static struct vm vm;
static struct world w;
static uint8_t *private;
static uint64_t low_pdpt[512];
static struct {
    bool mapped;
    gpn_t gpn;
    unsigned prot;
} want[VIEWS][NPAGES];
static uint64_t tlb[NPAGES]; /* what a CPU may know that has read everything each time */

void bug_at(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: BUG: %s\n", file, line, what);
    abort();
}

static uint32_t rnd(uint32_t n)
{
    static uint64_t seed = 88172645463325252ull;

    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 20) % n;
}

/* Slots at a corner, across a GiB, and below the window. */
static uint32_t page_at(uint32_t i)
{
    static const uint32_t slot[NSLOTS] = { 0, 511, 512, (WIN_BASE >> 21) - 1 };

    return slot[i / SLOT] * SLOT + i % SLOT;
}

/* Neighbouring numbers mean nothing. */
static uint32_t private_pfn(uint32_t page) { return PFN_PRIVATE + (page ^ 5); }
static uint32_t ram_pfn(gpn_t gpn) { return PFN_RAM + (gpn ^ 3); }

static void setup(void)
{
    uint32_t *pfn_private = malloc(PRIVATE_SIZE / PAGE_SIZE * 4), *pfn_ram = malloc(RAM / PAGE_SIZE * 4);

    private = aligned_alloc(PAGE_SIZE, PRIVATE_SIZE);
    memset(private, 0, PRIVATE_SIZE);
    for (uint32_t i = 0; i < PRIVATE_SIZE / PAGE_SIZE; i++)
        pfn_private[i] = private_pfn(i);
    for (uint32_t i = 0; i < RAM / PAGE_SIZE; i++)
        pfn_ram[i] = ram_pfn(i);
    vm.world = &w;
    vm.ram_size = RAM;
    w.vm = &vm;
    arena_init(&vm.arena, private, PRIVATE_SIZE - POOL * PAGE_SIZE);
    ring0_memory_init(&w, &(struct ring0_pages){
                              .private = private,
                              .pfn_private = pfn_private,
                              .pfn_ram = pfn_ram,
                              .low_pdpt = low_pdpt,
                              .pool = private + PRIVATE_SIZE - POOL * PAGE_SIZE,
                              .pool_pages = POOL,
                          });
    world_load_view(&vm, 1);
}

/* --- as a CPU does it --- */

static const uint64_t *table_of(uint64_t entry)
{
    uint32_t page = (uint32_t)(((entry & 0xffffffffff000ull) >> PAGE_SHIFT) - PFN_PRIVATE) ^ 5;

    cr_assert_lt(page, PRIVATE_SIZE / PAGE_SIZE);
    cr_assert_eq(entry & PAGE_MASK, PTE_P | PTE_W | PTE_U | PTE_A);
    return (const uint64_t *)(private + (size_t)page * PAGE_SIZE);
}

/* The entry for a page, 0 if there is none. */
static uint64_t translate(uint32_t page)
{
    uint64_t pde = table_of(low_pdpt[page >> 18])[page >> 9 & 511], pte;

    if (!(pde & PTE_P))
        return 0;
    pte = table_of(pde)[page & 511];
    return pte & PTE_P ? pte : 0;
}

/* --- the model --- */

static bool slot_used(unsigned view, uint32_t slot)
{
    for (uint32_t i = slot * SLOT; i < (slot + 1) * SLOT; i++)
        if (want[view][i].mapped)
            return true;
    return false;
}

static uint64_t entry_wanted(unsigned view, uint32_t i)
{
    unsigned prot = want[view][i].prot;

    if (!want[view][i].mapped)
        return 0;
    return (uint64_t)ram_pfn(want[view][i].gpn) << PAGE_SHIFT | PTE_P | PTE_A | PTE_D | (prot & MAP_W ? PTE_W : 0) |
           (prot & MAP_U ? PTE_U : 0) | (prot & MAP_X ? 0 : PTE_NX);
}

static void check_shown(void)
{
    for (uint32_t slot = 0; slot < NSLOTS; slot++) {
        unsigned view = slot_used(w.space_loaded, slot) ? w.space_loaded : 0;

        for (uint32_t i = slot * SLOT; i < (slot + 1) * SLOT; i++)
            cr_assert_eq(translate(page_at(i)), entry_wanted(view, i), "view %u page %#x", view, page_at(i));
    }
}

static bool to_be_forgotten(uint32_t page)
{
    bool found = w.nstale > STALE_MAX;

    for (unsigned i = 0; i < w.nstale && !found; i++)
        found = w.stale[i] == (gla_t)page << PAGE_SHIFT;
    return w.flush && found;
}

static void check_tlb(void)
{
    for (uint32_t i = 0; i < NPAGES; i++) {
        bool right = !tlb[i] || tlb[i] == translate(page_at(i));

        cr_assert(right || to_be_forgotten(page_at(i)), "page %#x", page_at(i));
    }
}

/* The guest runs, and reads everything. */
static void run_guest(void)
{
    w.flush = false;
    w.nstale = 0;
    for (uint32_t i = 0; i < NPAGES; i++)
        tlb[i] = translate(page_at(i));
}

/* --- random calls --- */

/* Pages i..i+n-1 of a slot, or of two that are neighbours. */
static void random_range(uint32_t *i, uint32_t *n)
{
    uint32_t end;

    *i = rnd(NPAGES);
    end = *i / SLOT == 1 ? 3 * SLOT : (*i / SLOT + 1) * SLOT;
    *n = 1 + rnd(rnd(4) ? 4 : end - *i);
    *n = *n < end - *i ? *n : end - *i;
}

static void unmap(unsigned view, uint32_t i, uint32_t n)
{
    for (uint32_t k = i; k < i + n; k++)
        want[view][k].mapped = false;
    cr_assert(world_unmap(&vm, view, (gla_t)page_at(i) << PAGE_SHIFT, n));
}

static void drop_all_views(void)
{
    for (unsigned view = 0; view < VIEWS; view++)
        for (uint32_t slot = 0; slot < NSLOTS; slot++)
            unmap(view, slot * SLOT, SLOT);
}

static unsigned shortages;

static void map(unsigned view, uint32_t i, uint32_t n, unsigned prot)
{
    gla_t gla = (gla_t)page_at(i) << PAGE_SHIFT;
    gpn_t gpn = rnd(RAM / PAGE_SIZE - n);

    if (!world_map(&vm, view, gla, gpn_to_gpa(gpn), n, prot)) {
        shortages++;
        drop_all_views(); /* what was mapped half way included */
        check_tlb();
        cr_assert(world_map(&vm, view, gla, gpn_to_gpa(gpn), n, prot));
    }
    for (uint32_t k = 0; k < n; k++) {
        want[view][i + k].mapped = true;
        want[view][i + k].gpn = gpn + k;
        want[view][i + k].prot = prot;
    }
}

static void protect(unsigned view, uint32_t i, uint32_t n, unsigned prot)
{
    for (uint32_t k = i; k < i + n; k++)
        want[view][k].prot = prot;
    cr_assert(world_protect(&vm, view, (gla_t)page_at(i) << PAGE_SHIFT, n, prot));
}

static void step(void)
{
    unsigned view = rnd(VIEWS), prot = rnd(8);
    uint32_t i, n;

    random_range(&i, &n);
    switch (rnd(16)) {
    case 0 ... 5:
        map(view, i, n, prot);
        break;
    case 6 ... 7:
        protect(view, i, n, prot);
        break;
    case 8 ... 11:
        unmap(view, i, n);
        break;
    case 12:
        unmap(view, i / SLOT * SLOT, SLOT);
        break;
    case 13:
        world_load_view(&vm, 1 + rnd(VIEWS - 1));
        break;
    default:
        run_guest();
    }
}

Test(world_ring0_memory, random_calls)
{
    setup();
    run_guest();
    for (unsigned k = 0; k < 20000; k++) {
        step();
        check_shown();
        check_tlb();
    }
    cr_assert_gt(shortages, 50);
}

Test(world_ring0_memory, no_table_is_lost)
{
    setup();
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned k = 0; k < POOL - 2; k++)
            cr_assert(world_map(&vm, k % VIEWS, (gla_t)(1 + k) << 21, 0, 1, MAP_W));
        cr_assert(!world_map(&vm, 0, 0x80000000, 0, 1, MAP_W));
        for (unsigned k = 0; k < POOL - 2; k++)
            cr_assert(world_unmap(&vm, k % VIEWS, 0, WIN_BASE >> PAGE_SHIFT));
    }
}

/* The common case, a hidden fault, is no reason to flush anything. */
Test(world_ring0_memory, filling_forgets_nothing)
{
    setup();
    run_guest();
    cr_assert(world_map(&vm, 0, 0xc0000000, 0, 1024, MAP_W));
    cr_assert(world_map(&vm, 1, 0x08000000, 0x100000, 64, MAP_W | MAP_U));
    cr_assert(world_map(&vm, 2, 0x08000000, 0x200000, 64, MAP_W | MAP_U));
    cr_assert(!w.flush);
    cr_assert(world_protect(&vm, 2, 0x08000000, 64, MAP_U)); /* nobody knows them */
    cr_assert(!w.flush);
    cr_assert(world_protect(&vm, 1, 0x08001000, 1, MAP_U));
    cr_assert(w.flush && w.nstale == 1 && w.stale[0] == 0x08001000);
    cr_assert(world_protect(&vm, 1, 0x08000000, 64, MAP_U));
    cr_assert(w.nstale > STALE_MAX);
}

/* A D bit that was taken is set anew by the next write only if the TLB has forgotten the entry. */
Test(world_ring0_memory, dirty_is_taken_once)
{
    setup();
    cr_assert(world_map(&vm, 1, 0x08000000, 0x100000, 2, MAP_W | MAP_U));
    run_guest();
    cr_assert(!w.flush);
    cr_assert(world_take_dirty(&vm, 1, 0x08001000)); /* as mapped */
    cr_assert(w.flush && w.nstale == 1 && w.stale[0] == 0x08001000);
    cr_assert(!(translate(0x08001) & PTE_D) && (translate(0x08000) & PTE_D));
    run_guest();
    cr_assert(!world_take_dirty(&vm, 1, 0x08001000) && !w.flush);
    cr_assert(!world_take_dirty(&vm, 1, 0x08002000), "nothing is mapped");
    cr_assert(world_protect(&vm, 1, 0x08001000, 1, MAP_W));
    cr_assert(world_take_dirty(&vm, 1, 0x08001000));
}

Test(world_ring0_memory, the_window_is_in_every_view)
{
    setup();
    for (unsigned view = 1; view <= world_direct_views(&vm); view++) {
        world_load_view(&vm, view);
        for (uint32_t page = WIN_BASE >> PAGE_SHIFT; page < 1u << 20; page++) {
            uint64_t e = translate(page);
            bool data = page < (WIN_DATA + WIN_DATA_SIZE) >> PAGE_SHIFT;

            cr_assert(e && !(e & PTE_U) && !!(e & PTE_W) == data && !!(e & PTE_NX) == data, "page %#x", page);
        }
    }
}
