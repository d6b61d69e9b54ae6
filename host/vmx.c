/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Setting a VM up.
 *
 * The order matters: the memory that both worlds share is made first; then the
 * VMM is forked and shuts itself into its sandbox, before any guest image
 * has been opened; then the images are read and loaded, and the VMM is let go.
 */
#define _GNU_SOURCE
#include "host/vmx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "host/message.h"
#include "host/probe.h"
#include "host/vmx_priv.h"
#include "world/proc/child.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

#define DEBUG_EXIT_PORT 0xf4

static bool make_ram(struct vmx *v)
{
    uint64_t size = v->o->mem;

    v->ram_fd = memfd_create("btvmm-ram", MFD_CLOEXEC | MFD_EXEC);
    if (v->ram_fd < 0 && errno == EINVAL) /* before Linux 6.3 all are executable */
        v->ram_fd = memfd_create("btvmm-ram", MFD_CLOEXEC);
    void *p = MAP_FAILED;
    signal(SIGXFSZ, SIG_IGN); /* RLIMIT_FSIZE holds for memfds too: an error like any other */
    if (v->ram_fd >= 0 && ftruncate(v->ram_fd, (off_t)size) == 0)
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, v->ram_fd, 0);
    if (p == MAP_FAILED) {
        message("guest RAM of %llu MiB: %s", (unsigned long long)(size >> 20), strerror(errno));
        return false;
    }
    guestram_init(&v->ram, p, size);
    return true;
}

static bool make_cross(struct vmx *v)
{
    const struct options *o = v->o;
    struct timespec now;
    struct cross *x = mmap(NULL, sizeof *x, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (x == MAP_FAILED) {
        message("shared memory: %s", strerror(errno));
        return false;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    v->x = x;
    x->config.ram_size = o->mem;
    x->config.wallclock_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    x->config.user_exec = (uint32_t)o->user_exec; /* ORDER user-exec */
    x->config.host_has_nx = probe_nx();
    x->config.host_cpuid_faulting = probe_cpuid_faulting();
    x->config.host_int1_at = probe_int1_at();
    x->config.bt = o->bt;
    x->config.debug_exit_port = DEBUG_EXIT_PORT;
    x->config.profile = o->stats != 0;
    x->trace.mask = o->trace_mask;
    x->trace.lossless = o->trace_file != NULL;
    return true;
}

static FILE *open_report(const char *path)
{
    FILE *f = path ? fopen(path, "we") : stderr;

    if (!f)
        message("%s: %s", path, strerror(errno));
    return f;
}

static bool open_files(struct vmx *v)
{
    const struct options *o = v->o;
    char err[300];

    if (o->stats && !(v->stats_file = open_report(o->stats_file)))
        return false;
    if (o->trace_mask && !(v->trace.file = open_report(o->trace_file)))
        return false;
    if (o->symbols && !symbols_load(&v->symbols, o->symbols, err, sizeof err)) {
        message("%s", err);
        return false;
    }
    v->trace.symbols = &v->symbols;
    return true;
}

/* Direct code that may see the host's features must have a kernel that knows them: it saves their registers. */
static void choose_cpu_model(struct vmx *v)
{
    const struct options *o = v->o;
    struct cross_config *c = &v->x->config;
    bool shows_host = !c->host_cpuid_faulting && !v->world->own_xcr0;
    bool host = o->cpu == CPU_MODEL_HOST || (o->cpu == CPU_MODEL_AUTO && o->user_exec == USER_EXEC_AUTO && shows_host);

    snprintf(c->cpu_model, sizeof c->cpu_model, "%s", host ? "host" : "btvmm32");
    if (o->user_exec == USER_EXEC_DIRECT && shows_host && !host)
        message("warning: --user-exec=direct: this host can't trap CPUID, so user code may find AVX, which the guest's"
                " kernel won't save; --cpu=host is safe");
}

static bool start_vmm(struct vmx *v)
{
    const struct world_memory memory = {.cross = v->x, .ram_fd = v->ram_fd, .ram = v->ram.base};
    const char *why = "";

    v->world = world_choose((enum world_choice)v->o->world, &memory, &why);
    if (!v->world) {
        message("%s", why);
        return false;
    }
    choose_cpu_model(v);
    fflush(NULL); /* or the child would own a copy of what is buffered */
    v->vmm = v->world->start(&memory, &why);
    if (v->vmm < 0) {
        message("starting the VMM: %s", *why ? why : strerror((int)-v->vmm));
        return false;
    }
    return true;
}

static bool load(struct vmx *v)
{
    const char *name = v->images.kernel.name;

    if (boot_images_load(&v->images, &v->ram, &v->x->config.boot))
        return true;
    message("%s: %s", name, v->ram.err);
    return false;
}

bool vmx_reload(struct vmx *v)
{
    /* Drop all pages at once, if that may be; what the VMM has mapped goes too. */
    if (v->world->pins_ram ||
        fallocate(v->ram_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)v->ram.size))
        memset(v->ram.base, 0, v->ram.size);
    return load(v);
}

const struct symbols *vmx_symbols(struct vmx *v)
{
    if (!v->symbols.count && !v->o->symbols)
        symbols_of_elf(&v->symbols, v->images.kernel.data, v->images.kernel.size);
    return &v->symbols;
}

static bool read_images(struct vmx *v)
{
    const struct options *o = v->o;
    char err[300];

    if (!boot_images_read(&v->images, o->image, o->initrd, o->append, err, sizeof err)) {
        message("%s", err);
        return false;
    }
    if (v->trace.file)
        vmx_symbols(v);
    return true;
}

static bool start(struct vmx *v)
{
    if (!open_files(v) || !make_ram(v) || !make_cross(v) || !start_vmm(v))
        return false;
    if (!vmx_loop_prepare(v) || !read_images(v) || !load(v) || !console_open(&v->console, v->o->serial)) {
        vmx_kill(v);
        return false;
    }
    v->tsc_hz = clock_tsc_hz(&v->clock);
    v->x->config.tsc_hz = probe_invariant_tsc() ? v->tsc_hz : 0;
    v->trace.tsc_hz = v->tsc_hz;
    v->trace.tsc_start = __builtin_ia32_rdtsc();
    child_go(v->x);
    return true;
}

int vmx_run(const struct options *o)
{
    static struct vmx v;

    v.o = o;
    v.ram_fd = v.vmm_fd = v.signal_fd = v.doorbell_fd = -1;
    v.console.in = v.console.out = -1;
    clock_start(&v.clock);
    if (!start(&v))
        return 1;
    vmx_loop(&v);
    return vmx_end(&v);
}
