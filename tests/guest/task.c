/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hardware task switches (SDM volume 3, chapter 7): by JMP, CALL, IRET, task
 * gates in the GDT and the IDT; busy bits, NT, back link, TS, what is saved and
 * loaded, and the switches that must be refused.
 */
#include "rt.h"

#define OTHER SLOT(0)
#define GATE SLOT(1)

static struct tss other;
static uint8_t other_stack[4096] __attribute__((aligned(16)));
static uint32_t seen[8];

static uint32_t busy(uint32_t selector)
{
    return rt_gdt[selector / 8] >> 41 & 1;
}

static void prepare(void (*code)(void *))
{
    memset(&other, 0, sizeof other);
    other.eip = (uint32_t)code;
    other.esp = (uint32_t)other_stack + sizeof other_stack;
    other.eflags = 2;
    other.cr3 = READ_CR(3);
    other.cs = SEL_CODE0;
    other.ss = other.ds = other.es = SEL_DATA0;
    other.fs = SEL_DATA3;
    other.gs = 0;
    other.eax = 0x1111, other.ecx = 0x2222, other.edx = 0x3333, other.ebx = 0x4444;
    other.esi = 0x5555, other.edi = 0x6666, other.ebp = 0x7777;
    other.ss0 = SEL_DATA0;
    other.esp0 = (uint32_t)rt_trap_stack_top;
    other.io_base = 104;
    gdt_set(OTHER, (uint32_t)&other, 103, A_TSS, F_BYTES16);
    gdt_gate(GATE, OTHER, 0, A_TASK_GATE, 0);
}

/* The other task notes what it sees and goes back, by IRET or by JMP. */
#define NOTE "movl %eax,t_eax\n movl %ecx,t_ecx\n movl %ebp,t_ebp\n movl %fs,%eax\n movl %eax,t_fs\n pushfl\n popl t_flags\n" \
             "str %ax\n movl %eax,t_tr\n movl %cr0,%eax\n movl %eax,t_cr0\n call task_looks\n"
CODE(task_iret, NOTE "iret\n task_iret_2: movl $0x99,t_eax\n iret");
CODE(task_jump, NOTE "ljmp $0x28,$0");
CODE(do_call, "movl $0xabc,%ebx\n lcall $0x40,$0\n do_call_back: movl %ebx,%eax");
CODE(do_call_gate, "lcall $0x48,$0\n do_call_gate_back: nop");
CODE(do_jmp, "movl $0xdef,%ebx\n ljmp $0x40,$0\n do_jmp_back: movl %ebx,%eax");
CODE(do_int, "int $0x94\n do_int_back: nop");
CODE(do_jmp_busy, "do_jmp_busy_at: ljmp $0x28,$0");
CODE(do_iret_nt, "pushl $0x4002\n popfl\n iret");
CODE(do_call_user, "lcall $0x43,$0");

uint32_t t_eax, t_ecx, t_ebp, t_fs, t_flags, t_tr, t_cr0;

void task_looks(void);

void task_looks(void)
{
    seen[0] = busy(SEL_TSS);
    seen[1] = busy(OTHER);
    seen[2] = other.link;
}

static void test_call(void)
{
    prepare(task_iret);
    check_trap("call", rt_try(do_call, 0), NO_TRAP, 0);
    check("call-ebx-kept", rt_result, 0xabc);
    check("call-eax", t_eax, 0x1111);
    check("call-ecx", t_ecx, 0x2222);
    check("call-ebp", t_ebp, 0x7777);
    check("call-fs", t_fs & 0xffff, SEL_DATA3);
    check("call-nt", t_flags & NT, NT);
    check("call-tr", t_tr & 0xffff, OTHER);
    check("call-ts", t_cr0 & CR0_TS, CR0_TS);
    check("call-old-busy", seen[0], 1);
    check("call-new-busy", seen[1], 1);
    check("call-link", seen[2] & 0xffff, SEL_TSS);
    check("back-new-free", busy(OTHER), 0);
    check("back-old-busy", busy(SEL_TSS), 1);
    check("back-saved-eip", other.eip, ADDR(task_iret_2));
    check("back-saved-nt", other.eflags & NT, 0);
    check("back-nt", eflags_now() & NT, 0);
    check("old-saved-eip", rt_tss.eip, ADDR(do_call_back));
    check("old-saved-ebx", rt_tss.ebx, 0xabc);
    check("old-saved-cs", rt_tss.cs & 0xffff, SEL_CODE0);
    check_trap("call-again", rt_try(do_call, 0), NO_TRAP, 0);
    check("call-again-goes-on", t_eax, 0x99);
    asm volatile("clts");
}

static void test_jmp(void)
{
    prepare(task_jump);
    check_trap("jmp", rt_try(do_jmp, 0), NO_TRAP, 0);
    check("jmp-result", rt_result, 0xdef);
    check("jmp-nt", t_flags & NT, 0);
    check("jmp-old-free", seen[0], 0);
    check("jmp-new-busy", seen[1], 1);
    check("jmp-back-old-busy", busy(SEL_TSS), 1);
    check("jmp-back-new-free", busy(OTHER), 0);
    asm volatile("clts");
}

static void test_gates(void)
{
    prepare(task_iret);
    check_trap("gate", rt_try(do_call_gate, 0), NO_TRAP, 0);
    check("gate-eip", rt_tss.eip, ADDR(do_call_gate_back));
    prepare(task_iret);
    rt_idt[0x94] = rt_gdt[GATE / 8];
    check_trap("int-gate", rt_try(do_int, 0), NO_TRAP, 0);
    check("int-gate-eip", rt_tss.eip, ADDR(do_int_back));
    check("int-gate-link", seen[2] & 0xffff, SEL_TSS);
    idt_reset();
    asm volatile("clts");
}

/* A fault through a task gate: the error code is on the new task's stack. */
CODE(fault_task, "popl %eax\n movl %eax,t_eax\n movl rt_tss+32,%eax\n movl %eax,t_ecx\n addl $7,rt_tss+32\n iret");
CODE(do_fault, "do_fault_at: .byte 0x8e,0x25\n .long fault_selector\n nop\n nop");
uint32_t fault_selector = 0x1000;

static void test_fault_gate(void)
{
    prepare(fault_task);
    fault_selector = 0x1000;
    rt_idt[GP] = rt_gdt[GATE / 8];
    check_trap("fault-gate", rt_try(do_fault, 0), NO_TRAP, 0);
    check("fault-gate-error", t_eax, 0x1000);
    check("fault-gate-eip", t_ecx, ADDR(do_fault_at));
    idt_reset();
    asm volatile("clts");
}

static void test_refused(void)
{
    prepare(task_iret);
    check_trap("jmp-busy", rt_try(do_jmp_busy, 0), GP, SEL_TSS);
    check("jmp-busy-eip", rt_last.eip, ADDR(do_jmp_busy_at));
    check_trap("user-dpl0", rt_try_user(do_call_user, 0), GP, OTHER);
    gdt_set(OTHER, (uint32_t)&other, 102, A_TSS, F_BYTES16);
    check_trap("short-tss", rt_try(do_call, 0), TS, OTHER);
    gdt_set(OTHER, (uint32_t)&other, 103, A_TSS + A_ABSENT, F_BYTES16);
    check_trap("absent-tss", rt_try(do_call, 0), NP, OTHER);
    check("still-own-task", busy(SEL_TSS), 1);
}

/* Back in the first task's clothes, after a switch that failed in the other's. */
static void own_task(void)
{
    gdt_set(SEL_TSS, (uint32_t)&rt_tss, sizeof rt_tss - 1, A_TSS, F_BYTES16);
    asm volatile("ltr %w0\n\tclts" : : "r"(SEL_TSS) : "memory");
}

static void test_bad_state(void)
{
    prepare(task_iret);
    other.ds = 0x1000;                  /* found out when the new task's CS and SS are in place */
    check_trap("bad-ds", rt_try(do_call, 0), TS, 0x1000);
    check_cpu("bad-ds-eip", rt_last.eip, (uint32_t)task_iret);
    own_task();
    rt_tss.link = 0x1000;
    check_trap("iret-bad-link", rt_try(do_iret_nt, 0), TS, 0x1000);
    rt_tss.link = OTHER;
    prepare(task_iret);
    check_trap("iret-link-free", rt_try(do_iret_nt, 0), TS, OTHER);
    rt_tss.link = 0;
}

/* CR3 of its own, and a task in ring 3. */
static uint32_t other_directory[1024] __attribute__((aligned(4096)));

CODE(task_cr3, "movl %cr3,%eax\n movl %eax,t_eax\n iret");

static void test_cr3(void)
{
    paging_on();
    memcpy(other_directory, (const void *)rt_directory, sizeof other_directory);
    prepare(task_cr3);
    other.cr3 = (uint32_t)other_directory;
    rt_tss.cr3 = READ_CR(3);            /* a switch loads CR3 and does not save it */
    check_trap("cr3", rt_try(do_call, 0), NO_TRAP, 0);
    check("cr3-other", t_eax, (uint32_t)other_directory);
    check("cr3-back", READ_CR(3), (uint32_t)rt_directory);
    paging_off();
    rt_tss.cr3 = READ_CR(3);
    asm volatile("clts");
}

CODE(user_task, "movl %cs,%eax\n int $0x90");

static void test_user_task(void)
{
    prepare(user_task);
    other.cs = SEL_CODE3;
    other.ss = other.ds = other.es = SEL_DATA3;
    other.esp = (uint32_t)rt_user_stack_top;
    check_trap("user-task", rt_try(do_call, 0), 0x90, 0);
    check("user-task-cs", rt_last.eax & 0xffff, SEL_CODE3);
    check("user-task-nt", rt_last.eflags & NT, NT);
    own_task();
}

void test_main(void)
{
    rt_tss.cr3 = READ_CR(3);
    test_call();
    test_jmp();
    test_gates();
    test_fault_gate();
    test_refused();
    test_bad_state();
    test_cr3();
    test_user_task();
}
