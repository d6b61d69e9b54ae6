// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest memory by linear address: crossings, holes, traces, the software TLB; PDPTEs.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/undo.h"
#include "shadowmmu/mmu_priv.h"
#include "tests/fake/world_map.h"

#define DIR 0x200000u
#define PT 0x201000u /* of the first 4 MiB; PT + 0x1000: of the last */
#define RW (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)

static struct vm *vm;
static struct vcpu *v;
static struct fault f;

static void put(gpa_t at, uint32_t e)
{
    memcpy(vm->ram + at, &e, 4);
}

static void setup(void)
{
    fake_world.direct_views = 1;
    vm = fake_vm_new(16u << 20);
    v = vm->vcpu;
    mmu_init(vm);
    put(DIR, PT | RW);
    put(DIR + 4092, (PT + 0x1000) | RW);
    v->cr0 = CR0_PE | CR0_PG | CR0_WP;
    v->cr3 = DIR;
    gmem_mode_changed(v, CR0_PE, 0, 0);
}

static void set_pte(gla_t gla, uint32_t e)
{
    put(PT + (gla >> 22 ? 0x1000 : 0) + (gla >> 12 & 1023) * 4, e);
}

TestSuite(shadowmmu_gmem, .init = setup);

Test(shadowmmu_gmem, crossing_is_all_or_nothing)
{
    uint8_t buf[8];

    set_pte(0x1000, 0x801000 | RW);
    set_pte(0x2000, 0x900000 | (RW & ~PTE_W));
    memset(vm->ram + 0x801ff0, 0xaa, 16);
    cr_assert(!gmem_write(v, 0x1ffc, "12345678", 8, GMEM_USER, &f));
    cr_assert_eq(f.cr2, 0x2000);
    cr_assert_eq(f.err, PFERR_P | PFERR_W | PFERR_U);
    cr_assert_eq(vm->ram[0x801ffc], 0xaa);
    set_pte(0x2000, 0x900000 | RW);
    cr_assert(gmem_write(v, 0x1ffc, "12345678", 8, GMEM_USER, &f));
    cr_assert(!memcmp(vm->ram + 0x801ffc, "1234", 4) && !memcmp(vm->ram + 0x900000, "5678", 4));
    cr_assert(gmem_read(v, 0x1ffc, buf, 8, 0, &f) && !memcmp(buf, "12345678", 8));
    /* An absent first page is told first, at the address asked for. */
    cr_assert(!gmem_read(v, 0x3ffd, buf, 8, 0, &f));
    cr_assert_eq(f.cr2, 0x3ffd);
    cr_assert_eq(f.err, 0);
    cr_assert(gmem_read(v, 0x3ffd, buf, 0, 0, &f));
}

Test(shadowmmu_gmem, wraps_at_four_gib)
{
    uint8_t buf[4];

    set_pte(0xfffff000, 0x805000 | RW);
    set_pte(0, 0x806000 | RW);
    cr_assert(gmem_write(v, 0xfffffffe, "abcd", 4, 0, &f));
    cr_assert(!memcmp(vm->ram + 0x805ffe, "ab", 2) && !memcmp(vm->ram + 0x806000, "cd", 2));
    cr_assert(gmem_read(v, 0xfffffffe, buf, 4, 0, &f) && !memcmp(buf, "abcd", 4));
    set_pte(0, 0);
    gmem_invlpg(v, 0);
    cr_assert(!gmem_probe(v, 0xfffffffe, 4, 0, &f));
    cr_assert_eq(f.cr2, 0);
}

Test(shadowmmu_gmem, large_block)
{
    static uint8_t buf[65536];

    for (unsigned i = 0; i < 17; i++)
        set_pte(i << 12, (0x810000 - (i << 12)) | RW);
    for (unsigned i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)(i * 7 + (i >> 8));
    cr_assert(gmem_write(v, 0x123, buf, sizeof buf, 0, &f));
    cr_assert_eq(vm->ram[0x810123], buf[0]);
    cr_assert_eq(vm->ram[0x800000 + 0x122], buf[65535]);
    memset(buf, 0, sizeof buf);
    cr_assert(gmem_read(v, 0x123, buf, sizeof buf, 0, &f));
    for (unsigned i = 0; i < sizeof buf; i++)
        cr_assert_eq(buf[i], (uint8_t)(i * 7 + (i >> 8)));
}

Test(shadowmmu_gmem, holes_and_rom)
{
    uint32_t x = 0;

    set_pte(0x1000, 0xb8000 | RW);
    set_pte(0x2000, 0xf0000 | RW);
    set_pte(0x3000, 0xfee00000 | RW);
    cr_assert(gmem_write(v, 0x1000, "abcd", 4, 0, &f));
    cr_assert(gmem_read(v, 0x1000, &x, 4, 0, &f));
    cr_assert_eq(x, 0xffffffff);
    cr_assert_eq(get32(vm->ram + 0xb8000), 0);
    cr_assert(gmem_read(v, 0x3000, &x, 4, 0, &f));
    cr_assert_eq(x, 0xffffffff);
    cr_assert_eq(vm->stats->mmio_accesses, 3);
    put(0xf0000, 0x12345678);
    cr_assert(gmem_write(v, 0x2000, "abcd", 4, 0, &f));
    cr_assert(gmem_read(v, 0x2000, &x, 4, 0, &f));
    cr_assert_eq(x, 0x12345678);
    cr_assert(gmem_read(v, 0x2000, &x, 4, GMEM_RMW, &f));
    cr_assert_eq(x, 0x12345678);
}

Test(shadowmmu_gmem, code_writes_are_told_after_the_bytes)
{
    set_pte(0x1000, 0x801000 | RW);
    set_pte(0x2000, 0x900000 | RW);
    mmu_trace(vm, 0x900);
    cr_assert(gmem_write(v, 0x1ffc, "12345678", 8, 0, &f));
    cr_assert_eq(fake_world.code_writes, 1);
    cr_assert_eq(fake_world.code_gpa, 0x900000);
    cr_assert_eq(fake_world.code_len, 4);
    cr_assert(!memcmp(fake_world.code_seen, "5678", 4));
    mmu_trace(vm, 0x900); /* now with a warm TLB */
    cr_assert(gmem_write(v, 0x2010, "xy", 2, 0, &f));
    cr_assert_eq(fake_world.code_writes, 2);
    cr_assert(fake_world.code_gpa == 0x900010 && !memcmp(fake_world.code_seen, "xy", 2));
    cr_assert(gmem_write(v, 0x2010, "z", 1, 0, &f)); /* the trace was lifted */
    cr_assert_eq(fake_world.code_writes, 2);
    /* A page table may lie in a traced page. */
    set_pte(0x5000, 0x805000 | (RW & ~PTE_A));
    mmu_trace(vm, PT >> 12);
    cr_assert(gmem_probe(v, 0x5000, 1, 0, &f));
    cr_assert_eq(fake_world.code_gpa, PT + 5 * 4);
}

Test(shadowmmu_gmem, tlb_keeps_and_forgets)
{
    uint32_t x;

    set_pte(0x1000, 0x801000 | (RW & ~PTE_D));
    put(0x801000, 1);
    put(0x802000, 2);
    cr_assert(gmem_read(v, 0x1000, &x, 4, 0, &f) && x == 1);
    set_pte(0x1000, 0x802000 | (RW & ~PTE_D));
    cr_assert(gmem_read(v, 0x1000, &x, 4, 0, &f) && x == 1); /* as a TLB may */
    gmem_invlpg(v, 0x1234);
    cr_assert(gmem_read(v, 0x1000, &x, 4, 0, &f) && x == 2);
    set_pte(0x1000, 0x801000 | (RW & ~PTE_D));
    gmem_cr3_loaded(v);
    cr_assert(gmem_read(v, 0x1000, &x, 4, 0, &f) && x == 1);
    /* A read entry lets no write through: D is set by the first one. */
    cr_assert(gmem_write(v, 0x1000, &x, 4, 0, &f));
    cr_assert(vm->ram[PT + 4] & PTE_D);
    /* Neither does a supervisor's entry serve user accesses. */
    set_pte(0x2000, 0x802000 | (RW & ~PTE_U));
    cr_assert(gmem_read(v, 0x2000, &x, 4, 0, &f));
    cr_assert(!gmem_read(v, 0x2000, &x, 4, GMEM_USER, &f));
    cr_assert_eq(f.err, PFERR_P | PFERR_U);
    /* A 4 MiB page is forgotten as a whole. */
    uint32_t cr4 = v->cr4;
    v->cr4 |= CR4_PSE;
    gmem_mode_changed(v, v->cr0, cr4, 0);
    put(DIR + 4, 0x800000 | RW | PTE_PS);
    put(0xc01000, 3);
    cr_assert(gmem_read(v, 0x401000, &x, 4, 0, &f) && x == 1);
    put(DIR + 4, 0xc00000 | RW | PTE_PS);
    gmem_invlpg(v, 0x7ff000);
    cr_assert(gmem_read(v, 0x401000, &x, 4, 0, &f));
    cr_assert_eq(x, 3);
}

Test(shadowmmu_gmem, tables_beyond_ram)
{
    uint32_t x;

    put(DIR + 8, 0x90000000 | RW); /* its entries read as all ones: 0xfffff000, an empty bus */
    cr_assert(gmem_read(v, 0x800000, &x, 4, 0, &f));
    cr_assert_eq(x, 0xffffffff);
    v->cr3 = 0xf0000000;
    gmem_cr3_loaded(v);
    cr_assert(gmem_read(v, 0x1000, &x, 4, 0, &f));
    v->cr4 = CR4_PSE;
    gmem_mode_changed(v, v->cr0, 0, 0);
    cr_assert(!gmem_read(v, 0x1000, &x, 4, 0, &f));
    cr_assert_eq(f.err, PFERR_P | PFERR_RSVD);
}

Test(shadowmmu_gmem, pdptes)
{
    v->cr4 = CR4_PAE;
    put64(vm->ram + 0x300020, 0x400000 | PTE_P);
    put64(vm->ram + 0x300028, 0x1e6 | 1ull << 40); /* not present: anything goes */
    cr_assert(gmem_load_pdptes(v, 0x300020 | 0x18, CR4_PAE, 0)); /* bits 4:3 are ignored, 5 is not */
    cr_assert_eq(v->pdpte[0], 0x400000 | PTE_P);
    put64(vm->ram + 0x300038, 0x400000 | PTE_P | PTE_W);
    cr_assert(!gmem_load_pdptes(v, 0x300020, CR4_PAE, 0));
    put64(vm->ram + 0x300038, 0x1000000000ull | PTE_P);
    cr_assert(!gmem_load_pdptes(v, 0x300020, CR4_PAE, 0));
    put64(vm->ram + 0x300038, 0xfff000ull | PTE_P | PTE_NX);
    cr_assert(!gmem_load_pdptes(v, 0x300020, CR4_PAE, EFER_NXE));
    cr_assert(gmem_load_pdptes(v, 0x300020, 0, 0));
    cr_assert_eq(v->pdpte[3], 0);
}

/* --- gmem_seen() --- */

Test(shadowmmu_gmem, seen_only_what_was_accessed)
{
    uint32_t x;

    set_pte(0x1000, 0x801000 | (RW & ~PTE_D));
    cr_assert_null(gmem_seen(v, 0x1000, 4, GMEM_READ), "no access was made");
    cr_assert(gmem_read(v, 0x1ffc, &x, 4, GMEM_READ, &f));
    cr_assert_eq((uint8_t *)gmem_seen(v, 0x1010, 4, GMEM_READ), vm->ram + 0x801010);
    /* One kind of access says nothing of another. */
    cr_assert_null(gmem_seen(v, 0x1010, 4, GMEM_WRITE));
    cr_assert_null(gmem_seen(v, 0x1010, 4, GMEM_USER));
    cr_assert_null(gmem_seen(v, 0x1010, 4, GMEM_FETCH));
    cr_assert_null(gmem_seen(v, 0x2010, 4, GMEM_READ));
    cr_assert(!(vm->ram[PT + 4] & PTE_D));
    cr_assert(gmem_write(v, 0x1000, &x, 4, GMEM_WRITE | GMEM_USER, &f));
    cr_assert_eq((uint8_t *)gmem_seen(v, 0x1020, 4, GMEM_WRITE | GMEM_USER), vm->ram + 0x801020);
    cr_assert_null(gmem_seen(v, 0x1020, 4, GMEM_WRITE));
    /* An access that runs into the next page, though both were seen; one that just fits. */
    set_pte(0x2000, 0x802000 | RW);
    cr_assert(gmem_read(v, 0x2000, &x, 4, GMEM_READ, &f));
    cr_assert_null(gmem_seen(v, 0x1ffd, 4, GMEM_READ));
    cr_assert_eq((uint8_t *)gmem_seen(v, 0x1ffc, 4, GMEM_READ), vm->ram + 0x801ffc);
}

Test(shadowmmu_gmem, seen_is_ram_or_rom_that_is_read)
{
    uint32_t x = 0;

    set_pte(0x1000, 0xf0000 | RW);
    set_pte(0x2000, 0xfee00000 | RW);
    for (gla_t gla = 0x1000; gla <= 0x2000; gla += 0x1000)
        cr_assert(gmem_read(v, gla, &x, 4, GMEM_READ, &f) && gmem_write(v, gla, &x, 4, GMEM_WRITE, &f));
    cr_assert_eq((uint8_t *)gmem_seen(v, 0x1000, 4, GMEM_READ), vm->ram + 0xf0000);
    cr_assert_null(gmem_seen(v, 0x1000, 4, GMEM_WRITE), "ROM");
    cr_assert_null(gmem_seen(v, 0x2000, 4, GMEM_READ), "an empty bus");
    cr_assert_null(gmem_seen(v, 0x2000, 4, GMEM_WRITE), "an empty bus");
}

/* Writes that somebody must see go the long way; reads need not. */
Test(shadowmmu_gmem, seen_is_not_written_under_trace_or_on_trial)
{
    static struct undo undo;
    uint32_t x = 0;

    set_pte(0x1000, 0x801000 | RW);
    set_pte(0x2000, 0x801000 | RW); /* an alias */
    for (gla_t gla = 0x1000; gla <= 0x2000; gla += 0x1000)
        cr_assert(gmem_read(v, gla, &x, 4, GMEM_READ, &f) && gmem_write(v, gla, &x, 4, GMEM_WRITE, &f));
    cr_assert_not_null(gmem_seen(v, 0x1000, 4, GMEM_WRITE));
    mmu_trace(vm, 0x801);
    cr_assert_null(gmem_seen(v, 0x1000, 4, GMEM_WRITE));
    cr_assert_null(gmem_seen(v, 0x2000, 4, GMEM_WRITE));
    cr_assert_not_null(gmem_seen(v, 0x1000, 4, GMEM_READ));
    cr_assert(gmem_write(v, 0x1000, &x, 4, GMEM_WRITE, &f)); /* lifts it */
    cr_assert_eq(fake_world.code_writes, 1);
    cr_assert_not_null(gmem_seen(v, 0x1000, 4, GMEM_WRITE));
    vm->undo = &undo;
    cr_assert_null(gmem_seen(v, 0x1000, 4, GMEM_WRITE));
    cr_assert_not_null(gmem_seen(v, 0x1000, 4, GMEM_READ));
    vm->undo = NULL;
    cr_assert_not_null(gmem_seen(v, 0x1000, 4, GMEM_WRITE));
}

/* Only what is kept makes the generation change: not other pages, nor what a CR3 load leaves alone. */
Test(shadowmmu_gmem, kept_until_it_is_forgotten)
{
    uint32_t x, gen;

    set_pte(0x1000, 0x801000 | RW | PTE_G);
    set_pte(0x2000, 0x802000 | RW);
    v->cr4 |= CR4_PGE;
    cr_assert_null(gmem_keep(v, 0x1010, 1, GMEM_READ), "no access was made");
    cr_assert(gmem_read(v, 0x1000, &x, 4, GMEM_READ, &f) && gmem_read(v, 0x2000, &x, 4, GMEM_READ, &f));
    cr_assert_eq((uint8_t *)gmem_keep(v, 0x1010, 1, GMEM_READ), vm->ram + 0x801010);
    gen = v->gmem_gen;
    gmem_invlpg(v, 0x2000);
    gmem_cr3_loaded(v);
    cr_assert_eq(v->gmem_gen, gen);
    gmem_invlpg(v, 0x1fff);
    cr_assert_neq(v->gmem_gen, gen);
    /* A local page goes with a CR3 load, whatever else is kept. */
    cr_assert(gmem_read(v, 0x1000, &x, 4, GMEM_READ, &f) && gmem_read(v, 0x2000, &x, 4, GMEM_READ, &f));
    cr_assert_not_null(gmem_keep(v, 0x1000, 1, GMEM_READ));
    cr_assert_not_null(gmem_keep(v, 0x2000, 1, GMEM_READ));
    gen = v->gmem_gen;
    gmem_cr3_loaded(v);
    cr_assert_neq(v->gmem_gen, gen);
    cr_assert(gmem_read(v, 0x1000, &x, 4, GMEM_READ, &f));
    cr_assert_not_null(gmem_keep(v, 0x1000, 1, GMEM_READ));
    gen = v->gmem_gen;
    gmem_cr3_loaded(v);
    cr_assert_eq(v->gmem_gen, gen);
    /* What was global no longer is once CR4.PGE is off. */
    v->cr4 &= ~CR4_PGE;
    gmem_cr3_loaded(v);
    cr_assert_neq(v->gmem_gen, gen);
}

/* See 0x1000 and 0x2000, let `event` happen; is 0x1000 forgotten, and does the generation say so? */
#define forgets(event)                                                             \
    do {                                                                           \
        uint32_t gen_, x_;                                                         \
        cr_assert(gmem_read(v, 0x1000, &x_, 4, GMEM_READ, &f));                    \
        cr_assert(gmem_write(v, 0x1000, &x_, 4, GMEM_WRITE, &f));                  \
        cr_assert_not_null(gmem_seen(v, 0x1000, 4, GMEM_READ));                    \
        cr_assert_not_null(gmem_seen(v, 0x1000, 4, GMEM_WRITE));                   \
        cr_assert_not_null(gmem_keep(v, 0x1008, 1, GMEM_READ));                        \
        gen_ = v->gmem_gen;                                                        \
        event;                                                                     \
        cr_assert_null(gmem_seen(v, 0x1000, 4, GMEM_READ), "%s", #event);          \
        cr_assert_null(gmem_seen(v, 0x1000, 4, GMEM_WRITE), "%s", #event);         \
        cr_assert_neq(v->gmem_gen, gen_, "%s", #event);                            \
    } while (0)

Test(shadowmmu_gmem, seen_is_forgotten)
{
    uint32_t cr4 = v->cr4, x;

    set_pte(0x1000, 0x801000 | RW);
    set_pte(0x2000, 0x802000 | RW);
    cr_assert(gmem_read(v, 0x2000, &x, 4, GMEM_READ, &f));
    forgets(gmem_invlpg(v, 0x1abc));
    cr_assert_eq((uint8_t *)gmem_seen(v, 0x2000, 4, GMEM_READ), vm->ram + 0x802000, "INVLPG of another page");
    forgets(gmem_cr3_loaded(v));
    cr_assert_null(gmem_seen(v, 0x2000, 4, GMEM_READ));
    forgets((v->cr4 = cr4 | CR4_PSE, gmem_mode_changed(v, v->cr0, cr4, 0)));
    /* A global page outlives a CR3 load where CR4.PGE says so, and nothing else. */
    set_pte(0x1000, 0x801000 | RW | PTE_G);
    forgets(gmem_cr3_loaded(v));
    v->cr4 = cr4 | CR4_PGE;
    gmem_mode_changed(v, v->cr0, cr4, 0);
    cr_assert(gmem_read(v, 0x1000, &x, 4, GMEM_READ, &f) && gmem_read(v, 0x2000, &x, 4, GMEM_READ, &f));
    gmem_cr3_loaded(v);
    cr_assert_eq((uint8_t *)gmem_seen(v, 0x1000, 4, GMEM_READ), vm->ram + 0x801000);
    cr_assert_null(gmem_seen(v, 0x2000, 4, GMEM_READ));
    forgets(gmem_invlpg(v, 0x1000));
    forgets((v->cr4 = cr4, gmem_mode_changed(v, v->cr0, cr4 | CR4_PGE, 0)));
    /* A page fault drops its page, by whatever access. */
    set_pte(0x1000, 0x801000 | (RW & ~PTE_U));
    gmem_invlpg(v, 0x1000);
    forgets(cr_assert(!gmem_read(v, 0x1004, &x, 4, GMEM_USER, &f)));
}

/* Numbers of generations that come round again must not bring old entries back. */
Test(shadowmmu_gmem, seen_survives_no_generation)
{
    struct mmu *m = vm->mmu;
    uint32_t x;

    set_pte(0x1000, 0x801000 | RW);
    for (unsigned i = 0; i < 6; i++) {
        v->cr4 = i & 1 ? CR4_PGE : 0; /* a local flush, or one of everything */
        m->tlb_gen = 1;
        m->tlb_global_gen = 2;
        cr_assert(gmem_read(v, 0x1000, &x, 4, GMEM_READ, &f));
        m->tlb_gen = 3;
        cr_assert(gmem_read(v, 0x1000, &x, 4, GMEM_READ | GMEM_USER, &f));
        m->tlb_last = UINT32_MAX - i / 2;
        for (unsigned j = 0; j < 5; j++) {
            gmem_cr3_loaded(v);
            cr_assert_null(gmem_seen(v, 0x1000, 4, GMEM_READ), "%u, flush %u", i, j);
            cr_assert_null(gmem_seen(v, 0x1000, 4, GMEM_READ | GMEM_USER), "%u, flush %u", i, j);
            cr_assert(m->tlb_gen && m->tlb_global_gen && m->tlb_gen != m->tlb_global_gen);
        }
        cr_assert_lt(m->tlb_last, 20, "they have come round");
    }
}
