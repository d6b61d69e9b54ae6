/*
 * Closing the sandbox: capabilities, descriptors, system call filters.
 *
 * World: hosted, in the child before it becomes a view or a runner.  Errors: 0 or a negative errno.
 * Order: sandbox_drop() first; the filter comes last, nothing but its allow-list works afterwards.
 */
#ifndef WORLD_PROC_FILTER_H
#define WORLD_PROC_FILTER_H

#include <stddef.h>
#include <stdint.h>

/* Give up privileges and every descriptor but the `nkeep` in keep[]; die with the parent from here on. */
int sandbox_drop(const int *keep, unsigned nkeep);

/* The kernel view's filter.  It may send signals to the npids processes only. */
int sandbox_filter_kernel(const int *pids, unsigned npids);

/* A user view's: maps and descriptors only with the cookie in the upper halves of the fourth and fifth
 * arguments. */
int sandbox_filter_user(const uint32_t cookie[2]);

/* The ring-0 world's runner: this one request on this one descriptor, and futexes.  All else kills the process. */
int sandbox_filter_runner(int fd, unsigned long request);

#endif
