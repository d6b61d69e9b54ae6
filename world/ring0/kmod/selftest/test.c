// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * btmon-test NAME [NUMBER]: one test of the module, with the self-test's monitor in it.  Prints "ok" or "not ok"
 * lines and fails if any was not.  Wants root.
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
#include <stdbool.h>
#include <stdint.h>
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
#include <time.h>
#include <unistd.h>
#include "world/ring0/kmod/selftest/selftest.h"

#define RAM_SIZE (8ul << 20)
#define SHARED_SIZE 65536ul
#define PRIVATE_SIZE (4ul << 20)
#define MS 1000000ull
#define NEVER (~0ull)
#define TIMER_VECTOR 0xec /* Linux's LOCAL_TIMER_VECTOR */

static int failures;

static void ok(bool good, const char *what)
{
    printf("%s - %s\n", good ? "ok" : "not ok", what);
    fflush(stdout);
    failures += !good;
}

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- a VM --- */

struct vm {
    int fd;
    uint8_t *ram;
    volatile struct selftest *shared;
};

static void *pages(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return p;
}

static struct vm vm_alloc(void)
{
    struct vm vm = { .fd = open(BTMON_DEVICE, O_RDWR | O_CLOEXEC) };

    if (vm.fd < 0) {
        perror(BTMON_DEVICE);
        exit(1);
    }
    vm.ram = pages(RAM_SIZE);
    vm.shared = pages(SHARED_SIZE);
    return vm;
}

static struct btmon_create create_arg(const struct vm *vm)
{
    return (struct btmon_create){ .version = BTMON_VERSION,
                                  .ram_addr = (uint64_t)vm->ram, .ram_size = RAM_SIZE,
                                  .shared_addr = (uint64_t)vm->shared, .shared_size = SHARED_SIZE,
                                  .private_size = PRIVATE_SIZE };
}

/* 0, or the errno. */
static int call(int fd, unsigned long request, void *arg)
{
    return ioctl(fd, request, arg) < 0 ? errno : 0;
}

/* Linux may want the caller at any time. */
static int call_run(int fd, struct btmon_run *r)
{
    int rc;

    do
        rc = call(fd, BTMON_RUN, r);
    while (rc == EINTR);
    return rc;
}

static struct vm vm_new(void)
{
    struct vm vm = vm_alloc();
    struct btmon_create c = create_arg(&vm);
    int rc = call(vm.fd, BTMON_CREATE, &c);

    if (rc) {
        fprintf(stderr, "BTMON_CREATE: %s\n", strerror(rc));
        exit(1);
    }
    return vm;
}

static void vm_free(struct vm *vm)
{
    close(vm->fd);
    munmap(vm->ram, RAM_SIZE);
    munmap((void *)vm->shared, SHARED_SIZE);
}

static void set_command(struct vm *vm, enum selftest_command c, uint64_t arg0, uint64_t arg1)
{
    vm->shared->command = c;
    vm->shared->arg[0] = arg0;
    vm->shared->arg[1] = arg1;
}

static int run(struct vm *vm, enum selftest_command c, uint64_t arg0, uint64_t arg1)
{
    struct btmon_run r = { 0 };
    int rc;

    set_command(vm, c, arg0, arg1);
    rc = call_run(vm->fd, &r);
    return rc ? rc : r.code == c && r.arg == arg0 ? 0 : EPROTO;
}

/* --- what a user program has in its registers --- */

struct fpu {
    uint32_t xmm[16][4];
    uint32_t mxcsr;
    uint16_t fcw;
    double st;
};

static void fpu_set(uint32_t seed)
{
    uint32_t x[4] = { seed, seed * 3, ~seed, seed ^ 0x5a5a5a5a }, mxcsr = 0x1f80 | (seed & 0x6000);
    uint16_t fcw = 0x37f | (seed & 0xc00);
    double st = seed;

    __asm__ volatile("ldmxcsr %1\n\tfninit\n\tfldcw %2\n\tfldl %3\n\tmovdqu %0, %%xmm0\n\tmovdqa %%xmm0, %%xmm1\n\t"
                     "movdqa %%xmm0, %%xmm6\n\tmovdqa %%xmm0, %%xmm7\n\tmovdqa %%xmm0, %%xmm8\n\tmovdqa %%xmm0, %%xmm15"
                     : : "m"(x), "m"(mxcsr), "m"(fcw), "m"(st)
                     : "xmm0", "xmm1", "xmm6", "xmm7", "xmm8", "xmm15");
}

static void fpu_get(struct fpu *f)
{
    __asm__ volatile("fstl %0\n\tfnstcw %1\n\tstmxcsr %2" : "=m"(f->st), "=m"(f->fcw), "=m"(f->mxcsr));
    __asm__ volatile("movdqu %%xmm0, (%0)\n\tmovdqu %%xmm1, 16(%0)\n\tmovdqu %%xmm6, 96(%0)\n\tmovdqu %%xmm7, 112(%0)\n\t"
                     "movdqu %%xmm8, 128(%0)\n\tmovdqu %%xmm15, 240(%0)" : : "r"(f->xmm) : "memory");
}

/* The call in the middle must not come from libc, which uses XMM registers as it likes. */
static long bare_ioctl(int fd, unsigned long request, void *arg)
{
    long rc;

    __asm__ volatile("syscall" : "=a"(rc) : "0"(SYS_ioctl), "D"(fd), "S"(request), "d"(arg) : "rcx", "r11", "memory");
    return rc;
}

static long bare_run(int fd, struct btmon_run *r)
{
    long rc;

    do
        rc = bare_ioctl(fd, BTMON_RUN, r);
    while (rc == -EINTR);
    return rc;
}

static bool fpu_survives(struct vm *vm, uint32_t seed)
{
    struct btmon_run r = { 0 };
    struct fpu before = { 0 }, after = { 0 };
    long rc;

    fpu_set(seed);
    fpu_get(&before);
    rc = bare_run(vm->fd, &r);
    fpu_get(&after);
    __asm__ volatile("fninit\n\tldmxcsr %0" : : "m"((uint32_t){ 0x1f80 }));
    return rc == 0 && memcmp(&before, &after, sizeof(before)) == 0;
}

/* --- the tests --- */

static void test_basic(long n)
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

static void bad_create(const char *what, int expected, void (*spoil)(struct btmon_create *))
{
    struct vm vm = vm_alloc();
    struct btmon_create c = create_arg(&vm);
    int rc;

    spoil(&c);
    rc = call(vm.fd, BTMON_CREATE, &c);
    printf("# %s: %s\n", what, strerror(rc));
    ok(rc == expected, what);
    c = create_arg(&vm);
    ok(call(vm.fd, BTMON_CREATE, &c) == 0 && run(&vm, SELFTEST_ECHO, 1, 0) == 0, "a good one works after it");
    vm_free(&vm);
}

static void bad_version(struct btmon_create *c) { c->version++; }
static void bad_pad(struct btmon_create *c) { c->pad = 1; }
static void bad_align(struct btmon_create *c) { c->ram_addr += 8; }
static void bad_shared_align(struct btmon_create *c) { c->shared_addr += 8; }
static void bad_size(struct btmon_create *c) { c->shared_size += 8; }
static void bad_zero(struct btmon_create *c) { c->private_size = 0; }
static void bad_huge(struct btmon_create *c) { c->ram_size = 1ull << 62; }
static void bad_ram_max(struct btmon_create *c) { c->ram_size = (MON_LOW_PDPT - MON_PFN_RAM) / 4 * 4096 + 4096; }
static void bad_ram_min(struct btmon_create *c) { c->ram_size = SELFTEST_RAM_MIN - 4096; }
static void bad_shared_max(struct btmon_create *c) { c->shared_size = MON_PRIVATE - MON_SHARED + 4096; }
static void bad_shared_min(struct btmon_create *c) { c->shared_size = SELFTEST_SHARED_MIN - 4096; }
static void bad_private(struct btmon_create *c) { c->private_size = MON_PRIVATE_MAX + 4096; }
static void bad_unmapped(struct btmon_create *c) { c->ram_addr = 0x10000; }
static void bad_kernel(struct btmon_create *c) { c->ram_addr = 0xffffffff81000000; }
static void bad_hole(struct btmon_create *c)
{
    void *hole = pages(RAM_SIZE);

    munmap((uint8_t *)hole + RAM_SIZE / 2, 4096);
    c->ram_addr = (uint64_t)hole;
}
static void bad_readonly(struct btmon_create *c)
{
    c->shared_addr = (uint64_t)pages(SHARED_SIZE);
    mprotect((uint8_t *)c->shared_addr + 4096, 4096, PROT_READ);
}

static void test_errors(long n)
{
    struct vm vm = vm_alloc();
    struct btmon_run r = { 0 };

    (void)n;
    ok(call(vm.fd, BTMON_RUN, &r) == EINVAL, "BTMON_RUN before BTMON_CREATE: EINVAL");
    ok(call(vm.fd, BTMON_CREATE, (void *)8) == EFAULT, "EFAULT");
    ok(call(vm.fd, _IO('b', 77), NULL) == ENOTTY, "an unknown request: ENOTTY");
    vm_free(&vm);
    bad_create("version", EPROTO, bad_version);
    bad_create("padding", EINVAL, bad_pad);
    bad_create("alignment", EINVAL, bad_align);
    bad_create("alignment of the shared pages", EINVAL, bad_shared_align);
    bad_create("size", EINVAL, bad_size);
    bad_create("no private memory", EINVAL, bad_zero);
    bad_create("too much RAM", EINVAL, bad_huge);
    bad_create("more RAM than its page frame numbers have room for", EINVAL, bad_ram_max);
    bad_create("too little RAM", EINVAL, bad_ram_min);
    bad_create("too many shared pages", EINVAL, bad_shared_max);
    bad_create("too few shared pages", EINVAL, bad_shared_min);
    bad_create("too much private memory", EINVAL, bad_private);
    bad_create("RAM not mapped", EFAULT, bad_unmapped);
    bad_create("RAM in the kernel", EFAULT, bad_kernel);
    bad_create("a hole in RAM", EFAULT, bad_hole);
    bad_create("a page that is read-only", EFAULT, bad_readonly);
}

static unsigned long number_in(const char *file, const char *name)
{
    char line[256];
    size_t length = strlen(name);
    FILE *f = fopen(file, "r");
    unsigned long value = ~0ul;

    while (f && fgets(line, sizeof(line), f))
        if (!strncmp(line, name, length) && strchr(" \t:", line[length]))
            value = strtoul(line + length + 1, NULL, 10);
    if (f)
        fclose(f);
    return value;
}

#define SMALL_SIZE (128ul << 10) /* of RAM and of private memory */

/* The errno. */
static int create_small(struct vm *vm)
{
    struct btmon_create c = create_arg(vm);

    c.ram_size = c.private_size = SMALL_SIZE;
    return call(vm->fd, BTMON_CREATE, &c);
}

static unsigned long locked_kib(void)
{
    return number_in("/proc/self/status", "VmLck");
}

static void limit_to(unsigned long kib)
{
    struct rlimit limit = { kib * 1024, RLIM_INFINITY };

    setrlimit(RLIMIT_MEMLOCK, &limit);
}

static void test_limit(long n)
{
    struct vm vm = vm_alloc(), other = vm_alloc();
    unsigned long counted = locked_kib();

    (void)n;
    ok(create_small(&other) == 0, "without a limit");
    counted = locked_kib() - counted;
    vm_free(&other);
    limit_to(counted - 4);
    ok(setuid(65534) == 0, "not root any more");
    ok(create_small(&vm) == ENOMEM, "RLIMIT_MEMLOCK, a page too low: ENOMEM");
    limit_to(64);
    ok(create_small(&vm) == ENOMEM, "much too low: ENOMEM");
    limit_to(counted);
    ok(create_small(&vm) == 0, "just enough is fine");
    ok(run(&vm, SELFTEST_ECHO, 5, 0) == 0, "and runs");
}

static void broken(const char *what, enum selftest_command how, uint64_t arg)
{
    struct vm vm = vm_new();

    ok(run(&vm, how, arg, 0) == EIO, what);
    ok(run(&vm, SELFTEST_ECHO, 0, 0) == EIO, "for ever");
    vm_free(&vm);
}

static void test_dead(long n)
{
    static const uint64_t vectors[] = { 0, 1, 3, 13, 0x1f, 0x80, 0x100, 0x102, 0x100 + TIMER_VECTOR, NEVER };

    (void)n;
    broken("a broken monitor: EIO", SELFTEST_DIE, 0);
    broken("an undefined instruction: EIO", SELFTEST_UD, 0);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        broken("a vector that no device has: EIO", SELFTEST_BADVECTOR, vectors[i]);
}

/* The kernel's counts are only exact once those of the CPUs have been added up, which stat_refresh does. */
static bool nothing_pinned(void)
{
    unsigned long acquired, released;
    int fd = open("/proc/sys/vm/stat_refresh", O_RDONLY);
    char c;

    if (fd < 0 || read(fd, &c, 1) < 0)
        perror("stat_refresh");
    close(fd);
    acquired = number_in("/proc/vmstat", "nr_foll_pin_acquired");
    released = number_in("/proc/vmstat", "nr_foll_pin_released");
    printf("# pages pinned: %lu, released: %lu\n", acquired, released);
    return acquired != ~0ul && acquired == released;
}

static void test_leak(long n)
{
    unsigned long locked = locked_kib(), free_before = 0, free_after;

    for (long i = 0; i < 2 * n; i++) {
        struct vm vm = vm_new();

        if (i == n)
            free_before = number_in("/proc/meminfo", "MemFree");
        if (i == 0)
            ok(locked_kib() > locked + (RAM_SIZE + SHARED_SIZE + PRIVATE_SIZE) / 1024,
               "counted as locked, and what the module has besides");
        run(&vm, SELFTEST_WAIT, now() + MS / 10, 0);
        vm_free(&vm);
    }
    free_after = number_in("/proc/meminfo", "MemFree");
    printf("# free: %lu kB, %lu kB after %ld more VMs\n", free_before, free_after, n);
    ok(locked_kib() == locked, "no longer counted as locked");
    ok(nothing_pinned(), "nothing stays pinned");
    ok(free_after + 4096 > free_before, "memory comes back");
}

/* A VM's owner, too, goes with it: each of n processes makes one. */
static void test_owners(long n)
{
    unsigned long before = number_in("/proc/slabinfo", "mm_struct"), after;
    int status, bad = 0;

    for (long i = 0; i < n; i++) {
        if (fork() == 0) {
            struct vm vm = vm_alloc();

            _exit(create_small(&vm) != 0);
        }
        bad += wait(&status) < 0 || status;
    }
    after = number_in("/proc/slabinfo", "mm_struct");
    printf("# address spaces: %lu before, %lu after %ld processes\n", before, after, n);
    ok(bad == 0, "a VM in each of many processes");
    ok(before != ~0ul && after < before + (unsigned long)n / 2, "no address spaces stay");
}

/* What a file has besides, whether or not a VM is made of it.  The kernel frees files of its own a little later. */
static void test_files(long n)
{
    unsigned long before = number_in("/proc/meminfo", "SUnreclaim"), after;

    for (long i = 0; i < n; i++)
        close(open(BTMON_DEVICE, O_RDWR | O_CLOEXEC));
    usleep(200000);
    after = number_in("/proc/meminfo", "SUnreclaim");
    printf("# slabs: %lu kB, %lu kB after %ld files\n", before, after, n);
    ok(after < before + (unsigned long)n / 4, "a file leaves nothing");
}

static void test_pinned(long n)
{
    (void)n;
    ok(nothing_pinned(), "nothing stays pinned");
}

/* --- a memory cgroup that is too small: the script has put us into this one --- */

#define CGROUP "/tmp/cgroup/btmon/"

static int cgroup_max, cgroup_high, cgroup_current; /* open: to open a file takes memory */

static bool cgroup_set(int fd, const char *value)
{
    return pwrite(fd, value, strlen(value), 0) == (ssize_t)strlen(value);
}

/* To write memory.high makes the kernel give back what its CPUs hold in reserve; to read allocates but the first time. */
static long cgroup_used(void)
{
    char text[24] = "";

    if (!cgroup_set(cgroup_high, "0") || !cgroup_set(cgroup_high, "max") || pread(cgroup_current, text, sizeof(text) - 1, 0) <= 0)
        return -1;
    return atol(text);
}

/* BTMON_CREATE with so many bytes left to be had; the errno. *counted: the KiB that count as locked. */
static int create_starved(long bytes, unsigned long *counted)
{
    unsigned long before = locked_kib();
    struct vm vm = vm_alloc();
    char limit[24];
    int rc;

    memset(vm.ram, 1, SMALL_SIZE); /* the caller's pages are there: what is short is the module's */
    memset((void *)vm.shared, 1, SHARED_SIZE);
    snprintf(limit, sizeof(limit), "%ld", cgroup_used() + bytes);
    cgroup_set(cgroup_max, limit);
    rc = create_small(&vm);
    cgroup_set(cgroup_max, "max");
    *counted = locked_kib() - before;
    if (rc)
        ok(create_small(&vm) == 0 && run(&vm, SELFTEST_ECHO, 1, 0) == 0, "the same file, with memory: fine");
    vm_free(&vm);
    return rc;
}

/* A page more each time: each of the module's allocations is the one that fails. */
static void test_starve(long n)
{
    unsigned long locked = locked_kib(), counted;
    long before, after, failed = 0, other = 0, extra;
    int rc;

    cgroup_max = open(CGROUP "memory.max", O_WRONLY);
    cgroup_high = open(CGROUP "memory.high", O_WRONLY);
    cgroup_current = open(CGROUP "memory.current", O_RDONLY);
    rc = create_starved(16 << 20, &counted);
    ok(rc == 0, "with memory enough");
    before = cgroup_used();
    do {
        rc = create_starved(failed * 4096, &counted);
        failed += rc != 0;
        other += rc && rc != ENOMEM;
    } while (rc && failed < n);
    after = cgroup_used();
    extra = (long)((counted * 1024 - SMALL_SIZE - SHARED_SIZE) / 4096);
    printf("# %ld times without memory; the group had %ld bytes before, %ld after\n", failed, before, after);
    printf("# %lu KiB counted as locked, the module's are %ld pages of that\n", counted, extra);
    ok(rc == 0 && failed > 60 && !other, "a page less than it takes, and two, ...: ENOMEM");
    ok(labs(extra - failed) <= 4, "what the module takes is what it counts as locked");
    ok(before >= 0 && after >= 0 && after <= before + 8 * 4096, "memory comes back");
    ok(locked_kib() == locked, "no longer counted as locked");
    ok(nothing_pinned(), "nothing stays pinned");
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Any word of the arguments may be anything, near a good value or far from it. */
static void fuzz_one(uint64_t *seed)
{
    static const uint64_t odd[] = { 0, 1, 4095, 4096, 1 << 20, 1ull << 26, 1ull << 32, 1ull << 47, ~0ull, 0xffffffff81000000 };
    struct vm vm = vm_alloc();

    for (int i = 0; i < 8; i++) {
        struct btmon_create c = create_arg(&vm);
        struct btmon_run r = { .event = (uint32_t)random_next(seed) & 1 };
        uint64_t *word = (uint64_t *)&c;

        for (uint64_t k = random_next(seed) % 3; k; k--)
            word[random_next(seed) % (sizeof(c) / 8)] = odd[random_next(seed) % (sizeof(odd) / sizeof(odd[0]))];
        switch (random_next(seed) % 4) {
        case 0: call(vm.fd, BTMON_CREATE, &c); break;
        case 1: set_command(&vm, SELFTEST_ECHO, 0, 0); call(vm.fd, BTMON_RUN, &r); break;
        case 2: call(vm.fd, BTMON_RUN, (void *)odd[random_next(seed) % (sizeof(odd) / sizeof(odd[0]))]); break;
        default: call(vm.fd, random_next(seed), &c); break;
        }
    }
    vm_free(&vm);
}

static void test_fuzz(long n)
{
    uint64_t seed = 88172645463325252ull;

    for (long i = 0; i < n; i++)
        fuzz_one(&seed);
    ok(nothing_pinned(), "nothing stays pinned after bad requests");
    test_basic(0);
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
        return failures != 0;
    }
    fprintf(stderr, "usage: btmon-test NAME [NUMBER]\n");
    return 2;
}
