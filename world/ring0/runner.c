// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The runner's loop.
 *
 * No kick may be lost.  A kick bumps cross->wake, then sends a signal.  While the VMM world runs, the signal ends
 * the call (-EINTR); anywhere else the handler sets run.event, which the module reads as the call begins.  Only
 * between a call's end and the clearing of run.event could one slip through, so the word is cleared first and
 * cross->wake compared after: whatever was bumped before is seen there.
 *
 * Sleep is a futex wait on cross->wake for the value that the monitor was last told of, so a kick that comes
 * while the monitor is on its way to sleep ends the sleep before it begins.
 */
#include "world/ring0/runner.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "world/proc/child.h"
#include "world/world.h"

#define NS 1000000000u

/* Not private: the VMX is another process. */
static void futex_wait(volatile uint32_t *word, uint32_t seen, const struct timespec *until)
{
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, until, NULL, FUTEX_BITSET_MATCH_ANY);
}

void runner_interrupted(struct runner *r)
{
    __atomic_store_n(&r->run.event, 1, __ATOMIC_RELAXED);
}

/* ------------------------------------------------------- what the monitor asks */

/* The monitor has numbered its request; the VMX answers by storing the number and kicking. */
static void reset(struct cross *c)
{
    uint32_t want = c->reset_req;

    child_ring(&c->doorbell);
    for (;;) {
        uint32_t seen = __atomic_load_n(&c->wake, __ATOMIC_ACQUIRE);

        if (__atomic_load_n(&c->reset_ack, __ATOMIC_ACQUIRE) == want || c->host_stop)
            return;
        futex_wait(&c->wake, seen, NULL);
    }
}

/* The VMX wakes the low half of `tail` when it has drained, and drains for as long as we live. */
static void trace_room(struct cross *c)
{
    struct trace_ring *t = &c->trace;
    volatile uint32_t *low = (volatile uint32_t *)&t->tail;

    for (;;) {
        uint32_t seen = __atomic_load_n(low, __ATOMIC_ACQUIRE);

        if (t->head - t->tail <= TRACE_RECORDS / 2)
            return;
        child_ring(&c->doorbell);
        futex_wait(low, seen, NULL);
    }
}

static void user_call(struct cross *c, uint64_t call)
{
    switch (call) {
    case USERCALL_RESET:
        reset(c);
        break;
    case USERCALL_TRACE:
        trace_room(c);
        break;
    default:
        child_ring(&c->doorbell);
    }
}

static void idle(const struct runner *r, uint64_t until_ns)
{
    struct timespec until = { (time_t)(until_ns / NS), (long)(until_ns % NS) };

    futex_wait(&r->cross->wake, r->wake_seen, until_ns > INT64_MAX ? NULL : &until);
}

/* ---------------------------------------------------------------- the loop */

/* A call that was cut short may not have told the monitor yet, so what it was told is told again. */
static void look_for_kicks(struct runner *r, bool cut_short)
{
    uint32_t wake;

    __atomic_store_n(&r->run.event, cut_short, __ATOMIC_SEQ_CST);
    wake = __atomic_load_n(&r->cross->wake, __ATOMIC_SEQ_CST);
    if (wake != r->wake_seen) {
        r->wake_seen = wake;
        runner_interrupted(r);
    }
}

/* What the module's answer means; false: the VM goes on. */
static bool ended(struct runner *r, int err)
{
    struct cross *c = r->cross;

    switch (err) {
    case 0:
        break;
    case -EINTR:
        return false;
    case -EIO:
        return child_fail(c, VM_STOP_BUG, "the monitor broke down; the kernel's log may tell more"), true;
    default:
        return child_fail(c, VM_STOP_HOST, "the btmon module: %s", strerror(-err)), true;
    }
    switch (r->run.code) {
    case BTMON_USER_CALL:
        user_call(c, r->run.arg);
        return false;
    case BTMON_USER_IDLE:
        idle(r, r->run.arg);
        return false;
    case BTMON_USER_END:
        return child_fail(c, VM_STOP_BUG, "the monitor ended without a reason"), true;
    default:
        return child_fail(c, VM_STOP_BUG, "the monitor asked for unknown service %u", r->run.code), true;
    }
}

void runner_loop(struct runner *r)
{
    int err = 0;

    do {
        look_for_kicks(r, err == -EINTR);
        err = r->enter(r->fd, &r->run);
    } while (!ended(r, err));
}
