/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control flow (SDM vol. 1 chapter 6.4, vol. 2 under each name).
 *
 * A near target is checked against CS's limit by the branch itself, so the
 * #GP(0) belongs to the branch and not to the instruction it leads to.  With a
 * 16-bit operand size the target is cut to 16 bits, whatever CS's size.
 *
 * Far transfers, interrupts and IRET are cpu/transfer.h's and
 * cpu/exception.h's business: they want v->eip on the instruction and leave it
 * on the target.
 */
#include "cpu/exception.h"
#include "cpu/interp_priv.h"
#include "cpu/transfer.h"

static bool target_ok(struct exec *x, uint32_t *target)
{
    if (x->in.opsize == 2)
        *target &= 0xffff;
    return *target <= x->v->seg[SEG_CS].limit || gp0(x);
}

bool exec_jump(struct exec *x, uint32_t target)
{
    if (!target_ok(x, &target))
        return false;
    x->next = target;
    return true;
}

/* CPUs write the return address before they look at the target; ESP moves only if both are good. */
bool exec_call(struct exec *x, uint32_t target)
{
    uint32_t esp = x->v->gpr[REG_ESP];

    if (!exec_push(x, x->next))
        return false;
    if (!target_ok(x, &target)) {
        x->v->gpr[REG_ESP] = esp;
        return false;
    }
    x->next = target;
    return true;
}

/* C2, C3. */
bool exec_ret(struct exec *x)
{
    struct vcpu *v = x->v;
    uint32_t target, pop = x->in.opcode & 1 ? 0 : x->in.imm;

    if (!stack_peek(v, 0, &target, x->in.opsize, x->f) || !target_ok(x, &target))
        return false;
    stack_drop(v, x->in.opsize + pop);
    x->next = target;
    return true;
}

/* E0-E3: the count register goes by the address size. */
bool exec_loop(struct exec *x)
{
    struct vcpu *v = x->v;
    uint32_t count = reg_get(v, REG_ECX, x->in.adsize);
    bool taken = true;

    if (x->in.opcode == 0xe3) {
        taken = count == 0;
    } else {
        count = (count - 1) & size_mask(x->in.adsize);
        taken = count != 0;
        if (x->in.opcode != 0xe2)
            taken = taken && !(v->eflags & EFLAGS_ZF) == (x->in.opcode == 0xe0);
    }
    if (taken && !exec_jump(x, x->next + x->in.imm))
        return false;
    if (x->in.opcode != 0xe3)
        reg_put(v, REG_ECX, x->in.adsize, count);
    return true;
}

static bool done_far(struct exec *x, bool ok)
{
    x->next = x->v->eip;
    return ok;
}

bool exec_far(struct exec *x)
{
    struct vcpu *v = x->v;
    unsigned size = x->in.opsize;
    uint16_t tr = v->tr.sel;
    bool ok;

    switch (x->in.opcode) {
    case 0x9a: ok = far_call(v, (uint16_t)x->in.imm2, x->in.imm, size, x->next, x->f); break;
    case 0xea: ok = far_jmp(v, (uint16_t)x->in.imm2, x->in.imm, size, x->next, x->f); break;
    case 0xca: ok = far_ret(v, size, (uint16_t)x->in.imm, x->f); break;
    case 0xcb: ok = far_ret(v, size, 0, x->f); break;
    default: ok = iret(v, size, x->next, x->f); break;
    }
    x->no_trap = ok && v->tr.sel != tr;
    return done_far(x, ok);
}

/* m16:16 or m16:32. */
static bool far_pointer(struct exec *x, uint32_t *off, uint16_t *sel)
{
    uint8_t buf[6];
    unsigned size = x->in.opsize;

    if (!mem_load(x, x->in.seg, x->off, buf, size + 2))
        return false;
    *off = size == 4 ? get32(buf) : get16(buf);
    *sel = get16(buf + size);
    return true;
}

bool exec_far_mem(struct exec *x)
{
    struct vcpu *v = x->v;
    uint32_t off;
    uint16_t sel, tr = v->tr.sel;
    bool ok;

    if (!x->in.mem)
        return ud(x);
    if (!far_pointer(x, &off, &sel))
        return false;
    ok = modrm_reg(x) == 3 ? far_call(v, sel, off, x->in.opsize, x->next, x->f)
                           : far_jmp(v, sel, off, x->in.opsize, x->next, x->f);
    x->no_trap = ok && v->tr.sel != tr;
    return done_far(x, ok);
}

/* LES LDS LSS LFS LGS */
bool exec_load_far_pointer(struct exec *x, unsigned seg)
{
    uint32_t off;
    uint16_t sel;

    if (!x->in.mem)
        return ud(x);
    if (!far_pointer(x, &off, &sel) || !seg_load(x->v, seg, sel, x->f))
        return false;
    reg_put(x->v, modrm_reg(x), x->in.opsize, off);
    return true;
}

/* CC INT3, CD INT n, CE INTO, F1 INT1. */
bool exec_int(struct exec *x)
{
    struct vcpu *v = x->v;
    uint8_t vec = (uint8_t)x->in.imm;

    if (x->in.opcode == 0xce && !(v->eflags & EFLAGS_OF))
        return true;
    x->no_trap = true;
    if (x->in.opcode == 0xf1) {
        v->eip = x->next;
        vcpu_deliver_trap(v, VEC_DB);
        return done_far(x, true);
    }
    if (x->in.opcode != 0xcd)
        vec = x->in.opcode == 0xcc ? VEC_BP : VEC_OF;
    return done_far(x, vcpu_soft_int(v, vec, x->next, x->f));
}

bool exec_bound(struct exec *x)
{
    unsigned size = x->in.opsize;
    int32_t index = (int32_t)x->v->gpr[modrm_reg(x)], limit[2];

    if (size == 2)
        index = (int16_t)index;
    /* The lower bound is tested before the upper one is read: #BR may come before its page fault. */
    for (unsigned i = 0; i < 2; i++) {
        uint32_t raw = 0;
        if (!mem_load(x, x->in.seg, x->off + i * size, &raw, size))
            return false;
        limit[i] = size == 2 ? (int16_t)raw : (int32_t)raw;
        if (i == 0 ? index < limit[0] : index > limit[1])
            return fault_set(x->f, VEC_BR, false, 0);
    }
    return true;
}
