/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Integer arithmetic and logic, exchanges, BCD (SDM vol. 1 chapters 7.3.2 to
 * 7.3.5; vol. 2 under each name).
 *
 * Flags are computed eagerly in plain C from operands and result, at the
 * operand's width: CF is the carry out of the top bit, AF the carry out of bit
 * 3 (bit 4 of a ^ b ^ r), OF set when the operands' signs make the result's
 * sign impossible.  Where the SDM leaves flags undefined we do what current
 * Intel CPUs do: AF is cleared by logic operations.
 *
 * Locked and unlocked forms are the same here: there is one virtual CPU, and
 * no device reads memory in the middle of an instruction.
 */
#include "cpu/interp_priv.h"

void flags_logic(struct vcpu *v, unsigned size, uint32_t r)
{
    flags_set(v, EFLAGS_ARITH, flags_szp(size, r));
}

static uint32_t alu_add(struct vcpu *v, unsigned size, uint32_t a, uint32_t b, uint32_t carry)
{
    uint32_t mask = size_mask(size), r = (a + b + carry) & mask;
    uint64_t wide = (uint64_t)a + b + carry;

    flags_set(v, EFLAGS_ARITH,
              flags_szp(size, r) | (wide > mask ? EFLAGS_CF : 0) | ((a ^ b ^ r) & 0x10 ? EFLAGS_AF : 0) |
                  ((a ^ r) & (b ^ r) & size_sign(size) ? EFLAGS_OF : 0));
    return r;
}

static uint32_t alu_sub(struct vcpu *v, unsigned size, uint32_t a, uint32_t b, uint32_t borrow)
{
    uint32_t r = (a - b - borrow) & size_mask(size);

    flags_set(v, EFLAGS_ARITH,
              flags_szp(size, r) | ((uint64_t)b + borrow > a ? EFLAGS_CF : 0) |
                  ((a ^ b ^ r) & 0x10 ? EFLAGS_AF : 0) |
                  ((a ^ b) & (a ^ r) & size_sign(size) ? EFLAGS_OF : 0));
    return r;
}

/* a and b are masked to size. */
uint32_t alu(struct vcpu *v, unsigned op, unsigned size, uint32_t a, uint32_t b)
{
    uint32_t r;

    switch (op) {
    case 0: return alu_add(v, size, a, b, 0);
    case 2: return alu_add(v, size, a, b, v->eflags & EFLAGS_CF);
    case 3: return alu_sub(v, size, a, b, v->eflags & EFLAGS_CF);
    case 5: case 7: return alu_sub(v, size, a, b, 0);
    case 1: r = a | b; break;
    case 4: r = a & b; break;
    default: r = a ^ b; break;
    }
    flags_logic(v, size, r);
    return r;
}

/* r/m op= b.  CMP (op 7) only reads. */
static bool alu_rm(struct exec *x, unsigned op, unsigned size, uint32_t b)
{
    uint32_t a, old = x->v->eflags;

    if (op == 7) {
        if (!rm_get(x, size, &a))
            return false;
        alu(x->v, op, size, a, b);
        return true;
    }
    if (!rm_get_rmw(x, size, &a))
        return false;
    if (rm_put(x, size, alu(x->v, op, size, a, b)))
        return true;
    x->v->eflags = old;
    return false;
}

/* 00..3D: op is in bits 3-5, the form in bits 0-2. */
bool exec_alu_form(struct exec *x)
{
    unsigned op = x->in.opcode >> 3 & 7, size = width(x);
    struct vcpu *v = x->v;
    uint32_t a, b, r, dst;

    switch (x->in.opcode & 7) {
    case 0: case 1:
        return alu_rm(x, op, size, reg_get(v, modrm_reg(x), size));
    case 2: case 3:
        if (!rm_get(x, size, &b))
            return false;
        dst = modrm_reg(x);
        break;
    default:
        b = x->in.imm & size_mask(size);
        dst = REG_EAX;
        break;
    }
    a = reg_get(v, dst, size);
    r = alu(v, op, size, a, b);
    if (op != 7)
        reg_put(v, dst, size, r);
    return true;
}

bool exec_group1(struct exec *x)
{
    unsigned size = width(x);

    return alu_rm(x, modrm_reg(x), size, x->in.imm & size_mask(size));
}

static uint32_t incdec(struct vcpu *v, unsigned size, uint32_t a, bool dec)
{
    uint32_t cf = v->eflags & EFLAGS_CF, r;

    r = dec ? alu_sub(v, size, a, 1, 0) : alu_add(v, size, a, 1, 0);
    flags_set(v, EFLAGS_CF, cf);
    return r;
}

bool exec_incdec(struct exec *x, bool dec)
{
    unsigned size = width(x);
    uint32_t a, old = x->v->eflags;

    if (!rm_get_rmw(x, size, &a))
        return false;
    if (rm_put(x, size, incdec(x->v, size, a, dec)))
        return true;
    x->v->eflags = old;
    return false;
}

bool exec_incdec_reg(struct exec *x)
{
    unsigned n = x->in.opcode & 7, size = x->in.opsize;

    reg_put(x->v, n, size, incdec(x->v, size, reg_get(x->v, n, size), x->in.opcode & 8));
    return true;
}

/* F6, F7: TEST, NOT, NEG; the rest is multiplication and division. */
bool exec_group3(struct exec *x)
{
    unsigned size = width(x), op = modrm_reg(x);
    uint32_t a, r, old = x->v->eflags;

    if (op >= 4)
        return exec_muldiv(x);
    if (op < 2) {
        if (!rm_get(x, size, &a))
            return false;
        flags_logic(x->v, size, a & x->in.imm & size_mask(size));
        return true;
    }
    if (!rm_get_rmw(x, size, &a))
        return false;
    r = op == 2 ? ~a & size_mask(size) : alu_sub(x->v, size, 0, a, 0);
    if (rm_put(x, size, r))
        return true;
    x->v->eflags = old;
    return false;
}

/* 84, 85 and A8, A9. */
bool exec_test(struct exec *x)
{
    unsigned size = width(x);
    uint32_t a, b;

    if (x->in.has_modrm) {
        if (!rm_get(x, size, &a))
            return false;
        b = reg_get(x->v, modrm_reg(x), size);
    } else {
        a = reg_get(x->v, REG_EAX, size);
        b = x->in.imm & size_mask(size);
    }
    flags_logic(x->v, size, a & b);
    return true;
}

bool exec_xchg(struct exec *x)
{
    unsigned size = width(x);
    uint32_t a;

    if (!rm_get_rmw(x, size, &a) || !rm_put(x, size, reg_get(x->v, modrm_reg(x), size)))
        return false;
    reg_put(x->v, modrm_reg(x), size, a);
    return true;
}

/* The destination is always written, with its old value when the comparison fails. */
bool exec_cmpxchg(struct exec *x)
{
    unsigned size = width(x);
    struct vcpu *v = x->v;
    uint32_t dst, acc = reg_get(v, REG_EAX, size);

    if (!rm_get_rmw(x, size, &dst))
        return false;
    if (dst == acc) {
        if (!rm_put(x, size, reg_get(v, modrm_reg(x), size)))
            return false;
    } else {
        if (x->in.mem && !rm_put(x, size, dst))
            return false;
        reg_put(v, REG_EAX, size, dst);
    }
    alu_sub(v, size, acc, dst, 0);
    return true;
}

bool exec_cmpxchg8b(struct exec *x)
{
    struct vcpu *v = x->v;
    uint64_t dst, acc = (uint64_t)v->gpr[REG_EDX] << 32 | v->gpr[REG_EAX];
    uint64_t src = (uint64_t)v->gpr[REG_ECX] << 32 | v->gpr[REG_EBX];
    uint64_t out;

    if (!mem_load_rmw(x, x->in.seg, x->off, &dst, 8))
        return false;
    out = dst == acc ? src : dst;
    if (!mem_store(x, x->in.seg, x->off, &out, 8))
        return false;
    if (dst != acc) {
        v->gpr[REG_EAX] = (uint32_t)dst;
        v->gpr[REG_EDX] = (uint32_t)(dst >> 32);
    }
    flags_set(v, EFLAGS_ZF, dst == acc ? EFLAGS_ZF : 0);
    return true;
}

bool exec_xadd(struct exec *x)
{
    unsigned size = width(x);
    struct vcpu *v = x->v;
    uint32_t dst, src = reg_get(v, modrm_reg(x), size), sum, old = v->eflags;

    if (!rm_get_rmw(x, size, &dst))
        return false;
    sum = alu_add(v, size, dst, src, 0);
    if (x->in.mem) {
        if (!rm_put(x, size, sum)) {
            v->eflags = old;
            return false;
        }
        reg_put(v, modrm_reg(x), size, dst);
    } else {
        /* XADD r,r with one register twice: the sum wins. */
        reg_put(v, modrm_reg(x), size, dst);
        reg_put(v, modrm_rm(x), size, sum);
    }
    return true;
}

/* DAA and DAS: correct AL after adding or subtracting packed BCD. */
static void decimal_adjust(struct vcpu *v, bool sub)
{
    uint32_t al = v->gpr[REG_EAX] & 0xff, old = al, fl = 0;
    bool high = al > 0x99 || (v->eflags & EFLAGS_CF);

    if ((al & 15) > 9 || (v->eflags & EFLAGS_AF)) {
        fl |= EFLAGS_AF;
        if (sub ? old < 6 : old > 0xf9)
            fl |= EFLAGS_CF;
        al += sub ? -6u : 6u;
    }
    if (high) {
        al += sub ? -0x60u : 0x60u;
        fl |= EFLAGS_CF;
    }
    al &= 0xff;
    reg_put(v, REG_EAX, 1, al);
    flags_set(v, EFLAGS_ARITH, fl | flags_szp(1, al));
}

/* AAA and AAS: correct AX after adding or subtracting unpacked BCD. */
static void ascii_adjust(struct vcpu *v, bool sub)
{
    uint32_t ax = v->gpr[REG_EAX] & 0xffff, fl = 0;

    if ((ax & 15) > 9 || (v->eflags & EFLAGS_AF)) {
        ax += sub ? -0x106u : 0x106u;
        fl = EFLAGS_AF | EFLAGS_CF;
    }
    ax &= 0xff0f;
    reg_put(v, REG_EAX, 2, ax);
    flags_set(v, EFLAGS_ARITH, fl | flags_szp(1, ax & 0xff));
}

bool exec_bcd(struct exec *x)
{
    bool sub = x->in.opcode & 8;

    if (x->in.opcode & 0x10)
        ascii_adjust(x->v, sub);
    else
        decimal_adjust(x->v, sub);
    return true;
}

/* Condition codes in the encoding of Jcc, SETcc, CMOVcc. */
bool cond_true(const struct vcpu *v, unsigned cc)
{
    uint32_t fl = v->eflags;
    bool r;

    switch (cc >> 1) {
    case 0: r = fl & EFLAGS_OF; break;
    case 1: r = fl & EFLAGS_CF; break;
    case 2: r = fl & EFLAGS_ZF; break;
    case 3: r = fl & (EFLAGS_CF | EFLAGS_ZF); break;
    case 4: r = fl & EFLAGS_SF; break;
    case 5: r = fl & EFLAGS_PF; break;
    case 6: r = !(fl & EFLAGS_SF) != !(fl & EFLAGS_OF); break;
    default: r = (fl & EFLAGS_ZF) || !(fl & EFLAGS_SF) != !(fl & EFLAGS_OF); break;
    }
    return r != (cc & 1);
}
