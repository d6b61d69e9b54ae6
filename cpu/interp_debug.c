/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One instruction with everything around it: delivery of its fault, single
 * steps, breakpoints (SDM vol. 3B chapter 18.2 and 18.3).
 *
 * An instruction breakpoint is a fault before the instruction, unless RF is
 * set; data and I/O breakpoints and TF's single step are traps after it.  TF
 * counts as it was before the instruction; INT n and its kin do not trap
 * (delivery has cleared TF), nor does an instruction that loaded SS by MOV or
 * POP.  Entering the #DB handler clears DR7.GD.
 *
 * Not done: breakpoints on the implicit accesses of far transfers, deliveries
 * and descriptor loads; the T bit of a TSS.
 */
#include "cpu/exception.h"
#include "cpu/interp_priv.h"

#define DR6_B 15u
#define DR7_GD BIT(13)

enum { RW_EXEC, RW_WRITE, RW_IO, RW_ALL };

static bool bp_enabled(const struct vcpu *v, unsigned i) { return v->dr[7] >> (2 * i) & 3; }
static unsigned bp_rw(const struct vcpu *v, unsigned i) { return v->dr[7] >> (16 + 4 * i) & 3; }

static uint32_t bp_len(const struct vcpu *v, unsigned i)
{
    static const uint8_t len[4] = { 1, 2, 8, 4 };

    return len[v->dr[7] >> (18 + 4 * i) & 3];
}

/* Does breakpoint i's range meet [addr, addr + len)? */
static bool bp_meets(const struct vcpu *v, unsigned i, uint32_t addr, uint32_t len)
{
    uint32_t size = bp_len(v, i), start = v->dr[i] & ~(size - 1);

    return addr - start < size || start - addr < len;
}

void debug_watch(struct exec *x, gla_t gla, unsigned len, bool write)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned rw = bp_rw(x->v, i);

        if (bp_enabled(x->v, i) && (rw == RW_ALL || (rw == RW_WRITE && write)) && bp_meets(x->v, i, gla, len))
            x->watched |= BIT(i);
    }
}

void debug_watch_io(struct exec *x, uint16_t port, unsigned size)
{
    if (likely(!(x->care & CARE_WATCH)) || !(x->v->cr4 & CR4_DE))
        return;
    for (unsigned i = 0; i < 4; i++)
        if (bp_enabled(x->v, i) && bp_rw(x->v, i) == RW_IO && bp_meets(x->v, i, port, size))
            x->watched |= BIT(i);
}

static uint32_t code_breakpoints(const struct vcpu *v)
{
    gla_t gla = v->seg[SEG_CS].base + v->eip;
    uint32_t hit = 0;

    for (unsigned i = 0; i < 4; i++)
        if (bp_enabled(v, i) && bp_rw(v, i) == RW_EXEC && v->dr[i] == gla)
            hit |= BIT(i);
    return hit;
}

static enum interp_result deliver(struct vcpu *v, const struct fault *f)
{
    if (f->vec == VEC_DB)
        v->dr[7] &= ~DR7_GD;
    vcpu_deliver_fault(v, f);
    return v->vm->stop ? INTERP_STOP : INTERP_OK;
}

static enum interp_result debug_trap(struct vcpu *v, uint32_t dr6)
{
    v->dr[6] = (v->dr[6] & ~DR6_B) | dr6;
    v->dr[7] &= ~DR7_GD;
    v->halted = false;
    vcpu_deliver_trap(v, VEC_DB);
    return v->vm->stop ? INTERP_STOP : INTERP_OK;
}

void interp_stepped(struct vcpu *v)
{
    debug_trap(v, DR6_BS);
}

static enum interp_result run_one(struct vcpu *v)
{
    struct step_notes notes = { 0, false };
    bool tf = v->eflags & EFLAGS_TF;
    enum interp_result r;
    struct fault f;

    if (unlikely(v->dr[7] & 0xff) && !(v->eflags & EFLAGS_RF) && !(v->shadow & SHADOW_SS)) {
        uint32_t hit = code_breakpoints(v);

        if (hit) {
            v->dr[6] = (v->dr[6] & ~DR6_B) | hit;
            v->shadow = 0;
            fault_set(&f, VEC_DB, false, 0);
            return deliver(v, &f);
        }
    }
    r = interp_step_notes(v, &f, &notes);
    if (r == INTERP_FAULT)
        return deliver(v, &f);
    if (r == INTERP_STOP)
        return r;
    tf = tf && !notes.no_trap;
    if (unlikely(tf || notes.watched) && !(v->shadow & SHADOW_SS))
        return debug_trap(v, notes.watched | (tf ? DR6_BS : 0));
    return r;
}

enum interp_result interp_run_one(struct vcpu *v)
{
    enum interp_result r = run_one(v);

    vcpu_changed(v);
    return r;
}
