// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Starting the ring-0 world: from the device to a runner in its sandbox.
 *
 * Whether this host has that world at all is found out in the VMX, where it can still choose another; the device
 * itself is opened and the memory pinned by the runner, whose death then frees everything.  What
 * goes wrong there is told through the cross page (VM_STOP_HOST).
 *
 * World: hosted.
 */
#include "world/ring0/vmx.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "world/proc/child.h"
#include "world/proc/filter.h"
#include "world/ring0/runner.h"

#define MIB(bytes) ((unsigned long)((bytes) + (1ul << 20) - 1) >> 20)

static uint64_t shared_size(void) { return (sizeof(struct cross) + PAGE_MASK) & ~(uint64_t)PAGE_MASK; }

static uint64_t pinned_size(const struct ring0_world_params *p)
{
    uint64_t sum = p->cross->config.ram_size + shared_size() + RING0_PRIVATE_SIZE;

    return sum + BTMON_EXTRA(sum);
}

/* ------------------------------------------------------------------ probing */

static const char *open_problem(int err)
{
    switch (err) {
    case ENOENT:
    case ENXIO:
    case ENODEV:
        return "the ring-0 world needs the kernel module btmon: no " BTMON_DEVICE " (as root: modprobe btmon, or insmod btmon.ko)";
    case EACCES:
    case EPERM:
        return "no permission to use " BTMON_DEVICE " (its group may)";
    case EOPNOTSUPP:
        return "the kernel module btmon makes no VMs on this host any more: the kernel's log says why (is it locked down?)";
    default:
        return NULL;
    }
}

/* The descriptor, or a negative errno with *why set.  `text` is the caller's room for it. */
static int device_open(char *text, size_t size, const char **why)
{
    int fd = open(BTMON_DEVICE, O_RDWR | O_CLOEXEC), version, err;

    *why = text;
    if (fd < 0) {
        err = errno;
        snprintf(text, size, BTMON_DEVICE ": %s", strerror(err));
        if (open_problem(err))
            *why = open_problem(err);
        return -err;
    }
    version = ioctl(fd, BTMON_GET_VERSION);
    if (version == (int)BTMON_VERSION)
        return fd;
    if (version < 0)
        snprintf(text, size, BTMON_DEVICE " is not the device of the kernel module btmon");
    else
        snprintf(text, size, "the kernel module btmon that is loaded has version %d, this btvmm needs %u: load the one"
                 " that came with it", version, BTMON_VERSION);
    close(fd);
    return -EPROTO;
}

static bool may_lock_anything(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct caps[2] = { 0 };

    return !syscall(SYS_capget, &header, caps) && caps[0].effective >> CAP_IPC_LOCK & 1;
}

static int limit_check(uint64_t need, char *text, size_t size)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur >= need || may_lock_anything())
        return 0;
    snprintf(text, size, "the ring-0 world pins %lu MiB of memory here, RLIMIT_MEMLOCK allows %lu MiB: `ulimit -l %lu` first",
             MIB(need), (unsigned long)(limit.rlim_cur >> 20), MIB(need) << 10);
    return -ENOMEM;
}

/* What Linux believes could be had without swapping, in KiB. */
static unsigned long memory_available(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    unsigned long kib = ULONG_MAX, found;
    char line[128];

    while (f && kib == ULONG_MAX && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %lu kB", &found) == 1)
            kib = found;
    if (f)
        fclose(f);
    return kib;
}

/* Pinning what is not there has Linux look for a process to kill, rather than fail. */
static int memory_check(const struct ring0_world_params *p, char *text, size_t size)
{
    uint64_t need = pinned_size(p);
    unsigned long kib = memory_available();

    if (kib >= need >> 10)
        return limit_check(need, text, size);
    snprintf(text, size, "the ring-0 world pins %lu MiB of memory here, %lu MiB are available", MIB(need), kib >> 10);
    return -ENOMEM;
}

int ring0_world_probe(const struct ring0_world_params *p, const char **why)
{
    static char text[200];
    int fd = device_open(text, sizeof text, why);

    if (fd < 0)
        return fd;
    close(fd);
    *why = text;
    return memory_check(p, text, sizeof text);
}

/* --------------------------------------------------------------- the runner */

static struct runner runner; /* of this process: its signal handler has no other way to it */

static void kicked(int signo)
{
    (void)signo;
    runner_interrupted(&runner);
}

static int enter(int fd, struct btmon_run *run) { return ioctl(fd, BTMON_RUN, run) < 0 ? -errno : 0; }

static int vm_create(const struct ring0_world_params *p, int fd)
{
    const struct btmon_create create = {
        .version = BTMON_VERSION,
        .ram_addr = (uint64_t)(uintptr_t)p->ram,
        .ram_size = p->cross->config.ram_size,
        .shared_addr = (uint64_t)(uintptr_t)p->cross,
        .shared_size = shared_size(),
        .private_size = RING0_PRIVATE_SIZE,
    };

    return ioctl(fd, BTMON_CREATE, &create) < 0 ? -errno : 0;
}

static int signals_make(void)
{
    static const int ignored[] = { SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGPIPE, SIGUSR2, SIGALRM, SIGTSTP };
    struct sigaction sa = { .sa_handler = kicked }; /* no SA_RESTART: a kick ends the call */

    sigemptyset(&sa.sa_mask);
    for (unsigned i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    if (sigaction(SIGUSR1, &sa, NULL))
        return -errno;
    return sigprocmask(SIG_SETMASK, &sa.sa_mask, NULL) ? -errno : 0;
}

static int sandbox_close(int fd)
{
    int err = sandbox_drop(&fd, 1);

    return err ? err : sandbox_filter_runner(fd, BTMON_RUN);
}

static void wait_for_start(struct cross *c)
{
    while (!__atomic_load_n(&c->started, __ATOMIC_ACQUIRE) && !c->host_stop)
        syscall(SYS_futex, &c->started, FUTEX_WAIT, 0, NULL, NULL, 0);
}

__attribute__((noreturn)) static void runner_process(const struct ring0_world_params *p)
{
    struct cross *c = p->cross;
    char text[200];
    const char *why;
    int fd = device_open(text, sizeof text, &why), err;

    if (fd < 0)
        child_fail(c, VM_STOP_HOST, "%s", why);
    else if ((err = vm_create(p, fd)) == -ENOMEM)
        child_fail(c, VM_STOP_HOST, "not enough memory for the ring-0 world, which pins %lu MiB here", MIB(pinned_size(p)));
    else if (err)
        child_fail(c, VM_STOP_HOST, "the ring-0 world could not be made: %s", strerror(-err));
    else if ((err = signals_make()) || (err = sandbox_close(fd)))
        child_fail(c, VM_STOP_HOST, "the ring-0 world's sandbox could not be closed: %s", strerror(-err));
    else {
        runner = (struct runner){ .cross = c, .fd = fd, .enter = enter, .wake_seen = c->wake };
        wait_for_start(c);
        if (c->host_stop)
            child_fail(c, VM_STOP_HOST, "stopped before the start");
        else
            runner_loop(&runner);
    }
    _exit(c->stopped == VM_STOP_HOST);
}

pid_t ring0_world_start(const struct ring0_world_params *p, const char **why)
{
    int err = ring0_world_probe(p, why);
    pid_t pid;

    if (err)
        return err;
    pid = child_fork(why);
    if (!pid)
        runner_process(p);
    return pid;
}
