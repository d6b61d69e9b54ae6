/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process world, tested whole: each test forks one and runs a scenario of world_proc_monitor.c in it.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <criterion/criterion.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/probe.h"
#include "world/proc/child.h"
#include "world/proc/proc.h"

static void need_host(void)
{
    const char *why = "";

    if (!probe_host(&why))
        cr_skip_test("%s", why);
}

TestSuite(world_proc, .init = need_host);

#define RAM_SIZE (16ul << 20)

struct result {
    struct cross *cross;
    int status;
};

static struct cross *cross_new(const char *scenario)
{
    struct cross *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    cr_assert(c != MAP_FAILED);
    c->config.ram_size = RAM_SIZE;
    snprintf(c->config.cpu_model, sizeof c->config.cpu_model, "%s", scenario);
    return c;
}

/* Sends events as fast as can be.  Ends by itself. */
static void flood(pid_t to)
{
    pid_t sender = fork();

    cr_assert(sender >= 0);
    if (sender)
        return;
    for (unsigned i = 0; i < 50000 && !kill(to, SIGUSR1); i++)
        kill(to, SIGALRM);
    _exit(0);
}

static struct result run_with(const char *scenario, void (*disturb)(pid_t))
{
    struct cross *c = cross_new(scenario);
    int fd = memfd_create("ram", MFD_CLOEXEC);
    struct proc_world_params p = { .cross = c, .ram_fd = fd };
    const char *why = "";
    struct result r = { .cross = c };
    uint8_t *ram;
    pid_t pid;

    cr_assert(fd >= 0 && ftruncate(fd, RAM_SIZE) == 0);
    ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert(ram != MAP_FAILED);
    pid = proc_world_start(&p, &why);
    cr_assert(pid > 0, "%s", why);
    child_go(c);
    if (disturb)
        disturb(pid);
    while (!c->stopped) {
        uint32_t seen = c->doorbell;
        struct timespec second = { 1, 0 };

        if (c->reset_req != c->reset_ack) {
            ram[0] = 99;
            c->reset_ack = c->reset_req;
            child_kick(c, pid);
        }
        if (!c->stopped && waitpid(pid, &r.status, WNOHANG) == 0)
            syscall(SYS_futex, &c->doorbell, FUTEX_WAIT, seen, &second, NULL, 0);
        else
            break;
    }
    waitpid(pid, &r.status, 0);
    return r;
}

static struct result run(const char *scenario) { return run_with(scenario, NULL); }

static void expect_done_with(const char *scenario, void (*disturb)(pid_t))
{
    struct result r = run_with(scenario, disturb);

    cr_assert(r.cross->stopped == VM_STOP_EXIT, "%s: stop %u, status %#x: %s\n%s", scenario, r.cross->stopped, r.status,
              r.cross->stop_msg, r.cross->dump);
    cr_assert(r.cross->stop_code == 42);
}

static void expect_done(const char *scenario) { expect_done_with(scenario, NULL); }

Test(world_proc, callout) { expect_done("callout"); }
Test(world_proc, faults) { expect_done("faults"); }
Test(world_proc, ahead) { expect_done("ahead"); }
Test(world_proc, attention) { expect_done("attention"); }
Test(world_proc, storm) { expect_done("storm"); }
Test(world_proc, flood) { expect_done_with("storm", flood); }
Test(world_proc, fpu) { expect_done("fpu"); }
Test(world_proc, segments) { expect_done("segments"); }
Test(world_proc, clock) { expect_done("clock"); }
Test(world_proc, reset) { expect_done("reset"); }

Test(world_proc, direct) { expect_done("direct"); }
Test(world_proc, direct_segments) { expect_done("directseg"); }
Test(world_proc, direct_attention) { expect_done("directatt"); }
Test(world_proc, direct_storm) { expect_done("directstorm"); }
Test(world_proc, direct_fpu) { expect_done("directfpu"); }

Test(world_proc, killed_user_view_stops_the_vm)
{
    struct result r = run("directkill");

    cr_assert(r.cross->stopped == VM_STOP_HOST && strstr(r.cross->stop_msg, "user view"), "%s",
              r.cross->stop_msg);
}

/* User code in 64-bit mode gets nothing, and ends its VM. */
static void expect_escape(const char *scenario, const char *how)
{
    struct result r = run(scenario);

    cr_assert(r.cross->stopped == VM_STOP_UNSUPPORTED && strstr(r.cross->stop_msg, how), "%s: stop %u: %s",
              scenario, r.cross->stopped, r.cross->stop_msg);
}

Test(world_proc, escapes)
{
    expect_escape("escfault", "code segment");
    expect_escape("escgetpid", "code segment");
    expect_escape("escmmap", "code segment");
    expect_escape("escspin", "code segment");
    expect_escape("esctouch", "code segment");
    expect_escape("escmprotect", "code segment");
    expect_escape("escint80", "code segment");
}

static bool host_has_keys(void)
{
    unsigned a, b, c = 0, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 1u << 4); /* OSPKE */
}

Test(world_proc, protection_keys)
{
    if (!host_has_keys())
        cr_skip_test("this host has no protection keys");
    expect_done("directkeys");
}

/* Code that blocks the signals that would bring it back. */
Test(world_proc, deaf_escapes)
{
    expect_escape("escdeaf", "does not obey");
    expect_escape("escdeafback", "does not obey");
}

Test(world_proc, host_selectors_reach_nothing)
{
    expect_escape("host2b", "host's selector 0x2b");
    expect_done("host33"); /* a selector that the guest has, too: its own meaning is loaded, and the code runs on */
}

Test(world_proc, direct_timing)
{
    struct result r = run("directtime");
    uint32_t *t = (uint32_t *)r.cross->dump;

    cr_assert(r.cross->stopped == VM_STOP_EXIT, "%s", r.cross->stop_msg);
    fprintf(stderr, "cycles: direct int 0x80 %u, fault %u, with a map %u\n", t[0], t[1], t[2]);
}

Test(world_proc, timing)
{
    struct result r = run("timing");
    uint32_t *t = (uint32_t *)r.cross->dump;

    cr_assert(r.cross->stopped == VM_STOP_EXIT, "%s", r.cross->stop_msg);
    fprintf(stderr, "cycles: callout %u, fault %u, fence %u, now %u, alarm %u, new descriptor %u\n", t[0],
            t[1], t[2], t[3], t[4], t[5]);
}

Test(world_proc, own_bugs_end_in_a_dump)
{
    struct result r = run("bug");

    cr_assert(r.cross->stopped == VM_STOP_BUG && strstr(r.cross->stop_msg, "vm == NULL"), "%s",
              r.cross->stop_msg);
    r = run("crash");
    cr_assert(r.cross->stopped == VM_STOP_BUG && strstr(r.cross->stop_msg, "signal 11"), "%s",
              r.cross->stop_msg);
    cr_assert(strstr(r.cross->dump, "cr2 0x1234500000"), "%s", r.cross->dump);
    r = run("overflow");
    cr_assert(r.cross->stopped == VM_STOP_BUG && strstr(r.cross->stop_msg, "signal 11"), "%s",
              r.cross->stop_msg);
    cr_assert(strstr(r.cross->dump, "stack (from proc_main): +") ||
              strstr(r.cross->dump, "stack (from proc_main): -"));
}

Test(world_proc, sandbox_refuses_system_calls)
{
    struct result r = run("syscall");

    cr_assert(r.cross->stopped == VM_STOP_BUG && strstr(r.cross->stop_msg, "system call 39"), "%s",
              r.cross->stop_msg);
    r = run("int80");
    cr_assert(strstr(r.cross->stop_msg, "system call in translated code"), "%s", r.cross->stop_msg);
}
