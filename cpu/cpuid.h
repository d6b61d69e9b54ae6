/*
 * What a CPUID model consists of, for the files that must ask it cheaply.
 *
 * World: monitor, cpu/ only.  A model is a constant table; `cr4` holds the CR4
 * bits that its features allow (but OSXSAVE, which depends on the host).
 * No errors.
 */
#ifndef CPU_CPUID_H
#define CPU_CPUID_H

#include "cpu/control.h"

struct cpuid_model {
    const char *name;
    bool host;          /* features come from the host, filtered */
    uint32_t signature; /* leaf 1 EAX; 0 = the host's */
    uint32_t cr4;
};

/* Bytes of an XSAVE area that holds these components; cheap. */
uint32_t cpuid_xsave_size(struct vcpu *v, uint64_t mask, bool compacted);
/* IA32_SPEC_CTRL, IA32_PRED_CMD and IA32_ARCH_CAPABILITIES are there. */
bool cpuid_has_guards(const struct vcpu *v);
/* AMD, or Hygon, which has its leaves and MSRs. */
bool cpuid_is_amd(const struct cpuid_model *m);
/* Leaf 1 EDX features (bit numbers) that msr.c and control.c depend on. */
#define CPUID_1_EDX_SEP 11
#define CPUID_1_EDX_PAT 16
bool cpuid_has_edx(const struct vcpu *v, unsigned bit);

#endif
