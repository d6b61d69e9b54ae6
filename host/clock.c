/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TSC calibration against CLOCK_MONOTONIC_RAW, which no time daemon bends.
 *
 * A sample is a TSC read between two reads close together; the tightest of
 * several is kept, so that a preemption in the middle does not count.
 */
#include "host/clock.h"

#include <time.h>
#include <x86intrin.h>

#define INTERVAL_NS 25000000ull
#define TRIES 16

static uint64_t raw_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void clock_start(struct clock_sample *s)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < TRIES; i++) {
        uint64_t before = __rdtsc(), ns = raw_ns(), after = __rdtsc();
        if (after - before < best) {
            best = after - before;
            s->tsc = before + best / 2;
            s->ns = ns;
        }
    }
}

uint64_t clock_tsc_hz(const struct clock_sample *start)
{
    struct clock_sample now;

    uint64_t passed = raw_ns() - start->ns;
    if (passed < INTERVAL_NS) {
        struct timespec rest = {0, (long)(INTERVAL_NS - passed)};
        nanosleep(&rest, NULL);
    }
    clock_start(&now);
    if (now.ns <= start->ns || now.tsc <= start->tsc)
        return 0;
    return (uint64_t)((unsigned __int128)(now.tsc - start->tsc) * 1000000000u / (now.ns - start->ns));
}
