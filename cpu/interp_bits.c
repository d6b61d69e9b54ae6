/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bit tests and scans, byte swaps, CRC32, and the general-register extensions
 * BMI1, BMI2 and ADX (SDM vol. 2 under each name).
 *
 * BT and its relatives with a register bit offset address memory beyond the
 * ModR/M operand: the offset is a signed bit number relative to it.
 *
 * F3 0F BC and F3 0F BD are TZCNT and LZCNT on CPUs that know them and BSF and
 * BSR on the others.  Translated and directly executed code gets what the host
 * CPU does, whatever CPUID tells the guest, so the interpreter asks the host
 * CPU too, by executing the instruction; the same goes for the undefined
 * destination and flags of BSF and BSR.
 */
#include "cpu/interp_priv.h"

/* 0F A3 AB B3 BB (register offset) and 0F BA /4../7 (immediate). */
bool exec_bt(struct exec *x)
{
    unsigned size = x->in.opsize, top = size * 8, op;
    uint32_t a, offset, bit, r;

    if (x->in.opcode == 0xba) {
        op = modrm_reg(x) & 3;
        offset = x->in.imm;
    } else {
        op = x->in.opcode >> 3 & 3;
        offset = reg_get(x->v, modrm_reg(x), size);
        if (x->in.mem) {
            int32_t words = size == 4 ? (int32_t)offset >> 5 : (int16_t)offset >> 4;

            x->off += (uint32_t)words * size;
            if (x->in.adsize == 2)
                x->off &= 0xffff;
        }
    }
    bit = 1u << (offset & (top - 1));
    if (op == 0 ? !rm_get(x, size, &a) : !rm_get_rmw(x, size, &a))
        return false;
    r = op == 1 ? a | bit : op == 2 ? a & ~bit : a ^ bit;
    if (op != 0 && !rm_put(x, size, r))
        return false;
    flags_set(x->v, EFLAGS_CF, a & bit ? EFLAGS_CF : 0);
    return true;
}

struct scan {
    uint32_t dst;
    uint64_t flags;
};

#define SCAN(insn, s, src, fl)                                              \
    __asm__ volatile("push %[fl_in]\n\tpopfq\n\t" insn "\n\tpushfq\n\tpop %[fl_out]" \
                     : [d] "+r"((s)->dst), [fl_out] "=&r"((s)->flags)       \
                     : [s] "r"(src), [fl_in] "r"((uint64_t)(fl)) : "cc", "memory")

static void scan32(struct scan *s, unsigned op, uint32_t src, uint32_t fl)
{
    switch (op) {
    case 0: SCAN("bsf %[s], %[d]", s, src, fl); break;
    case 1: SCAN("bsr %[s], %[d]", s, src, fl); break;
    case 2: SCAN("rep; bsf %[s], %[d]", s, src, fl); break;
    default: SCAN("rep; bsr %[s], %[d]", s, src, fl); break;
    }
}

static void scan16(struct scan *s, unsigned op, uint16_t src, uint32_t fl)
{
    switch (op) {
    case 0: SCAN("bsf %w[s], %w[d]", s, src, fl); break;
    case 1: SCAN("bsr %w[s], %w[d]", s, src, fl); break;
    case 2: SCAN("rep; bsf %w[s], %w[d]", s, src, fl); break;
    default: SCAN("rep; bsr %w[s], %w[d]", s, src, fl); break;
    }
}

/* 0F BC, 0F BD with and without F3. */
bool exec_bitscan(struct exec *x)
{
    unsigned size = x->in.opsize, op = (x->in.opcode & 1) | (x->in.rep == 0xf3 ? 2 : 0);
    struct vcpu *v = x->v;
    struct scan s = { v->gpr[modrm_reg(x)], 0 };
    uint32_t src, live = (v->eflags & EFLAGS_ARITH) | EFLAGS_FIXED;

    if (!rm_get(x, size, &src))
        return false;
    if (size == 4)
        scan32(&s, op, src, live);
    else
        scan16(&s, op, (uint16_t)src, live);
    v->gpr[modrm_reg(x)] = s.dst;
    flags_set(v, EFLAGS_ARITH, (uint32_t)s.flags);
    return true;
}

/* The 16-bit form is undefined: CPUs give zero. */
bool exec_bswap(struct exec *x)
{
    uint32_t *r = &x->v->gpr[x->in.opcode & 7];

    if (x->in.opsize == 4)
        *r = __builtin_bswap32(*r);
    else
        *r &= 0xffff0000;
    return true;
}

bool exec_popcnt(struct exec *x)
{
    unsigned size = x->in.opsize;
    uint32_t a, n = 0;

    if (!cpuid_feature(x->v, 1, 0, REG_ECX, 23))
        return ud(x);
    if (!rm_get(x, size, &a))
        return false;
    flags_set(x->v, EFLAGS_ARITH, a ? 0 : EFLAGS_ZF);
    for (; a; a &= a - 1)
        n++;
    reg_put(x->v, modrm_reg(x), size, n);
    return true;
}

/* CRC-32C, bit-reflected polynomial 0x11EDC6F41. */
static uint32_t crc32c(uint32_t crc, uint32_t data, unsigned size)
{
    crc ^= data;
    for (unsigned i = 0; i < size * 8; i++)
        crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    return crc;
}

/* 0F 38 F0 and F1: MOVBE without F2, CRC32 with it. */
bool exec_movbe_crc32(struct exec *x)
{
    unsigned size = x->in.opsize;
    uint32_t a;

    if (x->in.rep == 0xf2) {
        if (!cpuid_feature(x->v, 1, 0, REG_ECX, 20))
            return ud(x);
        size = width(x);
        if (!rm_get(x, size, &a))
            return false;
        x->v->gpr[modrm_reg(x)] = crc32c(x->v->gpr[modrm_reg(x)], a, size);
        return true;
    }
    if (x->in.rep || !x->in.mem || !cpuid_feature(x->v, 1, 0, REG_ECX, 22))
        return ud(x);
    if (x->in.opcode == 0xf0) {
        if (!rm_get(x, size, &a))
            return false;
        reg_put(x->v, modrm_reg(x), size, size == 4 ? __builtin_bswap32(a) : __builtin_bswap16((uint16_t)a));
        return true;
    }
    a = reg_get(x->v, modrm_reg(x), size);
    return rm_put(x, size, size == 4 ? __builtin_bswap32(a) : __builtin_bswap16((uint16_t)a));
}

/* 0F 38 F6: ADCX (66) and ADOX (F3), 32 bits always. */
bool exec_adx(struct exec *x)
{
    uint32_t flag = x->in.rep == 0xf3 ? EFLAGS_OF : EFLAGS_CF, a;
    uint64_t sum;

    if (x->in.rep == 0xf2 || (!x->in.rep && !x->in.osz_prefix) || !cpuid_feature(x->v, 7, 0, REG_EBX, 19))
        return ud(x);
    if (!rm_get(x, 4, &a))
        return false;
    sum = (uint64_t)x->v->gpr[modrm_reg(x)] + a + (x->v->eflags & flag ? 1 : 0);
    x->v->gpr[modrm_reg(x)] = (uint32_t)sum;
    flags_set(x->v, flag, sum >> 32 ? flag : 0);
    return true;
}

/* BLSR, BLSMSK, BLSI: VEX.0F38 F3 /1../3; vvvv is the destination. */
static bool exec_bls(struct exec *x, uint32_t a)
{
    unsigned op = modrm_reg(x);
    uint32_t r, cf;

    r = op == 1 ? a & (a - 1) : op == 2 ? a ^ (a - 1) : a & -a;
    cf = op == 3 ? a != 0 : a == 0;
    x->v->gpr[x->in.vvvv] = r;
    flags_set(x->v, EFLAGS_ARITH, (flags_szp(4, r) & (op == 2 ? EFLAGS_SF : EFLAGS_SF | EFLAGS_ZF)) |
              (cf ? EFLAGS_CF : 0));
    return true;
}

static uint32_t pdep(uint32_t src, uint32_t mask)
{
    uint32_t r = 0;

    for (; mask; mask &= mask - 1, src >>= 1)
        if (src & 1)
            r |= mask & -mask;
    return r;
}

static uint32_t pext(uint32_t src, uint32_t mask)
{
    uint32_t r = 0;

    for (uint32_t k = 1; mask; mask &= mask - 1, k <<= 1)
        if (src & mask & -mask)
            r |= k;
    return r;
}

static void bzhi(struct vcpu *v, unsigned dst, uint32_t a, uint32_t n)
{
    uint32_t r = n < 32 ? a & ((1u << n) - 1) : a;

    v->gpr[dst] = r;
    flags_set(v, EFLAGS_ARITH, (flags_szp(4, r) & (EFLAGS_SF | EFLAGS_ZF)) | (n > 31 ? EFLAGS_CF : 0));
}

static void bextr(struct vcpu *v, unsigned dst, uint32_t a, uint32_t control)
{
    unsigned start = control & 0xff, len = control >> 8 & 0xff;
    uint32_t r = start < 32 ? a >> start : 0;

    if (len < 32)
        r &= (1u << len) - 1;
    v->gpr[dst] = r;
    flags_set(v, EFLAGS_ARITH, r ? 0 : EFLAGS_ZF);
}

static void mulx(struct vcpu *v, unsigned high, unsigned low, uint32_t a)
{
    uint64_t p = (uint64_t)v->gpr[REG_EDX] * a;

    v->gpr[low] = (uint32_t)p;
    v->gpr[high] = (uint32_t)(p >> 32);
}

/* Is this VEX instruction one of the general-register ones? */
bool insn_is_vex_gpr(const struct insn *in)
{
    if (in->evex)
        return false;
    if (in->map == 2)
        return in->opcode == 0xf2 || in->opcode == 0xf3 || in->opcode == 0xf5 || in->opcode == 0xf6 ||
               in->opcode == 0xf7;
    return in->map == 3 && in->opcode == 0xf0;
}

static bool vex_gpr_offered(struct vcpu *v, const struct insn *in)
{
    bool bmi1 = in->map == 2 &&
                (in->opcode == 0xf2 || in->opcode == 0xf3 || (in->opcode == 0xf7 && in->pp == 0));

    return cpuid_feature(v, 7, 0, REG_EBX, bmi1 ? 3 : 8);
}

/* Which (opcode, pp) exist.  ORDER none 66 F3 F2 */
static bool vex_gpr_defined(const struct insn *in)
{
    if (in->vex_l)
        return false;
    if (in->map == 3)
        return in->pp == 3 && in->vvvv == 0;
    switch (in->opcode) {
    case 0xf2: return in->pp == 0;
    case 0xf3: return in->pp == 0 && (in->modrm >> 3 & 7) - 1u < 3;
    case 0xf5: return in->pp != 1;
    case 0xf6: return in->pp == 3;
    default: return true;
    }
}

bool exec_vex_gpr(struct exec *x)
{
    struct vcpu *v = x->v;
    unsigned dst = modrm_reg(x), pp = x->in.pp;
    uint32_t a, b, r;

    if (!vex_gpr_defined(&x->in) || !vex_gpr_offered(v, &x->in))
        return ud(x);
    if (!rm_get(x, 4, &a))
        return false;
    b = v->gpr[x->in.vvvv];
    if (x->in.map == 3) { /* RORX */
        unsigned n = x->in.imm & 31;

        v->gpr[dst] = n ? a >> n | a << (32 - n) : a;
        return true;
    }
    switch (x->in.opcode) {
    case 0xf2: /* ANDN */
        r = ~b & a;
        v->gpr[dst] = r;
        flags_set(v, EFLAGS_ARITH, flags_szp(4, r) & (EFLAGS_SF | EFLAGS_ZF));
        return true;
    case 0xf3:
        return exec_bls(x, a);
    case 0xf5:
        if (pp == 0)
            bzhi(v, dst, a, b & 0xff);
        else
            v->gpr[dst] = pp == 3 ? pdep(b, a) : pext(b, a);
        return true;
    case 0xf6:
        mulx(v, dst, x->in.vvvv, a);
        return true;
    default:
        if (pp == 0)
            bextr(v, dst, a, b);
        else /* SHLX, SARX, SHRX */
            v->gpr[dst] = pp == 1   ? a << (b & 31)
                          : pp == 2 ? (uint32_t)((int32_t)a >> (b & 31))
                                    : a >> (b & 31);
        return true;
    }
}
