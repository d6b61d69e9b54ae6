/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Probing the host.
 *
 * What may kill a process that tries it (a far jump into compatibility mode
 * where IA-32 emulation is off, say) is tried in a child.
 */
#define _GNU_SOURCE
#include "host/probe.h"

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"

#ifndef ARCH_SET_CPUID
#define ARCH_SET_CPUID 0x1012
#endif

#define HWCAP2_FSGSBASE_BIT BIT(1)

bool probe_nx(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && (d & BIT(20));
}

bool probe_invariant_tsc(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & BIT(8));
}

/* "CPUID on" is the state anyway; the call fails where the switch does not exist. */
bool probe_cpuid_faulting(void)
{
    return syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1) == 0;
}

/*
 * 64-bit code jumps to 32-bit code at 0x23 and that back to 0x33 (the Linux
 * user code selectors).  Only r8-r15 are sure to keep all their bits on the way.
 */
static void try_compat_mode(void)
{
    uint8_t *page =
        mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (page == MAP_FAILED)
        _exit(2);
    uint32_t at = (uint32_t)(uintptr_t)page;
    static const uint8_t back[] = {0x41, 0xff, 0xe7}; /* jmp *%r15 */

    page[0] = 0xea; /* ljmp $0x33, $page+16 */
    put32(page + 1, at + 16);
    put16(page + 5, 0x33);
    memcpy(page + 16, back, sizeof back);
    put32(page + 32, at);
    put16(page + 36, 0x23);
    if (mprotect(page, PAGE_SIZE, PROT_READ | PROT_EXEC))
        _exit(2);
    __asm__ volatile("mov %%rsp, %%r14\n\t"
                     "lea 1f(%%rip), %%r15\n\t"
                     "ljmpl *(%0)\n"
                     "1:\tmov %%r14, %%rsp"
                     : : "r"(page + 32) : "r14", "r15", "memory", "cc");
    _exit(0);
}

static void try_modify_ldt(void)
{
    struct user_desc d = {.entry_number = 7, .base_addr = 0, .limit = 0xfffff, .seg_32bit = 1,
                          .contents = MODIFY_LDT_CONTENTS_CODE, .limit_in_pages = 1, .useable = 1};
    uint32_t selector = d.entry_number << 3 | 7, rights;
    uint8_t there;

    if (syscall(SYS_modify_ldt, 0x11, &d, sizeof d))
        _exit(1);
    /* Under some hypervisors the call succeeds and no table is ever loaded. */
    __asm__("lar %2, %0\n\tsetz %1" : "=r"(rights), "=q"(there) : "r"(selector) : "cc");
    _exit(there ? 0 : 1);
}

enum trial { TRIAL_NOT_MADE, TRIAL_FAILED, TRIAL_WORKED };

static enum trial trial_in_child(void (*try)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        try();
        _exit(3);
    }
    if (pid < 0)
        return TRIAL_NOT_MADE;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return TRIAL_NOT_MADE;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? TRIAL_WORKED : TRIAL_FAILED;
}

extern const uint8_t probe_int1_insn[];

static void on_int1(int sig, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;

    (void)sig;
    (void)info;
    _exit((uint64_t)uc->uc_mcontext.gregs[REG_RIP] == (uint64_t)probe_int1_insn ? 0 : 1);
}

static void try_int1(void)
{
    struct sigaction sa = {.sa_sigaction = on_int1, .sa_flags = SA_SIGINFO};

    sigaction(SIGTRAP, &sa, NULL);
    __asm__ volatile(".globl probe_int1_insn\n"
                     ".hidden probe_int1_insn\n"
                     "probe_int1_insn: .byte 0xf1");
}

bool probe_int1_at(void) { return trial_in_child(try_int1) == TRIAL_WORKED; }

static bool has_memfd(void)
{
    int fd = memfd_create("probe", MFD_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool has_seccomp_trap(void)
{
    uint32_t action = SECCOMP_RET_TRAP;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

bool probe_host(const char **why)
{
    const char *missing = NULL;
    enum trial compat = trial_in_child(try_compat_mode), ldt = trial_in_child(try_modify_ldt);

    if (compat == TRIAL_NOT_MADE || ldt == TRIAL_NOT_MADE)
        missing = "no process can be started to try this host in (limit RLIMIT_NPROC, pids cgroup)";
    else if (compat == TRIAL_FAILED)
        missing = "this host lacks 32-bit compatibility mode (kernel option IA32_EMULATION,"
                  " boot parameter ia32_emulation=; some hypervisors give their guests none)";
    else if (ldt == TRIAL_FAILED)
        missing = "this host lacks modify_ldt (kernel option MODIFY_LDT_SYSCALL), or its tables have no effect";
    else if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT))
        missing = "this host lacks the FSGSBASE instructions (a CPU of 2012 or later and Linux 5.9)";
    else if (!has_seccomp_trap())
        missing = "this host lacks seccomp filters (kernel option SECCOMP_FILTER)";
    else if (!has_memfd())
        missing = "this host lacks memfd_create (kernel option MEMFD_CREATE)";
    if (missing)
        *why = missing;
    return missing == NULL;
}
