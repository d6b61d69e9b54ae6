/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ring-0 world's runner over a made-up module: what it tells the monitor, what it does for it, how it ends.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "world/proc/child.h"
#include "world/proc/filter.h"
#include "world/ring0/runner.h"
#include "world/ring0/vmx.h"
#include "world/world.h"

/* One call into the VMM world: what the monitor does meanwhile, and what comes back. */
struct step {
    void (*meanwhile)(struct cross *c);
    int err;
    uint32_t code;
    uint64_t arg;
};

static const struct step *script;
static unsigned steps, done;
static uint32_t events; /* bit n: step n was told of an event */
static struct runner r;

static int enter(int fd, struct btmon_run *run)
{
    const struct step *s = &script[done];

    cr_assert_eq(fd, 42);
    cr_assert_lt(done, steps, "entered again after the end");
    events |= run->event << done++;
    if (s->meanwhile)
        s->meanwhile(r.cross);
    run->code = s->code;
    run->arg = s->arg;
    return s->err;
}

static struct cross *play(const struct step *s, unsigned n)
{
    struct cross *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(c, MAP_FAILED);
    script = s;
    steps = n;
    r = (struct runner){.cross = c, .fd = 42, .enter = enter};
    runner_loop(&r);
    cr_assert_eq(done, n);
    return c;
}
#define PLAY(...)                                     \
    ({                                                \
        static const struct step s_[] = {__VA_ARGS__}; \
        play(s_, ARRAY_SIZE(s_));                     \
    })

static void stop(struct cross *c) { c->stopped = VM_STOP_HALTED; }
static void bump(struct cross *c) { c->wake++; }
#define CALL(call) {NULL, 0, BTMON_USER_CALL, USERCALL_##call}
#define END {stop, 0, BTMON_USER_END, 0}

Test(world_ring0_runner, ends)
{
    struct cross *c = PLAY(CALL(CONSOLE), END);

    cr_expect_eq(c->stopped, VM_STOP_HALTED);
    cr_expect_eq(c->stop_msg[0], 0);
    cr_expect_eq(c->doorbell, 2);
    cr_expect_eq(events, 0);
}

/* A kick is told exactly once, whenever it comes. */
Test(world_ring0_runner, kicks)
{
    PLAY({bump, 0, BTMON_USER_CALL, USERCALL_CONSOLE}, CALL(CONSOLE), {bump, -EINTR, 0, 0},
         {NULL, -EINTR, 0, 0}, {NULL, 0, BTMON_USER_IDLE, 0}, CALL(CONSOLE), END);
    cr_expect_eq(events, BIT(1) | BIT(3) | BIT(4), "events %#x", events);
}

static void handled(struct cross *c)
{
    (void)c;
    runner_interrupted(&r);
}

/* The handler ran as the call came back: the bump before its signal is what counts. */
static void bump_and_handled(struct cross *c)
{
    bump(c);
    handled(c);
}

Test(world_ring0_runner, a_late_signal_is_not_lost)
{
    PLAY({bump_and_handled, 0, BTMON_USER_CALL, USERCALL_CONSOLE}, {handled, 0, BTMON_USER_CALL, USERCALL_CONSOLE}, END);
    cr_expect_eq(events, BIT(1), "events %#x", events);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct step sleepy[] = {{NULL, 0, BTMON_USER_IDLE, 0}, END};

Test(world_ring0_runner, sleeps_until)
{
    uint64_t until = sleepy[0].arg = now_ns() + 60000000;

    play(sleepy, 2);
    cr_expect_geq(now_ns(), until);
    cr_expect_eq(events, 0);
}

/* The kick comes while the monitor is on its way to sleep. */
Test(world_ring0_runner, does_not_sleep_over_a_kick, .timeout = 20)
{
    PLAY({bump, 0, BTMON_USER_IDLE, UINT64_MAX}, END);
    cr_expect_eq(events, BIT(1));
}

static void *late(void *work)
{
    usleep(50000);
    ((void (*)(struct cross *))work)(r.cross);
    return NULL;
}

static void run_late(void (*work)(struct cross *c))
{
    pthread_t t;

    cr_assert_eq(pthread_create(&t, NULL, late, (void *)work), 0);
}

static void kick(struct cross *c) { child_kick(c, getpid()); }
static void kick_late(struct cross *c)
{
    (void)c;
    signal(SIGUSR1, SIG_IGN);
    run_late(kick);
}

Test(world_ring0_runner, a_kick_ends_sleep, .timeout = 20)
{
    PLAY({kick_late, 0, BTMON_USER_IDLE, UINT64_MAX}, END);
    cr_expect_eq(events, BIT(1));
}

static void answer_reset(struct cross *c)
{
    __atomic_store_n(&c->reset_ack, c->reset_req, __ATOMIC_RELEASE);
    kick(c);
}
static void reset_served(struct cross *c)
{
    c->reset_req = 7;
    signal(SIGUSR1, SIG_IGN);
    run_late(answer_reset);
}

Test(world_ring0_runner, reset_waits_for_the_answer, .timeout = 20)
{
    struct cross *c = PLAY({reset_served, 0, BTMON_USER_CALL, USERCALL_RESET}, END);

    cr_expect_eq(c->reset_ack, 7);
    cr_expect_geq(c->doorbell, 1);
}

static void host_stops(struct cross *c)
{
    c->reset_req = 7;
    c->host_stop = 1;
}

Test(world_ring0_runner, reset_waits_no_longer_than_the_vm, .timeout = 20)
{
    struct cross *c = PLAY({host_stops, 0, BTMON_USER_CALL, USERCALL_RESET}, END);

    cr_expect_eq(c->reset_ack, 0);
}

static void drain(struct cross *c)
{
    c->trace.tail = c->trace.head - 1;
    kick(c);
    syscall(SYS_futex, &c->trace.tail, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0);
}
static void fill(struct cross *c)
{
    signal(SIGUSR1, SIG_IGN);
    c->trace.head = TRACE_RECORDS;
    run_late(drain);
}

Test(world_ring0_runner, waits_for_room_in_the_trace, .timeout = 20)
{
    struct cross *c = PLAY({fill, 0, BTMON_USER_CALL, USERCALL_TRACE}, END);

    cr_expect_eq(c->trace.tail, TRACE_RECORDS - 1);
}

static void monitor_died(struct cross *c) { strcpy(c->stop_msg, "the monitor's own words"); }

Test(world_ring0_runner, a_dead_monitor)
{
    struct cross *c = PLAY({NULL, -EIO, 0, 0});

    cr_expect_eq(c->stopped, VM_STOP_BUG);
    cr_expect(strstr(c->stop_msg, "monitor"));
    cr_expect_eq(c->doorbell, 1);
    done = 0;
    c = PLAY({monitor_died, -EIO, 0, 0});
    cr_expect_eq(c->stopped, VM_STOP_BUG);
    cr_expect_str_eq(c->stop_msg, "the monitor's own words");
}

Test(world_ring0_runner, other_ends)
{
    struct cross *c = PLAY({NULL, -EBUSY, 0, 0});

    cr_expect_eq(c->stopped, VM_STOP_HOST);
    cr_expect(strstr(c->stop_msg, strerror(EBUSY)));
    done = 0;
    c = PLAY({NULL, 0, BTMON_USER_END, 0});
    cr_expect_eq(c->stopped, VM_STOP_BUG);
    done = 0;
    c = PLAY({NULL, 0, 77, 0});
    cr_expect_eq(c->stopped, VM_STOP_BUG);
    cr_expect(strstr(c->stop_msg, "77"));
}

/* ------------------------------------------------------------------ sandbox */

/* Raw system calls, for a sanitizer's wrappers make others besides. */
static int in_sandbox(void (*try)(int fd), unsigned long request)
{
    int status, p[2];
    pid_t pid;

    cr_assert_eq(pipe(p), 0);
    pid = fork();
    if (!pid) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || sandbox_filter_runner(p[0], request))
            _exit(1);
        try(p[0]);
        syscall(SYS_exit_group, 0);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    close(p[0]);
    close(p[1]);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void do_request(int fd)
{
    int n;
    if (syscall(SYS_ioctl, fd, FIONREAD, &n))
        syscall(SYS_exit_group, 2);
}
static void do_other_fd(int fd)
{
    int n;
    syscall(SYS_ioctl, fd + 1, FIONREAD, &n);
}
static void do_other_call(int fd) { syscall(SYS_dup, fd); }

Test(world_ring0_runner, sandbox)
{
    cr_expect_eq(in_sandbox(do_request, FIONREAD), 0);
    cr_expect_eq(in_sandbox(do_request, FIONBIO), -SIGSYS);
    cr_expect_eq(in_sandbox(do_other_fd, FIONREAD), -SIGSYS);
    cr_expect_eq(in_sandbox(do_other_call, FIONREAD), -SIGSYS);
}

/* -------------------------------------------------------------------- start */

Test(world_ring0_runner, no_module)
{
    struct cross *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const struct ring0_world_params p = {.cross = c, .ram = c};
    const char *why = "";

    if (access(BTMON_DEVICE, F_OK) == 0)
        cr_skip_test("this host has the module");
    cr_expect_eq(ring0_world_probe(&p, &why), -ENOENT);
    cr_expect(strstr(why, "modprobe btmon"), "%s", why);
    cr_expect_eq(ring0_world_start(&p, &why), -ENOENT);
}
