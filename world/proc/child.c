/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMX's child, in either world: how it begins, how it is woken, and how it says that it can't go on.
 *
 * A kick may come as soon as the pid is known, and must find the child's handler: so the child is born with all signals
 * blocked, and lets them in when its handlers are there.  Its only voice is the cross page.
 *
 * World: hosted.
 */
#include "world/proc/child.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

pid_t child_fork(const char **why)
{
    pid_t parent = getpid(), pid;
    sigset_t all, old;
    int err;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &old);
    pid = fork();
    if (!pid) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
            _exit(1);
        return 0;
    }
    err = -errno;
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (pid > 0)
        return pid;
    *why = "host: fork failed";
    return err;
}

/* Who rings stores, then looks; so does who waits: hence the full barrier. */
void child_ring(volatile uint32_t *word)
{
    __atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void child_fail(struct cross *c, enum vm_stop_kind kind, const char *format, ...)
{
    va_list ap;

    if (__atomic_load_n(&c->stopped, __ATOMIC_ACQUIRE) == VM_RUNNING) {
        va_start(ap, format);
        if (!c->stop_msg[0])
            vsnprintf(c->stop_msg, sizeof c->stop_msg, format, ap);
        va_end(ap);
        __atomic_store_n(&c->stopped, kind, __ATOMIC_RELEASE);
    }
    child_ring(&c->doorbell);
}

void child_go(struct cross *cross)
{
    child_ring(&cross->started);
}

void child_kick(struct cross *cross, pid_t pid)
{
    child_ring(&cross->wake);
    kill(pid, SIGUSR1);
}
