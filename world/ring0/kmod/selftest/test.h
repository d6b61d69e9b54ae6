/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the parts of btmon-test.
 *
 * World: hosted, as root, on a kernel with the self-test's module.  Units: bytes, nanoseconds.  A struct vm belongs to the test that made it; what
 * can't be had ends the program with status 1.  call() and its kin return 0 or an errno, bare_*() the kernel's negative one.
 */
#ifndef WORLD_RING0_KMOD_SELFTEST_TEST_H
#define WORLD_RING0_KMOD_SELFTEST_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "world/ring0/kmod/selftest/selftest.h"

#define RAM_SIZE (8ul << 20)
#define SHARED_SIZE 65536ul
#define PRIVATE_SIZE (4ul << 20)
#define MS 1000000ull
#define NEVER (~0ull)
#define TIMER_VECTOR 0xec /* Linux's LOCAL_TIMER_VECTOR */

struct vm {
    int fd;
    uint8_t *ram;
    volatile struct selftest *shared;
};

/* One line of the result. */
void ok(bool good, const char *what);
/* Of the program: has a line been "not ok"? */
int test_status(void);
uint64_t now(void);

/* Anonymous and shared. */
void *pages(size_t size);
/* A device that is open and memory for it; the same with a VM made; the end of both. */
struct vm vm_alloc(void);
struct vm vm_new(void);
void vm_free(struct vm *vm);
struct btmon_create create_arg(const struct vm *vm);
/* An ioctl; BTMON_RUN, again as long as Linux wants the caller in between. */
int call(int fd, unsigned long request, void *arg);
int call_run(int fd, struct btmon_run *r);
/* What the monitor shall do at the next run; and a run of it. */
void set_command(struct vm *vm, enum selftest_command c, uint64_t arg0, uint64_t arg1);
int run(struct vm *vm, enum selftest_command c, uint64_t arg0, uint64_t arg1);
/* The same without the C library, which uses XMM registers as it likes. */
long bare_ioctl(int fd, unsigned long request, void *arg);
long bare_run(int fd, struct btmon_run *r);
/* A run, with registers made from seed around it. */
bool fpu_survives(struct vm *vm, uint32_t seed);

/* test.c */
void test_basic(long n);

/* test_requests.c */
void test_errors(long n);
void test_limit(long n);
void test_dead(long n);
void test_leak(long n);
void test_owners(long n);
void test_files(long n);
void test_pinned(long n);
void test_starve(long n);
void test_fuzz(long n);

#endif
