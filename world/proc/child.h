/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process in which a world's monitor runs: the VMX's child.
 *
 * World: hosted; either side of the fork, as said.  Errors: a negative errno with *why set.  Order: child_fork(), then the
 * child's handler for SIGUSR1, then its signals unblocked; sandbox_drop() (filter.h) ends with what keeps it from outliving the VMX.
 */
#ifndef WORLD_PROC_CHILD_H
#define WORLD_PROC_CHILD_H

#include <sys/types.h>

#include "world/cross.h"

/* In the VMX the child's pid, in the child 0: all signals are blocked there, and it dies with the VMX's thread. */
pid_t child_fork(const char **why);

/* Bump a futex word and wake who waits for it, in whichever process. */
void child_ring(volatile uint32_t *word);

/* In the child: the VM can't go on. The first reason stays; the doorbell is rung. */
void child_fail(struct cross *cross, enum vm_stop_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* In the VMX.  Images are loaded: let the monitor run. */
void child_go(struct cross *cross);

/* In the VMX.  Something changed (console input, host_stop, stats_req, reset_ack): make the monitor look. */
void child_kick(struct cross *cross, pid_t pid);

#endif
