/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ring 3 with flat segments: system calls in numbers, registers kept across
 * them, timer interrupts while computing, IOPL and the I/O permission map,
 * time-stamp and CPUID, SYSENTER where it is offered, user selectors.
 */
#include "rt.h"

static uint32_t calls, sum;

static void on_call(struct frame *f)
{
    calls++;
    sum += f->eax;
    f->eax ^= 0xffffffff;
}

CODE(u_calls, "movl $0x11,%ebx\n movl $0x22,%esi\n movl $0x33,%edi\n movl $0x44,%ebp\n movl $1000,%ecx\n"
     "1: movl %ecx,%eax\n int $0x96\n notl %eax\n cmpl %ecx,%eax\n jne 2f\n decl %ecx\n jnz 1b\n"
     "movl %esp,%edx\n int $0x90\n 2: ud2");
CODE(u_flags, "pushl $0xad7\n popfl\n int $0x96\n pushfl\n popl %eax\n pushl $2\n popfl\n int $0x90");
CODE(u_compute, "xorl %eax,%eax\n movl $300000,%ecx\n 1: addl %ecx,%eax\n roll $3,%eax\n decl %ecx\n jnz 1b\n int $0x90");
CODE(u_cli, "cli\n pushfl\n popl %eax\n sti\n int $0x90");
CODE(u_out_in, "movl $0x3ff,%edx\n movb $0x3b,%al\n outb %al,%dx\n movb $0,%al\n inb %dx,%al\n movzbl %al,%eax\n int $0x90");
CODE(u_in16, "movl $0x3fe,%edx\n inw %dx,%ax\n int $0x90");
CODE(u_rdtsc, "rdtsc\n movl %eax,%ebx\n rdtsc\n int $0x90");
CODE(u_cpuid, "xorl %eax,%eax\n cpuid\n int $0x90");
CODE(u_selectors, "movl %cs,%eax\n movl %ds,%ecx\n movl %ss,%edx\n movl %gs,%ebx\n pushl %fs\n popl %esi\n int $0x90");
CODE(u_gs, "movl 4(%esp),%eax\n movl %eax,%gs\n movl %gs:4,%ecx\n movl %gs,%edx\n movl $0x96,%eax\n int $0x96\n"
     "movl %gs:4,%eax\n movl %gs,%ebx\n int $0x90");
CODE(u_rep, "movl $u_block,%edi\n movl $64,%ecx\n movl $0x5a5a5a5a,%eax\n rep stosl\n movl u_block+252,%eax\n int $0x90");
CODE(u_deep, "xorl %eax,%eax\n movl $200,%ecx\n call 1f\n int $0x90\n 1: incl %eax\n decl %ecx\n jz 2f\n call 1b\n 2: ret");
CODE(u_table, "movl $0,%ecx\n xorl %eax,%eax\n 1: jmp *u_targets(,%ecx,4)\n u_t0: addl $1,%eax\n jmp 2f\n"
     "u_t1: addl $10,%eax\n jmp 2f\n u_t2: addl $100,%eax\n jmp 2f\n u_t3: addl $1000,%eax\n 2: incl %ecx\n andl $3,%ecx\n"
     "jnz 1b\n int $0x90");

uint32_t u_block[64] __attribute__((aligned(16)));
asm(".section .rodata\nu_targets: .long u_t0, u_t1, u_t2, u_t3\n.text");

static void test_calls(void)
{
    rt_handlers[0x96] = on_call;
    check_trap("calls", rt_try_user(u_calls, 0), 0x90, 0);
    check("calls-count", calls, 1000);
    check("calls-sum", sum, 500500);
    check("calls-ebx", rt_last.ebx, 0x11);
    check("calls-esi", rt_last.esi, 0x22);
    check("calls-edi", rt_last.edi, 0x33);
    check("calls-ebp", rt_last.ebp, 0x44);
    check("calls-esp", rt_last.edx, (uint32_t)rt_user_stack_top - 16);
    check_trap("flags", rt_try_user(u_flags, 0), 0x90, 0);
    check("flags-kept", rt_last.eax, 0x8d7);
    check_trap("deep-calls", rt_try_user(u_deep, 0), 0x90, 0);
    check("deep-calls-value", rt_last.eax, 200);
    check_trap("jump-table", rt_try_user(u_table, 0), 0x90, 0);
    check("jump-table-value", rt_last.eax, 1111);
    check_trap("rep-stos", rt_try_user(u_rep, 0), 0x90, 0);
    check("rep-stos-value", rt_last.eax, 0x5a5a5a5a);
}

static volatile uint32_t ticks;

static void on_tick(struct frame *f)
{
    (void)f;
    ticks++;
    pic_eoi();
}

static void test_ticks(void)
{
    uint32_t quiet, good = 0, runs = 0;

    rt_try_user(u_compute, 0);
    quiet = rt_last.eax;
    rt_handlers[IRQ_BASE] = on_tick;
    pic_setup(0xfe, 0xff);
    pit_periodic(1500);
    for (; runs < 5 || (ticks < 3 && runs < 5000); runs++) {
        rt_try_user_flags(u_compute, 0, IF | 2);
        good += rt_last.eax == quiet;
    }
    check("compute-under-ticks", good, runs);
    check("ticks", ticks >= 3, 1);
    pic_setup(0xff, 0xff);
    pit_one_shot(1);
}

static void test_iopl(void)
{
    check_trap("cli-iopl3", rt_try_user_flags(u_cli, 0, IOPL3 | IF | 2), 0x90, 0);
    check("cli-iopl3-flags", rt_last.eax & IF, 0);
    check("sti-iopl3-flags", rt_last.eflags & IF, IF);
    check_trap("in-iopl3", rt_try_user_flags(u_out_in, 0, IOPL3 | 2), 0x90, 0);
    check("in-iopl3-value", rt_last.eax, 0x3b);
    check_trap("out-refused", rt_try_user(u_out_in, 0), GP, 0);
    rt_tss.io_map[0x3ff / 8] &= 0x7f;
    check_trap("out-allowed", rt_try_user(u_out_in, 0), 0x90, 0);
    check("in-allowed-value", rt_last.eax, 0x3b);
    check_trap("in16-half-allowed", rt_try_user(u_in16, 0), GP, 0);
    rt_tss.io_map[0x3ff / 8] = 0xff;
    check_trap("out-refused-again", rt_try_user(u_out_in, 0), GP, 0);
    gdt_set(SLOT(2), (uint32_t)&rt_tss, 103, A_TSS, F_BYTES16);
    asm volatile("ltr %w0" : : "r"(SLOT(2)));
    check_trap("no-map", rt_try_user(u_out_in, 0), GP, 0);
    gdt_set(SEL_TSS, (uint32_t)&rt_tss, sizeof rt_tss - 1, A_TSS, F_BYTES16);
    asm volatile("ltr %w0" : : "r"(SEL_TSS));
}

static void test_queries(void)
{
    uint32_t r[4];

    check_trap("rdtsc", rt_try_user(u_rdtsc, 0), 0x90, 0);
    check("rdtsc-moves", rt_last.eax - rt_last.ebx < 0x40000000, 1);
    WRITE_CR(4, READ_CR(4) | CR4_TSD);
    check_trap("rdtsc-tsd", rt_try_user(u_rdtsc, 0), GP, 0);
    WRITE_CR(4, READ_CR(4) & ~CR4_TSD);
    cpuid(0, r);
    check_trap("cpuid", rt_try_user(u_cpuid, 0), 0x90, 0);
    check("cpuid-same", rt_last.ebx, r[1]);
}

static void test_selectors(void)
{
    check_trap("selectors", rt_try_user(u_selectors, 0), 0x90, 0);
    check("selectors-cs", rt_last.eax & 0xffff, SEL_CODE3);
    check("selectors-ds", rt_last.ecx & 0xffff, SEL_DATA3);
    check("selectors-ss", rt_last.edx & 0xffff, SEL_DATA3);
    check("selectors-gs", rt_last.ebx & 0xffff, SEL_DATA3);
    check("selectors-fs", rt_last.esi & 0xffff, SEL_DATA3);
    u_block[1] = 0x7e57;
    for (uint32_t slot = 0; slot < 20; slot += 3) {
        uint32_t s = SLOT(4) + slot * 8;

        gdt_set(s, (uint32_t)u_block, 0xfffff, A_DATA | A_DPL3, F_PAGES);
        check_trap("gs", rt_try_user(u_gs, (void *)(s | 3)), 0x90, 0);
        check("gs-read", rt_last.ecx, 0x7e57);
        check("gs-selector", rt_last.edx & 0xffff, s | 3);
        check("gs-read-after-call", rt_last.eax, 0x7e57);
        check("gs-selector-after-call", rt_last.ebx & 0xffff, s | 3);
    }
}

/* SYSENTER and SYSEXIT (SDM volume 2): flat code and stack by MSR. */
CODE(u_sysenter, "movl $0x5e,%eax\n movl %esp,%ecx\n movl $u_sysenter_back,%edx\n sysenter\n ud2\n"
     "u_sysenter_back: int $0x90");
CODE(k_sysenter, "pushl %ecx\n pushl %edx\n pushl %ds\n movl $0x10,%ebx\n movl %ebx,%ds\n movw %cs,se_cs\n movw %ss,se_ss\n"
     "pushfl\n popl se_flags\n popl %ds\n popl %edx\n popl %ecx\n addl $1,%eax\n sysexit");
uint32_t se_cs, se_ss, se_flags;

static void wrmsr(uint32_t msr, uint32_t v)
{
    asm volatile("wrmsr" : : "c"(msr), "a"(v), "d"(0));
}

static void test_sysenter(void)
{
    uint32_t r[4];

    cpuid(1, r);
    if (!(r[3] & 1 << 11)) {
        check_trap("sysenter-ud", rt_try_user(u_sysenter, 0), UD, 0);
        skip("sysenter*", "no SEP");
        return;
    }
    wrmsr(0x174, 0);
    check_trap("sysenter-no-cs", rt_try_user(u_sysenter, 0), GP, 0);
    wrmsr(0x174, SEL_CODE0);
    wrmsr(0x175, (uint32_t)rt_trap_stack_top);
    wrmsr(0x176, (uint32_t)k_sysenter);
    check_trap("sysenter", rt_try_user_flags(u_sysenter, 0, IF | 2), 0x90, 0);
    check("sysenter-eax", rt_last.eax, 0x5f);
    check("sysenter-kernel-cs", se_cs & 0xffff, SEL_CODE0);
    check("sysenter-kernel-ss", se_ss & 0xffff, SEL_DATA0);
    check("sysenter-kernel-if", se_flags & IF, 0);
    check("sysenter-exit-cs", rt_last.cs & 0xffff, SEL_CODE3);
    check("sysenter-exit-esp", rt_last.esp, (uint32_t)rt_user_stack_top - 16);
}

void test_main(void)
{
    pic_setup(0xff, 0xff);
    test_calls();
    test_ticks();
    test_iopl();
    test_queries();
    test_selectors();
    test_sysenter();
}
