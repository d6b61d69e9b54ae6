/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reference engine: the real CPU in compatibility mode.
 *
 * The guest's memory is a memfd that is mapped twice: at the guest's linear
 * addresses with the guest's rights, and once more, writable, for resetting
 * it.  iretq to the 32-bit code selector starts a sequence (native_entry.S); it
 * ends in a fault, be it that of the HLT behind its last instruction.  Faults arrive as signals on an
 * alternate stack; the handler takes the registers out of the frame and returns to native_leave. A seccomp
 * filter turns system calls of the 32-bit ABI into SIGSYS, for a sequence that jumps astray may form one. The
 * handler touches no TLS: FS belongs to the guest while it runs.
 */
#define _GNU_SOURCE
#include "tests/diff/native.h"

#include <asm/ldt.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "host/probe.h"

void native_enter(struct native_ctx *c);
void native_return(void);
void native_leave(void);

#define AT(field, at) _Static_assert(offsetof(struct native_ctx, field) == (at), "native_entry.S knows it")
AT(eip, 32);
AT(eflags, 36);
AT(sel, 40);
AT(saved_rsp, 56);
AT(return_to, 64);
AT(fs_base, 72);
AT(gs_base, 80);
AT(rsp, 88);
AT(r8, 96);
AT(rip, 104);
AT(fx, 128);

static struct guest_mem *alias; /* the writable view */
static bool int1_at;            /* this host's INT1 leaves EIP at it */
static volatile unsigned ticks;

/* Offsets in struct native_ctx's gpr[] order. */
static const int greg_of[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI};

static void take_registers(struct native_ctx *c, const ucontext_t *uc)
{
    const greg_t *g = uc->uc_mcontext.gregs;

    for (unsigned i = 0; i < 8; i++)
        c->gpr[i] = (uint32_t)g[greg_of[i]];
    c->eip = (uint32_t)g[REG_RIP];
    c->eflags = (uint32_t)g[REG_EFL];
    c->sel[1] = (uint16_t)g[REG_CSGSFS];
    c->sel[2] = (uint16_t)((uint64_t)g[REG_CSGSFS] >> 48);
    __asm__("mov %%es, %0" : "=m"(c->sel[0]));
    __asm__("mov %%ds, %0" : "=m"(c->sel[3]));
    __asm__("mov %%fs, %0" : "=m"(c->sel[4]));
    __asm__("mov %%gs, %0" : "=m"(c->sel[5]));
    __builtin_memcpy(c->fx, uc->uc_mcontext.fpregs, 512);
}

static bool in_guest(const ucontext_t *uc)
{
    return (uint16_t)uc->uc_mcontext.gregs[REG_CSGSFS] != SEL_CODE64;
}

static void leave(ucontext_t *uc)
{
    uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)native_leave;
    uc->uc_mcontext.gregs[REG_CSGSFS] = (greg_t)((uint64_t)SEL_DATA << 48 | SEL_CODE64);
    uc->uc_mcontext.gregs[REG_EFL] = 0x202;
}

/* Written by native_run() around a run of 64-bit code, which the selector does not tell apart. */
static uint64_t native64_low, native64_high;

static void on_fault(int sig, siginfo_t *info, void *ucp)
{
    ucontext_t *uc = ucp;
    greg_t *g = uc->uc_mcontext.gregs;
    uint64_t rip = (uint64_t)g[REG_RIP];

    if (!in_guest(uc) && !(rip >= native64_low && rip < native64_high)) {
        signal(sig, SIG_DFL); /* our own bug: let it dump core */
        return;
    }
    struct native_ctx *c = (struct native_ctx *)g[REG_R15];
    take_registers(c, uc);
    c->trap = sig == SIGSYS ? NATIVE_SYSCALL : (uint32_t)g[REG_TRAPNO];
    c->err = (uint32_t)g[REG_ERR];
    c->cr2 = (uint32_t)g[REG_CR2];
    c->stepped = c->trap == VEC_DB && info->si_code == TRAP_TRACE;
    leave(uc);
}

static void on_tick(int sig, siginfo_t *info, void *ucp)
{
    ucontext_t *uc = ucp;

    (void)sig, (void)info;
    if (++ticks < 4 || !in_guest(uc))
        return;
    struct native_ctx *c = (struct native_ctx *)uc->uc_mcontext.gregs[REG_R15];
    take_registers(c, uc);
    c->trap = NATIVE_TIMEOUT;
    leave(uc);
}

static bool map_guest(void)
{
    static const struct {
        uint32_t gla, size;
        size_t at;
        int prot;
    } part[] = {
        {CODE_BASE, CODE_SIZE, offsetof(struct guest_mem, code), PROT_READ | PROT_EXEC},
        {DATA_BASE, DATA_SIZE, offsetof(struct guest_mem, data), PROT_READ | PROT_WRITE},
        {RO_BASE, RO_SIZE, offsetof(struct guest_mem, ro), PROT_READ},
        {STACK_BASE, STACK_SIZE, offsetof(struct guest_mem, stack), PROT_READ | PROT_WRITE},
    };
    int fd = memfd_create("guest", 0);

    if (fd < 0 || ftruncate(fd, sizeof *alias) < 0)
        return false;
    alias = mmap(NULL, sizeof *alias, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (alias == MAP_FAILED)
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(part); i++)
        if (mmap((void *)(uintptr_t)part[i].gla, part[i].size, part[i].prot,
                 MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, (off_t)part[i].at) == MAP_FAILED)
            return false;
    close(fd);
    return true;
}

static bool make_ldt(void)
{
    for (unsigned i = 0; i < LDT_COUNT; i++) {
        const struct ldt_entry *e = &ldt_entries[i];
        struct user_desc d = {
            .entry_number = i,
            .base_addr = e->base,
            .limit = e->limit,
            .limit_in_pages = e->pages,
            .seg_32bit = e->is32,
            .contents = e->code ? 2 : e->down ? 1 : 0,
            .read_exec_only = e->read_only,
            .seg_not_present = e->absent,
        };
        if (syscall(SYS_modify_ldt, 1, &d, sizeof d) != 0)
            return false;
    }
    return true;
}

static bool forbid_compat_syscalls(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

static bool catch_signals(void)
{
    static const int faults[] = {SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGBUS, SIGSYS};
    stack_t ss = {.ss_sp = malloc(1 << 17), .ss_size = 1 << 17};
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct itimerval tick = {{0, 250000}, {0, 250000}};

    if (sigaltstack(&ss, NULL) != 0)
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(faults); i++)
        sigaction(faults[i], &sa, NULL);
    sa.sa_sigaction = on_tick;
    sa.sa_flags |= SA_RESTART;
    sigaction(SIGALRM, &sa, NULL);
    return setitimer(ITIMER_REAL, &tick, NULL) == 0;
}

bool native_init(void)
{
    static bool done, ok;

    if (!done) {
        done = true;
        int1_at = probe_int1_at();
        ok = (getauxval(AT_HWCAP2) & 2) /* FSGSBASE */ && map_guest() && make_ldt() && catch_signals() &&
             forbid_compat_syscalls();
    }
    return ok;
}

void native_run(struct native_ctx *c)
{
    c->return_to = native_return;
    c->trap = NATIVE_NO_TRAP;
    c->err = c->cr2 = 0;
    if (c->sel[1] == SEL_CODE64) {
        native64_low = c->rip & ~4095ull;
        native64_high = native64_low + 4096;
    }
    ticks = 0;
    native_enter(c);
    native64_high = 0;
}

/* A trap's EIP is behind the instruction, prefixes included, wherever this host leaves it. */
static void int1_pass(const struct seq *s, struct native_ctx *c)
{
    uint32_t base = c->sel[1] == SEL_CODE32 ? 0 : CODE_BASE;
    uint32_t at = base + c->eip - (CODE_BASE + s->place);

    if (int1_at && c->trap == VEC_DB && !c->stepped && at < s->code_len)
        c->eip += (uint32_t)(skip_prefixes(s->code + at) + 1 - (s->code + at));
}

static bool at_way_out(const struct seq *s, const struct native_ctx *c)
{
    uint32_t base = c->sel[1] == SEL_CODE32 ? 0 : CODE_BASE; /* all other code segments have this base */

    return c->trap == VEC_GP && s->place + s->code_len < CODE_SIZE &&
           base + c->eip == CODE_BASE + s->place + s->code_len;
}

static void native_engine_run(const struct seq *s, struct outcome *o)
{
    static struct native_ctx c;

    seq_memory(s, alias);
    memcpy(c.gpr, s->init.gpr, sizeof c.gpr);
    memcpy(c.sel, s->init.sel, sizeof c.sel);
    memcpy(c.fx, s->init.fx, sizeof c.fx);
    c.eflags = s->init.eflags;
    c.rip = s->init.eip;
    c.rsp = s->init.gpr[4];
    native_run(&c);
    int1_pass(s, &c);

    o->kind = c.trap == NATIVE_TIMEOUT ? OUT_TIMEOUT : c.trap == NATIVE_SYSCALL ? OUT_SKIP : OUT_FAULT;
    o->vec = c.trap;
    o->err = c.err;
    o->cr2 = c.cr2;
    memcpy(o->s.gpr, c.gpr, sizeof c.gpr);
    memcpy(o->s.sel, c.sel, sizeof c.sel);
    memcpy(o->s.fx, c.fx, sizeof c.fx);
    o->s.eflags = c.eflags;
    o->s.eip = c.eip;
    if (at_way_out(s, &c)) {
        o->kind = OUT_END;
        o->s.eip = s->start[s->ngroups];
        o->s.sel[1] = s->init.sel[1];
    }
    o->mem = alias;
}

const struct engine engine_native = {"native", native_init, native_engine_run};
