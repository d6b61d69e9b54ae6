/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMX's event loop.
 *
 * The main thread sleeps in poll() on: the terminal, signals (signalfd), the
 * VMM's death (pidfd), and an eventfd that the doorbell thread writes.  That
 * thread does nothing else but wait on the futex word cross->doorbell.
 *
 * Ending the VM is a request like any other (host_stop); a VMM that does not
 * answer within two seconds is killed.  The loop ends when the VMM has been
 * waited for and all of its output has been written.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/message.h"
#include "host/vmx_priv.h"
#include "world/proc/child.h"

#define STOP_GRACE_MS 2000
#define TRACE_POLL_MS 20

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void *doorbell_thread(void *opaque)
{
    struct vmx *v = opaque;
    const uint64_t one = 1;
    uint32_t seen = 0;

    for (;;) {
        uint32_t now = __atomic_load_n(&v->x->doorbell, __ATOMIC_ACQUIRE);
        if (now == seen) {
            syscall(SYS_futex, &v->x->doorbell, FUTEX_WAIT, seen, NULL, NULL, 0);
            continue;
        }
        seen = now;
        if (write(v->doorbell_fd, &one, sizeof one) < 0 && errno != EAGAIN && errno != EINTR)
            return NULL;
    }
}

static void handled_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGUSR1);
    sigaddset(set, SIGUSR2);
    sigaddset(set, SIGCONT);
}

bool vmx_loop_prepare(struct vmx *v)
{
    sigset_t set;
    pthread_t thread;
    int e = 0;

    signal(SIGPIPE, SIG_IGN);
    handled_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    v->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    v->doorbell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    v->vmm_fd = (int)syscall(SYS_pidfd_open, v->vmm, 0);
    if (v->signal_fd < 0 || v->doorbell_fd < 0 || v->vmm_fd < 0)
        e = errno;
    else
        e = pthread_create(&thread, NULL, doorbell_thread, v);
    if (e)
        message("starting the VMX: %s", strerror(e));
    else
        pthread_detach(thread);
    return e == 0;
}

static void wait_for_vmm(struct vmx *v)
{
    while (waitpid(v->vmm, &v->vmm_status, 0) < 0 && errno == EINTR)
        ;
    if (v->vmm_fd >= 0)
        close(v->vmm_fd);
    v->vmm_fd = -1;
}

void vmx_kill(struct vmx *v)
{
    kill(v->vmm, SIGKILL);
    wait_for_vmm(v);
}

/* Ask the VMM to end. */
static void request_stop(struct vmx *v)
{
    if (v->stop_deadline)
        return;
    v->stop_deadline = now_ms() + STOP_GRACE_MS;
    v->x->host_stop = 1;
    child_kick(v->x, v->vmm);
}

static void quit(struct vmx *v)
{
    v->quit = true;
    request_stop(v);
}

static void take_signal(struct vmx *v)
{
    struct signalfd_siginfo s;

    while (read(v->signal_fd, &s, sizeof s) == sizeof s) {
        switch (s.ssi_signo) {
        case SIGUSR1:
            vmx_print_stats(v);
            break;
        case SIGUSR2: /* the NMI button */
            v->x->nmi_req++;
            child_kick(v->x, v->vmm);
            break;
        case SIGCONT:
            console_resume(&v->console);
            break;
        default:
            if (!v->ended_by)
                v->ended_by = (int)s.ssi_signo;
            request_stop(v);
        }
    }
}

static void take_input(struct vmx *v)
{
    bool fed;

    switch (console_input(&v->console, v->x, &fed)) {
    case CONSOLE_QUIT:
    case CONSOLE_GONE:
        quit(v);
        break;
    case CONSOLE_STATS:
        vmx_print_stats(v);
        break;
    case CONSOLE_NOTHING:
        break;
    }
    if (fed)
        child_kick(v->x, v->vmm);
}

/* The guest asked for a reset: load the images again, or end. */
static void serve_reset(struct vmx *v)
{
    uint32_t req = v->x->reset_req;

    if (req == v->x->reset_ack || v->quit)
        return;
    if (v->o->no_reboot || !vmx_reload(v)) {
        quit(v);
        return;
    }
    __atomic_store_n(&v->x->reset_ack, req, __ATOMIC_RELEASE);
    child_kick(v->x, v->vmm);
}

/* A lossless trace's writer may be waiting for room: trace_full() of its world. */
static void take_trace(struct vmx *v)
{
    struct trace_ring *ring = &v->x->trace;

    if (trace_drain(&v->trace, ring) && ring->lossless)
        syscall(SYS_futex, (volatile uint32_t *)&ring->tail, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* All that the VMM may want; cheap when it wants nothing. */
static void serve(struct vmx *v)
{
    bool was_full = v->x->tx_head - v->x->tx_tail >= CROSS_TX_SIZE / 2;

    if (console_output(&v->console, v->x, false) == CONSOLE_GONE)
        quit(v);
    if (was_full)
        child_kick(v->x, v->vmm); /* it may be waiting for room */
    take_trace(v);
    serve_reset(v);
    if (v->x->stopped != VM_RUNNING && !v->stop_deadline)
        v->stop_deadline = now_ms() + STOP_GRACE_MS;
}

static int poll_timeout(const struct vmx *v)
{
    if (v->stop_deadline) {
        uint64_t now = now_ms();
        return v->stop_deadline > now ? (int)(v->stop_deadline - now) : 0;
    }
    return v->trace.file ? TRACE_POLL_MS : -1;
}

void vmx_loop(struct vmx *v)
{
    enum { INPUT, SIGNALS, VMM, DOORBELL, OUTPUT, FDS };
    uint64_t count;

    while (v->vmm_fd >= 0) {
        serve(v);
        struct pollfd p[FDS] = {
            [INPUT] = {.fd = console_wants_input(&v->console, v->x) ? v->console.in : -1, .events = POLLIN},
            [SIGNALS] = {.fd = v->signal_fd, .events = POLLIN},
            [VMM] = {.fd = v->vmm_fd, .events = POLLIN},
            [DOORBELL] = {.fd = v->doorbell_fd, .events = POLLIN},
            [OUTPUT] = {.fd = console_has_output(v->x) ? v->console.out : -1, .events = POLLOUT},
        };
        int n = poll(p, FDS, poll_timeout(v));
        if (n < 0 && errno != EINTR) {
            message("poll: %s", strerror(errno));
            quit(v);
        }
        if (n > 0 && p[SIGNALS].revents)
            take_signal(v);
        if (n > 0 && p[INPUT].revents)
            take_input(v);
        if (n > 0 && p[DOORBELL].revents && read(v->doorbell_fd, &count, sizeof count) < 0 && errno != EAGAIN)
            message("doorbell: %s", strerror(errno));
        if (n > 0 && p[VMM].revents)
            wait_for_vmm(v);
        else if (v->stop_deadline && now_ms() >= v->stop_deadline)
            vmx_kill(v);
    }
    /* What was left in the rings; a reader that takes nothing for a second has had its chance. */
    while (console_has_output(v->x)) {
        uint32_t tail = v->x->tx_tail;
        console_output(&v->console, v->x, true);
        if (v->x->tx_tail == tail)
            break;
    }
    trace_drain(&v->trace, &v->x->trace);
    trace_finish(&v->trace);
}
