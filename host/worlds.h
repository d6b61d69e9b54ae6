/*
 * The worlds that this program can run a VM in, and the choice among them (--world).
 *
 * World: VMX.  Two implementations are linked into one program, so here is a table of functions.
 * Ownership: constants.  Errors: start and probe return a negative errno with one line in *why.
 * Order: world_choose(), start (before any guest image is opened), then as world/proc/child.h says.
 */
#ifndef HOST_WORLDS_H
#define HOST_WORLDS_H

#include <sys/types.h>

#include "world/cross.h"

enum world_choice { WORLD_CHOICE_PROC, WORLD_CHOICE_RING0, WORLD_CHOICE_AUTO }; /* ORDER --world */

/* What a VM is made of: all of it shared memory. */
struct world_memory {
    struct cross *cross;
    int ram_fd;
    void *ram; /* config.ram_size bytes of ram_fd */
};

struct host_world {
    const char *name;
    bool own_xcr0; /* direct code finds the guest's XCR0 on the processor, not the host's */
    bool pins_ram; /* the pages of guest RAM stay what they are: no hole may be punched */
    int (*probe)(const struct world_memory *m, const char **why);
    pid_t (*start)(const struct world_memory *m, const char **why);
};

/* The world asked for; `auto` is ring0 where that can be had.  NULL: it can't, for the reason in *why. */
const struct host_world *world_choose(enum world_choice choice, const struct world_memory *m, const char **why);

#endif
