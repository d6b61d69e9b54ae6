// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lock-step checking (--check): the interpreter against translated code.
 *
 * Before a TU is entered the interpreter runs it on trial: registers are
 * noted after each instruction, memory writes go to an undo log and are then
 * taken back.  When the translation comes out at an instruction boundary,
 * registers, defined flags and all bytes written must be what the trial
 * said; the first difference ends the VM with both states.  Instructions
 * that are interpreted anyway, whose result varies (RDTSC), that touch the
 * FPU, which a trial can't take back, or that look at a flag while it is undefined
 * (PUSHF behind a shift: AMD's CPUs set AF, Intel's and the interpreter clear it)
 * end the trial early.  TUs that
 * are checked are not chained to nor looked up in the TC.  A TU is tried each of its first CHECK_EACH times and
 * then every CHECK_EVERYth, or long loops would take hours.
 */
#include "base/assert.h"
#include "base/fmt.h"
#include "base/undo.h"
#include "bt/bt_priv.h"
#include "cpu/interp.h"

#define CHECK_EACH 32u
#define CHECK_EVERY 61u

struct step {
    uint32_t gpr[8], eip, eflags;
};

/* Flags that are, or have been, left undefined in a trial. */
struct undefined {
    uint32_t now, ever;
};

struct check {
    const struct tu *tu;
    unsigned steps;                     /* predicted; state[0..steps] */
    uint32_t undefined;                 /* flags that may differ, after each step */
    struct step state[TU_MAX_INSNS + 1];
    uint32_t mask[TU_MAX_INSNS + 1];
    struct undo undo;
    uint64_t compared;
    uint32_t runs[TU_MAX];
    uint32_t flush_count;               /* runs[] belongs to this TC generation */
};

void check_init(struct vm *vm)
{
    struct bt *bt = vm->bt;

    if (!bt->opt.check)
        return;
    bt->check = arena_alloc(&vm->arena, sizeof *bt->check, 64);
}

/* TUs that are checked must be entered from the monitor each time. */
bool check_covers(const struct bt *bt, const struct tu *t)
{
    return bt->check && t->eip >= bt->opt.check_from;
}

void check_forget(struct bt *bt)
{
    if (bt->check)
        bt->check->tu = NULL;
}

static void note_state(struct check *c, const struct vcpu *v, uint32_t undefined)
{
    struct step *s = &c->state[c->steps];

    memcpy(s->gpr, v->gpr, sizeof s->gpr);
    s->eip = v->eip;
    s->eflags = v->eflags;
    c->mask[c->steps] = EFLAGS_ARITH & ~undefined;
}

/* May the interpreter try this instruction and take it back? */
static bool can_try(const struct bt_insn *in)
{
    return in->len && !in->varies && !in->needs && in->cls != CL_INTERP && in->cls != CL_INTERP_END &&
           in->cls != CL_SEG_LOAD && in->cls != CL_IRET && in->cls != CL_INT && in->cls != CL_PORT &&
           in->cls != CL_MOV_CR && in->cls != CL_INVLPG;
}

/* A shift may be one by 0, a repeated CMPS one of no elements: such instructions define nothing for sure. */
static void undefined_by(struct undefined *u, const struct bt_insn *in)
{
    if (!in->undefined && !in->rep)
        u->now &= ~in->defined;
    u->now |= in->undefined;
    u->ever |= in->undefined;
}

static bool try_step(struct vcpu *v, struct check *c, const struct tu *t, unsigned i, struct undefined *u)
{
    struct bt *bt = v->vm->bt;
    gpn_t gpn = t->gpn[0];
    gla_t gla = t->cs_base + v->eip;
    struct bt_insn in;
    struct fault f;

    if (t->gpn[1] != NO_GPN) {
        c->mask[i] = 0; /* it may be a POPF, as below */
        return false;
    }
    world_fence_begin(v->vm);
    bt_decode(&bt->decoder, phys_hva(v->vm, gpn_to_gpa(gpn)) + page_offset(gla),
              PAGE_SIZE - page_offset(gla) < 15 ? PAGE_SIZE - page_offset(gla) : 15, &in);
    world_fence_end(v->vm);
    if (!can_try(&in) || (in.tested & u->now & EFLAGS_ARITH))
        return false;
    if (in.cls == CL_POPF)
        c->mask[i] = 0; /* its translation tests the new flags before it may call out */
    c->undo.step = (uint8_t)i;
    if (interp_step(v, &f) != INTERP_OK)
        return false;
    if (v->eip == t->eip + t->insn_off[i] && in.rep)
        return false; /* REP cut short */
    undefined_by(u, &in);
    return true;
}

static bool due(struct bt *bt, struct check *c, const struct tu *t)
{
    uint32_t runs;

    if (c->flush_count != bt->flush_count) {
        memset(c->runs, 0, sizeof c->runs);
        c->flush_count = bt->flush_count;
    }
    c->tu = NULL;
    if (!check_covers(bt, t))
        return false;
    runs = c->runs[tu_number(bt, t)]++;
    return runs < CHECK_EACH || runs % CHECK_EVERY == 0;
}

/* Registers as they were.  Events go on arriving meanwhile: v->attention is theirs. */
static void take_back(struct vcpu *v, const struct vcpu *saved)
{
    size_t behind = offsetof(struct vcpu, attention) + sizeof v->attention;
    uint32_t gmem_gen = v->gmem_gen + 1; /* numbers never come back */
    uint64_t changes = v->changes + 1;

    memcpy(v, saved, offsetof(struct vcpu, attention));
    memcpy((uint8_t *)v + behind, (const uint8_t *)saved + behind, sizeof *v - behind);
    v->gmem_gen = gmem_gen;
    v->changes = changes;
}

void check_predict(struct vcpu *v, const struct tu *t)
{
    struct bt *bt = v->vm->bt;
    struct check *c = bt->check;
    struct vcpu saved;
    struct undefined undefined = {0, 0};

    if (!c || !due(bt, c, t))
        return;
    saved = *v;
    c->tu = t;
    c->steps = 0;
    c->undo.n = 0;
    c->undo.overflow = false;
    note_state(c, v, 0);
    v->vm->undo = &c->undo;
    v->gmem_gen++; /* no pointer that was kept may be written through */
    for (unsigned i = 0; i < t->ninsns && try_step(v, c, t, i, &undefined); i++) {
        c->steps++;
        note_state(c, v, undefined.ever);
    }
    v->vm->undo = NULL;
    ASSERT(!c->undo.overflow);
    undo_roll_back(&c->undo);
    take_back(v, &saved);
}

static bool memory_agrees(const struct check *c, unsigned steps, const struct undo_record **bad)
{
    for (uint32_t i = 0; i < c->undo.n; i++) {
        const struct undo_record *r = &c->undo.rec[i];
        bool later = false;

        if (r->step >= steps)
            continue;
        for (uint32_t j = i + 1; j < c->undo.n && !later; j++) {
            const struct undo_record *o = &c->undo.rec[j];

            later = o->step < steps && o->hva < r->hva + r->len && r->hva < o->hva + o->len;
        }
        if (!later && memcmp(r->hva, r->bytes, r->len)) {
            *bad = r;
            return false;
        }
    }
    return true;
}

static const char *const gpr_names[8] = {
#define GPR(upper, lower) #lower,
    GPR_LIST(GPR)
#undef GPR
};

static void diverged(struct vcpu *v, const struct check *c, unsigned steps, const char *what, uint32_t is,
                     uint32_t should)
{
    vm_stop(v->vm, VM_STOP_DIVERGED, "check: TU at %#x after %u of %u instructions: %s is %#x, interpreter says %#x",
            c->state[0].eip, steps, c->tu->ninsns, what, is, should);
}

void check_compare(struct vcpu *v, unsigned steps)
{
    struct check *c = v->vm->bt->check;
    const struct undo_record *bad = NULL;
    const struct step *s;

    if (!c || !c->tu)
        return;
    if (steps == CHECK_WHOLE_TU)
        steps = c->tu->ninsns;
    if (steps > c->steps) {
        c->tu = NULL;
        return;
    }
    s = &c->state[steps];
    c->compared++;
    for (unsigned r = 0; r < 8; r++)
        if (v->gpr[r] != s->gpr[r])
            diverged(v, c, steps, gpr_names[r], v->gpr[r], s->gpr[r]);
    if (v->eip != s->eip)
        diverged(v, c, steps, "eip", v->eip, s->eip);
    if ((v->eflags ^ s->eflags) & (c->mask[steps] | EFLAGS_IF | EFLAGS_DF))
        diverged(v, c, steps, "eflags", v->eflags, s->eflags);
    if (!memory_agrees(c, steps, &bad))
        diverged(v, c, steps, "memory", get32(bad->hva), get32(bad->bytes));
    c->tu = NULL;
}

static bool insn_has_rep(struct vm *vm, const struct tu *t, unsigned n)
{
    for (unsigned i = t->insn_off[n]; i < t->insn_off[n + 1]; i++) {
        uint32_t off = page_offset(t->cs_base + t->eip) + i;
        const uint8_t *page = phys_hva(vm, gpn_to_gpa(t->gpn[off >= PAGE_SIZE]));

        switch (page[off & PAGE_MASK]) {
        case 0xf2: case 0xf3:
            return true;
        case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x66: case 0x67: case 0xf0:
            continue;
        default:
            return false;
        }
    }
    return false;
}

void check_fault(struct vcpu *v, const struct tu *t, unsigned n)
{
    struct check *c = v->vm->bt->check;

    if (c && c->tu == t && !insn_has_rep(v->vm, t, n))
        check_compare(v, n);
    check_forget(v->vm->bt);
}
