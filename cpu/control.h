/*
 * Control and debug registers, MSRs, CPUID, XSETBV: checked writes and reads.
 *
 * World: monitor.  Privilege has been checked by the caller.  True = done;
 * false = *f holds the fault (#GP(0), #UD) and nothing changed.  A write tells
 * gmem.h's paging events what changed.
 */
#ifndef CPU_CONTROL_H
#define CPU_CONTROL_H

#include "cpu/vcpu.h"

bool cr_read(struct vcpu *v, unsigned cr, uint32_t *value, struct fault *f);
bool cr_write(struct vcpu *v, unsigned cr, uint32_t value, struct fault *f);
void cr_clts(struct vcpu *v);
void cr_lmsw(struct vcpu *v, uint16_t msw, struct fault *f, bool *ok);
bool dr_read(struct vcpu *v, unsigned dr, uint32_t *value, struct fault *f);
bool dr_write(struct vcpu *v, unsigned dr, uint32_t value, struct fault *f);
bool msr_read(struct vcpu *v, uint32_t msr, uint64_t *value, struct fault *f);
bool msr_write(struct vcpu *v, uint32_t msr, uint64_t value, struct fault *f);
bool xcr_write(struct vcpu *v, uint32_t index, uint64_t value, struct fault *f);
/* EFLAGS write by POPF/IRET rules at the current CPL; opsize 2 keeps the upper half. */
void eflags_write(struct vcpu *v, uint32_t value, unsigned opsize, bool by_iret);

/*
 * CPUID.  Models: "btvmm32" (conservative i686 with SSE2, no XSAVE) and "host"
 * (the host's features as far as a 32-bit guest can use them, XSAVE included).
 * Both hide: SEP, VMX, SMX, MONITOR, X2APIC/APIC (no local APIC), TSC_DEADLINE, PCID, SMEP, SMAP,
 * UMIP, FSGSBASE (64-bit only), PKU, CET, HLE/RTM, MCE/MCA, ACPI, LM/SYSCALL, XSAVEOPT, XSAVES; hypervisor bit set with
 * a signature leaf 0x40000000 "btvmm".  Leaf 15h gives the TSC frequency when known.  "host" says of
 * itself that it has none of the flaws that kernels work around.
 */
struct cpuid_model;
const struct cpuid_model *cpuid_model_find(const char *name); /* NULL when unknown */
const char *cpuid_model_name(const struct cpuid_model *m);
void cpuid_query(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
bool cpuid_has_nx(const struct vcpu *v);
/* The state components that XCR0 may name: 0 when the model has no XSAVE.  Asks the real CPUID: not for hot paths. */
uint64_t cpuid_xcr0_mask(struct vcpu *v);

#endif
