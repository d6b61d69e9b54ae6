// SPDX-License-Identifier: GPL-2.0-or-later
/* See the header. */
#define _GNU_SOURCE
#include "tests/fake/fpnative.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/mem.h"

struct fake_fpnative fake_fpnative;

/* Known to the assembly below by its offsets. */
struct fp_run {
    uint64_t gpr[8];  /* ModRM order */
    uint64_t flags;   /* 0x40 */
    void *code;       /* 0x48 */
    void *mem;        /* 0x50 */
    uint64_t host_sp; /* 0x58 */
    uint64_t trap;    /* 0x60 */
};

_Static_assert(offsetof(struct fp_run, host_sp) == 0x58, "used by fake_fp_enter");

struct fp_run fake_fp_run __attribute__((visibility("hidden")));
void fake_fp_enter(void);
extern char fake_fp_leave[], fake_fp_trapped[];

__asm__(".text\n"
        "fake_fp_enter:\n"
        "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "    sub $520, %rsp; fxsave (%rsp)\n"
        "    mov %rsp, 0x58+fake_fp_run(%rip)\n"
        "    mov $7, %eax; xor %edx, %edx; xrstor fake_fpnative(%rip)\n"
        "    pushq 0x40+fake_fp_run(%rip); popfq\n"
        "    mov fake_fp_run(%rip), %rax\n"
        "    mov 0x08+fake_fp_run(%rip), %rcx\n"
        "    mov 0x10+fake_fp_run(%rip), %rdx\n"
        "    mov 0x18+fake_fp_run(%rip), %rbx\n"
        "    mov 0x20+fake_fp_run(%rip), %rsp\n"
        "    mov 0x28+fake_fp_run(%rip), %rbp\n"
        "    mov 0x30+fake_fp_run(%rip), %rsi\n"
        "    mov 0x38+fake_fp_run(%rip), %rdi\n"
        "    mov 0x50+fake_fp_run(%rip), %r8\n"
        "    jmp *0x48+fake_fp_run(%rip)\n"
        ".globl fake_fp_leave\n"
        "fake_fp_leave:\n"
        "    mov %rax, fake_fp_run(%rip)\n"
        "    mov %rcx, 0x08+fake_fp_run(%rip)\n"
        "    mov %rdx, 0x10+fake_fp_run(%rip)\n"
        "    mov %rbx, 0x18+fake_fp_run(%rip)\n"
        "    mov %rsp, 0x20+fake_fp_run(%rip)\n"
        "    mov %rbp, 0x28+fake_fp_run(%rip)\n"
        "    mov %rsi, 0x30+fake_fp_run(%rip)\n"
        "    mov %rdi, 0x38+fake_fp_run(%rip)\n"
        "    mov 0x58+fake_fp_run(%rip), %rsp\n"
        "    pushfq; popq 0x40+fake_fp_run(%rip)\n"
        ".globl fake_fp_trapped\n"
        "fake_fp_trapped:\n"
        "    mov 0x58+fake_fp_run(%rip), %rsp\n"
        "    cld\n"
        "    mov $7, %eax; xor %edx, %edx; xsave fake_fpnative(%rip)\n"
        "    fxrstor (%rsp); add $520, %rsp\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "    ret\n");

static void on_trap(int sig, siginfo_t *si, void *context)
{
    ucontext_t *u = context;

    (void)sig;
    (void)si;
    fake_fp_run.trap = (uint64_t)u->uc_mcontext.gregs[REG_TRAPNO];
    u->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)fake_fp_trapped;
}

static uint8_t *code_page(void)
{
    static uint8_t stack[65536];
    static uint8_t *page;
    static const int sigs[] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS};
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction sa = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    if (page)
        return page;
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaltstack(&ss, NULL);
    for (unsigned i = 0; i < sizeof sigs / sizeof *sigs; i++)
        sigaction(sigs[i], &sa, NULL);
    return page;
}

/* The opcode bytes with their REX.B, VEX.B or EVEX.B bit on, so that rm 0 is r8. */
static uint8_t *lay_opcode(uint8_t *p, const struct insn *in, const uint8_t *body, unsigned n)
{
    if (!in->mem) {
        memcpy(p, body, n);
        return p + n;
    }
    if (!in->vex) {
        *p++ = 0x41;
        memcpy(p, body, n);
        return p + n;
    }
    if (body[0] == 0xc5) {
        *p++ = 0xc4;
        *p++ = 0xc1; /* R X set, B clear (all inverted), map 1 */
        *p++ = body[1] & 0x7f;
        *p++ = body[2];
        return p;
    }
    memcpy(p, body, n);
    p[1] &= 0xdf;
    return p + n;
}

static void lay_down(uint8_t *p, const struct insn *in, const uint8_t *bytes)
{
    bool sib = in->mem && in->adsize == 4 && (in->modrm & 7) == 4;
    unsigned tail = in->len - in->imm_len;
    unsigned modrm_at = in->has_modrm ? tail - in->disp_len - sib - 1u : tail;

    for (unsigned i = 0; i < in->prefix_len; i++)
        if (bytes[i] == 0x66 || bytes[i] == 0xf2 || bytes[i] == 0xf3)
            *p++ = bytes[i];
    p = lay_opcode(p, in, bytes + in->prefix_len, modrm_at - in->prefix_len);
    if (in->has_modrm)
        *p++ = in->mem ? in->modrm & 0x38 : in->modrm;
    memcpy(p, bytes + tail, in->imm_len);
    p += in->imm_len;
    *p++ = 0xff; /* jmp *[rip+0] */
    *p++ = 0x25;
    put32(p, 0);
    put64(p + 4, (uintptr_t)fake_fp_leave);
}

int fpnative_run(struct vcpu *v, const struct insn *in, const uint8_t *bytes, void *mem, unsigned memlen)
{
    struct fp_run *r = &fake_fp_run;

    fake_fpnative.runs++;
    fake_fpnative.memlen = memlen;
    r->code = code_page();
    lay_down(r->code, in, bytes);
    for (unsigned i = 0; i < 8; i++)
        r->gpr[i] = v->gpr[i];
    r->flags = (v->eflags & EFLAGS_ARITH) | EFLAGS_FIXED;
    r->mem = mem;
    r->trap = ~0ull;
    fake_fp_enter();
    if (r->trap != ~0ull)
        return (int)r->trap;
    for (unsigned i = 0; i < 8; i++)
        v->gpr[i] = (uint32_t)r->gpr[i];
    v->eflags = (v->eflags & ~EFLAGS_ARITH) | ((uint32_t)r->flags & EFLAGS_ARITH);
    return 0;
}

void fake_fpnative_reset(void)
{
    memset(&fake_fpnative, 0, sizeof fake_fpnative);
    put16(fake_fpnative.xsave, 0x37f);
    put32(fake_fpnative.xsave + 24, 0x1f80);
    put64(fake_fpnative.xsave + 512, 7); /* XSTATE_BV: take all components from the area */
}

/* The caller may write there: make the next run load every component. */
static uint8_t *area(unsigned at)
{
    put64(fake_fpnative.xsave + 512, 7);
    return fake_fpnative.xsave + at;
}

uint8_t *fake_xmm(unsigned n) { return area(160 + 16 * n); }
uint8_t *fake_ymm_high(unsigned n) { return area(576 + 16 * n); }
