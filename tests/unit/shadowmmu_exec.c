// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What may be executable in user views: the look through a page, holding it, and what a write does.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "shadowmmu/mmu_priv.h"
#include "tests/fake/world_map.h"

#define DIR 0x200000u
#define PT 0x202000u
#define RWU (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)
#define KERNEL (PTE_P | PTE_W | PTE_A | PTE_D | PTE_G)
#define CODE 0x08000000u /* linear */
#define CODE_GPN 0x900u
#define LINEAR 0xc0800000u /* the kernel's mapping of 4 MiB around it */
#define CODE_KERNEL (LINEAR + (CODE_GPN << PAGE_SHIFT) - 0x800000u)

#define ALL_BUT_CPUID \
    (DIRECT_SHOWS_SELECTORS | DIRECT_SHOWS_TABLES | DIRECT_SHOWS_SYSCALLS | DIRECT_SHOWS_XSTATE)

static struct vm *vm;
static struct vcpu *v;
static struct fault f;

static void put(gpa_t at, uint32_t e)
{
    memcpy(vm->ram + at, &e, 4);
}

static void setup(void)
{
    fake_world.direct_views = 3;
    fake_world.min_gla = 0x10000;
    vm = fake_vm_new(32u << 20);
    v = vm->vcpu;
    mmu_init(vm);
    mmu_scan_for(vm, ALL_BUT_CPUID);
    v->cr0 = CR0_PE | CR0_PG | CR0_WP;
    v->cr4 = CR4_PSE | CR4_PGE;
    v->cr3 = DIR;
    put(DIR + (CODE >> 22) * 4, PT | RWU);
    for (uint32_t i = 0; i < 16; i++)
        put(PT + i * 4, (CODE_GPN + i) << PAGE_SHIFT | RWU);
    put(DIR + (LINEAR >> 22) * 4, 0x800000 | KERNEL | PTE_PS);
    memset(vm->ram + (CODE_GPN << PAGE_SHIFT), 0x90, 16 * PAGE_SIZE);
    gmem_mode_changed(v, CR0_PE, 0, 0);
}

static void check(void)
{
    const char *wrong = live_verify(vm);

    cr_assert(!wrong, "%s", wrong);
    cr_assert_eq(vm->stop, VM_RUNNING);
}

static unsigned prot(unsigned view, gla_t gla)
{
    const struct fake_page *e = fake_mapping(view, gla);

    return e->mapped ? e->prot : 0xff;
}

static enum fill_result fetch(gla_t gla)
{
    return mmu_fill(v, 1, gla, GMEM_USER | GMEM_FETCH, &f);
}

/* --- the look through a page --- */

static uint8_t page[PAGE_SIZE], next[PAGE_SIZE];


static bool sensitive_at(unsigned at, const char *bytes, unsigned n)
{
    memset(page, 0x90, sizeof page);
    memset(next, 0x90, sizeof next);
    for (unsigned i = 0; i < n; i++)
        *(at + i < PAGE_SIZE ? &page[at + i] : &next[at + i - PAGE_SIZE]) = (uint8_t)bytes[i];
    /* An opcode behind a prefix that ends the page is found on the next. */
    return scan_sensitive(page, next, ALL_BUT_CPUID) || scan_sensitive(next, page, ALL_BUT_CPUID);
}
#define SENSITIVE(at, bytes) sensitive_at(at, bytes, sizeof(bytes) - 1)

Test(shadowmmu_exec, scan_finds_each_instruction)
{
    static const struct {
        const char *bytes;
        unsigned n;
    } insns[] = {
#define I(b) { b, sizeof(b) - 1 }
        I("\x8c\xe8"), I("\x66\x8c\xe8"), I("\x8c\x60\x04"), I("\x8c\xc8"), I("\x8c\xd8"), I("\x8e\xe8"),
        I("\x8e\x24\x24"), I("\x0f\xa0"), I("\x0f\xa8"), I("\x0f\xa1"), I("\x66\x0f\xa9"), I("\x0f\xb5\x01"),
        I("\x0f\xb4\x01"), I("\x0f\xb2\x01"), I("\x0f\x03\xc1"), I("\x66\x0f\x02\xc1"), I("\x0f\x00\xc8"),
        I("\x0f\x00\xe0"), I("\x0f\x01\x04\x24"), I("\x0f\x01\x0c\x24"), I("\x0f\x01\xe0"),
        I("\x0f\x05"), I("\x0f\x34"),
        I("\x0f\x01\xd0"), I("\x0f\x01\xee"), I("\x0f\x01\xef"), I("\x0f\xae\x21"), I("\x0f\xae\x2f"),
        I("\x0f\xae\x34\x24"), I("\x0f\xc7\x27"),
    };
    static const unsigned places[] = { 0, 1, 14, 15, 40, 63, 64, 65, 1000, 2047, 4000, 4090, 4093, 4094, 4095 };

    for (unsigned i = 0; i < ARRAY_SIZE(insns); i++)
        for (unsigned k = 0; k < ARRAY_SIZE(places); k++)
            cr_assert(sensitive_at(places[k], insns[i].bytes, insns[i].n), "%u at %u", i, places[k]);
    memset(page, 0x90, sizeof page);
    memcpy(page + 500, "\x0f\xa2", 2);
    cr_assert(scan_sensitive(page, next, ALL_BUT_CPUID | DIRECT_SHOWS_CPUID) && !scan_sensitive(page, next, ALL_BUT_CPUID));
}

Test(shadowmmu_exec, scan_knows_where_instructions_begin)
{
    /* jl rel32; mov $imm32 with such bytes inside; add $0x8c, %esp; a displacement; XTEST; VEX. */
    cr_assert(!SENSITIVE(1000, "\x0f\x8c\xe8\x00\x00\x00"));
    cr_assert(!SENSITIVE(1000, "\xb8\x8c\xe8\x0f\xa0"));
    cr_assert(!SENSITIVE(1000, "\x81\xc4\x8c\x20\x00\x00"));
    cr_assert(!SENSITIVE(1000, "\x8b\x85\x8e\xe8\xff\xff"));
    cr_assert(!SENSITIVE(1000, "\x0f\x01\xd6"));
    cr_assert(!SENSITIVE(1000, "\xc5\xf8\x0f\xc1\xa0"));
    /* Undefined encodings of MOV. */
    cr_assert(!SENSITIVE(1000, "\x8c\xf0"));
    /* Cut off by the page's end, with and without knowing what follows. */
    memset(page, 0x90, sizeof page);
    page[4095] = 0x0f;
    next[0] = 0xa2;
    cr_assert(!scan_sensitive(page, next, ALL_BUT_CPUID) && scan_sensitive(page, NULL, ALL_BUT_CPUID));
    page[4094] = 0xb8;
    page[4095] = 0x90;
    cr_assert(!scan_sensitive(page, NULL, ALL_BUT_CPUID));
    /* Behind data that does not decode. */
    memset(page, 0x90, sizeof page);
    memset(page + 900, 0xff, 64);
    memcpy(page + 1000, "\x8c\xe8", 2);
    cr_assert(scan_sensitive(page, next, ALL_BUT_CPUID));
}

/* --- admission --- */

Test(shadowmmu_exec, fetch_admits_and_holds)
{
    setup();
    cr_assert_eq(mmu_fill(v, 0, CODE_KERNEL, GMEM_WRITE, &f), FILL_MAPPED);
    cr_assert_eq(mmu_fill(v, 1, CODE, GMEM_USER, &f), FILL_MAPPED);
    cr_assert_eq(prot(1, CODE), MAP_R | MAP_W); /* not executable before anyone has fetched */
    cr_assert_eq(fetch(CODE), FILL_MAPPED);
    cr_assert_eq(prot(1, CODE), MAP_R | MAP_X);
    cr_assert_eq(prot(1, CODE + PAGE_SIZE), MAP_R | MAP_W);
    cr_assert_eq(prot(0, CODE_KERNEL), MAP_R);
    cr_assert_eq(prot(0, CODE_KERNEL + PAGE_SIZE), MAP_R | MAP_W);
    cr_assert_eq(vm->stats->code_scans, 1);
    check();
    /* Another view needs no second look. */
    cr_assert_eq(mmu_fill(v, 2, CODE, GMEM_USER | GMEM_FETCH, &f), FILL_MAPPED);
    cr_assert_eq(prot(2, CODE), MAP_R | MAP_X);
    cr_assert_eq(vm->stats->code_scans, 1);
    check();
}

Test(shadowmmu_exec, large_pages_go_page_by_page)
{
    setup();
    put(DIR + (0x10000000u >> 22) * 4, 0x800000 | RWU | PTE_PS);
    memset(vm->ram + 0x800000, 0x90, 4u << 20);
    cr_assert_eq(mmu_fill(v, 1, 0x10000000, GMEM_USER, &f), FILL_MAPPED);
    for (uint32_t gla = 0x10000000; gla < 0x10400000; gla += PAGE_SIZE)
        cr_assert_eq(fetch(gla), FILL_MAPPED);
    live_drop_all(vm, vm->mmu->view[1]);
    cr_assert_eq(fetch(0x10200000), FILL_MAPPED);
    cr_assert_eq(prot(1, 0x10200000), MAP_R | MAP_X);
    check();
    cr_assert(gmem_write(v, 0x10200000, "x", 1, 0, &f));
    cr_assert_eq(prot(1, 0x10200000), MAP_R);
    cr_assert_eq(prot(1, 0x10201000), MAP_R | MAP_X);
    check();
}

static void write_by_fill(void) { cr_assert_eq(mmu_fill(v, 0, CODE_KERNEL, GMEM_WRITE, &f), FILL_MAPPED); }
static void write_by_view(void) { cr_assert_eq(mmu_fill(v, 3, CODE, GMEM_WRITE, &f), FILL_MAPPED); }
static void write_by_monitor(void) { cr_assert(gmem_write(v, CODE_KERNEL + 7, "x", 1, 0, &f)); }
/* The walk sets A in a page table that lies there. */
static void write_by_walk(void)
{
    put(DIR + (0x20000000u >> 22) * 4, CODE_GPN << PAGE_SHIFT | RWU);
    put(CODE_GPN << PAGE_SHIFT, 0x800000 | (RWU & ~PTE_A));
    cr_assert(gmem_probe(v, 0x20000000, 1, GMEM_USER, &f));
}

Test(shadowmmu_exec, any_write_takes_it_back_everywhere)
{
    static void (*const writes[])(void) = { write_by_fill, write_by_view, write_by_monitor, write_by_walk };

    setup();
    for (unsigned i = 0; i < ARRAY_SIZE(writes); i++) {
        for (unsigned view = 1; view <= 3; view++) /* more aliases than the reverse map has places */
            cr_assert_eq(mmu_fill(v, view, CODE, GMEM_USER | GMEM_FETCH, &f), FILL_MAPPED);
        vm->mmu->clock += 1000;
        writes[i]();
        for (unsigned view = 1; view <= 3; view++)
            cr_assert(!(prot(view, CODE) & MAP_X) && prot(view, CODE) != 0xff, "write %u view %u", i, view);
        cr_assert_eq(fake_world.code_writes, 0);
        check();
    }
}

Test(shadowmmu_exec, holds_are_independent)
{
    setup();
    cr_assert_eq(fetch(CODE), FILL_MAPPED);
    mmu_trace(vm, CODE_GPN);
    cr_assert(mmu_traced(vm, CODE_GPN));
    mmu_untrace(vm, CODE_GPN);
    cr_assert(!mmu_traced(vm, CODE_GPN));
    cr_assert_eq(prot(1, CODE), MAP_R | MAP_X);
    check();
    /* Both: the write is traced, and told to the translator. */
    mmu_trace(vm, CODE_GPN);
    cr_assert_eq(mmu_fill(v, 0, CODE_KERNEL, GMEM_WRITE, &f), FILL_TRACED);
    cr_assert_eq(prot(1, CODE), MAP_R);
    cr_assert_eq(fetch(CODE), FILL_MAPPED);
    cr_assert(gmem_write(v, CODE_KERNEL, "x", 1, 0, &f));
    cr_assert_eq(fake_world.code_writes, 1);
    cr_assert_eq(prot(1, CODE), MAP_R);
    check();
}

Test(shadowmmu_exec, sensitive_pages_are_refused)
{
    setup();
    memcpy(vm->ram + (CODE_GPN << PAGE_SHIFT) + 100, "\x8e\xe8", 2);
    cr_assert_eq(fetch(CODE), FILL_SENSITIVE);
    cr_assert(!fake_mapping(1, CODE)->mapped || !(prot(1, CODE) & MAP_X));
    /* Once the translator watches the page, nobody looks again until it is written. */
    mmu_trace(vm, CODE_GPN);
    cr_assert_eq(fetch(CODE), FILL_SENSITIVE);
    cr_assert_eq(fetch(CODE), FILL_SENSITIVE);
    cr_assert_eq(vm->stats->code_scans, 2);
    cr_assert(gmem_write(v, CODE_KERNEL + 100, "\x90\x90", 2, 0, &f));
    cr_assert_eq(fetch(CODE), FILL_MAPPED);
    cr_assert_eq(prot(1, CODE), MAP_R | MAP_X);
    check();
}

Test(shadowmmu_exec, nx_stays_a_true_fault)
{
    setup();
    v->cr4 |= CR4_PAE;
    v->efer = EFER_NXE;
    v->pdpte[0] = 0x300000 | PTE_P;
    put(0x300000 + 0x40 * 8, 0x301000 | RWU); /* 0x08000000 */
    put(0x301000, CODE_GPN << PAGE_SHIFT | RWU);
    put(0x301004, 0x80000000);
    gmem_mode_changed(v, v->cr0, v->cr4 & ~CR4_PAE, 0);
    cr_assert_eq(fetch(CODE), FILL_TRUE);
    cr_assert_eq(vm->stats->code_scans, 0);
}

/* Code made at run time: written and fetched by turns. */
Test(shadowmmu_exec, written_again_and_again_falls_back)
{
    unsigned admitted = 0;

    setup();
    for (unsigned i = 0; i < 1000; i++) {
        vm->mmu->clock++;
        admitted += fetch(CODE) == FILL_MAPPED;
        cr_assert(gmem_write(v, CODE_KERNEL, "\x90", 1, 0, &f));
    }
    cr_assert(admitted >= 3 && admitted < 16, "%u", admitted);
    /* It is tried again in the end, and stays when writes stop. */
    for (unsigned i = 0; i < 2000 && fetch(CODE) != FILL_MAPPED; i++)
        ;
    cr_assert_eq(prot(1, CODE), MAP_R | MAP_X);
    /* Pages that the guest's kernel uses for one thing after the other are no such case. */
    for (unsigned i = 0; i < 100; i++) {
        vm->mmu->clock += 100;
        cr_assert(gmem_write(v, CODE_KERNEL, "\x90", 1, 0, &f));
        cr_assert_eq(fetch(CODE), FILL_MAPPED);
    }
    check();
}

Test(shadowmmu_exec, reset_forgets)
{
    setup();
    cr_assert_eq(fetch(CODE), FILL_MAPPED);
    mmu_trace(vm, CODE_GPN + 1);
    mmu_reset(vm);
    memcpy(vm->ram + (CODE_GPN << PAGE_SHIFT) + 100, "\x8e\xe8", 2); /* loaded anew, unseen */
    cr_assert_eq(fetch(CODE), FILL_SENSITIVE);
    cr_assert(mmu_traced(vm, CODE_GPN + 1));
    check();
}

Test(shadowmmu_exec, scan_looks_for_what_the_world_shows)
{
    memset(page, 0x90, sizeof page);
    memset(next, 0x90, sizeof next);
    memcpy(page + 100, "\x8c\xe8", 2);
    memcpy(page + 200, "\x0f\x05", 2);
    cr_assert(!scan_sensitive(page, next, 0));
    cr_assert(!scan_sensitive(page, next, DIRECT_SHOWS_TABLES | DIRECT_SHOWS_CPUID));
    cr_assert(scan_sensitive(page, next, DIRECT_SHOWS_SYSCALLS));
    cr_assert(scan_sensitive(page, next, DIRECT_SHOWS_SELECTORS));
    memcpy(page + 300, "\x0f\x01\x04\x24", 4);
    cr_assert(scan_sensitive(page, next, DIRECT_SHOWS_TABLES));
}

/* LAR, LSL, VERR, VERW; SLDT and STR are something else, LLDT and LTR not for user code. */
Test(shadowmmu_exec, scan_looks_for_questions_about_descriptors)
{
    static const struct { uint8_t code[3]; unsigned shown_by; } insns[] = {
        { "\x0f\x02\xc1", DIRECT_SHOWS_DESCRIPTORS | DIRECT_SHOWS_SELECTORS },
        { "\x0f\x03\xc1", DIRECT_SHOWS_DESCRIPTORS | DIRECT_SHOWS_SELECTORS },
        { "\x0f\x00\xe1", DIRECT_SHOWS_DESCRIPTORS | DIRECT_SHOWS_SELECTORS },
        { "\x0f\x00\xe9", DIRECT_SHOWS_DESCRIPTORS | DIRECT_SHOWS_SELECTORS },
        { "\x0f\x00\xc1", DIRECT_SHOWS_TABLES | DIRECT_SHOWS_SELECTORS },
        { "\x0f\x00\xc9", DIRECT_SHOWS_TABLES | DIRECT_SHOWS_SELECTORS },
        { "\x0f\x00\xd1", 0 },
        { "\x0f\x00\xd9", 0 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(insns); i++)
        for (unsigned bit = 0; bit < 6; bit++) {
            memset(page, 0x90, sizeof page);
            memset(next, 0x90, sizeof next);
            memcpy(page + 100, insns[i].code, 3);
            cr_assert_eq(scan_sensitive(page, next, BIT(bit)), !!(insns[i].shown_by & BIT(bit)), "%u, %u", i, bit);
        }
}

/* What was admitted before is looked at again when there is more to look for. */
Test(shadowmmu_exec, admitted_pages_are_searched_again)
{
    setup();
    mmu_scan_for(vm, DIRECT_SHOWS_TABLES);
    memcpy(vm->ram + (CODE_GPN << PAGE_SHIFT) + 100, "\x0f\x03\xc1", 3);
    cr_assert_eq(fetch(CODE), FILL_MAPPED);
    mmu_scan_for(vm, DIRECT_SHOWS_TABLES | DIRECT_SHOWS_DESCRIPTORS);
    cr_assert_eq(fetch(CODE), FILL_SENSITIVE);
    check();
}

/* The neighbours of XSAVE and of the protection keys' instructions may run directly. */
Test(shadowmmu_exec, scan_leaves_the_neighbours)
{
    static const char *const insns[] = {
        "\x0f\xae\x10", "\x0f\xae\x1c\x24", "\x0f\xae\xe8", "\x0f\xae\xf0", "\x0f\xae\xf8", "\x0f\xae\x38",
        "\x66\x0f\xae\x30", "\x0f\xc7\x0e", "\x0f\x01\xd6", "\x0f\x01\xe8",
    };

    for (unsigned i = 0; i < ARRAY_SIZE(insns); i++)
        cr_expect(!sensitive_at(200, insns[i], (unsigned)strlen(insns[i])), "%u", i);
    memset(page, 0x90, sizeof page);
    memcpy(page + 300, "\x0f\x01\xef", 3);
    cr_assert(scan_sensitive(page, next, DIRECT_SHOWS_XSTATE));
    cr_assert(!scan_sensitive(page, next, DIRECT_SHOWS_TABLES), "SGDT and SMSW only");
    memcpy(page + 300, "\x0f\x01\xe0", 3);
    cr_assert(!scan_sensitive(page, next, DIRECT_SHOWS_XSTATE));
}
