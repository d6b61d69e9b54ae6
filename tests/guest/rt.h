/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the self-checking guests stand on.  A guest is one file with a function
 * test_main(), linked with rt.S and rt.c into a multiboot ELF: protected mode,
 * paging off, interrupts off, flat segments at 1 MiB, output on COM1.
 *
 * A guest prints "ok NAME", "skip NAME REASON" or "FAIL NAME expected X got Y"
 * for each check and ends "DONE n ok, m failed, k skipped"; the value 0 (or 1
 * after failures) goes to the exit port 0xf4, which gives the status 1 (or 3).
 *
 * Code under test is written with CODE() and run by rt_try() in ring 0 or
 * rt_try_user() in ring 3: both come back with the vector of the first trap
 * that no handler was set for, and with its frame in rt_last.
 */
#ifndef TESTS_GUEST_RT_H
#define TESTS_GUEST_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ORDER rt.S */
enum { SEL_CODE0 = 0x08, SEL_DATA0 = 0x10, SEL_CODE3 = 0x1b, SEL_DATA3 = 0x23, SEL_TSS = 0x28,
       SEL_DF_TSS = 0x30, SEL_FREE = 0x40, GDT_ENTRIES = 64 };
#define SLOT(n) (SEL_FREE + 8 * (n))

enum { DE = 0, DB = 1, NMI = 2, BP = 3, OF = 4, BR = 5, UD = 6, NM = 7, DF = 8, TS = 10, NP = 11, SS = 12, GP = 13,
       PF = 14, MF = 16, AC = 17, MC = 18, XM = 19, IRQ_BASE = 32, VEC_USER_RETURN = 0x81, NO_TRAP = -1 };

enum { CF = 1, ZF = 0x40, SF = 0x80, TF = 0x100, IF = 0x200, DFLAG = 0x400, IOPL3 = 0x3000, NT = 0x4000,
       RF = 0x10000, VM = 0x20000, ACFLAG = 0x40000 };

enum { CR0_PE = 1, CR0_MP = 2, CR0_EM = 4, CR0_TS = 8, CR0_NE = 0x20, CR0_WP = 0x10000, CR0_AM = 0x40000 };
#define CR0_PG 0x80000000u
enum { CR4_VME = 1, CR4_TSD = 4, CR4_DE = 8, CR4_PSE = 0x10, CR4_PAE = 0x20, CR4_PGE = 0x80, CR4_OSFXSR = 0x200,
       CR4_OSXMMEXCPT = 0x400 };

/* Descriptor access bytes (present) and flags */
enum { A_CODE = 0x9a, A_CODE_X = 0x98, A_CODE_CONFORMING = 0x9e, A_DATA = 0x92, A_DATA_RO = 0x90, A_DATA_DOWN = 0x96,
       A_LDT = 0x82, A_TSS = 0x89, A_TSS_BUSY = 0x8b, A_CALL_GATE = 0x8c, A_TASK_GATE = 0x85, A_INT_GATE = 0x8e,
       A_TRAP_GATE = 0x8f, A_TSS16 = 0x81, A_CALL_GATE16 = 0x84, A_INT_GATE16 = 0x86, A_TRAP_GATE16 = 0x87,
       A_DPL3 = 0x60, A_ABSENT = -0x80 };
enum { F_BYTES16 = 0, F_BYTES = 4, F_PAGES = 0xc };

struct frame {
    uint32_t gs, fs, es, ds;
    uint32_t edi, esi, ebp, esp_unused, ebx, edx, ecx, eax;
    uint32_t vector, error;
    uint32_t eip, cs, eflags, esp, ss;
    uint32_t v86_es, v86_ds, v86_fs, v86_gs;
};

struct tss {
    uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, io_base;
    uint8_t io_map[8193];
};

extern uint64_t rt_gdt[GDT_ENTRIES], rt_idt[256];
extern struct tss rt_tss;
extern struct frame rt_last;
extern uint32_t rt_last_cr2, rt_traps, rt_result;
extern char rt_user_stack_top[], rt_trap_stack_top[];
extern const uint32_t rt_stubs[256];
extern bool rt_on_qemu, rt_over_tcg; /* QEMU's TCG runs this guest; or runs what runs it */
extern uint32_t rt_spurious_count;

typedef void rt_handler(struct frame *f);
extern rt_handler *rt_handlers[256];

/* A routine in assembly; its argument is at 4(%esp), what it leaves in EAX comes to rt_result. */
#define CODE(name, body) \
    asm(".text\n.balign 4\n.globl " #name "\n" #name ":\n" body "\nret\n"); \
    void name(void *)

void test_main(void);

int rt_try(void (*code)(void *), void *argument);
int rt_try_user(void (*code)(void *), void *argument);
int rt_try_user_flags(void (*code)(void *), void *argument, uint32_t eflags);
/* The word is on the command line. */
bool rt_argument(const char *word);
/*
 * QEMU's TCG does not check segment limits. In a monitor that runs there, translated code reaches the monitor's
 * window; so does kernel code, which is always translated.
 */
bool rt_limits_checked(bool user_code);
/* Handler of IRQ 7: counts the 8259's spurious interrupts, which may come at any time at which an input is unmasked. */
void rt_spurious(struct frame *f);
void rt_reload_flat(void);
void rt_finish(void) __attribute__((noreturn));

void *memset(void *to, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
void put(const char *s);
void put_hex(uint32_t v);
void check(const char *name, uint32_t got, uint32_t expected);
/* The same, but where QEMU's TCG is known not to do what the manual says. */
void check_cpu(const char *name, uint32_t got, uint32_t expected);
void skip(const char *name, const char *reason);
/* A trap: the vector that rt_try() returned, and the error code. */
void check_trap(const char *name, int got, int vector, uint32_t error);
void check_trap_cpu(const char *name, int got, int vector, uint32_t error);

void gdt_set(uint32_t selector, uint32_t base, uint32_t limit, uint32_t access, uint32_t flags);
void gdt_gate(uint32_t selector, uint32_t code, const void *target, uint32_t access, uint32_t count);
void idt_set(uint32_t vector, uint32_t selector, const void *target, uint32_t access);
void idt_reset(void);
void lidt_limit(uint32_t limit);

/* Paging: linear = physical for the first 64 MiB, 4 KiB pages for everybody, writable. */
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80, PTE_G = 0x100 };
extern volatile uint32_t rt_directory[1024], rt_tables[16][1024];
void paging_on(void);
void paging_off(void);
volatile uint32_t *pte_of(const void *linear);
static inline void invlpg(const volatile void *p) { asm volatile("invlpg (%0)" : : "r"(p) : "memory"); }

/* PIC and PIT */
void pic_setup(uint8_t master_mask, uint8_t slave_mask);
void pic_eoi(void);
uint8_t pic_irr(void);
uint8_t pic_isr(void);
void pit_one_shot(uint16_t count);
void pit_periodic(uint16_t count);
bool wait_irq0_pending(void);   /* IF = 0: until the timer's request shows in the IRR */

#define READ_CR(n) ({ uint32_t v_; asm volatile("movl %%cr" #n ", %0" : "=r"(v_)); v_; })
#define WRITE_CR(n, v) asm volatile("movl %0, %%cr" #n : : "r"((uint32_t)(v)) : "memory")
#define READ_DR(n) ({ uint32_t v_; asm volatile("movl %%db" #n ", %0" : "=r"(v_)); v_; })
#define WRITE_DR(n, v) asm volatile("movl %0, %%db" #n : : "r"((uint32_t)(v)) : "memory")

static inline uint8_t inb(uint16_t port)
{
    uint8_t v;

    asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline void outb(uint16_t port, uint8_t v)
{
    asm volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void cpuid(uint32_t leaf, uint32_t r[4])
{
    asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
}

static inline uint32_t eflags_now(void)
{
    uint32_t v;

    asm volatile("pushfl\n\tpopl %0" : "=r"(v));
    return v;
}

#define ADDR(label) ({ extern char label[]; (uint32_t)label; })

#endif
