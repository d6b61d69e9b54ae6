/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The C half of the runtime: tables, traps, output, paging, timer.  See rt.h. */
#include "rt.h"

uint64_t rt_idt[256] __attribute__((aligned(8)));
struct tss rt_tss;
struct frame rt_last;
uint32_t rt_last_cr2, rt_traps, rt_spurious_count;
rt_handler *rt_handlers[256];
bool rt_on_qemu, rt_over_tcg;
volatile uint32_t rt_directory[1024] __attribute__((aligned(4096)));
volatile uint32_t rt_tables[16][1024] __attribute__((aligned(4096)));

extern volatile uint32_t rt_armed;
extern const uint32_t *rt_multiboot;
void rt_recover_with(int vector) __attribute__((noreturn));
void rt_setup(void);
void rt_trap(struct frame *f);

static unsigned count_ok, count_failed, count_skipped;

/* Output ------------------------------------------------------------------ */
static void put_char(char c)
{
    while (!(inb(0x3fd) & 0x20))
        ;
    outb(0x3f8, c);
}

void put(const char *s)
{
    for (; *s; s++) {
        if (*s == '\n')
            put_char('\r');
        put_char(*s);
    }
}

void put_hex(uint32_t v)
{
    for (int shift = 28; shift >= 0; shift -= 4)
        put_char("0123456789abcdef"[v >> shift & 15]);
}

static void put_decimal(unsigned v)
{
    if (v >= 10)
        put_decimal(v / 10);
    put_char('0' + v % 10);
}

void check(const char *name, uint32_t got, uint32_t expected)
{
    if (got == expected) {
        count_ok++;
        put("ok ");
        put(name);
    } else {
        count_failed++;
        put("FAIL ");
        put(name);
        put(" expected ");
        put_hex(expected);
        put(" got ");
        put_hex(got);
    }
    put("\n");
}

void skip(const char *name, const char *reason)
{
    count_skipped++;
    put("skip ");
    put(name);
    put(" ");
    put(reason);
    put("\n");
}

void check_cpu(const char *name, uint32_t got, uint32_t expected)
{
    if (rt_over_tcg && got != expected)
        skip(name, "(TCG differs from the manual)");
    else
        check(name, got, expected);
}

/* Vector and error code in one number, so that one line tells both. */
static uint32_t trap_code(int vector, uint32_t error)
{
    return vector == NO_TRAP ? 0xffffffff : (uint32_t)vector << 24 | (error & 0xffffff);
}

void check_trap(const char *name, int got, int vector, uint32_t error)
{
    check(name, trap_code(got, rt_last.error), trap_code(vector, error));
}

void check_trap_cpu(const char *name, int got, int vector, uint32_t error)
{
    check_cpu(name, trap_code(got, rt_last.error), trap_code(vector, error));
}

void rt_finish(void)
{
    put("DONE ");
    put_decimal(count_ok);
    put(" ok, ");
    put_decimal(count_failed);
    put(" failed, ");
    put_decimal(count_skipped);
    put(" skipped\n");
    outb(0xf4, count_failed != 0);
    for (;;)
        asm volatile("cli; hlt");
}

/* Traps ------------------------------------------------------------------- */
void rt_trap(struct frame *f)
{
    uint32_t vector = f->vector;

    if (vector == IRQ_BASE + 7 && rt_handlers[vector]) { /* no trap of the code under test */
        rt_handlers[vector](f);
        return;
    }
    rt_traps++;
    rt_last = *f;
    if (vector == PF)
        rt_last_cr2 = READ_CR(2);
    if (rt_handlers[vector]) {
        rt_handlers[vector](f);
        return;
    }
    if (rt_armed)
        rt_recover_with(vector == VEC_USER_RETURN ? NO_TRAP : (int)vector);
    put("FAIL unexpected trap ");
    put_hex(vector);
    put(" error ");
    put_hex(f->error);
    put(" at ");
    put_hex(f->cs);
    put(":");
    put_hex(f->eip);
    put(" cr2 ");
    put_hex(rt_last_cr2);
    put("\n");
    count_failed++;
    rt_finish();
}

void rt_spurious(struct frame *f)
{
    (void)f;
    rt_spurious_count++;
}

bool rt_argument(const char *word)
{
    const char *line = rt_multiboot[0] & 4 ? (const char *)rt_multiboot[4] : "";

    for (; *line; line++) {
        unsigned n = 0;

        while (word[n] && line[n] == word[n])
            n++;
        if (!word[n])
            return true;
    }
    return false;
}

bool rt_limits_checked(bool user_code)
{
    return !rt_argument("cpu=tcg") || (user_code && !rt_argument("mode=translate"));
}

/* Tables ------------------------------------------------------------------ */
void gdt_set(uint32_t selector, uint32_t base, uint32_t limit, uint32_t access, uint32_t flags)
{
    uint32_t low = (limit & 0xffff) | base << 16;
    uint32_t high = (base >> 16 & 0xff) | (access & 0xff) << 8 | (limit & 0xf0000) | flags << 20 | (base & 0xff000000);

    rt_gdt[selector / 8] = (uint64_t)high << 32 | low;
}

static uint64_t gate(uint32_t selector, uint32_t target, uint32_t access, uint32_t count)
{
    return (uint64_t)((target & 0xffff0000) | (access & 0xff) << 8 | count) << 32 | selector << 16 |
           (target & 0xffff);
}

void gdt_gate(uint32_t selector, uint32_t code, const void *target, uint32_t access, uint32_t count)
{
    rt_gdt[selector / 8] = gate(code, (uint32_t)target, access, count);
}

void idt_set(uint32_t vector, uint32_t selector, const void *target, uint32_t access)
{
    rt_idt[vector] = gate(selector, (uint32_t)target, access, 0);
}

void idt_reset(void)
{
    for (unsigned v = 0; v < 256; v++)
        idt_set(v, SEL_CODE0, (void *)rt_stubs[v], v == BP || v == OF || v >= 0x80 ? A_INT_GATE | A_DPL3 : A_INT_GATE);
    lidt_limit(sizeof rt_idt - 1);
}

void lidt_limit(uint32_t limit)
{
    struct { uint16_t limit; uint32_t base; } __attribute__((packed)) r = { limit, (uint32_t)rt_idt };

    asm volatile("lidt %0" : : "m"(r));
}

void rt_setup(void)
{
    uint32_t r[4];

    outb(0x3f9, 0);
    outb(0x3fb, 0x80);
    outb(0x3f8, 1);
    outb(0x3f9, 0);
    outb(0x3fb, 3);
    outb(0x3fa, 7);
    idt_reset();
    rt_tss.ss0 = SEL_DATA0;
    rt_tss.esp0 = (uint32_t)rt_trap_stack_top;
    rt_tss.io_base = 104;
    for (unsigned i = 0; i < sizeof rt_tss.io_map; i++)
        rt_tss.io_map[i] = 0xff;
    gdt_set(SEL_TSS, (uint32_t)&rt_tss, sizeof rt_tss - 1, A_TSS, F_BYTES16);
    rt_handlers[IRQ_BASE + 7] = rt_spurious;
    pic_setup(0xff, 0xff);
    cpuid(0x40000000, r);
    rt_on_qemu = r[1] == 0x54474354;    /* "TCGT" */
    rt_over_tcg = rt_on_qemu || rt_argument("cpu=tcg"); /* a monitor that itself runs there has us told */
}

/* Paging ------------------------------------------------------------------ */
void paging_on(void)
{
    for (uint32_t i = 0; i < 16 * 1024; i++)
        rt_tables[i / 1024][i % 1024] = i << 12 | PTE_P | PTE_W | PTE_U;
    for (uint32_t i = 0; i < 1024; i++)
        rt_directory[i] = i < 16 ? (uint32_t)rt_tables[i] | PTE_P | PTE_W | PTE_U : 0;
    WRITE_CR(3, rt_directory);
    WRITE_CR(0, READ_CR(0) | CR0_PG | CR0_WP);
}

void paging_off(void)
{
    WRITE_CR(0, READ_CR(0) & ~(CR0_PG | CR0_WP));
}

volatile uint32_t *pte_of(const void *linear)
{
    return &rt_tables[(uint32_t)linear >> 22][(uint32_t)linear >> 12 & 1023];
}

/* PIC and PIT ------------------------------------------------------------- */
void pic_setup(uint8_t master_mask, uint8_t slave_mask)
{
    outb(0x20, 0x11);
    outb(0xa0, 0x11);
    outb(0x21, IRQ_BASE);
    outb(0xa1, IRQ_BASE + 8);
    outb(0x21, 4);
    outb(0xa1, 2);
    outb(0x21, 1);
    outb(0xa1, 1);
    outb(0x21, master_mask);
    outb(0xa1, slave_mask);
}

void pic_eoi(void)
{
    outb(0x20, 0x20);
}

uint8_t pic_irr(void)
{
    outb(0x20, 0x0a);
    return inb(0x20);
}

uint8_t pic_isr(void)
{
    outb(0x20, 0x0b);
    return inb(0x20);
}

void pit_one_shot(uint16_t count)
{
    outb(0x43, 0x30);
    outb(0x40, count & 0xff);
    outb(0x40, count >> 8);
}

void pit_periodic(uint16_t count)
{
    outb(0x43, 0x34);
    outb(0x40, count & 0xff);
    outb(0x40, count >> 8);
}

bool wait_irq0_pending(void)
{
    pic_setup(0xfe, 0xff);
    pit_one_shot(50);
    for (unsigned i = 0; i < 10000000; i++)
        if (pic_irr() & 1)
            return true;
    return false;
}

void *memset(void *to, int c, size_t n)
{
    void *p = to;

    asm volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(c) : "memory");
    return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
    void *p = to;

    asm volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(n) : : "memory");
    return to;
}
