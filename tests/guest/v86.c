/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual-8086 mode (SDM volume 3, chapter 20): entered by IRET, left by traps;
 * the frame with four segment registers, IOPL and what it makes fault, segment
 * arithmetic, the I/O map.
 */
#include "rt.h"

#define SEGMENT 0x2000                  /* code and stack: linear 0x20000 */

/* 16-bit routines, copied to SEGMENT:0. */
#define CODE16(name, body) \
    asm(".text\n.code16\n.balign 4\n" #name ":\n" body "\n" #name "_end:\n.code32\n"); \
    extern char name[], name##_end[]

CODE16(v_int, "movw $0x1234,%ax\n movw %cs,%bx\n movw %ds,%cx\n movw %ss,%dx\n int $0x93\n nop");
CODE16(v_arith, "movw $0x3000,%ax\n movw %ax,%ds\n movw $0xbeef,%ds:0x10\n movw %ds:0x10,%bx\n movw %ds,%cx\n int $0x93");
CODE16(v_pushf, "pushfw\n popw %ax\n int $0x93");
CODE16(v_cli, "cli\n pushfw\n popw %ax\n sti\n pushfw\n popw %bx\n int $0x93");
CODE16(v_popf, "pushw $0x0ed7\n popfw\n pushfw\n popw %ax\n int $0x93");
CODE16(v_iret, "pushw $0x0cd7\n pushw %cs\n pushw $(1f - v_iret)\n iretw\n 1: pushfw\n popw %ax\n int $0x93");
CODE16(v_int3, "int3\n nop");
CODE16(v_hlt, "nop\n hlt");
CODE16(v_ud, "ud2");
CODE16(v_mov_cr, "movl %cr0,%eax");
CODE16(v_lgdt, "lgdt 0");
CODE16(v_sldt, "sldt %ax");
CODE16(v_arpl, "arpl %ax,%bx");
CODE16(v_lar, "lar %ax,%bx");
CODE16(v_in, "inb $0x80,%al\n int $0x93");
CODE16(v_in_21, "inb $0x21,%al\n int $0x93");
CODE16(v_limit, "movw $0xffff,%bx\n movw (%bx),%ax\n int $0x93");
CODE16(v_limit32, "movl $0x10000,%ebx\n movb (%ebx),%al\n int $0x93");
CODE16(v_loop, "xorl %eax,%eax\n movw $1000,%cx\n 1: addl $3,%eax\n loop 1b\n int $0x93");
CODE16(v_string, "movw $0x3000,%ax\n movw %ax,%es\n movw $0x100,%di\n movw $16,%cx\n movb $0x5a,%al\n cld\n rep stosb\n"
       "movw %di,%bx\n int $0x93");
CODE16(v_stack, "movw $2,%sp\n pushw %ax\n pushw %bx\n movw %sp,%ax\n movw $0x1000,%sp\n int $0x93");

CODE(enter_v86, "movl 4(%esp),%eax\n pushl $0x44\n pushl $0x33\n pushl $0x2222\n pushl $0x1111\n pushl $0x2000\n"
     "pushl $0x1000\n pushl %eax\n pushl $0x2000\n pushl $0\n iret");

static int run(char *from, char *end, uint32_t eflags)
{
    memcpy((void *)(SEGMENT << 4), from, end - from);
    return rt_try(enter_v86, (void *)(eflags | VM | 2));
}
#define RUN(name, eflags) run(name, name##_end, eflags)

static void test_frame(void)
{
    check_trap("int-iopl3", RUN(v_int, IOPL3), 0x93, 0);
    check("frame-eip", rt_last.eip, (uint32_t)(v_int_end - v_int) - 1);
    check("frame-cs", rt_last.cs & 0xffff, SEGMENT);
    check("frame-ss", rt_last.ss & 0xffff, 0x2000);
    check("frame-esp", rt_last.esp, 0x1000);
    check("frame-es", rt_last.v86_es & 0xffff, 0x1111);
    check("frame-ds", rt_last.v86_ds & 0xffff, 0x2222);
    check("frame-fs", rt_last.v86_fs & 0xffff, 0x33);
    check("frame-gs", rt_last.v86_gs & 0xffff, 0x44);
    check("frame-eflags", rt_last.eflags, VM | IOPL3 | 2);
    check("handler-ds", rt_last.ds & 0xffff, 0);
    check("handler-gs", rt_last.gs & 0xffff, 0);
    check("v86-ax", rt_last.eax & 0xffff, 0x1234);
    check("v86-cs", rt_last.ebx & 0xffff, SEGMENT);
    check("v86-ds", rt_last.ecx & 0xffff, 0x2222);
    check("v86-ss", rt_last.edx & 0xffff, 0x2000);
}

static void test_code(void)
{
    check_trap("segments", RUN(v_arith, IOPL3), 0x93, 0);
    check("segments-value", rt_last.ebx & 0xffff, 0xbeef);
    check("segments-memory", *(volatile uint16_t *)0x30010, 0xbeef);
    check("segments-ds", rt_last.v86_ds & 0xffff, 0x3000);
    check_trap("loop", RUN(v_loop, IOPL3), 0x93, 0);
    check("loop-value", rt_last.eax, 3000);
    check_trap("string", RUN(v_string, IOPL3), 0x93, 0);
    check("string-di", rt_last.ebx & 0xffff, 0x110);
    check("string-memory", *(volatile uint16_t *)0x3010e, 0x5a5a);
    check_trap("stack-wraps", RUN(v_stack, IOPL3), 0x93, 0);
    check("stack-wraps-sp", rt_last.eax & 0xffff, 0xfffe);
    check_trap_cpu("limit", RUN(v_limit, IOPL3), GP, 0);
    check_trap_cpu("limit-32", RUN(v_limit32, IOPL3), GP, 0);
}

static void test_iopl(void)
{
    check_trap("pushf-iopl3", RUN(v_pushf, IOPL3 | IF), 0x93, 0);
    check("pushf-iopl3-value", rt_last.eax & 0xffff, 0x3202);
    check_trap("cli-iopl3", RUN(v_cli, IOPL3 | IF), 0x93, 0);
    check("cli-iopl3-value", rt_last.eax & 0xffff, 0x3002);
    check("sti-iopl3-value", rt_last.ebx & 0xffff, 0x3202);
    check_trap("popf-iopl3", RUN(v_popf, IOPL3), 0x93, 0);
    check("popf-iopl3-value", rt_last.eax & 0xffff, 0x3ed7);
    check_trap("iret-iopl3", RUN(v_iret, IOPL3), 0x93, 0);
    check("iret-iopl3-value", rt_last.eax & 0xffff, 0x3cd7);
    check_trap("int-iopl0", RUN(v_int, 0), GP, 0);
    check("int-iopl0-eip", rt_last.eip, (uint32_t)(v_int_end - v_int) - 3);
    check_trap("cli-iopl0", RUN(v_cli, 0), GP, 0);
    check("cli-iopl0-eip", rt_last.eip, 0);
    check_trap("pushf-iopl0", RUN(v_pushf, 0), GP, 0);
    check_trap("popf-iopl0", RUN(v_popf, 0), GP, 0);
    check("popf-iopl0-eip", rt_last.eip, 3);
    check_trap("iret-iopl0", RUN(v_iret, 0), GP, 0);
    check_trap("int3-iopl0", RUN(v_int3, 0), BP, 0);
    check("int3-iopl0-eip", rt_last.eip, 1);
    check("int3-iopl0-vm", rt_last.eflags & VM, VM);
}

static void test_faults(void)
{
    check_trap("hlt", RUN(v_hlt, IOPL3), GP, 0);
    check("hlt-eip", rt_last.eip, 1);
    check_trap("ud2", RUN(v_ud, IOPL3), UD, 0);
    check_trap("mov-cr", RUN(v_mov_cr, IOPL3), GP, 0);
    check_trap("lgdt", RUN(v_lgdt, IOPL3), GP, 0);
    check_trap("sldt", RUN(v_sldt, IOPL3), UD, 0);
    check_trap("arpl", RUN(v_arpl, IOPL3), UD, 0);
    check_trap("lar", RUN(v_lar, IOPL3), UD, 0);
    idt_set(0x93, SEL_CODE0, (void *)rt_stubs[0x93], A_INT_GATE);
    check_trap("int-gate-dpl0", RUN(v_int, IOPL3), GP, 0x93 * 8 + 2);
    idt_reset();
}

static void test_ports(void)
{
    check_trap("in-refused", RUN(v_in, IOPL3), GP, 0);
    rt_tss.io_map[0x80 / 8] &= ~1;
    check_trap("in-allowed", RUN(v_in, 0), GP, 0);      /* the INT behind it */
    check("in-allowed-eip", rt_last.eip, 2);
    check_trap("in-allowed-iopl3", RUN(v_in, IOPL3), 0x93, 0);
    check_trap("in-other", RUN(v_in_21, IOPL3), GP, 0);
    rt_tss.io_map[0x80 / 8] |= 1;
}

/* A monitor of the guest's own: the handler emulates CLI by stepping over it and goes back. */
static uint32_t emulated;

static void on_gp(struct frame *f)
{
    uint8_t *insn = (uint8_t *)(((f->cs & 0xffff) << 4) + f->eip);

    emulated++;
    if (*insn == 0xfa || *insn == 0xfb || *insn == 0x9c || *insn == 0x58 || *insn == 0x5b)
        f->eip++;
    else
        rt_handlers[GP] = NULL;
}

CODE16(v_emulate, "movw $7,%si\n cli\n sti\n cli\n decw %si\n jnz v_emulate + 3\n hlt");

static void test_resume(void)
{
    emulated = 0;
    rt_handlers[GP] = on_gp;
    check_trap("monitor", RUN(v_emulate, 0), GP, 0);
    check("monitor-count", emulated, 22);
    check("monitor-eip", rt_last.eip, 9);
}

/* Interrupts reach the kernel from V86 whatever its IOPL. */
static uint32_t from_v86;

static void on_timer(struct frame *f)
{
    pic_eoi();
    from_v86 += (f->eflags & VM) != 0;
    if (from_v86 >= 3)
        f->eip = 3;                     /* out of the loop, to the HLT */
}

CODE16(v_spin, "nop\n jmp v_spin + 1\n hlt");

static void test_timer(void)
{
    rt_handlers[IRQ_BASE] = on_timer;
    pic_setup(0xfe, 0xff);
    pit_periodic(5000);
    check_trap("timer", RUN(v_spin, IF), GP, 0);
    check("timer-count", from_v86 >= 3, 1);
    pic_setup(0xff, 0xff);
    rt_handlers[IRQ_BASE] = NULL;
}

void test_main(void)
{
    test_frame();
    test_code();
    test_iopl();
    test_faults();
    test_ports();
    test_resume();
    test_timer();
}
