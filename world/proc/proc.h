/*
 * The VMX's side of the process world: starting it.
 *
 * World: VMX (hosted C).  Sources here: start.c, filter.c and ustart.c are hosted (libc);
 * all other .c files of this folder are monitor code.  Ownership: the caller owns the
 * cross page, the RAM descriptor and the child (waitpid() it; after it ended, read
 * cross->stopped, and if that is still VM_RUNNING the child was killed).  Errors: negative errno.
 *
 * Order: fill cross->config, then proc_world_start() before any guest image is
 * opened (the child inherits the address space, and gives up every descriptor but ram_fd), from a
 * thread that lives as long as the VM (its end kills the child).  The child waits until the VMX calls
 * child_go() (child.h), which says that the images are in RAM and config.boot is set.  Then the VMX loop:
 * FUTEX_WAIT (not private) on cross->doorbell; look at tx_head/tx_tail, the trace ring, reset_req and
 * stopped.
 *
 * USERCALL_RESET: the VMM bumps cross->reset_req and waits; the VMX reloads RAM
 * and config.boot, stores reset_req to reset_ack and calls child_kick().
 */
#ifndef WORLD_PROC_PROC_H
#define WORLD_PROC_PROC_H

#include <sys/types.h>

#include "world/cross.h"

struct proc_world_params {
    struct cross *cross; /* MAP_SHARED | MAP_ANONYMOUS, zeroed but for config */
    int ram_fd;          /* memfd of config.ram_size bytes; must be mappable PROT_EXEC */
};

/* Can this host run the process world?  0, or a negative errno with a one-line reason in *why. */
int proc_world_probe(const char **why);

/* Fork the kernel view (and its user views).  Returns its pid (> 0) or a negative errno with *why set. */
pid_t proc_world_start(const struct proc_world_params *p, const char **why);

#endif
