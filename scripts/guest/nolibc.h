/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest's test programs stand on: Linux i386 system calls by int 0x80,
 * a start routine, and check lines.  No C library, so that a compiler which can
 * make 32-bit code is enough to build them.  A program defines `void test(void)`
 * and calls CHECK; its exit status is the number of failed checks.
 */
#ifndef GUEST_NOLIBC_H
#define GUEST_NOLIBC_H

#include <stddef.h>
#include <stdint.h>

enum {
    SYS_exit = 1, SYS_fork = 2, SYS_read = 3, SYS_write = 4, SYS_open = 5, SYS_close = 6,
    SYS_waitpid = 7, SYS_execve = 11, SYS_getpid = 20, SYS_kill = 37, SYS_pipe = 42,
    SYS_munmap = 91, SYS_clone = 120, SYS_mprotect = 125, SYS_modify_ldt = 123,
    SYS_sched_yield = 158, SYS_nanosleep = 162, SYS_rt_sigreturn = 173,
    SYS_rt_sigaction = 174, SYS_mmap2 = 192, SYS_gettid = 224, SYS_futex = 240,
    SYS_set_thread_area = 243, SYS_exit_group = 252, SYS_clock_gettime = 265,
};

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
    long r;

    /* EBP carries the sixth argument and can't be named as an operand. */
    asm volatile("pushl %7\n\t"
                 "pushl %%ebp\n\t"
                 "movl 4(%%esp), %%ebp\n\t"
                 "int $0x80\n\t"
                 "popl %%ebp\n\t"
                 "addl $4, %%esp"
                 : "=a"(r)
                 : "0"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "m"(f)
                 : "memory", "cc");
    return r;
}

static inline long sys3(long nr, long a, long b, long c)
{
    long r;

    asm volatile("int $0x80" : "=a"(r) : "0"(nr), "b"(a), "c"(b), "d"(c) : "memory", "cc");
    return r;
}

#define SYS(nr, a, b, c) sys3((nr), (long)(a), (long)(b), (long)(c))

static int checks_failed;

static inline size_t text_length(const char *s)
{
    size_t n = 0;

    while (s[n])
        n++;
    return n;
}

static inline void put(const char *s)
{
    SYS(SYS_write, 1, s, text_length(s));
}

static inline void put_hex(unsigned v)
{
    char digits[9];

    for (int i = 7; i >= 0; i--, v >>= 4)
        digits[i] = "0123456789abcdef"[v & 15];
    digits[8] = 0;
    put(digits);
}

static inline void check(const char *name, unsigned got, unsigned expected)
{
    if (got == expected) {
        put("ok ");
        put(name);
    } else {
        checks_failed++;
        put("FAIL ");
        put(name);
        put(" expected ");
        put_hex(expected);
        put(" got ");
        put_hex(got);
    }
    put("\n");
}

#define CHECK(name, got, expected) check((name), (unsigned)(got), (unsigned)(expected))

void *memset(void *to, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);

void *memset(void *to, int c, size_t n)
{
    void *p = to;

    asm volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(c) : "memory");
    return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
    void *p = to;

    asm volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(n) : : "memory");
    return to;
}

static void test(void);

/* The stack at entry: argc, argv[0], ...; programs that need it read start_stack. */
static long *start_stack;

__attribute__((used, noreturn)) static void start_c(long *stack)
{
    start_stack = stack;
    test();
    for (;;)
        SYS(SYS_exit_group, checks_failed, 0, 0);
}

asm(".globl _start\n"
    "_start:\n\t"
    "movl %esp, %eax\n\t"
    "andl $-16, %esp\n\t"
    "subl $12, %esp\n\t"
    "pushl %eax\n\t"
    "call start_c\n\t"
    "hlt");

#endif
