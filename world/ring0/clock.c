// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest time, the alarm, and sleep.
 *
 * Guest time is the host's CLOCK_MONOTONIC less its value at the start. The module leaves an anchor (ns at a TSC
 * value) in the crosspage whenever it enters the VMM world and the last one is 10 ms old; in between, TSC
 * cycles are scaled. Each anchor is the host's own word, so nothing drifts; the result never goes back.
 *
 * The alarm is a timer of the host, armed by the module. A new time is told with the next switch that
 * happens anyway, at the latest before the guest runs.
 */
#include "world/ring0/ring0.h"

#define NS_PER_MS 1000000ull
#define NO_ALARM UINT64_MAX

void ring0_clock_init(struct world *w)
{
    w->clock.start_ns = w->cross->anchor_ns;
    w->clock.mult = (NS_PER_MS << 32) / w->cross->tsc_khz;
    w->cross->alarm = NO_ALARM;
}

uint64_t world_now(struct vm *vm)
{
    struct world *w = vm->world;
    struct ring0_clock *c = &w->clock;
    uint64_t cycles = __builtin_ia32_rdtsc() - w->cross->anchor_tsc;
    uint64_t t = w->cross->anchor_ns - c->start_ns + (uint64_t)((unsigned __int128)cycles * c->mult >> 32);

    if (t < c->last)
        t = c->last;
    c->last = t;
    return t;
}

void world_set_alarm(struct vm *vm, uint64_t when)
{
    struct world *w = vm->world;
    uint64_t ns = when == UINT64_MAX ? NO_ALARM : w->clock.start_ns + when;

    if (when != UINT64_MAX && when <= world_now(vm)) {
        vm->vcpu->attention = 1;
        return;
    }
    if (ns == w->cross->alarm)
        return;
    w->cross->alarm = ns;
    w->clock.alarm_changed = true;
}

void world_idle(struct vm *vm, uint64_t until)
{
    struct world *w = vm->world;
    uint64_t begin = __builtin_ia32_rdtsc();

    if (!vm->vcpu->attention) {
        w->cross->alarm = NO_ALARM;
        if (until > INT64_MAX / 2)
            until = INT64_MAX / 2;
        ring0_switch(w, BTMON_OP_USER, BTMON_USER_IDLE, w->clock.start_ns + until);
    }
    vm->stats->cycles_idle += __builtin_ia32_rdtsc() - begin;
}
