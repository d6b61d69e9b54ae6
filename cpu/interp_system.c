/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System instructions (SDM vol. 3A chapter 2.8, vol. 2 under each name): who
 * may execute them and where their operands come from.  What they do to the
 * machine is in cpu/control.h and cpu/segment.h.
 *
 * Privileged instructions demand CPL 0, so V86 code (CPL 3) never passes.  In
 * real mode and V86 the instructions that only make sense with descriptors
 * (group 6, LAR, LSL, ARPL) are undefined.
 *
 * CLI and STI: CPL <= IOPL; V86 with IOPL < 3 and CR4.VME, and CPL 3 with
 * CR4.PVI, work on the virtual flag VIF instead.
 *
 * Not done: UMIP, INVPCID, MONITOR, VMX, SMX, SVM: #UD, as CPUID says.
 */
#include "cpu/control.h"
#include "cpu/interp_priv.h"
#include "cpu/io.h"
#include "cpu/transfer.h"

static bool cpl0(struct exec *x) { return x->v->cpl == 0 || gp0(x); }

/* reg: 0 EAX, 1 ECX, 2 EDX, 3 EBX, by their numbers as registers. */
bool cpuid_feature(struct vcpu *v, uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit)
{
    static const uint8_t place[4] = { 0, 2, 3, 1 };
    uint32_t out[4];

    cpuid_query(v, leaf, subleaf, out);
    return out[place[reg]] >> bit & 1;
}

/* FA, FB. */
bool exec_cli_sti(struct exec *x)
{
    struct vcpu *v = x->v;
    bool sti = x->in.opcode & 1;

    if (likely(!vcpu_pe(v) || (vcpu_v86(v) ? vcpu_iopl(v) == 3 : v->cpl <= vcpu_iopl(v)))) {
        if (sti && !(v->eflags & EFLAGS_IF))
            v->shadow = SHADOW_STI;
        flags_set(v, EFLAGS_IF, sti ? EFLAGS_IF : 0);
        return true;
    }
    if (!(v->cr4 & (vcpu_v86(v) ? CR4_VME : CR4_PVI)) || v->cpl != 3)
        return gp0(x);
    if (sti && (v->eflags & EFLAGS_VIP))
        return gp0(x);
    flags_set(v, EFLAGS_VIF, sti ? EFLAGS_VIF : 0);
    return true;
}

bool exec_hlt(struct exec *x)
{
    if (!cpl0(x))
        return false;
    x->v->halted = true;
    return true;
}

/* 8C: 16 bits to memory, zero-extended to a 32-bit register. */
bool exec_mov_from_sreg(struct exec *x)
{
    unsigned seg = modrm_reg(x);

    if (seg >= SEG_COUNT)
        return ud(x);
    return rm_put(x, x->in.mem ? 2 : x->in.opsize, x->v->seg[seg].sel);
}

bool exec_mov_to_sreg(struct exec *x)
{
    unsigned seg = modrm_reg(x);
    uint32_t sel;

    if (seg == SEG_CS || seg >= SEG_COUNT)
        return ud(x);
    if (!rm_get(x, 2, &sel) || !seg_load(x->v, seg, (uint16_t)sel, x->f))
        return false;
    if (seg == SEG_SS)
        x->v->shadow = SHADOW_SS;
    return true;
}

bool exec_arpl(struct exec *x)
{
    uint32_t dst, src = x->v->gpr[modrm_reg(x)] & 3;

    if (!vcpu_protected(x->v))
        return ud(x);
    if (!rm_get_rmw(x, 2, &dst))
        return false;
    if ((dst & 3) < src) {
        if (!rm_put(x, 2, (dst & ~3u) | src))
            return false;
        x->v->eflags |= EFLAGS_ZF;
        return true;
    }
    x->v->eflags &= ~EFLAGS_ZF;
    return true;
}

/* 0F 00: SLDT STR LLDT LTR VERR VERW. */
bool exec_group6(struct exec *x)
{
    struct vcpu *v = x->v;
    unsigned op = modrm_reg(x);
    uint32_t sel;
    bool zf;

    if (!vcpu_protected(v) || op > 5)
        return ud(x);
    if (op < 2)
        return rm_put(x, x->in.mem ? 2 : x->in.opsize, op ? v->tr.sel : v->ldtr.sel);
    if (op < 4 && !cpl0(x))
        return false;
    if (!rm_get(x, 2, &sel))
        return false;
    if (op < 4)
        return op == 2 ? seg_lldt(v, (uint16_t)sel, x->f) : seg_ltr(v, (uint16_t)sel, x->f);
    if (!seg_verify(v, (uint16_t)sel, op == 5, &zf, x->f))
        return false;
    flags_set(v, EFLAGS_ZF, zf ? EFLAGS_ZF : 0);
    return true;
}

/* SGDT, SIDT: the base is stored whole with either operand size, as CPUs do. */
static bool store_dtr(struct exec *x, const struct dtr *d)
{
    uint8_t buf[6];

    put16(buf, d->limit);
    put32(buf + 2, d->base);
    return mem_store(x, x->in.seg, x->off, buf, 6);
}

static bool load_dtr(struct exec *x, struct dtr *d)
{
    uint8_t buf[6];

    if (!cpl0(x) || !mem_load(x, x->in.seg, x->off, buf, 6))
        return false;
    d->limit = get16(buf);
    d->base = get32(buf + 2) & (x->in.opsize == 4 ? ~0u : 0xffffff);
    return true;
}

static bool exec_xgetbv(struct exec *x)
{
    struct vcpu *v = x->v;
    uint32_t index = v->gpr[REG_ECX];

    if (!(v->cr4 & CR4_OSXSAVE))
        return ud(x);
    if (index > 1 || (index == 1 && !cpuid_feature(v, 0xd, 1, REG_EAX, 2)))
        return gp0(x);
    v->gpr[REG_EAX] = (uint32_t)v->xcr0;
    v->gpr[REG_EDX] = (uint32_t)(v->xcr0 >> 32);
    return true;
}

static bool exec_xsetbv(struct exec *x)
{
    struct vcpu *v = x->v;

    if (!(v->cr4 & CR4_OSXSAVE))
        return ud(x);
    if (!cpl0(x))
        return false;
    return xcr_write(v, v->gpr[REG_ECX], (uint64_t)v->gpr[REG_EDX] << 32 | v->gpr[REG_EAX], x->f);
}

/* RDTSCP: F9 of the register forms.  The processor's number is 0. */
static bool exec_rdtscp(struct exec *x)
{
    if (!cpuid_feature(x->v, 0x80000001, 0, REG_EDX, 27))
        return ud(x);
    if (!exec_rdtsc(x))
        return false;
    x->v->gpr[REG_ECX] = 0;
    return true;
}

static bool exec_smsw(struct exec *x)
{
    return rm_put(x, x->in.mem ? 2 : x->in.opsize, x->v->cr0);
}

static bool exec_lmsw(struct exec *x)
{
    uint32_t msw;
    bool ok = true;

    if (!cpl0(x) || !rm_get(x, 2, &msw))
        return false;
    cr_lmsw(x->v, (uint16_t)msw, x->f, &ok);
    return ok;
}

static bool exec_invlpg(struct exec *x)
{
    if (!cpl0(x))
        return false;
    gmem_invlpg(x->v, x->v->seg[x->in.seg].base + x->off);
    return true;
}

/* 0F 01. */
bool exec_group7(struct exec *x)
{
    unsigned op = modrm_reg(x);

    if (op == 4)
        return exec_smsw(x);
    if (op == 6)
        return exec_lmsw(x);
    if (!x->in.mem) {
        switch (x->in.modrm) {
        case 0xd0: return exec_xgetbv(x);
        case 0xd1: return exec_xsetbv(x);
        case 0xf9: return exec_rdtscp(x);
        default: return ud(x);
        }
    }
    switch (op) {
    case 0: return store_dtr(x, &x->v->gdtr);
    case 1: return store_dtr(x, &x->v->idtr);
    case 2: return load_dtr(x, &x->v->gdtr);
    case 3: return load_dtr(x, &x->v->idtr);
    case 7: return exec_invlpg(x);
    default: return ud(x);
    }
}

/* 0F 02, 0F 03. */
bool exec_lar_lsl(struct exec *x)
{
    struct vcpu *v = x->v;
    uint32_t sel, out = 0;
    bool zf = false, ok;

    if (!vcpu_protected(v))
        return ud(x);
    if (!rm_get(x, 2, &sel))
        return false;
    ok = x->in.opcode == 2 ? seg_lar(v, (uint16_t)sel, &out, &zf, x->f)
                           : seg_lsl(v, (uint16_t)sel, &out, &zf, x->f);
    if (!ok)
        return false;
    if (zf)
        reg_put(v, modrm_reg(x), x->in.opsize, out);
    flags_set(v, EFLAGS_ZF, zf ? EFLAGS_ZF : 0);
    return true;
}

/* 0F 20, 0F 22. */
bool exec_mov_cr(struct exec *x)
{
    unsigned cr = modrm_reg(x);
    uint32_t value;

    if (cr == 1 || cr > 4)
        return ud(x);
    if (!cpl0(x))
        return false;
    if (x->in.opcode & 2)
        return cr_write(x->v, cr, x->v->gpr[modrm_rm(x)], x->f);
    if (!cr_read(x->v, cr, &value, x->f))
        return false;
    x->v->gpr[modrm_rm(x)] = value;
    return true;
}

#define DR6_BD BIT(13)
#define DR7_GD BIT(13)

/*
 * 0F 21, 0F 23.  With DR7.GD every access is a #DB fault, and entering its
 * handler clears GD; done here because nothing else can come in between.
 */
bool exec_mov_dr(struct exec *x)
{
    struct vcpu *v = x->v;
    unsigned dr = modrm_reg(x);
    uint32_t value;

    if ((dr == 4 || dr == 5) && (v->cr4 & CR4_DE))
        return ud(x);
    if (!cpl0(x))
        return false;
    if (v->dr[7] & DR7_GD) {
        v->dr[7] &= ~DR7_GD;
        v->dr[6] |= DR6_BD;
        return fault_set(x->f, VEC_DB, false, 0);
    }
    if (x->in.opcode & 2)
        return dr_write(v, dr, v->gpr[modrm_rm(x)], x->f);
    if (!dr_read(v, dr, &value, x->f))
        return false;
    v->gpr[modrm_rm(x)] = value;
    return true;
}

/* 0F 30 WRMSR, 0F 32 RDMSR. */
bool exec_msr(struct exec *x)
{
    struct vcpu *v = x->v;
    uint64_t value;

    if (!cpl0(x))
        return false;
    if (x->in.opcode == 0x30)
        return msr_write(v, v->gpr[REG_ECX], (uint64_t)v->gpr[REG_EDX] << 32 | v->gpr[REG_EAX], x->f);
    if (!msr_read(v, v->gpr[REG_ECX], &value, x->f))
        return false;
    v->gpr[REG_EAX] = (uint32_t)value;
    v->gpr[REG_EDX] = (uint32_t)(value >> 32);
    return true;
}

bool exec_rdtsc(struct exec *x)
{
    struct vcpu *v = x->v;
    uint64_t tsc;

    if ((v->cr4 & CR4_TSD) && v->cpl != 0)
        return gp0(x);
    tsc = io_rdtsc() + v->tsc_offset;
    v->gpr[REG_EAX] = (uint32_t)tsc;
    v->gpr[REG_EDX] = (uint32_t)(tsc >> 32);
    return true;
}

bool exec_cpuid(struct exec *x)
{
    struct vcpu *v = x->v;
    uint32_t out[4];

    cpuid_query(v, v->gpr[REG_EAX], v->gpr[REG_ECX], out);
    v->gpr[REG_EAX] = out[0];
    v->gpr[REG_EBX] = out[1];
    v->gpr[REG_ECX] = out[2];
    v->gpr[REG_EDX] = out[3];
    return true;
}

/* INVD, WBINVD: memory is always coherent. */
bool exec_priv_nop(struct exec *x) { return cpl0(x); }

bool exec_clts(struct exec *x)
{
    if (!cpl0(x))
        return false;
    cr_clts(x->v);
    return true;
}

/* 0F 34, 0F 35. */
bool exec_sysenter(struct exec *x)
{
    struct vcpu *v = x->v;
    bool ok;

    if (!cpuid_feature(v, 1, 0, REG_EDX, 11))
        return ud(x);
    if (!vcpu_pe(v))
        return gp0(x);
    if (x->in.opcode == 0x35 && !cpl0(x))
        return false;
    ok = x->in.opcode == 0x34 ? sysenter(v, x->f) : sysexit(v, x->f);
    x->next = v->eip;
    return ok;
}

/* RDRAND and RDSEED: the host's. */
static bool host_random(bool seed, uint32_t *value)
{
    bool ok;

    if (seed)
        __asm__ volatile("rdseed %0" : "=r"(*value), "=@ccc"(ok));
    else
        __asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(ok));
    return ok;
}

/* 0F C7 /6, /7 with a register. */
bool exec_group9_reg(struct exec *x)
{
    bool seed = modrm_reg(x) == 7, ok;
    uint32_t value = 0;

    if (x->in.rep || modrm_reg(x) < 6)
        return ud(x);
    if (!(seed ? cpuid_feature(x->v, 7, 0, REG_EBX, 18) : cpuid_feature(x->v, 1, 0, REG_ECX, 30)))
        return ud(x);
    ok = host_random(seed, &value);
    reg_put(x->v, modrm_rm(x), x->in.opsize, ok ? value : 0);
    flags_set(x->v, EFLAGS_ARITH, ok ? EFLAGS_CF : 0);
    return true;
}
