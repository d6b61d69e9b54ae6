/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest pages where a host may have none: at 0 and below what it lets a process map, and in the top 4 MiB, where a
 * monitor may live. Data, code, stacks and descriptor tables there, of kernel and user code, with the faults, accessed
 * and dirty bits of any other page; accesses and code that cross from one such region into the next; and around
 * 4 GiB, as far as that is defined (SDM volume 1, 3.3.1; volume 3, 5.3).
 *
 * Each check counts in bits what went wrong: bit n is the nth try of its function.
 */
#include "rt.h"

#define TOP 0xff800000u                 /* what top_tables maps */
#define WINDOW 0xffc00000u
#define FRAME 0x03000000u               /* two frames for what is under test, at their own linear addresses too */
#define FRAME2 0x03001000u
#define ALL (PTE_P | PTE_W | PTE_U)

static volatile uint32_t top_tables[2][1024] __attribute__((aligned(4096)));
static uint8_t buffer[64];
static uint32_t argument[4], value;
static uint32_t wrong, tries;
static bool limits_checked[2];          /* by ring: kernel, user */

static void expect(bool good)
{
    wrong |= (uint32_t)!good << tries++;
}

/* Ends a check; one that has tried nothing had no limits to rely on. */
static void report(const char *place, const char *what, bool user)
{
    char name[64];
    char *p = name;
    const char *parts[] = { place, "-", what, user ? "-user" : "" };

    for (unsigned i = 0; i < 4; i++)
        for (const char *s = parts[i]; *s; s++)
            *p++ = *s;
    *p = 0;
    if (tries)
        check(name, wrong, 0);
    else
        skip(name, "(TCG checks no segment limits)");
    wrong = tries = 0;
}

static volatile uint32_t *entry(uint32_t gla)
{
    return gla >= TOP ? &top_tables[gla >> 22 & 1][gla >> 12 & 1023] : pte_of((void *)gla);
}

static void map(uint32_t gla, uint32_t frame, uint32_t flags)
{
    *entry(gla) = frame | flags;
    invlpg((void *)gla);
}

static uint32_t accessed(uint32_t gla)
{
    return *entry(gla) & (PTE_A | PTE_D);
}

static int run(bool user, uint32_t code, uint32_t arg)
{
    int trap = user ? rt_try_user_flags((void (*)(void *))code, (void *)arg, IF | 2) :
                      rt_try((void (*)(void *))code, (void *)arg);

    value = user ? rt_last.eax : rt_result;
    return trap;
}
#define RUN(user, code, arg) run(user, (uint32_t)(code), arg)

static bool faulted(int trap, uint32_t error, uint32_t cr2)
{
    return trap == PF && rt_last.error == error && rt_last_cr2 == cr2;
}

/* May this be tried with data there?  Where segment limits are not checked the monitor's window is in the way. */
static bool reachable(uint32_t gla, bool user)
{
    return gla < WINDOW || limits_checked[user];
}

/* --- data --- */

CODE(d_read, "movl 4(%esp),%edx\n movl (%edx),%eax");
CODE(d_write, "movl 4(%esp),%edx\n movl $0x55667788,(%edx)");
CODE(d_lock, "movl 4(%esp),%edx\n movl $3,%eax\n lock xaddl %eax,(%edx)");
CODE(d_x87, "movl 4(%esp),%edx\n fninit\n fildll (%edx)\n fld1\n faddp\n fistpll (%edx)");
CODE(d_push, "movl 4(%esp),%edx\n movl %esp,%ecx\n movl %edx,%esp\n pushl $0x1234\n call 1f\n 1: popl %eax\n popl %eax\n movl %ecx,%esp");
CODE(d_rep, "movl 4(%esp),%edx\n movl (%edx),%edi\n movl 4(%edx),%esi\n movl 8(%edx),%ecx\n rep movsb\n movl %edi,%eax");

static void try_faults(uint32_t gla, bool user)
{
    uint32_t u = user ? 4 : 0;

    map(gla, FRAME, 0);
    expect(faulted(RUN(user, d_read, gla + 8), u, gla + 8));
    expect(faulted(RUN(user, d_write, gla + 8), u | 2, gla + 8));
    map(gla, FRAME, PTE_P | PTE_U);
    expect(faulted(RUN(user, d_write, gla + 8), u | 3, gla + 8));
    expect(!(accessed(gla) & PTE_D));
    map(gla, FRAME, PTE_P | PTE_W);
    if (user)
        expect(faulted(RUN(user, d_read, gla + 8), 5, gla + 8) && faulted(RUN(user, d_write, gla + 8), 7, gla + 8));
    else
        expect(RUN(user, d_read, gla + 8) == NO_TRAP && RUN(user, d_write, gla + 8) == NO_TRAP);
    WRITE_CR(0, READ_CR(0) & ~CR0_WP);
    map(gla, FRAME, PTE_P | PTE_U);
    expect(user ? faulted(RUN(user, d_write, gla), 7, gla) : RUN(user, d_write, gla) == NO_TRAP);
    WRITE_CR(0, READ_CR(0) | CR0_WP);
}

static void try_data(uint32_t gla, bool user)
{
    volatile uint32_t *f = (volatile uint32_t *)FRAME;

    f[2] = 0x13572468;
    map(gla, FRAME, ALL);
    expect(RUN(user, d_read, gla + 8) == NO_TRAP && value == 0x13572468 && accessed(gla) == PTE_A);
    expect(RUN(user, d_write, gla + 8) == NO_TRAP && f[2] == 0x55667788 && accessed(gla) == (PTE_A | PTE_D));
    f[2] = 40;
    expect(RUN(user, d_lock, gla + 8) == NO_TRAP && value == 40 && f[2] == 43);
    f[4] = 0xffffffff, f[5] = 6;
    expect(RUN(user, d_x87, gla + 16) == NO_TRAP && f[4] == 0 && f[5] == 7);
    expect(RUN(user, d_push, gla + 64) == NO_TRAP && value == 0x1234 && f[15] == 0x1234);
    for (uint32_t i = 0; i < sizeof buffer; i++)
        buffer[i] = (uint8_t)(i * 3);
    argument[0] = gla + 100, argument[1] = (uint32_t)buffer, argument[2] = 50;
    expect(RUN(user, d_rep, (uint32_t)argument) == NO_TRAP && value == gla + 150 && ((uint8_t *)FRAME)[149] == 49 * 3);
    *(volatile uint32_t *)(FRAME2 + 8) = 0x99;
    map(gla, FRAME2, ALL);
    expect(RUN(user, d_read, gla + 8) == NO_TRAP && value == 0x99);
}

/* --- code --- */

static void put_code(uint8_t *p, uint32_t v)
{
    p[0] = 0xb8;                        /* movl $v, %eax; ret */
    *(uint32_t *)(p + 1) = v;
    p[5] = 0xc3;
}

static void try_code(uint32_t gla, bool user)
{
    uint32_t good = 0;

    map(gla, FRAME, 0);
    expect(faulted(run(user, gla, 0), user ? 4 : 0, gla) && rt_last.eip == gla);
    put_code((uint8_t *)FRAME, 0x31415926);
    map(gla, FRAME, PTE_P | PTE_U);
    expect(run(user, gla, 0) == NO_TRAP && value == 0x31415926 && accessed(gla) == PTE_A);
    for (uint32_t i = 0; i < 20; i++) {
        put_code((uint8_t *)FRAME, i * 0x01010101);
        good += run(user, gla, 0) == NO_TRAP && value == i * 0x01010101;
    }
    expect(good == 20);
    put_code((uint8_t *)FRAME2, 0x27182818);
    map(gla, FRAME2, PTE_P);
    if (user)
        expect(faulted(run(user, gla, 0), 5, gla));
    else
        expect(run(user, gla, 0) == NO_TRAP && value == 0x27182818);
}

/* Code that changes its own next instruction. */
static void try_smc(uint32_t gla, bool user)
{
    static const uint8_t code[] = "\x8b\x54\x24\x04\x88\x15" /* movl 4(%esp),%edx; movb %dl,... */
                                  "\0\0\0\0\xb0\x00\x0f\xb6\xc0\xc3"; /* movb $...,%al; movzbl %al,%eax; ret */
    uint32_t good = 0;

    memcpy((void *)FRAME, code, sizeof code);
    *(uint32_t *)(FRAME + 6) = gla + 11;
    map(gla, FRAME, ALL);
    for (uint32_t i = 0; i < 20; i++)
        good += run(user, gla, i * 5) == NO_TRAP && value == i * 5;
    expect(good == 20);
}

static volatile uint32_t inside;
static uint32_t loop_at;

static void on_timer(struct frame *f)
{
    inside += f->eip >= loop_at && f->eip < loop_at + 16;
    pic_eoi();
}

/* A loop there, left when the timer has come to it often enough. */
static void try_interrupts(uint32_t gla, bool user)
{
    static const uint8_t code[] = "\xfb\x40\x83\x3d\0\0\0\0\x05\x72\xf6\xfa\xc3"; /* sti; 1: incl %eax; cmpl $5,...; jb 1b; cli; ret */

    memcpy((void *)FRAME, code, sizeof code);
    *(uint32_t *)(FRAME + 4) = (uint32_t)&inside;
    if (user)
        ((uint8_t *)FRAME)[0] = ((uint8_t *)FRAME)[11] = 0x90;
    map(gla, FRAME, PTE_P | PTE_U);
    loop_at = gla;
    inside = 0;
    rt_handlers[IRQ_BASE] = on_timer;
    pic_setup(0xfe, 0xff);
    pit_periodic(1500);
    expect(run(user, gla, 0) == NO_TRAP);
    pic_setup(0xff, 0xff);
    expect(inside >= 5);
}

/* --- what the processor itself reads and writes --- */

static void try_trap_stack(uint32_t gla)
{
    map(gla, FRAME, PTE_P | PTE_W);
    rt_tss.esp0 = gla + 0xf00;
    expect(RUN(true, d_read, FRAME) == NO_TRAP);
    expect(*(uint32_t *)(FRAME + 0xf00 - 4) == SEL_DATA3 && *(uint32_t *)(FRAME + 0xf00 - 16) == SEL_CODE3);
    rt_tss.esp0 = (uint32_t)rt_trap_stack_top;
}

CODE(t_load, "movl 4(%esp),%eax\n movl %eax,%es\n movb %es:5,%al");

static void try_tables(uint32_t gla, bool user)
{
    struct { uint16_t limit; uint32_t base; } __attribute__((packed)) there = { sizeof rt_gdt - 1, gla }, back;
    uint64_t *gdt = (uint64_t *)FRAME;

    asm volatile("sgdt %0" : "=m"(back));
    memcpy(gdt, rt_gdt, sizeof rt_gdt);
    buffer[5] = 0xa5;
    gdt_set(SLOT(0), (uint32_t)buffer, sizeof buffer - 1, A_DATA | A_DPL3, F_BYTES);
    gdt[SLOT(0) / 8] = rt_gdt[SLOT(0) / 8];
    rt_gdt[SLOT(0) / 8] = 0;
    map(gla, FRAME, PTE_P | PTE_W);
    asm volatile("lgdt %0" : : "m"(there));
    expect(RUN(user, t_load, SLOT(0) | 3) == NO_TRAP && (uint8_t)value == 0xa5);
    expect(gdt[SLOT(0) / 8] >> 40 & 1);
    gdt[SLOT(0) / 8] = 0;
    expect(RUN(user, t_load, SLOT(0) | 3) == GP && rt_last.error == SLOT(0));
    asm volatile("lgdt %0" : : "m"(back));
}

/* --- across a border --- */

static void try_border_data(uint32_t border, bool user)
{
    uint32_t u = user ? 4 : 0, low = border - 4096;
    volatile uint16_t *end = (volatile uint16_t *)(FRAME + 4094), *start = (volatile uint16_t *)FRAME2;

    map(low, FRAME, ALL);
    map(border, FRAME2, ALL);
    expect(RUN(user, d_write, border - 2) == NO_TRAP && *end == 0x7788 && *start == 0x5566);
    expect(accessed(low) == (PTE_A | PTE_D) && accessed(border) == (PTE_A | PTE_D));
    *end = 0x1111, *start = 0x2222;
    expect(RUN(user, d_read, border - 2) == NO_TRAP && value == 0x22221111);
    expect(RUN(user, d_lock, border - 2) == NO_TRAP && value == 0x22221111 && *end == 0x1114);
    *end = 0xffff, *start = 0xffff, start[1] = 7;
    expect(RUN(user, d_x87, border - 2) == NO_TRAP && *end == 0 && *start == 0 && start[1] == 8);
    argument[0] = border - 20, argument[1] = (uint32_t)buffer, argument[2] = 40;
    for (uint32_t i = 0; i < sizeof buffer; i++)
        buffer[i] = (uint8_t)(i * 5);
    expect(RUN(user, d_rep, (uint32_t)argument) == NO_TRAP && *end == (19 * 5 << 8 | 18 * 5) && *start == (21 * 5 << 8 | 20 * 5));
    expect(RUN(user, d_push, border + 4) == NO_TRAP && value == 0x1234 && *start == 0x1234);
    map(border, FRAME2, 0);
    *end = 0x1111;
    expect(faulted(RUN(user, d_write, border - 2), u | 2, border) && *end == 0x1111);
    expect(faulted(RUN(user, d_read, border - 2), u, border));
    expect(faulted(RUN(user, d_rep, (uint32_t)argument), u | 2, border) && rt_last.ecx == 20);
    map(low, FRAME, 0);
    map(border, FRAME2, ALL);
    expect(faulted(RUN(user, d_read, border - 2), u, border - 2));
}

/* An instruction across the border, and one that ends there. */
static void try_border_code(uint32_t border, bool user)
{
    uint32_t u = user ? 4 : 0, low = border - 4096;
    uint8_t *end = (uint8_t *)FRAME + 4093;

    map(low, FRAME, PTE_P | PTE_U);
    map(border, FRAME2, PTE_P | PTE_U);
    put_code(end, 0x04030201);          /* the frames follow on from each other */
    expect(run(user, border - 3, 0) == NO_TRAP && value == 0x04030201);
    expect(accessed(low) == PTE_A && accessed(border) == PTE_A);
    *(uint8_t *)FRAME2 = 0x77;
    expect(run(user, border - 3, 0) == NO_TRAP && value == 0x04770201);
    map(border, FRAME2, 0);
    expect(faulted(run(user, border - 3, 0), u, border) && rt_last.eip == border - 3);
    memset(end, 0x90, 3);
    put_code((uint8_t *)FRAME2, 0x1f2e3d);
    expect(faulted(run(user, border - 3, 0), u, border) && rt_last.eip == border);
    map(border, FRAME2, PTE_P | PTE_U);
    expect(run(user, border - 3, 0) == NO_TRAP && value == 0x1f2e3d);
    end[1] = 0xeb, end[2] = 2;          /* a jump into the other page */
    put_code((uint8_t *)FRAME2 + 2, 0x99);
    expect(run(user, border - 3, 0) == NO_TRAP && value == 0x99);
    memcpy((uint8_t *)FRAME2, "\xeb\xf9", 2); /* and one back, to border - 5 */
    memcpy(end - 2, "\x31\xc0\x40\x40\xc3", 5); /* xorl %eax,%eax; incl %eax; incl %eax; ret */
    expect(run(user, border, 0) == NO_TRAP && value == 2);
}

/* --- around 4 GiB --- */

/* Code that ends there goes on at 0. */
static void try_wrap_code(bool user)
{
    uint8_t *end = (uint8_t *)FRAME + 4096;

    map(0xfffff000, FRAME, ALL);
    map(0, FRAME2, ALL);
    memset(end - 8, 0x90, 8);
    put_code((uint8_t *)FRAME2, 0x600d);
    expect(run(user, 0xfffffff8, 0) == NO_TRAP && value == 0x600d);
    end[-2] = 0xeb, end[-1] = 8;
    put_code((uint8_t *)FRAME2 + 8, 0x700d);
    expect(run(user, 0xfffffff8, 0) == NO_TRAP && value == 0x700d);
    memcpy((uint8_t *)FRAME2, "\xeb\xf0", 2); /* back to 0xfffffff2 */
    put_code(end - 14, 0x800d);
    expect(run(user, 0, 0) == NO_TRAP && value == 0x800d);
}

/* What lies across is done or a #GP, as the processor likes; never half done. */
static void try_wrap_across(bool user)
{
    volatile uint16_t *end = (volatile uint16_t *)(FRAME + 4094), *start = (volatile uint16_t *)FRAME2;
    int trap;

    map(0xfffff000, FRAME, ALL);
    map(0, FRAME2, ALL);
    *end = 0x1111, *start = 0x2222;
    trap = RUN(user, d_read, 0xfffffffe);
    expect(trap == NO_TRAP ? value == 0x22221111 : trap == GP && !rt_last.error);
    trap = RUN(user, d_write, 0xfffffffe);
    expect(trap == NO_TRAP ? *end == 0x7788 && *start == 0x5566 : trap == GP && *end == 0x1111 && *start == 0x2222);
    put_code((uint8_t *)FRAME + 4093, 0x04030201);
    trap = run(user, 0xfffffffd, 0);
    expect(trap == NO_TRAP ? value == 0x04030201 : trap == GP && !rt_last.error && rt_last.eip == 0xfffffffd);
}

CODE(w_based, "movl 4(%esp),%edx\n movl (%edx),%eax\n movl %eax,%es\n movl 4(%edx),%edx\n movl %es:(%edx),%eax");
CODE(w_far, "movl 4(%esp),%edx\n lcall *(%edx)");

/* A segment's base and an offset add up modulo 4 GiB. */
static void try_wrap_base(bool user)
{
    map(0xfffff000, FRAME, ALL);
    map(0, FRAME2, ALL);
    gdt_set(SLOT(0), 0xfffff000, 0x1fff, A_DATA | A_DPL3, F_BYTES);
    *(uint32_t *)(FRAME + 16) = 0xaa, *(uint32_t *)(FRAME2 + 16) = 0xbb;
    argument[0] = SLOT(0) | 3, argument[1] = 16;
    expect(RUN(user, w_based, (uint32_t)argument) == NO_TRAP && value == 0xaa);
    argument[1] = 0x1010;
    expect(RUN(user, w_based, (uint32_t)argument) == NO_TRAP && value == 0xbb);
    map(0, FRAME2, 0);
    expect(faulted(RUN(user, w_based, (uint32_t)argument), user ? 4 : 0, 16));
    map(0, FRAME2, ALL);
    gdt_set(SLOT(1), 0xfffff000, 0x1fff, user ? A_CODE | A_DPL3 : A_CODE, F_BYTES);
    memset((uint8_t *)FRAME + 4092, 0x90, 4);
    put_code((uint8_t *)FRAME2, 0xcc);
    ((uint8_t *)FRAME2)[5] = 0xcb;      /* lret */
    argument[0] = 0xffc, argument[1] = SLOT(1) | (user ? 3 : 0);
    expect(RUN(user, w_far, (uint32_t)argument) == NO_TRAP && value == 0xcc);
    gdt_set(SLOT(0), 0, 0, 0, 0);
    gdt_set(SLOT(1), 0, 0, 0, 0);
}

/* --- */

static void test_place(const char *name, uint32_t gla, bool user)
{
    if (reachable(gla, user))
        try_faults(gla, user);
    report(name, "faults", user);
    if (reachable(gla, user))
        try_data(gla, user);
    report(name, "data", user);
    try_code(gla, user);
    if (reachable(gla, user))
        try_smc(gla, user);
    report(name, "code", user);
    try_interrupts(gla, user);
    report(name, "interrupts", user);
    if (!user && reachable(gla, false))
        try_trap_stack(gla);
    if (!user)
        report(name, "trap-stack", user);
    try_tables(gla, user);
    report(name, "tables", user);
    map(gla, FRAME, 0);
}

static void test_border(const char *name, uint32_t border, bool user)
{
    if (reachable(border, user))
        try_border_data(border, user);
    report(name, "data-across", user);
    try_border_code(border, user);
    report(name, "code-across", user);
    map(border, FRAME, 0);
    map(border - 4096, FRAME, 0);
}

static void test_wrap(bool user)
{
    try_wrap_code(user);
    report("wrap", "code", user);
    if (limits_checked[user])
        try_wrap_across(user);
    report("wrap", "across", user);
    if (limits_checked[user])
        try_wrap_base(user);
    report("wrap", "base", user);
    map(0, FRAME, 0);
    map(0xfffff000, FRAME, 0);
}

void test_main(void)
{
    static const struct { const char *name; uint32_t gla; } places[] = {
        { "null", 0 }, { "page-1", 0x1000 }, { "page-15", 0xf000 }, { "page-16", 0x10000 },
        { "below-window", WINDOW - 4096 }, { "window", WINDOW }, { "window-middle", 0xffd55000 }, { "last", 0xfffff000 },
    };

    limits_checked[0] = rt_limits_checked(false);
    limits_checked[1] = rt_limits_checked(true);
    paging_on();
    rt_directory[1022] = (uint32_t)top_tables[0] | ALL;
    rt_directory[1023] = (uint32_t)top_tables[1] | ALL;
    WRITE_CR(3, rt_directory);
    for (unsigned user = 0; user < 2; user++) {
        for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++)
            test_place(places[i].name, places[i].gla, user);
        test_border("page-1", 0x1000, user);
        test_border("page-16", 0x10000, user);
        test_border("window", WINDOW, user);
        test_border("window-middle", 0xffd55000, user);
        test_wrap(user);
    }
    paging_off();
}
