/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paging (SDM volume 3, chapter 4): error codes and CR2, accessed and dirty
 * bits, WP, U/S, large pages, aliases, what INVLPG and CR3 loads must make
 * seen.
 */
#include "rt.h"

static uint8_t pages[8][4096] __attribute__((aligned(4096)));

CODE(read, "movl 4(%esp),%edx\n read_at: movl (%edx),%eax");
CODE(write, "movl 4(%esp),%edx\n write_at: movl $0x55667788,(%edx)");
CODE(modify, "movl 4(%esp),%edx\n incl (%edx)");
CODE(exec, "movl 4(%esp),%edx\n jmp *%edx");
CODE(push_there, "movl 4(%esp),%edx\n movl %esp,%ecx\n movl %edx,%esp\n pushl $0x1234\n movl %ecx,%esp");

static void set(void *page, uint32_t clear, uint32_t add)
{
    volatile uint32_t *e = pte_of(page);

    *e = (*e & ~clear) | add;
    invlpg(page);
}

static void reset(void *page)
{
    *pte_of(page) = (uint32_t)page | PTE_P | PTE_W | PTE_U;
    invlpg(page);
}

static void test_errors(void)
{
    uint8_t *p = pages[0];

    check_trap("read-mapped", rt_try(read, p), NO_TRAP, 0);
    set(p, PTE_P, 0);
    check_trap("read-absent", rt_try(read, p + 8), PF, 0);
    check("cr2", rt_last_cr2, (uint32_t)p + 8);
    check("fault-eip", rt_last.eip, ADDR(read_at));
    check_trap("write-absent", rt_try(write, p), PF, 2);
    check("write-eip", rt_last.eip, ADDR(write_at));
    check_trap_cpu("modify-absent", rt_try(modify, p), PF, 2);
    check_trap("user-read-absent", rt_try_user(read, p), PF, 4);
    check_trap("user-write-absent", rt_try_user(write, p), PF, 6);
    check_trap("execute-absent", rt_try(exec, p), PF, 0);
    check("execute-eip", rt_last.eip, (uint32_t)p);
    check("execute-cr2", rt_last_cr2, (uint32_t)p);
    reset(p);
    set(p, PTE_U, 0);
    check_trap("user-read-supervisor", rt_try_user(read, p), PF, 5);
    check_trap("user-write-supervisor", rt_try_user(write, p), PF, 7);
    check_trap("user-execute-supervisor", rt_try_user(exec, p), PF, 5);
    check_trap("supervisor-read", rt_try(read, p), NO_TRAP, 0);
    reset(p);
    set(p, PTE_W, 0);
    check_trap("user-write-read-only", rt_try_user(write, p), PF, 7);
    check_trap("user-read-read-only", rt_try_user(read, p), NO_TRAP, 0);
    check_trap("wp-write-read-only", rt_try(write, p), PF, 3);
    WRITE_CR(0, READ_CR(0) & ~CR0_WP);
    check_trap("no-wp-write-read-only", rt_try(write, p), NO_TRAP, 0);
    check("no-wp-written", *(uint32_t *)p, 0x55667788);
    check("no-wp-dirty", *pte_of(p) & PTE_D, PTE_D);
    check_trap("no-wp-user-write", rt_try_user(write, p), PF, 7);
    WRITE_CR(0, READ_CR(0) | CR0_WP);
    check_trap("wp-back", rt_try(write, p), PF, 3);
    reset(p);
    check_trap("no-directory-entry", rt_try(read, (void *)0x50000000), PF, 0);
    check("no-directory-cr2", rt_last_cr2, 0x50000000);
    if (rt_over_tcg && !rt_on_qemu) {
        skip("high-address", "(a monitor that keeps its window by segment limits, which TCG does not check)");
        skip("high-cr2", "(likewise)");
        skip("window-address", "(likewise)");
    } else {
        check_trap("high-address", rt_try(read, (void *)0xfffff000), PF, 0);
        check("high-cr2", rt_last_cr2, 0xfffff000);
        check_trap("window-address", rt_try(read, (void *)0xffc00000), PF, 0);
    }
    check_trap("user-window-address", rt_try_user(write, (void *)0xffd00004), PF, 6);
    check("user-window-cr2", rt_last_cr2, 0xffd00004);
}

static void test_directory_bits(void)
{
    uint8_t *p = (uint8_t *)0xc00000;   /* not where the stack is */
    volatile uint32_t *pde = &rt_directory[(uint32_t)p >> 22];

    *pde &= ~PTE_W;
    WRITE_CR(3, READ_CR(3));
    check_trap("directory-read-only", rt_try_user(write, p), PF, 7);
    check_trap("directory-read-only-wp", rt_try(write, p), PF, 3);
    *pde |= PTE_W;
    *pde &= ~PTE_U;
    WRITE_CR(3, READ_CR(3));
    check_trap("directory-supervisor", rt_try_user(read, p), PF, 5);
    *pde |= PTE_U;
    WRITE_CR(3, READ_CR(3));
    check_trap("directory-restored", rt_try_user(write, p), NO_TRAP, 0);
}

static void test_accessed_dirty(void)
{
    uint8_t *p = pages[2];

    reset(p);
    check("not-accessed", *pte_of(p) & (PTE_A | PTE_D), 0);
    rt_try(read, p);
    check("accessed-by-read", *pte_of(p) & (PTE_A | PTE_D), PTE_A);
    rt_try(write, p);
    check("dirty-by-write", *pte_of(p) & (PTE_A | PTE_D), PTE_A | PTE_D);
    set(p, PTE_A | PTE_D, 0);
    rt_try_user(read, p);
    check("accessed-by-user", *pte_of(p) & (PTE_A | PTE_D), PTE_A);
    set(p, PTE_A | PTE_D, 0);
    rt_try_user(write, p);
    check("dirty-by-user", *pte_of(p) & (PTE_A | PTE_D), PTE_A | PTE_D);
    p[0] = 0xc3;
    set(p, PTE_A | PTE_D, 0);
    rt_try(exec, p);
    check("accessed-by-fetch", *pte_of(p) & (PTE_A | PTE_D), PTE_A);
    set(p, PTE_A | PTE_D, 0);
    rt_try(push_there, p + 64);
    check("dirty-by-push", *pte_of(p) & (PTE_A | PTE_D), PTE_A | PTE_D);
    set(p, PTE_A | PTE_D | PTE_W, 0);
    rt_try(write, p);
    check("not-dirty-by-fault", *pte_of(p) & PTE_D, 0);
    reset(p);
    rt_directory[(uint32_t)p >> 22] &= ~PTE_A;
    WRITE_CR(3, READ_CR(3));
    rt_try(read, p);
    check("directory-accessed", rt_directory[(uint32_t)p >> 22] & PTE_A, PTE_A);
}

static void test_mapping_changes(void)
{
    uint8_t *a = pages[3], *b = pages[4];
    volatile uint32_t *v = (volatile uint32_t *)a;
    uint32_t good = 0;

    *(uint32_t *)a = 0xaaaa;
    *(uint32_t *)b = 0xbbbb;
    check("before", *v, 0xaaaa);
    *pte_of(a) = (uint32_t)b | PTE_P | PTE_W | PTE_U;
    invlpg(a);
    check("after-invlpg", *v, 0xbbbb);
    *pte_of(a) = (uint32_t)a | PTE_P | PTE_W | PTE_U;
    WRITE_CR(3, READ_CR(3));
    check("after-cr3", *v, 0xaaaa);
    set(a, PTE_P, 0);
    check_trap("absent-now", rt_try(read, a), PF, 0);
    *pte_of(a) |= PTE_P;
    check("present-without-invlpg", *v, 0xaaaa);
    set(a, PTE_W, 0);
    check_trap("read-only-now", rt_try(write, a), PF, 3);
    *pte_of(a) |= PTE_W;
    check_trap("writable-without-invlpg", rt_try(write, a), NO_TRAP, 0);
    /* Two linear pages, one physical: what goes in by one comes out by the other. */
    *pte_of(b) = (uint32_t)a | PTE_P | PTE_W | PTE_U;
    invlpg(b);
    for (uint32_t i = 0; i < 100; i++) {
        ((volatile uint32_t *)b)[i] = i * 7;
        good += ((volatile uint32_t *)a)[i] == i * 7;
    }
    check("alias", good, 100);
    reset(b);
    check("alias-gone", *(uint32_t *)b, 0xbbbb);
    good = 0;
    for (uint32_t i = 0; i < 200; i++) {
        uint8_t *target = pages[3 + i % 2];

        *pte_of(pages[5]) = (uint32_t)target | PTE_P | PTE_W | PTE_U;
        if (i % 3)
            invlpg(pages[5]);
        else
            WRITE_CR(3, READ_CR(3));
        *(volatile uint32_t *)(pages[5] + 0x800) = i;
        good += *(volatile uint32_t *)(target + 0x800) == i;
    }
    check("remaps", good, 200);
    reset(pages[5]);
}

static void test_crossing(void)
{
    uint8_t *p = pages[6], *next = pages[7];
    uint32_t *across = (uint32_t *)(p + 4094);

    memset(p, 0x11, 8192);
    set(next, PTE_P, 0);
    check_trap("crossing-read", rt_try(read, across), PF, 0);
    check("crossing-cr2", rt_last_cr2, (uint32_t)next);
    check_trap("crossing-write", rt_try(write, across), PF, 2);
    check("crossing-write-cr2", rt_last_cr2, (uint32_t)next);
    check("no-partial-write", *(uint16_t *)(p + 4094), 0x1111);
    set(next, 0, PTE_P);
    check_trap("crossing-now", rt_try(write, across), NO_TRAP, 0);
    check("crossing-low", *(uint16_t *)(p + 4094), 0x7788);
    check("crossing-high", *(uint16_t *)next, 0x5566);
    p[4093] = 0xb8;                     /* movl $..., %eax; ret across the boundary */
    p[4094] = 1, p[4095] = 2, next[0] = 3, next[1] = 4, next[2] = 0xc3;
    check_trap("crossing-code", rt_try(exec, p + 4093), NO_TRAP, 0);
    check("crossing-code-value", rt_result, 0x04030201);
    set(next, PTE_P, 0);
    check_trap("crossing-code-absent", rt_try(exec, p + 4093), PF, 0);
    check("crossing-code-eip", rt_last.eip, (uint32_t)p + 4093);
    check("crossing-code-cr2", rt_last_cr2, (uint32_t)next);
    reset(next);
}

/* Without PSE-36 the bits that would be address bits above 4 GiB are reserved. */
static void test_large_reserved(volatile uint32_t *pde, const volatile uint32_t *v, uint32_t features)
{
    uint32_t good = 0;

    if (features & 1u << 17) {
        skip("large-reserved-address", "PSE-36");
        return;
    }
    for (unsigned bit = 13; bit <= 20; bit++) {
        *pde = (5u << 22) | 1u << bit | PTE_P | PTE_PS;
        WRITE_CR(3, READ_CR(3));
        good += rt_try(read, (void *)v) == PF && rt_last.error == 9;
    }
    check_cpu("large-reserved-address", good, 8);
}

static void test_large(void)
{
    uint32_t r[4];
    volatile uint32_t *pde = &rt_directory[16];
    volatile uint32_t *v = (volatile uint32_t *)(16u << 22);

    cpuid(1, r);
    if (!(r[3] & 8)) {
        skip("large-pages", "no PSE");
        return;
    }
    WRITE_CR(4, READ_CR(4) | CR4_PSE);
    *pde = (4u << 22) | PTE_P | PTE_W | PTE_PS;
    v[5] = 0x1357;
    check("large-page", *(volatile uint32_t *)((4u << 22) + 20), 0x1357);
    check("large-accessed-dirty", *pde & (PTE_A | PTE_D), PTE_A | PTE_D);
    check_trap("large-supervisor", rt_try_user(read, (void *)v), PF, 5);
    *pde = (5u << 22) | PTE_P | PTE_U | PTE_PS;
    invlpg(v + 1234);
    check_trap("large-read-only", rt_try(write, (void *)v), PF, 3);
    check_trap("large-user", rt_try_user(read, (void *)(v + 0xfffff)), NO_TRAP, 0);
    check("large-not-dirty", *pde & (PTE_A | PTE_D), PTE_A);
    *(volatile uint32_t *)(5u << 22) = 0x2468;
    check("large-moved", *v, 0x2468);
    *pde = (5u << 22) | 1u << 21 | PTE_P | PTE_PS;
    WRITE_CR(3, READ_CR(3));
    check_trap_cpu("large-reserved", rt_try(read, (void *)v), PF, 9);
    test_large_reserved(pde, v, r[3]);
    *pde = 0;
    WRITE_CR(3, READ_CR(3));
    check_trap("large-gone", rt_try(read, (void *)v), PF, 0);
    WRITE_CR(4, READ_CR(4) & ~CR4_PSE);
}

static void test_global(void)
{
    uint32_t r[4];
    uint8_t *a = pages[3], *b = pages[4];

    cpuid(1, r);
    if (!(r[3] & 1 << 13)) {
        skip("global-pages", "no PGE");
        return;
    }
    *(uint32_t *)a = 0xa0a0;
    *(uint32_t *)b = 0xb0b0;
    WRITE_CR(4, READ_CR(4) | CR4_PGE);
    set(a, 0, PTE_G);
    check("global-read", *(volatile uint32_t *)a, 0xa0a0);
    *pte_of(a) = (uint32_t)b | PTE_P | PTE_W | PTE_U | PTE_G;
    invlpg(a);
    check("global-invlpg", *(volatile uint32_t *)a, 0xb0b0);
    *pte_of(a) = (uint32_t)a | PTE_P | PTE_W | PTE_U | PTE_G;
    WRITE_CR(4, READ_CR(4) & ~CR4_PGE);
    check("global-pge-off", *(volatile uint32_t *)a, 0xa0a0);
    reset(a);
}

static void test_tables_in_view(void)
{
    /* The directory as its own table: tables appear at 0xffc00000's neighbour, here at entry 1022. */
    volatile uint32_t *tables = (volatile uint32_t *)(1022u << 22);
    uint8_t *p = pages[2];

    rt_directory[1022] = (uint32_t)rt_directory | PTE_P | PTE_W;
    check("recursive-read", tables[(uint32_t)p >> 12] & ~0xfffu, (uint32_t)p);
    tables[(uint32_t)p >> 12] &= ~PTE_P;
    invlpg(p);
    check_trap("recursive-write", rt_try(read, p), PF, 0);
    tables[(uint32_t)p >> 12] |= PTE_P;
    check_trap("recursive-restored", rt_try(read, p), NO_TRAP, 0);
    rt_directory[1022] = 0;
    WRITE_CR(3, READ_CR(3));
}

void test_main(void)
{
    paging_on();
    test_errors();
    test_directory_bits();
    test_accessed_dirty();
    test_mapping_changes();
    test_crossing();
    test_large();
    test_global();
    test_tables_in_view();
    paging_off();
    check_trap("paging-off", rt_try(read, (void *)pages[0]), NO_TRAP, 0);
    paging_on();
    check_trap("paging-on-again", rt_try_user(read, pages[0]), NO_TRAP, 0);
    paging_off();
}
