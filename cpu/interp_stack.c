/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stack instructions (SDM vol. 1 chapter 6, vol. 2 under PUSH, POP, PUSHA,
 * POPA, ENTER, LEAVE, PUSHF, POPF).
 *
 * Stack accesses use SP or ESP as SS.B says, whatever the address size; the
 * operand size decides how much moves.  PUSHA and POPA are one block if the
 * block does not wrap; when that faults or wraps they go element by element,
 * first only probing, so that CR2 is that of the first element in the order
 * in which a CPU touches them.
 *
 * PUSHF and POPF in V86 mode with IOPL < 3 need CR4.VME, which then shows the
 * virtual interrupt flag in IF's place.
 */
#include "cpu/control.h"
#include "cpu/interp_priv.h"
#include "cpu/transfer.h"

static uint32_t stack_mask(const struct vcpu *v) { return vcpu_stack32(v) ? ~0u : 0xffff; }

static void esp_put(struct vcpu *v, uint32_t esp)
{
    uint32_t mask = stack_mask(v);

    v->gpr[REG_ESP] = (v->gpr[REG_ESP] & ~mask) | (esp & mask);
}

/* An access at SS:offset (offset already within the stack's width). */
static bool stack_load(struct exec *x, uint32_t off, uint32_t *value, unsigned size)
{
    *value = 0;
    return mem_load(x, SEG_SS, off & stack_mask(x->v), value, size);
}

bool exec_push(struct exec *x, uint32_t value)
{
    struct vcpu *v = x->v;
    uint32_t off = (v->gpr[REG_ESP] - x->in.opsize) & stack_mask(v);

    if (!mem_store(x, SEG_SS, off, &value, x->in.opsize))
        return false;
    esp_put(v, off);
    return true;
}

/* With a 32-bit operand size CPUs write the selector's 16 bits and leave the slot's upper half alone. */
bool exec_push_sreg(struct exec *x, unsigned seg)
{
    struct vcpu *v = x->v;
    uint32_t off = (v->gpr[REG_ESP] - x->in.opsize) & stack_mask(v);

    if (!mem_store(x, SEG_SS, off, &v->seg[seg].sel, 2))
        return false;
    esp_put(v, off);
    return true;
}

static bool pop(struct exec *x, uint32_t *value)
{
    struct vcpu *v = x->v;

    if (!stack_load(x, v->gpr[REG_ESP], value, x->in.opsize))
        return false;
    esp_put(v, v->gpr[REG_ESP] + x->in.opsize);
    return true;
}

bool exec_pop_reg(struct exec *x)
{
    uint32_t value;

    if (!pop(x, &value))
        return false;
    reg_put(x->v, x->in.opcode & 7, x->in.opsize, value);
    return true;
}

bool exec_pop_sreg(struct exec *x, unsigned seg)
{
    struct vcpu *v = x->v;
    uint32_t value, esp = v->gpr[REG_ESP];

    /* The stack pointer moves by the old stack segment's width. */
    if (!pop(x, &value))
        return false;
    if (!seg_load(v, seg, (uint16_t)value, x->f)) {
        v->gpr[REG_ESP] = esp;
        return false;
    }
    if (seg == SEG_SS)
        v->shadow = SHADOW_SS;
    return true;
}

/* 8F /0: an ESP-based destination is computed with the popped ESP. */
bool exec_pop_rm(struct exec *x)
{
    uint32_t value, esp = x->v->gpr[REG_ESP];

    if (!pop(x, &value))
        return false;
    if (x->in.mem)
        x->off = effective_offset(x);
    if (rm_put(x, x->in.opsize, value))
        return true;
    x->v->gpr[REG_ESP] = esp;
    return false;
}

static bool pusha_single(struct exec *x, const uint8_t *image)
{
    struct vcpu *v = x->v;
    unsigned size = x->in.opsize;
    gla_t gla;

    for (int probe = 1; probe >= 0; probe--) {
        for (unsigned i = 0; i < 8; i++) {
            uint32_t off = (v->gpr[REG_ESP] - (i + 1) * size) & stack_mask(v);

            if (!linear(x, SEG_SS, off, size, true, &gla))
                return false;
            if (probe ? !gmem_probe(v, gla, size, x->access | GMEM_WRITE, x->f)
                      : !gmem_write(v, gla, image + (7 - i) * size, size, x->access | GMEM_WRITE, x->f))
                return false;
        }
    }
    return true;
}

bool exec_pusha(struct exec *x)
{
    struct vcpu *v = x->v;
    unsigned size = x->in.opsize;
    uint32_t off = (v->gpr[REG_ESP] - 8 * size) & stack_mask(v);
    uint8_t image[32];
    bool wraps = off > ((v->gpr[REG_ESP] - 1) & stack_mask(v));

    for (unsigned i = 0; i < 8; i++)
        memcpy(image + (7 - i) * size, &v->gpr[i], size);
    if ((wraps || x->care || !mem_store(x, SEG_SS, off, image, 8 * size)) && !pusha_single(x, image))
        return false;
    esp_put(v, off);
    return true;
}

bool exec_popa(struct exec *x)
{
    struct vcpu *v = x->v;
    unsigned size = x->in.opsize;
    uint32_t esp = v->gpr[REG_ESP], image[8];

    for (unsigned i = 0; i < 8; i++)
        if (!stack_load(x, esp + i * size, &image[i], size))
            return false;
    for (unsigned i = 0; i < 8; i++)
        if (7 - i != REG_ESP)
            reg_put(v, 7 - i, size, image[i]);
    esp_put(v, esp + 8 * size);
    return true;
}

/* ENTER with a nesting level: copy the enclosing frames' pointers. */
static bool enter_frames(struct exec *x, unsigned level, uint32_t frame)
{
    struct vcpu *v = x->v;
    uint32_t ebp = v->gpr[REG_EBP], value;

    for (unsigned i = 1; i < level; i++) {
        ebp -= x->in.opsize;
        if (!stack_load(x, ebp, &value, x->in.opsize) || !exec_push(x, value))
            return false;
    }
    return exec_push(x, frame);
}

bool exec_enter(struct exec *x)
{
    struct vcpu *v = x->v;
    uint32_t esp = v->gpr[REG_ESP], frame, bottom;
    unsigned level = x->in.imm2 & 31, size = x->in.opsize;
    gla_t gla;

    if (!exec_push(x, v->gpr[REG_EBP]))
        goto undo;
    frame = v->gpr[REG_ESP];
    if (level > 0 && !enter_frames(x, level, frame))
        goto undo;
    /* The new top of the stack must be writable. */
    bottom = (v->gpr[REG_ESP] - (x->in.imm & 0xffff)) & stack_mask(v);
    if (!linear(x, SEG_SS, bottom, size, true, &gla) ||
        !gmem_probe(v, gla, size, x->access | GMEM_WRITE, x->f))
        goto undo;
    esp_put(v, bottom);
    reg_put(v, REG_EBP, size, frame);
    return true;
undo:
    v->gpr[REG_ESP] = esp;
    return false;
}

bool exec_leave(struct exec *x)
{
    struct vcpu *v = x->v;
    uint32_t ebp = v->gpr[REG_EBP], value;

    if (!stack_load(x, ebp, &value, x->in.opsize))
        return false;
    esp_put(v, ebp + x->in.opsize);
    reg_put(v, REG_EBP, x->in.opsize, value);
    return true;
}

/* V86 with IOPL < 3: is it a #GP, or CR4.VME's virtual interrupt flag? */
static bool vme_applies(const struct exec *x)
{
    return vcpu_v86(x->v) && vcpu_iopl(x->v) < 3;
}

bool exec_pushf(struct exec *x)
{
    struct vcpu *v = x->v;
    uint32_t value = v->eflags & ~(EFLAGS_VM | EFLAGS_RF);

    if (vme_applies(x)) {
        if (!(v->cr4 & CR4_VME) || x->in.opsize != 2)
            return gp0(x);
        value = (value & ~EFLAGS_IF) | EFLAGS_IOPL | (value & EFLAGS_VIF ? EFLAGS_IF : 0);
    }
    return exec_push(x, value | EFLAGS_FIXED);
}

static bool popf_vme(struct exec *x)
{
    struct vcpu *v = x->v;
    uint32_t value, esp = v->gpr[REG_ESP];
    const uint32_t keep = EFLAGS_IF | EFLAGS_IOPL;

    if (!(v->cr4 & CR4_VME) || x->in.opsize != 2)
        return gp0(x);
    if (!pop(x, &value))
        return false;
    if ((value & EFLAGS_TF) || ((value & EFLAGS_IF) && (v->eflags & EFLAGS_VIP))) {
        v->gpr[REG_ESP] = esp;
        return gp0(x);
    }
    v->eflags = (v->eflags & (0xffff0000 | keep) & ~EFLAGS_VIF) | (value & 0x7fd5 & ~keep) | EFLAGS_FIXED |
                (value & EFLAGS_IF ? EFLAGS_VIF : 0);
    return true;
}

bool exec_popf(struct exec *x)
{
    uint32_t value;

    if (vme_applies(x))
        return popf_vme(x);
    if (!pop(x, &value))
        return false;
    eflags_write(x->v, value, x->in.opsize, false);
    return true;
}
