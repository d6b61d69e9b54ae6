// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The shadow MMU by example: what a fill maps, what flushes drop and with how many calls of the
 * world, traces and their aliases, and what happens when the world or the monitor runs short.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "shadowmmu/mmu_priv.h"
#include "tests/fake/world_map.h"

#define DIR 0x200000u
#define DIR2 0x201000u
#define PT 0x202000u
#define RWUAD (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)
#define KERNEL (PTE_P | PTE_W | PTE_A | PTE_D | PTE_G)

static struct vm *vm;
static struct vcpu *v;
static struct fault f;

static void setup_ram(uint64_t ram_size)
{
    fake_world.direct_views = 3;
    fake_world.min_gla = 0x10000;
    vm = fake_vm_new(ram_size);
    v = vm->vcpu;
    mmu_init(vm);
    v->cr0 = CR0_PE | CR0_PG | CR0_WP;
    v->cr4 = CR4_PSE | CR4_PGE;
    v->cr3 = DIR;
    gmem_mode_changed(v, CR0_PE, 0, 0);
}

static void setup(void)
{
    setup_ram(32u << 20);
}

static void put(gpa_t at, uint32_t e)
{
    memcpy(vm->ram + at, &e, 4);
    fake_guest_wrote(vm, gpa_to_gpn(at), 0);
}

static void set_pde(uint32_t dir, gla_t gla, uint32_t e)
{
    put(dir + (gla >> 22) * 4, e);
}

/* In the table at PT + n pages, which is hooked into both directories. */
static gpa_t pte_at(unsigned n, gla_t gla)
{
    return PT + n * PAGE_SIZE + (gla >> 12 & 1023) * 4;
}

static void set_pte(unsigned n, gla_t gla, uint32_t e)
{
    set_pde(DIR, gla, (PT + n * PAGE_SIZE) | RWUAD);
    put(pte_at(n, gla), e);
}

static void check(void)
{
    const char *wrong = live_verify(vm);

    cr_assert(!wrong, "%s", wrong);
    cr_assert_eq(vm->stop, VM_RUNNING);
}

static bool maps(unsigned view, gla_t gla, gpa_t gpa, unsigned prot)
{
    const struct fake_page *e = fake_mapping(view, gla);

    return e->mapped && e->gpn == gpa >> 12 && e->prot == prot;
}

Test(shadowmmu_fill, linear_map_is_one_run)
{
    setup_ram(512u << 20);
    for (uint32_t gpa = 0; gpa < 448u << 20; gpa += 4u << 20)
        set_pde(DIR, 0xc0000000 + gpa, gpa | KERNEL | PTE_PS);
    cr_assert_eq(mmu_fill(v, 0, 0xc8123456, GMEM_WRITE, &f), FILL_MAPPED);
    cr_assert_eq(fake_world.maps, 1);
    cr_assert_eq(fake_world.pages_mapped, (448u << 8) - 0x100); /* all above the hole of the first MiB */
    cr_assert(maps(0, 0xc0100000, 0x100000, MAP_W));
    cr_assert(maps(0, 0xdbfff000, 0x1bfff000, MAP_W));
    cr_assert(!fake_mapping(0, 0xdc000000)->mapped);
    cr_assert_eq(live_count_runs(vm->mmu->view[0]), 1);
    check();

    /* ROM and the RAM below the hole are runs of their own. */
    cr_assert_eq(mmu_fill(v, 0, 0xc00f0000, 0, &f), FILL_MAPPED);
    cr_assert(maps(0, 0xc00c0000, 0xc0000, MAP_R) && maps(0, 0xc00ff000, 0xff000, MAP_R));
    cr_assert_eq(mmu_fill(v, 0, 0xc00f0000, GMEM_WRITE, &f), FILL_EMULATE);
    cr_assert_eq(mmu_fill(v, 0, 0xc00b8000, 0, &f), FILL_EMULATE);
    cr_assert_eq(mmu_fill(v, 0, 0xc0000000, 0, &f), FILL_MAPPED);
    cr_assert(maps(0, 0xc009f000, 0x9f000, MAP_W) && !fake_mapping(0, 0xc00a0000)->mapped);
    cr_assert_eq(fake_world.maps, 3);
    check();

    /* Global: a CR3 load leaves it; toggling PGE compares and leaves it, too. */
    gmem_cr3_loaded(v);
    v->cr4 &= ~CR4_PGE;
    gmem_mode_changed(v, v->cr0, v->cr4 | CR4_PGE, 0);
    cr_assert_eq(fake_world.unmaps, 0);
    /* One large page changes: INVLPG anywhere in it drops all of it, and nothing else. */
    set_pde(DIR, 0xc8000000, 0x4000000 | KERNEL | PTE_PS);
    gmem_invlpg(v, 0xc83ff123);
    cr_assert_eq(fake_world.unmaps, 1);
    cr_assert(!fake_mapping(0, 0xc8000000)->mapped && !fake_mapping(0, 0xc83ff000)->mapped);
    cr_assert(fake_mapping(0, 0xc7fff000)->mapped && fake_mapping(0, 0xc8400000)->mapped);
    check();
}

Test(shadowmmu_fill, paging_off_is_identity)
{
    setup();
    v->cr0 &= ~CR0_PG;
    gmem_mode_changed(v, v->cr0 | CR0_PG, v->cr4, 0);
    cr_assert_eq(mmu_fill(v, 0, 0x1234567, GMEM_WRITE, &f), FILL_MAPPED);
    cr_assert_eq(fake_world.pages_mapped, (32u << 8) - 0x100);
    cr_assert_eq(mmu_fill(v, 0, 32u << 20, 0, &f), FILL_EMULATE);
    cr_assert_eq(mmu_fill(v, 0, 0x8000, 0, &f), FILL_EMULATE); /* below what the world can map */
    cr_assert_eq(mmu_user_limit(v), WIN_BASE);
    check();
}

Test(shadowmmu_fill, small_runs_follow_physical_pages)
{
    setup();
    for (unsigned i = 0; i < 100; i++)
        set_pte(0, 0x08000000 + i * PAGE_SIZE, (0x800000 + i * PAGE_SIZE) | RWUAD);
    put(pte_at(0, 0x08000000 + 5 * PAGE_SIZE), 0x805000 | (RWUAD & ~PTE_A));
    put(pte_at(0, 0x08000000 + 20 * PAGE_SIZE), 0x900000 | RWUAD);
    cr_assert_eq(mmu_fill(v, 0, 0x0800a000, GMEM_USER, &f), FILL_MAPPED);
    cr_assert_eq(fake_world.maps, 1);
    cr_assert_eq(fake_world.pages_mapped, 14); /* 6 to 19 */
    cr_assert_eq(mmu_fill(v, 1, 0x08030000, GMEM_USER, &f), FILL_MAPPED);
    cr_assert_eq(fake_world.pages_mapped, 14 + 64);
    cr_assert(maps(1, 0x08030000, 0x830000, MAP_W));
    cr_assert_eq(get32(vm->ram + pte_at(0, 0x08005000)) & PTE_A, 0);
    check();
}

Test(shadowmmu_fill, dirty_bit_comes_with_the_first_write)
{
    setup();
    set_pte(0, 0x08000000, 0x800000 | (RWUAD & ~(PTE_A | PTE_D)));
    cr_assert_eq(mmu_fill(v, 0, 0x08000000, GMEM_USER, &f), FILL_MAPPED);
    cr_assert(maps(0, 0x08000000, 0x800000, MAP_R));
    cr_assert_eq(get32(vm->ram + pte_at(0, 0x08000000)) & (PTE_A | PTE_D), PTE_A);
    cr_assert_eq(mmu_fill(v, 0, 0x08000000, GMEM_USER | GMEM_WRITE, &f), FILL_MAPPED);
    cr_assert(maps(0, 0x08000000, 0x800000, MAP_W));
    cr_assert_eq(fake_world.maps, 1);
    cr_assert_eq(fake_world.protects, 1);
    cr_assert(get32(vm->ram + pte_at(0, 0x08000000)) & PTE_D);
    /* The guest cleans the page: the W must go with the flush. */
    put(pte_at(0, 0x08000000), 0x800000 | (RWUAD & ~PTE_D));
    gmem_invlpg(v, 0x08000000);
    cr_assert(!(fake_mapping(0, 0x08000000)->prot & MAP_W));
    check();
}

Test(shadowmmu_fill, true_faults)
{
    setup();
    set_pte(0, 0x08000000, 0x800000 | PTE_P | PTE_W | PTE_A);
    set_pte(0, 0x08001000, 0x801000 | PTE_P | PTE_U | PTE_A);
    cr_assert_eq(mmu_fill(v, 0, 0x08000010, GMEM_USER, &f), FILL_TRUE);
    cr_assert_eq(f.vec, VEC_PF);
    cr_assert(f.has_err);
    cr_assert_eq(f.cr2, 0x08000010);
    cr_assert_eq(f.err, PFERR_P | PFERR_U);
    cr_assert_eq(mmu_fill(v, 0, 0x08001000, GMEM_USER | GMEM_WRITE, &f), FILL_TRUE);
    cr_assert_eq(f.err, PFERR_P | PFERR_U | PFERR_W);
    cr_assert_eq(mmu_fill(v, 0, 0x08001000, GMEM_WRITE, &f), FILL_TRUE);
    cr_assert_eq(f.err, PFERR_P | PFERR_W);
    cr_assert_eq(mmu_fill(v, 0, 0x08002000, GMEM_FETCH, &f), FILL_TRUE);
    cr_assert_eq(f.err, 0);
    set_pde(DIR, 0x40000000, 0x00002000 | RWUAD | PTE_PS); /* bit 13 */
    cr_assert_eq(mmu_fill(v, 0, 0x40000000, 0, &f), FILL_TRUE);
    cr_assert_eq(f.err, PFERR_P | PFERR_RSVD);
    v->cr0 &= ~CR0_WP;
    gmem_mode_changed(v, v->cr0 | CR0_WP, v->cr4, 0);
    cr_assert_eq(mmu_fill(v, 0, 0x08001000, GMEM_WRITE, &f), FILL_EMULATE);
    cr_assert_eq(mmu_fill(v, 0, 0x08001000, GMEM_WRITE | GMEM_USER, &f), FILL_TRUE);
    cr_assert_eq(mmu_fill(v, 0, WIN_BASE, 0, &f), FILL_EMULATE);
    check();
}

static gla_t scattered(unsigned i)
{
    return 0x08000000 + i % 3 * 0x10000000 + i * PAGE_SIZE * 2;
}

Test(shadowmmu_fill, cr3_load_drops_with_one_unmap)
{
    setup();
    set_pde(DIR, 0xc0800000, 0x800000 | KERNEL | PTE_PS);
    set_pde(DIR2, 0xc0800000, 0x800000 | KERNEL | PTE_PS);
    for (unsigned i = 0; i < 30; i++)
        set_pte(i % 3, scattered(i), (0x800000 + i * PAGE_SIZE) | RWUAD);
    for (unsigned i = 0; i < 30; i++)
        cr_assert_eq(mmu_fill(v, 0, scattered(i), GMEM_USER, &f), FILL_MAPPED);
    cr_assert_eq(mmu_fill(v, 0, 0xc0900000, 0, &f), FILL_MAPPED);
    gmem_cr3_loaded(v);
    cr_assert_eq(fake_world.unmaps, 0); /* nothing had changed */
    uint32_t user = mmu_gens(vm)->user, global = mmu_gens(vm)->global;
    v->cr3 = DIR2;
    gmem_cr3_loaded(v);
    cr_assert_eq(fake_world.unmaps, 1);
    cr_assert(!fake_mapping(0, 0x08000000)->mapped && fake_mapping(0, 0xc0900000)->mapped);
    cr_assert_neq(mmu_gens(vm)->user, user);
    cr_assert_eq(mmu_gens(vm)->global, global);
    check();
}

Test(shadowmmu_fill, gens_tell_moved_kernel_code)
{
    uint32_t global, word;

    setup();
    set_pte(0, 0xd0000000, 0x800000 | KERNEL);
    set_pte(0, 0xd0001000, 0x801000 | (KERNEL & ~PTE_G));
    cr_assert(gmem_read(v, 0xd0000000, &word, 4, GMEM_FETCH, &f));
    cr_assert(gmem_read(v, 0xd0001000, &word, 4, GMEM_FETCH, &f));
    global = mmu_gens(vm)->global;
    gmem_invlpg(v, 0xd0000000);
    gmem_cr3_loaded(v);
    cr_assert_eq(mmu_gens(vm)->global, global);
    set_pte(0, 0xd0000000, 0x900000 | KERNEL);
    gmem_cr3_loaded(v); /* global: may stay */
    cr_assert_eq(mmu_gens(vm)->global, global);
    gmem_invlpg(v, 0xd0000000);
    cr_assert_neq(mmu_gens(vm)->global, global);
    global = mmu_gens(vm)->global;
    set_pte(0, 0xd0001000, 0);
    gmem_cr3_loaded(v);
    cr_assert_neq(mmu_gens(vm)->global, global);
}

/* Would the translator look again at user code after this? */
static bool user_gen_moves(gla_t invlpg)
{
    uint32_t user = mmu_gens(vm)->user;

    gmem_invlpg(v, invlpg);
    return mmu_gens(vm)->user != user;
}

static void fetch_user(gla_t gla)
{
    struct walk w;

    cr_assert(mmu_walk(v, gla, GMEM_FETCH | GMEM_USER, &w, &f));
}

Test(shadowmmu_fill, gens_tell_moved_user_code)
{
    setup();
    set_pte(0, 0x08048000, 0x800000 | RWUAD);
    set_pte(0, 0x0a000000, 0x801000 | RWUAD);
    gmem_cr3_loaded(v);
    cr_assert(!user_gen_moves(0x08048000)); /* nothing was fetched */
    fetch_user(0x08048000);
    cr_assert(!user_gen_moves(0xfffb0000));
    cr_assert(!user_gen_moves(0x07fff000));
    cr_assert(user_gen_moves(0x08048000));
    cr_assert(!user_gen_moves(0x08048000)); /* nothing since */
    fetch_user(0x08048000);
    cr_assert(user_gen_moves(0x083ff000)); /* they might be one large page */
    fetch_user(0x08048000);
    fetch_user(0x0a000000);
    cr_assert(user_gen_moves(0x0a000000));
    fetch_user(0x0a000000);
    fetch_user(0x08048000);
    cr_assert(user_gen_moves(0x0a000000));
    fetch_user(0x08048000);
    gmem_cr3_loaded(v);
    cr_assert(!user_gen_moves(0x08048000));
}

Test(shadowmmu_fill, trace_protects_every_alias)
{
    setup();
    set_pde(DIR, 0xc0800000, 0x800000 | KERNEL | PTE_PS);
    cr_assert_eq(mmu_fill(v, 0, 0xc0900000, GMEM_WRITE, &f), FILL_MAPPED);
    for (unsigned i = 0; i < 5; i++) {
        gla_t gla = 0x08000000 + i * 2 * PAGE_SIZE;

        set_pte(0, gla, 0x900000 | RWUAD);
        cr_assert_eq(mmu_fill(v, i % 2, gla, GMEM_USER | GMEM_WRITE, &f), FILL_MAPPED);
    }
    check();
    mmu_trace(vm, 0x900);
    mmu_trace(vm, 0x900);
    cr_assert(mmu_traced(vm, 0x900) && !mmu_traced(vm, 0x901));
    cr_assert(maps(0, 0xc0900000, 0x900000, MAP_R) && maps(0, 0xc0901000, 0x901000, MAP_W));
    cr_assert(maps(0, 0xc08ff000, 0x8ff000, MAP_W));
    for (unsigned i = 0; i < 5; i++)
        cr_assert(!(fake_mapping(i % 2, 0x08000000 + i * 2 * PAGE_SIZE)->prot & MAP_W));
    cr_assert(maps(1, 0x08002000, 0x900000, MAP_R));
    cr_assert_eq(fake_world.protects, 6);
    check();
    cr_assert_eq(mmu_fill(v, 0, 0xc0900000, GMEM_WRITE, &f), FILL_TRACED);
    cr_assert_eq(mmu_fill(v, 1, 0x08002000, GMEM_WRITE | GMEM_USER, &f), FILL_TRACED);
    mmu_untrace(vm, 0x900);
    cr_assert_eq(fake_world.protects, 6);
    cr_assert_eq(mmu_fill(v, 0, 0xc0900000, GMEM_WRITE, &f), FILL_MAPPED);
    cr_assert(maps(0, 0xc0900000, 0x900000, MAP_W));
    check();
    /* A fill around traced pages stops at them. */
    live_drop_all(vm, vm->mmu->view[0]);
    mmu_trace(vm, 0x810);
    mmu_trace(vm, 0x820);
    cr_assert_eq(mmu_fill(v, 0, 0xc0818000, GMEM_WRITE, &f), FILL_MAPPED);
    cr_assert(!fake_mapping(0, 0xc0810000)->mapped && !fake_mapping(0, 0xc0820000)->mapped);
    cr_assert(maps(0, 0xc0811000, 0x811000, MAP_W) && maps(0, 0xc081f000, 0x81f000, MAP_W));
    cr_assert_eq(mmu_fill(v, 0, 0xc0820000, 0, &f), FILL_MAPPED);
    cr_assert(maps(0, 0xc0820000, 0x820000, MAP_R));
    check();
}

Test(shadowmmu_fill, user_limit)
{
    setup();
    cr_assert_eq(mmu_user_limit(v), WIN_BASE);
    set_pte(0, 0x00400000, 0x800000 | KERNEL);
    set_pte(0, 0x00401000, 0x801000 | RWUAD);
    set_pte(1, 0xc0400000, 0x802000 | KERNEL);
    set_pte(2, 0xb0400000, 0x803000 | RWUAD);
    cr_assert_eq(mmu_fill(v, 0, 0xc0400000, 0, &f), FILL_MAPPED);
    cr_assert_eq(mmu_fill(v, 0, 0xb0400000, 0, &f), FILL_MAPPED);
    cr_assert_eq(mmu_user_limit(v), 0xc0400000);
    cr_assert_eq(mmu_fill(v, 0, 0x00400000, 0, &f), FILL_MAPPED);
    cr_assert_eq(mmu_fill(v, 0, 0x00401000, 0, &f), FILL_MAPPED);
    cr_assert_eq(mmu_user_limit(v), 0xc0400000);
    cr_assert(!fake_mapping(0, 0x00400000)->mapped && fake_mapping(0, 0x00401000)->mapped);
    put(pte_at(1, 0xc0400000), 0);
    gmem_invlpg(v, 0xc0400000);
    cr_assert_eq(mmu_user_limit(v), WIN_BASE);
    check();
}

Test(shadowmmu_fill, prefill_sets_no_bits)
{
    setup();
    set_pte(0, 0x08000000, 0x800000 | (RWUAD & ~PTE_A));
    mmu_prefill(v, 0, 0x08000123);
    cr_assert(!fake_mapping(0, 0x08000000)->mapped);
    put(pte_at(0, 0x08000000), 0x800000 | (RWUAD & ~PTE_D));
    mmu_prefill(v, 0, 0x08000123);
    cr_assert(maps(0, 0x08000000, 0x800000, MAP_R));
    put(pte_at(0, 0x08000000), 0x800000 | RWUAD);
    mmu_prefill(v, 0, 0x08000123);
    cr_assert(maps(0, 0x08000000, 0x800000, MAP_W));
    mmu_prefill(v, 0, 0x08001000);
    mmu_prefill(v, 0, 0xfffff000);
    mmu_prefill(v, 0, 0);
    cr_assert_eq(fake_world.pages_mapped, 1);
    check();
}

Test(shadowmmu_fill, world_out_of_runs)
{
    setup();
    set_pde(DIR, 0xc0800000, 0x800000 | KERNEL | PTE_PS);
    cr_assert_eq(mmu_fill(v, 0, 0xc0900000, GMEM_WRITE, &f), FILL_MAPPED);
    for (unsigned i = 0; i < 600; i++)
        set_pte(0, 0x08000000 + i * PAGE_SIZE, (0x800000 + (i ^ 1) * PAGE_SIZE) | RWUAD);
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(mmu_fill(v, 0, 0x08000000 + i * PAGE_SIZE, GMEM_USER, &f), FILL_MAPPED);
    /* The world refuses once: user pages go, the kernel's stay. */
    fake_world.fail_next = 1;
    cr_assert_eq(mmu_fill(v, 0, 0x08000000 + 100 * PAGE_SIZE, GMEM_USER, &f), FILL_MAPPED);
    cr_assert(!fake_mapping(0, 0x08000000)->mapped && fake_mapping(0, 0xc0900000)->mapped);
    cr_assert_eq(fake_world.unmaps, 1);
    check();
    /* Our own bound does the same before the world has to. */
    vm->mmu->runs_max = 200;
    fake_world.unmaps = 0;
    for (unsigned i = 0; i < 600; i++) {
        cr_assert_eq(mmu_fill(v, 0, 0x08000000 + i * PAGE_SIZE, GMEM_USER, &f), FILL_MAPPED);
        cr_assert_leq(live_count_runs(vm->mmu->view[0]), 200);
    }
    cr_assert(fake_world.unmaps >= 2 && fake_world.unmaps <= 6, "%u", fake_world.unmaps);
    cr_assert(fake_mapping(0, 0xc0900000)->mapped);
    check();
    fake_world.fail_next = 3;
    mmu_fill(v, 0, 0x08000000, GMEM_USER, &f);
    cr_assert_eq(vm->stop, VM_STOP_HOST);
}

Test(shadowmmu_fill, leaves_run_out)
{
    setup();
    vm->mmu->leaves_max = 6;
    for (unsigned i = 0; i < 200; i++) {
        gla_t gla = 0x08000000 + i * 0x400000;

        set_pde(DIR, gla, (PT + PAGE_SIZE) | RWUAD);
        put(pte_at(1, gla), 0x800000 | RWUAD);
        if (i % 3 == 0)
            cr_assert(gmem_probe(v, gla, 1, GMEM_FETCH, &f));
        cr_assert_eq(mmu_fill(v, i % 3, gla, GMEM_USER, &f), FILL_MAPPED);
        cr_assert(fake_mapping(i % 3, gla)->mapped);
        check();
    }
    /* Tracing inside a large page needs a leaf; without one its slot is dropped. */
    set_pde(DIR, 0xc0800000, 0x800000 | KERNEL | PTE_PS);
    mmu_reset(vm);
    cr_assert_eq(mmu_fill(v, 0, 0xc0900000, GMEM_WRITE, &f), FILL_MAPPED);
    vm->mmu->leaves_max = vm->mmu->leaves_made;
    while (vm->mmu->free) {
        vm->mmu->free = vm->mmu->free->next;
        vm->mmu->leaves_free--;
        vm->mmu->leaves_made--, vm->mmu->leaves_max--;
    }
    mmu_trace(vm, 0x910);
    cr_assert(!fake_mapping(0, 0xc0910000)->mapped && fake_mapping(0, 0xc0a00000)->mapped);
    check();
}

Test(shadowmmu_fill, user_views_follow_cr3)
{
    unsigned one, two;

    setup();
    set_pte(0, 0x08000000, 0x800000 | RWUAD);
    set_pde(DIR2, 0x08000000, (PT + PAGE_SIZE) | RWUAD);
    put(pte_at(1, 0x08000000), 0x900000 | RWUAD);
    one = mmu_user_view(v);
    cr_assert_eq(mmu_fill(v, one, 0x08000000, 0, &f), FILL_MAPPED);
    v->cr3 = DIR2;
    gmem_cr3_loaded(v);
    two = mmu_user_view(v);
    cr_assert_neq(one, two);
    cr_assert_eq(mmu_fill(v, two, 0x08000000, 0, &f), FILL_MAPPED);
    cr_assert(maps(one, 0x08000000, 0x800000, MAP_W));
    cr_assert(maps(two, 0x08000000, 0x900000, MAP_W));
    /* Changed while away. */
    put(pte_at(0, 0x08000000), 0xa00000 | RWUAD);
    v->cr3 = DIR;
    gmem_cr3_loaded(v);
    cr_assert_eq(mmu_user_view(v), one);
    cr_assert(!fake_mapping(one, 0x08000000)->mapped);
    cr_assert(fake_mapping(two, 0x08000000)->mapped);
    mmu_trace(vm, 0x900); /* reaches views that are away */
    cr_assert(maps(two, 0x08000000, 0x900000, MAP_R));
    check();
}

/* Runs of two pages. */
Test(shadowmmu_fill, user_views_fill_ahead)
{
    unsigned view;

    setup();
    for (uint32_t i = 0; i < 16; i++)
        set_pte(0, 0x08000000 + i * PAGE_SIZE, 0x800000 + i / 2 * 0x4000 + i % 2 * PAGE_SIZE + RWUAD);
    view = mmu_user_view(v);
    cr_assert_eq(mmu_fill(v, view, 0x08000000, 0, &f), FILL_MAPPED);
    cr_assert(fake_mapping(view, 0x08001000)->mapped && !fake_mapping(view, 0x08001000)->soon);
    cr_assert(!fake_mapping(view, 0x08002000)->mapped);
    cr_assert_eq(mmu_fill(v, view, 0x08002000, 0, &f), FILL_MAPPED);
    for (uint32_t i = 2; i < 8; i++)
        cr_assert(fake_mapping(view, 0x08000000 + i * PAGE_SIZE)->soon, "%u", i);
    cr_assert(!fake_mapping(view, 0x08008000)->mapped);
    cr_assert_eq(mmu_fill(v, view, 0x0800c000, 0, &f), FILL_MAPPED); /* not what was expected */
    cr_assert(fake_mapping(view, 0x0800d000)->mapped && !fake_mapping(view, 0x0800d000)->soon);
    cr_assert(!fake_mapping(view, 0x0800e000)->mapped);
    cr_assert_eq(mmu_fill(v, 0, 0x08002000, 0, &f), FILL_MAPPED); /* translated code's view knows nothing of this */
    cr_assert(fake_mapping(0, 0x08003000)->mapped && !fake_mapping(0, 0x08003000)->soon);
    set_pte(0, 0x08100000, 0xa00000 | RWUAD);
    cr_assert_eq(mmu_fill(v, 0, 0x08100000, 0, &f), FILL_MAPPED);
    cr_assert(fake_mapping(0, 0x08100000)->soon, "a single page is mapped to be touched");
    check();
}

/* --- spaces --- */

#define SHARED 0xd0000000u  /* a slot of the kernel's half, its table PT + 1 page */
#define PRIVATE (PTE_P | PTE_W | PTE_A | PTE_D)
#define DIRS 4u

static uint32_t dir(unsigned n) { return 0x300000 + n * PAGE_SIZE; }

/* Address spaces with the kernel's half in common: 16 global pages of small ones, and 24 MiB of large ones. */
static void setup_spaces(unsigned spaces)
{
    fake_world.spaces = true;
    fake_world.direct_views = spaces;
    fake_world.min_gla = 0;
    vm = fake_vm_new(32u << 20);
    v = vm->vcpu;
    mmu_init(vm);
    for (unsigned n = 0; n < DIRS; n++) {
        set_pde(dir(n), SHARED, (PT + PAGE_SIZE) | RWUAD);
        for (uint32_t gpa = 4u << 20; gpa < 28u << 20; gpa += 4u << 20)
            set_pde(dir(n), 0xc0000000 + gpa, gpa | KERNEL | PTE_PS);
    }
    for (unsigned i = 0; i < 16; i++)
        put(pte_at(1, SHARED + i * PAGE_SIZE), (0x800000 + i * PAGE_SIZE) | KERNEL);
    v->cr0 = CR0_PE | CR0_PG | CR0_WP;
    v->cr4 = CR4_PSE | CR4_PGE;
    v->cr3 = dir(0);
    gmem_mode_changed(v, CR0_PE, 0, 0);
}

static void load(unsigned n)
{
    v->cr3 = dir(n);
    gmem_cr3_loaded(v);
    cr_assert_eq(fake_world.loaded, mmu_kernel_view(v));
    cr_assert_eq(mmu_user_view(v), mmu_kernel_view(v));
}

static enum fill_result fill(gla_t gla, unsigned access) { return mmu_fill(v, mmu_kernel_view(v), gla, access, &f); }

static bool shows(gla_t gla, gpa_t gpa, unsigned prot)
{
    const struct fake_page *e = fake_shown(gla);

    return e->mapped && e->gpn == gpa >> 12 && e->prot == prot;
}

Test(shadowmmu_fill, spaces_share_global_pages)
{
    setup_spaces(3);
    cr_assert_eq(fill(SHARED, GMEM_WRITE), FILL_MAPPED);
    cr_assert_eq(fill(0xc0900000, 0), FILL_MAPPED);
    cr_assert_eq(fake_world.maps, 2);
    for (unsigned n = 0; n < DIRS; n++) {
        load(n);
        cr_assert(shows(SHARED + 0x5000, 0x805000, MAP_W) && shows(0xc0f00000, 0xf00000, MAP_W));
    }
    cr_assert_eq(fake_world.unmaps, 0);
    cr_assert_eq(mmu_user_limit(v), 0xc0400000);
    check();
}

Test(shadowmmu_fill, spaces_keep_user_pages_apart)
{
    setup_spaces(3);
    for (unsigned n = 0; n < 2; n++) {
        set_pde(dir(n), 0x08000000, (PT + (2 + n) * PAGE_SIZE) | RWUAD);
        put(pte_at(2 + n, 0x08000000), (0x900000 + n * 0x100000) | (n ? RWUAD & ~PTE_U : RWUAD));
        load(n);
        cr_assert(!fake_shown(0x08000000)->mapped);
        cr_assert_eq(fill(0x08000000, GMEM_WRITE | (n ? 0 : GMEM_USER)), FILL_MAPPED);
    }
    cr_assert(shows(0x08000000, 0xa00000, MAP_W)); /* not the user's */
    cr_assert_eq(fill(0x08000000, GMEM_USER), FILL_TRUE);
    load(0);
    cr_assert(shows(0x08000000, 0x900000, MAP_W | MAP_U));
    check();
    /* Changed while another was current. */
    load(1);
    put(pte_at(2, 0x08000000), 0);
    load(0);
    cr_assert(!fake_shown(0x08000000)->mapped);
    check();
}

Test(shadowmmu_fill, spaces_hide_what_they_share)
{
    setup_spaces(3);
    put(pte_at(1, SHARED + 0x20000), 0x880000 | PRIVATE);
    cr_assert_eq(fill(SHARED, 0), FILL_MAPPED);
    load(1);
    cr_assert_eq(fill(SHARED + 0x20000, 0), FILL_MAPPED);
    cr_assert(shows(SHARED + 0x20000, 0x880000, MAP_W) && !fake_shown(SHARED)->mapped);
    cr_assert_eq(fill(SHARED, 0), FILL_MAPPED); /* again, beside it */
    cr_assert(shows(SHARED, 0x800000, MAP_W));
    check();
    load(0);
    cr_assert(shows(SHARED, 0x800000, MAP_W) && !fake_shown(SHARED + 0x20000)->mapped);
    /* INVLPG of the global page reaches the copy too, by the time that its space is loaded. */
    put(pte_at(1, SHARED), 0xa00000 | KERNEL);
    gmem_invlpg(v, SHARED);
    cr_assert(!fake_shown(SHARED)->mapped && shows(SHARED + 0x1000, 0x801000, MAP_W));
    load(1);
    cr_assert(!fake_shown(SHARED)->mapped && shows(SHARED + 0x1000, 0x801000, MAP_W));
    check();
    /* Without anything of its own, the space shows again what all share. */
    cr_assert(fake_shown(SHARED + 0x1000) != fake_mapping(0, SHARED + 0x1000));
    live_drop_slot(vm, vm->mmu->space, SHARED >> 21);
    cr_assert(shows(SHARED + 0x1000, 0x801000, MAP_W));
    check();
}

/* One private page in the middle of the linear map: the rest of it stays common. */
Test(shadowmmu_fill, spaces_copy_no_more_than_a_slot)
{
    setup_spaces(3);
    set_pde(dir(1), 0xc0c00000, (PT + 2 * PAGE_SIZE) | RWUAD);
    for (unsigned i = 0; i < 1024; i++)
        put(pte_at(2, 0xc0c00000 + i * PAGE_SIZE), (0xc00000 + i * PAGE_SIZE) | KERNEL);
    put(pte_at(2, 0xc0c05000), 0x405000 | PRIVATE);
    load(1);
    cr_assert_eq(fill(0xc0c05000, 0), FILL_MAPPED);
    cr_assert_eq(fill(0xc0c06000, 0), FILL_MAPPED);
    set_pde(dir(1), 0xc0c00000, 0xc00000 | KERNEL | PTE_PS);
    cr_assert_eq(fill(0xc0c16000 + 64 * PAGE_SIZE, 0), FILL_MAPPED); /* now of a large page */
    cr_assert(fake_mapping(fake_world.loaded, 0xc0dff000)->mapped);
    cr_assert(!fake_mapping(fake_world.loaded, 0xc0e00000)->mapped);
    cr_assert_eq(fill(0xc1000000, 0), FILL_MAPPED);
    cr_assert(!fake_mapping(fake_world.loaded, 0xc1000000)->mapped && shows(0xc1000000, 0x1000000, MAP_W));
    check();
}

Test(shadowmmu_fill, spaces_are_recycled)
{
    setup_spaces(2);
    for (unsigned n = 0; n < DIRS; n++) {
        set_pde(dir(n), 0x08000000, (PT + (2 + n) * PAGE_SIZE) | RWUAD);
        put(pte_at(2 + n, 0x08000000), (0x900000 + n * 0x1000) | RWUAD);
    }
    for (unsigned i = 0; i < 3 * DIRS; i++) {
        load(i % DIRS);
        cr_assert(!fake_shown(0x08000000)->mapped); /* the least recently used one was somebody else's */
        cr_assert_eq(fill(0x08000000, GMEM_USER), FILL_MAPPED);
        check();
    }
    load(DIRS - 2);
    cr_assert(shows(0x08000000, 0x900000 + (DIRS - 2) * 0x1000, MAP_W | MAP_U));
    /* A trace reaches those that are away. */
    mmu_trace(vm, 0x900 + DIRS - 1);
    load(DIRS - 1);
    cr_assert(shows(0x08000000, 0x900000 + (DIRS - 1) * 0x1000, MAP_U));
    check();
}

/* A global page that the tables no longer know shows until it faults; then what they say replaces it for good. */
Test(shadowmmu_fill, spaces_replace_what_they_share)
{
    uint32_t word;

    setup_spaces(2);
    put(pte_at(1, SHARED), 0x800000 | (KERNEL & ~(PTE_D | PTE_W)));
    put(0x800000, 1);
    put(0x900000, 2);
    cr_assert_eq(fill(SHARED, 0), FILL_MAPPED);
    cr_assert(gmem_read(v, SHARED, &word, 4, 0, &f) && word == 1);
    put(pte_at(1, SHARED), 0x900000 | PRIVATE);
    cr_assert(shows(SHARED, 0x800000, MAP_R));
    cr_assert_eq(fill(SHARED, GMEM_WRITE), FILL_MAPPED);
    cr_assert(shows(SHARED, 0x900000, MAP_W));
    cr_assert(gmem_read(v, SHARED, &word, 4, 0, &f) && word == 2);
    live_drop_slot(vm, vm->mmu->space, SHARED >> 21);
    cr_assert(!fake_shown(SHARED)->mapped);
    check();
}

/* --- writes to tables that have been seen --- */

#define USER 0x08000000u  /* its table is PT + 2 pages */
#define ALIAS 0xd0020000u /* and this is where the guest has that */
#define LARGE 0xc8200000u /* or this */

/* A user page is there and its table has been seen; then the guest takes the page away, by one of the addresses that it has
 * the table at, and loads CR3. */
static void take_away(unsigned by)
{
    uint32_t none = 0;

    put(pte_at(2, USER), 0x900000 | RWUAD);
    cr_assert_eq(fill(USER, GMEM_USER), FILL_MAPPED);
    load(0);
    load(0);
    cr_assert(shows(USER, 0x900000, MAP_W | MAP_U));
    memcpy(vm->ram + pte_at(2, USER), &none, 4);
    fake_guest_wrote(vm, gpa_to_gpn(pte_at(2, USER)), by);
    load(0);
    cr_assert(!fake_shown(USER)->mapped, "%u", by);
    check();
}

static void setup_table(void)
{
    setup_spaces(3);
    for (unsigned n = 0; n < DIRS; n++)
        set_pde(dir(n), USER, (PT + 2 * PAGE_SIZE) | RWUAD);
}

Test(shadowmmu_fill, tables_are_written_through_any_alias)
{
    setup_table();
    for (unsigned n = 0; n <= 3; n++) { /* more than the reverse map holds, at the end */
        if (n) {
            put(pte_at(1, ALIAS + n * 0x2000), (PT + 2 * PAGE_SIZE) | KERNEL);
            cr_assert_eq(fill(ALIAS + n * 0x2000, GMEM_WRITE), FILL_MAPPED);
        }
        for (unsigned by = 0; by < (n ? n : 1); by++)
            take_away(by);
    }
}

/* The alias lies in a large page that is one word, until the table is seen. */
Test(shadowmmu_fill, tables_are_written_through_large_pages)
{
    setup_table();
    set_pde(dir(0), LARGE, KERNEL | PTE_PS);
    cr_assert_eq(fill(LARGE, GMEM_WRITE), FILL_MAPPED);
    cr_assert(vm->mmu->view[VIEW_KERNEL]->slot[LARGE >> 21].large);
    take_away(0);
    take_away(0);
}

/* An alias comes, and another one goes, between a look at the table and the next. */
Test(shadowmmu_fill, tables_get_and_lose_aliases)
{
    setup_table();
    put(pte_at(2, USER), 0x900000 | RWUAD);
    cr_assert_eq(fill(USER, GMEM_USER), FILL_MAPPED);
    load(0);
    put(pte_at(1, ALIAS), (PT + 2 * PAGE_SIZE) | KERNEL);
    cr_assert_eq(fill(ALIAS, GMEM_WRITE), FILL_MAPPED);
    put(pte_at(2, USER), 0);
    load(0);
    cr_assert(!fake_shown(USER)->mapped);
    put(pte_at(2, USER), 0x900000 | RWUAD);
    cr_assert_eq(fill(USER, GMEM_USER), FILL_MAPPED);
    load(0);
    put(pte_at(2, USER), 0);
    put(pte_at(1, ALIAS), 0);
    gmem_invlpg(v, ALIAS);
    load(0);
    cr_assert(!fake_shown(USER)->mapped);
    check();
}

/* The clock that tells writes from each other has gone round to where it was when a table was seen. */
Test(shadowmmu_fill, tables_outlive_the_clock)
{
    setup_table();
    take_away(0);
    put(pte_at(2, USER), 0x900000 | RWUAD);
    cr_assert_eq(fill(USER, GMEM_USER), FILL_MAPPED);
    load(0);
    vm->mmu->table_gen[gpa_to_gpn(pte_at(2, USER))] = vm->mmu->space->slot[USER >> 21].seen.gen = 1;
    vm->mmu->table_clock = UINT32_MAX;
    put(pte_at(2, USER), 0);
    load(0);
    cr_assert(!fake_shown(USER)->mapped);
    take_away(0);
}

/* A global page of an address space that is away. */
Test(shadowmmu_fill, spaces_miss_no_invlpg)
{
    setup_table();
    put(pte_at(2, USER), 0x900000 | RWUAD | PTE_G);
    cr_assert_eq(fill(USER, GMEM_USER), FILL_MAPPED);
    load(1);
    put(pte_at(2, USER), 0);
    load(0);
    cr_assert(fake_shown(USER)->mapped); /* it may stay */
    load(1);
    gmem_invlpg(v, USER);
    load(0);
    cr_assert(!fake_shown(USER)->mapped);
    check();
}

/* Another address space toggles what flushes global pages, or what the same entries mean. */
Test(shadowmmu_fill, spaces_miss_no_mode)
{
    static const uint32_t bits[] = {CR4_PGE, CR4_PSE};

    for (unsigned i = 0; i < 2; i++) {
        setup_table();
        set_pde(dir(0), USER, 0x800000 | RWUAD | PTE_PS); /* as a table, it leads nowhere */
        if (bits[i] == CR4_PGE)
            set_pde(dir(0), USER, 0x800000 | RWUAD | PTE_PS | PTE_G);
        cr_assert_eq(fill(USER, GMEM_USER), FILL_MAPPED);
        load(0);
        load(1);
        if (bits[i] == CR4_PGE)
            set_pde(dir(0), USER, 0);
        for (unsigned on = 0; on <= (bits[i] == CR4_PGE); on++) { /* PGE goes and comes back, PSE goes */
            v->cr4 ^= bits[i];
            gmem_mode_changed(v, v->cr0, v->cr4 ^ bits[i], v->efer);
        }
        load(0);
        cr_assert(!fake_shown(USER)->mapped, "%u", i);
        check();
    }
}

/* Kernel code that one space has and another has elsewhere: what was seen of its slot in the one says nothing of words
 * that were noted in the other. */
Test(shadowmmu_fill, spaces_tell_moved_kernel_code)
{
    const gla_t mine = SHARED + 0x20000;
    uint32_t global, word;

    setup_spaces(3);
    set_pde(dir(1), SHARED, (PT + 2 * PAGE_SIZE) | RWUAD);
    put(pte_at(2, SHARED), 0x800000 | KERNEL);
    put(pte_at(1, mine), 0x880000 | PRIVATE);
    put(pte_at(2, mine), 0x890000 | PRIVATE);
    cr_assert(gmem_read(v, SHARED, &word, 4, GMEM_FETCH, &f) && gmem_read(v, mine, &word, 4, GMEM_FETCH, &f));
    load(0); /* seen with both words; the next INVLPG leaves one, which is global */
    set_pde(dir(0), SHARED, (PT + 2 * PAGE_SIZE) | RWUAD);
    gmem_invlpg(v, mine);
    set_pde(dir(0), SHARED, (PT + PAGE_SIZE) | RWUAD);
    load(1);
    cr_assert(gmem_read(v, mine, &word, 4, GMEM_FETCH, &f));
    global = mmu_gens(vm)->global;
    load(0);
    cr_assert_neq(mmu_gens(vm)->global, global);
    check();
}

/* The world's page tables are one pool: a space that needs some gets them from those that are away. */
Test(shadowmmu_fill, spaces_compete_for_tables)
{
    setup_spaces(3);
    for (unsigned n = 0; n < DIRS; n++)
        for (unsigned i = 0; i < 4; i++)
            set_pde(dir(n), 0x08000000 + i * 0x400000, (PT + 2 * PAGE_SIZE) | RWUAD);
    put(pte_at(2, 0x08000000), 0x900000 | RWUAD);
    load(0);
    cr_assert_eq(fill(SHARED, 0), FILL_MAPPED);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(fill(0x08000000 + i * 0x400000, GMEM_USER), FILL_MAPPED);
    fake_world.tables_max = fake_world.tables;
    load(1);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(fill(0x08000000 + i * 0x400000, GMEM_USER), FILL_MAPPED);
    cr_assert_eq(fake_world.shortages, 1);
    cr_assert(shows(SHARED, 0x800000, MAP_W) && shows(0x08c00000, 0x900000, MAP_W | MAP_U));
    /* What all share can need one as well. The run takes 12. */
    fake_world.tables_max = 12;
    cr_assert_eq(fill(0xc0900000, 0), FILL_MAPPED);
    cr_assert(shows(0xc0900000, 0x900000, MAP_W) && shows(0xc0400000, 0x400000, MAP_W));
    check();
    cr_assert_eq(fill(0x08000000, GMEM_USER), FILL_MAPPED);
    check();
    load(0);
    cr_assert(!fake_shown(0x08000000)->mapped);
    check();
}
