/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The decision for direct execution: what it asks of the guest's XCR0 and of the host's CPUID.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "bt/bt.h"
#include "cpu/control.h"
#include "cpu/exception.h"
#include "cpu/interp.h"
#include "cpu/io.h"
#include "shadowmmu/mmu.h"
#include "world/cross.h"
#include "world/direct.h"
#include "world/world.h"

static struct vm vm;
static struct vcpu cpu;
static unsigned entered;
static bool cpuid_scanned;
static bool touches;    /* user code takes true page faults ... */
static uint64_t run_cycles; /* ... after so long */
static uint64_t tsc;
static struct direct_traits traits;

void bug_at(const char *file, int line, const char *what)
{
    cr_assert(false, "%s:%d: %s", file, line, what);
    abort();
}
void bt_run(struct vcpu *v) { (void)v; }
void bt_return_at_user(struct vm *m, uint64_t spaces) { (void)m, (void)spaces; }
enum interp_result interp_run_one(struct vcpu *v) { return (void)v, INTERP_OK; }
void interp_stepped(struct vcpu *v) { (void)v; }
uint64_t io_rdtsc(void) { return tsc; }
enum fill_result mmu_fill(struct vcpu *v, unsigned view, gla_t gla, unsigned access, struct fault *f)
{
    (void)v, (void)view, (void)gla, (void)access, (void)f;
    return touches ? FILL_TRUE : FILL_MAPPED;
}
const struct mmu_gens *mmu_gens(const struct vm *m)
{
    static const struct mmu_gens gens;

    return (void)m, &gens;
}
void mmu_prefill(struct vcpu *v, unsigned view, gla_t gla) { (void)v, (void)view, (void)gla; }
void mmu_scan_for(struct vm *m, unsigned shows) { (void)m, cpuid_scanned = shows & DIRECT_SHOWS_CPUID; }
unsigned mmu_user_view(struct vcpu *v) { return (void)v, 1; }
void vcpu_deliver_fault(struct vcpu *v, const struct fault *f) { (void)v, (void)f, vm.stats->exceptions++; }
bool vcpu_soft_int(struct vcpu *v, uint8_t vec, uint32_t next, struct fault *f)
{
    return (void)v, (void)vec, (void)next, (void)f, true;
}
bool vcpu_int_again(struct vcpu *v, uint8_t vec, uint32_t next) { return (void)v, (void)vec, (void)next, true; }
bool world_direct_ok(struct vcpu *v) { return (void)v, true; }
bool world_direct_again(struct vcpu *v) { return (void)v, true; }
struct direct_traits world_direct_traits(struct vm *m) { return (void)m, traits; }
unsigned world_direct_views(struct vm *m) { return (void)m, 1; }
void world_enter_direct(struct vcpu *v, unsigned view)
{
    (void)view;
    entered++;
    tsc += run_cycles;
    v->attention = !touches;
    v->exit.kind = touches ? EXIT_FAULT : EXIT_ATTENTION;
    v->exit.vec = VEC_PF;
}

/* A host with x87 to AVX-512 and protection keys. */
void io_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    (void)subleaf;
    memset(out, 0, 16);
    if (leaf == 0)
        out[0] = 0xd;
    else if (leaf == 1)
        out[2] = BIT(26) | BIT(27);
    else if (leaf == 0xd)
        out[0] = 0x2e7;
}

static void start(const char *model, enum user_exec mode, bool faulting)
{
    memset(&vm, 0, sizeof vm);
    memset(&cpu, 0, sizeof cpu);
    entered = 0;
    vm.vcpu = &cpu;
    vm.stats = calloc(1, sizeof *vm.stats);
    vm.trace = calloc(1, sizeof *vm.trace);
    vm.cross = calloc(1, sizeof *vm.cross);
    vm.config = &vm.cross->config;
    arena_init(&vm.arena, malloc(1 << 16), 1 << 16);
    vm.cross->config.user_exec = mode;
    traits.shows = faulting ? 0 : DIRECT_SHOWS_CPUID;
    vm.cross->config.host_has_nx = 1;
    cpu.vm = &vm;
    vcpu_changed(&cpu);
    cpu.cpuid = cpuid_model_find(model);
    cpu.cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_NE;
    cpu.cr4 = CR4_OSFXSR;
    cpu.cpl = 3;
    cpu.cr3 = 0x1000;
    cpu.eflags = EFLAGS_FIXED | EFLAGS_IF;
    cpu.seg[SEG_CS].attr = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_CODE | SEG_ATTR_DB | SEG_ATTR_G;
    cpu.seg[SEG_CS].limit = 0xffffffff;
    direct_init(&vm);
}

/* Three timer interrupts that find the program computing. */
static bool promoted(void)
{
    for (unsigned i = 0; i < 8 && !direct_wanted(&cpu); i++) {
        cpu.attention = 1;
        direct_note_translated(&cpu, 3);
    }
    return direct_wanted(&cpu);
}

static void xcr0(uint64_t value)
{
    cpu.cr4 |= CR4_OSXSAVE;
    cpu.xcr0 = value;
    vcpu_changed(&cpu);
}

Test(world_direct, cpuid_trapped)
{
    start("btvmm32", USER_EXEC_DIRECT, true);
    cr_assert(direct_wanted(&cpu));
    cr_assert(!cpuid_scanned);
    start("btvmm32", USER_EXEC_AUTO, true);
    cr_assert(!direct_wanted(&cpu));
    cr_assert(promoted());
    direct_run(&cpu);
    start("btvmm32", USER_EXEC_TRANSLATE, true);
    cr_assert(!promoted());
}

/* XGETBV shows the host's: the guest's kernel must save all of that. */
Test(world_direct, xcr0_must_be_whole)
{
    start("host", USER_EXEC_DIRECT, true);
    cr_assert(direct_wanted(&cpu), "CPUID shows no OSXSAVE");
    xcr0(7);
    cr_assert(!direct_wanted(&cpu));
    xcr0(0xe7);
    cr_assert(direct_wanted(&cpu));
    xcr0(1);
    cr_assert(!direct_wanted(&cpu));
}

Test(world_direct, cpuid_not_trapped)
{
    start("btvmm32", USER_EXEC_AUTO, false);
    cr_assert(!promoted());
    start("btvmm32", USER_EXEC_DIRECT, false);
    cr_assert(direct_wanted(&cpu), "as asked; the VMX warns");
    cr_assert(cpuid_scanned);
    start("host", USER_EXEC_AUTO, false);
    cr_assert(!promoted(), "the real CPUID shows OSXSAVE, the guest has not set it");
    xcr0(7);
    cr_assert(!promoted());
    xcr0(0xe7);
    cr_assert(promoted());
    start("host", USER_EXEC_DIRECT, false);
    cr_assert(!direct_wanted(&cpu));
    xcr0(0xe7);
    cr_assert(direct_wanted(&cpu));
}

/* A world in which traps are cheap and the guest's own XCR0 holds. */
Test(world_direct, cheap_traps)
{
    traits.cheap = traits.own_xcr0 = true;
    start("btvmm32", USER_EXEC_AUTO, false);
    cr_assert(direct_wanted(&cpu));
    start("host", USER_EXEC_AUTO, false);
    xcr0(3);
    cr_assert(direct_wanted(&cpu));
    start("host", USER_EXEC_TRANSLATE, false);
    cr_assert(!direct_wanted(&cpu));
}

/* How many first touches does a run of the loop take directly until it hands over to the translator? */
static unsigned touched(unsigned most, uint64_t cycles)
{
    run_cycles = cycles;
    touches = true;
    entered = 0;
    for (unsigned i = 0; i < most && direct_wanted(&cpu); i++) {
        vm.stop = VM_STOP_EXIT; /* a stretch at a time */
        direct_run(&cpu);
        vm.stop = VM_RUNNING;
    }
    return entered;
}

Test(world_direct, first_touches)
{
    start("btvmm32", USER_EXEC_DIRECT, true);
    cr_assert_eq(touched(100, 1000), 100, "always directly");
    start("btvmm32", USER_EXEC_AUTO, true);
    cr_assert(promoted());
    cr_assert_eq(touched(100, 1000000), 100, "with long runs between them they don't matter");
    cr_assert_eq(touched(100, 1000), 8);
    cr_assert(!direct_wanted(&cpu));
}
