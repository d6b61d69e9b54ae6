/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A segment register loaded again with the selector that it holds: nothing changes, registers and flags included,
 * unless the descriptor or the tables have changed meanwhile, and then all of that shows.
 */
#include "rt.h"

#define WORDS 16
#define SLOT_SEL SLOT(3)

static uint32_t words[WORDS] __attribute__((aligned(16)));
static uint64_t other_gdt[GDT_ENTRIES] __attribute__((aligned(16)));
uint32_t seen_flags, seen_ax, seen_cx;

/* CF, PF, AF, ZF set; EAX and ECX known; the load twice; look. */
#define BEFORE "movl 4(%esp),%edx\n movl $0xffffffff,%ecx\n movl $0x1234abcd,%eax\n pushl %edx\n pushl %edx\n addl $1,%ecx\n "
#define AFTER(seg) "pushfl\n popl seen_flags\n movl %eax,seen_ax\n movl %ecx,seen_cx\n movl %" seg ":0,%eax\n"
#define MOV(seg) BEFORE "movl %edx,%" seg "\n movl %edx,%" seg "\n popl %edx\n popl %edx\n" AFTER(seg)
#define POP(seg) BEFORE "popl %" seg "\n popl %" seg "\n" AFTER(seg)
CODE(mov_es, MOV("es"));
CODE(mov_fs, MOV("fs"));
CODE(mov_gs, MOV("gs"));
CODE(pop_es, POP("es"));
CODE(pop_fs, POP("fs"));
CODE(pop_gs, POP("gs"));
CODE(mov_eax_es, "movl 4(%esp),%eax\n movl %eax,%es\n movl %eax,%es\n movl %es:0,%eax");
CODE(mov_ecx_es, "movl 4(%esp),%ecx\n movl %ecx,%es\n movl %ecx,%es\n movl %es:0,%eax");
CODE(pop_ds, "pushl %ds\n pushl %ds\n pushl 12(%esp)\n popl %ds\n popl %ds\n popl %ds\n movl %ds,%eax");

static uint32_t base_of(unsigned i) { return (uint32_t)&words[i % WORDS]; }

static void repeat(const char *name, void (*code)(void *), bool flags)
{
    uint32_t wrong = 0, changed = 0;

    for (unsigned i = 0; i < 4 * WORDS; i++) {
        if (i % 4 == 0) /* else the same as before */
            gdt_set(SLOT_SEL, base_of(i / 4), 0xfffff, i & 4 ? A_DATA : A_DATA | 1, F_PAGES);
        wrong += rt_try(code, (void *)SLOT_SEL) != NO_TRAP || rt_result != i / 4 + 1;
        changed += flags && ((seen_flags & 0x8d5) != 0x55 || seen_ax != 0x1234abcd || seen_cx != 0);
        changed += !(rt_gdt[SLOT_SEL / 8] >> 40 & 1);
    }
    check(name, wrong, 0);
    check(name, changed, 0);
}

/* The accessed bit that was cleared must be set again; faults must come although the selector is the same. */
static void test_descriptor_changes(void)
{
    gdt_set(SLOT_SEL, base_of(2), 0xfffff, A_DATA, F_PAGES);
    check_trap("first", rt_try(mov_es, (void *)SLOT_SEL), NO_TRAP, 0);
    rt_gdt[SLOT_SEL / 8] &= ~(1ull << 40);
    check_trap("accessed", rt_try(mov_es, (void *)SLOT_SEL), NO_TRAP, 0);
    check("accessed-bit", (uint32_t)(rt_gdt[SLOT_SEL / 8] >> 40) & 1, 1);
    rt_gdt[SLOT_SEL / 8] &= ~(1ull << 47);
    check_trap("absent", rt_try(mov_es, (void *)SLOT_SEL), NP, SLOT_SEL);
    rt_gdt[SLOT_SEL / 8] |= 1ull << 47;
    check_trap("back", rt_try(mov_es, (void *)SLOT_SEL), NO_TRAP, 0);
    check("back-value", rt_result, 3);
    rt_gdt[SLOT_SEL / 8] &= ~(1ull << 44);
    check_trap("system", rt_try(pop_es, (void *)SLOT_SEL), GP, SLOT_SEL);
    gdt_set(SLOT_SEL, base_of(2), 2, A_DATA, F_BYTES);
    check_trap_cpu("limit", rt_try(pop_es, (void *)SLOT_SEL), GP, 0);
}

struct table { uint16_t limit; uint32_t base; } __attribute__((packed));
struct table rt_table = { sizeof other_gdt - 1, 0 }, other_table = { sizeof other_gdt - 1, 0 }, cut_table = { SLOT_SEL - 1, 0 };

/* The tables change while ES holds the selector. */
CODE(es_across_gdts, "movl 4(%esp),%edx\n movl %edx,%es\n movl %edx,%es\n movl %es:0,%eax\n lgdt other_table\n"
     "movl %edx,%es\n shll $8,%eax\n orl %es:0,%eax\n lgdt rt_table\n movl %edx,%es\n shll $8,%eax\n orl %es:0,%eax");
CODE(es_beyond_gdt, "movl 4(%esp),%edx\n movl %edx,%es\n movl %edx,%es\n lgdt cut_table\n movl %edx,%es");
CODE(fs_across_ldts, "movl 4(%esp),%edx\n movl $0x0c,%ecx\n lldt (%edx)\n movl %ecx,%fs\n movl %ecx,%fs\n movl %fs:0,%eax\n"
     "lldt 2(%edx)\n movl %ecx,%fs\n shll $8,%eax\n orl %fs:0,%eax\n lldt (%edx)\n movl %ecx,%fs\n shll $8,%eax\n orl %fs:0,%eax");
CODE(fs_without_ldt, "movl 4(%esp),%edx\n movl $0x0c,%ecx\n lldt (%edx)\n movl %ecx,%fs\n movl %ecx,%fs\n lldt 4(%edx)\n movl %ecx,%fs");
/* ... or the descriptor does. */
CODE(es_rewritten, "movl 4(%esp),%edx\n movl %edx,%es\n movl %edx,%es\n movl %es:0,%eax\n addl $4,rt_gdt+2(%edx)\n"
     "movl %edx,%es\n shll $8,%eax\n orl %es:0,%eax");
CODE(es_accessed, "movl 4(%esp),%edx\n movl %edx,%es\n movl %edx,%es\n andb $0xfe,rt_gdt+5(%edx)\n movl %edx,%es\n"
     "movzbl rt_gdt+5(%edx),%eax");
CODE(es_gone, "movl 4(%esp),%edx\n movl %edx,%es\n movl %edx,%es\n andb $0x7f,rt_gdt+5(%edx)\n es_gone_at: movl %edx,%es");

static void test_tables(void)
{
    uint32_t wrong = 0;

    rt_table.base = cut_table.base = (uint32_t)rt_gdt;
    other_table.base = (uint32_t)other_gdt;
    gdt_set(SLOT_SEL, base_of(4), 0xfffff, A_DATA, F_PAGES);
    memcpy(other_gdt, rt_gdt, sizeof other_gdt);
    gdt_set(SLOT_SEL, base_of(5), 0xfffff, A_DATA, F_PAGES);
    for (unsigned i = 0; i < 10; i++)
        wrong += rt_try(es_across_gdts, (void *)SLOT_SEL) != NO_TRAP || rt_result != 0x060506;
    check("across-tables", wrong, 0);
    check_trap("beyond-limit", rt_try(es_beyond_gdt, (void *)SLOT_SEL), GP, SLOT_SEL);
    asm volatile("lgdt rt_table");
    for (unsigned i = 0; i < 8; i++) {
        gdt_set(SLOT_SEL, base_of(i), 0xfffff, A_DATA, F_PAGES);
        wrong += rt_try(es_rewritten, (void *)SLOT_SEL) != NO_TRAP || rt_result != ((i + 1) << 8 | (i + 2));
    }
    check("rewritten", wrong, 0);
    check_trap("not-accessed", rt_try(es_accessed, (void *)SLOT_SEL), NO_TRAP, 0);
    check("accessed-again", rt_result, A_DATA | 1);
    check_trap("gone", rt_try(es_gone, (void *)SLOT_SEL), NP, SLOT_SEL);
    check("gone-eip", rt_last.eip, ADDR(es_gone_at));
}

static void test_ldt(void)
{
    static uint64_t ldt[2][2];
    static uint16_t selectors[3];

    for (unsigned i = 0; i < 2; i++) {
        gdt_set(SLOT_SEL, base_of(6 + i), 0xfffff, A_DATA, F_PAGES);
        ldt[i][1] = rt_gdt[SLOT_SEL / 8];
        gdt_set(SLOT(4 + i), (uint32_t)ldt[i], sizeof ldt[i] - 1, A_LDT, F_BYTES16);
        selectors[i] = SLOT(4 + i);
    }
    for (unsigned k = 0; k < 3; k++) {
        check_trap("across-ldts", rt_try(fs_across_ldts, selectors), NO_TRAP, 0);
        check("across-ldts-values", rt_result, 0x070807);
    }
    check_trap("without-ldt", rt_try(fs_without_ldt, selectors), GP, 0x0c);
}

static void test_all(void)
{
    repeat("mov-es", mov_es, true);
    repeat("mov-fs", mov_fs, true);
    repeat("mov-gs", mov_gs, true);
    repeat("pop-es", pop_es, true);
    repeat("pop-fs", pop_fs, true);
    repeat("pop-gs", pop_gs, true);
    repeat("mov-eax-es", mov_eax_es, false);
    repeat("mov-ecx-es", mov_ecx_es, false);
    gdt_set(SLOT_SEL, 0, 0xfffff, A_DATA, F_PAGES);
    check_trap("pop-ds", rt_try(pop_ds, (void *)SLOT_SEL), NO_TRAP, 0);
    check("pop-ds-back", rt_result & 0xffff, SEL_DATA0);
    test_descriptor_changes();
    test_tables();
    test_ldt();
}

void test_main(void)
{
    for (unsigned i = 0; i < WORDS; i++)
        words[i] = i + 1;
    test_all();
    paging_on();
    test_all();
}
