/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 286's gates and task state segments, whose slots have 16 bits (SDM volume 3, 5.8.3, 6.12, 7.6): frames, error
 * codes, parameters, inner stacks, and tasks of both kinds calling each other.  A 286 gate leads below 64 KiB, so the
 * code runs in a segment with a base.
 */
#include "rt.h"

#define BASE 0x100000
#define CODE286 SLOT(0)
#define CODE286_3 SLOT(1)
#define GATE SLOT(2)
#define TASK SLOT(3)
#define STACK SLOT(4)
#define OFF(label) "(" #label "-0x100000)"
#define FLAT "ljmp $0x08,$8f\n 8:"
#define IN286(sel, label) "ljmp $" sel ",$" OFF(label) "\n " #label ":"
#define WORD(off, to) "movzwl " #off "(%esp),%ebx\n movl %ebx,saw+4*" #to "\n"

uint32_t saw[8];

/* Same ring: three words, and IRETW takes as many back. */
CODE(g_int, "pushl %ebx\n" IN286("0x40", g_int_in) "pushl $0x203\n popfl\n movl %esp,%edx\n int $0x61\n g_int_back: pushfl\n popl %eax\n"
     "subl %esp,%edx\n movl %edx,saw+28\n" FLAT "cli\n popl %ebx");
CODE(g_int_target, "movl %esp,%ecx\n" WORD(0, 0) WORD(2, 1) WORD(4, 2) "subl %ecx,%edx\n movl %edx,saw+12\n addl %ecx,%edx\n"
     "pushfl\n popl saw+16\n iretw");
/* An error code, and no return. */
CODE(g_fault, IN286("0x40", g_fault_in) "movl $0x1000,%eax\n movl %esp,%edx\n g_fault_at: movl %eax,%fs\n nop");
CODE(g_fault_target, "subl %esp,%edx\n movl %edx,saw+16\n" WORD(0, 0) WORD(2, 1) WORD(4, 2) WORD(6, 3) FLAT "int $0x90");
/* From ring 3: the inner stack comes from the TSS, with SP and SS as words above. */
CODE(g_user, IN286("0x4b", g_user_in) "int $0x61\n g_user_back: nop");
CODE(g_user_target, "movl $rt_trap_stack_top,%edx\n subl %esp,%edx\n movl %edx,saw+20\n" WORD(0, 0) WORD(2, 1) WORD(4, 2)
     WORD(6, 3) WORD(8, 4) FLAT "int $0x90");
/* Call gates: words in the same ring, and two parameters inward. */
CODE(g_call, "pushl %ebx\n" IN286("0x40", g_call_in) "movl %esp,%edx\n lcall $0x50,$0x12345678\n g_call_back: subl %esp,%edx\n"
     "movl %edx,saw+28\n" FLAT "popl %ebx");
CODE(g_call_target, "subl %esp,%edx\n movl %edx,saw+8\n addl %esp,%edx\n" WORD(0, 0) WORD(2, 1) "lretw");
CODE(g_inward, IN286("0x4b", g_inward_in) "pushw $0x22\n pushw $0x11\n movl %esp,%eax\n lcall $0x53,$0\n g_inward_back: nop");
CODE(g_inward_target, "movl $rt_trap_stack_top,%edx\n subl %esp,%edx\n movl %edx,saw+24\n" WORD(0, 0) WORD(2, 1) WORD(4, 2)
     WORD(6, 3) WORD(8, 4) WORD(10, 5) FLAT "int $0x90");

static void clear(void) { memset(saw, 0, sizeof saw); }

static void gate_at(uint32_t vector, void (*target)(void *), uint32_t access)
{
    idt_set(vector, CODE286, (void *)((uint32_t)target - BASE), access);
}

static void test_same_ring(const char *name, uint32_t access, uint32_t keeps_if)
{
    clear();
    gate_at(0x61, g_int_target, access);
    check_trap(name, rt_try(g_int, 0), NO_TRAP, 0);
    check("ip", saw[0], ADDR(g_int_back) - BASE);
    check("cs", saw[1], CODE286);
    check("flags", saw[2], 0x203);
    check("frame-bytes", saw[3], 6);
    check("if-inside", saw[4] & IF, keeps_if);
    check("stack-back", saw[7], 0);
    check("flags-back", rt_result, 0x203);
}

static void test_fault(void)
{
    clear();
    gate_at(GP, g_fault_target, A_INT_GATE16);
    check_trap("error-code", rt_try(g_fault, 0), 0x90, 0);
    check("error-word", saw[0], 0x1000);
    check("error-ip", saw[1], ADDR(g_fault_at) - BASE);
    check("error-cs", saw[2], CODE286);
    check("error-flags", saw[3] & 0xff02, 2);
    check("error-frame-bytes", saw[4], 8);
    idt_reset();
}

static void test_inner_stack(void)
{
    clear();
    gate_at(0x61, g_user_target, A_INT_GATE16 | A_DPL3);
    check_trap("from-user", rt_try_user(g_user, 0), 0x90, 0);
    check("user-ip", saw[0], ADDR(g_user_back) - BASE);
    check("user-cs", saw[1], CODE286_3 | 3);
    check("user-flags", saw[2] & 0xff02, 2);
    check("user-sp", saw[3], ((uint32_t)rt_user_stack_top - 16) & 0xffff);
    check("user-ss", saw[4], SEL_DATA3);
    check("user-frame-bytes", saw[5], 10);
    gate_at(0x61, g_user_target, A_INT_GATE16);
    check_trap("from-user-dpl0", rt_try_user(g_user, 0), GP, 0x61 * 8 + 2);
    idt_reset();
}

static void test_call_gates(void)
{
    clear();
    gdt_gate(GATE, CODE286, (void *)((uint32_t)g_call_target - BASE), A_CALL_GATE16, 0);
    check_trap("call", rt_try(g_call, 0), NO_TRAP, 0);
    check("call-ip", saw[0], ADDR(g_call_back) - BASE);
    check("call-cs", saw[1], CODE286);
    check("call-frame-bytes", saw[2], 4);
    check("call-stack-back", saw[7], 0);
    gdt_gate(GATE, CODE286, (void *)((uint32_t)g_inward_target - BASE), A_CALL_GATE16 | A_DPL3, 2);
    check_trap("inward", rt_try_user(g_inward, 0), 0x90, 0);
    check("inward-ip", saw[0], ADDR(g_inward_back) - BASE);
    check("inward-cs", saw[1], CODE286_3 | 3);
    check("inward-parameter-1", saw[2], 0x11);
    check("inward-parameter-2", saw[3], 0x22);
    check("inward-sp", saw[4], ((uint32_t)rt_user_stack_top - 16 - 4) & 0xffff);
    check("inward-ss", saw[5], SEL_DATA3);
    check("inward-frame-bytes", saw[6], 12);
}

/* Tasks */
struct tss286 {
    uint16_t link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
    uint16_t behind[8];
};
static struct tss286 task;
static uint8_t task_stack[4096] __attribute__((aligned(16)));

CODE(t_code, "movzwl %ax,%eax\n movl %eax,saw\n movzwl %di,%eax\n movl %eax,saw+4\n movzwl %sp,%eax\n movl %eax,saw+8\n movl %fs,%eax\n"
     "movl %eax,saw+12\n pushfl\n popl saw+16\n str %ax\n movzwl %ax,%eax\n movl %eax,saw+20\n movl %cr0,%eax\n movl %eax,saw+24\n"
     "movw $0xbeef,%bx\n stc\n iret\n t_again: movl $0x99,saw\n iret");
CODE(t_call, "movl $0x89abcdef,%ebx\n movl $0x76543210,%esi\n lcall $0x58,$0\n t_call_back: movl %ebx,%eax\n cmpl $0x76543210,%esi\n"
     "je 1f\n xorl %eax,%eax\n 1:");

static void prepare(void)
{
    memset(&task, 0x5a, sizeof task);
    task.link = 0;
    task.ip = (uint32_t)t_code - BASE;
    task.flags = 2;
    task.ax = 0x1234, task.di = 0x5678, task.sp = 0xff0;
    task.cs = CODE286, task.ss = STACK, task.ds = task.es = SEL_DATA0, task.ldt = 0;
    gdt_set(STACK, (uint32_t)task_stack, 0xfff, A_DATA, F_BYTES16);
    gdt_set(TASK, (uint32_t)&task, 43, A_TSS16, F_BYTES16);
}

static uint32_t untouched(void)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < 8; i++)
        n += task.behind[i] == 0x5a5a;
    return n;
}

static void test_tasks(void)
{
    rt_tss.cr3 = READ_CR(3);
    clear();
    prepare();
    check_trap("task", rt_try(t_call, 0), NO_TRAP, 0);
    check("task-back", rt_result, 0x89abcdef);
    check("task-ax", saw[0], 0x1234);
    check("task-di", saw[1], 0x5678);
    check("task-sp", saw[2], 0xff0);
    check("task-fs", saw[3] & 0xffff, 0);
    check("task-nt", saw[4] & NT, NT);
    check("task-tr", saw[5], TASK);
    check("task-ts", saw[6] & CR0_TS, CR0_TS);
    check("task-link", task.link, SEL_TSS);
    check("saved-ip", task.ip, ADDR(t_again) - BASE);
    check("saved-bx", task.bx, 0xbeef);
    check("saved-sp", task.sp, 0xff0);
    check("saved-flags", task.flags & (NT | CF), CF);
    check("saved-cs", task.cs, CODE286);
    check("saved-no-further", untouched(), 8);
    check("old-saved-eip", rt_tss.eip, ADDR(t_call_back));
    check("busy-type", rt_gdt[TASK / 8] >> 40 & 15, A_TSS16 & 15);
    check_trap("task-again", rt_try(t_call, 0), NO_TRAP, 0);
    check("task-goes-on", saw[0], 0x99);
    gdt_set(TASK, (uint32_t)&task, 42, A_TSS16, F_BYTES16);
    check_trap("task-short", rt_try(t_call, 0), TS, TASK);
    asm volatile("clts");
}

void test_main(void)
{
    gdt_set(CODE286, BASE, 0xffff, A_CODE, F_BYTES);
    gdt_set(CODE286_3, BASE, 0xffff, A_CODE | A_DPL3, F_BYTES);
    test_same_ring("int-gate", A_INT_GATE16, 0);
    test_same_ring("trap-gate", A_TRAP_GATE16, IF);
    test_fault();
    test_inner_stack();
    test_call_gates();
    test_tasks();
}
