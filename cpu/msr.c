/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Model-specific registers (SDM vol. 4), the ones that a family 6 processor
 * with our CPUID has.  Everything else is #GP(0), on which kernels rely to find out
 * what exists: the machine-check banks, the MTRRs and the performance
 * counters are absent, as CPUID says.
 *
 * The host model has the three MSRs about speculation.  ARCH_CAPABILITIES names
 * every flaw that kernels know as absent; SPEC_CTRL and PRED_CMD are accepted and
 * do nothing, because the host's kernel guards its processes from each other. On an AMD host it has three registers
 * besides that kernels access unasked on that vendor's families: hardware configuration, that of a
 * north bridge, and (families 0fh and 10h) whether the processor tells the chip set of its C1E state; what is
 * written there is ignored.
 *
 * The guest's TSC is the host's plus tsc_offset, which starts at zero so that
 * RDTSC in direct execution shows the same clock; hence IA32_TSC_ADJUST, the
 * sum of all changes since reset, *is* tsc_offset.
 */
#include "cpu/cpuid.h"
#include "cpu/gmem.h"
#include "cpu/io.h"
#include "cpu/segment.h"

#define MSR_PLATFORM_ID 0x17
#define MSR_EBL_CR_POWERON 0x2a
#define MSR_TSC_ADJUST 0x3b
#define MSR_SPEC_CTRL 0x48
#define MSR_PRED_CMD 0x49
#define MSR_BIOS_SIGN_ID 0x8b
#define MSR_ARCH_CAPABILITIES 0x10a
#define MSR_DEBUGCTL 0x1d9
#define MSR_AMD_HWCR 0xc0010015
#define MSR_AMD_NB_CFG 0xc001001f
#define MSR_AMD_INT_PENDING 0xc0010055

#define HWCR_TSC_FREQ_SEL BIT64(24) /* the TSC counts at the rate of the P0 state */

#define SPEC_CTRL_IBRS BIT64(0)
#define SPEC_CTRL_STIBP BIT64(1) /* without the feature, ignored rather than refused */
#define PRED_CMD_IBPB BIT64(0)
/* RDCL_NO IBRS_ALL SKIP_L1DFL_VMENTRY SSB_NO MDS_NO IF_PSCHANGE_MC_NO TAA_NO SBDR_SSDP_NO FBSDP_NO PSDP_NO
 * BHI_NO PBRSB_NO GDS_NO RFDS_NO ITS_NO. */
#define ARCH_CAPABILITIES (BIT64(0) | BIT64(1) | BIT64(3) | BIT64(4) | BIT64(5) | BIT64(6) | BIT64(8) | \
                           BIT64(13) | BIT64(14) | BIT64(15) | BIT64(20) | BIT64(24) | BIT64(26) | \
                           BIT64(27) | BIT64(62))

#define BIOS_SIGN_REVISION 0x1u
#define APIC_BASE_ENABLE BIT64(11)
#define APIC_BASE_BSP BIT64(8)
#define APIC_BASE_ADDRESS 0x0000000ffffff000ull
#define MISC_FAST_STRINGS BIT64(0)

static bool msr_absent(struct fault *f)
{
    return fault_gp(f, 0);
}

bool msr_read(struct vcpu *v, uint32_t msr, uint64_t *value, struct fault *f)
{
    bool sep = cpuid_has_edx(v, CPUID_1_EDX_SEP), guards = cpuid_has_guards(v);
    uint64_t x;

    switch (msr) {
    case MSR_TSC: x = io_rdtsc() + v->tsc_offset; break;
    case MSR_TSC_ADJUST: x = v->tsc_offset; break;
    case MSR_APIC_BASE: x = v->apic_base; break;
    case MSR_BIOS_SIGN_ID: x = (uint64_t)BIOS_SIGN_REVISION << 32; break;
    case MSR_PLATFORM_ID: x = 0; break;
    case MSR_EBL_CR_POWERON: x = 0; break;
    case MSR_DEBUGCTL: x = 0; break;
    case MSR_MISC_ENABLE: x = v->misc_enable; break;
    case MSR_PAT: x = v->pat; break;
    case MSR_SYSENTER_CS: x = v->sysenter_cs; if (!sep) return msr_absent(f); break;
    case MSR_SYSENTER_ESP: x = v->sysenter_esp; if (!sep) return msr_absent(f); break;
    case MSR_SYSENTER_EIP: x = v->sysenter_eip; if (!sep) return msr_absent(f); break;
    case MSR_EFER: x = v->efer; if (!cpuid_has_nx(v)) return msr_absent(f); break;
    case MSR_SPEC_CTRL: x = v->spec_ctrl; if (!guards) return msr_absent(f); break;
    case MSR_AMD_HWCR: x = HWCR_TSC_FREQ_SEL; if (!cpuid_is_amd(v->cpuid)) return msr_absent(f); break;
    case MSR_AMD_NB_CFG:
    case MSR_AMD_INT_PENDING: x = 0; if (!cpuid_is_amd(v->cpuid)) return msr_absent(f); break;
    case MSR_ARCH_CAPABILITIES: x = ARCH_CAPABILITIES; if (!guards) return msr_absent(f); break;
    default:
        TRACE_EV(v->vm->trace, msr, msr, 0, 2);
        return msr_absent(f);
    }
    TRACE_EV(v->vm->trace, msr, msr, x, 0);
    *value = x;
    return true;
}

/* Eight memory types, none of the reserved ones (SDM vol. 3A 12.12.2). */
static bool pat_valid(uint64_t pat)
{
    for (unsigned i = 0; i < 8; i++, pat >>= 8) {
        unsigned type = pat & 0xff;

        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

static bool efer_write(struct vcpu *v, uint64_t value, struct fault *f)
{
    uint64_t old = v->efer;

    if (!cpuid_has_nx(v) || (value & ~(uint64_t)EFER_NXE))
        return fault_gp(f, 0);
    v->efer = value;
    if (value != old) {
        v->mmu_mode_gen++;
        gmem_mode_changed(v, v->cr0, v->cr4, old);
    }
    return true;
}

static bool apic_base_write(struct vcpu *v, uint64_t value, struct fault *f)
{
    if (value & ~(APIC_BASE_ADDRESS | APIC_BASE_ENABLE | APIC_BASE_BSP))
        return fault_gp(f, 0);
    /* There is no local APIC to enable; the bit reads back clear. */
    v->apic_base = (value & APIC_BASE_ADDRESS) | APIC_BASE_BSP;
    return true;
}

static bool spec_ctrl_write(struct vcpu *v, uint64_t value, struct fault *f)
{
    if (!cpuid_has_guards(v) || (value & ~(SPEC_CTRL_IBRS | SPEC_CTRL_STIBP)))
        return fault_gp(f, 0);
    v->spec_ctrl = value & SPEC_CTRL_IBRS;
    return true;
}

bool msr_write(struct vcpu *v, uint32_t msr, uint64_t value, struct fault *f)
{
    bool sep = cpuid_has_edx(v, CPUID_1_EDX_SEP);

    TRACE_EV(v->vm->trace, msr, msr, value, 1);
    switch (msr) {
    case MSR_TSC: v->tsc_offset = value - io_rdtsc(); return true;
    case MSR_TSC_ADJUST: v->tsc_offset = value; return true;
    case MSR_APIC_BASE: return apic_base_write(v, value, f);
    case MSR_BIOS_SIGN_ID: return true; /* loads the revision when CPUID runs */
    case MSR_EBL_CR_POWERON: return true;
    case MSR_DEBUGCTL: return value == 0 || fault_gp(f, 0);
    case MSR_EFER: return efer_write(v, value, f);
    case MSR_SPEC_CTRL: return spec_ctrl_write(v, value, f);
    case MSR_PRED_CMD: return (cpuid_has_guards(v) && !(value & ~PRED_CMD_IBPB)) || fault_gp(f, 0);
    case MSR_AMD_HWCR:
    case MSR_AMD_NB_CFG:
    case MSR_AMD_INT_PENDING: return cpuid_is_amd(v->cpuid) || msr_absent(f);
    case MSR_MISC_ENABLE:
        v->misc_enable = (v->misc_enable & ~MISC_FAST_STRINGS) | (value & MISC_FAST_STRINGS);
        return true;
    case MSR_PAT:
        if (!pat_valid(value))
            return fault_gp(f, 0);
        v->pat = value;
        return true;
    case MSR_SYSENTER_CS: if (sep) v->sysenter_cs = (uint32_t)value; return sep || msr_absent(f);
    case MSR_SYSENTER_ESP: if (sep) v->sysenter_esp = (uint32_t)value; return sep || msr_absent(f);
    case MSR_SYSENTER_EIP: if (sep) v->sysenter_eip = (uint32_t)value; return sep || msr_absent(f);
    default: return msr_absent(f);
    }
}
