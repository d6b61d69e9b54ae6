/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The replay guest: difftest's sequences inside a virtual machine.
 *
 * `difftest --emit FILE` wrote what the real CPU did; this multiboot kernel
 * gets FILE as its first module, gives each sequence the same user-mode world
 * (PAE with NX, the memory map and descriptors of model.h, kernel at
 * 0xC0000000 as Linux has it) and compares registers, flags, selectors,
 * faults with error code and CR2, memory and FPU state.  So the translator,
 * direct execution, the shadow page tables and the delivery of exceptions are
 * measured against the CPU, in every mode that btvmm can be started in.
 *
 * Kernel addresses are present pages here and were not there when
 * the record was made: that bit of the error code is not compared for them.
 */
#include "tests/diff/model.h"

#include "base/bits.h"
#include "base/mem.h"
#include "cpu/x86.h"

#define KERNEL_BASE 0xc0000000u
#define KERNEL_SIZE 0x10000000u
#define SHOW_MAX 40u

/* ORDER entry.S */
struct frame {
    uint32_t gs, fs, es, ds;
    uint32_t edi, esi, ebp, esp_unused, ebx, edx, ecx, eax;
    uint32_t vec, err;
    uint32_t eip, cs, eflags, esp, ss;
};

struct __attribute__((packed)) table_register {
    uint16_t limit;
    uint32_t base;
};

extern uint64_t kernel_pdpt[4];
extern const uint32_t trap_stubs[256];
extern char trap_stack_top[];
struct frame trapped;

void tables_load(const struct table_register *gdt, const struct table_register *idt);
void user_run(const struct cpu_state *s);
void replay_main(const uint32_t *mbi);
void replay_panic(const struct frame *f);

static struct guest_mem mem __attribute__((aligned(4096)));
static uint64_t user_directory[512] __attribute__((aligned(4096)));
static uint64_t user_tables[3][512] __attribute__((aligned(4096)));
static struct system_tables tables __attribute__((aligned(4096)));
static uint8_t fx[512] __attribute__((aligned(16)));
static bool have_nx;
static unsigned run, failed, skipped;

static inline void outb(uint16_t port, uint8_t v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }

static inline uint8_t inb(uint16_t port)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static void put_char(char c)
{
    while (!(inb(0x3fd) & 0x20))
        ;
    outb(0x3f8, (uint8_t)c);
}

static void put_text(const char *s)
{
    for (; *s; s++)
        put_char(*s);
}

static void put_hex(uint32_t v)
{
    put_text("0x");
    for (int shift = 28; shift >= 0; shift -= 4)
        put_char("0123456789abcdef"[v >> shift & 15]);
}

static void put_decimal(uint32_t v)
{
    if (v >= 10)
        put_decimal(v / 10);
    put_char((char)('0' + v % 10));
}

static void finish(void)
{
    put_text("DONE ");
    put_decimal(run - failed);
    put_text(" ok, ");
    put_decimal(failed);
    put_text(" failed, ");
    put_decimal(skipped);
    put_text(" skipped\n");
    outb(0xf4, failed != 0 || run == 0);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void replay_panic(const struct frame *f)
{
    put_text("FAIL trap in the kernel: vector ");
    put_hex(f->vec);
    put_text(" error ");
    put_hex(f->err);
    put_text(" eip ");
    put_hex(f->eip);
    put_char('\n');
    run++;
    failed++;
    finish();
}

void bug_at(const char *file, int line, const char *what)
{
    (void)file, (void)line;
    put_text(what);
    finish();
    __builtin_unreachable();
}

/* --- paging --- */

static void map(uint32_t gla, const void *what, uint32_t size, uint32_t flags, bool nx)
{
    for (uint32_t i = 0; i < size; i += PAGE_SIZE, gla += PAGE_SIZE) {
        uint64_t *table = user_tables[(gla >> 28) - 1]; /* 0x10000000, 0x20000000, 0x30000000 */
        uint32_t phys = (uint32_t)what + i - KERNEL_BASE;
        user_directory[gla >> 21] = ((uint32_t)table - KERNEL_BASE) | PTE_P | PTE_W | PTE_U;
        table[gla >> 12 & 511] = phys | PTE_P | PTE_U | flags | (nx && have_nx ? PTE_NX : 0);
    }
}

static bool cpu_has_nx(void)
{
    uint32_t a = 0x80000000, b, c, d;

    __asm__("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    if (a < 0x80000001)
        return false;
    a = 0x80000001;
    __asm__("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return d >> 20 & 1;
}

static void setup_paging(void)
{
    have_nx = cpu_has_nx();
    if (have_nx) {
        uint32_t lo, hi;
        __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(0xc0000080));
        __asm__ volatile("wrmsr" : : "a"(lo | BIT(11)), "d"(hi), "c"(0xc0000080));
    }
    map(CODE_BASE, mem.code, CODE_SIZE, 0, false);
    map(DATA_BASE, mem.data, DATA_SIZE, PTE_W, true);
    map(RO_BASE, mem.ro, RO_SIZE, 0, true);
    map(STACK_BASE, mem.stack, STACK_SIZE, PTE_W, true);
    kernel_pdpt[0] = ((uint32_t)user_directory - KERNEL_BASE) | PTE_P;
    __asm__ volatile("movl %0, %%cr3" : : "r"((uint32_t)kernel_pdpt - KERNEL_BASE) : "memory");
}

/* All that the CPU has: only then may user code run directly. */
static void setup_xsave(void)
{
    uint32_t a = 1, b, c, d;

    __asm__("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    if (!(c & BIT(26)))
        return;
    __asm__ volatile("movl %%cr4, %0" : "=r"(a));
    __asm__ volatile("movl %0, %%cr4" : : "r"(a | CR4_OSXSAVE));
    a = 0xd;
    c = 0;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    __asm__ volatile("xsetbv" : : "a"(a), "d"(d), "c"(0));
}

static void setup_tables(void)
{
    struct table_register gdt = {sizeof tables.gdt - 1, (uint32_t)tables.gdt};
    struct table_register idt = {sizeof tables.idt - 1, (uint32_t)tables.idt};

    system_tables_make(&tables, (uint32_t)&tables, (uint32_t)trap_stack_top, trap_stubs);
    tables_load(&gdt, &idt);
}

/* --- comparing --- */

static bool differs(const struct replay *r, const char *what, uint32_t want, uint32_t got)
{
    if (want == got)
        return false;
    if (failed >= SHOW_MAX)
        return true;
    put_text("FAIL sequence ");
    put_hex((uint32_t)(r->seed >> 32));
    put_hex((uint32_t)r->seed);
    put_char(' ');
    put_text(what);
    put_text(" expected ");
    put_hex(want);
    put_text(" got ");
    put_hex(got);
    put_text(" eip ");
    put_hex(trapped.eip);
    put_text(" vector ");
    put_decimal(trapped.vec);
    put_char('\n');
    return true;
}

static bool fault_differs(const struct replay *r, uint32_t cr2)
{
    uint32_t ignore = have_nx ? 0 : PFERR_I;

    if (cr2 - KERNEL_BASE < KERNEL_SIZE)
        ignore |= PFERR_P;
    if (r->vec != VEC_PF)
        ignore = 0;
    return differs(r, "vector", r->vec, trapped.vec) ||
           differs(r, "error", r->err & ~ignore, trapped.err & ~ignore) ||
           (r->vec == VEC_PF && differs(r, "cr2", r->cr2, cr2)) ||
           differs(r, "eip", r->end.eip, trapped.eip) || differs(r, "cs", r->end.sel[1], trapped.cs);
}

static bool registers_differ(const struct replay *r)
{
    static const char *const names[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
    const struct frame *f = &trapped;
    const uint32_t got[8] = {f->eax, f->ecx, f->edx, f->ebx, f->esp, f->ebp, f->esi, f->edi};
    bool bad = false;

    for (unsigned i = 0; i < 8; i++)
        bad |= differs(r, names[i], r->end.gpr[i], got[i]);
    bad |= differs(r, "eflags", r->end.eflags & r->eflags_mask, f->eflags & r->eflags_mask);
    return bad | differs(r, "es", r->end.sel[0], (uint16_t)f->es) |
           differs(r, "ss", r->end.sel[2], (uint16_t)f->ss) |
           differs(r, "ds", r->end.sel[3], (uint16_t)f->ds) |
           differs(r, "fs", r->end.sel[4], (uint16_t)f->fs) |
           differs(r, "gs", r->end.sel[5], (uint16_t)f->gs);
}

/* The same bytes as compare.c's fx_equal(). */
static bool fx_differs(const struct replay *r)
{
    const uint8_t *want = r->end.fx;
    bool bad = differs(r, "fcw/fsw", get32(want), get32(fx)) | differs(r, "ftw", want[4], fx[4]) |
               differs(r, "mxcsr", get32(want + 24), get32(fx + 24));

    for (unsigned i = 32; i < 160; i += 16)
        bad |= differs(r, "st", get32(want + i), get32(fx + i)) |
               differs(r, "st", get32(want + i + 4), get32(fx + i + 4)) |
               differs(r, "st", get16(want + i + 8), get16(fx + i + 8));
    for (unsigned i = 160; i < 288; i += 4)
        bad |= differs(r, "xmm", get32(want + i), get32(fx + i));
    return bad;
}

static void run_one(const struct replay *r)
{
    uint32_t cr2;
    bool bad;

    if (r->kind == OUT_FAULT && r->vec == VEC_PF && (r->err & (PFERR_I | PFERR_P)) == (PFERR_I | PFERR_P) &&
        !have_nx) {
        skipped++;
        return;
    }
    uint32_t end = r->img.place + r->img.code_len;
    image_memory(&r->img, &mem);
    __asm__ volatile("fxrstor %0" : : "m"(r->init.fx)); /* always: an exception may be pending from before */
    user_run(&r->init);
    if (r->fp)
        __asm__ volatile("fxsave %0" : "=m"(fx));
    __asm__ volatile("movl %%cr2, %0" : "=r"(cr2));
    run++;
    if (r->kind == OUT_END)
        bad = differs(r, "ending (vector)", VEC_GP, trapped.vec) ||
              differs(r, "ending (eip)", end + (trapped.cs == SEL_CODE32 ? CODE_BASE : 0), trapped.eip);
    else
        bad = fault_differs(r, cr2);
    bad |= registers_differ(r);
    bad |= differs(r, "memory", r->mem_hash, memory_hash(&mem));
    if (r->fp)
        bad |= fx_differs(r);
    failed += bad;
}

void replay_main(const uint32_t *mbi)
{
    const uint32_t *info = (const uint32_t *)((uint32_t)mbi + KERNEL_BASE);

    setup_tables();
    setup_paging();
    setup_xsave();
    if (!(info[0] & 8) || info[5] == 0) {
        put_text("FAIL no module with records\n");
        finish();
    }
    const uint32_t *module = (const uint32_t *)(info[6] + KERNEL_BASE);
    const struct replay *r = (const struct replay *)(module[0] + KERNEL_BASE);
    const struct replay *end = (const struct replay *)(module[1] + KERNEL_BASE);
    for (; r + 1 <= end && r->magic == REPLAY_MAGIC; r++)
        run_one(r);
    finish();
}
