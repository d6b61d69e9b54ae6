/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The runner's loop: enter the VMM world, do what the monitor asks, enter again.
 *
 * World: VMX, in a process of its own (and in a unit test, over a made-up module).  Owner: the caller.
 * Order: fill cross, fd and enter; runner_loop() returns when the VM has ended or can't go on, with
 * cross->stopped set and the doorbell rung.
 */
#ifndef WORLD_RING0_RUNNER_H
#define WORLD_RING0_RUNNER_H

#include "world/cross.h"
#include "world/ring0/abi.h"

struct runner {
    struct cross *cross;
    int fd;
    int (*enter)(int fd, struct btmon_run *run); /* BTMON_RUN: 0 or a negative errno */
    struct btmon_run run;
    uint32_t wake_seen; /* of cross->wake: what the monitor has been told of */
};

void runner_loop(struct runner *r);

/* From the handler of a kick's signal. */
void runner_interrupted(struct runner *r);

#endif
