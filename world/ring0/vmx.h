/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMX's side of the ring-0 world: the same face as world/proc/proc.h.
 *
 * World: VMX (hosted C: start.c, runner.c).  The VM is a child process, the runner, that does nothing but enter
 * the VMM world through the kernel module and carry out what the monitor asks of it.  Ownership: the caller owns the cross page, guest
 * RAM (both MAP_SHARED, so that the child has them too) and the child; when it has ended, cross->stopped tells
 * how, or is still VM_RUNNING if it was killed.  Errors: negative errno, with one line in *why.
 *
 * Order: as in the process world.  Guest RAM is pinned from the start on: the pages that the caller has there
 * must stay (no hole may be punched).
 */
#ifndef WORLD_RING0_VMX_H
#define WORLD_RING0_VMX_H

#include <sys/types.h>

#include "world/cross.h"

/* Kernel memory that the monitor gets: its arena and window, and the shadow page tables. */
#define RING0_ARENA_SIZE (96ul << 20)
#define RING0_SHADOW_SIZE (32ul << 20)
#define RING0_PRIVATE_SIZE (RING0_ARENA_SIZE + RING0_SHADOW_SIZE)

struct ring0_world_params {
    struct cross *cross; /* MAP_SHARED, page aligned, zeroed but for config */
    void *ram;           /* config.ram_size bytes, MAP_SHARED, page aligned */
};

/* Is the module there, may we use it, is it of our version, may we pin as much memory as this VM needs? */
int ring0_world_probe(const struct ring0_world_params *p, const char **why);

/* Fork the runner; returns its pid. */
pid_t ring0_world_start(const struct ring0_world_params *p, const char **why);

#endif
