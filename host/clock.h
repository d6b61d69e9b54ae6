/*
 * The host's time stamp counter, measured.  World: VMX.  Units: Hz, TSC ticks.
 * Order: clock_start(), at least 20 ms of other work, clock_tsc_hz() (which
 * sleeps for what is missing).  Errors: 0 = can't be used as a clock.
 */
#ifndef HOST_CLOCK_H
#define HOST_CLOCK_H

#include "base/types.h"

struct clock_sample {
    uint64_t tsc, ns;
};

void clock_start(struct clock_sample *start);
uint64_t clock_tsc_hz(const struct clock_sample *start);

#endif
