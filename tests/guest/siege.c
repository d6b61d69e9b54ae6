/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A siege from user mode, under paging and with interrupts on, so that it may run directly: all selectors that are
 * not the guest's in every instruction that takes one, a local descriptor table with entries that would mean something else to
 * a 64-bit CPU, all software interrupts, POPF and IRET with all flags, ports; and page tables that put guest pages, or
 * the tables themselves, where a monitor may live.  Each attack is counted when it does not end as the manual says.
 */
#include "rt.h"

#define RPL3 3u
#define LAR_UNDEFINED 0x000f0000u
#define TOP 0xffc00000u
#define FREE_FRAME 0x03000000u /* linear = physical until a test maps it elsewhere */

static uint32_t argument[4];
static uint8_t code_page[4096] __attribute__((aligned(4096)));
static volatile uint32_t top_table[1024] __attribute__((aligned(4096)));
static uint64_t ldt[16] __attribute__((aligned(8)));

static int user(void (*code)(void *))
{
    return rt_try_user_flags(code, argument, IF | 2);
}

static bool skipped(const char *name, bool user_code)
{
    if (rt_limits_checked(user_code))
        return false;
    skip(name, "(TCG checks no segment limits)");
    return true;
}

/* --- selectors --- */

CODE(s_ds, "movl 4(%esp),%eax\n movl (%eax),%eax\n movl %eax,%ds\n int $0x90");
CODE(s_es, "movl 4(%esp),%eax\n movl (%eax),%eax\n movl %eax,%es\n int $0x90");
CODE(s_fs, "movl 4(%esp),%eax\n movl (%eax),%eax\n movl %eax,%fs\n int $0x90");
CODE(s_gs, "movl 4(%esp),%eax\n pushl (%eax)\n popl %gs\n int $0x90");
CODE(s_ss, "movl 4(%esp),%eax\n movl (%eax),%eax\n movl %eax,%ss\n int $0x90");
CODE(s_jmp, "movl 4(%esp),%eax\n pushl (%eax)\n pushl $1f\n ljmp *(%esp)\n 1: int $0x91");
CODE(s_call, "movl 4(%esp),%eax\n pushl (%eax)\n pushl $1f\n lcall *(%esp)\n 1: int $0x91");
CODE(s_ret, "movl 4(%esp),%eax\n pushl (%eax)\n pushl $1f\n lret\n 1: int $0x91");
CODE(s_iret, "movl 4(%esp),%eax\n pushfl\n pushl (%eax)\n pushl $1f\n iretl\n 1: int $0x91");

static void test_selectors(void)
{
    static void (*const loads[])(void *) = { s_ds, s_es, s_fs, s_gs, s_ss, s_jmp, s_call, s_ret, s_iret };
    uint32_t wrong = 0, first = 0;

    for (unsigned i = 0; i < sizeof loads / sizeof loads[0]; i++)
        for (uint32_t sel = 0xf00; sel < 0x1008; sel++) {
            argument[0] = sel;
            if (user(loads[i]) != GP || rt_last.error != (sel & ~3u)) {
                first = wrong++ ? first : sel | i << 16;
            }
        }
    check("selectors-nobodys", first, 0);
    check("selectors-nobodys-count", wrong, 0);
}

/* On a page of its own: once the local table is there, code with these instructions may have to be translated, and the rest must not. */
asm(".text\n.balign 4096");
CODE(s_look, "movl 4(%esp),%ecx\n movl (%ecx),%esi\n movl 4(%ecx),%edi\n xorl %ebx,%ebx\n"
     "1: lar %si,%eax\n jz 2f\n lsl %si,%eax\n jz 2f\n verr %si\n jz 2f\n verw %si\n jz 2f\n"
     "addl $4,%esi\n cmpl %edi,%esi\n jb 1b\n xorl %esi,%esi\n 2: movl %esi,%eax\n int $0x90");

CODE(s_lar, "movl 4(%esp),%ecx\n movl (%ecx),%ecx\n movl $0x12345,%eax\n lar %ecx,%eax\n int $0x90");
CODE(s_lsl, "movl 4(%esp),%ecx\n movl (%ecx),%ecx\n movl $0x12345,%eax\n lsl %ecx,%eax\n int $0x90");
asm(".text\n.balign 4096");

static void test_looks(void)
{
    argument[0] = 8 * GDT_ENTRIES; /* all behind the GDT's end, and all of a local table that is not there */
    argument[1] = 0x10000;
    check_trap("looks-nobodys", user(s_look), 0x90, 0);
    check("looks-nobodys-found", rt_last.eax, 0);
}

static void look(const char *name, uint32_t selector, uint32_t rights, uint32_t limit)
{
    argument[0] = selector;
    user(s_lar);
    check(name, rt_last.eax & ~LAR_UNDEFINED, rights);
    user(s_lsl);
    check(name, rt_last.eax, limit);
}

/* --- a local descriptor table --- */

static void ldt_entry(unsigned i, uint32_t base, uint32_t limit, uint32_t access, uint32_t flags)
{
    gdt_set(SLOT(1), base, limit, access, flags);
    ldt[i] = rt_gdt[SLOT(1) / 8];
    rt_gdt[SLOT(1) / 8] = 0;
}

/* To 64-bit code 0x48 would be a prefix; here it is DEC EAX. */
CODE(l_jmp, "movl 4(%esp),%ecx\n movl $5,%eax\n pushl (%ecx)\n pushl $1f\n ljmp *(%esp)\n 1: .byte 0x48\n nop\n int $0x90");
CODE(l_gate, "movl 4(%esp),%ecx\n pushl (%ecx)\n pushl $0\n lcall *(%esp)\n int $0x91");
CODE(l_gate_target, "int $0x92");
CODE(l_top, "movl 4(%esp),%ecx\n movl (%ecx),%eax\n movl %eax,%es\n movl 4(%ecx),%edx\n movl %es:(%edx),%eax\n int $0x90");

static void test_ldt_top(void)
{
    static const char *const names[] = { "ldt-top", "ldt-top-cr2", "ldt-end", "ldt-end-cr2" };
    bool skip_all = false;

    for (unsigned i = 0; i < 4; i++)
        skip_all |= skipped(names[i], true);
    if (skip_all)
        return;
    argument[0] = 8 * 3 | 4 | RPL3;
    argument[1] = 0x1000;
    check_trap("ldt-top", user(l_top), PF, 4);
    check("ldt-top-cr2", rt_last_cr2, TOP + 0x1000);
    argument[0] = 8 * 2 | 4 | RPL3;
    argument[1] = 0xfffffffc;
    check_trap("ldt-end", user(l_top), PF, 4);
    check("ldt-end-cr2", rt_last_cr2, 0xfffffffc);
}

static void test_ldt(void)
{
    memset(ldt, 0, sizeof ldt);
    ldt_entry(1, 0, 0xfffff, A_CODE | A_DPL3 | 1, F_PAGES | 2); /* the L bit means nothing here */
    ldt_entry(2, 0, 0xfffff, A_DATA | A_DPL3 | 1, F_PAGES);
    ldt_entry(3, TOP, 0x3ff, A_DATA | A_DPL3 | 1, F_PAGES);
    gdt_gate(SLOT(1), SEL_CODE0, l_gate_target, A_CALL_GATE | A_DPL3, 0);
    ldt[4] = rt_gdt[SLOT(1) / 8];
    rt_gdt[SLOT(1) / 8] = 0;
    ldt_entry(5, 0, 0xfffff, A_CODE | 1, F_PAGES | 2);
    gdt_set(SLOT(0), (uint32_t)ldt, sizeof ldt - 1, A_LDT, F_BYTES16);
    asm volatile("lldt %w0" : : "r"(SLOT(0)));

    argument[0] = 8 * 1 | 4 | RPL3;
    check_trap("ldt-long-code", user(l_jmp), 0x90, 0);
    check("ldt-long-code-is-32-bit", rt_last.eax, 4);
    argument[0] = 8 * 5 | 4 | RPL3;
    check_trap("ldt-long-code-ring-0", user(l_jmp), GP, 8 * 5 | 4);
    argument[0] = 8 * 4 | 4 | RPL3;
    check_trap("ldt-call-gate", user(l_gate), 0x92, 0);
    check("ldt-call-gate-cs", rt_last.cs, SEL_CODE0);
    look("ldt-looks-data", 8 * 2 | 4 | RPL3, 0x00c0f300, 0xffffffff);
    look("ldt-looks-ring-0", 8 * 5 | 4 | RPL3, 0x12345 & ~LAR_UNDEFINED, 0x12345);
    test_ldt_top();
    asm volatile("lldt %w0" : : "r"(0));
    gdt_set(SLOT(0), 0, 0, 0, 0);
}
/* --- software interrupts, flags --- */

static void test_interrupts(void)
{
    uint32_t wrong = 0;

    for (uint32_t n = 0; n < 256; n++) {
        bool gate3 = n == BP || n == OF || n >= 0x80;

        memcpy(code_page, "\xcd\x00\xeb\xfe", 4);
        code_page[1] = (uint8_t)n;
        if (n == VEC_USER_RETURN)
            continue;
        if (user((void (*)(void *))code_page) != (gate3 ? (int)n : GP) || (!gate3 && rt_last.error != n * 8 + 2) ||
            rt_last.eip != (uint32_t)code_page + (gate3 ? 2 : 0))
            wrong++;
    }
    check("interrupts", wrong, 0);
}

CODE(f_popf, "movl 4(%esp),%eax\n pushl (%eax)\n popfl\n nop\n int $0x90");
CODE(f_iret, "movl 4(%esp),%eax\n pushl (%eax)\n pushl 4(%eax)\n pushl $1f\n iretl\n 1: int $0x90");

/* Everything but TF: IF, IOPL and VM don't change, whatever is asked. */
static void test_flags(void)
{
    static const uint32_t bits[] = { IF, IOPL3, NT, ACFLAG, 1u << 21, DFLAG, CF | ZF | SF, VM, RF, 0xffc08028 };
    const uint32_t change = CF | 4 | 0x10 | ZF | SF | DFLAG | 0x800 | NT | ACFLAG | 1u << 21;
    uint32_t wrong = 0;

    for (uint32_t set = 0; set < 1u << 10; set++) {
        uint32_t asked = 2;

        for (unsigned i = 0; i < 10; i++)
            if (set >> i & 1)
                asked |= bits[i];
        argument[0] = asked;
        wrong += user(f_popf) != 0x90 || rt_last.eflags != ((asked & change) | IF | 2);
        argument[1] = SEL_CODE3;
        argument[0] = asked & ~(RF | (rt_over_tcg ? VM : 0u)); /* TCG enters virtual-8086 mode from ring 3 */
        wrong += user(f_iret) != 0x90 || rt_last.eflags != ((asked & change) | IF | 2);
    }
    check("flags", wrong, 0);
    memcpy(code_page, "\x68\x02\x01\x00\x00\x9d\x90\xcd\x90", 9); /* push $TF | 2; popf; nop; int $0x90 */
    check_trap("flags-tf", user((void (*)(void *))code_page), DB, 0);
    check("flags-tf-eip", rt_last.eip, (uint32_t)code_page + 7);
    check("flags-tf-dr6", READ_DR(6) & 0xe00f, 0x4000);
    WRITE_DR(6, 0xffff0ff0);
    memcpy(code_page, "\xf1\xcd\x90", 3);
    check_trap_cpu("icebp", user((void (*)(void *))code_page), DB, 0);
    check_cpu("icebp-eip", rt_last.eip, (uint32_t)code_page + 1);
    check("icebp-dr6", READ_DR(6) & 0xe00f, 0);
    argument[1] = SEL_CODE0;
    check_trap("iret-ring-0", user(f_iret), GP, SEL_CODE0 & ~3u);
    argument[1] = 0;
    check_trap("iret-null", user(f_iret), GP, 0);
}

/* --- ports --- */

CODE(p_in, "movl 4(%esp),%edx\n movl (%edx),%edx\n inb %dx,%al\n int $0x90");
CODE(p_out, "movl 4(%esp),%edx\n movl (%edx),%edx\n outl %eax,%dx\n int $0x90");
CODE(p_ins, "movl 4(%esp),%edx\n movl (%edx),%edx\n leal -64(%esp),%edi\n insb\n int $0x90");
CODE(p_cli, "cli\n int $0x90");
CODE(p_hlt, "hlt\n int $0x90");
CODE(p_cr, "movl %cr3,%eax\n int $0x90");
CODE(p_wrmsr, "xorl %eax,%eax\n xorl %edx,%edx\n movl $0xc0000080,%ecx\n wrmsr\n int $0x90");
CODE(p_lgdt, "lgdt (%esp)\n int $0x90");
CODE(p_invd, "invd\n int $0x90");

static void test_privileged(void)
{
    static void (*const ports[])(void *) = { p_in, p_out, p_ins };
    static void (*const others[])(void *) = { p_cli, p_hlt, p_cr, p_wrmsr, p_lgdt, p_invd };
    uint32_t wrong = 0;

    for (unsigned i = 0; i < 3; i++)
        for (uint32_t port = 0; port < 0x10000; port += port < 0x100 ? 1 : 0x101) {
            argument[0] = port;
            wrong += user(ports[i]) != GP || rt_last.error;
        }
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++)
        wrong += user(others[i]) != GP || rt_last.error;
    check("privileged", wrong, 0);
}

/* --- pages --- */

CODE(m_read, "movl 4(%esp),%eax\n movl (%eax),%edx\n movl (%edx),%eax\n int $0x90");
CODE(m_write, "movl 4(%esp),%eax\n movl (%eax),%edx\n movl 4(%eax),%eax\n movl %eax,(%edx)\n int $0x90");

/* Nothing is mapped in the top 4 MiB: reads and writes fault there as anywhere. */
static void test_top_absent(void)
{
    uint32_t wrong = 0;

    if (skipped("top-absent", true))
        return;
    for (uint32_t page = 0; page < 1024; page++) {
        argument[0] = TOP + page * 4096;
        wrong += user(m_read) != PF || rt_last.error != 4 || rt_last_cr2 != argument[0];
        wrong += user(m_write) != PF || rt_last.error != 6 || rt_last_cr2 != argument[0];
    }
    check("top-absent", wrong, 0);
}

/* Pages of ours there: user and supervisor ones in turn, all the same frame. */
static void test_top_mapped(void)
{
    volatile uint32_t *frame = (volatile uint32_t *)FREE_FRAME;
    uint32_t wrong = 0;

    if (skipped("top-mapped", true))
        return;
    for (uint32_t page = 0; page < 1024; page++)
        top_table[page] = FREE_FRAME | PTE_P | PTE_W | (page & 1 ? PTE_U : 0);
    rt_directory[1023] = (uint32_t)top_table | PTE_P | PTE_W | PTE_U;
    WRITE_CR(3, rt_directory);
    for (uint32_t page = 0; page < 1024; page++) {
        bool mine = page & 1;

        argument[0] = TOP + page * 4096 + 8;
        argument[1] = page * 0x01010101;
        frame[2] = ~page;
        wrong += user(m_read) != (mine ? 0x90 : PF) || (mine ? rt_last.eax != ~page : rt_last.error != 5);
        wrong += user(m_write) != (mine ? 0x90 : PF) || frame[2] != (mine ? argument[1] : ~page);
        if (!rt_limits_checked(false))
            continue;
        *(volatile uint32_t *)argument[0] = page; /* as the kernel */
        wrong += frame[2] != page;
    }
    check("top-mapped", wrong, 0);
}

/* The directory as its own table: page tables appear at TOP, the directory in the last page. */
static void test_recursive(void)
{
    volatile uint32_t *tables = (volatile uint32_t *)TOP;
    const uint32_t at = FREE_FRAME >> 12;
    volatile uint32_t *frame = (volatile uint32_t *)FREE_FRAME;
    uint32_t wrong = 0;

    if (skipped("recursive", false))
        return;
    rt_directory[1023] = (uint32_t)rt_directory | PTE_P | PTE_W;
    WRITE_CR(3, rt_directory);
    for (uint32_t i = 0; i < 16; i++)
        wrong += ((tables[0xffc00 + i] ^ rt_directory[i]) & ~0x60u) != 0;
    argument[0] = (uint32_t)&tables[0xffc00];
    wrong += user(m_read) != PF || rt_last.error != 5;
    for (uint32_t i = 0; i < 200; i++) { /* another frame, through the tables themselves */
        *(volatile uint32_t *)(0x02800000 + (i & 7) * 4096) = i;
        tables[at] = (0x02800000 + (i & 7) * 4096) | PTE_P | PTE_W | PTE_U;
        invlpg(frame);
        argument[0] = FREE_FRAME;
        wrong += user(m_read) != 0x90 || rt_last.eax != i;
        wrong += *frame != i;
    }
    tables[at] = FREE_FRAME | PTE_P | PTE_W | PTE_U;
    invlpg(frame);
    rt_directory[1023] = 0;
    WRITE_CR(3, rt_directory);
    check("recursive", wrong, 0);
}

/* Changed entries without INVLPG: the old frame or the new one, never another; afterwards the new one. */
static void test_stale(void)
{
    volatile uint32_t *pte = pte_of((void *)FREE_FRAME);
    uint32_t wrong = 0;

    if (rt_argument("lock-step")) { /* interpreter and translation may each be right, and differ */
        skip("stale", "(in lock-step)");
        return;
    }
    for (uint32_t i = 0; i < 8; i++)
        *(volatile uint32_t *)(0x02800000 + i * 4096) = i;
    *pte = 0x02800000 | PTE_P | PTE_W | PTE_U;
    invlpg((void *)FREE_FRAME);
    argument[0] = FREE_FRAME;
    for (uint32_t i = 1; i < 400; i++) {
        *pte = (0x02800000 + (i & 7) * 4096) | PTE_P | PTE_W | PTE_U;
        wrong += user(m_read) != 0x90 || (rt_last.eax != (i & 7) && rt_last.eax != ((i - 1) & 7));
        invlpg((void *)FREE_FRAME);
        wrong += user(m_read) != 0x90 || rt_last.eax != (i & 7);
    }
    *pte = FREE_FRAME | PTE_P | PTE_W | PTE_U;
    invlpg((void *)FREE_FRAME);
    check("stale", wrong, 0);
}

/* The last page of RAM (128 MiB), the ones behind it, and the last of all: what is not RAM forgets what is written. */
static void test_edges(void)
{
    static const uint32_t frames[] = { 0x07fff000, 0x08000000, 0x08001000, 0xfffff000, 0xffbff000, 0xffc00000, 0xfff00000 };
    volatile uint32_t *pte = pte_of((void *)FREE_FRAME);
    uint32_t wrong = 0;

    for (unsigned i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        *pte = frames[i] | PTE_P | PTE_W | PTE_U;
        invlpg((void *)FREE_FRAME);
        argument[0] = FREE_FRAME + 0xffc;
        argument[1] = 0x13570000 + i;
        wrong += user(m_write) != 0x90;
        wrong += user(m_read) != 0x90 || (i == 0) != (rt_last.eax == argument[1]);
    }
    *pte = FREE_FRAME | PTE_P | PTE_W | PTE_U;
    invlpg((void *)FREE_FRAME);
    check("edges", wrong, 0);
}

void test_main(void)
{
    paging_on();
    test_selectors();
    test_looks();
    test_ldt();
    test_interrupts();
    test_flags();
    test_privileged();
    test_top_absent();
    test_top_mapped();
    test_recursive();
    test_stale();
    test_edges();
}
