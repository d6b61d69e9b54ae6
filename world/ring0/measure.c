// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a trap costs: out of guest code to the monitor's C and back into guest code, which does nothing but trap. With --stats, at the
 * start.
 */
#include "world/ring0/ring0.h"

#define ROUNDS 64u
#define STUB (WIN_STUBS + 0x80u) /* behind the trampoline */

static void stub_write(struct world *w)
{
    world_callout_seq(w->vm, w->win + (STUB - WIN_BASE));
}

void ring0_measure(struct world *w)
{
    struct vcpu *v = w->vcpu;
    uint64_t least = UINT64_MAX;

    if (!w->shared->config.profile)
        return;
    stub_write(w);
    world_load_view(w->vm, 0);
    ring0_tlb_flush(w);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t t = __builtin_ia32_rdtsc();

        ring0_enter(v, STUB, SEL_BT_CS, SEL_BT_FLAT, EFLAGS_FIXED);
        t = __builtin_ia32_rdtsc() - t;
        if (vec_is_host(v->exit.vec)) /* an NMI */
            ring0_host_event(w, v->exit.vec, 1, v->exit.tca);
        else if (t < least)
            least = t;
    }
    w->vm->stats->cycles_trap = least;
}
