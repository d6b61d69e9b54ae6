// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the tests are made of: their lines of output, VMs, and programs that have something in their registers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "world/ring0/kmod/selftest/test.h"

static int failures;

void ok(bool good, const char *what)
{
    printf("%s - %s\n", good ? "ok" : "not ok", what);
    fflush(stdout);
    failures += !good;
}

uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void *pages(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return p;
}

struct vm vm_alloc(void)
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

struct btmon_create create_arg(const struct vm *vm)
{
    return (struct btmon_create){ .version = BTMON_VERSION,
                                  .ram_addr = (uint64_t)vm->ram, .ram_size = RAM_SIZE,
                                  .shared_addr = (uint64_t)vm->shared, .shared_size = SHARED_SIZE,
                                  .private_size = PRIVATE_SIZE };
}

/* 0, or the errno. */
int call(int fd, unsigned long request, void *arg)
{
    return ioctl(fd, request, arg) < 0 ? errno : 0;
}

/* Linux may want the caller at any time. */
int call_run(int fd, struct btmon_run *r)
{
    int rc;

    do
        rc = call(fd, BTMON_RUN, r);
    while (rc == EINTR);
    return rc;
}

struct vm vm_new(void)
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

void vm_free(struct vm *vm)
{
    close(vm->fd);
    munmap(vm->ram, RAM_SIZE);
    munmap((void *)vm->shared, SHARED_SIZE);
}

void set_command(struct vm *vm, enum selftest_command c, uint64_t arg0, uint64_t arg1)
{
    vm->shared->command = c;
    vm->shared->arg[0] = arg0;
    vm->shared->arg[1] = arg1;
}

int run(struct vm *vm, enum selftest_command c, uint64_t arg0, uint64_t arg1)
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
long bare_ioctl(int fd, unsigned long request, void *arg)
{
    long rc;

    __asm__ volatile("syscall" : "=a"(rc) : "0"(SYS_ioctl), "D"(fd), "S"(request), "d"(arg) : "rcx", "r11", "memory");
    return rc;
}

long bare_run(int fd, struct btmon_run *r)
{
    long rc;

    do
        rc = bare_ioctl(fd, BTMON_RUN, r);
    while (rc == -EINTR);
    return rc;
}

bool fpu_survives(struct vm *vm, uint32_t seed)
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

int test_status(void)
{
    return failures != 0;
}
