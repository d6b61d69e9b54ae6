/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PAE (SDM volume 3, 4.4): its tables, NX, every reserved bit of each kind of entry and what an access then says, and
 * the four top entries, which are registers: loaded, and refused, by MOV to CR3, CR0 and CR4.
 *
 * QEMU's TCG keeps no such registers: it reads the top entries at each walk and checks them there.
 */
#include "rt.h"

#define ALL (PTE_P | PTE_W | PTE_U)
#define TABLE_BASE (511u << 21)         /* what table maps: the top of the first GiB */
#define LARGE_BASE (16u << 21)          /* a large page ... */
#define LARGE_FRAME (15u << 21)         /* ... of a frame that nothing else uses */
#define NX_BIT (1ull << 63)

static uint8_t page[2][4096] __attribute__((aligned(4096)));
static volatile uint64_t pdpt[4] __attribute__((aligned(32)));
static volatile uint64_t directory[512] __attribute__((aligned(4096)));
static volatile uint64_t table[512] __attribute__((aligned(4096)));
static uint32_t physical_bits;

CODE(read, "movl 4(%esp),%edx\n movl (%edx),%eax");
CODE(write, "movl 4(%esp),%edx\n movl $0x55667788,(%edx)");
CODE(exec, "movl 4(%esp),%edx\n jmp *%edx");

static void pae_on(void)
{
    for (uint32_t i = 0; i < 512; i++)
        directory[i] = i < 16 ? (uint64_t)i << 21 | ALL | PTE_PS : 0;
    directory[511] = (uint32_t)table | ALL;
    pdpt[0] = (uint32_t)directory | PTE_P;
    WRITE_CR(4, READ_CR(4) | CR4_PAE);
    WRITE_CR(3, pdpt);
    WRITE_CR(0, READ_CR(0) | CR0_PG | CR0_WP);
}

static void pae_off(void)
{
    paging_off();
    WRITE_CR(4, READ_CR(4) & ~CR4_PAE);
}

static void test_basics(void)
{
    volatile uint32_t *v = (volatile uint32_t *)(TABLE_BASE + 0x3000);

    page[0][0] = 0xc3;
    table[3] = (uint32_t)page[0] | ALL;
    check("read", *(volatile uint8_t *)v, 0xc3);
    check("accessed", table[3] & (PTE_A | PTE_D), PTE_A);
    v[4] = 77;
    check("dirty", table[3] & (PTE_A | PTE_D), PTE_A | PTE_D);
    check("write", *(uint32_t *)(page[0] + 16), 77);
    check_trap("absent", rt_try(read, (void *)(v + 1024)), PF, 0);
    check_trap("user", rt_try_user(read, (void *)v), NO_TRAP, 0);
    table[3] &= ~(uint64_t)PTE_W;
    invlpg(v);
    check_trap("read-only", rt_try(write, (void *)v), PF, 3);
    check_trap("no-pdpte", rt_try(read, (void *)0x40000000), PF, 0);
}

/* --- NX --- */

static bool has_nx(void)
{
    uint32_t r[4];

    cpuid(0x80000000, r);
    return r[0] >= 0x80000001 && (cpuid(0x80000001, r), r[3] & 1 << 20);
}

static void nxe(bool on)
{
    uint32_t low, high;

    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0xc0000080));
    low = on ? low | 0x800 : low & ~0x800u;
    asm volatile("wrmsr" : : "a"(low), "d"(high), "c"(0xc0000080));
}

static void test_nx(void)
{
    void *p = (void *)(TABLE_BASE + 0x3000);

    if (!has_nx()) {
        skip("nx", "no NX");
        return;
    }
    nxe(true);
    table[3] = (uint32_t)page[0] | ALL | NX_BIT;
    invlpg(p);
    check_trap("nx-read", rt_try(read, p), NO_TRAP, 0);
    check_trap("nx-fetch", rt_try(exec, p), PF, 0x11);
    check_trap("nx-user-fetch", rt_try_user(exec, p), PF, 0x15);
    table[3] = (uint32_t)page[0] | ALL;
    directory[511] |= NX_BIT;
    WRITE_CR(3, pdpt);
    check_trap("nx-directory-fetch", rt_try(exec, p), PF, 0x11);
    check_trap("nx-directory-user-fetch", rt_try_user(exec, p), PF, 0x15);
    check_trap("nx-directory-read", rt_try_user(read, p), NO_TRAP, 0);
    directory[511] &= ~NX_BIT;
    table[3] |= PTE_G;                  /* a bit that does not matter */
    WRITE_CR(3, pdpt);
    check_trap("nx-gone", rt_try_user(exec, p), NO_TRAP, 0);
    nxe(false);
}

/* --- reserved bits --- */

/* How many of the six kinds of access do not fault, at p, with this error code and their own bits? */
static uint32_t not_refused(uint32_t p, uint32_t error, uint32_t fetch)
{
    static void (*const code[])(void *) = { read, write, exec };
    uint32_t wrong = 0;

    for (unsigned i = 0; i < 6; i++) {
        bool user = i >= 3;
        uint32_t bits = error | (i % 3 == 1 ? 2 : i % 3 == 2 ? fetch : 0) | (user ? 4 : 0);
        int trap = user ? rt_try_user_flags(code[i % 3], (void *)p, IF | 2) : rt_try(code[i % 3], (void *)p);

        if (rt_on_qemu && rt_last.error & 8)
            rt_last.error |= 1;         /* TCG leaves P clear, which the manual rules out */
        wrong += trap != PF || rt_last.error != bits || rt_last_cr2 != p;
    }
    return wrong;
}

/* And do they all go well? */
static bool all_go_well(uint32_t p)
{
    bool good = rt_try(read, (void *)p) == NO_TRAP && rt_try_user_flags(read, (void *)p, IF | 2) == NO_TRAP;

    good = good && rt_try(exec, (void *)p) == NO_TRAP && rt_try_user_flags(exec, (void *)p, IF | 2) == NO_TRAP;
    good = good && rt_try(write, (void *)(p + 64)) == NO_TRAP;
    return good && rt_try_user_flags(write, (void *)(p + 64), IF | 2) == NO_TRAP;
}

/* An entry that maps p is given one reserved bit after the other, and is good again behind each. */
static void test_reserved_bits(const char *name, volatile uint64_t *entry, uint64_t good, uint64_t reserved, uint32_t p,
                               uint32_t fetch)
{
    uint32_t wrong = 0, marked = 0;

    for (unsigned bit = 0; bit < 64; bit++)
        if (reserved >> bit & 1) {
            *entry = good;
            WRITE_CR(3, pdpt);
            wrong += !all_go_well(p);
            *entry = good | 1ull << bit;
            invlpg((void *)p);
            wrong += not_refused(p, 9, fetch);
            marked += ((*entry ^ good) & (PTE_A | PTE_D)) != 0;
        }
    *entry = good;
    WRITE_CR(3, pdpt);
    check(name, wrong, 0);
    check("not-marked", marked, 0);
    *entry = (good | reserved) & ~(uint64_t)PTE_P;
    invlpg((void *)p);
    check("reserved-bits-of-absent", not_refused(p, 0, fetch), 0);
    *entry = good;
    invlpg((void *)p);
}

static uint64_t bits_between(unsigned low, unsigned high)
{
    return (high == 63 ? 0 : 1ull << (high + 1)) - (1ull << low);
}

/* Without NXE bit 63 is one of them; a fetch is told from a read only with NXE. */
static void test_reserved(bool with_nxe)
{
    uint64_t high = bits_between(physical_bits, with_nxe ? 62 : 63);
    uint32_t fetch = with_nxe ? 0x10 : 0;

    nxe(with_nxe);
    *(uint8_t *)page[0] = *(uint8_t *)LARGE_FRAME = 0xc3;
    table[3] = (uint32_t)page[0] | ALL;
    test_reserved_bits("page", &table[3], (uint32_t)page[0] | ALL, high, TABLE_BASE + 0x3000, fetch);
    test_reserved_bits("table", &directory[511], (uint32_t)table | ALL | PTE_A, high, TABLE_BASE + 0x3000, fetch);
    test_reserved_bits("large-page", &directory[16], LARGE_FRAME | ALL | PTE_PS, high | bits_between(13, 20), LARGE_BASE,
                       fetch);
    nxe(false);
}

/* A reserved bit goes before missing rights; frames above 4 GiB are no RAM here, but an address like any other. */
static void test_order(void)
{
    uint32_t p = TABLE_BASE + 0x3000, wrong = 0;

    table[3] = (uint32_t)page[0] | PTE_P | 1ull << 51;
    invlpg((void *)p);
    check("reserved-before-rights", not_refused(p, 9, 0), 0);
    for (unsigned bit = 32; bit < physical_bits; bit++) {
        table[3] = (uint32_t)page[0] | ALL | 1ull << bit;
        invlpg((void *)p);
        *(uint32_t *)page[0] = 0xc3c3c3c3;
        wrong += rt_try_user_flags(write, (void *)p, IF | 2) != NO_TRAP || *(uint32_t *)page[0] != 0xc3c3c3c3;
        wrong += rt_try(read, (void *)p) != NO_TRAP || rt_result == 0xc3c3c3c3;
    }
    check("above-4-gib", wrong, 0);
    table[3] = 0;
    invlpg((void *)p);
}

/* --- the top entries --- */

CODE(load_cr3, "movl 4(%esp),%eax\n movl %eax,%cr3");
CODE(load_cr4, "movl 4(%esp),%eax\n movl %eax,%cr4");
CODE(load_cr0, "movl 4(%esp),%eax\n movl %eax,%cr0");

static void test_top_reserved(void)
{
    uint64_t reserved = bits_between(1, 2) | bits_between(5, 8) | bits_between(physical_bits, 63);
    uint64_t good = (uint32_t)directory | PTE_P;
    uint32_t wrong = 0;

    for (unsigned i = 0; i < 4; i++)
        for (unsigned bit = 0; bit < 64; bit++)
            if (reserved >> bit & 1) {
                uint64_t before = pdpt[i];

                pdpt[i] = good | 1ull << bit;
                wrong += rt_try(load_cr3, (void *)((uint32_t)pdpt | 8)) != GP || rt_last.error || READ_CR(3) != (uint32_t)pdpt;
                wrong += rt_try(load_cr4, (void *)(READ_CR(4) ^ CR4_PSE)) != GP || rt_last.error || READ_CR(4) & CR4_PSE;
                pdpt[i] = (good | 1ull << bit) & ~1ull;
                if (i)
                    wrong += rt_try(load_cr3, (void *)pdpt) != NO_TRAP;
                pdpt[i] = before;
                wrong += rt_try(load_cr3, (void *)pdpt) != NO_TRAP;
            }
    check("top-reserved", wrong, 0);
    pdpt[3] = good | 1ull << 5;
    paging_off();
    check_trap("top-reserved-cr3-without-paging", rt_try(load_cr3, (void *)pdpt), NO_TRAP, 0);
    check_trap("top-reserved-cr0", rt_try(load_cr0, (void *)(READ_CR(0) | CR0_PG)), GP, 0);
    check("top-reserved-cr0-off", READ_CR(0) & CR0_PG, 0);
    pdpt[3] = 0;
    check_trap("top-cr0", rt_try(load_cr0, (void *)(READ_CR(0) | CR0_PG | CR0_WP)), NO_TRAP, 0);
}

/* What is written to memory counts when CR3 is loaded next. */
static void test_top_registers(void)
{
    uint32_t there = 0x40000000u + (uint32_t)page[0];

    *(uint32_t *)page[0] = 0xabcd;
    check_trap("top-absent", rt_try(read, (void *)there), PF, 0);
    pdpt[1] = (uint32_t)directory | PTE_P;
    invlpg((void *)there);
    check_trap("top-still-absent", rt_try_user(read, (void *)there), PF, 4);
    WRITE_CR(3, pdpt);
    check_trap("top-present", rt_try(read, (void *)there), NO_TRAP, 0);
    check("top-present-value", rt_result, 0xabcd);
    pdpt[1] = 0;
    invlpg((void *)there);
    check_trap("top-still-present", rt_try_user(read, (void *)there), NO_TRAP, 0);
    WRITE_CR(3, pdpt);
    check_trap("top-gone", rt_try(read, (void *)there), PF, 0);
}

void test_main(void)
{
    uint32_t r[4];

    cpuid(1, r);
    if (!(r[3] & 1 << 6)) {
        skip("pae", "no PAE");
        return;
    }
    cpuid(0x80000008, r);
    physical_bits = r[0] & 0xff;
    pae_on();
    test_basics();
    test_nx();
    test_reserved(false);
    if (has_nx())
        test_reserved(true);
    else
        skip("reserved-with-nx", "no NX");
    test_order();
    if (rt_on_qemu) {
        skip("top-*", "(TCG keeps no top entries in registers)");
    } else {
        test_top_reserved();
        test_top_registers();
    }
    pae_off();
    check("off", *(uint32_t *)page[0], rt_on_qemu ? 0xc3c3c3c3 : 0xabcd);
}
