/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The non-maskable interrupt: taken with IF = 0, by kernel and user code and in HLT; held back in its own handler until
 * IRET and then taken before another instruction; masked by port 70h (SDM volume 3, 6.7).  It comes from outside:
 * whoever runs this guest presses the button once for each line "READY" (tests/nmi.sh).
 */
#include "rt.h"

static volatile uint32_t nmis, depth, nested;
static struct frame first, second;

static uint8_t seconds(void)
{
    outb(0x70, 0x80); /* also masks NMI; whoever needs it unmasks */
    return inb(0x71);
}

/* One to two seconds, in which the button has surely been pressed. */
static void wait(bool masked)
{
    for (unsigned i = 0; i < 2; i++)
        for (uint8_t was = seconds(); seconds() == was;)
            ;
    if (!masked)
        outb(0x70, 0);
}

static void on_nmi(struct frame *f)
{
    nested |= depth++;
    if (!nmis++)
        first = *f;
    else
        second = *f;
    depth--;
}

/* The next one is requested while this one is being handled. */
static void on_nmi_slow(struct frame *f)
{
    bool again = !nmis;

    on_nmi(f);
    if (!again)
        return;
    depth++;
    put("READY\n");
    wait(false);
    depth--;
}

static void ready(rt_handler *handler)
{
    rt_handlers[NMI] = handler;
    nmis = depth = nested = 0;
    put("READY\n");
}

CODE(n_spin, "movl $2000000000,%ecx\n n_spin_1: cmpl $0,nmis\n jne n_spin_2\n decl %ecx\n jnz n_spin_1\n n_spin_2: movl nmis,%eax");
CODE(n_user_loop, "movl $0x1234,%edx\n 1: cmpl $0,nmis\n je 1b\n int $0x90");
CODE(n_hlt, "1: sti\n hlt\n cli\n cmpl $0,nmis\n je 1b\n movl nmis,%eax");
CODE(n_masked, "movl nmis,%eax");

static bool in_loop(uint32_t eip) { return eip >= ADDR(n_spin_1) && eip <= ADDR(n_spin_2); }

static void test_kernel(void)
{
    ready(on_nmi);
    check_trap("kernel", rt_try(n_spin, 0), NO_TRAP, 0);
    check("kernel-once", rt_result, 1);
    check("kernel-if-was-off", first.eflags & IF, 0);
    check("kernel-cs", first.cs & 0xffff, SEL_CODE0);
    check("kernel-eip", in_loop(first.eip), 1);
    ready(on_nmi);
    rt_try(n_hlt, 0);
    check("hlt-once", rt_result, 1);
}

static void test_user(void)
{
    ready(on_nmi);
    check_trap("user", rt_try_user_flags(n_user_loop, 0, IF | 2), 0x90, 0);
    check("user-once", nmis, 1);
    check("user-cs", first.cs & 0xffff, SEL_CODE3);
    check("user-edx", rt_last.edx, 0x1234);
}

static void test_blocked(void)
{
    ready(on_nmi_slow);
    check_trap("blocked", rt_try(n_spin, 0), NO_TRAP, 0);
    check("blocked-then-taken", nmis, 2);
    check("blocked-not-nested", nested, 0);
    check("blocked-same-eip", second.eip, first.eip);
}

static void test_masked(void)
{
    ready(on_nmi);
    wait(true);
    check_cpu("masked", nmis, 0);
    outb(0x70, 0);
    rt_try(n_masked, 0);
    check("unmasked", rt_result, 1);
}

void test_main(void)
{
    pic_setup(0xff, 0xff);
    outb(0x70, 0);
    test_kernel();
    test_blocked();
    test_masked();
    paging_on();
    test_user();
}
