/*
 * The kernel's signal frame on x86-64, as the handlers see it (the ABI of
 * arch/x86/include/uapi/asm/sigcontext.h).
 *
 * World: monitor, proc world.  Layout and what is read from it; written by the host kernel.  The handlers read it, and change it
 * only to redirect a sigreturn.
 */
#ifndef WORLD_PROC_SIGFRAME_H
#define WORLD_PROC_SIGFRAME_H

#include "cpu/vcpu.h"

struct sig_context {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t di, si, bp, bx, dx, ax, cx, sp, ip, flags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2;
    uint8_t *fpstate;
    uint64_t reserved[8];
};

struct sig_ucontext {
    uint64_t flags;
    uint64_t link;
    uint64_t stack[3];
    struct sig_context mc;
    uint64_t sigmask;
};

struct sig_info {
    int32_t signo, err, code, pad;
    uint64_t addr;   /* faults: address; SIGSYS: address behind the instruction */
    int32_t syscall; /* SIGSYS */
    uint32_t arch;   /* SIGSYS: AUDIT_ARCH_* */
};

_Static_assert(offsetof(struct sig_ucontext, mc) == 40, "the kernel's layout");
_Static_assert(sizeof(struct sig_context) == 256, "the kernel's layout");

/* The software-reserved bytes of the FXSAVE image tell what the frame's XSAVE image holds. */
#define FPSTATE_SW 464
#define FPSTATE_HEADER 512 /* XSTATE_BV: the components that are not at their initial state */
#define FPSTATE_MAGIC1 0x46505853u
struct fpstate_sw {
    uint32_t magic1, extended_size;
    uint64_t xfeatures;
    uint32_t xstate_size, pad[7];
};

enum {
    SIG_ILL = 4,
    SIG_TRAP = 5,
    SIG_BUS = 7,
    SIG_FPE = 8,
    SIG_USR1 = 10,
    SIG_SEGV = 11,
    SIG_ALRM = 14,
    SIG_CHLD = 17,
    SIG_SYS = 31
};

/* A selector with the table bit set comes from the LDT: guest code runs. */
static inline bool sig_from_guest(const struct sig_context *mc) { return mc->cs & 4; }

/* The guest's registers. */
static inline void sig_gpr_take(struct vcpu *v, const struct sig_context *mc)
{
    v->gpr[REG_EAX] = (uint32_t)mc->ax;
    v->gpr[REG_ECX] = (uint32_t)mc->cx;
    v->gpr[REG_EDX] = (uint32_t)mc->dx;
    v->gpr[REG_EBX] = (uint32_t)mc->bx;
    v->gpr[REG_ESP] = (uint32_t)mc->sp;
    v->gpr[REG_EBP] = (uint32_t)mc->bp;
    v->gpr[REG_ESI] = (uint32_t)mc->si;
    v->gpr[REG_EDI] = (uint32_t)mc->di;
    v->hflags = (uint32_t)mc->flags & ~(uint32_t)EFLAGS_RF;
}

/* The XRSTOR mask for the frame's FPU state. */
static inline uint64_t sig_xfeatures(const struct sig_context *mc)
{
    const struct fpstate_sw *sw = (const void *)(mc->fpstate + FPSTATE_SW);

    return sw->magic1 == FPSTATE_MAGIC1 ? sw->xfeatures : 3;
}

/* What a guest can have in its FPU state: x87, SSE, AVX, AVX-512.  Not PKRU, with which user code could take the
 * kernel view's own memory away. */
#define XSTATE_GUEST 0xe7ull

#endif
