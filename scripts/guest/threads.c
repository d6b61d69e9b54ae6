/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads by clone in one address space: atomic counters, a futex, and preemption while computing. */
#include "nolibc.h"

enum { CLONE_VM = 0x100, CLONE_FS = 0x200, CLONE_FILES = 0x400, CLONE_SIGHAND = 0x800,
       CLONE_THREAD = 0x10000, FUTEX_WAIT = 0, FUTEX_WAKE = 1, THREADS = 4, ROUNDS = 20000 };

static unsigned char stacks[THREADS][8192] __attribute__((aligned(16)));
static volatile unsigned counter, finished, xchg_lock, guarded;
static double results[THREADS];

__attribute__((used)) static void thread_main(unsigned number)
{
    double x = 1.0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        __sync_fetch_and_add(&counter, 1);
        x = x * 1.5 + number;
        if (x > 1e6)
            x /= 1048576.0;
        if (i % 64 == 0) {
            while (__sync_lock_test_and_set(&xchg_lock, 1))
                SYS(SYS_sched_yield, 0, 0, 0);
            guarded = guarded + 1;
            __sync_lock_release(&xchg_lock);
        }
    }
    results[number] = x;
    __sync_fetch_and_add(&finished, 1);
    SYS(SYS_futex, &finished, FUTEX_WAKE, 1);
    SYS(SYS_exit, 0, 0, 0);
}

static double expected_result(unsigned number)
{
    volatile double x = 1.0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        x = x * 1.5 + number;
        if (x > 1e6)
            x /= 1048576.0;
    }
    return x;
}

static long start_thread(unsigned number)
{
    unsigned *top = (unsigned *)(stacks[number] + sizeof stacks[number]) - 4;
    long r;

    top[0] = number;
    asm volatile("int $0x80\n\t"
                 "testl %0, %0\n\t"
                 "jnz 1f\n\t"
                 "call thread_main\n"
                 "1:"
                 : "=a"(r)
                 : "0"(SYS_clone),
                   "b"(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD),
                   "c"(top), "d"(0), "S"(0), "D"(0)
                 : "memory", "cc");
    return r;
}

static void test(void)
{
    unsigned started = 0, seen, good = 0;

    for (unsigned i = 0; i < THREADS; i++)
        started += start_thread(i) > 0;
    CHECK("threads-started", started, THREADS);
    while ((seen = finished) < started)
        SYS(SYS_futex, &finished, FUTEX_WAIT, seen);
    CHECK("atomic-counter", counter, THREADS * ROUNDS);
    CHECK("guarded-counter", guarded, THREADS * ((ROUNDS + 63) / 64));
    for (unsigned i = 0; i < THREADS; i++) {
        double e = expected_result(i), d = results[i] - e;

        good += (d < 0 ? -d : d) <= 1e-6 * (e < 0 ? -e : e);
    }
    CHECK("fpu-across-switches", good, THREADS);
}
