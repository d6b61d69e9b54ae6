// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * btmon-test NAME [NUMBER]: one test of the module, with the self-test's monitor in it.  Prints "ok" or "not ok"
 * lines and fails if any was not.  Wants root.
 *
 * Here: what a switch keeps, time and signals, counts, load.  Requests and what is left of a VM: test_requests.c.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "world/ring0/kmod/selftest/test.h"

void test_basic(long n)
{
    struct vm vm = vm_new();

    (void)n;
    ok(ioctl(vm.fd, BTMON_GET_VERSION) == BTMON_VERSION, "version");
    ok(run(&vm, SELFTEST_ECHO, 0x123456789abcdef, 0) == 0, "into the monitor and back");
    ok(run(&vm, SELFTEST_SPOIL, 1, 0) == 0 && run(&vm, SELFTEST_ECHO, 2, 0) == 0, "with tables of the monitor's own");
    ok(run(&vm, SELFTEST_SWITCHES, 10000, 0) == 0, "10000 switches");
    ok(run(&vm, SELFTEST_SWITCHES, 1000, 1) == 0, "1000 switches with tables of the monitor's own");
    vm_free(&vm);
}

static bool probe(struct vm *vm, uint64_t address, enum selftest_access how, uint64_t expected)
{
    bool good = run(vm, SELFTEST_PROBE, address, how) == 0 && vm->shared->result[0] == expected;

    if (!good)
        printf("# %#lx, access %d: %#lx, not %#lx\n", address, how, (unsigned long)vm->shared->result[0], expected);
    return good;
}

/* Error codes of page faults, by 1 more: not present, and protection (W 2, I/D 16). */
enum { FINE = 0, GONE = 1, GONE_WRITE = 3, GUARD_WRITE = 4, NO_EXEC = 0x12 };

/* The host's half of the address space: what lies beside the crosspage is not the monitor's. */
static void probe_crosspage(struct vm *vm)
{
    uint64_t data = vm->shared->cross, code = vm->shared->cross_code;

    for (uint64_t at = data; at < data + 8192; at += 4096)
        ok(probe(vm, at, SELFTEST_WRITE, FINE) && probe(vm, at, SELFTEST_EXEC, NO_EXEC), "the crosspage's data");
    ok(probe(vm, code, SELFTEST_READ, FINE) && probe(vm, code, SELFTEST_WRITE, GUARD_WRITE), "the crosspage's code");
    ok(probe(vm, data - 1, SELFTEST_READ, GONE) && probe(vm, data + 8192, SELFTEST_READ, GONE) &&
       probe(vm, code - 1, SELFTEST_READ, GONE) && probe(vm, code + 4096, SELFTEST_READ, GONE), "nothing beside them");
}

/* Where the CPU has SMEP and SMAP, the probes fail on pages that user code could use, too. */
static void test_aspace(long n)
{
    struct vm vm = vm_new();
    uint64_t ro[] = { MON_IMAGE, MON_IMAGE + 4096 };
    uint64_t constants[] = { 0, MON_PFN_PRIVATE, MON_PFN_RAM };
    uint64_t rw[] = { MON_STACK_TOP - MON_STACK_SIZE, MON_IST_TOP(1) - 4096, MON_IST_TOP(3) - 1, MON_SHARED, MON_PRIVATE,
                      MON_PRIVATE + PRIVATE_SIZE - 1, MON_LOW_PDPT, MON_RAM, MON_RAM + RAM_SIZE - 1 };
    uint64_t gone[] = { 0, 0xfffff000, MON_STACK_TOP, MON_STACK_TOP - MON_STACK_SIZE - 1, MON_IST_TOP(1), MON_IST_TOP(2) - 4097,
                        MON_SHARED + SHARED_SIZE, MON_PRIVATE - 1, MON_PRIVATE + PRIVATE_SIZE, MON_PFN_RAM + 8192,
                        MON_LOW_PDPT + 4096, MON_RAM - 1, MON_RAM + RAM_SIZE, MON_RAM + (64ul << 30) };

    (void)n;
    for (size_t i = 0; i < sizeof(ro) / sizeof(ro[0]); i++)
        ok(probe(&vm, ro[i], SELFTEST_READ, FINE) && probe(&vm, ro[i], SELFTEST_WRITE, GUARD_WRITE), "read-only");
    run(&vm, SELFTEST_ECHO, 0, 0);
    constants[0] = vm.shared->constants;
    for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++)
        ok(probe(&vm, constants[i], SELFTEST_READ, FINE) && probe(&vm, constants[i], SELFTEST_WRITE, GUARD_WRITE) &&
           probe(&vm, constants[i], SELFTEST_EXEC, NO_EXEC), "read-only, not executable");
    for (size_t i = 0; i < sizeof(rw) / sizeof(rw[0]); i++)
        ok(probe(&vm, rw[i], SELFTEST_WRITE, FINE) && probe(&vm, rw[i], SELFTEST_EXEC, NO_EXEC), "read-write, not executable");
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
        ok(probe(&vm, gone[i], SELFTEST_READ, GONE), "not mapped");
    probe_crosspage(&vm);
    vm.ram[RAM_SIZE - 1] = 7;
    ok(run(&vm, SELFTEST_FILL, 1000000, 0) == 0 && vm.shared->result[0] == 0, "private memory is zero at first");
    ok(run(&vm, SELFTEST_FILL, 2000000, 1000000) == 0 && vm.shared->result[0] == 0, "and keeps what is written, each page its own");
    vm_free(&vm);
    vm = vm_new();
    ok(run(&vm, SELFTEST_FILL, 3000000, 0) == 0 && vm.shared->result[0] == 0, "but not for the next VM");
    vm_free(&vm);
}

static uint16_t selector_fs(void)
{
    uint16_t s;

    __asm__ volatile("mov %%fs, %0" : "=r"(s));
    return s;
}

/* CR0, as far as the CPU tells user code (with UMIP the kernel answers for it). */
static uint64_t machine_status(void)
{
    uint64_t cr0;

    __asm__ volatile("smsw %0" : "=r"(cr0));
    return cr0;
}

static int ldt_entry(unsigned n, unsigned base)
{
    struct user_desc d = { .entry_number = n, .base_addr = base, .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1, .useable = 1 };

    return (int)syscall(SYS_modify_ldt, 1, &d, sizeof(d));
}

/* DS, ES and GS with selectors of an LDT, and the bases that belong to FS and GS.  (DS with a base of 0: QEMU 7.2 adds it in 64-bit code.) */
static void test_state(long n)
{
    struct vm vm = vm_new();
    uint16_t sel = 2 * 8 + 7, sel_gs = 3 * 8 + 7, ds, es, gs, gs_kept;
    unsigned long fs_base, gs_base = 0x7654321000, got_fs, got_gs;
    uint64_t cr0 = machine_status();
    struct btmon_run r = { 0 };
    long rc;

    ok(ldt_entry(2, 0) == 0 && ldt_entry(3, 0x10000) == 0, "an LDT");
    set_command(&vm, SELFTEST_SPOIL, 0, 0);
    for (long i = 0; i < n; i++) {
        ok(fpu_survives(&vm, 0x1234567u * (uint32_t)(i + 1)), "FPU registers");
        syscall(SYS_arch_prctl, ARCH_SET_GS, gs_base);
        syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_base);
        __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(sel));
        rc = bare_run(vm.fd, &r);
        __asm__ volatile("mov %%ds, %0\n\tmov %%es, %1\n\tmov %%gs, %2" : "=r"(ds), "=r"(es), "=r"(gs));
        __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(0));
        syscall(SYS_arch_prctl, ARCH_GET_FS, &got_fs);
        syscall(SYS_arch_prctl, ARCH_GET_GS, &got_gs);
        ok(rc == 0 && ds == sel && es == sel && gs == 0 && selector_fs() == 0, "DS, ES and null selectors");
        ok(got_fs == fs_base && got_gs == gs_base, "FS and GS base");
        __asm__ volatile("mov %0, %%gs" : : "r"(sel_gs));
        rc = bare_run(vm.fd, &r);
        __asm__ volatile("mov %%gs, %0" : "=r"(gs_kept));
        syscall(SYS_arch_prctl, ARCH_GET_GS, &got_gs);
        ok(rc == 0 && gs_kept == sel_gs && got_gs == 0x10000, "GS of the LDT");
        ok(machine_status() == cr0, "CR0");
    }
    vm_free(&vm);
}

static int watch_writes(volatile uint64_t *p)
{
    struct perf_event_attr a = { .type = PERF_TYPE_BREAKPOINT, .size = sizeof(a), .bp_type = HW_BREAKPOINT_W,
                                 .bp_addr = (uintptr_t)p, .bp_len = HW_BREAKPOINT_LEN_8, .exclude_kernel = 1 };

    return (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
}

/* A data breakpoint of the host's, at an address that the monitor has as well: the host's writes hit it, the monitor's do not. */
static void test_watch(long n)
{
    struct vm vm = vm_new();
    uint64_t address = MON_PRIVATE + PRIVATE_SIZE / 2, hits = 0;
    volatile uint64_t *p = mmap((void *)address, 4096, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    int fd = p == MAP_FAILED ? -1 : watch_writes(p);

    ok(fd >= 0, "a breakpoint in the kernel");
    for (long i = 0; fd >= 0 && i < n; i++) {
        *p = 1;
        ok(probe(&vm, address, SELFTEST_WRITE, FINE), "not met by the monitor");
        *p = 2;
        ok(read(fd, &hits, sizeof(hits)) == sizeof(hits) && hits == 2 * (uint64_t)i + 2, "met by the host, each time");
    }
    close(fd);
    munmap((void *)address, 4096);
    vm_free(&vm);
}

/* Of the C library: where the kernel notes, on the way to user code, which CPU a thread has moved to. */
extern const ptrdiff_t __rseq_offset;

static volatile sig_atomic_t signalled;

static void on_signal(int s)
{
    (void)s;
    signalled = 1;
}

/* Else BTMON_RUN has each of the kernel's task switches as a reason to come back, and what a signal does is not seen. */
static void rseq_off(void)
{
    syscall(SYS_rseq, (uint8_t *)__builtin_thread_pointer() + __rseq_offset, 32, 1 /* RSEQ_FLAG_UNREGISTER */, 0x53053053);
}

#define LATE (2000 * MS) /* when nothing else ends a wait */

static void test_alarm(long n)
{
    struct vm vm = vm_new();
    struct btmon_run r = { .event = 1 };
    struct itimerval it = { .it_value.tv_usec = 50000 };
    struct sigaction sa = { .sa_handler = on_signal };
    uint64_t start, due, end;
    int rc;

    (void)n;
    rseq_off();
    for (int i = 0; i < 5; i++) {
        start = now();
        due = start + 30 * MS;
        ok(run(&vm, SELFTEST_WAIT, due, 0) == 0, "wait for the alarm");
        end = now();
        printf("# %ld us late\n", ((long)end - (long)due) / 1000);
        ok(end >= due && end < due + 200 * MS, "the alarm rings in time");
    }
    start = now();
    ok(run(&vm, SELFTEST_WAIT, start - MS, 0) == 0 && now() < start + 200 * MS, "an alarm in the past rings at once");
    start = now();
    set_command(&vm, SELFTEST_WAIT, start + LATE, 0);
    ok(call_run(vm.fd, &r) == 0 && r.code == SELFTEST_WAIT && now() < start + LATE, "the caller's event ends it");
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &it, NULL);
    r.event = 0;
    set_command(&vm, SELFTEST_WAIT, now() + LATE, 0);
    do
        rc = call(vm.fd, BTMON_RUN, &r);
    while (rc == EINTR && !signalled);
    ok(rc == EINTR, "a signal: EINTR");
    r.event = 1;
    ok(call_run(vm.fd, &r) == 0 && r.code == SELFTEST_WAIT, "and it goes on");
    vm_free(&vm);
}

/* It would find no VM any more. */
static void test_late(long n)
{
    struct vm vm;

    for (long i = 0; i < n; i++) {
        vm = vm_new();
        ok(run(&vm, SELFTEST_ALARM, now() + 100 * MS, 0) == 0, "an alarm that is set");
        vm_free(&vm);
    }
    usleep(200000);
    vm = vm_new();
    ok(run(&vm, SELFTEST_ECHO, 3, 0) == 0, "does not ring after the VM is closed");
    vm_free(&vm);
}

static void *waiter(void *arg)
{
    return (void *)(long)run(arg, SELFTEST_WAIT, now() + 300 * MS, 0);
}

static void test_busy(long n)
{
    struct vm vm = vm_new();
    struct btmon_create c = create_arg(&vm);
    struct btmon_run r = { 0 };
    pthread_t thread;
    void *rc;

    (void)n;
    ok(call(vm.fd, BTMON_CREATE, &c) == EBUSY, "a second BTMON_CREATE: EBUSY");
    pthread_create(&thread, NULL, waiter, &vm);
    usleep(100000);
    ok(call(vm.fd, BTMON_RUN, &r) == EBUSY, "two threads in BTMON_RUN: EBUSY");
    ok(call(vm.fd, BTMON_CREATE, &c) == EBUSY, "BTMON_CREATE during BTMON_RUN: EBUSY");
    pthread_join(thread, &rc);
    ok(rc == NULL, "the first one is not disturbed");
    vm_free(&vm);
}

/* --- what Linux has to do on behalf of a caller who does not come back for long --- */

struct long_run {
    struct vm *vm;
    uint64_t until;
    pid_t tid;
    volatile uint32_t *rseq; /* word 1: the CPU */
    volatile bool over;
};

static void *long_run(void *arg)
{
    struct long_run *l = arg;

    l->rseq = (void *)((uint8_t *)__builtin_thread_pointer() + __rseq_offset);
    __atomic_store_n(&l->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
    run(l->vm, SELFTEST_WAIT, l->until, 0);
    l->over = true;
    return NULL;
}

static int move_to(pid_t tid, unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(tid, sizeof(set), &set);
}

/* Two CPUs.  A page fault, a signal or a switch to other tasks is not what has it come back. */
static void test_deferred(long seconds)
{
    struct vm vm = vm_new();
    struct long_run l = { .vm = &vm, .until = now() + (uint64_t)seconds * 1000 * MS };
    pthread_t thread;
    uint32_t cpu;

    pthread_create(&thread, NULL, long_run, &l);
    while (!__atomic_load_n(&l.tid, __ATOMIC_SEQ_CST))
        usleep(1000);
    usleep(300000);
    cpu = l.rseq[1];
    ok(cpu < 2 && move_to(l.tid, 1 - cpu) == 0, "BTMON_RUN moves to another CPU");
    while (l.rseq[1] == cpu && !l.over)
        usleep(1000);
    ok(!l.over && l.rseq[1] == 1 - cpu, "what is to be done on the way to user code is not put off");
    pthread_join(thread, NULL);
    vm_free(&vm);
}

static bool put(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY | O_TRUNC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    close(fd);
    return good;
}

/* To stop tracing functions waits until each task has been seen outside of all that could be traced (RCU tasks). */
static void test_tracer(long seconds)
{
    struct vm vm = vm_new();
    struct long_run l = { .vm = &vm, .until = now() + (uint64_t)seconds * 1000 * MS };
    pthread_t thread;

#define TRACING "/sys/kernel/tracing/instances/btmon/"
    ok((mount("none", "/sys/kernel/tracing", "tracefs", 0, NULL) == 0 || errno == EBUSY) && mkdir("/sys/kernel/tracing/instances/btmon", 0700) == 0 &&
       put(TRACING "set_ftrace_filter", "schedule") && put(TRACING "current_tracer", "function"), "a tracer of functions");
    pthread_create(&thread, NULL, long_run, &l);
    usleep(300000);
    ok(put(TRACING "current_tracer", "nop") && !l.over, "BTMON_RUN does not keep it from ending");
    pthread_join(thread, NULL);
    rmdir("/sys/kernel/tracing/instances/btmon");
    vm_free(&vm);
}

static void test_stress(long n)
{
    struct vm vm = vm_new();
    unsigned long steps, nmis, early = 0;
    bool good = true;

    for (long i = 0; i < n && good; i++) {
        good = run(&vm, SELFTEST_STRESS, 50, 0) == 0;
        set_command(&vm, SELFTEST_STRESS, 50, 0);
        good = good && fpu_survives(&vm, (uint32_t)i * 77777u + 5);
        early += vm.shared->result[2];
    }
    steps = vm.shared->result[0];
    nmis = vm.shared->result[1];
    printf("# %lu instructions stepped, %lu NMIs held\n", steps, nmis);
    ok(good, "switches under single steps, with an NMI at each");
    ok(steps > 5000ul * (unsigned long)n && nmis == steps, "each step held its NMI");
    ok(early == 0, "and none met the monitor's IDT, which the way out leaves first");
    vm_free(&vm);
}

static uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return low | (uint64_t)high << 32;
}

/* Under -icount shift=0 the TSC counts instructions. */
static void test_count(long n)
{
    struct vm vm = vm_new();
    struct btmon_run r = { 0 };
    uint64_t call_cost = ~0ull, best = ~0ull;

    (void)n;
    for (int i = 0; i < 20; i++) {
        run(&vm, SELFTEST_COUNT, 0, 0);
        if (vm.shared->result[0] + vm.shared->result[1] < best)
            best = vm.shared->result[0] + vm.shared->result[1];
    }
    printf("# switch round trip: %lu instructions\n", best);
    ok(best <= 320, "the switch takes at most 320 instructions");
    set_command(&vm, SELFTEST_ECHO, 0, 0);
    for (int i = 0; i < 200; i++) {
        uint64_t t = rdtsc();

        bare_ioctl(vm.fd, BTMON_RUN, &r);
        t = rdtsc() - t;
        call_cost = t < call_cost ? t : call_cost;
    }
    printf("# run call: %lu instructions\n", call_cost);
    ok(call_cost <= 1300, "a run call takes at most 1300 instructions");
    vm_free(&vm);
}

/* One round of one of several VMs: computes, waits, and looks whether its memory and FPU are still its own. */
static const char *worker_round(struct vm *vm, uint64_t pattern, uint64_t next)
{
    if (run(vm, SELFTEST_FILL, next, pattern))
        return "fill";
    if (vm->shared->result[0])
        return "private memory";
    if (run(vm, SELFTEST_WAIT, now() + 5 * MS, 0))
        return "wait";
    if (run(vm, SELFTEST_SWITCHES, 50, 1))
        return "switches";
    set_command(vm, SELFTEST_SPOIL, 0, 0);
    return fpu_survives(vm, (uint32_t)(next >> 20)) ? NULL : "FPU registers";
}

static int worker(int number, uint64_t end)
{
    struct vm vm = vm_new();
    uint64_t pattern = 0, irqs = 0, rounds = 0;
    const char *wrong = NULL;

    for (; now() < end && !wrong; rounds++) {
        uint64_t next = (uint64_t)(number + 1) << 50 | (rounds + 1) << 20;

        wrong = worker_round(&vm, pattern, next);
        pattern = next;
    }
    for (int v = 32; v < 256; v++)
        irqs += vm.shared->interrupts[v];
    printf("# VM %d: %lu rounds, %lu interrupts and %lu NMIs taken, %lu NMIs held%s%s\n", number, rounds, irqs,
           (unsigned long)vm.shared->interrupts[2], (unsigned long)vm.shared->held, wrong ? "; wrong: " : "", wrong ? wrong : "");
    fflush(stdout);
    vm_free(&vm);
    return !wrong && rounds > 2 ? 0 : 1;
}

static void test_many(long seconds)
{
    uint64_t end = now() + (uint64_t)seconds * 1000 * MS;
    int status, bad = 0;

    for (int i = 0; i < 3; i++)
        if (fork() == 0)
            exit(worker(i, end));
    while (wait(&status) > 0)
        bad += status != 0;
    ok(bad == 0, "three VMs at once");
}

/* Runs until it is killed. */
static void test_spin(long n)
{
    struct vm vm = vm_new();

    (void)n;
    run(&vm, SELFTEST_WAIT, NEVER, 0);
}

/* Of all CPUs, by /proc/interrupts: "LOC:" of their timers, "NMI:". */
static uint64_t host_interrupts(const char *name)
{
    char line[512], *at, *end;
    FILE *f = fopen("/proc/interrupts", "r");
    uint64_t n = 0;

    while (f && fgets(line, sizeof(line), f)) {
        at = strstr(line, name);
        for (at = at ? at + strlen(name) : line; at != line; at = end == at ? line : end)
            n += strtoul(at, &end, 10);
    }
    if (f)
        fclose(f);
    return n;
}

/* Those that came during a switch, one each: the host gets each, and once. */
static void test_hold(long n)
{
    struct vm vm = vm_new();
    uint64_t before = host_interrupts("NMI:"), got;

    ok(run(&vm, SELFTEST_HOLD, (uint64_t)n, 0) == 0 && vm.shared->result[0] == 0, "NMIs that are held are the host's after the switch");
    got = host_interrupts("NMI:") - before;
    printf("# %ld NMIs held, %lu counted by the host\n", n, got);
    ok(got == (uint64_t)n, "the host gets each, and once");
    ok(run(&vm, SELFTEST_VECTOR, (uint64_t)n, 2) == 0, "NMIs that come in the VMM world");
    ok(host_interrupts("NMI:") - before == 2 * (uint64_t)n, "likewise");
    vm_free(&vm);
}

/* One CPU, under QEMU's icount: else the clock runs on while QEMU waits for a CPU. */
static void test_interrupts(long ms)
{
    struct vm vm = vm_new();
    uint64_t start = now(), before = host_interrupts("LOC:"), taken, host, ticks, others;
    struct rusage usage;

    ok(run(&vm, SELFTEST_WAIT, start + (uint64_t)ms * MS, 0) == 0, "a wait in the VMM world");
    host = host_interrupts("LOC:") - before;
    ticks = (now() - start) / (4 * MS);
    getrusage(RUSAGE_SELF, &usage);
    others = (uint64_t)usage.ru_nivcsw;
    taken = vm.shared->interrupts[TIMER_VECTOR];
    printf("# timer interrupts: %lu counted by the host, %lu taken in the VMM world; %lu ticks have passed; other tasks ran %lu times\n",
           host, taken, ticks, others);
    ok(host + 2 >= ticks && host <= ticks + 5, "the host gets each tick, and once");
    ok(taken > 0 && taken <= host && taken + others + 3 >= host, "all but other tasks' came in the VMM world");
    vm_free(&vm);
}

static const struct {
    const char *name;
    void (*test)(long);
    long number;
} tests[] = {
    { "basic", test_basic, 0 },   { "aspace", test_aspace, 0 }, { "state", test_state, 5 }, { "watch", test_watch, 5 },  { "alarm", test_alarm, 0 },
    { "late", test_late, 5 },     { "hold", test_hold, 5 },     { "owners", test_owners, 100 },
    { "files", test_files, 4000 },
    { "busy", test_busy, 0 },     { "deferred", test_deferred, 5 }, { "tracer", test_tracer, 30 }, { "errors", test_errors, 0 }, { "limit", test_limit, 0 },  { "dead", test_dead, 0 },
    { "starve", test_starve, 200 }, { "leak", test_leak, 20 },    { "pinned", test_pinned, 0 }, { "fuzz", test_fuzz, 500 }, { "stress", test_stress, 20 },
    { "count", test_count, 0 },   { "many", test_many, 10 },    { "spin", test_spin, 0 },    { "interrupts", test_interrupts, 2000 },
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc >= 2 && i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (strcmp(argv[1], tests[i].name))
            continue;
        tests[i].test(argc >= 3 ? atol(argv[2]) : tests[i].number);
        return test_status();
    }
    fprintf(stderr, "usage: btmon-test NAME [NUMBER]\n");
    return 2;
}
