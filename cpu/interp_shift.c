/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shifts and rotates (SDM vol. 2 under SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD,
 * SHRD).
 *
 * The count is taken modulo 32 whatever the operand's width; a count of zero
 * changes no flag.  RCL and RCR go round a register one bit longer than the
 * operand, so 8- and 16-bit counts are taken modulo 9 and 17 again.  OF is
 * defined for a count of one only; for others Intel's CPUs give what the first
 * of the steps would give, and so do we.  A 16-bit SHLD or SHRD by more than 16 is
 * undefined; we shift the destination in again after the source.
 */
#include "cpu/interp_priv.h"

static bool bit_of(uint32_t a, unsigned n) { return a >> n & 1; }

/* OF after the first step; `in` is the bit that a shift to the right brings in. */
static bool overflow(bool right, unsigned top, uint32_t a, bool in)
{
    return bit_of(a, top - 1) != (right ? in : bit_of(a, top - 2));
}

/* `top`: the operand's bit count. */
static uint32_t rotate(struct vcpu *v, unsigned op, unsigned top, uint32_t a, unsigned count, bool keep_of)
{
    uint32_t mask = size_mask(top / 8), r = a;
    unsigned n = count % top;
    bool cf, of = keep_of ? v->eflags & EFLAGS_OF : overflow(op, top, a, a & 1);

    if (n)
        r = (op == 0 ? a << n | a >> (top - n) : a >> n | a << (top - n)) & mask;
    cf = op == 0 ? r & 1 : bit_of(r, top - 1);
    flags_set(v, EFLAGS_CF | EFLAGS_OF, (cf ? EFLAGS_CF : 0) | (of ? EFLAGS_OF : 0));
    return r;
}

static uint32_t rotate_carry(struct vcpu *v, unsigned op, unsigned top, uint32_t a, unsigned count)
{
    unsigned width = top + 1, n = count % width;
    uint64_t all = (uint64_t)(v->eflags & EFLAGS_CF) << top | a;
    uint64_t mask = (1ull << width) - 1;
    bool of = overflow(op == 3, top, a, v->eflags & EFLAGS_CF), cf;
    uint32_t r;

    if (n == 0)
        return a;
    all = (op == 2 ? all << n | all >> (width - n) : all >> n | all << (width - n)) & mask;
    r = (uint32_t)all & size_mask(top / 8);
    cf = all >> top & 1;
    flags_set(v, EFLAGS_CF | EFLAGS_OF, (cf ? EFLAGS_CF : 0) | (of ? EFLAGS_OF : 0));
    return r;
}

static uint32_t shift(struct vcpu *v, unsigned op, unsigned top, uint32_t a, unsigned count)
{
    unsigned size = top / 8;
    uint32_t mask = size_mask(size), r;
    bool cf, of = false;
    int64_t wide;

    if (op == 4 || op == 6) {
        r = (uint32_t)((uint64_t)a << count) & mask;
        cf = (uint64_t)a << count >> top & 1;
        of = overflow(false, top, a, false);
    } else if (op == 5) {
        r = a >> count;
        cf = a >> (count - 1) & 1;
        of = overflow(true, top, a, false);
    } else {
        wide = (int64_t)(a & size_sign(size) ? a | ~(uint64_t)mask : a);
        r = (uint32_t)(wide >> count) & mask;
        cf = wide >> (count - 1) & 1;
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
    /* ROL and ROR of a register by an immediate other than 1 leave OF alone, on the CPUs tried. */
    r = op < 2 ? rotate(x->v, op, top, a, count, x->in.opcode < 0xd0 && count != 1 && !x->in.mem)
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
    uint32_t dst, src = reg_get(x->v, modrm_reg(x), size), r, old = x->v->eflags;
    uint64_t all;
    bool cf;

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
        all = size == 4 ? (uint64_t)dst << 32 | src
                        : (uint64_t)dst << 48 | (uint64_t)src << 32 | (uint64_t)dst << 16;
        r = (uint32_t)(all << count >> (64 - top)) & size_mask(size);
        cf = all >> (64 - count) & 1;
    }
    flags_set(x->v, EFLAGS_ARITH, flags_szp(size, r) | (cf ? EFLAGS_CF : 0) |
              (overflow(right, top, dst, src & 1) ? EFLAGS_OF : 0));
    if (rm_put(x, size, r))
        return true;
    x->v->eflags = old;
    return false;
}
