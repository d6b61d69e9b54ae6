/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Traps of the kernel view: host signals turned into exits of world_enter().
 *
 * A fault in guest code arrives as SIGSEGV, SIGBUS, SIGILL, SIGFPE or SIGTRAP on the signal stack, with trap
 * number, error code, CR2 and all registers exact in the frame.  The handler copies them into the vCPU, loads
 * the guest's FPU state back from the frame (the kernel starts handlers with the initial FPU state) and
 * leaves by a jump to the caller of proc_enter(): 1 us cheaper than rt_sigreturn.  That is sound because
 * nothing is masked while that handler runs (SA_NODEFER, empty sa_mask), and because the next signal starts at
 * the top of the signal stack again.
 *
 * SIGALRM (the alarm), SIGUSR1 (the VMX's kick) and SIGCHLD (a user view died) are asynchronous.  In guest
 * code they end the run; in the monitor they set v->attention, which the entry code tests; between that test
 * and the guest's first instruction (or the system call that sleeps) they send the entry code back.  While the
 * handler of one runs all three are blocked: senders that are faster than we are would fill the signal stack.
 *
 * A fault in the monitor is our own bug: it ends the VM with a dump.
 */
#include "world/proc/kview.h"
#include "world/proc/sigframe.h"
#include "world/proc/uview.h"

#include "base/assert.h"
#include "base/fmt.h"

__attribute__((noreturn)) static void leave(struct vcpu *v, const struct sig_context *mc)
{
    uint64_t mask = sig_xfeatures(mc);

    proc_leave_guest(v, mc->fpstate, (uint32_t)mask, (uint32_t)(mask >> 32));
}

/* A fault in the monitor: leave a dump that a maintainer can use. */
__attribute__((noreturn, cold)) static void monitor_fault(struct world *w, int sig,
                                                          const struct sig_info *info,
                                                          const struct sig_context *mc)
{
    char *dump = w->cross->dump;
    size_t size = sizeof w->cross->dump, n;
    char msg[160];

    if (w->dying)
        proc_die(w, VM_STOP_BUG, "world: fault while dying");
    w->dying = true;
    if (sig == SIG_SYS)
        fmt(msg, sizeof msg, "world: the sandbox refused system call %d", info->syscall);
    else
        fmt(msg, sizeof msg, "world: signal %d (trap %u) in the monitor at proc_main%+ld", sig,
            (unsigned)mc->trapno, (long)(mc->ip - (uint64_t)proc_main));
    fmt(w->cross->stop_msg, sizeof w->cross->stop_msg, "%s", msg); /* the dump may fault */
    n = (size_t)fmt(dump, size,
                    "monitor: rip %#lx rsp %#lx err %#lx cr2 %#lx cs %#x flags %#lx\n"
                    " rax %#lx rbx %#lx rcx %#lx rdx %#lx\n rsi %#lx rdi %#lx rbp %#lx\n"
                    " r8 %#lx r9 %#lx r10 %#lx r11 %#lx\n r12 %#lx r13 %#lx r14 %#lx r15 %#lx\n",
                    mc->ip, mc->sp, mc->err, mc->cr2, mc->cs, mc->flags, mc->ax, mc->bx, mc->cx, mc->dx,
                    mc->si, mc->di, mc->bp, mc->r8, mc->r9, mc->r10, mc->r11, mc->r12, mc->r13, mc->r14,
                    mc->r15);
    if (n < size)
        n += proc_stack_dump(mc->sp, dump + n, size - n);
    if (n < size && w->vm->vcpu)
        vcpu_dump(w->vm->vcpu, dump + n, size - n);
    proc_die(w, VM_STOP_BUG, msg);
}

void proc_signal_sync(int sig, void *info_, void *context)
{
    struct world *w = world_of_stack();
    const struct sig_info *info = info_;
    struct sig_context *mc = &((struct sig_ucontext *)context)->mc;
    struct vcpu *v = w->entered;

    if (!sig_from_guest(mc) || !v) {
        if (mc->ip != (uint64_t)proc_xrstor_insn)
            monitor_fault(w, sig, info, mc);
        mc->ip = (uint64_t)proc_xrstor_refused;
        return;
    }
    sig_gpr_take(v, mc);
    v->exit.kind = EXIT_FAULT;
    v->exit.tca = (uint32_t)mc->ip;
    v->exit.vec = (uint32_t)mc->trapno;
    v->exit.err = (uint32_t)mc->err;
    v->exit.cr2 = (uint32_t)mc->cr2;
    if (sig == SIG_TRAP && mc->trapno == VEC_BP) {
        v->exit.tca--; /* the int3 byte itself */
    } else if (sig == SIG_BUS && mc->trapno == VEC_PF) {
        vm_stop(w->vm, VM_STOP_HOST, "host: no memory for guest RAM");
        v->exit.kind = EXIT_ATTENTION;
    } else if (sig == SIG_SYS) {
        vm_stop(w->vm, VM_STOP_BUG, "world: system call in translated code at %#x", v->exit.tca);
        v->exit.kind = EXIT_ATTENTION;
    }
    leave(v, mc);
}

void proc_event(struct world *w, int sig)
{
    if (sig == SIG_ALRM)
        w->clock.fired = true;
    if (w->uviews && sig == SIG_CHLD)
        uview_died(w);
    else if (w->uviews)
        uview_kick(w);
    if (w->vm->vcpu)
        w->vm->vcpu->attention = 1;
}

static bool between(uint64_t ip, const char *from, const char *to) { return ip >= (uint64_t)from && ip < (uint64_t)to; }

static void events_unblock(void)
{
    static const uint64_t none = 0;

    sys4(SYS_NR_rt_sigprocmask, SYS_SIG_SETMASK, (long)&none, 0, sizeof none);
}

void proc_signal_async(int sig, void *info __attribute__((unused)), void *context)
{
    struct world *w = world_of_stack();
    struct sig_context *mc = &((struct sig_ucontext *)context)->mc;
    struct vcpu *v = w->entered;

    proc_event(w, sig);
    if (v && sig_from_guest(mc)) {
        sig_gpr_take(v, mc);
        v->exit.kind = EXIT_ATTENTION;
        v->exit.tca = (uint32_t)mc->ip;
        events_unblock(); /* which is else for rt_sigreturn to do */
        leave(v, mc);
    }
    if (between(mc->ip, proc_enter_crit, proc_enter_crit_end))
        mc->ip = (uint64_t)proc_enter_abort;
    else if (between(mc->ip, proc_sleep_crit, proc_sleep_crit_end))
        mc->ip = (uint64_t)proc_sleep_abort;
}
