/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IRET and POPF: which flags change at which ring, returns inward and outward,
 * frames that must be refused (SDM volume 2, IRET; volume 3, 5.9 and 6.12).
 * Returns to virtual-8086 mode are in v86.c, to a previous task in task.c.
 */
#include "rt.h"

#define DONE_USER "int $0x90\n"
CODE(iret_same, "pushl $0xcd7\n pushl $0x08\n pushl $1f\n iret\n 1: pushfl\n popl %eax\n pushl $2\n popfl");
CODE(iret_outer, "pushl $0x23\n pushl $0x12345678\n pushl $0x46\n pushl $0x1b\n pushl $1f\n iret\n"
     "1: movl %fs,%eax\n movl %ds,%ecx\n" DONE_USER);
CODE(iret_outer_iopl, "pushl $0x23\n pushl $rt_user_stack_top-16\n pushl $0x3002\n pushl $0x1b\n pushl $1f\n iret\n"
     "1: pushfl\n popl %eax\n sti\n pushfl\n popl %ecx\n cli\n pushfl\n popl %edx\n" DONE_USER);
CODE(user_popf, "pushl $0x7ed7\n popfl\n pushfl\n popl %eax\n" DONE_USER);
CODE(user_iret, "pushl $0x3ed7\n pushl $0x1b\n pushl $1f\n iret\n 1: pushfl\n popl %eax\n" DONE_USER);
CODE(popf_iopl3, "pushl $0x2\n popfl\n pushfl\n popl %eax\n" DONE_USER);
CODE(popf_ring0, "pushl $0x7ed7\n popfl\n pushfl\n popl %eax\n pushl $2\n popfl");
CODE(popfw_ring0, "pushl $0x12345ed7\n popfw\n leal 2(%esp),%esp\n pushfl\n popl %eax\n pushl $2\n popfl");
CODE(pushfw_ring0, "xorl %eax,%eax\n pushl $0xcd7\n popfl\n pushfw\n popw %ax\n pushl $2\n popfl");
CODE(popf_id, "pushl $0x200002\n popfl\n pushfl\n popl %eax\n pushl $2\n popfl");
CODE(popf_vm_rf, "pushl $0x30002\n popfl\n pushfl\n popl %eax\n pushl $2\n popfl");
CODE(iret_null, "pushl $2\n pushl $0\n pushl $1f\n iret_null_at: iret\n 1: nop");
CODE(iret_data, "pushl $2\n pushl $0x10\n pushl $1f\n iret\n 1: nop");
CODE(iret_beyond, "pushl $2\n pushl $0x1000\n pushl $1f\n iret\n 1: nop");
CODE(iret_inward, "pushl $2\n pushl $0x08\n pushl $1f\n iret\n 1: nop");
CODE(iret_null_ss, "pushl $0\n pushl $0\n pushl $2\n pushl $0x1b\n pushl $1f\n iret_null_ss_at: iret\n 1: nop");
CODE(iret_ss_rpl, "pushl $0x20\n pushl $0\n pushl $2\n pushl $0x1b\n pushl $1f\n iret\n 1: nop");
CODE(iret_ss_dpl, "pushl $0x13\n pushl $0\n pushl $2\n pushl $0x1b\n pushl $1f\n iret\n 1: nop");
CODE(iretw_same, "pushw $0xcd7\n pushw %cs\n pushw $0x600\n iretw");
CODE(lahf_sahf, "movb $0xd7,%ah\n sahf\n pushfl\n popl %edx\n movl $0,%eax\n lahf\n shll $16,%edx\n orl %edx,%eax");
CODE(iopl_kept, "pushl $0x3002\n popfl\n cli\n sti\n cli\n pushfl\n popl %eax\n pushl $2\n popfl");

static void test_good(void)
{
    check_trap("iret-same-ring", rt_try(iret_same, 0), NO_TRAP, 0);
    check("iret-same-flags", rt_result, 0xcd7);
    check_trap("iret-outer", rt_try(iret_outer, 0), 0x90, 0);
    check("iret-outer-esp", rt_last.esp, 0x12345678);
    check("iret-outer-flags", rt_last.eflags, 0x46);
    check("iret-outer-cs", rt_last.cs & 0xffff, SEL_CODE3);
    check("iret-outer-fs", rt_last.eax & 0xffff, 0);
    check("iret-outer-ds", rt_last.ecx & 0xffff, 0);
    check_trap("iopl3", rt_try(iret_outer_iopl, 0), 0x90, 0);
    check("iopl3-flags", rt_last.eax, 0x3002);
    check("iopl3-sti", rt_last.ecx, 0x3202);
    check("iopl3-cli", rt_last.edx, 0x3002);
}

static void test_flags(void)
{
    pic_setup(0xff, 0xff);
    check_trap("user-popf", rt_try_user(user_popf, 0), 0x90, 0);
    check("user-popf-flags", rt_last.eax & ~(uint32_t)TF, 0x4cd7);
    check_trap("user-iret", rt_try_user(user_iret, 0), 0x90, 0);
    check("user-iret-flags", rt_last.eax, 0xcd7);
    check_trap("user-popf-if-on", rt_try_user_flags(popf_iopl3, 0, 0x202), 0x90, 0);
    check("user-popf-if-kept", rt_last.eax, 0x202);
    check_trap("user-popf-iopl3", rt_try_user_flags(popf_iopl3, 0, 0x3202), 0x90, 0);
    check("user-popf-iopl3-flags", rt_last.eax, 0x3002);
    check_trap("popf-ring0", rt_try(popf_ring0, 0), NO_TRAP, 0);
    check("popf-ring0-flags", rt_result, 0x7ed7);
    check_trap("popfw", rt_try(popfw_ring0, 0), NO_TRAP, 0);
    check("popfw-flags", rt_result, 0x5ed7);
    check_trap("pushfw", rt_try(pushfw_ring0, 0), NO_TRAP, 0);
    check("pushfw-flags", rt_result, 0xcd7);
    check_trap("popf-id", rt_try(popf_id, 0), NO_TRAP, 0);
    check("popf-id-flags", rt_result, 0x200002);
    check_trap("popf-vm-rf", rt_try(popf_vm_rf, 0), NO_TRAP, 0);
    check("popf-vm-rf-flags", rt_result, 2);
    check_trap("lahf", rt_try(lahf_sahf, 0), NO_TRAP, 0);
    check("lahf-value", rt_result, 0x00d7d700);
    check_trap("iopl-kept", rt_try(iopl_kept, 0), NO_TRAP, 0);
    check("iopl-kept-flags", rt_result, 0x3002);
}

static void test_bad(void)
{
    check_trap("iret-null-cs", rt_try(iret_null, 0), GP, 0);
    check("iret-null-eip", rt_last.eip, ADDR(iret_null_at));
    check_trap("iret-data-cs", rt_try(iret_data, 0), GP, SEL_DATA0);
    check_trap("iret-beyond", rt_try(iret_beyond, 0), GP, 0x1000);
    check_trap("iret-inward", rt_try_user(iret_inward, 0), GP, SEL_CODE0);
    check_trap("iret-null-ss", rt_try(iret_null_ss, 0), GP, 0);
    check("iret-null-ss-eip", rt_last.eip, ADDR(iret_null_ss_at));
    check_trap("iret-ss-rpl", rt_try(iret_ss_rpl, 0), GP, 0x20);
    check_trap("iret-ss-dpl", rt_try(iret_ss_dpl, 0), GP, 0x10);
}

/* A 16-bit frame takes EIP to the low 64 KiB, where a UD2 waits. */
static void test_small_frame(void)
{
    *(volatile uint16_t *)0x600 = 0x0b0f;
    check_trap("iretw", rt_try(iretw_same, 0), UD, 0);
    check("iretw-eip", rt_last.eip, 0x600);
    check("iretw-flags", rt_last.eflags & 0xffff, 0xcd7);
}

void test_main(void)
{
    test_good();
    test_flags();
    test_bad();
    test_small_frame();
}
