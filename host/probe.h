/*
 * What the process world needs from the host, and facts about it.
 *
 * World: VMX, before the VMM is started.  Errors: false, with one line in *why that
 * names the missing feature.
 */
#ifndef HOST_PROBE_H
#define HOST_PROBE_H

#include "base/types.h"

bool probe_host(const char **why);

/* Facts that go into struct cross_config. */
bool probe_nx(void);
bool probe_cpuid_faulting(void);
bool probe_invariant_tsc(void);
/* #DB by INT1 is a trap (SDM vol. 3A 6.15): EIP is behind it. Does this host, a virtual machine perhaps, leave EIP at it? */
bool probe_int1_at(void);

#endif
