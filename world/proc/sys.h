/*
 * Raw Linux system calls for code that has no libc, and the kernel's constants that they need.
 *
 * World: monitor, proc world only (x86-64 Linux ABI, arch/x86/entry/syscalls).
 * Errors: the kernel's negative errno is returned as it is.
 */
#ifndef WORLD_PROC_SYS_H
#define WORLD_PROC_SYS_H

#include "base/types.h"

enum {
    SYS_NR_mmap = 9,
    SYS_NR_mprotect = 10,
    SYS_NR_munmap = 11,
    SYS_NR_rt_sigprocmask = 14,
    SYS_NR_rt_sigreturn = 15,
    SYS_NR_rt_sigtimedwait = 128,
    SYS_NR_madvise = 28,
    SYS_NR_modify_ldt = 154,
    SYS_NR_arch_prctl = 158,
    SYS_NR_futex = 202,
    SYS_NR_restart_syscall = 219,
    SYS_NR_timer_settime = 223,
    SYS_NR_clock_gettime = 228,
    SYS_NR_exit_group = 231,
    SYS_NR_tgkill = 234,
    SYS_NR_rt_tgsigqueueinfo = 297,
};

enum { SYS_EPERM = 1, SYS_EINTR = 4, SYS_EAGAIN = 11, SYS_ENOMEM = 12, SYS_EINVAL = 22, SYS_ETIMEDOUT = 110 };
enum { SYS_PROT_NONE = 0, SYS_PROT_READ = 1, SYS_PROT_WRITE = 2, SYS_PROT_EXEC = 4 };
enum { SYS_MAP_SHARED = 1, SYS_MAP_FIXED = 0x10, SYS_MAP_POPULATE = 0x8000, SYS_MAP_FIXED_NOREPLACE = 0x100000 };
enum { SYS_FUTEX_WAIT = 0, SYS_FUTEX_WAKE = 1, SYS_FUTEX_WAIT_BITSET = 9 };
enum { SYS_SIG_SETMASK = 2 };
enum { SYS_CLOCK_MONOTONIC = 1, SYS_TIMER_ABSTIME = 1 };

struct sys_timespec {
    int64_t sec, nsec;
};
struct sys_itimerspec {
    struct sys_timespec interval, value;
};

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long ret;

    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

static inline long sys3(long nr, long a, long b, long c)
{
    long ret;

    __asm__ volatile("syscall" : "=a"(ret) : "0"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return ret;
}

static inline long sys4(long nr, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long ret;

    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return ret;
}

__attribute__((noreturn)) static inline void sys_exit(int code)
{
    for (;;)
        sys3(SYS_NR_exit_group, code, 0, 0);
}

static inline long sys_futex_wake(volatile uint32_t *word, int n)
{
    return sys6(SYS_NR_futex, (long)word, SYS_FUTEX_WAKE, n, 0, 0, 0);
}

/* Absolute CLOCK_MONOTONIC timeout; NULL waits for ever. */
static inline long sys_futex_wait(volatile uint32_t *word, uint32_t seen, const struct sys_timespec *until)
{
    return sys6(SYS_NR_futex, (long)word, SYS_FUTEX_WAIT_BITSET, seen, (long)until, 0, -1);
}

#endif
