/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signals: from kill, from faults (#PF, #DE, #UD, #BP, single-step), and return from them. */
#include "nolibc.h"

enum { SIGILL = 4, SIGTRAP = 5, SIGFPE = 8, SIGUSR1 = 10, SIGSEGV = 11 };
enum { SA_SIGINFO = 4, SA_RESTORER = 0x04000000, SA_NODEFER = 0x40000000 };
enum { GREG_EDI = 4, GREG_EAX = 11, GREG_TRAPNO = 12, GREG_ERR = 13, GREG_EIP = 14, GREG_EFL = 16 };

struct kernel_sigaction {
    void *handler;
    unsigned long flags;
    void *restorer;
    unsigned long mask[2];
};

struct ucontext {
    unsigned long uc_flags, uc_link, ss_sp, ss_flags, ss_size;
    unsigned gregs[19];
    unsigned fpstate, oldmask, cr2;
};

static volatile unsigned hits, last_signal, last_trap, last_err, last_cr2, steps, skip;

asm("restore_rt:\n\t"
    "movl $173, %eax\n\t"
    "int $0x80");
void restore_rt(void);

static void on_signal(int sig, void *info, struct ucontext *uc)
{
    (void)info;
    hits++;
    last_signal = sig;
    last_trap = uc->gregs[GREG_TRAPNO];
    last_err = uc->gregs[GREG_ERR];
    last_cr2 = uc->cr2;
    uc->gregs[GREG_EIP] += skip;
    if (sig == SIGTRAP && last_trap == 1 && ++steps >= 10)
        uc->gregs[GREG_EFL] &= ~0x100u;
}

static void catch(int sig)
{
    struct kernel_sigaction sa = { on_signal, SA_SIGINFO | SA_RESTORER | SA_NODEFER, restore_rt, { 0, 0 } };

    if (sys6(SYS_rt_sigaction, sig, (long)&sa, 0, 8, 0, 0) != 0)
        CHECK("sigaction", 1, 0);
}

static void test_kill(void)
{
    unsigned before = hits;

    for (unsigned i = 0; i < 100; i++)
        SYS(SYS_kill, SYS(SYS_getpid, 0, 0, 0), SIGUSR1, 0);
    CHECK("kill-100", hits - before, 100);
}

static void test_faults(void)
{
    unsigned a = 0;

    skip = 2;                                       /* each of these is 2 bytes long */
    asm volatile(".byte 0x8b, 0x03" : "=a"(a) : "b"(0x10));              /* movl (%ebx), %eax */
    CHECK("segv-signal", last_signal, SIGSEGV);
    CHECK("segv-trap", last_trap, 14);
    CHECK("segv-error", last_err & ~0x10u, 4);
    CHECK("segv-address", last_cr2, 0x10);
    asm volatile(".byte 0x89, 0x03" : : "a"(1), "b"(0xc0100000));        /* movl %eax, (%ebx) */
    CHECK("kernel-signal", last_signal, SIGSEGV);
    CHECK("kernel-address", last_cr2, 0xc0100000);
    CHECK("kernel-error", last_err & 6, 6);
    asm volatile(".byte 0xf7, 0xf1" : "+a"(a) : "c"(0), "d"(0) : "cc");  /* divl %ecx */
    CHECK("divide-signal", last_signal, SIGFPE);
    CHECK("divide-trap", last_trap, 0);
    asm volatile("ud2");
    CHECK("ud2-signal", last_signal, SIGILL);
    CHECK("ud2-trap", last_trap, 6);
    skip = 1;
    asm volatile("hlt");
    CHECK("hlt-signal", last_signal, SIGSEGV);
    CHECK("hlt-trap", last_trap, 13);
    asm volatile("cli");
    CHECK("cli-trap", last_trap, 13);
    skip = 0;
    asm volatile("int3");
    CHECK("int3-signal", last_signal, SIGTRAP);
    CHECK("int3-trap", last_trap, 3);
}

static void test_step(void)
{
    unsigned count = 0;

    steps = 0;
    asm volatile("pushfl\n\torl $0x100, (%%esp)\n\tpopfl\n\t"
                 ".rept 20\n\tincl %0\n\t.endr" : "+r"(count) : : "cc", "memory");
    CHECK("single-steps", steps, 10);
    CHECK("single-step-work", count, 20);
}

static void test(void)
{
    static const int caught[] = { SIGILL, SIGTRAP, SIGFPE, SIGUSR1, SIGSEGV };

    for (unsigned i = 0; i < sizeof caught / sizeof caught[0]; i++)
        catch(caught[i]);
    test_kill();
    test_faults();
    test_step();
}
