/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where exactly a pending interrupt is taken: the shadow of STI, of MOV SS and
 * POP SS, none behind POPF and IRET (SDM volume 3, 6.8; volume 2, STI).
 *
 * A timer request is made pending with IF = 0.  The handler notes the EIP that
 * it was taken at and masks the timer.
 */
#include "rt.h"

static uint32_t taken_at, taken;

static void on_timer(struct frame *f)
{
    taken++;
    taken_at = f->eip;
    f->eflags &= ~(uint32_t)IF;
    pic_eoi();
}

CODE(after_sti, "sti\n nop\n after_sti_at: nop\n cli");
CODE(after_sti_two, "xorl %eax,%eax\n sti\n incl %eax\n after_sti_two_at: incl %eax\n incl %eax\n cli");
CODE(sti_cli, "sti\n cli\n nop\n nop");
CODE(sti_hlt, "sti\n hlt\n sti_hlt_at: nop\n cli");
CODE(sti_jmp, "sti\n jmp 1f\n nop\n 1: sti_jmp_at: nop\n cli");
CODE(sti_call, "sti\n call sti_call_target\n cli\n ret\n sti_call_target: nop\n ret");
CODE(sti_ret, "pushl $sti_ret_at\n sti\n ret\n sti_ret_at: nop\n cli");
CODE(sti_pushf, "sti\n pushfl\n sti_pushf_at: popl %eax\n cli");
CODE(sti_popf_off, "sti\n pushl $2\n sti_popf_off_at: popfl\n cli");
CODE(after_popf, "pushl $0x202\n popfl\n after_popf_at: nop\n nop\n cli");
CODE(after_iret, "pushl $0x202\n pushl $8\n pushl $after_iret_at\n iret\n nop\n after_iret_at: nop\n cli");
CODE(sti_nop_cli, "sti\n nop\n sti_nop_cli_at: cli\n nop");
CODE(sti_fault, "sti\n sti_fault_at: ud2\n");
CODE(sti_rep, "movl $100,%ecx\n movl $1f,%esi\n movl $buffer,%edi\n sti\n nop\n sti_rep_at: rep movsb\n 1: cli");
CODE(sti_sti, "sti\n sti\n sti_sti_at: nop\n cli");
CODE(sti_nop_loop, "movl $1000,%ecx\n sti\n 1: decl %ecx\n jnz 1b\n cli\n movl %ecx,%eax");

uint8_t buffer[256];

static int run(void (*code)(void *))
{
    taken = taken_at = 0;
    if (!wait_irq0_pending()) {
        check("timer-request", 0, 1);
        return -2;
    }
    return rt_try(code, 0);
}

static void taken_where(const char *name, void (*code)(void *), uint32_t where)
{
    check_trap(name, run(code), NO_TRAP, 0);
    check(name, taken, where != 0);
    check(name, taken_at, where);
}

static void test_sti(void)
{
    taken_where("after-sti", after_sti, ADDR(after_sti_at));
    taken_where("after-sti-two", after_sti_two, ADDR(after_sti_two_at));
    check("after-sti-two-result", rt_result, 3);
    taken_where("sti-cli", sti_cli, 0);
    taken_where("sti-hlt", sti_hlt, ADDR(sti_hlt_at));
    taken_where("sti-jmp", sti_jmp, ADDR(sti_jmp_at));
    taken_where("sti-call", sti_call, ADDR(sti_call_target));
    taken_where("sti-ret", sti_ret, ADDR(sti_ret_at));
    taken_where("sti-pushf", sti_pushf, ADDR(sti_pushf_at));
    check("sti-pushf-value", rt_result & IF, IF);
    taken_where("sti-popf-off", sti_popf_off, ADDR(sti_popf_off_at));
    taken_where("sti-rep", sti_rep, ADDR(sti_rep_at));
    taken_where("sti-sti", sti_sti, ADDR(sti_sti_at));
    check_trap("sti-then-fault", run(sti_fault), UD, 0);
    check("sti-then-fault-eip", rt_last.eip, ADDR(sti_fault_at));
    check("sti-then-fault-if", rt_last.eflags & IF, IF);
    check("sti-then-fault-untaken", taken, 0);
    check_trap("sti-loop", run(sti_nop_loop), NO_TRAP, 0);
    check("sti-loop-taken", taken, 1);
    check("sti-loop-result", rt_result, 0);
}

static void test_no_shadow(void)
{
    taken_where("after-popf", after_popf, ADDR(after_popf_at));
    taken_where("after-iret", after_iret, ADDR(after_iret_at));
    taken_where("sti-nop-cli", sti_nop_cli, ADDR(sti_nop_cli_at));
}

/*
 * MOV SS: no single-step trap after it either.  TF is set by POPF, so that the
 * first trap would come after the instruction behind POPF.
 */
static uint32_t steps, step_at[8];

static void on_step(struct frame *f)
{
    if (steps < 8)
        step_at[steps] = f->eip;
    steps++;
    if (steps >= 3)
        f->eflags &= ~(uint32_t)TF;
}

CODE(step_mov_ss, "movl %ss,%eax\n pushl $0x102\n popfl\n nop\n mov_ss_1: movl %eax,%ss\n nop\n mov_ss_2: nop\n"
     "mov_ss_3: nop\n pushl $2\n popfl");
CODE(step_pop_ss, "pushl %ss\n pushl $0x102\n popfl\n nop\n pop_ss_1: popl %ss\n nop\n pop_ss_2: nop\n"
     "pop_ss_3: nop\n pushl $2\n popfl");

static void test_mov_ss(void)
{
    rt_handlers[DB] = on_step;
    steps = 0;
    check_trap("mov-ss-step", rt_try(step_mov_ss, 0), NO_TRAP, 0);
    check("mov-ss-step-1", step_at[0], ADDR(mov_ss_1));
    check("mov-ss-step-2", step_at[1], ADDR(mov_ss_2));
    check("mov-ss-step-3", step_at[2], ADDR(mov_ss_3));
    steps = 0;
    check_trap("pop-ss-step", rt_try(step_pop_ss, 0), NO_TRAP, 0);
    check("pop-ss-step-1", step_at[0], ADDR(pop_ss_1));
    check("pop-ss-step-2", step_at[1], ADDR(pop_ss_2));
    check("pop-ss-step-3", step_at[2], ADDR(pop_ss_3));
    rt_handlers[DB] = NULL;
}

/* From ring 3 with IOPL 3, and a user program that is interrupted at its first instruction. */
CODE(user_first, "user_first_at: nop\n nop");
CODE(user_sti, "sti\n nop\n user_sti_at: nop\n cli");

static void test_user(void)
{
    check("user-pending", wait_irq0_pending(), 1);
    taken = 0;
    check_trap("user-first", rt_try_user_flags(user_first, 0, 0x202), NO_TRAP, 0);
    check("user-first-taken", taken, 1);
    check("user-first-eip", taken_at, ADDR(user_first_at));
    check("user-pending-2", wait_irq0_pending(), 1);
    taken = 0;
    check_trap("user-sti", rt_try_user_flags(user_sti, 0, 0x3002), NO_TRAP, 0);
    check("user-sti-taken", taken, 1);
    check("user-sti-eip", taken_at, ADDR(user_sti_at));
}

void test_main(void)
{
    rt_handlers[IRQ_BASE] = on_timer;
    test_sti();
    test_no_shadow();
    test_mov_ss();
    test_user();
}
