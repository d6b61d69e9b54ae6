/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87, MMX, SSE and AVX instructions (SDM vol. 3A chapter 2.5, vol. 1 chapters
 * 8 to 14).
 *
 * The guest's FPU state lives in the real registers, so these instructions are
 * not modelled: we check what the guest's control registers say (#NM, #UD),
 * copy the memory operand out of guest memory, have the real CPU execute the
 * instruction on the copy (cpu/fpnative.h), and copy a result back.
 *
 * Every fault of the memory operand comes before the native execution: loads
 * read first, stores make sure that they can write.  The stores of x87 and of
 * masked EVEX instructions may leave bytes alone, so those start from what is
 * in memory.
 *
 * FXSAVE and XSAVE executed by a 64-bit monitor would also write the upper
 * eight vector registers, which 32-bit code does not have; those bytes are
 * kept as the guest had them.
 *
 * Not done: the instruction and operand pointers in x87 environments are the
 * native execution's; the real-mode layout of FSTENV and FSAVE; CR0.NE = 0 (a
 * pending x87 fault is #MF always, never IRQ 13).
 */
#include "cpu/control.h"
#include "cpu/cpuid.h"
#include "cpu/fpnative.h"
#include "cpu/interp_priv.h"
#include "base/assert.h"

static bool nm(struct exec *x) { return fault_set(x->f, VEC_NM, false, 0); }

bool fp_native(struct exec *x, const struct insn *in, const uint8_t *bytes, void *mem, unsigned len)
{
    int vec = fpnative_run(x->v, in, bytes, mem, len);

    if (likely(vec == 0))
        return true;
    ASSERT(vec != VEC_PF);
    if (vec == VEC_XM && !(x->v->cr4 & CR4_OSXMMEXCPT))
        vec = VEC_UD;
    return fault_set(x->f, (uint8_t)vec, vec == VEC_GP || vec == VEC_SS || vec == VEC_AC, 0);
}

/* Vector instructions with a general register or its size in memory, whose W selects 64 bits. */
static bool moves_gpr(const struct insn *in)
{
    unsigned op = in->opcode;

    if (in->map == 1)
        return op == 0x6e || (op == 0x7e && in->pp == 1) || op == 0x2a || op == 0x2c || op == 0x2d;
    return in->map == 3 && (op == 0x16 || op == 0x22);
}

/*
 * The bytes as the native execution shall see them: VEX and EVEX bits that 32-bit code cannot use (the
 * fourth bits of register numbers, W of general-register moves) are ignored by a CPU in 32-bit mode but not
 * in 64-bit mode.
 */
static void normalize_vex(struct exec *x)
{
    uint8_t *p = x->bytes + x->in.prefix_len;
    unsigned op = x->in.opcode;

    if (p[0] != 0xc4 && p[0] != 0x62)
        return;
    p[1] |= p[0] == 0xc4 ? 0xe0 : 0xf0;
    p[2] |= 0x40;
    if (p[0] == 0x62)
        p[3] |= 8;
    if (x->in.pp != 0 && moves_gpr(&x->in))
        p[2] &= 0x7f;
    if (x->in.map == 3 && p[0] == 0xc4 && op >= 0x4a && op <= 0x4c)
        x->bytes[x->in.len - 1] &= 0x7f;
}

/* A memory form: `prefill` for stores that need not write all of their operand. */
static bool run_memory(struct exec *x, struct fpmem m, bool prefill)
{
    uint8_t buf[128] __attribute__((aligned(64)));
    unsigned write = m.store ? GMEM_WRITE : 0;
    gla_t gla;

    if (!linear(x, x->in.seg, x->off, m.size, m.store, &gla))
        return false;
    if (gla & (m.align - 1u))
        return gp0(x);
    if (unlikely(x->care) && !access_care(x, gla, m.size, m.store))
        return false;
    if (!m.store || prefill) {
        if (!gmem_read(x->v, gla, buf, m.size, x->access | write, x->f))
            return false;
    } else if (!gmem_probe(x->v, gla, m.size, x->access | GMEM_WRITE, x->f)) {
        return false;
    }
    if (!fp_native(x, &x->in, x->bytes, buf, m.size))
        return false;
    return !m.store || gmem_write(x->v, gla, buf, m.size, x->access | GMEM_WRITE, x->f);
}

/*
 * The environment forms come in 14- and 28-byte sizes (94 and 108 with the registers) by operand size;
 * a native execution is 32- or 64-bit code whatever the guest's code segment was, so say it with its prefix.
 */
static void normalize_x87(struct exec *x)
{
    uint8_t body[16];
    unsigned n = x->in.opsize == 2, len = x->in.len - x->in.prefix_len;

    memcpy(body, x->bytes + x->in.prefix_len, len);
    x->bytes[0] = 0x66;
    memcpy(x->bytes + n, body, len);
    x->in.prefix_len = (uint8_t)n;
    x->in.len = (uint8_t)(n + len);
}

/* D8-DF. */
bool exec_x87(struct exec *x)
{
    struct fpmem m;

    if (x->v->cr0 & (CR0_EM | CR0_TS))
        return nm(x);
    if (!x->in.mem)
        return fp_native(x, &x->in, x->bytes, NULL, 0);
    m = fpmem_x87(&x->in);
    if (m.size > 10)
        normalize_x87(x);
    return m.size ? run_memory(x, m, true) : ud(x);
}

bool exec_wait(struct exec *x)
{
    if ((x->v->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
        return nm(x);
    return fp_native(x, &x->in, x->bytes, NULL, 0);
}

/* Instructions on MMX registers, which do not need CR4.OSFXSR. */
static bool insn_is_mmx(const struct insn *in)
{
    unsigned op = in->opcode;

    if (in->vex || in->pp != 0)
        return false;
    if (in->map == 1)
        return (op >= 0x60 && op <= 0x7f) || op == 0xc4 || op == 0xc5 || op >= 0xd0;
    return in->map == 2 ? op < 0xc0 : op == 0x0f;
}

static bool simd_allowed(struct exec *x)
{
    struct vcpu *v = x->v;
    uint64_t need = x->in.evex ? 0xe6 : 6;

    if (x->in.vex) {
        if (!(v->cr4 & CR4_OSXSAVE) || (v->xcr0 & need) != need)
            return ud(x);
    } else if ((v->cr0 & CR0_EM) || (!insn_is_mmx(&x->in) && !(v->cr4 & CR4_OSFXSR))) {
        return ud(x);
    }
    return !(v->cr0 & CR0_TS) || nm(x);
}

/* EVEX compresses an 8-bit displacement by the operand's size, or by the element's. */
static uint32_t evex_scale(const struct insn *in, unsigned size)
{
    if (in->map == 2 && (in->opcode & 0xfc) == 0x88)
        return in->vex_w ? 8 : 4;
    if (in->map == 2 && (in->opcode == 0x62 || in->opcode == 0x63))
        return in->vex_w ? 2 : 1;
    return size;
}

/* MOVNTSS, MOVNTSD, EXTRQ, INSERTQ: AMD's alone. */
static bool insn_is_sse4a(const struct insn *in)
{
    if (in->vex || in->map != 1)
        return false;
    return in->opcode == 0x2b ? in->mem && in->pp >= 2 : in->opcode == 0x78 || in->opcode == 0x79;
}

bool exec_simd(struct exec *x)
{
    struct insn *in = &x->in;
    struct fpmem m;

    if (unlikely(insn_is_sse4a(in)) && !cpuid_feature(x->v, 0x80000001, 0, REG_ECX, 6))
        return ud(x);
    if (!simd_allowed(x))
        return false;
    if (in->vex)
        normalize_vex(x);
    if (in->map == 1 && in->opcode == 0xf7 && !in->mem)
        return exec_maskmov(x);
    if (in->map == 1 && in->opcode == 0xae && in->vex)
        return exec_group15(x);
    if (!in->mem)
        return fp_native(x, in, x->bytes, NULL, 0);
    if (in->vex && insn_is_elementwise(in))
        return exec_elementwise(x);
    m = fpmem_simd(in);
    if (m.size == 0)
        return ud(x);
    if (in->evex && in->disp_len == 1) {
        x->off += in->disp * (evex_scale(in, m.size) - 1);
        if (in->adsize == 2)
            x->off &= 0xffff;
    }
    return run_memory(x, m, in->evex);
}

#define FX_SIZE 512u
#define FX_32BIT 288u    /* what FXSAVE writes outside 64-bit mode */
#define XSAVE_HEADER 576u
#define XSAVE_MAX 4096u
#define XSTATE_BV 512u   /* the header's first two words */
#define XCOMP_BV 520u
#define XCOMP_BV_COMPACTED BIT64(63)

/* Copy back a legacy area but for XMM8-15 and the bytes that software owns. */
static bool exec_fxsave(struct exec *x, bool restore)
{
    uint8_t buf[FX_SIZE] __attribute__((aligned(64)));
    gla_t gla;

    if (x->v->cr0 & (CR0_EM | CR0_TS))
        return nm(x);
    if (!linear(x, x->in.seg, x->off, FX_SIZE, !restore, &gla))
        return false;
    if (gla & 15)
        return gp0(x);
    if (!gmem_read(x->v, gla, buf, FX_SIZE, x->access | (restore ? GMEM_READ : GMEM_RMW), x->f))
        return false;
    if (!fp_native(x, &x->in, x->bytes, buf, FX_SIZE))
        return false;
    return restore || gmem_write(x->v, gla, buf, FX_32BIT, x->access | GMEM_WRITE, x->f);
}

/* The saved image, but for what 32-bit code does not have: XMM8-15 and YMM8-15's upper halves. */
static void xsave_merge(uint8_t *image, const uint8_t *before, uint64_t mask)
{
    memcpy(image + FX_32BIT, before + FX_32BIT, FX_SIZE - FX_32BIT);
    if (mask & 4) /* the AVX component is at the header's end in both formats */
        memcpy(image + XSAVE_HEADER + 128, before + XSAVE_HEADER + 128, 128);
}

/* The header of an image to restore, by the guest's XCR0 rather than the CPU's; the rest the CPU checks. */
static bool xrstor_header_valid(const uint8_t *image, uint64_t xcr0)
{
    return !(get64(image + XSTATE_BV) & ~xcr0) && !(get64(image + XCOMP_BV) & ~(xcr0 | XCOMP_BV_COMPACTED));
}

/* The CPU's XCR0 may name components that the guest's does not: it gets to see `mask` in EDX:EAX. */
static bool xsave_native(struct exec *x, uint64_t mask, uint8_t *image, uint32_t size)
{
    uint32_t *gpr = x->v->gpr, eax = gpr[REG_EAX], edx = gpr[REG_EDX];
    bool ok;

    gpr[REG_EAX] = (uint32_t)mask;
    gpr[REG_EDX] = (uint32_t)(mask >> 32);
    ok = fp_native(x, &x->in, x->bytes, image, size);
    gpr[REG_EAX] = eax;
    gpr[REG_EDX] = edx;
    return ok;
}

/* Apart because of its stack frame. */
static __attribute__((noinline)) bool xsave_run(struct exec *x, gla_t gla, bool restore, bool compact,
                                                uint64_t mask)
{
    uint8_t buf[XSAVE_MAX] __attribute__((aligned(64)));
    uint8_t before[XSAVE_HEADER + 256];
    uint64_t held = mask; /* the components that the area has room for */
    uint32_t size;

    if (restore) {
        if (!gmem_read(x->v, gla, buf, XSAVE_HEADER, x->access, x->f))
            return false;
        if (!xrstor_header_valid(buf, x->v->xcr0))
            return gp0(x);
        if (get64(buf + XCOMP_BV) & XCOMP_BV_COMPACTED) {
            compact = true;
            held = get64(buf + XCOMP_BV) & x->v->xcr0;
        }
    }
    size = cpuid_xsave_size(x->v, held, compact);
    if (size > XSAVE_MAX)
        return ud(x);
    memset(before, 0, sizeof(before));
    if (!gmem_read(x->v, gla, buf, size, x->access | (restore ? GMEM_READ : GMEM_RMW), x->f))
        return false;
    memcpy(before, buf, min_u64(size, sizeof(before)));
    if (!xsave_native(x, mask, buf, size))
        return false;
    if (restore)
        return true;
    xsave_merge(buf, before, mask);
    return gmem_write(x->v, gla, buf, size, x->access | GMEM_WRITE, x->f);
}

static bool exec_xsave(struct exec *x, bool restore, bool compact)
{
    struct vcpu *v = x->v;
    uint64_t mask = ((uint64_t)v->gpr[REG_EDX] << 32 | v->gpr[REG_EAX]) & v->xcr0;
    gla_t gla;

    if (!(v->cr4 & CR4_OSXSAVE) || x->in.rep || x->in.osz_prefix)
        return ud(x);
    if (v->cr0 & CR0_TS)
        return nm(x);
    if (!linear(x, x->in.seg, x->off, XSAVE_HEADER, !restore, &gla))
        return false;
    if (gla & 63)
        return gp0(x);
    return xsave_run(x, gla, restore, compact, mask);
}

/* XSAVEC; XSAVES and XRSTORS are not offered. */
bool exec_xstate_group9(struct exec *x)
{
    if (modrm_reg(x) != 4 || !cpuid_feature(x->v, 0xd, 1, REG_EAX, 1))
        return ud(x);
    return exec_xsave(x, false, true);
}

/* LDMXCSR, STMXCSR. */
static bool exec_mxcsr(struct exec *x)
{
    struct fpmem m = { 4, 1, modrm_reg(x) == 3 };

    if (x->in.pp != 0)
        return ud(x);
    if (!x->in.vex && !simd_allowed(x))
        return false;
    return run_memory(x, m, false);
}

/* CLFLUSH, CLFLUSHOPT, CLWB: caches are coherent; what is left is the access check of a load. */
static bool exec_clflush(struct exec *x)
{
    gla_t gla;

    if (x->in.rep)
        return ud(x);
    return linear(x, x->in.seg, x->off, 1, false, &gla) && gmem_probe(x->v, gla, 1, x->access, x->f);
}

/* 0F AE. */
bool exec_group15(struct exec *x)
{
    unsigned op = modrm_reg(x);

    if (x->in.vex)
        return x->in.mem && (op == 2 || op == 3) && !x->in.evex && x->in.vex_l == 0 ? exec_mxcsr(x) : ud(x);
    if (!x->in.mem) /* LFENCE, MFENCE, SFENCE */
        return (op >= 5 && x->in.pp == 0) || ud(x);
    switch (op) {
    case 0: case 1: return x->in.pp == 0 ? exec_fxsave(x, op == 1) : ud(x);
    case 2: case 3: return exec_mxcsr(x);
    case 4: return exec_xsave(x, false, false);
    case 5: return exec_xsave(x, true, false);
    case 6:
        if (x->in.osz_prefix)
            return exec_clflush(x);
        return cpuid_feature(x->v, 0xd, 1, REG_EAX, 0) ? exec_xsave(x, false, false) : ud(x);
    default: return exec_clflush(x);
    }
}
