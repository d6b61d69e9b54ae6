/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LAR, LSL, VERR and VERW of every selector there is, from kernel and from user code, against what the manual says of
 * the guest's own tables (SDM vol. 2): segments and system descriptors of all types, of ring 0 and 3, present and not,
 * accessed and not, conforming, with the bit that makes 64-bit code of a segment. Then loads with each RPL, whose accessed bits must
 * reach the guest's tables, and the instructions that tell where tables are.
 */
#include "rt.h"

#define TYPES 32u /* S and type */
#define KINDS 4u  /* ring 0; ring 3; ring 3 and not present; ring 3 and L */
#define LDT_ENTRIES (TYPES * KINDS + 1)
#define UNDEFINED 0x000f0000u
#define LDT_SEL(entry, rpl) ((entry) << 3 | 4u | (rpl))
#define ENTRY(s_type, kind) (1 + (kind) * TYPES + (s_type))

static uint64_t ldt[LDT_ENTRIES] __attribute__((aligned(8)));
uint32_t lar[0x10000], lsl[0x10000]; /* for the assembler */
uint8_t said[0x10000]; /* bits: LAR, LSL, VERR, VERW */
static uint32_t argument[4];

/* For selectors from argument[0] to below argument[1]. */
CODE(k_look, "pushl %ebx\n pushl %esi\n pushl %edi\n movl 16(%esp),%ecx\n movl (%ecx),%esi\n movl 4(%ecx),%edi\n"
     "1: xorl %ebx,%ebx\n xorl %eax,%eax\n larl %esi,%eax\n jnz 2f\n orl $1,%ebx\n movl %eax,lar(,%esi,4)\n"
     "2: xorl %eax,%eax\n lsll %esi,%eax\n jnz 3f\n orl $2,%ebx\n movl %eax,lsl(,%esi,4)\n"
     "3: verr %si\n jnz 4f\n orl $4,%ebx\n 4: verw %si\n jnz 5f\n orl $8,%ebx\n"
     "5: movb %bl,said(%esi)\n incl %esi\n cmpl %edi,%esi\n jb 1b\n popl %edi\n popl %esi\n popl %ebx");

static void ldt_fill(void)
{
    for (uint32_t i = 0; i < TYPES; i++)
        for (uint32_t kind = 0; kind < KINDS; kind++) {
            uint32_t access = i | (kind ? A_DPL3 : 0) | (kind != 2 ? 0x80 : 0);
            uint64_t high = access << 8 | (kind == 3 ? 0x00200000u : 0x00c00000u) | (i & 0xf) << 16;

            if (kind == 3 && (i & 0x18) != 0x18)
                high &= ~0x00200000ull; /* code only */
            ldt[ENTRY(i, kind)] = high << 32 | 0x1000u | i; /* base 0 */
        }
    gdt_set(SLOT(0), (uint32_t)ldt, sizeof ldt - 1, A_LDT, F_BYTES16);
    asm volatile("lldt %w0" : : "r"(SLOT(0)));
}

static uint64_t descriptor(uint32_t sel)
{
    uint32_t i = sel >> 3;

    if (sel & 4)
        return i < LDT_ENTRIES ? ldt[i] : 0;
    return i && i < GDT_ENTRIES ? rt_gdt[i] : 0;
}

static uint32_t limit_of(uint64_t d)
{
    uint32_t limit = (uint32_t)(d & 0xffff) | ((uint32_t)(d >> 32) & 0xf0000);

    return d >> 55 & 1 ? limit << 12 | 0xfff : limit;
}

static uint8_t expected(uint32_t sel, uint32_t cpl)
{
    uint64_t d = descriptor(sel);
    uint32_t type = d >> 40 & 0xf, dpl = d >> 45 & 3, rpl = sel & 3;
    bool segment = d >> 44 & 1, code = segment && type & 8, conforming = code && type & 4;

    if (!conforming && dpl < (cpl > rpl ? cpl : rpl))
        return 0;
    if (!segment)
        return (0x1a3e >> type & 1) | (0x0a0e >> type & 1) << 1;
    return 3 | (!code || type & 2 ? 4 : 0) | (!code && type & 2 ? 8 : 0);
}

static void verify(const char *name, uint32_t cpl)
{
    uint32_t wrong = 0, first = 0, found = 0;

    for (uint32_t sel = 0; sel < 0x10000; sel++) {
        uint8_t want = expected(sel, cpl);
        uint64_t d = descriptor(sel);
        bool good = said[sel] == want && (!(want & 1) || (lar[sel] & ~UNDEFINED) == ((uint32_t)(d >> 32) & 0x00f0ff00)) &&
                    (!(want & 2) || lsl[sel] == limit_of(d));

        found += want != 0;
        if (!good && !wrong++)
            first = sel | (uint32_t)said[sel] << 16 | (uint32_t)want << 24;
    }
    check(name, first, 0);
    check("wrong", wrong, 0);
    check("found-some", found >= 8, 1);
}

/* No 65536 of them where each instruction is a turn of the run loop: what is behind the tables has a stride. */
static void sweep(const char *name, bool user)
{
    memset(said, 0, sizeof said);
    argument[0] = 0;
    argument[1] = 0x10000;
    if (user)
        rt_try_user_flags(k_look, argument, IF | 2);
    else
        rt_try(k_look, argument);
    verify(name, user ? 3 : 0);
}

/* --- loads --- */

CODE(u_load, "movl 4(%esp),%ecx\n movl (%ecx),%eax\n movl %eax,%es\n movl %es,%ebx\n movl (%ecx),%edx\n larl %edx,%edx\n int $0x90");

static void test_loads(void)
{
    uint32_t wrong = 0, unaccessed = 0;

    for (uint32_t i = 0x10; i < TYPES; i++)
        for (uint32_t kind = 0; kind < KINDS; kind++)
            for (uint32_t rpl = 0; rpl < 4; rpl++) {
                bool code = i & 8, conforming = code && i & 4, readable = !code || i & 2;
                bool allowed = readable && (kind || conforming);
                int want = !allowed ? GP : kind == 2 ? NP : 0x90;
                uint32_t sel = LDT_SEL(ENTRY(i, kind), rpl);
                int got;

                argument[0] = sel;
                got = rt_try_user_flags(u_load, argument, IF | 2);
                if (got != want || (want == 0x90 ? rt_last.ebx != sel : rt_last.error != (sel & ~3u)))
                    wrong++;
                if (want == 0x90)
                    unaccessed += !(ldt[ENTRY(i, kind)] >> 40 & 1) || !(rt_last.edx >> 8 & 1);
            }
    check("loads", wrong, 0);
    check("loads-accessed", unaccessed, 0);
}

/* --- where tables are: user code may ask (CR4.UMIP is off) --- */

CODE(u_tables, "subl $16,%esp\n sgdt (%esp)\n movl 2(%esp),%ebx\n movzwl (%esp),%ecx\n sidt (%esp)\n movl 2(%esp),%edx\n movzwl (%esp),%esi\n"
     "addl $16,%esp\n sldt %eax\n smsw %edi\n str %ebp\n int $0x90");

static void test_tables(void)
{
    struct { uint16_t limit; uint32_t base; } __attribute__((packed)) gdtr, idtr;

    asm volatile("sgdt %0\n sidt %1" : "=m"(gdtr), "=m"(idtr));
    check_trap("tables", rt_try_user_flags(u_tables, argument, IF | 2), 0x90, 0);
    check("sgdt", rt_last.ebx, gdtr.base);
    check("sgdt-ours", rt_last.ebx, (uint32_t)rt_gdt);
    check("sgdt-limit", rt_last.ecx, gdtr.limit);
    check("sidt", rt_last.edx, idtr.base);
    check("sidt-limit", rt_last.esi, idtr.limit);
    check("sldt", rt_last.eax & 0xffff, SLOT(0));
    check("str", rt_last.ebp & 0xffff, SEL_TSS);
    check("smsw", rt_last.edi & 0xffff, READ_CR(0) & 0xffff);
}

void test_main(void)
{
    paging_on();
    ldt_fill();
    sweep("kernel", false);
    sweep("user", true);
    test_loads();
    sweep("user-accessed", true);
    test_tables();
    memset(ldt, 0, sizeof ldt); /* nothing says so to the CPU */
    sweep("user-emptied", true);
    asm volatile("lldt %w0" : : "r"(0));
}
