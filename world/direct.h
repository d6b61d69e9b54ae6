/*
 * The execution manager's half of direct execution: when user code runs
 * directly, and what its exits mean.
 *
 * World: VMM.  Owner: the run loop.  Order: direct_init() once.  Every call
 * leaves the vCPU at an instruction boundary.
 */
#ifndef WORLD_DIRECT_H
#define WORLD_DIRECT_H

#include "cpu/vcpu.h"

void direct_init(struct vm *vm);
/* Should the vCPU's present state run directly (and may it)? */
bool direct_wanted(struct vcpu *v);
void direct_run(struct vcpu *v);
/* bt_run() has come back after entering at this CPL: the adaptive rule learns. */
void direct_note_translated(struct vcpu *v, unsigned entered_cpl);

#endif
