/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Multiplication and division (SDM vol. 2 under MUL, IMUL, DIV, IDIV, AAM,
 * AAD).
 *
 * MUL and IMUL define CF and OF only (set when the upper half carries
 * information); current Intel CPUs set SF and PF from the lower half of the
 * result and clear ZF and AF, and so do we.  Division leaves the flags alone
 * (undefined) and raises #DE when the quotient does not fit or the divisor is
 * zero.
 */
#include "cpu/interp_priv.h"

static bool divide_error(struct exec *x) { return fault_set(x->f, VEC_DE, false, 0); }

static int64_t sign_extend(unsigned size, uint32_t a)
{
    return size == 4 ? (int32_t)a : size == 2 ? (int16_t)a : (int8_t)a;
}

static void flags_mul(struct vcpu *v, unsigned size, uint32_t low, bool overflow)
{
    uint32_t szp = flags_szp(size, low) & ~EFLAGS_ZF;

    flags_set(v, EFLAGS_ARITH, szp | (overflow ? EFLAGS_CF | EFLAGS_OF : 0));
}

/* The double-width accumulator: AX, DX:AX or EDX:EAX. */
static uint64_t acc_get(const struct vcpu *v, unsigned size)
{
    if (size == 1)
        return v->gpr[REG_EAX] & 0xffff;
    return (uint64_t)reg_get(v, REG_EDX, size) << (size * 8) | reg_get(v, REG_EAX, size);
}

static void acc_put(struct vcpu *v, unsigned size, uint32_t low, uint32_t high)
{
    reg_put(v, REG_EAX, size, low);
    reg_put(v, size == 1 ? 4 : REG_EDX, size, high); /* 4 as a byte register is AH */
}

static bool mul(struct exec *x, unsigned size, uint32_t b, bool is_signed)
{
    struct vcpu *v = x->v;
    uint32_t a = reg_get(v, REG_EAX, size), mask = size_mask(size), low;
    uint64_t p;
    bool overflow;

    if (is_signed) {
        int64_t sp = sign_extend(size, a) * sign_extend(size, b);

        p = (uint64_t)sp;
        overflow = sign_extend(size, (uint32_t)p & mask) != sp;
    } else {
        p = (uint64_t)a * b;
        overflow = p >> (size * 8);
    }
    low = (uint32_t)p & mask;
    acc_put(v, size, low, (uint32_t)(p >> (size * 8)) & mask);
    flags_mul(v, size, low, overflow);
    return true;
}

static bool div(struct exec *x, unsigned size, uint32_t b)
{
    uint64_t a = acc_get(x->v, size), q;

    if (b == 0)
        return divide_error(x);
    q = a / b;
    if (q > size_mask(size))
        return divide_error(x);
    acc_put(x->v, size, (uint32_t)q, (uint32_t)(a % b));
    return true;
}

static bool idiv(struct exec *x, unsigned size, uint32_t b)
{
    uint64_t acc = acc_get(x->v, size);
    int64_t a = size == 4 ? (int64_t)acc : size == 2 ? (int32_t)acc : (int16_t)acc;
    int64_t d = sign_extend(size, b), q;

    /* INT64_MIN / -1 would trap in the monitor itself. */
    if (d == 0 || (d == -1 && a == INT64_MIN))
        return divide_error(x);
    q = a / d;
    if (q != sign_extend(size, (uint32_t)q & size_mask(size)))
        return divide_error(x);
    acc_put(x->v, size, (uint32_t)q, (uint32_t)(a % d));
    return true;
}

bool exec_muldiv(struct exec *x)
{
    unsigned size = width(x), op = modrm_reg(x);
    uint32_t b;

    if (!rm_get(x, size, &b))
        return false;
    if (op < 6)
        return mul(x, size, b, op == 5);
    return op == 6 ? div(x, size, b) : idiv(x, size, b);
}

/* Two- and three-operand IMUL. */
bool exec_imul(struct exec *x)
{
    unsigned size = x->in.opsize;
    uint32_t a, b, low;
    int64_t p;

    if (!rm_get(x, size, &b))
        return false;
    a = x->in.map == 0 ? x->in.imm : reg_get(x->v, modrm_reg(x), size);
    p = sign_extend(size, a) * sign_extend(size, b);
    low = (uint32_t)p & size_mask(size);
    reg_put(x->v, modrm_reg(x), size, low);
    flags_mul(x->v, size, low, sign_extend(size, low) != p);
    return true;
}

bool exec_aam(struct exec *x)
{
    uint32_t base = x->in.imm & 0xff, al = x->v->gpr[REG_EAX] & 0xff;

    if (base == 0)
        return divide_error(x);
    reg_put(x->v, REG_EAX, 2, al / base << 8 | al % base);
    flags_set(x->v, EFLAGS_ARITH, flags_szp(1, al % base));
    return true;
}

bool exec_aad(struct exec *x)
{
    uint32_t ax = x->v->gpr[REG_EAX], tens = (ax >> 8 & 0xff) * (x->in.imm & 0xff) & 0xff;

    /* CF, AF and OF are undefined: CPUs leave them as the addition does. */
    reg_put(x->v, REG_EAX, 2, alu(x->v, 0, 1, ax & 0xff, tens));
    return true;
}
