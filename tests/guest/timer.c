/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 8259 pair and the 8254 through a guest's eyes: masks, requests, priority,
 * end of interrupt, the counter read back, ticks while computing and halted,
 * the serial port's transmit interrupt.
 */
#include "rt.h"

static volatile uint32_t ticks, serial, order[4], events;
static uint32_t lockup;

static void on_tick(struct frame *f)
{
    (void)f;
    ticks++;
    if (events < 4)
        order[events++] = 0;
    if (!lockup)
        pic_eoi();
}

static void on_serial(struct frame *f)
{
    (void)f;
    serial++;
    inb(0x3fa);                         /* reading the identification clears the THRE request */
    outb(0x3f9, 0);
    if (events < 4)
        order[events++] = 4;
    pic_eoi();
}

CODE(spin, "movl 4(%esp),%edx\n sti\n 1: cmpl %edx,ticks\n jb 1b\n cli\n movl ticks,%eax");
CODE(halt, "movl 4(%esp),%edx\n 1: sti\n hlt\n cli\n cmpl %edx,ticks\n jb 1b\n movl ticks,%eax");
CODE(compute, "xorl %eax,%eax\n movl $300000,%ecx\n sti\n 1: addl %ecx,%eax\n roll $3,%eax\n decl %ecx\n jnz 1b\n cli");
CODE(compute_quiet, "xorl %eax,%eax\n movl $300000,%ecx\n 1: addl %ecx,%eax\n roll $3,%eax\n decl %ecx\n jnz 1b");
CODE(open_window, "sti\n nop\n nop\n nop\n cli");

static void test_ticks(void)
{
    uint32_t quiet;

    ticks = 0;
    pic_setup(0xfe, 0xff);
    pit_periodic(1500);
    check_trap("spin", rt_try(spin, (void *)20), NO_TRAP, 0);
    check("spin-ticks", rt_result >= 20, 1);
    ticks = 0;
    check_trap("halt", rt_try(halt, (void *)20), NO_TRAP, 0);
    check("halt-ticks", rt_result >= 20, 1);
    rt_try(compute_quiet, 0);
    quiet = rt_result;
    for (unsigned i = 0; i < 5; i++) {
        rt_try(compute, 0);
        check("compute-under-ticks", rt_result, quiet);
    }
    pic_setup(0xff, 0xff);
    ticks = 0;
    rt_try(compute, 0);
    check("masked", ticks, 0);
    pit_one_shot(1);
}

static void test_priority(void)
{
    pic_setup(0xff, 0xff);
    pit_one_shot(20);
    outb(0x3f9, 2);                     /* transmitter empty: IRQ 4 at once */
    for (unsigned i = 0; i < 1000000 && (pic_irr() & 0x11) != 0x11; i++)
        ;
    check("both-requested", pic_irr() & 0x11, 0x11);
    check("none-in-service", pic_isr(), 0);
    ticks = serial = events = 0;
    rt_try(open_window, 0);
    check("masked-none", events, 0);
    outb(0x21, 0xee);
    rt_try(open_window, 0);
    rt_try(open_window, 0);
    check("both-served", events, 2);
    check("timer-first", order[0], 0);
    check("serial-second", order[1], 4);
    outb(0x3f9, 0);
}

static void test_in_service(void)
{
    check("timer-pending", wait_irq0_pending(), 1);
    outb(0x21, 0xee);
    lockup = 1;
    ticks = serial = events = 0;
    rt_try(open_window, 0);
    check("in-service", pic_isr(), 1);
    check("ticks-1", ticks, 1);
    outb(0x3f9, 2);
    rt_try(open_window, 0);
    check("lower-held-back", serial, 0);
    pit_one_shot(20);
    for (unsigned i = 0; i < 1000000 && !(pic_irr() & 1); i++)
        ;
    rt_try(open_window, 0);
    check("same-held-back", ticks, 1);
    lockup = 0;
    pic_eoi();
    check("after-eoi", pic_isr(), 0);
    rt_try(open_window, 0);
    rt_try(open_window, 0);
    check("then-timer", ticks, 2);
    check("then-serial", serial, 1);
    outb(0x3f9, 0);
}

static uint16_t counter(void)
{
    uint8_t low;

    outb(0x43, 0x00);
    low = inb(0x40);
    return low | inb(0x40) << 8;
}

static void test_counter(void)
{
    uint32_t changes = 0, over = 0;
    uint16_t before, now;

    pic_setup(0xff, 0xff);
    pit_periodic(10000);
    before = counter();
    for (unsigned i = 0; i < 2000; i++) {
        now = counter();
        changes += now != before;
        over += now > 10000;
        before = now;
    }
    check("counter-moves", changes > 10, 1);
    check("counter-in-range", over, 0);
    outb(0x43, 0xe2);                   /* read-back: status of channel 0 */
    check("counter-status", inb(0x40) & 0x3f, 0x34);
    outb(0x21, 0xa5);
    check("mask-reads-back", inb(0x21), 0xa5);
    outb(0x21, 0xff);
    pit_one_shot(1);
}

static void test_cascade(void)
{
    check("slave-mask", (outb(0xa1, 0x5a), inb(0xa1)), 0x5a);
    outb(0xa1, 0xff);
    check("slave-irr", (outb(0xa0, 0x0a), inb(0xa0)) & 0x7e, 0);
}

void test_main(void)
{
    rt_handlers[IRQ_BASE] = on_tick;
    rt_handlers[IRQ_BASE + 4] = on_serial;
    outb(0x3fc, 0x0b);
    test_ticks();
    test_priority();
    test_in_service();
    test_counter();
    test_cascade();
}
