/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shifts and rotates (SDM vol. 2 under SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD,
 * SHRD).
 *
 * The count is taken modulo 32 whatever the operand's width; a count of zero
 * changes no flag.  RCL and RCR go round a register one bit longer than the
 * operand, so 8- and 16-bit counts are taken modulo 9 and 17 again.  OF is
 * defined for a count of one only; for others we compute it by the same rule
 * from the last step, as CPUs do.  A 16-bit SHLD or SHRD by more than 16 is
 * undefined; we shift the destination in again after the source.
 */
#include "cpu/interp_priv.h"

/* `top`: the operand's bit count. */
static uint32_t rotate(struct vcpu *v, unsigned op, unsigned top, uint32_t a, unsigned count)
{
    uint32_t mask = size_mask(top / 8), r, cf, of;
    unsigned n = count % top;

    if (op == 0) {
        r = n ? (a << n | a >> (top - n)) & mask : a;
        cf = r & 1;
        of = (r >> (top - 1) ^ cf) & 1;
    } else {
        r = n ? (a >> n | a << (top - n)) & mask : a;
        cf = r >> (top - 1) & 1;
        of = (r >> (top - 1) ^ r >> (top - 2)) & 1;
    }
    flags_set(v, EFLAGS_CF | EFLAGS_OF, (cf ? EFLAGS_CF : 0) | (of ? EFLAGS_OF : 0));
    return r;
}

static uint32_t rotate_carry(struct vcpu *v, unsigned op, unsigned top, uint32_t a, unsigned count)
{
    unsigned width = top + 1, n = count % width;
    uint64_t all = (uint64_t)(v->eflags & EFLAGS_CF) << top | a;
    uint64_t mask = (1ull << width) - 1;
    uint32_t r, cf, of;

    if (n)
        all = (op == 2 ? all << n | all >> (width - n) : all >> n | all << (width - n)) & mask;
    r = (uint32_t)all & size_mask(top / 8);
    cf = all >> top & 1;
    of = op == 2 ? (r >> (top - 1) ^ cf) & 1 : (r >> (top - 1) ^ r >> (top - 2)) & 1;
    flags_set(v, EFLAGS_CF | EFLAGS_OF, (cf ? EFLAGS_CF : 0) | (of ? EFLAGS_OF : 0));
    return r;
}

static uint32_t shift(struct vcpu *v, unsigned op, unsigned top, uint32_t a, unsigned count)
{
    unsigned size = top / 8;
    uint32_t mask = size_mask(size), r, cf, of;
    int64_t wide;

    if (op == 4 || op == 6) {
        r = (uint32_t)((uint64_t)a << count) & mask;
        cf = (uint64_t)a << count >> top & 1;
        of = (r >> (top - 1) ^ cf) & 1;
    } else if (op == 5) {
        r = a >> count;
        cf = a >> (count - 1) & 1;
        of = (a >> (count - 1)) >> (top - 1) & 1;
    } else {
        wide = (int64_t)(a & size_sign(size) ? a | ~(uint64_t)mask : a);
        r = (uint32_t)(wide >> count) & mask;
        cf = wide >> (count - 1) & 1;
        of = 0;
    }
    flags_set(v, EFLAGS_ARITH, flags_szp(size, r) | (cf ? EFLAGS_CF : 0) | (of ? EFLAGS_OF : 0));
    return r;
}

/* C0 C1 D0 D1 D2 D3. */
bool exec_group2(struct exec *x)
{
    unsigned size = width(x), op = modrm_reg(x), count, top = size * 8;
    uint32_t a, r, old = x->v->eflags;

    if (x->in.opcode < 0xd0)
        count = x->in.imm & 31;
    else
        count = x->in.opcode & 2 ? x->v->gpr[REG_ECX] & 31 : 1;
    if (!rm_get_rmw(x, size, &a))
        return false;
    if (count == 0)
        return !x->in.mem || rm_put(x, size, a);
    r = op < 2 ? rotate(x->v, op, top, a, count)
               : op < 4 ? rotate_carry(x->v, op, top, a, count) : shift(x->v, op, top, a, count);
    if (rm_put(x, size, r))
        return true;
    x->v->eflags = old;
    return false;
}

/* 0F A4 A5 (SHLD), 0F AC AD (SHRD). */
bool exec_shld(struct exec *x)
{
    unsigned size = x->in.opsize, top = size * 8, count;
    bool right = x->in.opcode & 8;
    uint32_t dst, src = reg_get(x->v, modrm_reg(x), size), r, cf, old = x->v->eflags;
    uint64_t all;

    count = (x->in.opcode & 1 ? x->v->gpr[REG_ECX] : x->in.imm) & 31;
    if (!rm_get_rmw(x, size, &dst))
        return false;
    if (count == 0)
        return !x->in.mem || rm_put(x, size, dst);
    if (right) {
        all = (uint64_t)src << top | dst;
        if (size == 2)
            all |= (uint64_t)dst << 32;
        r = (uint32_t)(all >> count) & size_mask(size);
        cf = all >> (count - 1) & 1;
    } else {
        /* The 64-bit window's top is the destination: shifted out bits fall off it. */
        all = size == 4 ? (uint64_t)dst << 32 | src : (uint64_t)dst << 48 | (uint64_t)src << 32 | (uint64_t)dst << 16;
        r = (uint32_t)(all << count >> (64 - top)) & size_mask(size);
        cf = all >> (64 - count) & 1;
    }
    flags_set(x->v, EFLAGS_ARITH, flags_szp(size, r) | (cf ? EFLAGS_CF : 0) |
              ((dst ^ r) & size_sign(size) ? EFLAGS_OF : 0));
    if (rm_put(x, size, r))
        return true;
    x->v->eflags = old;
    return false;
}
