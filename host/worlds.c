/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of worlds: each world's own face, fitted to one.
 */
#include "host/worlds.h"

#include <errno.h>
#include <string.h>

#include "host/probe.h"
#include "world/proc/proc.h"
#include "world/ring0/vmx.h"

/* ---------------------------------------------------------------- processes */

static int proc_probe(const struct world_memory *m, const char **why)
{
    (void)m;
    return probe_host(why) ? proc_world_probe(why) : -ENOSYS;
}

static pid_t proc_start(const struct world_memory *m, const char **why)
{
    return proc_world_start(&(struct proc_world_params){ .cross = m->cross, .ram_fd = m->ram_fd }, why);
}

static const struct host_world proc_world = {
    .name = "proc",
    .probe = proc_probe,
    .start = proc_start,
};

/* ------------------------------------------------------------- kernel module */

static int ring0_probe(const struct world_memory *m, const char **why)
{
    return ring0_world_probe(&(struct ring0_world_params){ .cross = m->cross, .ram = m->ram }, why);
}

static pid_t ring0_start(const struct world_memory *m, const char **why)
{
    return ring0_world_start(&(struct ring0_world_params){ .cross = m->cross, .ram = m->ram }, why);
}

static const struct host_world ring0_world = {
    .name = "ring0",
    .own_xcr0 = true,
    .pins_ram = true,
    .probe = ring0_probe,
    .start = ring0_start,
};

/* ------------------------------------------------------------------- choice */

const struct host_world *world_choose(enum world_choice choice, const struct world_memory *m, const char **why)
{
    const struct host_world *w = choice == WORLD_CHOICE_PROC ? &proc_world : &ring0_world;
    int err = w->probe(m, why);

    if (err && choice == WORLD_CHOICE_AUTO) {
        w = &proc_world;
        err = w->probe(m, why);
    }
    if (!err)
        return w;
    if (!**why)
        *why = strerror(-err);
    return NULL;
}
