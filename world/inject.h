/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Invented interrupts, for stress (-d injectirq).
 *
 * World: monitor.  Owner: struct vm.  inject_init() once, inject_reset() at each machine reset; then
 * inject_interrupt() once a turn of the run loop, at an instruction boundary, when no real interrupt waits.
 * Errors: none.
 */
#ifndef WORLD_INJECT_H
#define WORLD_INJECT_H

#include "cpu/vcpu.h"

void inject_init(struct vm *vm);
void inject_reset(struct vm *vm);
/* The vCPU may have moved to a handler. */
void inject_interrupt(struct vcpu *v);

#endif
