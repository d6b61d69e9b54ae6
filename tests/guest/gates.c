/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt, trap and call gates: IF, privilege checks and their error codes,
 * parameters copied to the inner stack, returns (SDM volume 3, 5.8 and 6.12).
 */
#include "rt.h"

static uint32_t seen_if, seen_pushed, seen_tf_nt;

static void note_flags(struct frame *f)
{
    seen_if = eflags_now() & IF;
    seen_pushed = f->eflags;
    seen_tf_nt = eflags_now() & (TF | NT | RF | VM);
}

CODE(int_60, "pushl $0x4203\n popfl\n int $0x60\n pushfl\n popl %eax\n cli\n pushl $2\n popfl");
CODE(user_int_90, "int $0x90");
CODE(user_int_30, "int $0x30");
CODE(int_70, "int_70_at: int $0x70\n int_70_after: nop");

static void test_interrupt_gates(void)
{
    rt_handlers[0x60] = note_flags;
    pic_setup(0xff, 0xff);
    check_trap("int-gate", rt_try(int_60, 0), NO_TRAP, 0);
    check("int-gate-clears-if", seen_if, 0);
    check("int-gate-clears-nt", seen_tf_nt, 0);
    check("int-gate-pushed", seen_pushed, 0x4203);
    check("int-gate-restored", rt_result, 0x4203);
    idt_set(0x60, SEL_CODE0, (void *)rt_stubs[0x60], A_TRAP_GATE);
    check_trap("trap-gate", rt_try(int_60, 0), NO_TRAP, 0);
    check("trap-gate-keeps-if", seen_if, IF);
    rt_handlers[0x60] = NULL;
    idt_reset();

    check_trap("user-int-dpl3", rt_try_user(user_int_90, 0), 0x90, 0);
    check("user-int-stack", rt_last.esp, (uint32_t)rt_user_stack_top - 16);
    check_trap("user-int-dpl0", rt_try_user(user_int_30, 0), GP, 0x30 * 8 + 2);
    check_trap("int-beyond-idt", (lidt_limit(0x6f * 8 + 7), rt_try(int_70, 0)), GP, 0x70 * 8 + 2);
    check("int-beyond-idt-eip", rt_last.eip, ADDR(int_70_at));
    lidt_limit(sizeof rt_idt - 1);
    idt_set(0x70, SEL_CODE0, (void *)rt_stubs[0x70], A_INT_GATE + A_ABSENT);
    check_trap("int-not-present", rt_try(int_70, 0), NP, 0x70 * 8 + 2);
    check("int-not-present-eip", rt_last.eip, ADDR(int_70_at));
    idt_set(0x70, 0, (void *)rt_stubs[0x70], A_INT_GATE);
    check_trap("int-null-cs", rt_try(int_70, 0), GP, 0);
    idt_set(0x70, SEL_DATA0, (void *)rt_stubs[0x70], A_INT_GATE);
    check_trap("int-data-cs", rt_try(int_70, 0), GP, SEL_DATA0);
    gdt_set(SLOT(0), 0, 0xfffff, A_CODE + A_ABSENT, F_PAGES);
    idt_set(0x70, SLOT(0), (void *)rt_stubs[0x70], A_INT_GATE);
    check_trap("int-cs-not-present", rt_try(int_70, 0), NP, SLOT(0));
    idt_set(0x70, SEL_CODE3, (void *)rt_stubs[0x70], A_INT_GATE);
    check_trap("int-to-outer-ring", rt_try(int_70, 0), GP, SEL_CODE3 & ~3);
    idt_set(0x70, SEL_CODE0, (void *)rt_stubs[0x70], A_CALL_GATE);
    check_trap("int-wrong-type", rt_try(int_70, 0), GP, 0x70 * 8 + 2);
    idt_reset();
}

/* Called through a gate: keeps what is on its stack; 12 bytes of parameters. */
CODE(gate_target, "movl 0(%esp),%eax\n movl %eax,gs_0\n movl 4(%esp),%eax\n movl %eax,gs_0+4\n"
     "movl 8(%esp),%eax\n movl %eax,gs_0+8\n movl 12(%esp),%eax\n movl %eax,gs_0+12\n"
     "movl 16(%esp),%eax\n movl %eax,gs_0+16\n movl 20(%esp),%eax\n movl %eax,gs_0+20\n"
     "movl 24(%esp),%eax\n movl %eax,gs_0+24\n movl %cs,%eax\n movl %eax,gs_0+28\n lret $12\n");
CODE(gate_same_target, "movl 0(%esp),%eax\n movl %eax,gs_0\n movl 4(%esp),%eax\n movl %eax,gs_0+4\n lret");
CODE(gate_call, "pushl %ebp\n movl %esp,%ebp\n movl 8(%esp),%edx\n pushl $0x33\n pushl $0x22\n pushl $0x11\n"
     "lcall *(%edx)\n gate_call_back: movl %ebp,%eax\n subl %esp,%eax\n movl %eax,gate_left\n leave");
CODE(gate_call0, "movl 4(%esp),%edx\n lcall *(%edx)\n gate_call0_back: nop");
CODE(gate_jump, "movl 4(%esp),%edx\n ljmp *(%edx)");
CODE(gate_direct, "lcall $0x68,$0x12345678\n gate_direct_back: nop");

uint32_t gs_0[8];                 /* what the target found on its stack */
uint32_t gate_left;               /* bytes left on the caller's stack */

static int through(void (*code)(void *), bool user, uint32_t selector)
{
    struct { uint32_t offset; uint16_t selector; } far = { 0xdeadbeef, selector };

    return user ? rt_try_user(code, &far) : rt_try(code, &far);
}

static void test_call_gates(void)
{
    uint32_t g = SLOT(1);

    gdt_gate(g, SEL_CODE0, gate_target, A_CALL_GATE | A_DPL3, 3);
    check_trap("call-gate-inward", through(gate_call, true, g | 3), NO_TRAP, 0);
    check("gate-return-eip", gs_0[0], ADDR(gate_call_back));
    check("gate-return-cs", gs_0[1], SEL_CODE3);
    check("gate-parameter-1", gs_0[2], 0x11);
    check("gate-parameter-2", gs_0[3], 0x22);
    check("gate-parameter-3", gs_0[4], 0x33);
    check("gate-outer-esp", gs_0[5], (uint32_t)rt_user_stack_top - 16 - 4 - 12);
    check("gate-outer-ss", gs_0[6], SEL_DATA3);
    check("gate-cs", gs_0[7] & 0xffff, SEL_CODE0);
    check("gate-parameters-released", gate_left, 0);
    gdt_gate(g, SEL_CODE0, gate_same_target, A_CALL_GATE, 0);
    check_trap("call-gate-same-ring", through(gate_call0, false, g), NO_TRAP, 0);
    check("gate-same-eip", gs_0[0], ADDR(gate_call0_back));
    check("gate-same-cs", gs_0[1] & 0xffff, SEL_CODE0);
    check_trap("call-gate-dpl", through(gate_call0, true, g), GP, g);
    gdt_gate(g, SEL_CODE0, gate_same_target, A_CALL_GATE | A_DPL3, 0);
    check_trap("jmp-gate-inward", through(gate_jump, true, g | 3), GP, SEL_CODE0);
    gdt_gate(g, SEL_CODE0, gate_same_target, (A_CALL_GATE | 0x20), 0);
    check_trap("call-gate-rpl", through(gate_call0, false, g | 3), GP, g);
    gdt_gate(g, SEL_CODE0, gate_same_target, A_CALL_GATE + A_ABSENT, 0);
    check_trap("call-gate-absent", through(gate_call0, false, g), NP, g);
    gdt_gate(g, 0, gate_same_target, A_CALL_GATE, 0);
    check_trap("call-gate-null-cs", through(gate_call0, false, g), GP, 0);
    gdt_gate(g, SEL_DATA0, gate_same_target, A_CALL_GATE, 0);
    check_trap("call-gate-data-cs", through(gate_call0, false, g), GP, SEL_DATA0);
    gdt_gate(g, SEL_CODE0, gate_same_target, A_INT_GATE, 0);
    check_trap("call-int-gate", through(gate_call0, false, g), GP, g);
    gdt_gate(0x68, SEL_CODE0, gate_same_target, A_CALL_GATE, 0);
    check_trap("call-gate-direct", rt_try(gate_direct, 0), NO_TRAP, 0);
    check("gate-direct-eip", gs_0[0], ADDR(gate_direct_back));
    gdt_gate(g, SEL_CODE0, gate_target, A_CALL_GATE | A_DPL3, 3);
}

/* A return to ring 3 takes ring 0's data segments away. */
CODE(return_outward, "movl $0x10,%eax\n movl %eax,%fs\n movl $0x23,%eax\n movl %eax,%gs\n"
     "pushl $0x23\n pushl $rt_user_stack_top-64\n pushl $0x1b\n pushl $after_outward\n lret\n"
     "after_outward: movl %fs,%eax\n movl %gs,%ecx\n movl %ds,%edx\n int $0x90");

static void test_return(void)
{
    check_trap("lret-outward", rt_try(return_outward, 0), 0x90, 0);
    check("lret-outward-fs", rt_last.eax & 0xffff, 0);
    check("lret-outward-gs", rt_last.ecx & 0xffff, SEL_DATA3);
    check("lret-outward-ds", rt_last.edx & 0xffff, 0);
    check("lret-outward-cs", rt_last.cs & 0xffff, SEL_CODE3);
    check("lret-outward-esp", rt_last.esp, (uint32_t)rt_user_stack_top - 64);
}

CODE(lret_null, "pushl $0\n pushl $1f\n lret_null_at: lret\n 1: nop");
CODE(lret_data, "pushl $0x10\n pushl $1f\n lret\n 1: nop");
CODE(lret_inner, "pushl $0x08\n pushl $1f\n lret\n 1: nop");
CODE(lret_outer_null_ss, "pushl $0\n pushl $0x1000\n pushl $0x1b\n pushl $1f\n lret\n 1: nop");
CODE(lret_outer_ss_rpl, "pushl $0x20\n pushl $0x1000\n pushl $0x1b\n pushl $1f\n lret\n 1: nop");

static void test_bad_returns(void)
{
    check_trap("lret-null-cs", rt_try(lret_null, 0), GP, 0);
    check("lret-null-eip", rt_last.eip, ADDR(lret_null_at));
    check_trap("lret-data-cs", rt_try(lret_data, 0), GP, SEL_DATA0);
    check_trap("lret-inward", rt_try_user(lret_inner, 0), GP, SEL_CODE0);
    check_trap("lret-outer-null-ss", rt_try(lret_outer_null_ss, 0), GP, 0);
    check_trap("lret-outer-ss-rpl", rt_try(lret_outer_ss_rpl, 0), GP, 0x20);
}

void test_main(void)
{
    test_interrupt_gates();
    test_call_gates();
    test_return();
    test_bad_returns();
}
