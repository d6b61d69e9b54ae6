/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMX's configuration, copied and checked.
 */
#include "world/config.h"

#include "base/vm.h"
#include "world/cross.h"
#include "world/monitorbug.h"
#include "world/world.h"

#define TSC_HZ_MAX 1000000000000u
#define TC_BYTES_MIN 65536u /* host/features.def */
#define RPL_MASK 3u

static bool terminated(const char *s, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!s[i])
            return true;
    return false;
}

const char *config_problem(const struct cross_config *c, uint64_t ram_size)
{
    const struct bt_options *o = &c->bt;

    if (c->ram_size != ram_size)
        return "RAM size";
    if (c->tsc_hz > TSC_HZ_MAX)
        return "TSC frequency";
    if (c->user_exec > USER_EXEC_TRANSLATE)
        return "way to run user code";
    if (!terminated(c->cpu_model, sizeof c->cpu_model))
        return "CPU model";
    if (c->boot.protected_mode && ((c->boot.cs | c->boot.ds) & RPL_MASK || c->boot.gdt_limit > UINT16_MAX))
        return "boot state";
    if (o->tc_bytes && o->tc_bytes < TC_BYTES_MIN)
        return "size of the translation cache";
    if (o->monitor_bug > MONITOR_BUG_LOST_STACK)
        return "bug of the monitor";
    if (c->debug_exit_port > UINT16_MAX)
        return "debug exit port";
    return NULL;
}

bool config_take(struct vm *vm)
{
    const char *problem;

    if (!vm->config)
        vm->config = arena_alloc(&vm->arena, sizeof *vm->config, 8);
    *vm->config = vm->cross->config;
    __asm__ volatile("" : : : "memory"); /* what is checked and used is the copy */
    problem = config_problem(vm->config, vm->ram_size);
    if (problem)
        vm_stop(vm, VM_STOP_HOST, "the caller's configuration is inconsistent: %s", problem);
    return !problem;
}
