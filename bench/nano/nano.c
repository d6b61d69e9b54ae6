/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nanobenchmarks of a virtual machine monitor, in the manner of the field's papers: what one system call, one
 * page fault, one CR3 load costs, in ticks of the time-stamp counter. A guest on the runtime of the
 * self-checking ones; it prints "nano NAME TICKS" for each, the smallest of several runs; with "only NAME..." on
 * the command line for these alone.
 *
 * Pages: linear = physical for everybody and global, as a kernel's are, and from FAR on pages at scattered places, so that no two of them make a
 * run. Every handler here is as short as can be: what is measured is the way there and back.
 */
#include "../../tests/guest/rt.h"

#define RUNS (rt_argument("forever") ? ~0u : 7u) /* forever: for whoever looks at the monitor meanwhile */
#define FAR 0x30000000u /* beyond what rt maps */
#define FAR_PAGES 64u
#define FRAMES 0x2000000u

static volatile uint32_t far_table[2][1024] __attribute__((aligned(4096)));
static volatile uint32_t other_directory[1024] __attribute__((aligned(4096)));

static inline uint32_t tsc(void)
{
    uint32_t lo, hi;

    asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return lo;
}

static void put_decimal(uint32_t v)
{
    char s[12];
    unsigned i = sizeof s - 1;

    s[i] = 0;
    do {
        s[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    put(s + i);
}

static void report(const char *name, uint32_t ticks)
{
    put("nano ");
    put(name);
    put(" ");
    put_decimal(ticks);
    put("\n");
}

/* --- in ring 0 --- */

#define KERNEL(name, n, body)                                                                                \
    static uint32_t name(void)                                                                               \
    {                                                                                                        \
        uint32_t t = tsc();                                                                                  \
        for (uint32_t i = 0; i < (n); i++)                                                                   \
            body;                                                                                            \
        return (tsc() - t) / (n);                                                                            \
    }

KERNEL(k_loop, 1000, asm volatile(""))
KERNEL(k_cli_sti, 1000, asm volatile("cli\n\tsti\n\tcli"))
KERNEL(k_pushf_popf, 1000, asm volatile("pushfl\n\tpopfl" : : : "memory", "cc"))
KERNEL(k_out, 300, outb(0x80, 0))
KERNEL(k_load_ds, 300, asm volatile("movl %0, %%ds" : : "r"(SEL_DATA0)))
KERNEL(k_int_iret, 300, asm volatile("int $0x96"))
KERNEL(k_cr3_same, 300, WRITE_CR(3, rt_directory))
KERNEL(k_cr3_other, 150, { WRITE_CR(3, other_directory); WRITE_CR(3, rt_directory); })
KERNEL(k_invlpg, 300, invlpg((void *)FAR))

extern uint32_t k_call(void);
asm("k_call: rdtsc\n movl %eax,%edx\n movl $1000,%ecx\n 1: call 2f\n decl %ecx\n jnz 1b\n jmp 3f\n 2: ret\n"
    "3: pushl %edx\n rdtsc\n popl %edx\n subl %edx,%eax\n movl $1000,%ecx\n xorl %edx,%edx\n divl %ecx\n ret");

/* All, or only what the command line names. */
static bool wanted(const char *name)
{
    return !rt_argument("only") || rt_argument(name);
}

static void best(const char *name, uint32_t (*run)(void))
{
    uint32_t least = ~0u;

    if (!wanted(name))
        return;
    for (unsigned i = 0; i < RUNS; i++) {
        uint32_t t = run();

        least = t < least ? t : least;
    }
    report(name, least);
}

/* --- in ring 3: ticks of all rounds in EAX --- */

#define ROUNDS 200
#define USER(name, body)                                                                                     \
    CODE(name, "movl $200,%ecx\n rdtsc\n movl %eax,%esi\n 1: " body "\n decl %ecx\n jnz 1b\n rdtsc\n subl %esi,%eax\n int $0x90")

USER(u_loop, "nop");
USER(u_syscall, "int $0x80");
USER(u_true_fault, "movl 0x2f000000,%edi"); /* six bytes */
USER(u_divide, "xorl %edx,%edx\n xorl %eax,%eax\n divl %edx");
/* One touch of each far page. */
CODE(u_touch, "movl $64,%ecx\n movl $0x30000000,%edi\n rdtsc\n movl %eax,%esi\n 1: movl (%edi),%edx\n addl $4096,%edi\n decl %ecx\n"
     "jnz 1b\n rdtsc\n subl %esi,%eax\n int $0x90");

extern char h_return[], h_skip6[], h_skip2[];
asm("h_return: iretl\n"
    "h_skip6: addl $4,%esp\n addl $6,(%esp)\n iretl\n"
    "h_skip2: addl $2,(%esp)\n iretl");

static void best_user(const char *name, void (*code)(void *), uint32_t rounds)
{
    uint32_t least = ~0u;

    if (!wanted(name))
        return;
    for (unsigned i = 0; i < RUNS; i++) {
        rt_try_user_flags(code, 0, IF | 2); /* as user code runs; the 8259s are masked */
        least = rt_last.eax / rounds < least ? rt_last.eax / rounds : least;
    }
    report(name, least);
}

/* The far pages exist in two address spaces with different frames, all marked accessed. */
static void far_setup(void)
{
    for (unsigned t = 0; t < 16; t++)
        for (unsigned i = 0; i < 1024; i++)
            rt_tables[t][i] |= PTE_G;
    WRITE_CR(4, READ_CR(4) | CR4_PGE);
    for (unsigned s = 0; s < 2; s++)
        for (unsigned i = 0; i < FAR_PAGES; i++)
            far_table[s][i] = (FRAMES + ((i * 37 % FAR_PAGES) * 2 + s) * 0x1000) | PTE_P | PTE_W | PTE_U | PTE_A | PTE_D;
    for (unsigned i = 0; i < 1024; i++)
        other_directory[i] = rt_directory[i];
    rt_directory[FAR >> 22] = (uint32_t)far_table[0] | PTE_P | PTE_W | PTE_U | PTE_A;
    other_directory[FAR >> 22] = (uint32_t)far_table[1] | PTE_P | PTE_W | PTE_U | PTE_A;
    WRITE_CR(3, rt_directory);
}

/* First touches, after the pages' entries have been taken away and given back. */
static void hidden_faults(void)
{
    uint32_t least = ~0u, base;

    if (!wanted("hidden-fault"))
        return;
    rt_try_user_flags(u_touch, 0, IF | 2);
    rt_try_user_flags(u_touch, 0, IF | 2);
    base = rt_last.eax;
    for (unsigned i = 0; i < RUNS; i++) {
        rt_directory[FAR >> 22] = 0;
        WRITE_CR(3, rt_directory);
        rt_directory[FAR >> 22] = (uint32_t)far_table[0] | PTE_P | PTE_W | PTE_U | PTE_A;
        rt_try_user_flags(u_touch, 0, IF | 2);
        if ((rt_last.eax - base) / FAR_PAGES < least)
            least = (rt_last.eax - base) / FAR_PAGES;
    }
    report("hidden-fault", least);
}

/* Both spaces have all far pages live. */
static void address_spaces(void)
{
    if (!wanted("cr3-load"))
        return;
    rt_try_user_flags(u_touch, 0, IF | 2);
    WRITE_CR(3, other_directory);
    rt_try_user_flags(u_touch, 0, IF | 2);
    WRITE_CR(3, rt_directory);
    best("cr3-load-same", k_cr3_same);
    best("cr3-load-two-spaces", k_cr3_other);
}

void test_main(void)
{
    pic_setup(0xff, 0xff);
    idt_set(0x80, SEL_CODE0, h_return, A_INT_GATE | A_DPL3);
    idt_set(0x96, SEL_CODE0, h_return, A_INT_GATE | A_DPL3);
    idt_set(DE, SEL_CODE0, h_skip2, A_INT_GATE);
    best("loop", k_loop);
    best("call-ret", k_call);
    best("cli-sti-cli", k_cli_sti);
    best("pushf-popf", k_pushf_popf);
    best("out-port-80", k_out);
    best("load-ds", k_load_ds);
    best("int-iret-ring-0", k_int_iret);
    paging_on();
    far_setup();
    best("invlpg", k_invlpg);
    best_user("user-loop", u_loop, ROUNDS);
    best_user("system-call", u_syscall, ROUNDS);
    best_user("divide-error", u_divide, ROUNDS);
    hidden_faults();
    idt_set(PF, SEL_CODE0, h_skip6, A_INT_GATE);
    best_user("true-fault", u_true_fault, ROUNDS);
    address_spaces();
    check("nano", 1, 1);
}
