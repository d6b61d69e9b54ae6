/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making the user views, before the kernel view closes its sandbox.
 *
 * World: hosted.  Each view is a child of the kernel view.  It copies the stub into its block, installs
 * handlers, descriptors and filter, and then jumps into the stub, which unmaps everything else; from then on
 * no line of libc or of this program exists in it.  Its first trap, at the end of that, is what the kernel
 * view waits for.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "world/proc/filter.h"
#include "world/proc/uview.h"

#define LOW_END (1ul << 32)
#define HIGH_END                                                                                             \
    0x7ffffffff000ul /* user addresses end here (with 4-level page tables nothing can lie above) */
#define READY_TIMEOUT_S 5

/* rt_sigaction(2) as the kernel has it. */
struct kernel_sigaction {
    uint64_t handler, flags, restorer, mask;
};
#define KERNEL_SA_RESTORER 0x04000000ul

/* Where a function of the stub lies in the block. */
static uint64_t stub_address(const uint8_t *block, const void *function)
{
    return (uint64_t)block + UCODE_OFF + ((uint64_t)function - (uint64_t)__start_ustub);
}

static int handler_set(const uint8_t *block, int sig, const void *function, uint64_t mask)
{
    struct kernel_sigaction sa = { .handler = stub_address(block, function),
                                   .flags = SA_SIGINFO | SA_ONSTACK | KERNEL_SA_RESTORER,
                                   .restorer = stub_address(block, ustub_restorer),
                                   .mask = mask };

    return syscall(SYS_rt_sigaction, sig, &sa, NULL, 8) ? -errno : 0;
}

static int handlers_set(uint8_t *block)
{
    static const int traps[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, USIG_KICK };
    static const int ignored[] = { SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGPIPE };
    stack_t alt = { .ss_sp = block + USTACK_OFF, .ss_size = USTACK_SIZE };
    uint64_t all_but_orders = ~(1ull << (USIG_ORDERS - 1));
    sigset_t none;
    int err;

    for (unsigned i = 0; i < ARRAY_SIZE(ignored); i++)
        signal(ignored[i], SIG_IGN);
    for (unsigned i = 0; i < ARRAY_SIZE(traps); i++)
        if ((err = handler_set(block, traps[i], ustub_trap, all_but_orders)))
            return err;
    if ((err = handler_set(block, USIG_ORDERS, ustub_orders, ~0ull)))
        return err;
    sigemptyset(&none);
    return sigaltstack(&alt, NULL) || sigprocmask(SIG_SETMASK, &none, NULL) ? -errno : 0;
}

static int ldt_set(void)
{
    /* entry, base, limit, flags: 32-bit, (code, readable), pages, useable */
    static const uint32_t entries[ULDT_ENTRIES][4] = {
        { ULDT_CS >> 3, 0, 0xfffff, 1 | 2 << 1 | 1 << 4 | 1 << 6 },
        { ULDT_FLAT >> 3, 0, 0xfffff, 1 | 1 << 4 | 1 << 6 },
        { ULDT_FS >> 3, 0, 0, 1 | 1 << 6 },
        { ULDT_GS >> 3, 0, 0, 1 | 1 << 6 },
    };

    for (unsigned i = 0; i < ULDT_ENTRIES; i++)
        if (syscall(SYS_modify_ldt, 0x11, entries[i], sizeof entries[i]))
            return -errno;
    return 0;
}

/* Into the stub for ever. */
__attribute__((noreturn)) static void stub_enter(const uint8_t *block, const uint32_t cookie[2])
{
    uint64_t block_end = (uint64_t)block + UBLOCK;
    register uint64_t second asm("r12") = block_end;
    register uint64_t second_len asm("r13") = HIGH_END - block_end;
    register uint64_t c0 asm("r10") = (uint64_t)cookie[0] << 32;
    register uint64_t c1 asm("r8") = (uint64_t)cookie[1] << 32;

    __asm__ volatile("jmp *%0"
                     :
                     : "b"(stub_address(block, ustub_empty)), "D"(LOW_END), "S"((uint64_t)block - LOW_END),
                       "r"(second), "r"(second_len), "r"(c0), "r"(c1)
                     : "memory");
    __builtin_unreachable();
}

static int view_build(struct world *w, pid_t parent, uint8_t *block, const uint32_t cookie[2],
                      bool cpuid_faulting)
{
    uint8_t *code = block + UCODE_OFF;
    size_t size = (size_t)(__stop_ustub - __start_ustub);
    int err;

    if (size > UCODE_SIZE)
        return -E2BIG;
    if (mmap(code, UCODE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED)
        return -errno;
    memset(code, 0xcc, UCODE_SIZE);
    memcpy(code, __start_ustub, size);
    if (mprotect(code, UCODE_SIZE, PROT_READ | PROT_EXEC) || mprotect(block, UORDERS_SIZE, PROT_READ))
        return -errno;
    if ((err = handlers_set(block)) || (err = ldt_set()) || (err = sandbox_drop(&w->ram_fd, 1)))
        return err;
    if (getppid() != parent)
        return -ESRCH;
    if (cpuid_faulting)
        syscall(SYS_arch_prctl, ARCH_SET_CPUID,
                0); /* its absence is one of direct execution's known limits */
    if ((err = sandbox_filter_user(cookie)))
        return err;
    stub_enter(block, cookie);
}

static int view_start(struct world *w, struct uview *u, const uint32_t cookie[2], bool cpuid_faulting)
{
    uint8_t *raw = mmap(NULL, 2 * UBLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            *block;
    pid_t parent = getpid();

    if (raw == MAP_FAILED)
        return -errno;
    block = (uint8_t *)(((uintptr_t)raw + UBLOCK - 1) & ~(UBLOCK - 1));
    if (mmap(block, UBLOCK_SHARED, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED)
        return -errno;
    u->o = (struct uorders *)block;
    u->x = (struct uexch *)(block + UEXCH_OFF);
    u->o->ram_fd = (uint32_t)w->ram_fd;
    u->x->turn = UTURN_USER;
    u->pid = fork();
    if (u->pid < 0)
        return -errno;
    if (u->pid)
        return 0;
    u->x->failed = (uint32_t)-view_build(w, parent, block, cookie, cpuid_faulting);
    syscall(SYS_futex, &u->x->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
    _exit(1);
}

/* Its first trap must be the stub's last instruction, with both unmaps done. */
static int view_wait(struct uview *u)
{
    const struct timespec timeout = { READY_TIMEOUT_S, 0 };
    struct sig_ucontext *uc;

    while (u->x->turn == UTURN_USER && !u->x->failed)
        if (syscall(SYS_futex, &u->x->turn, FUTEX_WAIT, UTURN_USER, &timeout, NULL, 0) && errno == ETIMEDOUT)
            return -ETIMEDOUT;
    if (u->x->failed)
        return -(int)u->x->failed;
    uc = u->x->frame;
    if (u->x->sig != SIGILL)
        return -EPROTO;
    return uc->mc.r14 ? (int)uc->mc.r14 : (int)uc->mc.ax;
}

/* A hand-off by futex is cheap on one CPU only. */
static void pin(void)
{
    cpu_set_t set;
    unsigned cpu;

    if (syscall(SYS_getcpu, &cpu, NULL, NULL))
        return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set); /* best effort */
}

int uviews_make(struct world *w, unsigned n, bool cpuid_faulting)
{
    size_t size = (sizeof *w->u + PAGE_MASK) & ~(size_t)PAGE_MASK;
    uint32_t cookie[2];
    uint64_t key[2];
    int err = 0;

    if (!n)
        return 0;
    if (getrandom(key, sizeof key, 0) != sizeof key || getrandom(cookie, sizeof cookie, 0) != sizeof cookie)
        return -errno;
    w->u = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (w->u == MAP_FAILED)
        return -errno;
    pin();
    for (unsigned i = 0; i < n && !err; i++)
        err = view_start(w, &w->u->view[i], cookie, cpuid_faulting);
    for (unsigned i = 0; i < n && !err; i++)
        err = view_wait(&w->u->view[i]);
    if (err) {
        for (unsigned i = 0; i < n; i++)
            if (w->u->view[i].pid > 0)
                kill(w->u->view[i].pid, SIGKILL);
        return err;
    }
    memcpy(w->u->cookie, cookie, sizeof cookie);
    memcpy(w->u->key, key, sizeof key);
    w->uviews = n;
    return 0;
}
