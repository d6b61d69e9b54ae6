// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Control and debug registers, MSRs, CPUID, XCR0, EFLAGS, reset and dump.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cpu/control.h"
#include "cpu/cpuid.h"
#include "tests/fake/i386.h"
#include "tests/fake/io.h"

static struct vcpu *v;
static struct fault f;

static void setup(void) { v = i386_new(); }
TestSuite(cpu_control, .init = setup);

#define fails(call, vector)                                                                   \
    do {                                                                                      \
        struct vcpu before_ = *v;                                                             \
        memset(&f, 0xee, sizeof f);                                                           \
        cr_assert(!(call), "%s must fault", #call);                                           \
        cr_assert_eq(f.vec, vector, "%s: vector %u", #call, f.vec);                           \
        cr_assert_eq(f.err, 0);                                                               \
        cr_assert(!memcmp(v, &before_, VCPU_STATE_SIZE), "%s changed the vCPU", #call);        \
    } while (0)

/* --- control registers --- */

Test(cpu_control, cr0)
{
    uint32_t x;
    uint32_t gen = v->mmu_mode_gen;

    fails(cr_write(v, 0, CR0_PG, &f), VEC_GP);
    fails(cr_write(v, 0, CR0_PE | CR0_NW, &f), VEC_GP);
    cr_assert(cr_write(v, 0, CR0_PE | CR0_MP | 0x1fc0, &f));
    cr_assert(cr_read(v, 0, &x, &f));
    cr_assert_eq(x, CR0_PE | CR0_MP | CR0_ET, "reserved bits are dropped, ET is fixed");
    cr_assert_eq(fake_gmem.mode_changes, 0);
    cr_assert(cr_write(v, 0, CR0_PE | CR0_PG | CR0_WP, &f));
    cr_assert_eq(fake_gmem.mode_changes, 1);
    cr_assert_eq(fake_gmem.old_cr0, CR0_PE | CR0_MP | CR0_ET);
    cr_assert_eq(fake_gmem.pdpte_loads, 0);
    cr_assert_neq(v->mmu_mode_gen, gen);
    cr_clts(v);
    v->cr0 |= CR0_TS;
    cr_clts(v);
    cr_assert_eq(v->cr0 & CR0_TS, 0);
}

Test(cpu_control, leaving_protected_mode_keeps_hidden_state)
{
    struct seg ds = v->seg[SEG_DS];

    v->hsel_dirty = 0;
    cr_assert(cr_write(v, 0, 0, &f));
    cr_assert(!memcmp(&v->seg[SEG_DS], &ds, sizeof ds));
    cr_assert_eq(v->hsel_dirty, 0x3f);
    cr_assert_eq(v->cpl, 0);
}

Test(cpu_control, lmsw)
{
    bool ok = false;

    v->cr0 = CR0_PE | CR0_ET | CR0_TS;
    cr_lmsw(v, 0, &f, &ok);
    cr_assert(ok);
    cr_assert_eq(v->cr0, CR0_PE | CR0_ET, "PE can't be cleared");
    cr_lmsw(v, 0xffff, &f, &ok);
    cr_assert_eq(v->cr0, CR0_PE | CR0_ET | CR0_MP | CR0_EM | CR0_TS);
}

Test(cpu_control, pae_pointers)
{
    cr_assert(cr_write(v, 4, CR4_PAE, &f));
    cr_assert_eq(fake_gmem.pdpte_loads, 0, "no paging yet");
    cr_assert(cr_write(v, 3, 0x1000, &f));
    cr_assert_eq(fake_gmem.pdpte_loads, 0);
    fake_gmem.pdptes_bad = true;
    fails(cr_write(v, 0, CR0_PE | CR0_PG, &f), VEC_GP);
    fake_gmem.pdptes_bad = false;
    cr_assert(cr_write(v, 0, CR0_PE | CR0_PG, &f));
    cr_assert_eq(v->pdpte[3], 0x1003);
    fake_gmem.pdptes_bad = true;
    fails(cr_write(v, 3, 0x2000, &f), VEC_GP);
    cr_assert_eq(fake_gmem.cr3_loads, 1);
    fails(cr_write(v, 4, CR4_PAE | CR4_PGE, &f), VEC_GP);
    cr_assert(cr_write(v, 4, CR4_PAE | CR4_TSD, &f), "TSD has nothing to do with paging");
    fake_gmem.pdptes_bad = false;
    cr_assert(cr_write(v, 3, 0x2000, &f));
    cr_assert_eq(v->pdpte[0], 0x2000);
    cr_assert_eq(fake_gmem.cr3_loads, 2);
}

Test(cpu_control, cr4_and_the_rest)
{
    uint32_t x;

    for (unsigned bit = 0; bit < 32; bit++) {
        const uint32_t mask = CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCE | CR4_OSFXSR |
                              CR4_OSXMMEXCPT;
        bool allowed = mask >> bit & 1;

        v->cr4 = 0;
        memset(&f, 0, sizeof f);
        cr_assert_eq(cr_write(v, 4, BIT(bit), &f), allowed, "CR4 bit %u", bit);
        cr_assert(allowed || f.vec == VEC_GP);
    }
    cr_assert(cr_write(v, 2, 0x1234, &f));
    cr_assert(cr_read(v, 2, &x, &f) && x == 0x1234);
    fails(cr_write(v, 1, 0, &f), VEC_UD);
    fails(cr_read(v, 5, &x, &f), VEC_UD);
    fails(cr_write(v, 8, 0, &f), VEC_UD);
}

Test(cpu_control, debug_registers)
{
    uint32_t x;

    cr_assert(dr_write(v, 7, 0xffffffff, &f));
    cr_assert_eq(v->dr[7], 0xffff27ff);
    cr_assert(dr_write(v, 5, 0, &f));
    cr_assert_eq(v->dr[7], 0x400, "DR5 is DR7");
    cr_assert(dr_write(v, 4, 0, &f));
    cr_assert(dr_read(v, 6, &x, &f));
    cr_assert_eq(x, 0xffff0ff0);
    cr_assert(dr_write(v, 6, 0xffffffff, &f));
    cr_assert_eq(v->dr[6], 0xffffefff);
    v->cr4 = CR4_DE;
    fails(dr_write(v, 4, 0, &f), VEC_UD);
    fails(dr_read(v, 5, &x, &f), VEC_UD);
    cr_assert(dr_write(v, 3, 0xabcdef01, &f) && dr_read(v, 3, &x, &f) && x == 0xabcdef01);
}

/* --- EFLAGS --- */

Test(cpu_control, eflags_by_popf)
{
    static const struct {
        uint8_t cpl, iopl;
        uint32_t kept;
    } cases[] = {
        {0, 0, EFLAGS_VM | EFLAGS_RF | EFLAGS_VIF | EFLAGS_VIP},
        {3, 0, EFLAGS_VM | EFLAGS_RF | EFLAGS_VIF | EFLAGS_VIP | EFLAGS_IF | EFLAGS_IOPL},
        {3, 3, EFLAGS_VM | EFLAGS_RF | EFLAGS_VIF | EFLAGS_VIP | EFLAGS_IOPL},
        {1, 0, EFLAGS_VM | EFLAGS_RF | EFLAGS_VIF | EFLAGS_VIP | EFLAGS_IF | EFLAGS_IOPL},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint32_t old = EFLAGS_FIXED | (uint32_t)cases[i].iopl << 12;

        v->cpl = cases[i].cpl;
        v->eflags = old;
        eflags_write(v, 0xffffffff, 4, false);
        cr_assert_eq(v->eflags, (0x003f7fd7 & ~cases[i].kept) | (old & cases[i].kept), "case %u: %#x", i,
                     v->eflags);
    }
    v->cpl = 0;
    v->eflags = EFLAGS_FIXED | EFLAGS_RF | EFLAGS_AC;
    eflags_write(v, 0, 2, false);
    cr_assert_eq(v->eflags, EFLAGS_FIXED | EFLAGS_AC, "16 bits keep the upper half, POPF clears RF");
    eflags_write(v, 0xffffffff, 4, true);
    cr_assert_eq(v->eflags, 0x003f7fd7 & ~EFLAGS_VM, "IRET sets RF, VIF and VIP");
}

/* --- MSRs --- */

Test(cpu_control, msrs)
{
    uint64_t x;

    fake_io.tsc = 1000;
    cr_assert(msr_read(v, MSR_TSC, &x, &f) && x == 1000);
    cr_assert(msr_write(v, MSR_TSC, 5000, &f));
    cr_assert_eq(v->tsc_offset, 4000);
    cr_assert(msr_read(v, 0x3b, &x, &f) && x == 4000);
    cr_assert(msr_write(v, 0x3b, 0, &f));
    cr_assert(msr_read(v, MSR_TSC, &x, &f) && x == 1000);
    cr_assert(msr_write(v, MSR_EFER, EFER_NXE, &f));
    cr_assert_eq(fake_gmem.mode_changes, 1);
    fails(msr_write(v, MSR_EFER, EFER_SCE, &f), VEC_GP);
    fails(msr_write(v, MSR_PAT, 2, &f), VEC_GP);
    cr_assert(msr_write(v, MSR_PAT, 0x0007010600070106ull, &f));
    cr_assert(msr_read(v, MSR_PAT, &x, &f) && x == 0x0007010600070106ull);
    cr_assert(msr_write(v, MSR_APIC_BASE, 0xfee00900, &f));
    cr_assert(msr_read(v, MSR_APIC_BASE, &x, &f) && x == 0xfee00100);
    cr_assert(msr_write(v, 0x8b, 0, &f) && msr_read(v, 0x8b, &x, &f) && x >> 32);
    cr_assert(msr_read(v, 0x17, &x, &f));
    fails(msr_read(v, MSR_SYSENTER_CS, &x, &f), VEC_GP);
    fails(msr_write(v, MSR_SYSENTER_EIP, 0, &f), VEC_GP);
    fails(msr_read(v, 0x48, &x, &f), VEC_GP);
    fails(msr_write(v, 0x48, 0, &f), VEC_GP);
    fails(msr_read(v, 0x179, &x, &f), VEC_GP);
    fails(msr_read(v, 0xfe, &x, &f), VEC_GP);
    fails(msr_write(v, 0xdeadbeef, 0, &f), VEC_GP);
    v->vm->cross->config.host_has_nx = 0;
    fails(msr_read(v, MSR_EFER, &x, &f), VEC_GP);
}

/* --- CPUID --- */

Test(cpu_control, cpuid_btvmm32)
{
    uint32_t o[4];
    char text[49] = "";

    cpuid_query(v, 0, 0, o);
    cr_assert_eq(o[0], 0x15);
    cr_assert(!memcmp(o + 1, "Genu", 4) && !memcmp(o + 3, "ineI", 4) && !memcmp(o + 2, "ntel", 4));
    cpuid_query(v, 1, 0, o);
    cr_assert_eq(o[0], 0x106ca);
    cr_assert_eq(o[2], BIT(31), "hypervisor and nothing else");
    cr_assert_eq(o[3], 0x0f89a17d, "%#x", o[3]);
    cpuid_query(v, 0x15, 0, o);
    cr_assert_eq((uint64_t)o[2] * o[1] / o[0], 2500000000u);
    v->vm->cross->config.tsc_hz = 5000000002;
    cpuid_query(v, 0x15, 0, o);
    cr_assert_eq((uint64_t)o[2] * o[1] / o[0], 5000000002u);
    v->vm->cross->config.tsc_hz = 0;
    cpuid_query(v, 0x15, 0, o);
    cr_assert_eq(o[0] | o[1] | o[2], 0);
    cpuid_query(v, 0x80000001, 0, o);
    cr_assert_eq(o[3], BIT(20));
    v->vm->cross->config.host_has_nx = 0;
    cpuid_query(v, 0x80000001, 0, o);
    cr_assert_eq(o[3], 0);
    cpuid_query(v, 0x80000007, 0, o);
    cr_assert_eq(o[3], BIT(8));
    for (unsigned i = 0; i < 3; i++) {
        cpuid_query(v, 0x80000002 + i, 0, o);
        memcpy(text + 16 * i, o, 16);
    }
    cr_assert_str_eq(text, "btvmm virtual CPU, 32 bits");
    cpuid_query(v, 0x40000000, 0, o);
    cr_assert(o[0] == 0x40000000 && !memcmp(o + 1, "btvmm\0\0\0\0\0\0\0", 12));
    cpuid_query(v, 0xd, 0, o);
    cr_assert_eq(o[0] | o[1] | o[2] | o[3], 0);
    cpuid_query(v, 0x12345, 0, o);
    cr_assert_eq(o[0] | o[1] | o[2] | o[3], 0);
}

/* A host with every feature there is. */
static void everything(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0xff, 16);
    if (leaf == 0)
        out[0] = 0x20;
    if (leaf == 0xd && subleaf > 1) {
        out[0] = 256;
        out[1] = 576 + 256 * (subleaf - 2);
    }
}

Test(cpu_control, cpuid_host_hides)
{
    uint32_t o[4];

    fake_io.cpuid = everything;
    v->cpuid = cpuid_model_find("host");
    cr_assert_str_eq(cpuid_model_name(v->cpuid), "host");
    cpuid_query(v, 1, 0, o);
    cr_assert_eq(o[2] & (BIT(3) | BIT(5) | BIT(6) | BIT(17) | BIT(21) | BIT(24) | BIT(27)), 0,
                 "MONITOR VMX SMX PCID x2APIC deadline OSXSAVE");
    cr_assert(o[2] & BIT(28), "AVX");
    cr_assert_eq(o[3] & (BIT(1) | BIT(7) | BIT(9) | BIT(11) | BIT(12) | BIT(14) | BIT(22)), 0,
                 "VME MCE APIC SEP MTRR MCA ACPI");
    cpuid_query(v, 7, 0, o);
    cr_assert_eq(o[1] & (BIT(0) | BIT(4) | BIT(7) | BIT(11) | BIT(20)), 0, "FSGSBASE HLE SMEP RTM SMAP");
    cr_assert_eq(o[2] & (BIT(2) | BIT(3) | BIT(7) | BIT(22)), 0, "UMIP PKU CET RDPID");
    cr_assert_eq(o[3] & (BIT(20) | BIT(24) | BIT(27) | BIT(31)), 0, "CET AMX STIBP SSBD");
    cpuid_query(v, 0x80000001, 0, o);
    cr_assert_eq(o[3] & (BIT(11) | BIT(27) | BIT(29)), 0, "SYSCALL RDTSCP LM");
    cr_assert_eq(o[2] & (BIT(7) | BIT(11) | BIT(16) | BIT(21)), 0, "MISALIGNSSE XOP FMA4 TBM");
    cr_assert_eq(o[3] & (BIT(30) | BIT(31)), 0, "3DNow!");
    v->xcr0 = 3;
    cpuid_query(v, 0xd, 0, o);
    cr_assert_eq(o[0], 0xe7);
    cr_assert_eq(o[1], 576);
    cr_assert_eq(o[2], 576 + 256 * 6);
    cpuid_query(v, 0xd, 2, o);
    cr_assert_eq(o[1], 576);
    cpuid_query(v, 0xd, 9, o);
    cr_assert_eq(o[0] | o[1] | o[2], 0, "PKRU is not offered");
    cpuid_query(v, 0xd, 3, o);
    cr_assert_eq(o[0] | o[1] | o[2], 0, "MPX is not offered");
    cpuid_query(v, 0xd, 1, o);
    cr_assert_eq(o[0], BIT(1) | BIT(2), "XSAVEC and XGETBV 1; no XSAVEOPT, XSAVES, XFD");
    cr_assert_eq(o[2] | o[3], 0, "no supervisor components");
}

/* A host like a server of 2019: gaps in the standard format where MPX was, PKRU behind, opmask aligned. */
static void server(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    static const struct { uint32_t size, offset, flags; } parts[] = {
        {0}, {0}, {256, 576, 0}, {64, 960, 0}, {64, 1024, 0}, {64, 1088, 2}, {512, 1152, 0}, {1024, 1664, 0}, {0},
        {8, 2688, 0},
    };

    memset(out, 0, 16);
    if (leaf == 0 || leaf == 0x80000000)
        out[0] = leaf | 0x20;
    else if (leaf == 1)
        out[2] = BIT(26) | BIT(27) | BIT(28);
    else if (leaf == 0xd && subleaf == 0)
        out[0] = 0x2ff, out[1] = out[2] = 2696;
    else if (leaf == 0xd && subleaf == 1)
        out[0] = 15, out[1] = 2568;
    else if (leaf == 0xd && subleaf < ARRAY_SIZE(parts))
        out[0] = parts[subleaf].size, out[1] = parts[subleaf].offset, out[2] = parts[subleaf].flags;
}

Test(cpu_control, xsave_sizes)
{
    static const struct { uint64_t xcr0; uint32_t standard, compacted; } rows[] = {
        {1, 576, 576}, {3, 576, 576}, {7, 832, 832}, {0xe7, 2688, 2432},
    };
    uint32_t o[4];

    fake_io.cpuid = server;
    v->cpuid = cpuid_model_find("host");
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        v->xcr0 = rows[i].xcr0;
        cpuid_query(v, 0xd, 0, o);
        cr_expect_eq(o[0], 0xe7);
        cr_expect_eq(o[1], rows[i].standard, "XCR0 %#x: %u", (unsigned)v->xcr0, o[1]);
        cr_expect_eq(o[2], 2688);
        cpuid_query(v, 0xd, 1, o);
        cr_expect_eq(o[1], rows[i].compacted, "XCR0 %#x: %u", (unsigned)v->xcr0, o[1]);
    }
    cr_expect_eq(cpuid_xsave_size(v, 0x24, true), 576 + 256 + 64);
    cr_expect_eq(cpuid_xsave_size(v, 0x24, false), 1088 + 64);
    v->xstate.size[2] = 250; /* the next one is aligned */
    cr_expect_eq(cpuid_xsave_size(v, 0x24, true), 832 + 64);
    cr_expect_eq(cpuid_xsave_size(v, 0x44, true), 826 + 512);
    v->cpl = 3;
    cpuid_query(v, 0xd, 0, o);
    cr_expect(o[1] == 2696 && o[2] == 2696, "what XSAVE stores on the real CPU");
}

Test(cpu_control, host_has_no_flaws)
{
    uint32_t o[4];
    uint64_t x;

    fake_io.cpuid = server;
    v->cpuid = cpuid_model_find("host");
    cpuid_query(v, 7, 0, o);
    cr_assert_eq(o[3], BIT(26) | BIT(29), "IBRS and IBPB, ARCH_CAPABILITIES");
    cr_assert(msr_read(v, 0x10a, &x, &f));
    cr_assert_eq(x, 0x400000000d10e17bull, "%#lx", x);
    fails(msr_write(v, 0x10a, x, &f), VEC_GP);
    cr_assert(msr_write(v, 0x48, 3, &f), "STIBP is ignored");
    cr_assert(msr_read(v, 0x48, &x, &f) && x == 1);
    fails(msr_write(v, 0x48, 4, &f), VEC_GP);
    cr_assert(msr_write(v, 0x49, 1, &f));
    fails(msr_write(v, 0x49, 2, &f), VEC_GP);
    fails(msr_read(v, 0x49, &x, &f), VEC_GP);
    fails(msr_write(v, 0x10b, 1, &f), VEC_GP);
    cpuid_query(v, 0x80000000, 0, o);
    cr_assert_eq(o[0], 0x80000008);
    v->cpuid = cpuid_model_find("btvmm32");
    cpuid_query(v, 7, 0, o);
    cr_assert_eq(o[3], 0);
    fails(msr_read(v, 0x10a, &x, &f), VEC_GP);
    fails(msr_write(v, 0x49, 1, &f), VEC_GP);
}

static void amd(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    server(leaf, subleaf, out);
    if (leaf == 0 || leaf == 0x80000000)
        memcpy(out + 1, "AuthcAMDenti", 12);
}

Test(cpu_control, amd_host)
{
    uint32_t o[4];
    uint64_t x;

    fake_io.cpuid = amd;
    v->cpuid = cpuid_model_find("host");
    cpuid_query(v, 0x80000000, 0, o);
    cr_assert_eq(o[0], 0x80000021);
    cr_assert(!memcmp(o + 1, "Auth", 4));
    cpuid_query(v, 0x80000008, 0, o);
    cr_assert_eq(o[1], BIT(29), "BTC_NO");
    cpuid_query(v, 0x80000021, 0, o);
    cr_assert_eq(o[0], BIT(29), "SRSO_NO");
    cr_assert_eq(o[2], BIT(1) | BIT(2), "TSA_NO");
    cr_assert(msr_read(v, 0xc0010015, &x, &f) && x == BIT(24), "the TSC's rate is constant");
    cr_assert(msr_write(v, 0xc001001f, ~0ull, &f) && msr_read(v, 0xc001001f, &x, &f) && x == 0);
    cr_assert(msr_write(v, 0xc0010055, ~0ull, &f) && msr_read(v, 0xc0010055, &x, &f) && x == 0);
    v->cpuid = cpuid_model_find("btvmm32");
    cpuid_query(v, 0x80000021, 0, o);
    cr_assert_eq(o[0] | o[1] | o[2] | o[3], 0);
    fails(msr_read(v, 0xc0010015, &x, &f), VEC_GP);
    fails(msr_write(v, 0xc001001f, 0, &f), VEC_GP);
    fails(msr_read(v, 0xc0010055, &x, &f), VEC_GP);
    fails(msr_write(v, 0xc0010055, 0, &f), VEC_GP);
}

Test(cpu_control, xcr0)
{
    uint32_t o[4];

    fails(cr_write(v, 4, CR4_OSXSAVE, &f), VEC_GP); /* btvmm32 has no XSAVE */
    fails(xcr_write(v, 0, 1, &f), VEC_UD);
    fake_io.cpuid = everything;
    v->cpuid = cpuid_model_find("host");
    cr_assert(cr_write(v, 4, CR4_OSXSAVE, &f));
    cpuid_query(v, 1, 0, o);
    cr_assert(o[2] & BIT(27), "CPUID shows OSXSAVE");
    fails(xcr_write(v, 1, 1, &f), VEC_GP);
    fails(xcr_write(v, 0, 0, &f), VEC_GP);
    fails(xcr_write(v, 0, 5, &f), VEC_GP);
    fails(xcr_write(v, 0, 0x27, &f), VEC_GP);
    fails(xcr_write(v, 0, 0xe3, &f), VEC_GP);
    fails(xcr_write(v, 0, 0x207, &f), VEC_GP);
    cr_assert(xcr_write(v, 0, 7, &f) && v->xcr0 == 7);
    cr_assert(xcr_write(v, 0, 0xe7, &f));
}

/* --- reset and dump --- */

Test(cpu_control, reset)
{
    struct vm *vm = v->vm;

    v->gpr[0] = 1;
    vcpu_reset(v);
    cr_assert_eq(v->vm, vm);
    cr_assert_eq(v->eip, 0xfff0);
    cr_assert_eq(v->seg[SEG_CS].sel, 0xf000);
    cr_assert_eq(v->seg[SEG_CS].base, 0xffff0000);
    cr_assert_eq(v->cr0, 0x60000010);
    cr_assert_eq(v->eflags, 2);
    cr_assert_eq(v->gpr[REG_EAX], 0);
    cr_assert_eq(v->gpr[REG_EDX], 0x106ca);
    cr_assert_eq(v->idtr.limit, 0xffff);
    cr_assert_eq(v->dr[6], 0xffff0ff0);
    cr_assert_eq(v->pat, 0x0007040600070406ull);
    cr_assert_eq(v->hsel_dirty, 0x3f);
    cr_assert_eq(v->tsc_offset, 0, "RDTSC in direct execution shows the host's");
}

Test(cpu_control, dump)
{
    char text[4096], small[40];
    int n;

    v->gpr[REG_ESI] = 0xcafe1234;
    v->cr2 = 0xbadc0de;
    n = vcpu_dump(v, text, sizeof text);
    cr_assert_eq((size_t)n, strlen(text));
    cr_assert(strstr(text, "esi=cafe1234") && strstr(text, "cr2=0badc0de") && strstr(text, "cs=0008"));
    cr_assert(strstr(text, "protected, 32 bits"));
    memset(small, 'x', sizeof small);
    cr_assert_eq(vcpu_dump(v, small, 20), n, "the length is that of the whole text");
    cr_assert_eq(strlen(small), 19);
    cr_assert_eq(small[20], 'x');
}
