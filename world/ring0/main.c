// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The monitor image's first and last steps.
 *
 * The private memory is carved here: struct world at its start, then the arena, and the shadow page tables' pool
 * at its end. What the caller wrote into struct cross is read once where it matters (sizes come from the
 * module); wrong contents can spoil his VM, nothing else.
 */
#include "world/ring0/ring0.h"

#include "base/assert.h"

#define POOL_PAGES_MIN 1024u
#define POOL_PAGES_MAX 0xfff0u
#define POOL_SPARE 2048u /* beside the tables of two linear maps of all RAM */

__attribute__((noreturn)) void ring0_main(struct btmon_cross_abi *c);

static uint32_t pool_pages(const struct btmon_cross_abi *c)
{
    uint64_t want = 2 * (c->ram_size >> 21) + POOL_SPARE, most = c->private_size / PAGE_SIZE / 2;

    return (uint32_t)min_u64(min_u64(want, most), POOL_PAGES_MAX);
}

static struct vm *vm_make(struct world *w, struct arena *a)
{
    struct vm *vm = arena_alloc(a, sizeof *vm, 64);

    vm->ram = (uint8_t *)MON_RAM;
    vm->ram_size = w->cross->ram_size;
    vm->cross = w->shared;
    vm->stats = &w->shared->stats;
    vm->trace = &w->shared->trace;
    vm->world = w;
    vm->vcpu = arena_alloc(a, sizeof *vm->vcpu, 64);
    vm->vcpu->vm = vm;
    vm->arena = *a;
    return vm;
}

void ring0_main(struct btmon_cross_abi *c)
{
    struct world *w = ring0_world();
    uint64_t pool = pool_pages(c) * (uint64_t)PAGE_SIZE;
    const struct ring0_pages pages = {
        .private = (const uint8_t *)MON_PRIVATE,
        .pfn_private = (const uint32_t *)MON_PFN_PRIVATE,
        .pfn_ram = (const uint32_t *)MON_PFN_RAM,
        .low_pdpt = (uint64_t *)MON_LOW_PDPT,
        .pool = (uint8_t *)MON_PRIVATE + c->private_size - pool,
        .pool_pages = (uint32_t)(pool / PAGE_SIZE),
    };
    struct arena a;

    w->cross = c;
    w->shared = (struct cross *)MON_SHARED;
    c->trace = ring0_trace_wanted(w);
    arena_init(&a, (uint8_t *)(w + 1), c->private_size - sizeof *w - pool);
    w->vm = vm_make(w, &a);
    w->vcpu = w->vm->vcpu;
    ring0_tables_init(w);
    ring0_fpu_init(w);
    ring0_memory_init(w, &pages);
    ring0_trampoline_init(w);
    ring0_clock_init(w);
    ring0_measure(w);
    monitor_main(w->vm);
    for (;;)
        ring0_switch(w, BTMON_OP_USER, BTMON_USER_END, 0);
}
