/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Single-stepping and breakpoints (SDM volume 3, chapter 17): traps after each
 * instruction, PUSHF under TF, string instructions, INT n under TF, code and
 * data breakpoints, RF, general detect.
 */
#include "rt.h"

enum { DR6_B0 = 1, DR6_B1 = 2, DR6_BD = 0x2000, DR6_BS = 0x4000, DR7_L0 = 1, DR7_L1 = 4, DR7_GD = 0x2000 };

static uint32_t steps, step_at[64], step_dr6[64], stop_after;
static uint32_t step_eflags;

static void on_step(struct frame *f)
{
    if (steps < 64) {
        step_at[steps] = f->eip;
        step_dr6[steps] = READ_DR(6);
    }
    step_eflags = f->eflags;
    WRITE_DR(6, 0);
    steps++;
    if (steps >= stop_after)
        f->eflags &= ~(uint32_t)TF;
}

#define STEP_ON "pushl $0x102\n popfl\n"
#define STEP_OFF "pushl $2\n popfl\n"
CODE(s_line, "xorl %eax,%eax\n" STEP_ON "s_1: incl %eax\n s_2: incl %eax\n s_3: nop\n s_4: jmp s_5\n nop\n"
     "s_5: call s_7\n s_6: jmp s_9\n s_7: nop\n s_8: ret\n s_9: " STEP_OFF);
CODE(s_pushf, STEP_ON "pushfl\n popl %ecx\n" STEP_OFF "movl %ecx,%eax");
CODE(s_int, STEP_ON "nop\n si_1: int $0x92\n si_2: nop\n si_3: nop\n" STEP_OFF);
CODE(s_rep, "movl $3,%ecx\n movl $scratch,%edi\n xorl %eax,%eax\n" STEP_ON "sr_1: rep stosb\n sr_2: nop\n" STEP_OFF);
CODE(s_cpuid, STEP_ON "nop\n sc_1: cpuid\n sc_2: movl %cr0,%eax\n sc_3: cli\n sc_4: sti\n sc_5: cli\n sc_6: movl %ds,%eax\n"
     "sc_7: movl %eax,%ds\n sc_8: rdtsc\n sc_9: inb $0x80,%al\n sc_10: " STEP_OFF);
CODE(s_fault, STEP_ON "nop\n s_fault_at: ud2\n");
CODE(s_iret, "pushl $0x102\n pushl %cs\n pushl $sx_1\n iret\n nop\n sx_1: nop\n sx_2: nop\n" STEP_OFF);
CODE(s_popf_off, STEP_ON "pushl $2\n so_1: popfl\n so_2: nop\n so_3: nop");
CODE(s_user, STEP_ON "su_1: nop\n su_2: nop\n su_3: int $0x90");

/* With room below it: one test makes it the stack for a moment. */
asm(".bss\n.balign 16\n.skip 1024\nscratch: .skip 16\n.text");
extern uint8_t scratch[16];

static int run(void (*code)(void *), uint32_t limit)
{
    steps = 0;
    stop_after = limit;
    WRITE_DR(6, 0);
    return rt_try(code, 0);
}

static void at(const char *name, unsigned step, uint32_t where)
{
    check(name, step_at[step], where);
}

/* TCG holds single-step traps back in STI's shadow, too. */
static void at_cpu(const char *name, unsigned step, uint32_t where)
{
    check_cpu(name, step_at[step], where);
}

static void test_line(void)
{
    check_trap("line", run(s_line, 99), NO_TRAP, 0);
    at("after-1", 0, ADDR(s_2));
    at("after-2", 1, ADDR(s_3));
    at("after-nop", 2, ADDR(s_4));
    at("after-jmp", 3, ADDR(s_5));
    at("after-call", 4, ADDR(s_7));
    at("in-routine", 5, ADDR(s_8));
    at("after-ret", 6, ADDR(s_6));
    at("after-jmp-2", 7, ADDR(s_9));
    check("steps", steps, 10);          /* the push and the popf that ends it, too */
    check("result", rt_result, 2);
    check("dr6", step_dr6[0] & 0xe00f, DR6_BS);
    check_trap("pushf", run(s_pushf, 99), NO_TRAP, 0);
    check("pushf-value", rt_result & TF, TF);
    check_trap("popf-off", run(s_popf_off, 99), NO_TRAP, 0);
    check("popf-off-steps", steps, 2);
    at("popf-off-last", 1, ADDR(so_2));
}

static uint32_t handler_flags;

static void on_int(struct frame *f)
{
    (void)f;
    handler_flags = eflags_now();
}

static void test_special(void)
{
    rt_handlers[0x92] = on_int;
    check_trap("int", run(s_int, 99), NO_TRAP, 0);
    at("before-int", 0, ADDR(si_1));
    /* INT n clears TF on the way in; the step comes after the instruction behind it. */
    at("after-int", 1, ADDR(si_3));
    check("handler-tf", handler_flags & TF, 0);
    rt_handlers[0x92] = NULL;
    check_trap("rep", run(s_rep, 99), NO_TRAP, 0);
    at("rep-1", 0, ADDR(sr_1));
    at("rep-2", 1, ADDR(sr_1));
    at("rep-done", 2, ADDR(sr_2));
    pic_setup(0xff, 0xff);
    check_trap("privileged", run(s_cpuid, 99), NO_TRAP, 0);
    at("step-nop", 0, ADDR(sc_1));
    at("step-cpuid", 1, ADDR(sc_2));
    at("step-mov-cr", 2, ADDR(sc_3));
    at("step-cli", 3, ADDR(sc_4));
    at_cpu("step-sti", 4, ADDR(sc_5));
    at_cpu("step-cli-2", 5, ADDR(sc_6));
    at_cpu("step-mov-from-ds", 6, ADDR(sc_7));
    at_cpu("step-mov-to-ds", 7, ADDR(sc_8));
    at_cpu("step-rdtsc", 8, ADDR(sc_9));
    at_cpu("step-in", 9, ADDR(sc_10));
    check_trap("fault-under-tf", run(s_fault, 99), UD, 0);
    check("fault-under-tf-eip", rt_last.eip, ADDR(s_fault_at));
    check("fault-under-tf-flag", rt_last.eflags & TF, TF);
    check("fault-under-tf-steps", steps, 1);
    check_trap("iret-sets-tf", run(s_iret, 99), NO_TRAP, 0);
    at("iret-first", 0, ADDR(sx_2));
}

static void test_many(void)
{
    steps = 0;
    stop_after = 1000000;
    check_trap("long-run", rt_try_user(s_user, 0), 0x90, 0);
    at("user-1", 0, ADDR(su_2));
    at("user-2", 1, ADDR(su_3));
    check("user-steps", steps, 2);
    check("user-int-tf", rt_last.eflags & TF, TF);
}

CODE(loop_1000, STEP_ON "movl $1000,%ecx\n 1: decl %ecx\n jnz 1b\n" STEP_OFF);

static void test_loop(void)
{
    check_trap("loop", run(loop_1000, 1000000), NO_TRAP, 0);
    check("loop-steps", steps, 1 + 2000 + 2);
}

CODE(b_code, "b_code_0: nop\n b_code_at: incl %eax\n b_code_2: nop");
CODE(b_write, "movl $1,scratch\n b_write_after: nop");
CODE(b_write_byte, "movb $1,scratch+3\n b_byte_after: nop");
CODE(b_read, "movl scratch,%eax\n b_read_after: nop");
CODE(b_push, "movl %esp,%ecx\n movl $scratch+4,%esp\n pushl %eax\n b_push_after: movl %ecx,%esp");

static void breakpoint(uint32_t address, uint32_t kind, uint32_t length)
{
    WRITE_DR(0, address);
    WRITE_DR(6, 0);
    WRITE_DR(7, 0x400 | DR7_L0 | kind << 16 | (length - 1) << 18);
}

static void on_break(struct frame *f)
{
    steps++;
    step_at[0] = f->eip;
    step_dr6[0] = READ_DR(6);
    step_eflags = f->eflags;
    WRITE_DR(6, 0);
    f->eflags |= RF;
}

static void hits(const char *name, void (*code)(void *), uint32_t count, uint32_t where)
{
    steps = 0;
    step_at[0] = 0;
    check_trap(name, rt_try(code, 0), NO_TRAP, 0);
    check(name, steps, count);
    check(name, step_at[0], where);
}

static void test_breakpoints(void)
{
    rt_handlers[DB] = on_break;
    breakpoint(ADDR(b_code_at), 0, 1);
    hits("code", b_code, 1, ADDR(b_code_at));
    check("code-dr6", step_dr6[0] & 0xe00f, DR6_B0);
    hits("code-again", b_code, 1, ADDR(b_code_at));
    breakpoint((uint32_t)scratch, 1, 4);
    hits("write", b_write, 1, ADDR(b_write_after));
    check("write-dr6", step_dr6[0] & 0xe00f, DR6_B0);
    hits("write-byte", b_write_byte, 1, ADDR(b_byte_after));
    hits("read-on-write", b_read, 0, 0);
    hits("push", b_push, 1, ADDR(b_push_after));
    breakpoint((uint32_t)scratch, 3, 4);
    hits("read", b_read, 1, ADDR(b_read_after));
    breakpoint((uint32_t)scratch, 1, 1);
    hits("write-beside", b_write_byte, 0, 0);
    WRITE_DR(7, 0x400);
    hits("disabled", b_write, 0, 0);
    rt_handlers[DB] = NULL;
}

CODE(gd_read, "gd_at: movl %db0,%eax");
CODE(gd_set, "movl $0x2400,%eax\n movl %eax,%db7\n gd_set_at: movl %db6,%eax");
CODE(dr4, "dr4_at: .byte 0x0f,0x21,0xe0");

static void test_registers(void)
{
    WRITE_DR(0, 0x12345678);
    check("dr0", READ_DR(0), 0x12345678);
    WRITE_DR(1, 0x9abcdef0);
    check("dr1", READ_DR(1), 0x9abcdef0);
    WRITE_DR(7, 0x400);
    check("dr7", READ_DR(7), 0x400);
    WRITE_DR(6, 0);
    check("dr6-reads", READ_DR(6), 0xffff0ff0);
    check_trap("dr4", rt_try(dr4, 0), NO_TRAP, 0);
    WRITE_CR(4, READ_CR(4) | CR4_DE);
    if (READ_CR(4) & CR4_DE) {
        check_trap("dr4-de", rt_try(dr4, 0), UD, 0);
        WRITE_CR(4, READ_CR(4) & ~CR4_DE);
    }
    check_trap_cpu("general-detect", rt_try(gd_set, 0), DB, 0);
    check_cpu("general-detect-eip", rt_last.eip, ADDR(gd_set_at));
    check_cpu("general-detect-dr7", READ_DR(7), 0x400);
    check_cpu("general-detect-dr6", READ_DR(6) & DR6_BD, DR6_BD);
    WRITE_DR(7, 0x400);
    check_trap("user-dr", rt_try_user(gd_read, 0), GP, 0);
}

void test_main(void)
{
    rt_handlers[DB] = on_step;
    test_line();
    test_special();
    test_many();
    test_loop();
    test_breakpoints();
    test_registers();
}
