/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The demonstration guest: a small i386 kernel that uses what a virtual machine
 * monitor has to virtualize - segments, paging, rings, interrupts, devices -
 * and says on the serial line what it does.
 *
 * Reading order: boot.S, main.c, cpu.c, trap.S, trap.c, memory.c, process.c,
 * syscall.c, console.c, prompt.c; then user/.
 *
 * The kernel runs with interrupts off from entry to exit (all gates are
 * interrupt gates) and opens them only where it has nothing to do, so that no
 * locks are needed.
 */
#ifndef GUEST_KERNEL_H
#define GUEST_KERNEL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERNEL_BASE 0xC0000000u   /* physical memory is mapped from here on */
#define PAGE_SIZE 4096u
#define HZ 100u

/* User address space: programs are linked at 0x08048000; heap and stack fill on demand. */
#define HEAP_START 0x40000000u
#define HEAP_END 0x50000000u
#define STACK_START 0xBF000000u
#define STACK_END 0xC0000000u

enum selector { SEL_KERNEL_CODE = 0x08, SEL_KERNEL_DATA = 0x10, SEL_USER_CODE = 0x1b,
                SEL_USER_DATA = 0x23, SEL_TSS = 0x28 };

/* What trap.S leaves on the kernel stack.  ORDER trap.S */
struct trap_frame {
    uint32_t edi, esi, ebp, esp_unused, ebx, edx, ecx, eax;
    uint32_t gs, fs, es, ds;
    uint32_t vector, error;
    uint32_t eip, cs, eflags;
    uint32_t esp, ss;             /* only there when the trap came from ring 3 */
};

enum { VEC_DEBUG = 1, VEC_BREAKPOINT = 3, VEC_PAGE_FAULT = 14, VEC_IRQ0 = 32, VEC_SYSCALL = 0x80,
       IRQ_TIMER = 0, IRQ_COM1 = 4, IRQ_SPURIOUS_MASTER = 7, IRQ_SPURIOUS_SLAVE = 15 };

/* console.c */
void console_init(void);
void console_interrupt(void);
void console_put(char c);
int console_get(void);            /* -1: nothing typed */
bool console_has_input(void);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* cpu.c */
void cpu_init(void);
void cpu_set_kernel_stack(uint32_t top);
void pic_init(void);
void pic_unmask(unsigned irq);
void pic_done(unsigned irq);
bool pic_is_spurious(unsigned irq);
void pit_init(void);
void power_off(void) __attribute__((noreturn));
void reboot(void) __attribute__((noreturn));

/* trap.c */
extern volatile uint32_t ticks;
const char *trap_name(uint32_t vector);

/* memory.c */
struct process;
void memory_init(uint32_t memory_bytes);
void memory_report(void);
uint32_t frame_alloc(void);       /* physical address of a zeroed page; 0: none left */
void frame_free(uint32_t physical);
uint32_t space_new(void);         /* physical address of a page directory; 0: no memory */
void space_free(uint32_t directory);
bool space_map(uint32_t directory, uint32_t linear, uint32_t physical, bool writable);
bool space_demand(uint32_t directory, uint32_t linear);
bool space_accessible(uint32_t directory, uint32_t linear, uint32_t length);
void *space_page(uint32_t directory, uint32_t linear);
uint32_t kernel_space(void);

/* process.c */
enum process_state { PROCESS_FREE, PROCESS_READY, PROCESS_SLEEPING, PROCESS_WAITING, PROCESS_ENDED };

struct process {
    enum process_state state;
    uint32_t pid, parent;
    const char *name;
    uint32_t directory;           /* CR3 */
    uint32_t stack_page;          /* physical address of the kernel stack */
    uint32_t kernel_esp;          /* where switch_stack() left off */
    uint32_t wake_tick;
    uint32_t waiting_for;         /* pid; 0: a typed character */
    int32_t status;
    uint32_t ticks, demand_faults;
};

enum { PROCESS_MAX = 16, STATUS_KILLED = -1 };

extern struct process processes[PROCESS_MAX];
extern struct process *current;
void process_init(void);
int32_t process_spawn(const char *name, uint32_t argument);
void process_exit(int32_t status) __attribute__((noreturn));
int32_t process_wait(uint32_t pid);
void process_sleep_until(uint32_t tick);
void process_wait_input(uint32_t tick);
void schedule(void);
const char *program_name(unsigned i);

/* syscall.c, prompt.c */
void syscall_dispatch(struct trap_frame *f);
void prompt_run(void) __attribute__((noreturn));

/* Small things */
static inline void outb(uint16_t port, uint8_t v)
{
    asm volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t v)
{
    asm volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t v;

    asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint32_t read_cr2(void)
{
    uint32_t v;

    asm volatile("movl %%cr2, %0" : "=r"(v));
    return v;
}

static inline uint32_t read_cr3(void)
{
    uint32_t v;

    asm volatile("movl %%cr3, %0" : "=r"(v));
    return v;
}

static inline void write_cr3(uint32_t v)
{
    asm volatile("movl %0, %%cr3" : : "r"(v) : "memory");
}

static inline void *physical_pointer(uint32_t physical)
{
    return (void *)(physical + KERNEL_BASE);
}

void *memset(void *to, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
bool text_equal(const char *a, const char *b);
const char *text_find_word(const char *text, const char *word);

#endif
