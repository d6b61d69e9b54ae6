/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Spurious interrupts of the 8259 wherever interrupts are on: code of every kind must come to what it comes to
 * without them, none may arrive in the shadow of STI or of a load of SS, and the chips must not notice.  With
 * "injectirq" on the command line there must be at least one for each turn of a loop; without it, none.
 */
#include "rt.h"

CODE(j_loop, "xorl %eax,%eax\n movl $2000,%ecx\n 1: addl %ecx,%eax\n roll $3,%eax\n decl %ecx\n jnz 1b");
CODE(j_calls, "xorl %eax,%eax\n movl $300,%ecx\n 1: call 2f\n movl $3f,%edx\n call *%edx\n loop 1b\n jmp 4f\n"
     "2: pushl %ecx\n addl $5,%eax\n popl %ecx\n ret\n 3: leal 1(%eax,%eax),%eax\n ret $0\n 4:");
CODE(j_flags, "xorl %eax,%eax\n movl $200,%ecx\n 1: cmpl $77,%ecx\n pushfl\n popl %edx\n andl $0xfffffdff,%edx\n"
     "addl %edx,%eax\n adcl $0,%eax\n pushl %edx\n orl $0x200,(%esp)\n popfl\n roll $1,%eax\n loop 1b");
CODE(j_segments, "xorl %eax,%eax\n movl $200,%ecx\n 1: movl %ds,%edx\n movl %edx,%es\n addl %edx,%eax\n pushl %es\n popl %fs\n"
     "movl %edx,%gs\n addl %gs:j_word,%eax\n movl %ss,%edx\n movl %edx,%ss\n nop\n roll $1,%eax\n loop 1b");
CODE(j_strings, "movl $200,%edx\n 1: movl $j_from,%esi\n movl $j_to,%edi\n movl $16,%ecx\n rep movsl\n incl j_from\n"
     "movl $j_to,%edi\n movl $64,%ecx\n xorl %eax,%eax\n repe scasb\n decl %edx\n jnz 1b\n movl j_to,%eax");
CODE(j_x87, "fninit\n fldz\n movl $300,%ecx\n 1: fld1\n faddp\n call 2f\n loop 1b\n fistpl j_to\n movl j_to,%eax\n jmp 3f\n"
     "2: fld %st(0)\n fstp %st(0)\n ret\n 3:");
CODE(j_shadows, "xorl %eax,%eax\n movl $100,%ecx\n 1: cli\n incl %eax\n sti\n j_after_sti: incl %eax\n cli\n sti\n j_after_sti2: nop\n"
     "movl %ss,%edx\n movl %edx,%ss\n j_after_ss: incl %eax\n loop 1b");
CODE(j_int, "xorl %eax,%eax\n movl $100,%ecx\n 1: int $0x90\n addl %ecx,%eax\n loop 1b");

uint32_t j_word = 0x1234567, j_from[16], j_to[16];
static volatile uint32_t in_shadow;

static void on_call(struct frame *f) { f->edx ^= f->ecx; }

static void watch(struct frame *f)
{
    if (f->eip == ADDR(j_after_sti) || f->eip == ADDR(j_after_sti2) || f->eip == ADDR(j_after_ss))
        in_shadow++;
    rt_spurious(f);
}

static uint32_t run(void (*code)(void *), bool on, bool user)
{
    memset(j_from, 0, sizeof j_from);
    if (user) {
        check_trap("user", rt_try_user_flags(code, 0, on ? IF | 2 : 2), NO_TRAP, 0);
        return rt_last.eax;
    }
    if (on)
        asm volatile("sti");
    rt_try(code, 0);
    asm volatile("cli");
    return rt_result;
}

/* Quiet, then with interrupts on: the same value, and at least (or at most) so many interrupts. */
static void compare(const char *name, void (*code)(void *), uint32_t turns, bool user)
{
    bool injecting = rt_argument("injectirq");
    uint32_t want = run(code, false, user), before = rt_spurious_count, got = run(code, true, user);
    uint32_t count = rt_spurious_count - before;

    check(name, got, want);
    check(name, injecting ? count >= turns : count == 0, 1);
}

void test_main(void)
{
    static const struct { const char *name; void (*code)(void *); uint32_t turns; bool user; } tests[] = {
        { "loop", j_loop, 2000, true }, { "calls", j_calls, 300, true }, { "flags", j_flags, 200, true },
        { "segments", j_segments, 200, false }, { "strings", j_strings, 200, true }, { "x87", j_x87, 300, true },
        { "shadows", j_shadows, 100, false }, { "int", j_int, 100, true },
    };

    idt_set(0x90, SEL_CODE0, (void *)rt_stubs[0x90], A_INT_GATE | A_DPL3);
    rt_handlers[0x90] = on_call;
    rt_handlers[IRQ_BASE + 7] = watch;
    pic_setup(0x7f, 0xff);
    for (unsigned i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        compare(tests[i].name, tests[i].code, tests[i].turns, false);
        if (tests[i].user)
            compare(tests[i].name, tests[i].code, tests[i].turns, true);
    }
    check("never-in-a-shadow", in_shadow, 0);
    check("nothing-in-service", pic_isr(), 0);
    check("nothing-requested", pic_irr() & 0x80, 0);
    pic_setup(0xff, 0xff);
    in_shadow = rt_spurious_count;
    run(j_loop, true, false);
    check("all-masked", rt_spurious_count - in_shadow, 0);
}
