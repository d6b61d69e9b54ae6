/*
 * Counters.  World: monitor writes, VMX reads (torn reads are tolerated).
 * Units: events or TSC cycles, as stats.def says.  Plain stores, no locking.
 */
#ifndef BASE_STATS_H
#define BASE_STATS_H

#include "base/types.h"

struct stats {
#define STAT(name, text) uint64_t name;
#include "base/stats.def"
#undef STAT
};

#endif
