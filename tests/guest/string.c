/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * String instructions: registers as far as they got at a page fault, going on
 * after it, both directions, 16-bit addresses, segment overrides, port I/O.
 */
#include "rt.h"

static uint8_t source[3 * 4096] __attribute__((aligned(4096)));
static uint8_t target[3 * 4096] __attribute__((aligned(4096)));

/* Arguments in a block: esi, edi, ecx, eax. */
#define ARGUMENTS "movl 4(%esp),%edx\n movl (%edx),%esi\n movl 4(%edx),%edi\n movl 8(%edx),%ecx\n movl 12(%edx),%eax\n"
#define KEEP "\n pushfl\n popl k_flags\n movl %esi,k_esi\n movl %edi,k_edi\n movl %ecx,k_ecx\n cld"
CODE(movsb, ARGUMENTS "movsb_at: rep movsb" KEEP);
CODE(movsl, ARGUMENTS "rep movsl" KEEP);
CODE(movsl_back, ARGUMENTS "std\n rep movsl" KEEP);
CODE(stosl, ARGUMENTS "stosl_at: rep stosl" KEEP);
CODE(stosb_a16, ARGUMENTS "addr16 rep stosb" KEEP);
CODE(lodsb, ARGUMENTS "rep lodsb" KEEP);
CODE(cmpsb, ARGUMENTS "repe cmpsb" KEEP);
CODE(scasb, ARGUMENTS "repne scasb" KEEP);
CODE(scasl_e, ARGUMENTS "repe scasl" KEEP);
CODE(insb, ARGUMENTS "movl $0x3ff,%edx\n rep insb" KEEP);
CODE(outsb, ARGUMENTS "movl $0x3ff,%edx\n rep outsb" KEEP);
CODE(movs_fs, "movl $0x48,%edx\n movl %edx,%fs\n" ARGUMENTS "rep movsb %fs:(%esi),%es:(%edi)" KEEP);
CODE(movsl_one, ARGUMENTS "movsl" KEEP);

uint32_t k_esi, k_edi, k_ecx, k_flags;

static int run(bool user, void (*code)(void *), const void *esi, const void *edi, uint32_t ecx, uint32_t eax)
{
    uint32_t block[4] = { (uint32_t)esi, (uint32_t)edi, ecx, eax };

    return user ? rt_try_user(code, block) : rt_try(code, block);
}

static uint32_t fills;

static void fill_page(struct frame *f)
{
    (void)f;
    fills++;
    *pte_of((void *)rt_last_cr2) |= PTE_P;
}

static void absent(void *page)
{
    *pte_of(page) &= ~PTE_P;
    invlpg(page);
}

static void present(void *page)
{
    *pte_of(page) |= PTE_P;
    invlpg(page);
}

static uint32_t differences(const uint8_t *a, const uint8_t *b, uint32_t n)
{
    uint32_t d = 0;

    for (uint32_t i = 0; i < n; i++)
        d += a[i] != b[i];
    return d;
}

static void reset(void)
{
    for (uint32_t i = 0; i < sizeof source; i++)
        source[i] = i * 11 + (i >> 8);
    memset(target, 0, sizeof target);
}

static void test_fault_state(bool user)
{
    uint32_t u = user ? 4 : 0;

    reset();
    absent(target + 4096);
    check_trap("movsb-fault", run(user, movsb, source + 1, target + 4000, 200, 0), PF, 2 | u);
    check("movsb-eip", rt_last.eip, ADDR(movsb_at));
    check("movsb-cr2", rt_last_cr2, (uint32_t)target + 4096);
    check("movsb-ecx", rt_last.ecx, 200 - 96);
    check("movsb-esi", rt_last.esi, (uint32_t)source + 97);
    check("movsb-edi", rt_last.edi, (uint32_t)target + 4096);
    check("movsb-done-part", differences(source + 1, target + 4000, 96), 0);
    check_trap("movsl-fault", run(user, movsl, source, target + 4090, 50, 0), PF, 2 | u);
    check("movsl-ecx", rt_last.ecx, 49);
    check("movsl-edi", rt_last.edi, (uint32_t)target + 4094);
    present(target + 4096);
    absent(source + 4096);
    check_trap("movsb-source-fault", run(user, movsb, source + 4095, target, 2, 0), PF, u);
    check("movsb-source-ecx", rt_last.ecx, 1);
    check_trap("lodsb-fault", run(user, lodsb, source + 4090, 0, 100, 0), PF, u);
    check("lodsb-ecx", rt_last.ecx, 94);
    check_trap("cmpsb-fault", run(user, cmpsb, source + 4095, source + 4095, 9, 0), PF, u);
    check("cmpsb-ecx", rt_last.ecx, 8);
    check_trap("zero-count", run(user, movsb, source + 4096, target, 0, 0), NO_TRAP, 0);
    check("zero-count-esi", k_esi, (uint32_t)source + 4096);
    present(source + 4096);
}

static void test_resume(bool user)
{
    reset();
    rt_handlers[PF] = fill_page;
    fills = 0;
    absent(source + 4096);
    absent(target + 4096);
    absent(target + 8192);
    check_trap("movsb-resumed", run(user, movsb, source + 10, target + 20, 9000, 0), NO_TRAP, 0);
    check("movsb-resumed-faults", fills, 3);
    check("movsb-resumed-bytes", differences(source + 10, target + 20, 9000), 0);
    check("movsb-resumed-ecx", k_ecx, 0);
    reset();
    absent(target);
    absent(target + 4096);
    fills = 0;
    check_trap("movsl-back-resumed", run(user, movsl_back, source + 8000, target + 8002, 2000, 0), NO_TRAP, 0);
    check("movsl-back-faults", fills, 2);
    check("movsl-back-bytes", differences(source + 4, target + 6, 8000), 0);
    check("movsl-back-esi", k_esi, (uint32_t)source);
    absent(target + 4096);
    fills = 0;
    check_trap("stosl-resumed", run(user, stosl, 0, target, 3 * 1024, 0xcafebabe), NO_TRAP, 0);
    check("stosl-faults", fills, 1);
    check("stosl-last", *(uint32_t *)(target + sizeof target - 4), 0xcafebabe);
    rt_handlers[PF] = NULL;
}

static void test_overlap(void)
{
    reset();
    memset(source, 0, 300);
    source[0] = 7;
    run(false, movsb, source, source + 1, 200, 0);
    check("overlap-spreads", source[200], 7);
    check("overlap-ends", source[201], 0);
    source[0] = 1, source[1] = 2, source[2] = 3, source[3] = 4;
    run(false, movsl, source, source + 4, 10, 0);
    check("overlap-dwords", *(uint32_t *)(source + 40), 0x04030201);
    run(false, movsl_one, source, target, 5, 0);
    check("movsl-one-ecx", k_ecx, 5);
    check("movsl-one-esi", k_esi, (uint32_t)source + 4);
}

static void test_compare(void)
{
    reset();
    memcpy(target, source, 100);
    target[60] ^= 1;
    run(false, cmpsb, source, target, 100, 0);
    check("cmpsb-stops", k_ecx, 39);
    check("cmpsb-zf", k_flags & ZF, 0);
    run(false, cmpsb, source, target, 60, 0);
    check("cmpsb-equal", k_flags & ZF, ZF);
    memset(target, 9, 100);
    target[70] = 8;
    run(false, scasb, 0, target, 100, 8);
    check("scasb-found", k_edi, (uint32_t)target + 71);
    check("scasb-zf", k_flags & ZF, ZF);
    run(false, scasb, 0, target, 50, 8);
    check("scasb-not-found", k_flags & ZF, 0);
    check("scasb-ecx", k_ecx, 0);
    run(false, scasl_e, 0, target, 20, 0x09090909);
    check("scasl-ecx", k_ecx, 2);
}

static void test_address_size(void)
{
    uint8_t *low = (uint8_t *)0x8000;

    memset(low, 0, 64);
    run(false, stosb_a16, 0, (void *)0x12348000, 0xabcd0010, 0x77);
    check("a16-ecx", k_ecx, 0xabcd0000);
    check("a16-edi", k_edi, 0x12348010);
    check("a16-stored", low[15] << 8 | low[16], 0x7700);
    gdt_set(SLOT(1), 0x100, 0xfffff, A_DATA, F_PAGES);
    reset();
    run(false, movs_fs, source, target, 32, 0);
    check("override", differences(source + 0x100, target, 32), 0);
}

/* The scratch register of the serial port, 0x3ff. */
static void test_ports(void)
{
    reset();
    source[9] = 0x3c;
    check_trap("rep-outsb", run(false, outsb, source, 0, 10, 0), NO_TRAP, 0);
    check("outsb-last", inb(0x3ff), 0x3c);
    check("outsb-esi", k_esi, (uint32_t)source + 10);
    check_trap("rep-insb", run(false, insb, 0, target, 10, 0), NO_TRAP, 0);
    check("insb-last", target[9] << 8 | target[10], 0x3c00);
    check("insb-edi", k_edi, (uint32_t)target + 10);
    absent(target + 4096);
    check_trap("insb-fault", run(false, insb, 0, target + 4094, 10, 0), PF, 2);
    check("insb-ecx", rt_last.ecx, 8);
    check("insb-fault-edi", rt_last.edi, (uint32_t)target + 4096);
    present(target + 4096);
    absent(source + 4096);
    check_trap("outsb-fault", run(false, outsb, source + 4093, 0, 10, 0), PF, 0);
    check("outsb-ecx", rt_last.ecx, 7);
    present(source + 4096);
}

/* An interrupt in the middle: the rest is done after it. */
static uint32_t interrupted_ecx, interrupts;

static void on_timer(struct frame *f)
{
    interrupts++;
    if (f->ecx)
        interrupted_ecx = f->ecx;
    pic_eoi();
}

CODE(long_stos, "movl $0x400000,%edi\n movl $0x800000,%ecx\n movb $0x5a,%al\n sti\n rep stosb\n cli\n movl %edi,%eax");

static void test_interrupted(void)
{
    rt_handlers[IRQ_BASE] = on_timer;
    pic_setup(0xfe, 0xff);
    pit_periodic(1193);
    check_trap("long-stos", rt_try(long_stos, 0), NO_TRAP, 0);
    pic_setup(0xff, 0xff);
    pit_one_shot(1);
    check("long-stos-edi", rt_result, 0xc00000);
    check("long-stos-last", *(uint8_t *)0xbfffff, 0x5a);
}

void test_main(void)
{
    paging_on();
    test_fault_state(false);
    test_fault_state(true);
    test_resume(false);
    test_resume(true);
    test_overlap();
    test_compare();
    test_address_size();
    test_ports();
    test_interrupted();
    paging_off();
}
