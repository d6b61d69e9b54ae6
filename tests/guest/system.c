/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions that the translator calls out for by name: IN and OUT in all forms, MOV with control registers, INVLPG;
 * that each does what it is to do and nothing else, from ring 0 and ring 3, and that the code behind it is the
 * code that is there then.
 */
#include "rt.h"

#define SCRATCH 0x3ff /* of COM1: a byte of memory; the modem status register is below it */
#define NOTHING "0xea00" /* where no device is */
#define MARK 0x5a5a5a5au

/* --- ports --- */

CODE(in_dx8, "movl $0x3ff,%edx\n movl $0x12345678,%eax\n stc\n inb %dx,%al\n adcl $0,%edx");
CODE(in_dx16, "movl $" NOTHING ",%edx\n movl $0x12345678,%eax\n inw %dx,%ax");
CODE(in_dx32, "movl $" NOTHING ",%edx\n movl $0x12345678,%eax\n inl %dx,%eax");
CODE(in_imm8, "movl $0x12345678,%eax\n movl $0x3ff,%edx\n inb $0x21,%al");
CODE(in_imm16, "movl $0x12345678,%eax\n inw $0xf8,%ax");
CODE(in_imm32, "movl $0x12345678,%eax\n inl $0xf8,%eax");
CODE(out_dx8, "movl $0x7fff03ff,%edx\n movl $0xaabbcc3c,%eax\n outb %al,%dx\n movb $0,%al\n inb %dx,%al");
CODE(out_imm8, "movl $0xaabbccfb,%eax\n outb %al,$0x21\n xorl %eax,%eax\n inb $0x21,%al\n movl $0xff,%edx\n xchgl %eax,%edx\n outb %al,$0x21\n movl %edx,%eax");
CODE(out_wide, "movl $" NOTHING ",%edx\n movl $0xaabbccdd,%eax\n outw %ax,%dx\n outl %eax,%dx\n outw %ax,$0xf8\n outl %eax,$0xf8");
/* As often as there are places in a translation unit, with all that can be wrong about the flags. */
CODE(out_many, "movl $0x3ff,%edx\n movl $0xffffff80,%eax\n addl $0x80,%eax\n outb %al,%dx\n outb %al,%dx\n outb %al,%dx\n outb %al,%dx\n"
     "outb %al,%dx\n outb %al,%dx\n outb %al,%dx\n outb %al,%dx\n outb %al,%dx\n outb %al,%dx\n outb %al,%dx\n outb %al,%dx\n"
     "pushfl\n popl %eax\n andl $0x8d5,%eax");
/* POST codes, each way to write one after another. Not all machines can read them; those that can do so each way. */
CODE(post_imm, "movl $0x33,%eax\n movl $0x80,%edx\n outb %al,%dx\n movb $0x5a,%al\n stc\n outb %al,$0x80\n inb $0x80,%al\n adcl $0,%edx\n shll $8,%edx\n orl %edx,%eax");
CODE(post_dx, "movl $0x33,%eax\n movl $0x80,%edx\n outb %al,$0x80\n movb $0x5a,%al\n outb %al,%dx\n inb %dx,%al\n incl %edx\n shll $8,%edx\n orl %edx,%eax");
CODE(post_wide, "movl $0x33,%eax\n movl $0x7f,%edx\n outb %al,$0x80\n movl $0x5a00,%eax\n outw %ax,%dx\n xorl %eax,%eax\n inb $0x80,%al\n addl $2,%edx\n shll $8,%edx\n orl %edx,%eax");
CODE(sti_out, "movl $0x3ff,%edx\n sti\n outb %al,%dx\n cli");

static void test_ports(void)
{
    uint32_t by_imm;

    outb(SCRATCH, 0xc3);
    check_trap("in-dx-8", rt_try(in_dx8, 0), NO_TRAP, 0);
    check("in-dx-8", rt_result, 0x123456c3);
    rt_try(in_dx16, 0);
    check("in-dx-16", rt_result, 0x1234ffff);
    rt_try(in_dx32, 0);
    check("in-dx-32", rt_result, 0xffffffff);
    rt_try(in_imm8, 0);
    check("in-imm-8", rt_result, 0x123456ff);
    rt_try(in_imm16, 0);
    check("in-imm-16", rt_result, 0x1234ffff);
    rt_try(in_imm32, 0);
    check("in-imm-32", rt_result, 0xffffffff);
    rt_try(out_dx8, 0);
    check("out-dx-8", rt_result, 0xaabbcc3c);
    rt_try(out_imm8, 0);
    check("out-imm-8", rt_result, 0xfb);
    check("out-imm-8-back", inb(0x21), 0xff);
    check_trap("out-wide", rt_try(out_wide, 0), NO_TRAP, 0);
    check("out-wide", rt_result, 0xaabbccdd);
    rt_try(out_many, 0);
    check("out-many-flags", rt_result, 0x45);
    rt_try(post_imm, 0);
    by_imm = rt_result;
    rt_try(post_dx, 0);
    check("post-dx", rt_result, by_imm);
    rt_try(post_wide, 0);
    check("post-wide", rt_result, by_imm);
    check_trap("sti-out", rt_try(sti_out, 0), NO_TRAP, 0);
}

/* --- ring 3 --- */

CODE(u_in_imm, "movl $0x12345678,%eax\n inb $0x80,%al\n int $0x90");
CODE(u_out_imm, "movl $0x12345678,%eax\n outl %eax,$0x80\n int $0x90");
CODE(u_in_dx, "movl $0x3ff,%edx\n movl $0x12345678,%eax\n inb %dx,%al\n int $0x90");
CODE(u_in_edge, "movl $0xffff,%edx\n movl $0x12345678,%eax\n inw %dx,%ax\n int $0x90");
CODE(u_get_cr3, "movl $0x5a5a5a5a,%ebx\n movl %cr3,%ebx\n int $0x90");
CODE(u_get_cr2, "movl $0x5a5a5a5a,%ebx\n movl %cr2,%ebx\n int $0x90");
CODE(u_set_cr3, "xorl %ebx,%ebx\n movl %ebx,%cr3\n int $0x90");
CODE(u_set_cr2, "xorl %ebx,%ebx\n movl %ebx,%cr2\n int $0x90");
CODE(u_invlpg, "invlpg (%esp)\n int $0x90");

/* Refused by a fault of the instruction itself, with nothing changed. */
static void refused(const char *name, void (*code)(void *), uint32_t at)
{
    uint32_t cr2 = READ_CR(2), cr3 = READ_CR(3);

    check_trap(name, rt_try_user(code, 0), GP, 0);
    check(name, rt_last.eip - (uint32_t)code, at);
    check(name, READ_CR(2), cr2);
    check(name, READ_CR(3), cr3);
}

static void test_user(void)
{
    refused("user-in-imm", u_in_imm, 5);
    check("user-in-imm-eax", rt_last.eax, 0x12345678);
    refused("user-out-imm", u_out_imm, 5);
    refused("user-in-dx", u_in_dx, 10);
    check("user-in-dx-eax", rt_last.eax, 0x12345678);
    rt_tss.io_map[SCRATCH / 8] &= 0x7f;
    check_trap("user-in-allowed", rt_try_user(u_in_dx, 0), 0x90, 0);
    check("user-in-allowed-eax", rt_last.eax & 0xffffff00, 0x12345600);
    rt_tss.io_map[SCRATCH / 8] = 0xff;
    refused("user-in-edge", u_in_edge, 10); /* the map's last byte is all ones */
    refused("user-get-cr3", u_get_cr3, 5);
    check("user-get-cr3-ebx", rt_last.ebx, MARK);
    refused("user-get-cr2", u_get_cr2, 5);
    refused("user-set-cr3", u_set_cr3, 2);
    refused("user-set-cr2", u_set_cr2, 2);
    refused("user-invlpg", u_invlpg, 0);
}

/* --- control registers --- */

CODE(cr2_both, "movl $0xdeadbeef,%eax\n movl %eax,%cr2\n movl $0,%ecx\n movl %cr2,%ecx\n leal 1(%ecx),%eax");
CODE(cr_reads, "movl %cr0,%eax\n movl %cr3,%ecx\n movl %cr4,%edx\n xorl %ecx,%eax\n xorl %edx,%eax");

static volatile uint32_t other_directory[1024] __attribute__((aligned(4096)));
static volatile uint32_t other_table[1024] __attribute__((aligned(4096)));
static uint8_t page_a[4096] __attribute__((aligned(4096))), page_b[4096] __attribute__((aligned(4096)));

/* The load and what it makes visible, in one translation unit. */
CODE(load_and_look, "movl 4(%esp),%edx\n movl %cr3,%ecx\n movl (%edx),%eax\n shll $8,%eax\n movl $other_cr3,%edx\n movl (%edx),%edx\n"
     "movl %edx,%cr3\n movl 4(%esp),%edx\n orl (%edx),%eax\n movl %ecx,%cr3\n shll $8,%eax\n orl (%edx),%eax");
uint32_t other_cr3;

static void test_cr3(void)
{
    uint32_t good = 0;

    rt_try(cr2_both, 0);
    check("cr2", rt_result, 0xdeadbef0);
    rt_try(cr_reads, 0);
    check("cr-reads", rt_result, READ_CR(0) ^ READ_CR(3) ^ READ_CR(4));
    *(uint32_t *)page_a = 0x11;
    *(uint32_t *)page_b = 0x22;
    for (unsigned i = 0; i < 200; i++) {
        rt_try(load_and_look, page_a);
        good += rt_result == 0x112211;
    }
    check("cr3-look", good, 200);
    /* The other space's table changes while it is away. */
    for (unsigned i = 0; i < 50; i++) {
        other_table[(uint32_t)page_a >> 12 & 0x3ff] ^= (uint32_t)page_a ^ (uint32_t)page_b;
        rt_try(load_and_look, page_a);
        good += rt_result == (i & 1 ? 0x112211 : 0x111111);
    }
    check("cr3-look-changed", good, 250);
}

/* A page of code: load CR3 from EDX, or INVLPG of the page itself; then put a number into EAX. */
static void code_page(uint8_t *page, uint32_t number, bool by_invlpg)
{
    static const uint8_t load[] = { 0x0f, 0x22, 0xda }, inv[] = { 0x0f, 0x01, 0x39 } /* (%ecx) */;

    memcpy(page, by_invlpg ? inv : load, 3);
    page[3] = 0xb8; /* movl $number, %eax */
    memcpy(page + 4, &number, 4);
    page[8] = 0xc3;
}

CODE(run_page, "movl 4(%esp),%ecx\n movl other_cr3,%edx\n call *%ecx\n movl back_cr3,%edx\n movl %edx,%cr3");
CODE(run_remapped, "pushl %ebx\n movl 8(%esp),%ecx\n movl pte_at,%ebx\n movl (%ebx),%edx\n xorl pte_flip,%edx\n movl %edx,(%ebx)\n"
     "call *%ecx\n popl %ebx");
uint32_t back_cr3, *pte_at, pte_flip;

/* The code behind the instruction is that of the new mapping. */
static void test_code_moves(void)
{
    uint32_t good = 0;

    back_cr3 = READ_CR(3);
    for (unsigned i = 0; i < 20; i++) {
        code_page(page_a, 1000 + i, false);
        code_page(page_b, 2000 + i, false);
        check_trap("code-moves", rt_try(run_page, page_a), NO_TRAP, 0);
        good += rt_result == 2000 + i;
    }
    check("code-moves-by-cr3", good, 20);
    code_page(page_a, 3000, true);
    code_page(page_b, 4000, true);
    pte_at = (uint32_t *)pte_of(page_a);
    pte_flip = (uint32_t)page_a ^ (uint32_t)page_b;
    invlpg(page_a);
    for (unsigned i = 0; i < 20; i++) {
        rt_try(run_remapped, page_a);
        good += rt_result == (i & 1 ? 3000u : 4000u);
    }
    check("code-moves-by-invlpg", good, 40);
}

/* --- INVLPG --- */

/* The argument is the page: seen, mapped elsewhere, invalidated with CF set, and what it shows then, if CF still is. */
#define FORM(address) "pushl %ebx\n pushl %ebp\n movl 12(%esp),%ebx\n movl (%ebx),%eax\n movl pte_at,%eax\n movl pte_flip,%edx\n" \
    "xorl %edx,(%eax)\n movl %ebx,%ebp\n movl $0x1000,%edx\n movl $0x400,%ecx\n stc\n invlpg " address "\n sbbl %eax,%eax\n" \
    "subl $0x400,%ecx\n subl %ecx,%eax\n andl (%ebx),%eax\n popl %ebp\n popl %ebx"
CODE(inv_reg, FORM("(%ebx)"));
CODE(inv_disp8, FORM("17(%ebx)"));
CODE(inv_ebp, FORM("4(%ebp)"));
CODE(inv_index, FORM("-0x1000(%ebx,%edx)"));
CODE(inv_ecx, FORM("-0x1000(%ebx,%ecx,4)"));
CODE(inv_prefix, FORM("%es:(%ebx)"));
CODE(inv_addr16, "pushl %ebx\n movl $0x12340003,%ebx\n addr16 invlpg (%bx)\n movl $0x5a5a5a5a,%eax\n popl %ebx");

/* Each time the page is the other one. */
static void form(const char *name, void (*code)(void *))
{
    uint32_t good = 0;

    for (unsigned i = 0; i < 6; i++) {
        rt_try(code, page_a);
        good += rt_result == (*pte_at >> 12 == (uint32_t)page_a >> 12 ? 0x11u : 0x22u);
    }
    check(name, good, 6);
}

static void test_invlpg(void)
{
    pte_at = (uint32_t *)pte_of(page_a);
    *(uint32_t *)page_b = 0x22;
    *pte_at = (uint32_t)page_a | PTE_P | PTE_W | PTE_U;
    invlpg(page_a);
    *(uint32_t *)page_a = 0x11;
    form("invlpg-register", inv_reg);
    form("invlpg-disp8", inv_disp8);
    form("invlpg-ebp", inv_ebp);
    form("invlpg-prefix", inv_prefix);
    form("invlpg-index", inv_index);
    form("invlpg-ecx", inv_ecx);
    check_trap("invlpg-16-bit", rt_try(inv_addr16, 0), NO_TRAP, 0);
    check("invlpg-16-bit", rt_result, MARK);
}

void test_main(void)
{
    pic_setup(0xff, 0xff);
    test_ports();
    paging_on();
    test_user();
    for (unsigned i = 0; i < 1024; i++)
        other_directory[i] = rt_directory[i];
    for (unsigned i = 0; i < 1024; i++)
        other_table[i] = rt_tables[(uint32_t)page_a >> 22][i];
    other_table[(uint32_t)page_a >> 12 & 0x3ff] = (uint32_t)page_b | PTE_P | PTE_W | PTE_U;
    other_directory[(uint32_t)page_a >> 22] = (uint32_t)other_table | PTE_P | PTE_W | PTE_U;
    other_cr3 = (uint32_t)other_directory;
    test_cr3();
    test_code_moves();
    test_invlpg();
}
