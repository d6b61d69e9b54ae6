/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entering and leaving translated code in the process world.
 *
 * The monitor is 64-bit code above 4 GiB, the guest runs in compatibility mode (SDM vol. 3A 3.4.5, 5.8.1):
 * the way in is an indirect far jump through m16:32 to the flat execute-only LDT code segment, the way back a
 * far jump in the translation cache to a 64-bit stub in the window.  Neither touches the stack, flags or
 * general registers, and r8-r15 survive compatibility mode: r15 holds the vCPU, through which the exit code
 * finds everything else.
 *
 * Segment registers are loaded only when they differ from what is in them.  They are read from the CPU rather
 * than remembered: a system call or a signal leaves the host's own SS behind.  The FS base is set with
 * WRFSBASE, after the selector, whose load clears it.
 *
 * Between proc_enter_crit and proc_enter_crit_end an asynchronous signal would come too late for the test of
 * v->attention and too early for the handler to see guest code in its frame; the handler redirects it to
 * proc_enter_abort.  Nothing in that range changes *v.
 *
 * Not done: the saved flags' AC is not given to guest code (alignment checks of user code are ignored).
 */
#include "world/proc/kview.h"

#include "base/assert.h"
#include "base/mem.h"

#define FLAGS_ODD (EFLAGS_AC | EFLAGS_NT | EFLAGS_TF) /* must not stay set in the monitor */

/* Operands for the assembly below: offsets come from the compiler. */
#define VCPU_OFFSETS                                                                                         \
    [eax] "i"(offsetof(struct vcpu, gpr[REG_EAX])), [ecx] "i"(offsetof(struct vcpu, gpr[REG_ECX])),          \
        [edx] "i"(offsetof(struct vcpu, gpr[REG_EDX])), [ebx] "i"(offsetof(struct vcpu, gpr[REG_EBX])),      \
        [esp] "i"(offsetof(struct vcpu, gpr[REG_ESP])), [ebp] "i"(offsetof(struct vcpu, gpr[REG_EBP])),      \
        [esi] "i"(offsetof(struct vcpu, gpr[REG_ESI])), [edi] "i"(offsetof(struct vcpu, gpr[REG_EDI])),      \
        [hflags] "i"(offsetof(struct vcpu, hflags)), [att] "i"(offsetof(struct vcpu, attention)),            \
        [monrsp] "i"(offsetof(struct vcpu, mon_rsp)), [far] "i"(offsetof(struct vcpu, scratch[0])),          \
        [kind] "i"(offsetof(struct vcpu, exit.kind)),                                                            \
        [none] "i"(EXIT_NONE), [callout] "i"(EXIT_CALLOUT), [live] "i"(EFLAGS_LIVE),                         \
        [fixed] "i"(EFLAGS_FIXED), [odd] "i"(FLAGS_ODD)

/* rdi = vCPU, esi = tca; scratch[0] gets the far pointer. */
__attribute__((naked)) void proc_enter(struct vcpu *v __attribute__((unused)),
                                       tca_t tca __attribute__((unused)))
{
    __asm__("push %%rbx\n\t"
            "push %%rbp\n\t"
            "push %%r12\n\t"
            "push %%r13\n\t"
            "push %%r14\n\t"
            "push %%r15\n\t"
            "mov %%rdi, %%r15\n\t"
            "mov %%rsp, %c[monrsp](%%r15)\n\t"
            "mov %%esi, %c[far](%%r15)\n"
            ".globl proc_enter_crit\n"
            ".hidden proc_enter_crit\n"
            "proc_enter_crit:\n\t"
            "cmpl $0, %c[att](%%r15)\n\t"
            "jne proc_enter_abort\n\t"
            "mov %c[hflags](%%r15), %%eax\n\t"
            "and $%c[live], %%eax\n\t"
            "or $%c[fixed], %%eax\n\t"
            "push %%rax\n\t"
            "popfq\n\t"
            "mov %c[eax](%%r15), %%eax\n\t"
            "mov %c[ecx](%%r15), %%ecx\n\t"
            "mov %c[edx](%%r15), %%edx\n\t"
            "mov %c[ebx](%%r15), %%ebx\n\t"
            "mov %c[ebp](%%r15), %%ebp\n\t"
            "mov %c[esi](%%r15), %%esi\n\t"
            "mov %c[edi](%%r15), %%edi\n\t"
            "mov %c[esp](%%r15), %%esp\n\t"
            "ljmpl *%c[far](%%r15)\n"
            ".globl proc_enter_crit_end\n"
            ".hidden proc_enter_crit_end\n"
            "proc_enter_crit_end:\n"
            ".globl proc_enter_abort\n"
            ".hidden proc_enter_abort\n"
            "proc_enter_abort:\n\t"
            "mov %c[monrsp](%%r15), %%rsp\n\t"
            "push $%c[fixed]\n\t"
            "popfq\n\t"
            "movl $%c[none], %c[kind](%%r15)\n"
            "proc_return:\n\t"
            "pop %%r15\n\t"
            "pop %%r14\n\t"
            "pop %%r13\n\t"
            "pop %%r12\n\t"
            "pop %%rbp\n\t"
            "pop %%rbx\n\t"
            "ret"
            :
            : VCPU_OFFSETS);
}

/* The window's stub jumps here: 64-bit mode, r15 = vCPU, all else the guest's.  Must not touch the guest's
 * stack. */
__attribute__((naked)) void proc_exit_entry(void)
{
    __asm__("mov %%eax, %c[eax](%%r15)\n\t"
            "mov %%ecx, %c[ecx](%%r15)\n\t"
            "mov %%edx, %c[edx](%%r15)\n\t"
            "mov %%ebx, %c[ebx](%%r15)\n\t"
            "mov %%esp, %c[esp](%%r15)\n\t"
            "mov %%ebp, %c[ebp](%%r15)\n\t"
            "mov %%esi, %c[esi](%%r15)\n\t"
            "mov %%edi, %c[edi](%%r15)\n\t"
            "mov %c[monrsp](%%r15), %%rsp\n\t"
            "pushfq\n\t"
            "pop %%rax\n\t"
            "cld\n\t"
            "mov %%eax, %c[hflags](%%r15)\n\t"
            "movl $%c[callout], %c[kind](%%r15)\n\t"
            "test $%c[odd], %%eax\n\t"
            "jz proc_return\n\t"
            "push $%c[fixed]\n\t"
            "popfq\n\t"
            "jmp proc_return"
            :
            : VCPU_OFFSETS);
}

/* From a signal handler back to proc_enter()'s caller, with the guest's FPU state of the frame live again. */
__attribute__((naked, noreturn)) void proc_leave_guest(struct vcpu *v __attribute__((unused)),
                                                       void *fpstate __attribute__((unused)),
                                                       uint32_t mask_lo __attribute__((unused)),
                                                       uint32_t mask_hi __attribute__((unused)))
{
    __asm__("mov %%edx, %%eax\n\t"
            "mov %%ecx, %%edx\n\t"
            "xrstor64 (%%rsi)\n\t"
            "mov %%rdi, %%r15\n\t"
            "mov %c[monrsp](%%r15), %%rsp\n\t"
            "push $%c[fixed]\n\t"
            "popfq\n\t"
            "jmp proc_return"
            :
            : VCPU_OFFSETS);
}

__attribute__((naked)) bool proc_xrstor_checked(const void *area __attribute__((unused)),
                                                uint32_t mask_lo __attribute__((unused)),
                                                uint32_t mask_hi __attribute__((unused)))
{
    __asm__("mov %esi, %eax\n"
            ".globl proc_xrstor_insn\n"
            ".hidden proc_xrstor_insn\n"
            "proc_xrstor_insn:\n\t"
            "xrstor64 (%rdi)\n\t"
            "mov $1, %eax\n\t"
            "ret\n"
            ".globl proc_xrstor_refused\n"
            ".hidden proc_xrstor_refused\n"
            "proc_xrstor_refused:\n\t"
            "xor %eax, %eax\n\t"
            "ret");
}

/* 41 FF A7 disp32: jmp *disp(%r15). */
void proc_stub_init(uint8_t *page)
{
    memset(page, 0xcc, WIN_STUBS_SIZE);
    page[0] = 0x41;
    page[1] = 0xff;
    page[2] = 0xa7;
    put32(page + 3, offsetof(struct vcpu, exit_entry));
}

unsigned world_callout_seq(struct vm *vm, uint8_t out[8])
{
    out[0] = 0xea; /* ljmp ptr16:32 */
    put32(out + 1, WIN_STUBS);
    put16(out + 5, vm->world->cs64);
    return 7;
}

uint8_t *world_tc_rw(struct vm *vm) { return vm->world->win_rw + (WIN_TC - WIN_BASE); }

void *world_win_data(struct vm *vm) { return vm->world->win_rw + (WIN_DATA - WIN_BASE); }

#define SREG_GET(name)                                                                                       \
    ({                                                                                                       \
        uint16_t sel_;                                                                                       \
        __asm__ volatile("mov %%" #name ", %0" : "=rm"(sel_));                                               \
        sel_;                                                                                                \
    })
#define SREG_SET(name, sel) __asm__ volatile("mov %0, %%" #name : : "rm"((uint16_t)(sel)) : "memory")

static void segments_load(struct world *w, struct vcpu *v)
{
    bool all = w->reload;

    if (all || SREG_GET(ds) != v->hsel[SEG_DS])
        SREG_SET(ds, v->hsel[SEG_DS]);
    if (all || SREG_GET(es) != v->hsel[SEG_ES])
        SREG_SET(es, v->hsel[SEG_ES]);
    if (all || SREG_GET(fs) != v->hsel[SEG_FS]) {
        SREG_SET(fs, v->hsel[SEG_FS]);
        w->fs_base = v->hseg_base[0];
        wrfsbase(v->hseg_base[0]);
    } else if (w->fs_base != v->hseg_base[0]) {
        w->fs_base = v->hseg_base[0];
        wrfsbase(v->hseg_base[0]);
    }
    if (all || SREG_GET(gs) != LDT_GS)
        SREG_SET(gs, LDT_GS);
    if (all || SREG_GET(ss) != v->hsel[SEG_SS])
        SREG_SET(ss, v->hsel[SEG_SS]);
    w->reload = false;
}

void world_enter(struct vcpu *v, tca_t tca)
{
    struct world *w = v->vm->world;

    segments_load(w, v);
    w->entered = v;
    v->exit_entry = proc_exit_entry;
    v->scratch[0] = (uint64_t)LDT_CS << 32;
    proc_enter(v, tca);
}
