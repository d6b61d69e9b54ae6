/*
 * The state of the VMX, shared by its three files: setup (vmx.c), the event
 * loop (vmxloop.c) and the end (vmxend.c).  World: VMX, main thread, but for
 * doorbell_fd which the doorbell thread writes.
 */
#ifndef HOST_VMX_PRIV_H
#define HOST_VMX_PRIV_H

#include <sys/types.h>

#include "host/clock.h"
#include "host/console.h"
#include "host/image.h"
#include "host/options.h"
#include "host/report.h"
#include "host/symbols.h"
#include "host/worlds.h"

struct vmx {
    const struct options *o;
    struct cross *x;
    int ram_fd;
    struct guestram ram;
    struct boot_images images;
    struct console console;
    struct symbols symbols;
    struct trace_out trace;
    FILE *stats_file;
    struct clock_sample clock;
    uint64_t tsc_hz;

    const struct host_world *world;
    pid_t vmm;
    int vmm_fd;          /* pidfd; -1 when the VMM has been waited for */
    int vmm_status;      /* from waitpid() */
    int signal_fd, doorbell_fd;

    int ended_by;        /* signal that ends the VM, 0 none */
    bool quit;           /* Ctrl-A x, -no-reboot, terminal gone: ends with status 0 */
    uint64_t stop_deadline; /* monotonic ms by which the VMM must have ended, 0 = it need not */
};

/* vmxloop.c: until the VMM process has ended; false if it could not be set up. */
bool vmx_loop_prepare(struct vmx *v);
void vmx_loop(struct vmx *v);
void vmx_kill(struct vmx *v);

/* vmx.c: put the images into RAM again. */
bool vmx_reload(struct vmx *v);
/* --symbols, or what an ELF image brings. */
const struct symbols *vmx_symbols(struct vmx *v);

/* vmxend.c: reports and exit status. */
void vmx_print_stats(struct vmx *v);
int vmx_end(struct vmx *v);

#endif
