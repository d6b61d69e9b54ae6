/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 16-bit segments in protected mode: code with D = 0, stacks with B = 0, what
 * stays in the upper halves, far calls between both sizes (SDM volume 3, 3.4.5
 * and chapter 21).
 */
#include "rt.h"

#define CODE16SEL SLOT(0)
#define STACK16SEL SLOT(1)

#define BASE 0x8000                     /* where the 16-bit routines are copied */

asm(".text\n.balign 16\n"
    "bits16_start:\n"
    ".code16\n"
    "c_basic:\n movl $0x12345678,%eax\n movw $0x9abc,%ax\n pushw %ax\n popw %bx\n pushfw\n popw %cx\n movw %cs,%dx\n lretl\n"
    "c_near:\n call c_near_target\n call c_near_target\n lretl\n"
    "c_near_target:\n addw $5,%ax\n ret\n"
    "c_loop:\n xorl %eax,%eax\n movw $300,%cx\n 1: addl $7,%eax\n loop 1b\n lretl\n"
    "c_jcxz:\n movl $0x10000,%ecx\n jcxz 1f\n movw $1,%ax\n lretl\n 1: movw $2,%ax\n lretl\n"
    "c_addr:\n movl $0x12340000+c_data-bits16_start,%ebx\n movw %cs:(%bx),%ax\n lretl\n"
    "c_ud:\n nop\n ud2\n"
    "c_int:\n movw $0x77,%bx\n int $0x95\n movw $0x78,%bx\n lretl\n"
    "c_indirect:\n movw $c_indirect_target-bits16_start,%bx\n jmp *%bx\n ud2\n c_indirect_target: movw $0x55aa,%ax\n lretl\n"
    "c_call_indirect:\n movw $c_near_target-bits16_start,%bx\n call *%bx\n lretl\n"
    "c_call32:\n lcalll $0x08,$from16\n lretl\n"
    "c_pusha:\n movw $1,%ax\n movw $2,%bx\n movw $3,%cx\n pushaw\n xorw %ax,%ax\n xorw %bx,%bx\n popaw\n lretl\n"
    "c_lgdt:\n sgdtl %cs:c_table-bits16_start\n lretl\n"
    "c_short:\n movb $200,%cl\n 1: decb %cl\n jnz 1b\n movzbw %cl,%ax\n lretl\n"
    ".balign 4\n"
    "c_data: .word 0xfeed\n c_table: .skip 8\n"
    "bits16_end:\n"
    ".code32\n"
    ".globl from16\nfrom16: movl %cs,%eax\n shll $16,%eax\n movw $0x3232,%ax\n lret\n");

extern char bits16_start[], bits16_end[];

CODE(call16, "pushl %ebx\n movl 8(%esp),%eax\n movl %eax,far16\n xorl %eax,%eax\n lcall *far16\n movl %ebx,b_ebx\n"
     "movl %ecx,b_ecx\n movl %edx,b_edx\n popl %ebx");

struct { uint32_t offset; uint16_t selector; } far16 = { 0, CODE16SEL };
uint32_t b_ebx, b_ecx, b_edx;

#define RUN(label) rt_try(call16, (void *)(ADDR(label) - (uint32_t)bits16_start))
#define USER(label) rt_try_user(call16, (void *)(ADDR(label) - (uint32_t)bits16_start))

static uint32_t int_eip, int_cs;

static void on_int(struct frame *f)
{
    int_eip = f->eip;
    int_cs = f->cs & 0xffff;
}

static void test_code(void)
{
    check_trap("basic", RUN(c_basic), NO_TRAP, 0);
    check("basic-eax", rt_result, 0x12349abc);
    check("basic-push-pop", b_ebx & 0xffff, 0x9abc);
    check("basic-cs", b_edx & 0xffff, CODE16SEL);
    check_trap("near-calls", RUN(c_near), NO_TRAP, 0);
    check("near-calls-value", rt_result, 10);
    check_trap("loop", RUN(c_loop), NO_TRAP, 0);
    check("loop-value", rt_result, 2100);
    check_trap("jcxz", RUN(c_jcxz), NO_TRAP, 0);
    check("jcxz-value", rt_result, 2);
    check_trap("address-16", RUN(c_addr), NO_TRAP, 0);
    check("address-16-value", rt_result & 0xffff, 0xfeed);
    check_trap("indirect", RUN(c_indirect), NO_TRAP, 0);
    check("indirect-value", rt_result & 0xffff, 0x55aa);
    check_trap("call-indirect", RUN(c_call_indirect), NO_TRAP, 0);
    check("call-indirect-value", rt_result, 5);
    check_trap("far-to-32", RUN(c_call32), NO_TRAP, 0);
    check("far-to-32-value", rt_result, SEL_CODE0 << 16 | 0x3232);
    check_trap("pusha", RUN(c_pusha), NO_TRAP, 0);
    check("pusha-ax", rt_result & 0xffff, 1);
    check("pusha-bx", b_ebx & 0xffff, 2);
    check_trap("short-branches", RUN(c_short), NO_TRAP, 0);
    check("short-branches-value", rt_result, 0);
    check_trap("ud2", RUN(c_ud), UD, 0);
    check("ud2-eip", rt_last.eip, ADDR(c_ud) - (uint32_t)bits16_start + 1);
    check("ud2-cs", rt_last.cs & 0xffff, CODE16SEL);
    rt_handlers[0x95] = on_int;
    check_trap("int", RUN(c_int), NO_TRAP, 0);
    check("int-eip", int_eip, ADDR(c_int) - (uint32_t)bits16_start + 5);
    check("int-cs", int_cs, CODE16SEL);
    check("int-after", b_ebx & 0xffff, 0x78);
    rt_handlers[0x95] = NULL;
}

static void test_user(void)
{
    gdt_set(CODE16SEL, BASE, 0xffff, A_CODE | A_DPL3, F_BYTES16);
    far16.selector = CODE16SEL | 3;
    check_trap("user-basic", USER(c_basic), NO_TRAP, 0);
    check("user-basic-ebx", b_ebx & 0xffff, 0x9abc);
    check("user-basic-cs", b_edx & 0xffff, CODE16SEL | 3);
    check_trap("user-loop", USER(c_loop), NO_TRAP, 0);
    check_trap("user-near-calls", USER(c_near), NO_TRAP, 0);
    check_trap("user-ud2", USER(c_ud), UD, 0);
    check("user-ud2-cs", rt_last.cs & 0xffff, CODE16SEL | 3);
    gdt_set(CODE16SEL, BASE, 0xffff, A_CODE, F_BYTES16);
    far16.selector = CODE16SEL;
}

/*
 * A stack with B = 0: SP alone counts, the upper half of ESP stays.  Base 0 and
 * SP below 64 KiB, so that the flat traps' handlers find the same memory.
 */
CODE(stack16, "movl %ss,%ecx\n movl %esp,%edx\n movl $0x48,%eax\n movl %eax,%ss\n movl $0xabcd7000,%esp\n"
     "pushl $0x11223344\n pushw $0x5566\n movl %esp,%eax\n popw %bx\n popl %esi\n movl %esp,%edi\n"
     "movl %ecx,%ss\n movl %edx,%esp\n movl %eax,b_ebx\n movl %edi,b_ecx\n movl %esi,%eax");
CODE(stack16_call, "movl %ss,%ecx\n movl %esp,%edx\n movl $0x48,%eax\n movl %eax,%ss\n movl $0xabcd7000,%esp\n"
     "call 1f\n stack16_call_back: movl %esp,%edi\n movl %ecx,%ss\n movl %edx,%esp\n movl %edi,b_ecx\n jmp 2f\n"
     "1: movl %esp,b_ebx\n movzwl %sp,%eax\n movl %ss:(%eax),%eax\n ret\n 2: subl $stack16_call_back,%eax");
CODE(stack16_wrap, "movl %ss,%ecx\n movl %esp,%edx\n movl $0x48,%eax\n movl %eax,%ss\n movl $0x12340000,%esp\n"
     "pushl $0x778899aa\n movl %esp,%eax\n movl %ecx,%ss\n movl %edx,%esp");

static void test_stack(void)
{
    gdt_set(STACK16SEL, 0, 0xffff, A_DATA, F_BYTES16);
    check_trap("stack16", rt_try(stack16, 0), NO_TRAP, 0);
    check("stack16-popped", rt_result, 0x11223344);
    check("stack16-pushed-esp", b_ebx, 0xabcd6ffa);
    check("stack16-popped-esp", b_ecx, 0xabcd7000);
    check("stack16-memory", *(volatile uint32_t *)0x6ffc, 0x11223344);
    check_trap("stack16-call", rt_try(stack16_call, 0), NO_TRAP, 0);
    check("stack16-call-return", rt_result, 0);
    check("stack16-call-esp", b_ebx, 0xabcd6ffc);
    check("stack16-ret-esp", b_ecx, 0xabcd7000);
    check_trap("stack16-wrap", rt_try(stack16_wrap, 0), NO_TRAP, 0);
    check("stack16-wrap-esp", rt_result, 0x1234fffc);
    check("stack16-wrap-memory", *(volatile uint32_t *)0xfffc, 0x778899aa);
}

/* The same from ring 3, where traps change to a 32-bit stack: the frame shows the whole ESP. */
CODE(user_stack16, "movl $0x4b,%eax\n movl %eax,%ss\n movl $0x12347000,%esp\n pushl $5\n int $0x90");
CODE(user_iret16, "pushl $0x4b\n pushl $0x12347000\n pushl $2\n pushl $0x1b\n pushl $1f\n iret\n 1: pushl $0x99\n int $0x90");

static void test_user_stack(void)
{
    gdt_set(STACK16SEL, 0, 0xffff, A_DATA | A_DPL3, F_BYTES16);
    check_trap("user-stack16", rt_try_user(user_stack16, 0), 0x90, 0);
    check("user-stack16-ss", rt_last.ss & 0xffff, STACK16SEL | 3);
    check("user-stack16-esp", rt_last.esp, 0x12346ffc);
    check("user-stack16-memory", *(volatile uint32_t *)0x6ffc, 5);
    check_trap("iret-stack16", rt_try(user_iret16, 0), 0x90, 0);
    check("iret-stack16-sp", rt_last.esp & 0xffff, 0x6ffc);
    check("iret-stack16-memory", *(volatile uint32_t *)0x6ffc, 0x99);
}

void test_main(void)
{
    memcpy((void *)BASE, bits16_start, bits16_end - bits16_start);
    gdt_set(CODE16SEL, BASE, 0xffff, A_CODE, F_BYTES16);
    test_code();
    test_user();
    test_stack();
    test_user_stack();
}
