/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMX's configuration, taken over: copied once into the monitor's own memory (vm->config) and checked there.  Who shares
 * struct cross with the monitor can write to it at any time; nothing else reads the original.
 *
 * World: VMM, every world.  Units: as struct cross_config says; RAM in bytes.  Owner: struct vm, in its arena.  Errors: config_take() returns false and the VM is stopped (VM_STOP_HOST) where the copy
 * is not what a VMX would say.  Order: before all that reads vm->config; again after each reset, for config.boot.
 */
#ifndef WORLD_CONFIG_H
#define WORLD_CONFIG_H

#include "base/types.h"

struct vm;
struct cross_config;

bool config_take(struct vm *vm);

/* What is inconsistent in it, for a VM with so much RAM; NULL: nothing. */
const char *config_problem(const struct cross_config *c, uint64_t ram_size);

#endif
