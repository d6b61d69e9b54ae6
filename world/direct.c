// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Direct execution of user code: the decision, and the exits.
 *
 * World: VMM, every world that has user views.  The rule is the classic one:
 * CPL 3, protected mode, IOPL < 3, IF = 1, no pending trap, and a 32-bit flat
 * enough code segment; anything else runs translated.
 *
 * Every trap out of direct execution costs a hand-off between processes (in
 * the process world), and one out of translated user code costs next to
 * nothing; on the other hand direct code runs at the speed of the machine.
 * Under "auto", then, a process starts translated.  When a timer interrupt finds
 * it in user mode a few times without a system call or fault in between, it is computing: it is
 * promoted.  When direct runs turn out short on average, it is demoted again.
 * The score is kept per address space (CR3).
 *
 * Where a trap costs no more than a callout, "auto" is "direct".
 *
 * Where the host can't trap CPUID, "auto" runs code directly only with the host model: the
 * pages with CPUID are looked for (shadowmmu/scan.c), but a program that slips through would use AVX
 * registers, which a kernel on the btvmm32 model does not save. "direct" trusts the search.
 *
 * Code on pages that must not run directly (shadowmmu/scan.c) is translated until user mode is next entered
 * from the kernel.
 */
#include "world/direct.h"
#include "base/assert.h"
#include "cpu/control.h"
#include "bt/bt.h"
#include "cpu/exception.h"
#include "cpu/interp.h"
#include "cpu/io.h"
#include "cpu/segment.h"
#include "shadowmmu/mmu.h"
#include "world/cross.h"
#include "world/world.h"

#define PROMOTE_AT 2         /* ticks in a row that found computing user code */
#define SHORT_RUN_US 100     /* a direct run below this counts against it */
#define DEMOTE_AT 8

struct space_score {
    uint32_t cr3;
    uint8_t ticks, shorts;
    bool direct;
    uint8_t hold;      /* translate until user mode has been entered so many times */
};

struct direct {
    struct space_score score[BT_SPACES]; /* direct-mapped, by bt_space(CR3) */
    struct space_score *last; /* what was asked for last */
    uint64_t promoted;       /* bit per entry of score: direct */
    uint64_t short_cycles;
    uint64_t traps_at_tick;  /* traps ever, as of the last timer interrupt; if there were none since, user code computes */
    uint32_t mode;           /* enum user_exec */
    struct direct_traits traits;
    bool real_cpuid;         /* CPUID in direct code can't be trapped */
    /* These were found fit for direct execution, in this view, when v->changes and the MMU's user generation were
     * these, and `last` is their space's.  0: never. */
    uint64_t settled_at;
    uint32_t settled_user;
    const struct mmu_gens *gens;
    unsigned view;
    struct seg cs, ss;
    uint64_t xcr0_offered;   /* what the model lets XCR0 be, 0: it has no XSAVE */
    bool timed;              /* how long each direct run takes is of interest */
    bool serve;              /* direct_run() may run the kernel */
    bool prefill;            /* a true page fault was delivered at this address, by this instruction */
    gla_t prefill_gla;
    uint32_t prefill_eip;
    unsigned prefill_access;
};

void direct_init(struct vm *vm)
{
    struct direct *d = arena_alloc(&vm->arena, sizeof *d, 64);
    uint64_t hz = vm->config->tsc_hz ? vm->config->tsc_hz : 2000000000;

    d->last = d->score;
    d->mode = vm->config->user_exec;
    d->short_cycles = hz / 1000000 * SHORT_RUN_US;
    if (!world_direct_views(vm) || !vm->config->host_has_nx)
        d->mode = USER_EXEC_TRANSLATE;
    d->gens = mmu_gens(vm);
    d->traits = world_direct_traits(vm);
    d->serve = !vm->inject && !vm->config->bt.interp_only && !vm->config->bt.interp_kernel;
    d->real_cpuid = d->traits.shows & DIRECT_SHOWS_CPUID;
    d->xcr0_offered = cpuid_xcr0_mask(vm->vcpu);
    if (d->mode == USER_EXEC_AUTO && d->real_cpuid && !d->xcr0_offered && !d->traits.own_xcr0)
        d->mode = USER_EXEC_TRANSLATE;
    if (d->mode == USER_EXEC_AUTO && d->traits.cheap)
        d->mode = USER_EXEC_DIRECT;
    d->timed = d->mode == USER_EXEC_AUTO || vm->config->profile;
    mmu_scan_for(vm, d->traits.shows);
    bt_return_at_user(vm, d->mode == USER_EXEC_DIRECT ? ~0ull : 0);
    vm->direct = d;
}

/* The translator need not come back on the way to user code of any other space. */
static void set_direct(struct vm *vm, struct space_score *s, bool direct)
{
    struct direct *d = vm->direct;
    uint64_t bit = BIT64(s - d->score);

    s->direct = direct;
    s->ticks = s->shorts = s->hold = 0;
    d->promoted = direct ? d->promoted | bit : d->promoted & ~bit;
    if (d->mode == USER_EXEC_AUTO)
        bt_return_at_user(vm, d->promoted);
}

static __attribute__((noinline)) struct space_score *score_find(const struct vcpu *v, struct direct *d)
{
    struct space_score *s = &d->score[bt_space(v->cr3)];

    if (unlikely(s->cr3 != v->cr3)) {
        set_direct(v->vm, s, false);
        *s = (struct space_score){ .cr3 = v->cr3 };
    }
    return d->last = s;
}

static inline struct space_score *score_of(const struct vcpu *v, struct direct *d)
{
    return likely(d->last->cr3 == v->cr3) ? d->last : score_find(v, d);
}

/*
 * User code must not find vector registers that the guest's kernel does not save. XGETBV shows the host's
 * XCR0, so the guest's must have all that the model offers (what the host has beyond, protection keys and
 * tiles, needs system calls that no guest of ours has); CPUID, unless it is trapped, shows that XGETBV is
 * there.
 */
static bool vector_state_agrees(const struct vcpu *v)
{
    const struct direct *d = v->vm->direct;

    if (d->traits.own_xcr0)
        return true;
    return v->cr4 & CR4_OSXSAVE ? v->xcr0 == d->xcr0_offered : !(d->real_cpuid && d->xcr0_offered);
}

/* The state allows direct execution. */
static bool direct_possible(struct vcpu *v)
{
    return v->cpl == 3 && vcpu_protected(v) && vcpu_iopl(v) < 3 && (v->eflags & EFLAGS_IF) &&
           !(v->eflags & (EFLAGS_TF | EFLAGS_NT | EFLAGS_AC)) && !(v->cr0 & (CR0_TS | CR0_EM)) &&
           (v->cr0 & CR0_PG) && !(v->cr4 & CR4_TSD) && !v->tsc_offset && vcpu_code32(v) && !v->shadow &&
           !(v->dr[7] & 0xff) && v->seg[SEG_CS].base == 0 &&
           vector_state_agrees(v) && world_direct_ok(v);
}

/* Since it was found possible, only guest code and known gates and IRETs have run: is it still? */
static inline bool direct_still_possible(struct vcpu *v, const struct direct *d)
{
    uint32_t fixed = EFLAGS_TF | EFLAGS_NT | EFLAGS_AC | EFLAGS_VM | EFLAGS_IOPL | EFLAGS_IF;

    return d->settled_at == v->changes && d->settled_user == d->gens->user && (v->eflags & fixed) == EFLAGS_IF &&
           seg_equal(&v->seg[SEG_CS], &d->cs) && seg_equal(&v->seg[SEG_SS], &d->ss) && world_direct_again(v);
}

static __attribute__((noinline)) void settle(struct vcpu *v, struct direct *d)
{
    d->settled_at = v->changes;
    d->settled_user = d->gens->user;
    d->view = mmu_user_view(v);
    d->cs = v->seg[SEG_CS];
    d->ss = v->seg[SEG_SS];
}

static inline bool wanted(struct vcpu *v, struct direct *d)
{
    const struct space_score *s;

    if (!direct_still_possible(v, d)) {
        if (d->mode == USER_EXEC_TRANSLATE || !direct_possible(v))
            return false;
        score_of(v, d);
        settle(v, d);
    }
    s = d->last;
    return (d->mode == USER_EXEC_DIRECT || s->direct) && !s->hold;
}

bool direct_wanted(struct vcpu *v) { return wanted(v, v->vm->direct); }

static inline void note_user_entered(const struct vcpu *v, struct direct *d)
{
    struct space_score *s = score_of(v, d);

    if (unlikely(s->hold) && !v->attention)
        s->hold--;
}

/* A translated stretch that began at this CPL has ended; if an event found it still in user code, it may be
 * computing. */
void direct_note_translated(struct vcpu *v, unsigned entered_cpl)
{
    struct direct *d = v->vm->direct;
    struct stats *st = v->vm->stats;
    struct space_score *s;

    if (d->mode == USER_EXEC_TRANSLATE || v->cpl != 3)
        return;
    note_user_entered(v, d);
    s = score_of(v, d);
    if (d->mode != USER_EXEC_AUTO || entered_cpl != 3 || !v->attention)
        return;
    s->ticks = st->soft_interrupts + st->exceptions == d->traps_at_tick ? s->ticks + 1 : 0;
    d->traps_at_tick = st->soft_interrupts + st->exceptions;
    if (s->ticks >= PROMOTE_AT)
        set_direct(v->vm, s, true);
}

static inline void note_direct(struct vcpu *v, struct direct *d, uint64_t cycles)
{
    struct space_score *s = d->last;

    if (d->mode != USER_EXEC_AUTO)
        return;
    if (cycles >= d->short_cycles) {
        s->shorts = 0;
    } else if (++s->shorts >= DEMOTE_AT) {
        set_direct(v->vm, s, false);
    }
}

static void interpret(struct vcpu *v)
{
    interp_run_one(v);
}

/* The page must not run directly. */
static void hand_over(struct vcpu *v)
{
    struct direct *d = v->vm->direct;
    struct space_score *s = score_of(v, d);

    v->vm->stats->sensitive_exits++;
    s->hold = 1;
}

static void take_page_fault(struct vcpu *v, unsigned view)
{
    unsigned access = GMEM_USER | (v->exit.err & PFERR_W ? GMEM_WRITE : 0) | (v->exit.err & PFERR_I ? GMEM_FETCH : 0);
    struct direct *d = v->vm->direct;
    struct fault f;

    switch (mmu_fill(v, view, v->exit.cr2, access, &f)) {
    case FILL_MAPPED:
        break;
    case FILL_TRUE:
        d->prefill = true;
        d->prefill_gla = v->exit.cr2;
        d->prefill_eip = v->eip;
        d->prefill_access = access;
        vcpu_deliver_fault(v, &f);
        break;
    case FILL_SENSITIVE:
        hand_over(v);
        break;
    default:
        interpret(v);
        break;
    }
}

/* INT n at insn_eip; the gate may refuse it. */
static inline void take_soft_int(struct vcpu *v, uint8_t vec, uint32_t insn_eip, uint32_t next_eip)
{
    struct fault f;

    if (likely(vcpu_int_again(v, vec, next_eip)))
        return;
    v->eip = insn_eip;
    if (!vcpu_soft_int(v, vec, next_eip, &f))
        vcpu_deliver_fault(v, &f);
}

static void take_fault(struct vcpu *v, unsigned view)
{
    bool xm_is_ud = v->exit.vec == VEC_XM && !(v->cr4 & CR4_OSXMMEXCPT);
    struct fault f = { .vec = xm_is_ud ? VEC_UD : (uint8_t)v->exit.vec };

    switch (v->exit.vec) {
    case VEC_PF:
        take_page_fault(v, view);
        break;
    case VEC_BP: /* INT3; the world reports the address of the instruction */
        take_soft_int(v, VEC_BP, v->exit.tca, v->exit.tca + 1);
        break;
    case VEC_DE:
    case VEC_BR:
    case VEC_MF:
    case VEC_XM:
        vcpu_deliver_fault(v, &f);
        break;
    case VEC_DB: /* by TF, which user code has set; or INT1 */
        if (v->exit.err & DR6_BS)
            interp_stepped(v);
        else
            interpret(v);
        break;
    default: /* privileged, a segment load, INTO, #UD by a hidden feature, a limit: the interpreter knows */
        interpret(v);
        break;
    }
}

/* The guest's page fault handler has returned: map what it made present before it faults again. */
static void prefill(struct vcpu *v, unsigned view)
{
    struct direct *d = v->vm->direct;
    struct fault f;

    d->prefill = false;
    if (d->prefill_access & GMEM_FETCH) /* the next thing that the guest does is this very fetch */
        mmu_fill(v, view, d->prefill_gla, d->prefill_access, &f);
    else
        mmu_prefill(v, view, d->prefill_gla);
}

/* One stretch of user code; false: an event has come, or the VM is stopped. */
static inline bool run_stretch(struct vcpu *v, struct direct *d, struct stats *s)
{
    unsigned view = d->view;
    uint64_t t = 0;

    if (unlikely(d->prefill) && v->eip == d->prefill_eip)
        prefill(v, view);
    s->direct_runs++;
    if (d->timed)
        t = io_rdtsc();
    world_enter_direct(v, view);
    if (d->timed) {
        t = io_rdtsc() - t;
        s->cycles_direct += t;
    }
    TRACE_EV(v->vm->trace, direct, v->eip, v->exit.kind, v->exit.vec);
    if (likely(v->exit.kind == EXIT_SOFTINT)) {
        note_direct(v, d, t);
        take_soft_int(v, (uint8_t)v->exit.vec, v->eip - 2, v->eip);
    } else if (v->exit.kind == EXIT_FAULT) {
        note_direct(v, d, t);
        take_fault(v, view);
    } else {
        return false;
    }
    return true;
}

/* Does nothing ask for the run loop? */
static inline bool may_stay(const struct vcpu *v)
{
    return !v->vm->stop && !v->attention && !vcpu_interrupted(v);
}

/*
 * The caller has found direct_wanted(). The guest's kernel is run from here too, as long as it does nothing but
 * serve its user code: the run loop has nothing to add to a system call.
 */
void direct_run(struct vcpu *v)
{
    struct direct *d = v->vm->direct;
    struct stats *s = v->vm->stats;

    do {
        if (!run_stretch(v, d, s))
            return;
        if (v->cpl != 3) {
            if (!d->serve)
                return;
            bt_run(v);
            if (v->cpl != 3)
                return;
            note_user_entered(v, d);
        }
    } while (wanted(v, d) && may_stay(v));
}
