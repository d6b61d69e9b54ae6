// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests that are wrong or too much, monitors that die, and what is left of a VM when it is gone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "world/ring0/kmod/selftest/test.h"

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

void test_errors(long n)
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

void test_limit(long n)
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

void test_dead(long n)
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

void test_leak(long n)
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
void test_owners(long n)
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
void test_files(long n)
{
    unsigned long before = number_in("/proc/meminfo", "SUnreclaim"), after;

    for (long i = 0; i < n; i++)
        close(open(BTMON_DEVICE, O_RDWR | O_CLOEXEC));
    usleep(200000);
    after = number_in("/proc/meminfo", "SUnreclaim");
    printf("# slabs: %lu kB, %lu kB after %ld files\n", before, after, n);
    ok(after < before + (unsigned long)n / 4, "a file leaves nothing");
}

void test_pinned(long n)
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
void test_starve(long n)
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

void test_fuzz(long n)
{
    uint64_t seed = 88172645463325252ull;

    for (long i = 0; i < n; i++)
        fuzz_one(&seed);
    ok(nothing_pinned(), "nothing stays pinned after bad requests");
    test_basic(0);
}
