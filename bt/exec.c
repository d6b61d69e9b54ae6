// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Running translated code: enter, take the exit, find what runs next.
 *
 * bt_run() stays here as long as it can: hidden faults resume where they
 * happened, callouts interpret one instruction and go on behind it, exits and
 * lookups find or make the next TU and chain to it.  The run loop gets the
 * vCPU back, at an instruction boundary, for events, stops, changes of
 * privilege to user code, and states that translation does not handle.
 */
#include "base/assert.h"
#include "bt/bt_priv.h"
#include "cpu/exception.h"
#include "cpu/interp.h"
#include "cpu/io.h"
#include "cpu/segment.h"
#include "cpu/transfer.h"

enum next {
    NEXT_LOOKUP, /* v is exact: find the TU for v->eip */
    NEXT_ENTER,  /* resume at *tca */
    NEXT_RETURN, /* v is exact: back to the run loop */
};

/* 0 if the host has not enabled XSAVE. */
static uint64_t host_xcr0(void)
{
    uint32_t out[4], lo, hi;

    io_host_cpuid(1, 0, out);
    if (!(out[2] & BIT(27)))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

/* PEXT and PDEP, which mask a register without touching flags. */
static bool host_has_bmi2(void)
{
    uint32_t out[4];

    io_host_cpuid(0, 0, out);
    if (out[0] < 7)
        return false;
    io_host_cpuid(7, 0, out);
    return out[1] & BIT(8);
}

void bt_init(struct vm *vm)
{
    struct bt *bt = arena_alloc(&vm->arena, sizeof *bt, 64);

    vm->bt = bt;
    bt->opt = vm->config->bt;
    if (bt->opt.tu_insns < 1 || bt->opt.tu_insns > TU_MAX_INSNS)
        bt->opt.tu_insns = TU_MAX_INSNS;
    if (bt->opt.inject_irq) /* all ends of TUs come to the run loop */
        bt->opt.no_chain = bt->opt.no_return_cache = bt->opt.no_indirect = 1;
    bt->profile = vm->config->profile;
    bt->host_xcr0 = host_xcr0();
    bt->gens = mmu_gens(vm);
    bt->wd = world_win_data(vm);
    memset(bt->wd, 0, sizeof *bt->wd);
    bt->host_bmi2 = host_has_bmi2();
    world_fence_begin(vm);
    bt_decoder_init(&bt->decoder);
    world_fence_end(vm);
    check_init(vm);
    bt->by_steps = bt->profile || bt->check || vm->trace->mask;
    tc_init(vm);
    bt_reset(vm);
}

void bt_reset(struct vm *vm)
{
    struct bt *bt = vm->bt;

    bt_flush(vm, BT_FLUSH_RESET);
    adapt_reset(bt);
    bt->fetch_gen++;
    bt->ctx_mode[0] = bt->ctx_mode[1] = ~0u;
    bt->seg_state = ~0u;
    bt->settled_at = 0;
    bt->chain_from = NO_EXIT;
    bt->wd->irq_pending = 0;
    bt->wd->post = 0;
    vm->vcpu->hsel_dirty = 0x3f;
}

bool bt_can_run(const struct vcpu *v)
{
    bool alignment = v->cpl == 3 && (v->cr0 & CR0_AM) && (v->eflags & EFLAGS_AC);

    return !alignment && vcpu_protected(v) && vcpu_code32(v) && !(v->eflags & EFLAGS_TF) && !(v->dr[7] & 0xff) &&
           !v->shadow && !v->halted;
}

void bt_return_at_user(struct vm *vm, uint64_t spaces)
{
    vm->bt->return_at_user = spaces;
}

uint8_t *bt_post(struct vm *vm) { return (uint8_t *)&vm->bt->wd->post; }

void bt_set_irq_pending(struct vm *vm, bool pending)
{
    vm->bt->wd->irq_pending = pending;
    vm->vcpu->intr = pending;
}

/* --------------------------------------------------------- TLB events */

/* Kernel code pages whose mapping changed make chains and lookups stale. */
static bool code_pages_hold(struct vcpu *v)
{
    struct bt *bt = v->vm->bt;

    for (unsigned i = 0; bt->ncode_pages && i < CODE_PAGES; i++) {
        struct code_page *c = &bt->code_pages[i];
        struct walk w;

        if (c->used && (!mmu_peek(v, c->gla, &w) || gpa_to_gpn(w.gpa) != c->gpn))
            return false;
    }
    return true;
}

static void take_tlb_events(struct vcpu *v)
{
    struct bt *bt = v->vm->bt;
    const struct mmu_gens *g = bt->gens;

    if (g->user != bt->fetched_user_gen || g->global != bt->seen_global_gen) {
        bt->fetch_gen++;
        bt->fetched_user_gen = g->user;
    }
    if (g->global != bt->seen_global_gen) {
        if (!code_pages_hold(v))
            bt_flush(v->vm, BT_FLUSH_REMAP);
        bt->seen_global_gen = g->global;
    }
    /* Only user code uses the user tables: many events in the kernel cost one flush. */
    if (g->user != bt->seen_user_gen && v->cpl == 3) {
        lookup_flush(bt, 1);
        bt->seen_user_gen = g->user;
    }
}

/* The lookup tables hold TUs of one mode and CS at a time. */
static void take_context(struct vcpu *v, uint32_t mode)
{
    struct bt *bt = v->vm->bt;
    unsigned user = mode_user(mode);
    const struct seg *cs = &v->seg[SEG_CS];

    if (bt->ctx_mode[user] == mode && bt->ctx_base[user] == cs->base && bt->ctx_limit[user] == cs->limit)
        return;
    lookup_flush(bt, user);
    bt->ctx_mode[user] = mode;
    bt->ctx_base[user] = cs->base;
    bt->ctx_limit[user] = cs->limit;
}

/* --------------------------------------------------------- segments */

/* Which of the segment registers that were loaded are not what they were when translated code ran last? */
static unsigned segments_differ(const struct vcpu *v)
{
    const struct bt *bt = v->vm->bt;
    unsigned differ = 0;

    for (unsigned dirty = v->hsel_dirty; dirty; dirty &= dirty - 1) {
        unsigned s = (unsigned)__builtin_ctz(dirty);

        if (!seg_equal(&v->seg[s], &bt->synced[s]))
            differ |= BIT(s);
    }
    return differ;
}

/* Make host selectors fit the mode; false: the stack segment can't be expressed. */
static bool take_segments(struct vcpu *v, uint32_t mode)
{
    struct bt *bt = v->vm->bt;
    uint32_t state = mode & (MODE_CPL | MODE_GS2FS | MODE_GSBIAS);
    gla_t limit = mode_user(mode) ? mmu_user_limit(v) : WIN_BASE;
    uint32_t bias = mode & MODE_GSBIAS ? GS_BIAS : 0;
    bool ok;

    if (v->hsel_dirty && state == bt->seg_state)
        v->hsel_dirty = segments_differ(v);
    if (!v->hsel_dirty && state == bt->seg_state && limit == bt->seg_limit && !reload_tables_moved(v))
        return true;
    reload_note(v, v->hsel_dirty);
    if (state != bt->seg_state || limit != bt->seg_limit)
        v->hsel_dirty = 0x3f;
    for (unsigned dirty = v->hsel_dirty; dirty; dirty &= dirty - 1) {
        unsigned s = (unsigned)__builtin_ctz(dirty);

        bt->wd->sel[s] = v->seg[s].sel;
        bt->synced[s] = v->seg[s];
    }
    bt->seg_state = state;
    bt->seg_limit = limit;
    v->seg[SEG_GS].base -= bias;
    ok = world_seg_sync(v, limit, mode & MODE_GS2FS);
    v->seg[SEG_GS].base += bias;
    if (!ok)
        bt->seg_state = ~0u;
    return ok;
}

/* --------------------------------------------------------- the short way in */

#define EFLAGS_UNUSUAL (EFLAGS_TF | EFLAGS_VM | EFLAGS_IOPL | EFLAGS_NT | EFLAGS_AC | EFLAGS_VIF | EFLAGS_VIP)

/* v has been found fit to run translated in this mode.  Where user code's segments end may change any time. */
static inline void settle(struct vcpu *v, uint32_t mode)
{
    struct bt *bt = v->vm->bt;
    bool lasting = !mode_user(mode) && !bt->opt.inject_irq && !bt->by_steps && !v->shadow;

    bt->settled_mode = mode;
    bt->settled_at = lasting && !(v->eflags & EFLAGS_UNUSUAL) ? v->changes : 0;
}

/* Nothing but guest code and known gates and IRETs has run since: is v fit as it was then?  CS tells the CPL too. */
static inline bool is_settled(const struct vcpu *v, const struct bt *bt)
{
    return bt->settled_at == v->changes && !(v->eflags & EFLAGS_UNUSUAL) &&
           seg_equal(&v->seg[SEG_CS], &bt->synced[SEG_CS]) && seg_equal(&v->seg[SEG_SS], &bt->synced[SEG_SS]) &&
           bt->gens->global == bt->seen_global_gen;
}

/* What translated code itself would find for v->eip in its lookup table. */
static inline bool lookup_known(const struct vcpu *v, const struct bt *bt, unsigned user, tca_t *tca)
{
    const struct lookup_entry *e = &bt->wd->l2[user][l2_index(v->eip)];

    if (e->eip != v->eip || e->tca == bt->l2_stub[user])
        return false;
    *tca = e->tca;
    return true;
}

static inline void note_entry(struct vcpu *v, struct bt *bt)
{
    bt->recent[bt->nrecent++ % ARRAY_SIZE(bt->recent)] = v->eip;
    bt_flags_out(v, bt);
}

/* Enter as before, by a known TU to which nothing is to be chained. */
static inline bool enter_again(struct vcpu *v, struct bt *bt, tca_t *tca)
{
    if (!is_settled(v, bt) || bt->prefill || !lookup_known(v, bt, 0, tca))
        return false;
    v->hsel_dirty = 0; /* CS and SS, which are what they were */
    note_entry(v, bt);
    return true;
}

/* --------------------------------------------------------- finding a TU */

static struct tu *find_or_make(struct vcpu *v, uint32_t mode, struct fault *f)
{
    struct bt *bt = v->vm->bt;
    struct tu *t;
    gpn_t gpn, gpn2;

    f->vec = 0xff;
    if (!bt_fetch_page(v, v->seg[SEG_CS].base + v->eip, &gpn, f))
        return NULL;
    t = tu_find(bt, v->eip, gpn, mode, v);
    if (t && t->gpn[1] != NO_GPN) {
        gla_t second = gla_page(t->cs_base + t->eip) + PAGE_SIZE;

        if (!bt_fetch_page(v, second, &gpn2, f))
            return NULL;
        if (gpn2 != t->gpn[1]) {
            tu_kill(v->vm, t);
            t = NULL;
        }
    }
    return t ? t : bt_translate(v, mode, f);
}

static void chain_pending(struct vcpu *v, struct tu *to)
{
    struct bt *bt = v->vm->bt;

    if (bt->chain_from == NO_EXIT)
        return;
    tu_chain(v->vm, &bt->tu[bt->chain_from >> 1], bt->chain_from & 1, to);
    bt->chain_from = NO_EXIT;
}

/* v is exact and may run translated: where to?  False: v has moved on or must go back. */
static enum next next_tu(struct vcpu *v, tca_t *tca)
{
    struct bt *bt = v->vm->bt;
    struct fault f;
    struct tu *t;
    uint32_t mode;

    take_tlb_events(v);
    if (unlikely(bt->prefill && v->eip == bt->prefill_eip)) {
        bt->prefill = false;
        mmu_prefill(v, mmu_kernel_view(v), bt->prefill_gla);
    }
    mode = bt_mode(v);
    take_context(v, mode);
    bt->wd->xcr0 = (uint32_t)v->xcr0;
    t = NULL;
    if (likely(take_segments(v, mode))) {
        settle(v, mode);
        if (bt->chain_from == NO_EXIT && lookup_known(v, bt, mode_user(mode), tca)) {
            note_entry(v, bt);
            return NEXT_ENTER;
        }
        t = find_or_make(v, mode, &f);
    }
    if (t) {
        chain_pending(v, t);
        lookup_insert(bt, t);
        *tca = t->tca;
        check_predict(v, t);
        note_entry(v, bt);
        return NEXT_ENTER;
    }
    bt->chain_from = NO_EXIT;
    if (bt->seg_state != ~0u && f.vec != 0xff) {
        vcpu_deliver_fault(v, &f);
        return NEXT_LOOKUP;
    }
    return interp_run_one(v) == INTERP_OK ? NEXT_LOOKUP : NEXT_RETURN;
}

/* --------------------------------------------------------- exits */

/* The boundary behind instruction n of t, if the guest goes there. */
static inline bool resume_behind(const struct vcpu *v, const struct tu *t, unsigned n, tca_t *tca)
{
    unsigned i = t->insn_map[n + 1];

    if (!i || t->eip + t->insn_off[n + 1] != v->eip)
        return false;
    *tca = t->tca + t->map[i].off;
    return true;
}

/* The same, or else the exit of t by which it has jumped there. */
static bool resume_anywhere(const struct vcpu *v, const struct tu *t, unsigned n, tca_t *tca)
{
    if (resume_behind(v, t, n, tca))
        return true;
    for (unsigned i = 0; i < t->nmap; i++) {
        const struct map_rec *r = &t->map[i];

        if (r->kind == MAP_EXIT_DIRECT && r->insn > n && t->exit[r->arg].target == v->eip) {
            *tca = t->tca + r->off;
            return true;
        }
    }
    return false;
}

/* go_on() where something may have changed. */
static __attribute__((noinline)) enum next go_on_checked(struct vcpu *v, struct tu *t, unsigned n, uint32_t flushes,
                                                         tca_t *tca)
{
    struct bt *bt = v->vm->bt;
    const struct mmu_gens *g = bt->gens;

    if (!bt_can_run(v))
        return NEXT_RETURN;
    if (flushes != bt->flush_count || !t->live || (v->cpl == 3 && g->user != bt->seen_user_gen) ||
        g->global != bt->seen_global_gen || bt_mode(v) != t->mode || v->seg[SEG_CS].base != t->cs_base ||
        v->seg[SEG_CS].limit != t->cs_limit || !resume_anywhere(v, t, n, tca))
        return NEXT_LOOKUP;
    if (!take_segments(v, t->mode))
        return NEXT_LOOKUP;
    settle(v, t->mode);
    bt_flags_out(v, bt);
    return NEXT_ENTER;
}

/* Instruction n of t has been done by the monitor, flushes and v->eip say what it changed: go on behind it if nothing stands against it. */
static enum next go_on(struct vcpu *v, struct tu *t, unsigned n, uint32_t flushes, tca_t *tca)
{
    struct bt *bt = v->vm->bt;

    if (v->attention || vcpu_interrupted(v))
        return NEXT_RETURN;
    if (!is_settled(v, bt) || bt->settled_mode != t->mode || flushes != bt->flush_count || !t->live ||
        !resume_behind(v, t, n, tca))
        return go_on_checked(v, t, n, flushes, tca);
    bt_flags_out(v, bt);
    return NEXT_ENTER;
}

/* Interpret the instruction at v->eip, which is number n of t. */
static __attribute__((noinline)) enum next interpret(struct vcpu *v, struct tu *t, unsigned n, tca_t *tca)
{
    uint32_t flushes = v->vm->bt->flush_count;
    uint64_t t0 = v->vm->bt->profile ? io_rdtsc() : 0;
    enum interp_result result = interp_run_one(v);

    if (v->vm->bt->profile)
        v->vm->stats->cycles_interp += io_rdtsc() - t0;
    return result == INTERP_OK ? go_on(v, t, n, flushes, tca) : NEXT_RETURN;
}

/* MOV or POP to ES, DS, FS or GS. */
static __attribute__((noinline)) enum next load_segment(struct vcpu *v, struct tu *t, uint32_t sub, tca_t *tca)
{
    unsigned n = SUB_INSN(sub);
    uint32_t flushes = v->vm->bt->flush_count, sel = v->gpr[SUB_REG(sub)];
    struct fault f;

    if (((sub & SUB_POP) && !stack_peek(v, 0, &sel, 4, &f)) || !seg_load(v, SUB_SEG(sub), (uint16_t)sel, &f)) {
        vcpu_deliver_fault(v, &f);
        return NEXT_LOOKUP;
    }
    if (sub & SUB_POP)
        stack_drop(v, 4);
    v->eip = t->eip + t->insn_off[n + 1];
    return go_on(v, t, n, flushes, tca);
}

/*
 * Instruction n of t, a plain one, whose operand it can't reach: nothing but registers, flags and memory change.  Such
 * instructions come in pairs and more, so those that follow are done by the way.
 */
static __attribute__((noinline)) enum next access_window(struct vcpu *v, struct tu *t, unsigned n, tca_t *tca)
{
    struct bt *bt = v->vm->bt;
    uint32_t flushes = bt->flush_count;
    const struct insn *in = adapt_insn(bt, t, n);
    enum interp_result result;
    struct fault f;

    for (;;) {
        v->vm->stats->window_accesses++;
        result = in ? interp_step_decoded(v, in, &f) : interp_step(v, &f);
        if (result == INTERP_FAULT) {
            vcpu_deliver_fault(v, &f);
            return NEXT_LOOKUP;
        }
        if (result != INTERP_OK)
            return NEXT_RETURN;
        if (n + 1u == t->ninsns || v->eip != t->eip + t->insn_off[n + 1] || !t->live || flushes != bt->flush_count ||
            v->attention || !(t->adapted & BIT(n + 1)) || !(in = adapt_insn(bt, t, n + 1)))
            return go_on(v, t, n, flushes, tca);
        n++;
    }
}

/* Lock-step checking is rare. */
static inline void check_here(struct vcpu *v, unsigned steps)
{
    if (unlikely(v->vm->bt->check != NULL))
        check_compare(v, steps);
}

/* What callouts.c does. */
static enum next do_system(struct vcpu *v, struct tu *t, enum callout kind, uint32_t sub, tca_t *tca)
{
    unsigned n = SUB_INSN(sub);
    uint32_t flushes = v->vm->bt->flush_count;
    struct fault f;

    if (!callout_do(v, kind, sub, &f)) {
        vcpu_deliver_fault(v, &f);
        return NEXT_LOOKUP;
    }
    v->eip = t->eip + t->insn_off[n + 1];
    return go_on(v, t, n, flushes, tca);
}

static enum next through_gate(struct vcpu *v, struct tu *t, enum callout kind, uint32_t sub)
{
    uint32_t next_eip = t->eip + t->insn_off[SUB_INSN(sub) + 1];
    struct fault f;

    if (kind == CO_IRET ? !iret(v, 4, next_eip, &f) : !vcpu_soft_int(v, (uint8_t)SUB_VEC(sub), next_eip, &f))
        vcpu_deliver_fault(v, &f);
    return NEXT_LOOKUP;
}

/* The guest is at a boundary before it came to one that was planted for an event: that is still to be looked at. */
static inline void unplant_early(struct vcpu *v)
{
    if (v->vm->bt->nplants) {
        bt_unplant(v->vm->bt);
        v->attention = 1;
    }
}

static enum next take_callout(struct vcpu *v, tca_t *tca)
{
    struct bt *bt = v->vm->bt;
    uint32_t arg = bt->wd->callout_arg, no = arg >> 4 & 0xffff, sub = arg >> 20;
    struct tu *t = &bt->tu[no];

    v->vm->stats->callouts++;
    unplant_early(v);
    bt_flags_in(v, bt);
    switch (arg & 15) {
    case CO_EXIT:
        bt->reason = REASON_CHAIN;
        ASSERT(no < bt->ntus && sub < t->nexits);
        v->eip = t->exit[sub].target;
        check_here(v, CHECK_WHOLE_TU); /* t may be the TU of a landing pad behind the one that was checked */
        bt->chain_from = no << 1 | sub;
        return NEXT_LOOKUP;
    case CO_LOOKUP:
        bt->reason = REASON_LOOKUP;
        v->eip = bt->wd->target_eip;
        check_here(v, CHECK_WHOLE_TU);
        v->vm->stats->lookup_misses++;
        return NEXT_LOOKUP;
    case CO_INTERP:
        bt->reason = REASON_INTERP;
        ASSERT(no < bt->ntus && sub < t->ninsns);
        v->eip = t->eip + t->insn_off[sub];
        TRACE_EV(v->vm->trace, callout, v->eip, CO_INTERP, arg);
        check_here(v, sub);
        return interpret(v, t, sub, tca);
    case CO_SEG_LOAD:
    case CO_IRET:
    case CO_INT:
        bt->reason = (arg & 15) == CO_SEG_LOAD ? REASON_SEGMENT : REASON_GATE;
        ASSERT(no < bt->ntus && SUB_INSN(sub) < t->ninsns);
        v->eip = t->eip + t->insn_off[SUB_INSN(sub)];
        TRACE_EV(v->vm->trace, callout, v->eip, arg & 15, arg);
        check_here(v, SUB_INSN(sub));
        return (arg & 15) == CO_SEG_LOAD ? load_segment(v, t, sub, tca) : through_gate(v, t, arg & 15, sub);
    case CO_PORT:
    case CO_MOV_CR:
    case CO_INVLPG:
        bt->reason = REASON_SYSTEM;
        ASSERT(no < bt->ntus && SUB_INSN(sub) < t->ninsns);
        v->eip = t->eip + t->insn_off[SUB_INSN(sub)];
        TRACE_EV(v->vm->trace, callout, v->eip, arg & 15, arg);
        check_here(v, SUB_INSN(sub));
        return do_system(v, t, arg & 15, sub, tca);
    case CO_WINDOW:
        bt->reason = REASON_WINDOW;
        ASSERT(no < bt->ntus && sub < t->ninsns);
        v->eip = t->eip + t->insn_off[sub];
        TRACE_EV(v->vm->trace, callout, v->eip, CO_WINDOW, arg);
        check_here(v, sub);
        return access_window(v, t, sub, tca);
    default:
        BUG("callout of unknown kind");
    }
}

/* Stopped by an event at tca: exact now, or run on to the next boundary. */
static __attribute__((noinline)) enum next take_attention(struct vcpu *v, tca_t tca)
{
    struct bt *bt = v->vm->bt;

    if (bt_sync_boundary(v, tca)) {
        bt_unplant(bt);
        check_forget(bt);
        v->attention = 1;
        vcpu_changed(v);
        return NEXT_RETURN;
    }
    bt_plant(v, tca);
    v->attention = 0;
    return NEXT_ENTER;
}

static enum next take_page_fault(struct vcpu *v, tca_t *tca)
{
    struct exit e = v->exit;
    unsigned access = (e.err & PFERR_W ? GMEM_WRITE : 0) | gmem_cpl(v);
    struct fault f;
    struct tu *t;
    unsigned n;

    switch (mmu_fill(v, mmu_kernel_view(v), e.cr2, access, &f)) {
    case FILL_MAPPED:
        v->vm->bt->reason = REASON_HIDDEN;
        *tca = e.tca;
        return NEXT_ENTER;
    case FILL_TRUE:
        v->vm->bt->reason = REASON_TRUE;
        if (!bt_sync_fault(v, e.tca, &t, &n))
            BUG("page fault outside translated instructions");
        unplant_early(v);
        check_fault(v, t, n);
        v->vm->bt->prefill = true;
        v->vm->bt->prefill_gla = e.cr2;
        v->vm->bt->prefill_eip = v->eip;
        vcpu_deliver_fault(v, &f);
        return NEXT_LOOKUP;
    default:
        v->vm->bt->reason = REASON_EMULATED;
        if (!bt_sync_fault(v, e.tca, &t, &n))
            BUG("page fault outside translated instructions");
        unplant_early(v);
        check_forget(v->vm->bt);
        return interpret(v, t, n, tca);
    }
}

static __attribute__((noinline)) enum next take_fault(struct vcpu *v, tca_t *tca)
{
    struct exit e = v->exit;
    struct fault f = { .vec = (uint8_t)e.vec };
    struct bt *bt = v->vm->bt;
    struct tu *t;
    unsigned n;

    if (e.vec == VEC_PF)
        return take_page_fault(v, tca);
    if (e.vec == VEC_BP && bt->nplants) {
        bool planted = false;

        for (unsigned i = 0; i < bt->nplants; i++)
            planted |= bt->plant[i].tca == e.tca;
        if (planted) {
            *tca = e.tca; /* should it be no boundary after all, the guest goes on from there */
            return take_attention(v, e.tca);
        }
    }
    if (!bt_sync_fault(v, e.tca, &t, &n))
        BUG("fault outside translated instructions");
    unplant_early(v);
    check_forget(bt);
    switch (e.vec) {
    case VEC_GP:
    case VEC_SS:
    case VEC_NP:
    case VEC_AC:
        bt->reason = REASON_EMULATED;
        v->vm->stats->limit_faults++;
        adapt_fault(v, t, n);
        return interpret(v, t, n, tca);
    case VEC_XM:
        if (!(v->cr4 & CR4_OSXMMEXCPT))
            f.vec = VEC_UD; /* SDM vol. 3A 2.5 */
        /* fall through */
    default:
        vcpu_deliver_fault(v, &f);
        return NEXT_LOOKUP;
    }
}

static enum next take_exit(struct vcpu *v, tca_t *tca)
{
    struct stats *s = v->vm->stats;

    v->vm->bt->reason = REASON_OTHER;
    switch (v->exit.kind) {
    case EXIT_CALLOUT:
        return take_callout(v, tca);
    case EXIT_FAULT:
        s->fault_exits++;
        return take_fault(v, tca);
    case EXIT_ATTENTION:
        s->attention_exits++;
        *tca = v->exit.tca;
        return take_attention(v, *tca);
    case EXIT_NONE:
        return take_attention(v, *tca);
    default:
        BUG("exit of unknown kind");
    }
}

static enum next enter(struct vcpu *v, tca_t *tca)
{
    world_enter(v, *tca);
    TRACE_EV(v->vm->trace, exit, v->exit.kind, v->exit.tca, v->exit.vec);
    return take_exit(v, tca);
}

/* The same with cycles counted: in the guest, and in the monitor by reason. */
static enum next enter_profiled(struct vcpu *v, tca_t *tca)
{
    struct stats *s = v->vm->stats;
    uint64_t *by_reason = &s->exits_chain, t0 = io_rdtsc(), t1;
    enum next next;

    world_enter(v, *tca);
    t1 = io_rdtsc();
    s->cycles_bt += t1 - t0;
    TRACE_EV(v->vm->trace, exit, v->exit.kind, v->exit.tca, v->exit.vec);
    next = take_exit(v, tca);
    by_reason[2 * v->vm->bt->reason]++;
    by_reason[2 * v->vm->bt->reason + 1] += io_rdtsc() - t1;
    return next;
}

_Static_assert(offsetof(struct stats, cycles_other) - offsetof(struct stats, exits_chain) ==
               (2 * REASON_COUNT - 1) * sizeof(uint64_t), "ORDER EXIT_REASON");

/* Go on with v at an instruction boundary (NEXT_LOOKUP), or at tca (NEXT_ENTER). */
static __attribute__((noinline)) void run(struct vcpu *v, enum next next, tca_t tca, unsigned start_cpl)
{
    struct vm *vm = v->vm;
    struct bt *bt = vm->bt;
    unsigned last_cpl = v->cpl;
    bool entered = false;

    while (next != NEXT_RETURN && !vm->stop) {
        if (next == NEXT_LOOKUP) {
            if (v->attention || vcpu_interrupted(v))
                break;
            if (v->cpl == 3 && last_cpl != 3 && (start_cpl != 3 || (bt->return_at_user >> bt_space(v->cr3) & 1)))
                break;
            last_cpl = v->cpl;
            if (bt->chain_from != NO_EXIT || !enter_again(v, bt, &tca)) {
                if (!bt_can_run(v) || (bt->opt.inject_irq && entered))
                    break;
                entered = true;
                next = next_tu(v, &tca);
                if (next != NEXT_ENTER) {
                    world_breathe(vm);
                    continue;
                }
            }
        }
        vm->stats->world_enters++;
        TRACE_EV(vm->trace, enter, v->eip, tca, v->cpl);
        if (bt->profile)
            next = enter_profiled(v, &tca);
        else
            next = enter(v, &tca);
    }
    ASSERT(!bt->nplants || vm->stop);
}

/* The guest has left by the IRET that ends a handler, which leads where it did before. */
static inline bool returned(struct vcpu *v, struct bt *bt)
{
    if (v->exit.kind != EXIT_CALLOUT || (bt->wd->callout_arg & 15) != CO_IRET || bt->nplants)
        return false;
    bt_flags_in(v, bt);
    return iret_again(v);
}

/*
 * What most often is to be done is a handler in the kernel that interrupted user code, from its gate to its IRET.
 * All that run() would look at has been found in order before, or it takes over.
 */
void bt_run(struct vcpu *v)
{
    struct vm *vm = v->vm;
    struct bt *bt = vm->bt;
    unsigned start_cpl = v->cpl;
    enum next next = NEXT_LOOKUP;
    tca_t tca = 0;

    bt->chain_from = NO_EXIT;
    if (likely(!v->attention && !vcpu_interrupted(v) && !vm->stop) && enter_again(v, bt, &tca)) {
        vm->stats->world_enters++;
        world_enter(v, tca);
        if (likely(returned(v, bt))) {
            vm->stats->callouts++;
            if (v->cpl == 3)
                return;
        } else {
            next = take_exit(v, &tca);
        }
    }
    run(v, next, tca, start_cpl);
}

unsigned bt_recent(const struct vm *vm, uint32_t *eip, unsigned max)
{
    const struct bt *bt = vm->bt;
    unsigned n;

    for (n = 0; n < max && n < bt->nrecent && n < ARRAY_SIZE(bt->recent); n++)
        eip[n] = bt->recent[(bt->nrecent - 1 - n) % ARRAY_SIZE(bt->recent)];
    return n;
}
