// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Entering and leaving guest code in the ring-0 world.
 *
 * The way in is an IRETQ to a compatibility-mode code segment of CPL 1 or 3 (SDM vol. 3A 6.14.3), the way out
 * any trap: it switches to the trap stack, whose frame tells EIP, ESP and flags; the rest is saved in the
 * vCPU, and ring0_trap_from_guest returns to the caller of ring0_enter() as if that had returned. A callout is INT 80h
 * from CPL 1.
 *
 * The guest's DS, ES, FS and GS stay loaded while the monitor works: 64-bit code ignores them. So they are loaded
 * only when they have changed, or after a switch to the host. CS and SS come with IRETQ.
 *
 * IRETQ to a 16-bit stack segment loads SP only and leaves the upper half of the monitor's RSP in ESP. So such code is
 * entered by way of a trampoline in the window, on a flat stack segment, whose two instructions load SS and jump.
 *
 * Interrupts of the host that arrive in guest code are passed on right here; the guest goes on unless they
 * brought an event.
 */
#include "world/ring0/ring0.h"

#include "base/assert.h"
#include "bt/windata.h"

#define VCPU_OFFSETS                                                                                         \
    [eax] "i"(offsetof(struct vcpu, gpr[REG_EAX])), [ecx] "i"(offsetof(struct vcpu, gpr[REG_ECX])),          \
        [edx] "i"(offsetof(struct vcpu, gpr[REG_EDX])), [ebx] "i"(offsetof(struct vcpu, gpr[REG_EBX])),      \
        [esp] "i"(offsetof(struct vcpu, gpr[REG_ESP])), [ebp] "i"(offsetof(struct vcpu, gpr[REG_EBP])),      \
        [esi] "i"(offsetof(struct vcpu, gpr[REG_ESI])), [edi] "i"(offsetof(struct vcpu, gpr[REG_EDI])),      \
        [hflags] "i"(offsetof(struct vcpu, hflags)), [monrsp] "i"(offsetof(struct vcpu, mon_rsp)),           \
        [vec] "i"(offsetof(struct vcpu, exit.vec)), [err] "i"(offsetof(struct vcpu, exit.err)),              \
        [tca] "i"(offsetof(struct vcpu, exit.tca)), [cr2] "i"(offsetof(struct vcpu, exit.cr2)),              \
        [cs] "i"(offsetof(struct vcpu, scratch[SCRATCH_CS])), [ss] "i"(offsetof(struct vcpu, scratch[SCRATCH_SS])), \
        [world] "i"(MON_PRIVATE), [pf] "i"(VEC_PF)

/* rdi = vCPU, esi = EIP, edx = CS, ecx = SS, r8d = EFLAGS. */
__attribute__((naked)) void ring0_enter(struct vcpu *v __attribute__((unused)), uint32_t eip __attribute__((unused)),
                                        uint32_t cs __attribute__((unused)), uint32_t ss __attribute__((unused)),
                                        uint32_t flags __attribute__((unused)))
{
    __asm__("push %%rbx\n\t"
            "push %%rbp\n\t"
            "push %%r12\n\t"
            "push %%r13\n\t"
            "push %%r14\n\t"
            "push %%r15\n\t"
            "mov %%rsp, %c[monrsp](%%rdi)\n\t"
            "push %%rcx\n\t"
            "mov %c[esp](%%rdi), %%eax\n\t"
            "push %%rax\n\t"
            "push %%r8\n\t"
            "push %%rdx\n\t"
            "push %%rsi\n\t"
            "mov %c[eax](%%rdi), %%eax\n\t"
            "mov %c[ecx](%%rdi), %%ecx\n\t"
            "mov %c[edx](%%rdi), %%edx\n\t"
            "mov %c[ebx](%%rdi), %%ebx\n\t"
            "mov %c[ebp](%%rdi), %%ebp\n\t"
            "mov %c[esi](%%rdi), %%esi\n\t"
            "mov %c[edi](%%rdi), %%edi\n\t"
            "iretq"
            :
            : VCPU_OFFSETS);
}

/* The three pieces that every way out is made of: the registers that the guest has, what the CPU has pushed, and the return. */
#define SAVE_REGISTERS                                                                                       \
    "movabs %[world], %%r15\n\t"                                                                             \
    "mov (%%r15), %%r15\n\t"                                                                                 \
    "mov %%eax, %c[eax](%%r15)\n\t"                                                                          \
    "mov %%ecx, %c[ecx](%%r15)\n\t"                                                                          \
    "mov %%edx, %c[edx](%%r15)\n\t"                                                                          \
    "mov %%ebx, %c[ebx](%%r15)\n\t"                                                                          \
    "mov %%ebp, %c[ebp](%%r15)\n\t"                                                                          \
    "mov %%esi, %c[esi](%%r15)\n\t"                                                                          \
    "mov %%edi, %c[edi](%%r15)\n\t"                                                                          \
    "cld\n\t"
#define TAKE_FRAME                                                                                           \
    "pop %%rcx\n\t"                                                                                          \
    "mov %%ecx, %c[tca](%%r15)\n\t"                                                                          \
    "pop %%rcx\n\t"                                                                                          \
    "mov %%ecx, %c[cs](%%r15)\n\t"                                                                           \
    "pop %%rcx\n\t"                                                                                          \
    "mov %%ecx, %c[hflags](%%r15)\n\t"                                                                       \
    "pop %%rcx\n\t"                                                                                          \
    "mov %%ecx, %c[esp](%%r15)\n\t"                                                                          \
    "pop %%rcx\n\t"                                                                                          \
    "mov %%ecx, %c[ss](%%r15)\n\t"
#define RETURN_FROM_ENTER                                                                                    \
    "mov %c[monrsp](%%r15), %%rsp\n\t"                                                                       \
    "pop %%r15\n\t"                                                                                          \
    "pop %%r14\n\t"                                                                                          \
    "pop %%r13\n\t"                                                                                          \
    "pop %%r12\n\t"                                                                                          \
    "pop %%rbp\n\t"                                                                                          \
    "pop %%rbx\n\t"                                                                                          \
    "ret"

/* From a stub, on the trap stack: vector, error code, RIP, CS, RFLAGS, RSP, SS. */
__attribute__((naked)) void ring0_trap_from_guest(void)
{
    __asm__(SAVE_REGISTERS
            "pop %%rax\n\t"
            "mov %%eax, %c[vec](%%r15)\n\t"
            "pop %%rcx\n\t"
            "mov %%ecx, %c[err](%%r15)\n\t"
            TAKE_FRAME
            "cmp $%c[pf], %%eax\n\t"
            "jne 1f\n\t"
            "mov %%cr2, %%rax\n\t"
            "mov %%eax, %c[cr2](%%r15)\n"
            "1:\n\t"
            RETURN_FROM_ENTER
            :
            : VCPU_OFFSETS);
}

/* By the gate of callouts, which no other code goes through: RIP, CS, RFLAGS, RSP, SS. */
__attribute__((naked)) void ring0_callout(void)
{
    __asm__(SAVE_REGISTERS
            "movl $%c[callout], %c[vec](%%r15)\n\t"
            TAKE_FRAME
            RETURN_FROM_ENTER
            :
            : VCPU_OFFSETS, [callout] "i"(VEC_CALLOUT));
}

/* From a stub, on the stack that was interrupted.  ORDER trap_frame */
__attribute__((naked)) void ring0_trap_in_monitor(void)
{
    __asm__("push %rax\n\t"
            "push %rcx\n\t"
            "push %rdx\n\t"
            "push %rsi\n\t"
            "push %rdi\n\t"
            "push %rbp\n\t"
            "push %rbx\n\t"
            "push %r8\n\t"
            "push %r9\n\t"
            "push %r10\n\t"
            "push %r11\n\t"
            "push %r12\n\t"
            "push %r13\n\t"
            "push %r14\n\t"
            "push %r15\n\t"
            "cld\n\t"
            "mov %rsp, %rdi\n\t"
            "mov %rsp, %rbx\n\t"
            "and $-16, %rsp\n\t"
            "call ring0_monitor_trap\n\t"
            "mov %rbx, %rsp\n\t"
            "pop %r15\n\t"
            "pop %r14\n\t"
            "pop %r13\n\t"
            "pop %r12\n\t"
            "pop %r11\n\t"
            "pop %r10\n\t"
            "pop %r9\n\t"
            "pop %r8\n\t"
            "pop %rbx\n\t"
            "pop %rbp\n\t"
            "pop %rdi\n\t"
            "pop %rsi\n\t"
            "pop %rdx\n\t"
            "pop %rcx\n\t"
            "pop %rax\n\t"
            "add $16, %rsp\n\t"
            "iretq");
}

uint8_t *world_tc_rw(struct vm *vm) { return vm->world->win + (WIN_TC - WIN_BASE); }

void *world_win_data(struct vm *vm) { return vm->world->win + (WIN_DATA - WIN_BASE); }

unsigned world_callout_seq(struct vm *vm, uint8_t out[8])
{
    (void)vm;
    out[0] = 0xcd; /* INT imm8 */
    out[1] = VEC_CALLOUT;
    return 2;
}

static inline void segments_load(struct world *w, const struct vcpu *v)
{
    if (w->loaded != LOADED_BT) {
        SREG_SET(ds, v->hsel[SEG_DS]);
        SREG_SET(es, v->hsel[SEG_ES]);
        SREG_SET(fs, v->hsel[SEG_FS]);
        SREG_SET(gs, SEL_BT_GS);
        w->loaded = LOADED_BT;
    } else if (w->seg_changed) {
        if (w->seg_changed & BIT(SEG_DS))
            SREG_SET(ds, v->hsel[SEG_DS]);
        if (w->seg_changed & BIT(SEG_ES))
            SREG_SET(es, v->hsel[SEG_ES]);
        if (w->seg_changed & BIT(SEG_FS))
            SREG_SET(fs, v->hsel[SEG_FS]);
    }
    w->seg_changed = 0;
}

static uint32_t guest_flags(const struct vcpu *v)
{
    return (v->hflags & EFLAGS_LIVE) | EFLAGS_FIXED | EFLAGS_IF;
}

/* What the trampoline reads, at the end of the window's data pages. */
struct trampoline {
    uint32_t ss, tca;
};
#define TRAMPOLINE (WIN_DATA_SIZE - sizeof(struct trampoline))

void ring0_trampoline_init(struct world *w)
{
    uint8_t *p = w->win + (WIN_STUBS - WIN_BASE);

    memset(p, 0xcc, WIN_STUBS_SIZE);
    memcpy(p, "\x65\x8e\x15", 3); /* mov %gs:ss, %ss */
    put32(p + 3, TRAMPOLINE + offsetof(struct trampoline, ss));
    memcpy(p + 7, "\x65\xff\x25", 3); /* jmp *%gs:tca */
    put32(p + 10, TRAMPOLINE + offsetof(struct trampoline, tca));
}

static void enter_translated(struct world *w, struct vcpu *v, tca_t tca)
{
    struct trampoline *t = (struct trampoline *)(w->win + TRAMPOLINE);

    if (likely(vcpu_stack32(v))) {
        ring0_enter(v, tca, SEL_BT_CS, v->hsel[SEG_SS], guest_flags(v));
        return;
    }
    *t = (struct trampoline){ v->hsel[SEG_SS], tca };
    ring0_enter(v, WIN_STUBS, SEL_BT_CS, SEL_BT_FLAT, guest_flags(v));
    if (v->exit.tca - WIN_STUBS < WIN_STUBS_SIZE)
        v->exit.tca = tca; /* interrupted on the way */
}

static void note_fault(struct vcpu *v)
{
    struct exit *e = &v->exit;

    v->hflags &= ~(uint32_t)EFLAGS_RF;
    e->kind = EXIT_FAULT;
    if (e->vec == VEC_BP)
        e->tca--; /* the INT3 itself */
}

void world_enter(struct vcpu *v, tca_t tca)
{
    struct world *w = v->vm->world;

    w->desc_synced = false; /* the guest's kernel may write to its descriptor tables */
    while (ring0_ready(w, v)) {
        segments_load(w, v);
        enter_translated(w, v, tca);
        if (likely(v->exit.vec == VEC_CALLOUT)) {
            v->exit.kind = EXIT_CALLOUT;
            return;
        }
        if (likely(!vec_is_host(v->exit.vec))) {
            note_fault(v);
            return;
        }
        tca = v->exit.tca;
        ring0_host_event(w, v->exit.vec, 1, tca);
        if (v->attention) {
            v->hflags &= ~(uint32_t)EFLAGS_RF;
            v->exit.kind = EXIT_ATTENTION;
            return;
        }
    }
}
