/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Closing the sandbox around a view.
 *
 * The kernel view may use only the system calls that the monitor itself makes; anything else, and everything that comes
 * through the 32-bit or x32 interfaces, is turned into SIGSYS and so into a clear message.  A process that gets past the
 * monitor has guest RAM, its own memory, and nothing to talk to.
 *
 * World: hosted.
 */
#include "world/proc/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define ALLOW_NR(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), RETURN(SECCOMP_RET_ALLOW)

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
    return caps_drop();
}

static int filter_install(struct sock_filter *code, unsigned short n)
{
    struct sock_fprog prog = { .len = n, .filter = code };

    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) ? -errno : 0;
}

int sandbox_filter_kernel(void)
{
    struct sock_filter code[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        RETURN(SECCOMP_RET_TRAP),
        LOAD(nr),
        ALLOW_NR(SYS_mmap),
        ALLOW_NR(SYS_munmap),
        ALLOW_NR(SYS_mprotect),
        ALLOW_NR(SYS_futex),
        ALLOW_NR(SYS_timer_settime),
        ALLOW_NR(SYS_clock_gettime),
        ALLOW_NR(SYS_modify_ldt),
        ALLOW_NR(SYS_madvise),
        ALLOW_NR(SYS_rt_sigreturn),
        ALLOW_NR(SYS_restart_syscall),
        ALLOW_NR(SYS_exit_group),
        RETURN(SECCOMP_RET_TRAP),
    };

    return filter_install(code, sizeof code / sizeof code[0]);
}
