/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts and exceptions (SDM vol. 3A chapter 6, 20.1.4, 20.3; vol. 2 INT n).
 *
 * An event is one attempt after another: event_enter() reads the gate, the
 * handler's code segment and, when the ring changes, the new stack from the
 * TSS, builds the whole frame in a buffer, writes it with one access and only
 * then commits registers.  So an attempt that faults has changed nothing, and
 * event_deliver() decides by table 6-5 whether that fault is delivered in
 * place of the first event, becomes a double fault, or shuts the VM down.
 *
 * The frame, from high to low addresses, in slots of the gate's size:
 *   GS FS DS ES      from V86 only; the registers are null in the handler
 *   SS ESP           when the ring changes
 *   EFLAGS CS EIP
 *   error code       #DF #TS #NP #SS #GP #PF #AC only
 *
 * EXT, bit 0 of error codes that delivery itself causes, is set unless the
 * event is an INT n, INT3 or INTO.  The image of EFLAGS has RF set for every
 * fault but #DB, so that the restarted instruction does not hit its
 * instruction breakpoint again (17.3.1.1).
 */
#include "cpu/exception.h"
#include "cpu/frame.h"
#include "cpu/gatecache.h"
#include "cpu/gmem.h"
#include "cpu/transfer.h"

struct event {
    uint8_t vec;
    bool soft;        /* INT n, INT3, INTO: gate DPL is checked, EXT is 0 */
    bool rf;          /* set RF in the pushed image */
    bool has_err;
    uint32_t err;
    uint32_t ret_eip; /* pushed as EIP */
};

/* Event deliveries in a row before we call it endless (a debug task whose own TSS has T set). */
#define EVENT_CHAIN_MAX 16

#define GATE_KINDS (BIT(DESC_TASK) | BIT(DESC_INT16) | BIT(DESC_TRAP16) | BIT(DESC_INT32) | BIT(DESC_TRAP32))

/* --- protected mode and V86 --- */

/* Where a gate leads. */
struct entry {
    struct desc gate, code;
    uint16_t sel;
    uint32_t eip;
    unsigned cpl;
    bool inner; /* the stack changes */
    uint32_t ext;
};

static bool event_gate(struct vcpu *v, const struct event *e, struct desc *g, uint32_t ext, struct fault *f)
{
    uint32_t err = e->vec * 8u + 2 + ext;

    if (unlikely(e->vec * 8u + 7 > v->idtr.limit))
        return fault_gp(f, err);
    if (!gmem_read(v, v->idtr.base + e->vec * 8u, g, sizeof(*g), GMEM_READ, f))
        return false;
    if (unlikely(!(GATE_KINDS >> desc_kind(*g) & 1) || (e->soft && desc_dpl(*g) < v->cpl)))
        return fault_gp(f, err);
    if (unlikely(!desc_present(*g)))
        return fault_set(f, VEC_NP, true, err);
    return true;
}

static bool event_code(struct vcpu *v, struct entry *t, struct fault *f)
{
    unsigned dpl;

    t->sel = gate_sel(t->gate);
    t->eip = gate_off(t->gate);
    if (unlikely(sel_is_null(t->sel)))
        return fault_gp(f, t->ext);
    if (!desc_read(v, t->sel, &t->code, VEC_GP, t->ext, f))
        return false;
    dpl = desc_dpl(t->code);
    if (unlikely(!desc_is_code(t->code) || dpl > v->cpl))
        return fault_gp(f, sel_err(t->sel, t->ext));
    if (unlikely(!desc_present(t->code)))
        return fault_set(f, VEC_NP, true, sel_err(t->sel, t->ext));
    t->inner = !desc_is_conforming(t->code) && dpl < v->cpl;
    t->cpl = t->inner ? dpl : v->cpl;
    /* From V86 only ring 0 can be entered (20.1.4). */
    if (unlikely(vcpu_v86(v) && (!t->inner || dpl != 0)))
        return fault_gp(f, sel_err(t->sel, t->ext));
    if (unlikely(t->eip > desc_limit(t->code)))
        return fault_gp(f, t->ext);
    return desc_access(v, t->sel, &t->code, f);
}

/* Lowest slot first; returns how many. */
static unsigned event_frame(const struct vcpu *v, const struct event *e, const struct entry *t,
                            uint32_t *slots)
{
    static const uint8_t v86_order[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    unsigned n = 0;

    if (e->has_err)
        slots[n++] = e->err;
    slots[n++] = e->ret_eip;
    slots[n++] = v->seg[SEG_CS].sel;
    slots[n++] = v->eflags | (e->rf ? EFLAGS_RF : 0);
    if (t->inner) {
        slots[n++] = v->gpr[REG_ESP];
        slots[n++] = v->seg[SEG_SS].sel;
    }
    if (unlikely(vcpu_v86(v)))
        for (unsigned i = 0; i < ARRAY_SIZE(v86_order); i++)
            slots[n++] = v->seg[v86_order[i]].sel;
    return n;
}

static void event_commit(struct vcpu *v, const struct entry *t, const struct seg *ss, uint32_t esp)
{
    if (unlikely(vcpu_v86(v))) {
        seg_set(v, SEG_ES, &(struct seg){.sel = 0});
        seg_set(v, SEG_DS, &(struct seg){.sel = 0});
        seg_set(v, SEG_FS, &(struct seg){.sel = 0});
        seg_set(v, SEG_GS, &(struct seg){.sel = 0});
    }
    v->eflags &= ~(EFLAGS_TF | EFLAGS_NT | EFLAGS_RF | EFLAGS_VM);
    if (!(desc_type(t->gate) & 1))
        v->eflags &= ~EFLAGS_IF;
    if (t->inner)
        seg_set(v, SEG_SS, ss);
    v->gpr[REG_ESP] = esp;
    cs_commit(v, t->sel, t->code, t->cpl);
    v->eip = t->eip;
    v->shadow = 0;
    v->halted = false;
}

static bool event_protected(struct vcpu *v, const struct event *e, struct fault *f)
{
    struct entry t = {.ext = !e->soft};
    uint32_t slots[10], esp = v->gpr[REG_ESP];
    unsigned n, size, from_cpl = v->cpl;
    bool v86 = vcpu_v86(v);
    struct seg ss;

    if (!event_gate(v, e, &t.gate, t.ext, f))
        return false;
    if (unlikely(desc_type(t.gate) == DESC_TASK))
        return task_event(v, gate_sel(t.gate), e->ret_eip, t.ext, e->has_err, e->err, e->rf, f);
    if (!event_code(v, &t, f))
        return false;
    if (t.inner) {
        if (!tss_stack(v, t.cpl, t.ext, &ss, &esp, f))
            return false;
    } else {
        ss = v->seg[SEG_SS];
    }
    size = gate_is32(t.gate) ? 4 : 2;
    n = event_frame(v, e, &t, slots);
    if (unlikely(size == 2))
        frame_narrow(slots, n);
    if (!frame_push(v, &ss, &esp, slots, n * size, size, t.cpl == 3 ? GMEM_USER : 0,
                    t.inner ? sel_err(ss.sel, t.ext) : t.ext, f))
        return false;
    event_commit(v, &t, &ss, esp);
    if (likely(!v86))
        gate_note(v, e->vec, from_cpl, t.inner, e->has_err, t.gate, t.code);
    return true;
}

/* --- real mode: the vector table of far pointers (20.1.4) --- */

static bool event_real(struct vcpu *v, const struct event *e, struct fault *f)
{
    uint32_t slots[3] = {e->ret_eip, v->seg[SEG_CS].sel, v->eflags};
    uint32_t esp = v->gpr[REG_ESP];
    uint16_t ivt[2];

    if (e->vec * 4u + 3 > v->idtr.limit)
        return fault_gp(f, e->vec * 8u + 2 + !e->soft);
    if (!gmem_read(v, v->idtr.base + e->vec * 4u, ivt, 4, GMEM_READ, f))
        return false;
    frame_narrow(slots, 3);
    if (!frame_push(v, &v->seg[SEG_SS], &esp, slots, 6, 2, 0, 0, f))
        return false;
    v->gpr[REG_ESP] = esp;
    v->eflags &= ~(EFLAGS_IF | EFLAGS_TF | EFLAGS_RF | EFLAGS_AC);
    seg_load_real(v, SEG_CS, ivt[1]);
    v->eip = ivt[0];
    v->shadow = 0;
    v->halted = false;
    return true;
}

static bool event_enter(struct vcpu *v, const struct event *e, struct fault *f)
{
    vcpu_changed(v);
    return likely(vcpu_pe(v)) ? event_protected(v, e, f) : event_real(v, e, f);
}

/* --- what to do when delivery faults --- */

static bool vec_is_contributory(unsigned vec)
{
    return vec == VEC_DE || (vec >= VEC_TS && vec <= VEC_GP);
}

/* Table 6-5: do these two make a double fault? */
static bool event_doubles(unsigned first, unsigned second)
{
    if (vec_is_contributory(first))
        return vec_is_contributory(second);
    return first == VEC_PF && (second == VEC_PF || vec_is_contributory(second));
}

static void event_triple(struct vcpu *v, const struct fault *f)
{
    vm_stop(v->vm, VM_STOP_TRIPLE, "cpu: triple fault: vector %u error %#x cr2 %#x at %#x:%#x",
            (unsigned)f->vec, f->err, v->cr2, (unsigned)v->seg[SEG_CS].sel, v->eip);
}

/* The fault that comes of a failed delivery, as the next event. */
static struct event event_next(struct vcpu *v, const struct event *first, const struct fault *f)
{
    struct event e = {.vec = f->vec, .has_err = f->has_err, .err = f->err, .rf = f->vec != VEC_DB};

    if (f->vec == VEC_PF)
        v->cr2 = f->cr2;
    e.ret_eip = v->eip;
    if (event_doubles(first->vec, f->vec)) {
        e.vec = VEC_DF;
        e.has_err = true;
        e.err = 0;
        e.rf = false;
    }
    return e;
}

static void event_deliver(struct vcpu *v, struct event e)
{
    struct fault f;

    if (likely(vcpu_pe(v) && !e.soft) && gate_enter_seen(v, e.vec, e.has_err ? &e.err : NULL, e.rf, e.ret_eip))
        return;
    for (unsigned i = 0; i < EVENT_CHAIN_MAX; i++) {
        if (likely(event_enter(v, &e, &f)))
            return;
        /* A debug trap of a task switch comes after a delivery that has worked. */
        if (e.vec == VEC_DF && f.vec != VEC_DB) {
            event_triple(v, &f);
            return;
        }
        e = event_next(v, &e, &f);
        v->vm->stats->exceptions++;
        TRACE_EV(v->vm->trace, exception, e.vec, e.err, v->eip);
    }
    vm_stop(v->vm, VM_STOP_UNSUPPORTED, "cpu: endless exceptions, the last is vector %u at %#x",
            (unsigned)e.vec, v->eip);
}

/* --- the contract --- */

void vcpu_deliver_fault(struct vcpu *v, const struct fault *f)
{
    struct event e = {.vec = f->vec, .has_err = f->has_err, .err = f->err, .ret_eip = v->eip};

    e.rf = f->vec != VEC_DB && f->vec != VEC_DF;
    if (f->vec == VEC_PF)
        v->cr2 = f->cr2;
    v->vm->stats->exceptions++;
    TRACE_EV(v->vm->trace, exception, f->vec, f->err, v->eip);
    event_deliver(v, e);
}

void vcpu_deliver_trap(struct vcpu *v, uint8_t vec)
{
    struct event e = {.vec = vec, .soft = vec == VEC_BP || vec == VEC_OF, .ret_eip = v->eip};

    v->vm->stats->exceptions++;
    TRACE_EV(v->vm->trace, exception, vec, 0, v->eip);
    event_deliver(v, e);
}

/* By a gate that is known and lets INT n through; at CPL 0 all do. */
static bool int_seen(struct vcpu *v, uint8_t vec, uint32_t next_eip)
{
    return vcpu_protected(v) && (v->cpl ? gate_int_seen(v, vec, next_eip) : gate_enter_seen(v, vec, NULL, false, next_eip));
}

bool vcpu_soft_int(struct vcpu *v, uint8_t vec, uint32_t next_eip, struct fault *f)
{
    struct event e;
    /* The one-byte INT3 and INTO are not sensitive to IOPL in V86 (20.2.7). */
    bool one_byte = (vec == VEC_BP || vec == VEC_OF) && next_eip - v->eip == 1;
    uint32_t eip = v->eip, cs = v->seg[SEG_CS].sel;

    if (unlikely(!int_seen(v, vec, next_eip))) {
        if (vcpu_pe(v) && vcpu_v86(v) && vcpu_iopl(v) < 3 && !one_byte)
            return fault_gp(f, 0);
        e = (struct event){.vec = vec, .soft = true, .ret_eip = next_eip};
        if (!event_enter(v, &e, f))
            return false;
    }
    v->vm->stats->soft_interrupts++;
    TRACE_EV(v->vm->trace, interrupt, vec, eip, cs);
    return true;
}

bool vcpu_int_again(struct vcpu *v, uint8_t vec, uint32_t next_eip)
{
    if (TRACE_ON(v->vm->trace, interrupt) || !gate_int_seen(v, vec, next_eip))
        return false;
    v->vm->stats->soft_interrupts++;
    return true;
}

void vcpu_deliver_interrupt(struct vcpu *v, uint8_t vec)
{
    struct event e = {.vec = vec, .ret_eip = v->eip};

    v->halted = false;
    v->vm->stats->interrupts++;
    TRACE_EV(v->vm->trace, interrupt, vec, v->eip, v->seg[SEG_CS].sel);
    event_deliver(v, e);
}

void vcpu_deliver_nmi(struct vcpu *v)
{
    v->nmi_pending = false;
    v->nmi_blocked = true;
    vcpu_deliver_interrupt(v, VEC_NMI);
}
