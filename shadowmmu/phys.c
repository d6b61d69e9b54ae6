// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's physical memory map, and the life of struct mmu.
 *
 * RAM is one block from 0 to ram_size. Two holes are cut into it as on a PC:
 * 0xA0000-0xBFFFF answers like an empty bus (the VGA aperture without a VGA), and
 * 0xC0000-0xFFFFF is ROM: readable memory whose writes go nowhere. All that
 * lies above RAM is an empty bus as well, page tables that the guest put there
 * included: they read as all ones (phys_ones), so that no walk needs a special
 * case for them.
 */
#include "shadowmmu/mmu_priv.h"

#define ONES8 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
#define ONES64 ONES8, ONES8, ONES8, ONES8, ONES8, ONES8, ONES8, ONES8
#define ONES512 ONES64, ONES64, ONES64, ONES64, ONES64, ONES64, ONES64, ONES64
#define ONES4096 ONES512, ONES512, ONES512, ONES512, ONES512, ONES512, ONES512, ONES512

const uint8_t phys_ones[PAGE_SIZE] __attribute__((aligned(8))) = {ONES4096};

enum phys_kind phys_kind(const struct vm *vm, gpa_t gpa)
{
    if (gpa >= vm->ram_size)
        return PHYS_MMIO;
    if (gpa >= 0x100000 || gpa < 0xa0000)
        return PHYS_RAM;
    return gpa < 0xc0000 ? PHYS_MMIO : PHYS_ROM;
}

const uint8_t *phys_page_any(const struct vm *vm, gpa_t gpa)
{
    gpa = gpn_to_gpa(gpa_to_gpn(gpa));
    return phys_kind(vm, gpa) == PHYS_MMIO ? phys_ones : phys_hva(vm, gpa);
}

void mmu_init(struct vm *vm)
{
    struct mmu *m = arena_alloc(&vm->arena, sizeof *m, 64);

    vm->mmu = m;
    m->vcpu = vm->vcpu;
    m->ram_pages = gpa_to_gpn(vm->ram_size);
    m->min_gla = (gla_t)align_up(world_min_gla(vm), PAGE_SIZE);
    m->traced = arena_alloc(&vm->arena, (m->ram_pages + 63) / 64 * 8, 64);
    for (unsigned i = 0; i < HOLDS; i++)
        m->held[i] = arena_alloc(&vm->arena, (m->ram_pages + 63) / 64 * 8, 64);
    m->exec = arena_alloc(&vm->arena, m->ram_pages * sizeof *m->exec, 64);
    if (world_spaces(vm)) {
        m->watched = arena_alloc(&vm->arena, (m->ram_pages + 63) / 64 * 8, 64);
        m->table_gen = arena_alloc(&vm->arena, m->ram_pages * sizeof *m->table_gen, 64);
    }
    m->rmap = arena_alloc(&vm->arena, m->ram_pages * sizeof *m->rmap, 64);
    views_init(vm);
    m->leaves_max = LEAVES_MAX;
    m->runs_max = WORLD_MAX_RUNS - 64;
    tlb_flush(m);
}

/* Traces stay: they are facts about physical pages, and the translator's to lift. */
void mmu_reset(struct vm *vm)
{
    struct mmu *m = vm->mmu;

    for (unsigned i = 0; i < m->nviews; i++) {
        live_drop_all(vm, m->view[i]);
        m->view[i]->bound = false;
    }
    live_drop_all(vm, m->code);
    space_reset(vm);
    exec_reset(vm);
    tlb_flush(m);
    m->gens.user++;
    m->gens.global++;
}

const struct mmu_gens *mmu_gens(const struct vm *vm)
{
    return &vm->mmu->gens;
}
