/*
 * What the process world needs from the host, each with its own error line.
 *
 * World: VMX, before anything else is started.  Errors: false, after one
 * message that names the missing feature.
 */
#ifndef HOST_PROBE_H
#define HOST_PROBE_H

#include "base/types.h"

bool probe_host(void);

/* Facts that go into struct cross_config. */
bool probe_nx(void);
bool probe_cpuid_faulting(void);
bool probe_two_cpus(void);
bool probe_invariant_tsc(void);

#endif
