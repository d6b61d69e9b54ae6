/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User code under paging with interrupts on, which may run directly: selectors and descriptor tables as it
 * sees them, also when the instruction lies across two pages, and code that changes: written by the kernel,
 * by itself, through another mapping of its page, and data beside code.
 */
#include "rt.h"

#define RUNS 300
#define ALIAS 0x03000000u /* linear; its own page frame is free */

/* Two pages of code. */
uint8_t page[8192] __attribute__((aligned(4096)));

static int user(const void *code)
{
    return rt_try_user_flags((void (*)(void *))code, 0, IF | 2);
}

/* mov $value, %eax; int $0x90 */
static void write_code(uint8_t *at, uint32_t value)
{
    at[0] = 0xb8;
    memcpy(at + 1, &value, 4);
    memcpy(at + 5, "\xcd\x90", 2);
}

static void test_kernel_writes(void)
{
    uint32_t wrong = 0;

    for (uint32_t i = 0; i < RUNS; i++) {
        write_code(page, i);
        wrong += user(page) != 0x90 || rt_last.eax != i;
    }
    check("kernel-writes", wrong, 0);
}

static void test_alias(void)
{
    uint32_t wrong = 0;

    *pte_of((void *)ALIAS) = (*pte_of(page) & ~0xfffu) | PTE_P | PTE_W | PTE_U;
    invlpg((void *)ALIAS);
    for (uint32_t i = 0; i < RUNS; i++) {
        write_code((uint8_t *)ALIAS, i * 3);
        wrong += user(page) != 0x90 || rt_last.eax != i * 3;
        wrong += user((void *)ALIAS) != 0x90 || rt_last.eax != i * 3;
    }
    check("alias-writes", wrong, 0);
}

/* Calls the code that it has just written: on another page, then on its own. */
CODE(u_write, "movb $0xb8,page\n movb $0xc3,page+5\n movl $300,%ecx\n 1: movl %ecx,page+1\n call page\n cmpl %eax,%ecx\n"
     "jne 2f\n loop 1b\n 2: movl %ecx,%eax\n int $0x90");
CODE(u_self, "movl $300,%ecx\n 1: movl %ecx,3f+1\n jmp 3f\n 3: movl $0,%eax\n cmpl %eax,%ecx\n jne 2f\n loop 1b\n"
     "2: movl %ecx,%eax\n int $0x90");
CODE(u_beside, "movl $20000,%ecx\n 1: incl 3f\n loop 1b\n movl 3f,%eax\n int $0x90\n 3: .long 0\n");

static void test_user_writes(void)
{
    check_trap("user-writes", user(u_write), 0x90, 0);
    check("user-writes-left", rt_last.eax, 0);
    check_trap("self-writes", user(u_self), 0x90, 0);
    check("self-writes-left", rt_last.eax, 0);
    check_trap("data-beside-code", user(u_beside), 0x90, 0);
    check("data-beside-code-value", rt_last.eax, 20000);
}

CODE(u_selectors, "movl %cs,%eax\n movl %ds,%ebx\n movl %ss,%ecx\n movl %es,%edx\n movl %gs,%esi\n pushl %fs\n popl %edi\n"
     "int $0x90");
CODE(u_tables, "subl $16,%esp\n sgdt (%esp)\n movzwl (%esp),%eax\n movl 2(%esp),%ebx\n sidt (%esp)\n movl 2(%esp),%ecx\n"
     "movl $-1,%edx\n sldt %edx\n str %esi\n movl $0x23,%edi\n lsl %edi,%edi\n int $0x90");

static void test_views(void)
{
    uint32_t base;
    uint8_t gdtr[6], idtr[6];

    asm volatile("sgdt %0\n\tsidt %1" : "=m"(gdtr), "=m"(idtr));
    check_trap("selectors", user(u_selectors), 0x90, 0);
    check("selectors-cs", rt_last.eax & 0xffff, SEL_CODE3);
    check("selectors-ds", rt_last.ebx & 0xffff, SEL_DATA3);
    check("selectors-ss", rt_last.ecx & 0xffff, SEL_DATA3);
    check("selectors-es", rt_last.edx & 0xffff, SEL_DATA3);
    check("selectors-gs", rt_last.esi & 0xffff, SEL_DATA3);
    check("selectors-fs", rt_last.edi & 0xffff, SEL_DATA3);
    check_trap("tables", user(u_tables), 0x90, 0);
    memcpy(&base, gdtr + 2, 4);
    check("tables-gdt-limit", rt_last.eax, gdtr[0] | gdtr[1] << 8);
    check("tables-gdt", rt_last.ebx, base);
    memcpy(&base, idtr + 2, 4);
    check("tables-idt", rt_last.ecx, base);
    check("tables-ldt", rt_last.edx & 0xffff, 0);
    check("tables-tr", rt_last.esi & 0xffff, SEL_TSS);
    check("tables-lsl", rt_last.edi, 0xffffffff);
}

/* The guest has no protection keys, and CR4.OSXSAVE is clear. */
CODE(u_wrpkru, "movl $-1,%eax\n xorl %ecx,%ecx\n xorl %edx,%edx\n wrpkru\n int $0x90");
CODE(u_rdpkru, "xorl %ecx,%ecx\n rdpkru\n int $0x90");
CODE(u_xgetbv, "xorl %ecx,%ecx\n xgetbv\n int $0x90");
CODE(u_xsave, "movl $page,%ecx\n movl $-1,%eax\n movl $-1,%edx\n xsave (%ecx)\n int $0x90");
CODE(u_xrstor, "movl $page,%ecx\n movl $-1,%eax\n movl $-1,%edx\n xrstor (%ecx)\n int $0x90");

static void test_hidden(void)
{
    memset(page, 0, sizeof page);
    check_trap("wrpkru", user(u_wrpkru), UD, 0);
    check_trap("rdpkru", user(u_rdpkru), UD, 0);
    check_trap("xgetbv", user(u_xgetbv), UD, 0);
    check_trap("xsave", user(u_xsave), UD, 0);
    check_trap("xrstor", user(u_xrstor), UD, 0);
    check_trap("after-hidden", user(u_selectors), 0x90, 0);
}

/* mov %gs, %eax; int $0x90 at every place around a page's end, behind NOPs. */
static void test_across(void)
{
    uint32_t wrong = 0;

    for (uint32_t at = 4090; at < 4100; at++) {
        memset(page, 0x90, sizeof page);
        memcpy(page + at, "\x8c\xe8\xcd\x90", 4);
        wrong += user(page + at - 70) != 0x90 || (rt_last.eax & 0xffff) != SEL_DATA3;
    }
    check("across-pages", wrong, 0);
}

void test_main(void)
{
    pic_setup(0xff, 0xff);
    paging_on();
    test_views();
    test_kernel_writes();
    test_alias();
    test_user_writes();
    test_across();
    test_hidden();
}
