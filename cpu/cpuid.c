/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUID (SDM vol. 2 CPUID): what the virtual processor says of itself.
 *
 * Two models.  "btvmm32" is a fixed machine: an in-order family 6 model 28
 * with SSE2.  That signature is chosen for what kernels conclude from it:
 * it has no speculative execution, so they leave out page table isolation and
 * retpolines, which cost a binary translator dearly; its TSC runs at a constant
 * rate.  "host" shows the host's vendor, family and those of its features that a
 * 32-bit guest can use; every word passes a mask, so a feature that nobody has
 * thought of is hidden.
 *
 * Leaf 15h gives the TSC's rate as crystal * EBX / EAX.  The ratio is made of
 * the smallest power of two that brings the "crystal" below 2^32 Hz, so the
 * product is exact but for rounding by that power.  With an invariant TSC
 * (80000007h) and TSC_ADJUST, guests use it as their clock without calibration
 * or watchdog.
 *
 * A basic leaf beyond the highest gives zeros.
 *
 * Flaws of the processor: guarding against them is the work of the host's kernel, for the guest is a process
 * to it, so the host model tells the guest that there are none (IA32_ARCH_CAPABILITIES and AMD's "not
 * affected" bits, both read by guests of either vendor's host) and that IBRS once set needs no further care.
 * Without this a guest on an old family would isolate its page tables and avoid indirect branches: five times
 * the run time for no safety.
 *
 * XSAVE: the layout of the components is the host's (standard format offsets differ between vendors). XSAVEOPT
 * is hidden: its tracking goes by linear address and CPL, which mean different things to the
 * guest and to the CPU.  XSAVES is supervisor state.  To CPL 3, leaf Dh gives the size that
 * the host's own XCR0 asks for: user code run directly stores that much if its mask names everything.
 */
#include "cpu/cpuid.h"
#include "cpu/gmem.h"
#include "cpu/io.h"
#include "world/cross.h"

enum { EAX, EBX, ECX, EDX };

#define LEAF_BASIC_MAX 0x15u
#define LEAF_EXT_MAX 0x80000008u
#define LEAF_EXT_MAX_AMD 0x80000021u
#define LEAF_HYPERVISOR 0x40000000u

/* --- feature words --- */

/* Leaf 1 EDX: FPU DE PSE TSC MSR PAE CX8 PGE CMOV PAT CLFSH MMX FXSR SSE SSE2 SS. */
#define LEAF1_EDX (BIT(0) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(13) | BIT(15) | \
                   BIT(16) | BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26) | BIT(27))
#define LEAF1_ECX_HYPERVISOR BIT(31)
#define LEAF1_ECX_XSAVE BIT(26)
#define LEAF1_ECX_OSXSAVE BIT(27)
/* SSE3 PCLMULQDQ SSSE3 FMA SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND. */
#define LEAF1_ECX_HOST (BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | \
                        BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30))

#define LEAF7_EBX_TSC_ADJUST BIT(1)
/* BMI1 AVX2 FDP_EXCPTN_ONLY BMI2 ERMS no-FCS/FDS AVX512F DQ RDSEED ADX IFMA CLFLUSHOPT CLWB, AVX-512's PF ER
 * CD, SHA BW VL. */
#define LEAF7_EBX_HOST (BIT(3) | BIT(5) | BIT(6) | BIT(8) | BIT(9) | BIT(13) | BIT(16) | BIT(17) | BIT(18) | \
                        BIT(19) | BIT(21) | BIT(23) | BIT(24) | BIT(26) | BIT(27) | BIT(28) | BIT(29) | \
                        BIT(30) | BIT(31))
/* PREFETCHWT1 VBMI VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ. */
#define LEAF7_ECX_HOST (BIT(0) | BIT(1) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14))
/* 4VNNIW 4FMAPS FSRM VP2INTERSECT AVX512_FP16. */
#define LEAF7_EDX_HOST (BIT(2) | BIT(3) | BIT(4) | BIT(8) | BIT(23))
/* Offered with the host model: IBRS and IBPB, IA32_ARCH_CAPABILITIES. */
#define LEAF7_EDX_GUARDS (BIT(26) | BIT(29))
/* Subleaf 1 EAX: AVX_VNNI AVX512_BF16 and the fast short string operations. */
#define LEAF7_1_EAX_HOST (BIT(4) | BIT(5) | BIT(10) | BIT(11) | BIT(12))
/* Leaf D.1 EAX: XSAVEC XGETBV-with-ECX-1. */
#define LEAFD_1_EAX_XSAVEC BIT(1)
#define LEAFD_1_EAX_HOST (LEAFD_1_EAX_XSAVEC | BIT(2))
#define XSAVE_LEGACY_AND_HEADER 576u
/* x87 SSE AVX and the three of AVX-512. */
#define XCR0_HOST 0xe7u

#define EXT1_EDX_NX BIT(20)
/* ABM SSE4A 3DNOWPREFETCH.  Not MISALIGNSSE, XOP, FMA4 and TBM: the interpreter doesn't know them. */
#define EXT1_ECX_HOST (BIT(5) | BIT(6) | BIT(8))
/* MMXEXT, and (AMD) the copies of leaf 1.  Not 3DNow!. */
#define EXT1_EDX_HOST BIT(22)
#define EXT1_EDX_COPIES (LEAF1_EDX & 0x0183f3ffu & ~(BIT(19) | BIT(20)))
#define EXT7_EDX_INVARIANT_TSC BIT(8)
/* What AMD's processors have no need to guard against. */
#define EXT8_EBX_BTC_NO BIT(29)
#define EXT21_EAX_SRSO_NO BIT(29)
#define EXT21_ECX_TSA_NO (BIT(1) | BIT(2))

#define CR4_COMMON (CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT)

/* --- models --- */

static const struct cpuid_model models[] = {
    {.name = "btvmm32", .signature = 0x000106ca, .cr4 = CR4_COMMON},
    {.name = "host", .host = true, .cr4 = CR4_COMMON},
};

static bool name_equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

const struct cpuid_model *cpuid_model_find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
        if (name_equal(models[i].name, name))
            return &models[i];
    return NULL;
}

const char *cpuid_model_name(const struct cpuid_model *m)
{
    return m->name;
}

bool cpuid_has_nx(const struct vcpu *v)
{
    return v->vm->config && v->vm->config->host_has_nx;
}

bool cpuid_has_edx(const struct vcpu *v, unsigned bit)
{
    (void)v; /* the same in every model */
    return LEAF1_EDX >> bit & 1;
}

bool cpuid_has_guards(const struct vcpu *v)
{
    return v->cpuid->host;
}

/* The host's leaf, zeros when it is beyond the host's highest. */
static void host_leaf(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    uint32_t max[4];

    io_host_cpuid(leaf & 0x80000000, 0, max);
    if (leaf <= max[EAX])
        io_host_cpuid(leaf, subleaf, out);
}

bool cpuid_is_amd(const struct cpuid_model *m)
{
    uint32_t out[4] = {0, 0, 0, 0};

    if (m->host)
        io_host_cpuid(0, 0, out);
    return out[EBX] == 0x68747541 || out[EBX] == 0x6f677948; /* "Auth", "Hygo" */
}

/* --- leaves common to both --- */

static void leaf_text(uint32_t *out, const char *text, unsigned words)
{
    memcpy(out, text, 4 * words);
}

static void leaf_vendor(const struct cpuid_model *m, uint32_t out[4])
{
    if (m->host) {
        io_host_cpuid(0, 0, out);
    } else {
        leaf_text(out + EBX, "Genu", 1);
        leaf_text(out + EDX, "ineI", 1);
        leaf_text(out + ECX, "ntel", 1);
    }
    out[EAX] = LEAF_BASIC_MAX;
}

static void leaf_features(struct vcpu *v, const struct cpuid_model *m, uint32_t out[4])
{
    uint32_t host[4] = {0, 0, 0, 0};

    if (m->host)
        host_leaf(1, 0, host);
    out[EAX] = m->signature ? m->signature : host[EAX];
    out[EBX] = 1u << 16 | 8u << 8; /* one logical processor, 64-byte CLFLUSH lines, APIC ID 0 */
    out[ECX] = (m->host ? host[ECX] & LEAF1_ECX_HOST : 0) | LEAF1_ECX_HYPERVISOR;
    if ((out[ECX] & LEAF1_ECX_XSAVE) && (v->cr4 & CR4_OSXSAVE))
        out[ECX] |= LEAF1_ECX_OSXSAVE;
    out[EDX] = LEAF1_EDX;
}

static void leaf_extended7(const struct cpuid_model *m, uint32_t subleaf, uint32_t out[4])
{
    uint32_t host[4] = {0, 0, 0, 0};

    if (m->host)
        host_leaf(7, subleaf, host);
    if (subleaf == 0) {
        out[EAX] = host[EAX] != 0;
        out[EBX] = (host[EBX] & LEAF7_EBX_HOST) | LEAF7_EBX_TSC_ADJUST;
        out[ECX] = host[ECX] & LEAF7_ECX_HOST;
        out[EDX] = (host[EDX] & LEAF7_EDX_HOST) | (m->host ? LEAF7_EDX_GUARDS : 0);
    } else if (subleaf == 1) {
        out[EAX] = host[EAX] & LEAF7_1_EAX_HOST;
    }
}

static void leaf_tsc(const struct vcpu *v, uint32_t out[4])
{
    uint64_t hz = v->vm->config ? v->vm->config->tsc_hz : 0;
    uint32_t ratio = 1;

    if (!hz)
        return;
    while (hz / ratio > 0xffffffffu)
        ratio *= 2;
    out[EAX] = 1;
    out[EBX] = ratio;
    out[ECX] = (uint32_t)(hz / ratio);
}

/* --- caches --- */

/* Leaf 4 EAX: type (1 data, 2 instruction, 3 unified), level, self-initializing. */
#define CACHE_EAX(type, level) ((type) | (level) << 5 | 1u << 8)
#define CACHE_EBX(ways, line) (((ways) - 1) << 22 | ((line) - 1))

static const uint32_t cache_leaves[][3] = {
    {CACHE_EAX(1u, 1u), CACHE_EBX(8u, 64u), 63},   /* 32 KiB */
    {CACHE_EAX(2u, 1u), CACHE_EBX(8u, 64u), 63},   /* 32 KiB */
    {CACHE_EAX(3u, 2u), CACHE_EBX(8u, 64u), 1023}, /* 512 KiB */
};

static void leaf_caches(const struct cpuid_model *m, uint32_t subleaf, uint32_t out[4])
{
    if (m->host) {
        host_leaf(4, subleaf, out);
        out[EAX] &= 0x3fff; /* not shared, one core */
    } else if (subleaf < ARRAY_SIZE(cache_leaves)) {
        memcpy(out, cache_leaves[subleaf], sizeof(cache_leaves[subleaf]));
    }
}

/* --- XSAVE --- */

uint64_t cpuid_xcr0_mask(struct vcpu *v)
{
    uint32_t out[4] = {0, 0, 0, 0};

    if (!v->cpuid->host)
        return 0;
    host_leaf(1, 0, out);
    if (!(out[ECX] & LEAF1_ECX_XSAVE) || !(out[ECX] & LEAF1_ECX_OSXSAVE))
        return 0;
    host_leaf(0xd, 0, out);
    return out[EAX] & XCR0_HOST;
}

static const struct xstate *xstate(struct vcpu *v)
{
    struct xstate *xs = &v->xstate;
    uint32_t out[4];

    if (xs->known)
        return xs;
    for (unsigned i = 2; i < XSTATE_COUNT; i++) {
        if (!(XCR0_HOST >> i & 1))
            continue;
        memset(out, 0, sizeof out);
        host_leaf(0xd, i, out);
        xs->size[i] = (uint16_t)out[EAX];
        xs->offset[i] = (uint16_t)out[EBX];
        if (out[ECX] & 2)
            xs->aligned |= (uint8_t)BIT(i);
    }
    xs->known = true;
    return xs;
}

/* Standard format: as far as the last component reaches; compacted: one behind the other (SDM vol. 1 13.4). */
uint32_t cpuid_xsave_size(struct vcpu *v, uint64_t mask, bool compacted)
{
    const struct xstate *xs = xstate(v);
    uint32_t size = XSAVE_LEGACY_AND_HEADER;

    for (unsigned i = 2; i < XSTATE_COUNT; i++) {
        if (!(mask >> i & 1))
            continue;
        if (compacted)
            size = (xs->aligned >> i & 1 ? (uint32_t)align_up(size, 64) : size) + xs->size[i];
        else if (xs->offset[i] + xs->size[i] > size)
            size = xs->offset[i] + xs->size[i];
    }
    return size;
}

/* Subleaf 0: the components, and the size of an area now and at most. */
static void leaf_xsave_sizes(struct vcpu *v, uint64_t mask, uint32_t out[4])
{
    uint32_t host[4] = {0, 0, 0, 0};

    out[EAX] = (uint32_t)mask;
    out[EBX] = cpuid_xsave_size(v, v->xcr0, false);
    out[ECX] = cpuid_xsave_size(v, mask, false);
    if (v->cpl != 3)
        return;
    host_leaf(0xd, 0, host);
    if (host[EBX] > out[EBX])
        out[EBX] = host[EBX];
    if (out[EBX] > out[ECX])
        out[ECX] = out[EBX];
}

static void leaf_xsave(struct vcpu *v, uint32_t subleaf, uint32_t out[4])
{
    uint64_t mask = cpuid_xcr0_mask(v);
    const struct xstate *xs;

    if (!mask)
        return;
    if (subleaf == 0) {
        leaf_xsave_sizes(v, mask, out);
    } else if (subleaf == 1) {
        host_leaf(0xd, 1, out);
        out[EAX] &= LEAFD_1_EAX_HOST;
        out[EBX] = out[EAX] & LEAFD_1_EAX_XSAVEC ? cpuid_xsave_size(v, v->xcr0, true) : 0;
        out[ECX] = out[EDX] = 0;
    } else if (subleaf < XSTATE_COUNT && (mask >> subleaf & 1)) {
        xs = xstate(v);
        out[EAX] = xs->size[subleaf];
        out[EBX] = xs->offset[subleaf];
        out[ECX] = xs->aligned >> subleaf & 1 ? 2 : 0;
    }
}

/* --- extended leaves --- */

static const char brand[48] = "btvmm virtual CPU, 32 bits";

static void leaf_brand(const struct cpuid_model *m, uint32_t leaf, uint32_t out[4])
{
    if (m->host)
        host_leaf(leaf, 0, out);
    else
        leaf_text(out, brand + 16 * (leaf - 0x80000002), 4);
}

static void leaf_ext_features(const struct vcpu *v, const struct cpuid_model *m, uint32_t out[4])
{
    uint32_t host[4] = {0, 0, 0, 0};

    if (m->host)
        host_leaf(0x80000001, 0, host);
    out[ECX] = host[ECX] & EXT1_ECX_HOST;
    out[EDX] = host[EDX] & (EXT1_EDX_HOST | EXT1_EDX_COPIES);
    if (cpuid_has_nx(v))
        out[EDX] |= EXT1_EDX_NX;
}

static void leaf_extended(struct vcpu *v, const struct cpuid_model *m, uint32_t leaf, uint32_t out[4])
{
    switch (leaf) {
    case 0x80000000:
        out[EAX] = LEAF_EXT_MAX;
        if (m->host) { /* AMD repeats its vendor here, Intel has zeros */
            host_leaf(leaf, 0, out);
            out[EAX] = cpuid_is_amd(m) ? LEAF_EXT_MAX_AMD : LEAF_EXT_MAX;
        }
        break;
    case 0x80000001:
        leaf_ext_features(v, m, out);
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        leaf_brand(m, leaf, out);
        break;
    case 0x80000005:
        if (m->host)
            host_leaf(leaf, 0, out);
        break;
    case 0x80000006:
        if (m->host)
            host_leaf(leaf, 0, out);
        else
            out[ECX] = 512u << 16 | 6u << 12 | 64; /* 512 KiB, 8 ways, 64-byte lines */
        break;
    case 0x80000007:
        out[EDX] = EXT7_EDX_INVARIANT_TSC;
        break;
    case 0x80000008:
        out[EAX] = 32u << 8 | 36; /* linear and physical address widths */
        out[EBX] = cpuid_is_amd(m) ? EXT8_EBX_BTC_NO : 0;
        break;
    case 0x80000021:
        out[EAX] = cpuid_is_amd(m) ? EXT21_EAX_SRSO_NO : 0;
        out[ECX] = cpuid_is_amd(m) ? EXT21_ECX_TSA_NO : 0;
        break;
    }
}

void cpuid_query(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const struct cpuid_model *m = v->cpuid;

    memset(out, 0, 4 * sizeof(out[0]));
    switch (leaf) {
    case 0:
        leaf_vendor(m, out);
        break;
    case 1:
        leaf_features(v, m, out);
        break;
    case 2:
        out[EAX] = 1;
        out[EDX] = 0xff; /* "see leaf 4" */
        break;
    case 4:
        leaf_caches(m, subleaf, out);
        break;
    case 7:
        leaf_extended7(m, subleaf, out);
        break;
    case 0xd:
        leaf_xsave(v, subleaf, out);
        break;
    case 0x15:
        leaf_tsc(v, out);
        break;
    case LEAF_HYPERVISOR:
        out[EAX] = LEAF_HYPERVISOR;
        leaf_text(out + EBX, "btvmm\0\0\0\0\0\0", 3);
        break;
    default:
        if (leaf >= 0x80000000)
            leaf_extended(v, m, leaf, out);
    }
}
