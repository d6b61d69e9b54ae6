// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The VMX's configuration, taken over and checked.
 */
#include "world/config.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/vm.h"
#include "world/cross.h"
#include "world/monitorbug.h"

#define RAM (32ull << 20)

static const struct cross_config good = {
    .ram_size = RAM,
    .tsc_hz = 3000000000,
    .cpu_model = "btvmm32",
    .boot = { .protected_mode = 1, .cs = 0x10, .ds = 0x18, .gdt_limit = 31 },
    .bt = { .tu_insns = 12 },
    .debug_exit_port = 0xf4,
};

static struct cross_config c;

void bug_at(const char *file, int line, const char *what)
{
    cr_assert(false, "%s:%d: %s", file, line, what);
    abort();
}

static void setup(void) { c = good; }

static void fails(const char *what)
{
    const char *problem = config_problem(&c, RAM);

    cr_assert(problem && !strcmp(problem, what), "%s: %s", what, problem ? problem : "taken");
    c = good;
}

Test(world_config, problems, .init = setup)
{
    cr_assert(!config_problem(&c, RAM));
    c.ram_size += PAGE_SIZE, fails("RAM size");
    c.tsc_hz = UINT64_MAX, fails("TSC frequency");
    c.user_exec = USER_EXEC_TRANSLATE + 1, fails("way to run user code");
    memset(c.cpu_model, 'x', sizeof c.cpu_model), fails("CPU model");
    c.boot.cs = 0x13, fails("boot state");
    c.boot.ds = 0x19, fails("boot state");
    c.boot.gdt_limit = 0x10000, fails("boot state");
    c.bt.tc_bytes = 1, fails("size of the translation cache");
    c.bt.monitor_bug = MONITOR_BUG_LOST_STACK + 1, fails("bug of the monitor");
    c.debug_exit_port = 0x10000, fails("debug exit port");
}

Test(world_config, every_choice_is_good, .init = setup)
{
    for (c.user_exec = 0; c.user_exec <= USER_EXEC_TRANSLATE; c.user_exec++)
        for (c.bt.monitor_bug = 0; c.bt.monitor_bug <= MONITOR_BUG_LOST_STACK; c.bt.monitor_bug++)
            cr_assert(!config_problem(&c, RAM));
    c.user_exec = 0, c.bt.monitor_bug = 0;
    c.bt.tc_bytes = 65536;
    cr_assert(!config_problem(&c, RAM));
    c.boot = (struct boot_state){ .cs = 3 }; /* not looked at: real mode */
    cr_assert(!config_problem(&c, RAM));
}

Test(world_config, is_copied, .init = setup)
{
    static struct cross cross;
    static uint8_t memory[4096];
    struct vm vm = { .ram_size = RAM, .cross = &cross };

    arena_init(&vm.arena, memory, sizeof memory);
    cross.config = c;
    cr_assert(config_take(&vm) && !vm.stop);
    cross.config.user_exec = 77;
    cr_assert_eq(vm.config->user_exec, 0);
    cr_assert(!config_take(&vm));
    cr_assert_eq(vm.stop, VM_STOP_HOST);
    cr_assert_str_eq(vm.stop_msg, "the caller's configuration is inconsistent: way to run user code");
}
