// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * without WHAT COMMAND...: runs a command as if the host lacked something.
 *
 *   modify_ldt, memfd, seccomp, cpuid-faulting   the system call fails as on a kernel built without it (seccomp filter)
 *   fork                                         no more processes (EAGAIN)
 *   compat                                       who maps memory for code below 2 GiB is killed, as a far jump to
 *                                                32-bit code kills where the kernel has no such segment
 *   fsgsbase                                     AT_HWCAP2 lacks the bit, in the auxiliary vector of the new program
 *
 * Status: the command's; 99 when the lack can't be arranged.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define HWCAP2_FSGSBASE 2
#define ANY UINT32_MAX

/* A system call, an argument that must have these bits for the action to be taken, and the action. */
struct lack {
    const char *name;
    uint32_t call, arg, bits, action;
};

static const struct lack lacks[] = {
    {"modify_ldt", SYS_modify_ldt, ANY, 0, SECCOMP_RET_ERRNO | ENOSYS},
    {"memfd", SYS_memfd_create, ANY, 0, SECCOMP_RET_ERRNO | ENOSYS},
    {"seccomp", SYS_seccomp, ANY, 0, SECCOMP_RET_ERRNO | ENOSYS},
    {"cpuid-faulting", SYS_arch_prctl, 0, ARCH_SET_CPUID, SECCOMP_RET_ERRNO | ENODEV},
    {"fork", SYS_clone, ANY, 0, SECCOMP_RET_ERRNO | EAGAIN},
    {"compat", SYS_mmap, 3, MAP_32BIT, SECCOMP_RET_KILL_PROCESS},
};

static void die(const char *what)
{
    fprintf(stderr, "without: %s: %s\n", what, strerror(errno));
    exit(99);
}

static void filter(const struct lack *l)
{
    uint32_t arg = l->arg == ANY ? offsetof(struct seccomp_data, nr)
                                 : (uint32_t)offsetof(struct seccomp_data, args) + 8 * l->arg;
    uint32_t bits = l->arg == ANY ? 0 : l->bits;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, l->call, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, arg),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, bits, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, l->action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {sizeof code / sizeof code[0], code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0))
        die("seccomp");
}

/* The stack of a program not yet begun: argc, argv, 0, environment, 0, pairs of the auxiliary vector. */
static void hwcap2_clear(pid_t pid)
{
    struct user_regs_struct regs;
    unsigned long at;
    long type;

    if (ptrace(PTRACE_GETREGS, pid, NULL, &regs))
        die("registers");
    at = regs.rsp + 8;
    for (unsigned zeros = 0; zeros < 2; at += 8)
        zeros += ptrace(PTRACE_PEEKDATA, pid, at, NULL) == 0;
    for (; (type = ptrace(PTRACE_PEEKDATA, pid, at, NULL)) != AT_NULL; at += 16)
        if (type == AT_HWCAP2 &&
            ptrace(PTRACE_POKEDATA, pid, at + 8, ptrace(PTRACE_PEEKDATA, pid, at + 8, NULL) & ~HWCAP2_FSGSBASE) == 0)
            return;
    die("no AT_HWCAP2");
}

static int run_without_hwcap2(char **command)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
            die("ptrace");
        execvp(command[0], command);
        die(command[0]);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        die("fork");
    if (WIFSTOPPED(status)) {
        hwcap2_clear(pid);
        if (ptrace(PTRACE_DETACH, pid, NULL, NULL) || waitpid(pid, &status, 0) != pid)
            die("detach");
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: without WHAT COMMAND...\n");
        return 99;
    }
    if (!strcmp(argv[1], "fsgsbase"))
        return run_without_hwcap2(argv + 2);
    for (unsigned i = 0; i < sizeof lacks / sizeof lacks[0]; i++) {
        if (strcmp(argv[1], lacks[i].name))
            continue;
        filter(&lacks[i]);
        execvp(argv[2], argv + 2);
        die(argv[2]);
    }
    errno = EINVAL;
    die(argv[1]);
}
