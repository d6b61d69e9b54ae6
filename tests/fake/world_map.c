// SPDX-License-Identifier: GPL-2.0-or-later
/* See the header. Runs of pages must lie inside RAM and inside the view; anything else ends the test. */
#include "tests/fake/world_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "shadowmmu/mmu_priv.h"

#define ARENA_SIZE (24u << 20)
#define SLOT_PAGES 512u

struct fake_world fake_world;

void bug_at(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: BUG: %s\n", file, line, what);
    abort();
}

struct vm *fake_vm_new(uint64_t ram_size)
{
    struct vm *vm = calloc(1, sizeof *vm);
    struct vcpu *v = calloc(1, sizeof *v);

    vm->ram = calloc(1, ram_size);
    vm->ram_size = ram_size;
    vm->stats = calloc(1, sizeof *vm->stats);
    vm->trace = calloc(1, sizeof *vm->trace);
    vm->vcpu = v;
    v->vm = vm;
    arena_init(&vm->arena, malloc(ARENA_SIZE), ARENA_SIZE);
    for (unsigned i = 0; i < FAKE_VIEWS; i++) {
        free(fake_world.page[i]);
        fake_world.page[i] = calloc(1u << 20, sizeof *fake_world.page[i]);
        memset(fake_world.used[i], 0, sizeof fake_world.used[i]);
    }
    fake_world.tables = 0;
    return vm;
}

const struct fake_page *fake_mapping(unsigned view, gla_t gla)
{
    return &fake_world.page[view][gla >> PAGE_SHIFT];
}

const struct fake_page *fake_shown(gla_t gla)
{
    return fake_mapping(fake_world.used[fake_world.loaded][(gla >> PAGE_SHIFT) / SLOT_PAGES] ? fake_world.loaded : 0, gla);
}

static void page_put(unsigned view, uint32_t page, struct fake_page to)
{
    struct fake_page *at = &fake_world.page[view][page];
    uint16_t *used = &fake_world.used[view][page / SLOT_PAGES];

    if (to.mapped && !at->mapped && !(*used)++)
        fake_world.tables++;
    if (!to.mapped && at->mapped && !--*used)
        fake_world.tables--;
    *at = to;
}

/* Would mapping this page take one more table than there are? */
static bool out_of_tables(unsigned view, uint32_t page)
{
    return fake_world.tables_max && fake_world.tables >= fake_world.tables_max &&
           !fake_world.used[view][page / SLOT_PAGES];
}

static void range_check(unsigned view, gla_t gla, uint32_t npages)
{
    uint64_t end = gla + (uint64_t)npages * PAGE_SIZE;

    ASSERT(view <= fake_world.direct_views && view < FAKE_VIEWS);
    ASSERT(!(gla & PAGE_MASK) && npages);
    ASSERT(gla >= fake_world.min_gla);
    ASSERT(end <= (view && !fake_world.spaces ? 1ull << 32 : WIN_BASE));
}

static bool fails(void)
{
    if (!fake_world.fail_next)
        return false;
    fake_world.fail_next--;
    return true;
}

bool world_map(struct vm *vm, unsigned view, gla_t gla, gpa_t gpa, uint32_t npages, unsigned prot)
{
    range_check(view, gla, npages);
    ASSERT(gpa + (gpa_t)npages * PAGE_SIZE <= vm->ram_size);
    if (fails())
        return false;
    for (uint32_t i = 0; i < npages; i++) {
        if (out_of_tables(view, (gla >> PAGE_SHIFT) + i)) {
            fake_world.shortages++;
            return false;
        }
        page_put(view, (gla >> PAGE_SHIFT) + i,
                 (struct fake_page){.entry = PTE_D, .gpn = gpa_to_gpn(gpa) + i, .mapped = 1,
                                    .prot = (uint8_t)(prot & ~MAP_SOON), .soon = (prot & MAP_SOON) != 0});
    }
    fake_world.maps++;
    fake_world.pages_mapped += npages;
    return true;
}

bool world_protect(struct vm *vm, unsigned view, gla_t gla, uint32_t npages, unsigned prot)
{
    (void)vm;
    range_check(view, gla, npages);
    if (fails())
        return false;
    fake_world.protects++;
    for (uint32_t i = 0; i < npages; i++) {
        struct fake_page *page = &fake_world.page[view][(gla >> PAGE_SHIFT) + i];

        ASSERT(page->mapped);
        page->prot = (uint8_t)(prot & ~MAP_SOON);
        page->entry |= PTE_D;
    }
    return true;
}

bool world_unmap(struct vm *vm, unsigned view, gla_t gla, uint32_t npages)
{
    (void)vm;
    range_check(view, gla, npages);
    fake_world.unmaps++;
    for (uint32_t page = gla >> PAGE_SHIFT, end = page + npages; page < end; page++)
        if (fake_world.used[view][page / SLOT_PAGES])
            page_put(view, page, (struct fake_page){0});
    return true;
}

unsigned world_direct_views(struct vm *vm)
{
    (void)vm;
    return fake_world.direct_views;
}

bool world_spaces(struct vm *vm)
{
    (void)vm;
    return fake_world.spaces;
}

void world_load_view(struct vm *vm, unsigned view)
{
    (void)vm;
    ASSERT(fake_world.spaces && view && view <= fake_world.direct_views);
    fake_world.loaded = view;
    fake_world.loads++;
}

bool world_take_dirty(struct vm *vm, unsigned view, gla_t gla)
{
    struct fake_page *page = &fake_world.page[view][gla >> PAGE_SHIFT];
    bool dirty = page->mapped && (page->entry & PTE_D);

    (void)vm;
    ASSERT(fake_world.spaces);
    page->entry = 0;
    return dirty;
}

const uint64_t *world_entry(struct vm *vm, unsigned view, gla_t gla)
{
    const struct fake_page *page = fake_mapping(view, gla);

    (void)vm;
    ASSERT(fake_world.spaces && page->mapped);
    return &page->entry;
}

gla_t world_min_gla(struct vm *vm)
{
    (void)vm;
    return fake_world.min_gla;
}

void bt_code_written(struct vm *vm, gpa_t gpa, uint32_t len)
{
    fake_world.code_writes++;
    fake_world.code_gpa = gpa;
    fake_world.code_len = len;
    memcpy(fake_world.code_seen, vm->ram + gpa, len < 8 ? len : 8);
    mmu_untrace(vm, gpa_to_gpn(gpa));
}

/* Pages by which the guest can now write to a page; how many, at most max. */
static unsigned aliases(gpn_t gpn, struct fake_page **at, unsigned max)
{
    unsigned n = 0;

    for (uint32_t s = 0; s < FAKE_SLOTS; s++) {
        unsigned view = fake_world.used[fake_world.loaded][s] ? fake_world.loaded : 0;

        for (uint32_t i = 0; fake_world.used[view][s] && i < SLOT_PAGES && n < max; i++) {
            struct fake_page *page = &fake_world.page[view][s * SLOT_PAGES + i];

            if (page->mapped && page->gpn == gpn && (page->prot & MAP_W))
                at[n++] = page;
        }
    }
    return n;
}

void fake_guest_wrote(struct vm *vm, gpn_t gpn, unsigned which)
{
    struct mmu *m = vm->mmu;
    struct fake_page *at[8];
    unsigned n;

    if (!m || !m->watched)
        return;
    n = aliases(gpn, at, 8);
    if (n)
        at[which % n]->entry |= PTE_D;
    else
        table_maybe_written(m, gpn);
}
