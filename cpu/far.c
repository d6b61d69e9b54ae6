/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Far JMP, CALL and RET, call gates, SYSENTER and SYSEXIT (SDM vol. 3A 5.8, vol. 2 CALL, JMP, RET).
 *
 * A far pointer's selector names either a code segment (a transfer within
 * the ring; conforming code keeps the caller's CPL), a call gate (its own
 * selector and offset count, the instruction's offset is ignored), a task
 * gate or a TSS.  A CALL through a gate to inner nonconforming code switches
 * to the stack that the TSS names for that ring, and copies up to 31
 * parameters over; the far RET at the end undoes it and takes away data
 * segments that the outer ring has no right to.
 *
 * Each transfer is made in three steps: check descriptors, write the whole
 * frame, commit.  A fault in the first two leaves the registers as they were.
 */
#include "cpu/frame.h"
#include "cpu/gmem.h"
#include "cpu/transfer.h"

/* A code segment ready to be entered. */
struct target {
    uint16_t sel;
    struct desc d;
    uint32_t eip;
    unsigned cpl;
    unsigned slot; /* a CALL on the same stack pushes two of this size; 0: no such */
};

void cs_commit(struct vcpu *v, uint16_t sel, struct desc d, unsigned cpl)
{
    struct seg s;

    seg_from_desc(&s, (sel & ~3u) | cpl, d);
    v->cpl = cpl;
    seg_set(v, SEG_CS, &s);
}

static void target_enter(struct vcpu *v, const struct target *t)
{
    cs_commit(v, t->sel, t->d, t->cpl);
    v->eip = t->eip;
}

/* Presence, room for a CALL's frame, limit and accessed bit: the checks that come last for every target. */
static bool target_finish(struct vcpu *v, struct target *t, struct fault *f)
{
    if (!desc_present(t->d))
        return fault_set(f, VEC_NP, true, sel_err(t->sel, 0));
    if (t->slot && !frame_fits(&v->seg[SEG_SS], v->gpr[REG_ESP], 2 * t->slot, t->slot))
        return fault_set(f, VEC_SS, true, 0);
    if (t->eip > desc_limit(t->d))
        return fault_gp(f, 0);
    return desc_access(v, t->sel, &t->d, f);
}

/* A code segment named directly by JMP or CALL. */
static bool target_direct(struct vcpu *v, struct target *t, struct fault *f)
{
    unsigned dpl = desc_dpl(t->d);

    if (desc_is_conforming(t->d) ? dpl > v->cpl : (t->sel & 3u) > v->cpl || dpl != v->cpl)
        return fault_gp(f, sel_err(t->sel, 0));
    t->cpl = v->cpl;
    return target_finish(v, t, f);
}

/* The privilege of a gate or TSS descriptor against CPL and RPL, then presence. */
static bool gate_allowed(struct vcpu *v, uint16_t sel, struct desc g, struct fault *f)
{
    if (desc_dpl(g) < v->cpl || desc_dpl(g) < (sel & 3u))
        return fault_gp(f, sel_err(sel, 0));
    if (!desc_present(g))
        return fault_set(f, VEC_NP, true, sel_err(sel, 0));
    return true;
}

/* The code segment behind a call gate; a JMP may not change the ring. */
static bool target_gate(struct vcpu *v, struct desc g, bool jmp, struct target *t, struct fault *f)
{
    unsigned dpl;

    t->sel = gate_sel(g);
    t->eip = gate_off(g);
    if (sel_is_null(t->sel))
        return fault_gp(f, 0);
    if (!desc_read(v, t->sel, &t->d, VEC_GP, 0, f))
        return false;
    dpl = desc_dpl(t->d);
    if (!desc_is_code(t->d) || dpl > v->cpl || (jmp && !desc_is_conforming(t->d) && dpl != v->cpl))
        return fault_gp(f, sel_err(t->sel, 0));
    t->cpl = desc_is_conforming(t->d) ? v->cpl : dpl;
    t->slot = jmp || t->cpl < v->cpl ? 0 : gate_is32(g) ? 4 : 2;
    return target_finish(v, t, f);
}

/* --- CALL's frames --- */

static bool call_same(struct vcpu *v, const struct target *t, uint32_t next_eip, struct fault *f)
{
    uint32_t slots[2] = {next_eip, v->seg[SEG_CS].sel};
    uint32_t esp = v->gpr[REG_ESP];

    if (t->slot == 2)
        frame_narrow(slots, 2);
    if (!frame_push(v, &v->seg[SEG_SS], &esp, slots, 2 * t->slot, t->slot, gmem_cpl(v), 0, f))
        return false;
    v->gpr[REG_ESP] = esp;
    target_enter(v, t);
    return true;
}

/* Through a gate to an inner ring: SS:ESP, parameters and CS:EIP on the TSS's stack. */
static bool call_inner(struct vcpu *v, const struct target *t, struct desc g, uint32_t next_eip,
                       struct fault *f)
{
    unsigned opsize = gate_is32(g) ? 4 : 2, params = g.hi & 0x1f;
    uint32_t outer_esp = v->gpr[REG_ESP], slots[4 + 31], esp;
    uint16_t words[31];
    struct seg ss;

    if (!tss_stack(v, t->cpl, 0, &ss, &esp, f))
        return false;
    if (!vcpu_stack32(v))
        outer_esp &= 0xffff;
    slots[0] = next_eip;
    slots[1] = v->seg[SEG_CS].sel;
    if (params && !frame_peek(v, 0, opsize == 4 ? (void *)(slots + 2) : words, params * opsize, f))
        return false;
    for (unsigned i = 0; opsize == 2 && i < params; i++)
        slots[2 + i] = words[i];
    slots[2 + params] = outer_esp;
    slots[3 + params] = v->seg[SEG_SS].sel;
    if (opsize == 2)
        frame_narrow(slots, 4 + params);
    if (!frame_push(v, &ss, &esp, slots, (4 + params) * opsize, opsize, t->cpl == 3 ? GMEM_USER : 0,
                    sel_err(ss.sel, 0), f))
        return false;
    seg_set(v, SEG_SS, &ss);
    v->gpr[REG_ESP] = esp;
    target_enter(v, t);
    return true;
}

/* --- the two instructions --- */

static bool far_gate(struct vcpu *v, uint16_t sel, struct desc g, bool jmp, uint32_t next_eip,
                     struct fault *f)
{
    struct target t = {0};

    if (!gate_allowed(v, sel, g, f))
        return false;
    switch (desc_kind(g)) {
    case DESC_TSS16:
    case DESC_TSS32:
        return task_switch(v, sel, jmp ? TASK_JMP : TASK_CALL, next_eip, false, 0, f);
    case DESC_TASK:
        return task_gate(v, gate_sel(g), jmp, next_eip, f);
    }
    if (!target_gate(v, g, jmp, &t, f))
        return false;
    if (jmp)
        target_enter(v, &t);
    else if (t.cpl < v->cpl)
        return call_inner(v, &t, g, next_eip, f);
    else
        return call_same(v, &t, next_eip, f);
    return true;
}

static bool far_protected(struct vcpu *v, uint16_t sel, uint32_t off, unsigned opsize, bool jmp,
                          uint32_t next_eip, struct fault *f)
{
    const uint32_t gates =
        BIT(DESC_TSS16) | BIT(DESC_TSS32) | BIT(DESC_TASK) | BIT(DESC_CALL16) | BIT(DESC_CALL32);
    struct target t = {.sel = sel, .eip = off, .slot = jmp ? 0 : opsize};

    if (sel_is_null(sel))
        return fault_gp(f, 0);
    if (!desc_read(v, sel, &t.d, VEC_GP, 0, f))
        return false;
    if (!desc_is_code(t.d)) {
        if (!(gates >> desc_kind(t.d) & 1))
            return fault_gp(f, sel_err(sel, 0));
        return far_gate(v, sel, t.d, jmp, next_eip, f);
    }
    if (!target_direct(v, &t, f))
        return false;
    if (!jmp)
        return call_same(v, &t, next_eip, f);
    target_enter(v, &t);
    return true;
}

bool far_jmp(struct vcpu *v, uint16_t sel, uint32_t off, unsigned opsize, uint32_t next_eip, struct fault *f)
{
    if (opsize == 2)
        off &= 0xffff;
    if (vcpu_protected(v))
        return far_protected(v, sel, off, opsize, true, next_eip, f);
    if (off > v->seg[SEG_CS].limit)
        return fault_gp(f, 0);
    seg_load_real(v, SEG_CS, sel);
    v->eip = off;
    return true;
}

bool far_call(struct vcpu *v, uint16_t sel, uint32_t off, unsigned opsize, uint32_t next_eip, struct fault *f)
{
    uint32_t slots[2] = {next_eip, v->seg[SEG_CS].sel};
    uint32_t esp = v->gpr[REG_ESP];

    if (opsize == 2)
        off &= 0xffff;
    if (vcpu_protected(v))
        return far_protected(v, sel, off, opsize, false, next_eip, f);
    if (off > v->seg[SEG_CS].limit)
        return fault_gp(f, 0);
    if (opsize == 2)
        frame_narrow(slots, 2);
    if (!frame_push(v, &v->seg[SEG_SS], &esp, slots, 2 * opsize, opsize, gmem_cpl(v), 0, f))
        return false;
    v->gpr[REG_ESP] = esp;
    seg_load_real(v, SEG_CS, sel);
    v->eip = off;
    return true;
}

/* --- RET --- */

bool ret_code_check(struct vcpu *v, uint16_t sel, struct desc *d, struct fault *f)
{
    unsigned rpl = sel & 3u;

    if (unlikely(sel_is_null(sel)))
        return fault_gp(f, 0);
    if (!desc_read(v, sel, d, VEC_GP, 0, f))
        return false;
    if (unlikely(!desc_is_code(*d) || rpl < v->cpl ||
                 (desc_is_conforming(*d) ? desc_dpl(*d) > rpl : desc_dpl(*d) != rpl)))
        return fault_gp(f, sel_err(sel, 0));
    if (unlikely(!desc_present(*d)))
        return fault_set(f, VEC_NP, true, sel_err(sel, 0));
    return desc_access(v, sel, d, f);
}

/* May code of this ring go on using it? */
static bool seg_stays(const struct seg *s, unsigned cpl)
{
    unsigned dpl = (s->attr & SEG_ATTR_DPL) >> SEG_ATTR_DPL_SHIFT;

    return dpl >= cpl || !(s->attr & SEG_ATTR_P) ||
           (s->attr & (SEG_ATTR_CODE | SEG_ATTR_EC)) == (SEG_ATTR_CODE | SEG_ATTR_EC);
}

void ret_null_segment(struct vcpu *v, unsigned seg)
{
    if (!seg_stays(&v->seg[seg], v->cpl))
        seg_set(v, seg, &(struct seg){.sel = 0});
}

static uint32_t slot_get(const uint8_t *frame, unsigned i, unsigned opsize)
{
    return opsize == 4 ? get32(frame + 4 * i) : get16(frame + 2 * i);
}

static bool far_ret_outer(struct vcpu *v, const struct target *t, unsigned opsize, uint16_t pop,
                          struct fault *f)
{
    uint8_t frame[8];
    struct seg ss;

    if (!frame_peek(v, 2 * opsize + pop, frame, 2 * opsize, f) ||
        !ss_check(v, slot_get(frame, 1, opsize), t->sel & 3u, VEC_GP, 0, &ss, f))
        return false;
    seg_set(v, SEG_SS, &ss);
    if (opsize == 4 && (ss.attr & SEG_ATTR_DB))
        v->gpr[REG_ESP] = get32(frame);
    else
        esp_set(v, slot_get(frame, 0, opsize));
    stack_drop(v, pop);
    target_enter(v, t);
    ret_null_segments(v);
    return true;
}

static bool far_ret_real(struct vcpu *v, const struct target *t, unsigned bytes, struct fault *f)
{
    if (t->eip > v->seg[SEG_CS].limit)
        return fault_gp(f, 0);
    stack_drop(v, bytes);
    seg_load_real(v, SEG_CS, t->sel);
    v->eip = t->eip;
    return true;
}

bool far_ret(struct vcpu *v, unsigned opsize, uint16_t pop, struct fault *f)
{
    struct target t;
    uint8_t frame[8];

    if (!frame_peek(v, 0, frame, 2 * opsize, f))
        return false;
    t.eip = slot_get(frame, 0, opsize);
    t.sel = slot_get(frame, 1, opsize);
    if (!vcpu_protected(v))
        return far_ret_real(v, &t, 2 * opsize + pop, f);
    if (!ret_code_check(v, t.sel, &t.d, f))
        return false;
    if (t.eip > desc_limit(t.d))
        return fault_gp(f, 0);
    t.cpl = t.sel & 3u;
    if (t.cpl > v->cpl)
        return far_ret_outer(v, &t, opsize, pop, f);
    stack_drop(v, 2 * opsize + pop);
    target_enter(v, &t);
    return true;
}

/* --- SYSENTER, SYSEXIT: fixed flat segments, no descriptors are read (SDM 5.8.7) --- */

static void sys_segments(struct vcpu *v, uint16_t cs_sel, uint16_t ss_sel, unsigned cpl)
{
    uint16_t common = SEG_ATTR_S | SEG_ATTR_P | SEG_ATTR_DB | SEG_ATTR_G | (cpl << SEG_ATTR_DPL_SHIFT);
    struct seg cs = {.sel = cs_sel, .attr = common | 0xb, .limit = 0xffffffff};
    struct seg ss = {.sel = ss_sel, .attr = common | 0x3, .limit = 0xffffffff};

    v->cpl = cpl;
    seg_set(v, SEG_CS, &cs);
    seg_set(v, SEG_SS, &ss);
}

bool sysenter(struct vcpu *v, struct fault *f)
{
    if (!vcpu_pe(v) || sel_is_null(v->sysenter_cs))
        return fault_gp(f, 0);
    v->eflags &= ~(EFLAGS_VM | EFLAGS_IF);
    sys_segments(v, v->sysenter_cs & 0xfffc, (v->sysenter_cs & 0xfffc) + 8, 0);
    v->gpr[REG_ESP] = v->sysenter_esp;
    v->eip = v->sysenter_eip;
    return true;
}

bool sysexit(struct vcpu *v, struct fault *f)
{
    if (!vcpu_protected(v) || v->cpl != 0 || sel_is_null(v->sysenter_cs))
        return fault_gp(f, 0);
    sys_segments(v, ((v->sysenter_cs & 0xfffc) + 16) | 3, ((v->sysenter_cs & 0xfffc) + 24) | 3, 3);
    v->gpr[REG_ESP] = v->gpr[REG_ECX];
    v->eip = v->gpr[REG_EDX];
    return true;
}
