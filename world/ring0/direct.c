// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Direct execution in the ring-0 world: user code at CPL 3 in the guest's own segments and address space.
 *
 * It runs in the page tables that translated kernel code uses too; the U bit keeps it from the kernel's pages and the
 * monitor's window. The doors that hardware opens are shut while it runs: SYSENTER_CS is null and EFER.SCE clear,
 * so that both fast system calls fault (SDM vol. 2B SYSENTER, SYSCALL); the host's values are put back before the host is.
 *
 * User code may load segment registers by itself; what they hold is read at each trap.
 */
#include "world/ring0/ring0.h"

#include "cpu/gmem.h"

#define EFLAGS_USER (EFLAGS_LIVE | EFLAGS_TF | EFLAGS_NT | EFLAGS_AC)
#define OP_INT3 0xccu
#define OP_INT_N 0xcdu
#define OP_INTO 0xceu
#define OP_INT1 0xf1u

static uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;

    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (uint64_t)hi << 32 | lo;
}

static void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

/* An NMI may come in between and find the doors as they are marked: it opens those that it may have to. */
void ring0_doors_shut(struct world *w)
{
    if (likely(w->doors_shut))
        return;
    w->host_efer = rdmsr(MSR_EFER);
    w->host_sysenter_cs = rdmsr(MSR_SYSENTER_CS);
    do {
        w->doors_shut = true;
        wrmsr(MSR_EFER, w->host_efer & ~(uint64_t)EFER_SCE);
        wrmsr(MSR_SYSENTER_CS, 0);
    } while (!*(volatile bool *)&w->doors_shut);
}

void ring0_doors_open(struct world *w)
{
    if (likely(!w->doors_shut))
        return;
    wrmsr(MSR_EFER, w->host_efer);
    wrmsr(MSR_SYSENTER_CS, w->host_sysenter_cs);
    *(volatile bool *)&w->doors_shut = false;
}

static inline void segments_load(struct world *w, const struct vcpu *v)
{
    if (w->loaded != LOADED_DIRECT || w->desc_changed) {
        SREG_SET(ds, v->seg[SEG_DS].sel);
        SREG_SET(es, v->seg[SEG_ES].sel);
        SREG_SET(fs, v->seg[SEG_FS].sel);
        SREG_SET(gs, v->seg[SEG_GS].sel);
        w->loaded = LOADED_DIRECT;
        w->desc_changed = false;
        return;
    }
    if (SREG_GET(ds) != v->seg[SEG_DS].sel)
        SREG_SET(ds, v->seg[SEG_DS].sel);
    if (SREG_GET(es) != v->seg[SEG_ES].sel)
        SREG_SET(es, v->seg[SEG_ES].sel);
    if (SREG_GET(fs) != v->seg[SEG_FS].sel)
        SREG_SET(fs, v->seg[SEG_FS].sel);
    if (SREG_GET(gs) != v->seg[SEG_GS].sel)
        SREG_SET(gs, v->seg[SEG_GS].sel);
}

static inline void segment_take(struct world *w, struct vcpu *v, unsigned seg, uint16_t sel)
{
    if (unlikely(v->seg[seg].sel != sel))
        ring0_segment_found(w, v, seg, sel);
}

static inline void segments_take(struct world *w, struct vcpu *v)
{
    segment_take(w, v, SEG_CS, (uint16_t)v->scratch[SCRATCH_CS]);
    segment_take(w, v, SEG_SS, (uint16_t)v->scratch[SCRATCH_SS]);
    segment_take(w, v, SEG_DS, SREG_GET(ds));
    segment_take(w, v, SEG_ES, SREG_GET(es));
    segment_take(w, v, SEG_FS, SREG_GET(fs));
    segment_take(w, v, SEG_GS, SREG_GET(gs));
}

/* The code byte at eip + off. */
static bool code_is(struct vcpu *v, int off, uint8_t want)
{
    uint8_t got;
    struct fault f;

    return gmem_read(v, v->seg[SEG_CS].base + v->eip + (uint32_t)off, &got, 1, GMEM_USER | GMEM_FETCH, &f) &&
           got == want;
}

static void softint(struct vcpu *v, uint8_t vec)
{
    v->exit.kind = EXIT_SOFTINT;
    v->exit.vec = vec;
}

/* INT n by a gate that is not for user code: the fault is at the instruction. */
static void refused_int(struct vcpu *v)
{
    uint8_t vec;
    struct fault f;

    if (!code_is(v, 0, OP_INT_N) ||
        !gmem_read(v, v->seg[SEG_CS].base + v->eip + 1, &vec, 1, GMEM_USER | GMEM_FETCH, &f))
        return; /* with prefixes: the interpreter knows */
    v->eip += 2;
    softint(v, vec);
}

/* Traps come with EIP behind the instruction; the caller wants INT3, INTO and INT1 at it, INT n behind it. */
static void take_trap(struct vcpu *v, uint8_t opcode)
{
    if (code_is(v, -1, opcode))
        v->eip--;
    else if (v->exit.vec != VEC_DB)
        softint(v, (uint8_t)v->exit.vec);
}

/* Why a #DB came.  The CPU only ever sets bits (SDM vol. 3B 17.2.3), and the next #DB may be the host's. */
static uint32_t debug_status_take(void)
{
    uint64_t dr6;

    __asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
    __asm__ volatile("mov %0, %%dr6" : : "r"((uint64_t)DR6_FIXED));
    return (uint32_t)dr6;
}

static __attribute__((noinline)) void note_exit(struct vcpu *v)
{
    v->exit.kind = EXIT_FAULT;
    switch (v->exit.vec) {
    case VEC_BP:
        take_trap(v, OP_INT3);
        break;
    case VEC_OF:
        take_trap(v, OP_INTO);
        break;
    case VEC_DB:
        v->exit.err = debug_status_take();
        if (!(v->exit.err & DR6_BS) && !v->vm->config->host_int1_at)
            take_trap(v, OP_INT1);
        break;
    case VEC_GP:
        if (v->exit.err & 2) /* the error code names the IDT */
            refused_int(v);
        break;
    default:
        break;
    }
    v->exit.tca = v->eip;
}

static uint32_t guest_flags(const struct vcpu *v)
{
    return (v->eflags & (EFLAGS_USER | EFLAGS_IOPL)) | EFLAGS_FIXED | EFLAGS_IF;
}

static inline void registers_take(struct world *w, struct vcpu *v)
{
    v->eip = v->exit.tca;
    v->eflags = (v->eflags & ~(uint32_t)EFLAGS_USER) | (v->hflags & EFLAGS_USER);
    segments_take(w, v);
}

/* Not done: CPUID faulting, where the CPU has it. */
struct direct_traits world_direct_traits(struct vm *vm)
{
    bool umip = vm->world->cross->vmm_cr4 & CR4_UMIP;

    return (struct direct_traits){ .shows = DIRECT_SHOWS_CPUID | (umip ? 0 : DIRECT_SHOWS_TABLES), .cheap = true,
                                   .own_xcr0 = true };
}

bool world_direct_ok(struct vcpu *v)
{
    return ring0_direct_segments(v->vm->world, v);
}

void world_enter_direct(struct vcpu *v, unsigned view)
{
    struct world *w = v->vm->world;

    (void)view; /* is the one loaded */
    while (ring0_ready(w, v)) {
        if (unlikely(!w->doors_shut))
            ring0_doors_shut(w);
        segments_load(w, v);
        ring0_enter(v, v->eip, v->seg[SEG_CS].sel, v->seg[SEG_SS].sel, guest_flags(v));
        registers_take(w, v);
        if (likely(v->exit.vec == VEC_CALLOUT)) {
            v->exit.kind = EXIT_SOFTINT;
            return;
        }
        if (likely(!vec_is_host(v->exit.vec))) {
            note_exit(v);
            return;
        }
        ring0_host_event(w, v->exit.vec, 3, v->eip);
        if (v->attention || v->vm->stop) {
            v->exit.kind = EXIT_ATTENTION;
            return;
        }
    }
}
