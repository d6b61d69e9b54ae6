/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Closing the sandbox around a view.
 *
 * The kernel view may use only the system calls that the monitor itself makes; anything else, and everything
 * that comes through the 32-bit or x32 interfaces, is turned into SIGSYS and so into a clear message.  A
 * process that gets past the monitor has guest RAM, its own memory, and nothing to talk to.
 *
 * A user view runs hostile code directly: what it may do for free is waiting, waking and returning from
 * signals.
 *
 * The runner of the ring-0 world executes nothing of the guest's; it may enter the VMM world, wait and wake.
 *
 * World: hosted.
 */
#include "world/proc/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))

static int caps_drop(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[2] = { 0 };

    return syscall(SYS_capset, &header, none) ? -errno : 0;
}

/* Close all but keep[]; descriptors are few and small numbers. */
static int fds_close(const int *keep, unsigned nkeep)
{
    unsigned from = 0;

    for (;;) {
        unsigned next = ~0u;
        for (unsigned i = 0; i < nkeep; i++)
            if ((unsigned)keep[i] >= from && (unsigned)keep[i] < next)
                next = (unsigned)keep[i];
        if (next > from && syscall(SYS_close_range, from, next - 1, 0))
            return -errno;
        if (next == ~0u)
            return 0;
        from = next + 1;
    }
}

int sandbox_drop(const int *keep, unsigned nkeep)
{
    int err = fds_close(keep, nkeep);

    if (err)
        return err;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        return -errno;
    if ((err = caps_drop()))
        return err;
    return prctl(PR_SET_PDEATHSIG, SIGKILL) ? -errno : 0; /* late, because changed credentials can clear it */
}

static int filter_install(struct sock_filter *code, unsigned short n)
{
    struct sock_fprog prog = { .len = n, .filter = code };

    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) ? -errno : 0;
}

static void put(struct sock_filter *code, unsigned *n, struct sock_filter insn) { code[(*n)++] = insn; }

/* If the number is nr, answer by what follows; else go on behind it (skip instructions further). */
static void put_unless(struct sock_filter *code, unsigned *n, uint32_t nr, uint8_t skip)
{
    put(code, n, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, skip));
}

static void put_arch(struct sock_filter *code, unsigned *n)
{
    put(code, n, (struct sock_filter)LOAD(arch));
    put(code, n, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
    put(code, n, (struct sock_filter)RETURN(SECCOMP_RET_TRAP));
    put(code, n, (struct sock_filter)LOAD(nr));
}

static void put_allowed(struct sock_filter *code, unsigned *n, const uint32_t *nrs, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        put_unless(code, n, nrs[i], 1);
        put(code, n, (struct sock_filter)RETURN(SECCOMP_RET_ALLOW));
    }
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int sandbox_filter_kernel(const int *pids, unsigned npids)
{
    static const uint32_t free_nrs[] = { SYS_futex,           SYS_mmap,          SYS_munmap,
                                         SYS_mprotect,        SYS_timer_settime, SYS_rt_sigtimedwait,
                                         SYS_clock_gettime,   SYS_modify_ldt,    SYS_madvise,
                                         SYS_rt_sigreturn,    SYS_restart_syscall, SYS_exit_group,
                                         SYS_rt_sigprocmask };
    struct sock_filter code[64];
    unsigned n = 0;

    if (npids > 8)
        return -EINVAL;
    put_arch(code, &n);
    put_allowed(code, &n, free_nrs, COUNT(free_nrs));
    put(code, &n, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 1, 0));
    put_unless(code, &n, SYS_rt_tgsigqueueinfo, (uint8_t)(1 + 2 * npids));
    put(code, &n, (struct sock_filter)LOAD(args[0]));
    for (unsigned i = 0; i < npids; i++) {
        put_unless(code, &n, (uint32_t)pids[i], 1);
        put(code, &n, (struct sock_filter)RETURN(SECCOMP_RET_ALLOW));
    }
    put(code, &n, (struct sock_filter)RETURN(SECCOMP_RET_TRAP));
    return filter_install(code, (unsigned short)n);
}

static void put_argument(struct sock_filter *code, unsigned *n, unsigned i, uint32_t want, uint32_t otherwise)
{
    uint32_t off = (uint32_t)(offsetof(struct seccomp_data, args) + 8 * i);

    put(code, n, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, off));
    put(code, n, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, want, 1, 0));
    put(code, n, (struct sock_filter)RETURN(otherwise));
}

int sandbox_filter_runner(int fd, unsigned long request)
{
    static const uint32_t free_nrs[] = { SYS_futex, SYS_rt_sigreturn, SYS_restart_syscall, SYS_exit_group };
    struct sock_filter code[32];
    unsigned n = 0;

    put_arch(code, &n);
    put_allowed(code, &n, free_nrs, COUNT(free_nrs));
    put_unless(code, &n, SYS_ioctl, 7); /* to the refusal at the end */
    put_argument(code, &n, 0, (uint32_t)fd, SECCOMP_RET_KILL_PROCESS);
    put_argument(code, &n, 1, (uint32_t)request, SECCOMP_RET_KILL_PROCESS);
    put(code, &n, (struct sock_filter)RETURN(SECCOMP_RET_ALLOW));
    put(code, &n, (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS));
    return filter_install(code, (unsigned short)n);
}

/* The upper half of argument i must be `want`. */
static void put_cookie(struct sock_filter *code, unsigned *n, unsigned i, uint32_t want)
{
    uint32_t off = (uint32_t)(offsetof(struct seccomp_data, args) + 8 * i + 4);

    put(code, n, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, off));
    put(code, n, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, want, 1, 0));
    put(code, n, (struct sock_filter)RETURN(SECCOMP_RET_TRAP));
}

int sandbox_filter_user(const uint32_t cookie[2])
{
    static const uint32_t free_nrs[] = { SYS_rt_sigreturn, SYS_restart_syscall };
    static const uint32_t guarded[] = { SYS_mmap, SYS_munmap, SYS_mprotect, SYS_modify_ldt };
    struct sock_filter code[64];
    unsigned n = 0;

    put_arch(code, &n);
    put_allowed(code, &n, free_nrs, COUNT(free_nrs));
    /* Of futex only WAIT and WAKE (0 and 1). */
    put_unless(code, &n, SYS_futex, 4);
    put(code, &n, (struct sock_filter)LOAD(args[1]));
    put(code, &n, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, FUTEX_WAKE, 0, 1));
    put(code, &n, (struct sock_filter)RETURN(SECCOMP_RET_TRAP));
    put(code, &n, (struct sock_filter)RETURN(SECCOMP_RET_ALLOW));
    for (unsigned i = 0; i < COUNT(guarded); i++)
        put(code, &n,
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, guarded[i], (uint8_t)(COUNT(guarded) - i),
                                         0));
    put(code, &n, (struct sock_filter)RETURN(SECCOMP_RET_TRAP));
    put_cookie(code, &n, 3, cookie[0]); /* the last of the guarded jumps lands here */
    put_cookie(code, &n, 4, cookie[1]);
    put(code, &n, (struct sock_filter)RETURN(SECCOMP_RET_ALLOW));
    return filter_install(code, (unsigned short)n);
}
