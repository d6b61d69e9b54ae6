// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest time, the alarm, and sleep.
 *
 * Guest time is the host's CLOCK_MONOTONIC less its value at the start. The module leaves an anchor (ns at a TSC
 * value) in the crosspage whenever it enters the VMM world and the last one is 10 ms old; in between, TSC
 * cycles are scaled. Each anchor is the host's own word, so nothing drifts; the result never goes back.
 *
 * The alarm is a timer of the host, armed by the module. A new time is told with the next switch that
 * happens anyway, at the latest before the guest runs. A guest that wakes for its timer, only to set it again and sleep
 * on, would make an extra switch each time; so sleep begins with the alarm set to the time at which the deadline after
 * this one is to be expected, and a deadline that is near enough to that leaves it.
 */
#include "world/ring0/ring0.h"

#define NS_PER_MS 1000000ull
#define NO_ALARM UINT64_MAX
#define PERIOD_MIN 100000u    /* ns; what is taken for a timer's period */
#define PERIOD_MAX 100000000u
#define NEAR_NS 50000u        /* how late a guessed alarm may come */

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
    int64_t cycles = (int64_t)(__builtin_ia32_rdtsc() - w->cross->anchor_tsc);
    uint64_t t = w->cross->anchor_ns - c->start_ns;

    if (likely(cycles > 0)) /* the TSCs of two CPUs may differ a little */
        t += (uint64_t)((unsigned __int128)cycles * c->mult >> 32);
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
    if (ns == w->cross->alarm || (w->clock.guessed && w->cross->alarm - ns < NEAR_NS))
        return;
    w->clock.guessed = false;
    w->cross->alarm = ns;
    w->alarm_changed = true;
}

void ring0_alarm_passed(struct world *w)
{
    if (w->cross->alarm != NO_ALARM && w->cross->alarm - w->clock.start_ns <= world_now(w->vm))
        w->cross->alarm = NO_ALARM;
}

/* When will the alarm be wanted after a sleep until then? */
static uint64_t alarm_guess(struct ring0_clock *c, uint64_t until)
{
    uint64_t period = until - c->slept_until;

    c->slept_until = until;
    c->guessed = period >= PERIOD_MIN && period <= PERIOD_MAX;
    return c->guessed ? c->start_ns + until + period : NO_ALARM;
}

void world_idle(struct vm *vm, uint64_t until)
{
    struct world *w = vm->world;
    uint64_t begin = __builtin_ia32_rdtsc();

    if (!vm->vcpu->attention) {
        if (until > INT64_MAX / 2)
            until = INT64_MAX / 2;
        w->cross->alarm = alarm_guess(&w->clock, until);
        ring0_switch(w, BTMON_OP_USER, BTMON_USER_IDLE, w->clock.start_ns + until);
    }
    vm->stats->cycles_idle += __builtin_ia32_rdtsc() - begin;
}
