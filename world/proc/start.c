/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting the process world: the VMX forks the kernel view, which builds its address space and closes its
 * sandbox.
 *
 * World: hosted.  The child runs libc code until proc_main(), on the ordinary stack; from then on it is
 * monitor code on the stack block of kview.h and never comes back.  Whatever goes wrong before is told
 * through the cross page (VM_STOP_HOST), because the child has no other voice.
 *
 * Layout of the kernel view: below 4 GiB nothing but guest pages and the window; above, everything that was
 * there at the fork plus guest RAM (whole, writable), the window's writable alias, the arena and the stack
 * block.
 */
#define _GNU_SOURCE
#include "world/proc/proc.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cpuid.h>

#include "world/proc/child.h"
#include "world/proc/filter.h"
#include "world/proc/kview.h"
#include "world/proc/uview.h"

#define HWCAP2_FSGSBASE_BIT 2u /* AT_HWCAP2: user code may use RDFSBASE and friends */
#define FOUR_GIB (1ul << 32)

static size_t xsave_area_size(void)
{
    unsigned a, b, c, d;

    __cpuid_count(0xd, 0, a, b, c, d);
    (void)a, (void)b, (void)d;
    return c;
}

static bool cpu_has_xsavec(void)
{
    unsigned a, b, c, d;

    __cpuid_count(0xd, 1, a, b, c, d);
    (void)b, (void)c, (void)d;
    return a & 2;
}

int proc_world_probe(const char **why)
{
    unsigned a, b, c = 0, d;
    char entry[16];

    *why = "";
    if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT))
        return *why =
                   "host: the kernel does not let user code set the FS base (FSGSBASE; Linux 5.9 or later)",
               -ENOSYS;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return *why = "host: no XSAVE", -ENOSYS;
    if (syscall(SYS_modify_ldt, 0, entry, sizeof entry) < 0)
        return *why = "host: no modify_ldt (CONFIG_MODIFY_LDT_SYSCALL)", -errno;
    return 0;
}

static void *map_anon(size_t size, int flags)
{
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

/* A block of STACK_BLOCK bytes aligned to its size, guard pages unmapped to PROT_NONE. */
static uint8_t *stack_block_make(struct world *w)
{
    uint8_t *raw = mmap(NULL, 2 * STACK_BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint8_t *block;

    if (raw == MAP_FAILED)
        return NULL;
    block = (uint8_t *)(((uintptr_t)raw + STACK_BLOCK - 1) & ~(STACK_BLOCK - 1));
    if (mprotect(block, PAGE_SIZE, PROT_READ | PROT_WRITE) ||
        mprotect(block + STACK_SIG_OFF, STACK_SIG_SIZE, PROT_READ | PROT_WRITE) ||
        mprotect(block + STACK_MON_OFF, STACK_BLOCK - STACK_MON_OFF, PROT_READ | PROT_WRITE))
        return NULL;
    *(struct world **)block = w;
    return block;
}

/* Nothing may lie below 4 GiB: it would be in the guest's reach. */
static int low_memory_check(struct world *w)
{
    FILE *f = fopen("/proc/sys/vm/mmap_min_addr", "re");
    unsigned long min = 65536;
    void *p;

    if (f) {
        if (fscanf(f, "%lu", &min) != 1)
            min = 65536;
        fclose(f);
    }
    if (min < PAGE_SIZE)
        min = 0;
    w->min_gla = (gla_t)((min + PAGE_MASK) & ~(unsigned long)PAGE_MASK);
    p = mmap((void *)(uintptr_t)w->min_gla, FOUR_GIB - w->min_gla, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (p == MAP_FAILED)
        return -errno;
    if (p != (void *)(uintptr_t)w->min_gla)
        return munmap(p, FOUR_GIB - w->min_gla), -EEXIST;
    return munmap(p, FOUR_GIB - w->min_gla) ? -errno : 0;
}

static bool win_map(struct world *w, uint32_t at, size_t size, int prot)
{
    return mmap((void *)(uintptr_t)at, size, prot, MAP_SHARED | MAP_FIXED, w->win_fd, at - WIN_BASE) !=
           MAP_FAILED;
}

static int window_make(struct world *w)
{
    w->win_fd = memfd_create("btvmm-window", MFD_CLOEXEC);
    if (w->win_fd < 0 || ftruncate(w->win_fd, WIN_SIZE))
        return -errno;
    w->win_rw = mmap(NULL, WIN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, w->win_fd, 0);
    if (w->win_rw == MAP_FAILED)
        return -errno;
    proc_stub_init(w->win_rw + (WIN_STUBS - WIN_BASE));
    if (!win_map(w, WIN_DATA, WIN_DATA_SIZE, PROT_READ | PROT_WRITE) ||
        !win_map(w, WIN_STUBS, WIN_STUBS_SIZE, PROT_READ | PROT_EXEC) ||
        !win_map(w, WIN_TC, WIN_TC_END - WIN_TC, PROT_READ | PROT_EXEC))
        return -errno;
    return 0;
}

static int vm_make(struct world *w)
{
    struct cross *c = w->cross;
    uint8_t *arena = map_anon(ARENA_SIZE, MAP_NORESERVE);
    struct vm *vm;

    if (arena == MAP_FAILED)
        return -errno;
    vm = (struct vm *)arena;
    arena_init(&vm->arena, arena + PAGE_SIZE, ARENA_SIZE - PAGE_SIZE);
    vm->ram_size = c->config.ram_size;
    vm->ram = mmap(NULL, vm->ram_size, PROT_READ | PROT_WRITE, MAP_SHARED, w->ram_fd, 0);
    if (vm->ram == MAP_FAILED)
        return -errno;
    vm->stats = &c->stats;
    vm->trace = &c->trace;
    vm->cross = c;
    vm->world = w;
    vm->vcpu = arena_alloc(&vm->arena, sizeof *vm->vcpu, 64);
    vm->vcpu->vm = vm;
    w->vm = vm;
    return 0;
}

static int signals_make(struct world *w, uint8_t *block)
{
    static const int sync[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS };
    static const int async[] = { SIGALRM, SIGUSR1, SIGCHLD };
    static const int ignored[] = { SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGPIPE, SIGUSR2 };
    stack_t alt = { .ss_sp = block + STACK_SIG_OFF, .ss_size = STACK_SIG_SIZE };
    struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_NOCLDSTOP };
    struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
    sigset_t none, events;

    sigemptyset(&none);
    sigemptyset(&events);
    for (unsigned i = 0; i < ARRAY_SIZE(async); i++)
        sigaddset(&events, async[i]);
    if (sigaltstack(&alt, NULL))
        return -errno;
    for (unsigned i = 0; i < ARRAY_SIZE(ignored); i++)
        signal(ignored[i], SIG_IGN);
    for (unsigned i = 0; i < ARRAY_SIZE(sync); i++) {
        sa.sa_sigaction = (void (*)(int, siginfo_t *, void *))proc_signal_sync;
        sa.sa_mask = none;
        if (sigaction(sync[i], &sa, NULL))
            return -errno;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(async); i++) {
        sa.sa_sigaction = (void (*)(int, siginfo_t *, void *))proc_signal_async;
        sa.sa_mask = events;
        if (sigaction(async[i], &sa, NULL))
            return -errno;
    }
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &w->timer))
        return -errno;
    return sigprocmask(SIG_SETMASK, &none, NULL) ? -errno : 0;
}

static int fence_make(struct world *w)
{
    w->xsave_size = (uint32_t)xsave_area_size();
    w->has_xsavec = cpu_has_xsavec();
    w->fence_area = map_anon((w->xsave_size + PAGE_MASK) & ~(size_t)PAGE_MASK, 0);
    w->host_fs = rdfsbase();
    __asm__("mov %%cs, %0" : "=r"(w->cs64));
    return w->fence_area == MAP_FAILED ? -errno : 0;
}

/* On the monitor's stack from here on. */
__attribute__((noreturn)) static void switch_stack(struct world *w, uint8_t *block)
{
    uint64_t top = (uint64_t)block + STACK_BLOCK - 64;

    __asm__ volatile("mov %0, %%rsp\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "call *%1"
                     :
                     : "r"(top), "r"(proc_main), "D"(w)
                     : "memory");
    __builtin_unreachable();
}

/* The C library's restartable sequences area (glibc 2.35): the kernel writes to it at every preemption. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned __rseq_size __attribute__((weak));
#define RSEQ_SIGNATURE 0x53053053u
#define RSEQ_UNREGISTER 1
#define RSEQ_LENGTH 32u /* what glibc registers, whatever __rseq_size says is in use */

/* A user view unmaps that area, and nobody needs it in the kernel view either. */
static int rseq_drop(void)
{
    uint8_t *area = (uint8_t *)rdfsbase() + (&__rseq_offset ? __rseq_offset : 0);
    unsigned len = &__rseq_size && __rseq_size > RSEQ_LENGTH ? __rseq_size : RSEQ_LENGTH;

    if (!&__rseq_offset || !&__rseq_size || !__rseq_size)
        return 0;
    return syscall(SYS_rseq, area, len, RSEQ_UNREGISTER, RSEQ_SIGNATURE) ? -errno : 0;
}

/* Before anything of the kernel view exists.  Where the host has no user views (say, because it seals its own
 * mappings), user code runs translated unless direct execution was asked for. */
static int user_views_build(struct world *w)
{
    const struct cross_config *c = &w->cross->config;
    int err;

    if (c->user_exec == USER_EXEC_TRANSLATE)
        return 0;
    err = uviews_make(w, UVIEWS_MAX, c->host_cpuid_faulting);
    return c->user_exec == USER_EXEC_DIRECT ? err : 0;
}

static int kernel_view_build(struct world *w, const char **what)
{
    int pids[UVIEWS_MAX];
    uint8_t *block;
    int err;

    if (*what = "an empty low 4 GiB", (err = low_memory_check(w)))
        return err;
    if (*what = "rid of restartable sequences", (err = rseq_drop()))
        return err;
    if (*what = "user views", (err = user_views_build(w)))
        return err;
    if (*what = "the window", (err = window_make(w)))
        return err;
    if (*what = "guest RAM", (err = vm_make(w)))
        return err;
    if (*what = "the FPU fence", (err = fence_make(w)))
        return err;
    if (*what = "stacks", !(block = stack_block_make(w)))
        return -ENOMEM;
    if (*what = "signals", (err = signals_make(w, block)))
        return err;
    if (*what = "descriptors", (err = (int)proc_ldt_init(w)))
        return err;
    if (*what = "the sandbox", (err = sandbox_drop((int[]){ w->ram_fd, w->win_fd }, 2)))
        return err;
    for (unsigned i = 0; i < w->uviews; i++)
        pids[i] = w->u->view[i].pid;
    if (*what = "the system call filter", (err = sandbox_filter_kernel(pids, w->uviews)))
        return err;
    switch_stack(w, block);
}

__attribute__((noreturn)) static void kernel_view(const struct proc_world_params *p)
{
    struct world *w = map_anon((sizeof *w + PAGE_MASK) & ~(size_t)PAGE_MASK, 0);
    const char *what = "memory";
    int err = -ENOMEM;

    if (w != MAP_FAILED) {
        w->cross = p->cross;
        w->ram_fd = p->ram_fd;
        err = kernel_view_build(w, &what);
    }
    child_fail(p->cross, VM_STOP_HOST, "host: the process world could not get %s: %s", what, strerror(-err));
    _exit(1);
}

pid_t proc_world_start(const struct proc_world_params *p, const char **why)
{
    int err = proc_world_probe(why);
    pid_t pid;

    if (err)
        return err;
    pid = child_fork(why);
    if (!pid)
        kernel_view(p);
    return pid;
}
