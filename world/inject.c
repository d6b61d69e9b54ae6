// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An interrupt at every boundary of translation units where the guest can take one.
 *
 * What comes is the 8259's spurious interrupt, vector 7 of the master with no bit in service: an input was
 * raised and fell again before it was acknowledged. Every system must bear that at any time at which some
 * input is unmasked and would outrank what is in service; at other times, and before the controllers have
 * been set up, a real 8259 could not have asked, and none is invented.
 *
 * The guest must get on: behind the IRET of the last handler one unit runs before the next interrupt. (A
 * handler that enables interrupts for itself would otherwise never see its own end.) A halted CPU is left
 * asleep. The translator neither chains nor looks up by itself
 * under this option, so that each unit's end comes to the run loop; where the interpreter runs, its units are
 * single instructions, and user code that runs directly is interrupted only where it comes back by itself.
 */
#include "world/inject.h"
#include "cpu/exception.h"
#include "devices/hot/board.h"
#include "world/cross.h"

struct inject {
    uint64_t irets; /* how many there had been at the last injection */
    bool returned;  /* one more has come, and that before the unit that ran last */
};

void inject_init(struct vm *vm)
{
    vm->inject = vm->config->bt.inject_irq ? arena_alloc(&vm->arena, sizeof *vm->inject, 8) : NULL;
}

void inject_reset(struct vm *vm)
{
    if (vm->inject)
        *vm->inject = (struct inject){ .irets = UINT64_MAX };
}

void inject_interrupt(struct vcpu *v)
{
    struct inject *in = v->vm->inject;
    bool due = in->returned;
    uint8_t vector;

    in->returned = v->vm->stats->irets != in->irets;
    if (!due || v->halted || !vcpu_can_interrupt(v) || !board_spurious(v->vm->board, &vector))
        return;
    in->irets = v->vm->stats->irets;
    in->returned = false;
    v->vm->stats->injected++;
    vcpu_deliver_interrupt(v, vector);
}
