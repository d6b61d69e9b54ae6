/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processor's tables and the two chips without which nothing happens.
 *
 * GDT: flat code and data for ring 0 and ring 3, and one TSS (SDM volume 3,
 * 3.4.5 and 7.2), which here serves one purpose: it holds the stack that the
 * CPU takes when an interrupt comes from ring 3.  IDT: interrupt gates for
 * everything; the one for system calls has DPL 3 so that ring 3 may use INT.
 *
 * The 8259 pair is moved to vectors 32-47, because its power-on vectors lie on
 * the exceptions'.  The 8254's channel 0 interrupts HZ times a second.
 */
#include "kernel.h"

struct tss {
    uint32_t back_link, esp0, ss0, rest[22];
    uint16_t trap, io_map_base;
};

struct table_register {
    uint16_t limit;
    uint32_t base;
} __attribute__((packed));

static uint64_t gdt[6];
static uint64_t idt[256];
static struct tss tss;

extern const uint32_t trap_stubs[48], syscall_stub;

enum { ACCESS_CODE0 = 0x9a, ACCESS_DATA0 = 0x92, ACCESS_CODE3 = 0xfa, ACCESS_DATA3 = 0xf2, ACCESS_TSS = 0x89,
       FLAGS_FLAT = 0xc, FLAGS_BYTES = 0x0, GATE_RING0 = 0x8e, GATE_RING3 = 0xee };

static uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t access, uint32_t flags)
{
    uint32_t low = (limit & 0xffff) | base << 16;
    uint32_t high = (base >> 16 & 0xff) | access << 8 | (limit & 0xf0000) | flags << 20 | (base & 0xff000000);

    return (uint64_t)high << 32 | low;
}

static uint64_t gate(uint32_t handler, uint32_t access)
{
    uint32_t low = (uint32_t)SEL_KERNEL_CODE << 16 | (handler & 0xffff);
    uint32_t high = (handler & 0xffff0000) | access << 8;

    return (uint64_t)high << 32 | low;
}

static void gdt_load(void)
{
    struct table_register r = { sizeof gdt - 1, (uint32_t)gdt };

    gdt[1] = descriptor(0, 0xfffff, ACCESS_CODE0, FLAGS_FLAT);
    gdt[2] = descriptor(0, 0xfffff, ACCESS_DATA0, FLAGS_FLAT);
    gdt[3] = descriptor(0, 0xfffff, ACCESS_CODE3, FLAGS_FLAT);
    gdt[4] = descriptor(0, 0xfffff, ACCESS_DATA3, FLAGS_FLAT);
    gdt[5] = descriptor((uint32_t)&tss, sizeof tss - 1, ACCESS_TSS, FLAGS_BYTES);
    tss.ss0 = SEL_KERNEL_DATA;
    tss.io_map_base = sizeof tss;
    asm volatile("lgdt %0\n\t"
                 "ljmp %1, $1f\n"
                 "1:\tmovl %2, %%ds\n\t"
                 "movl %2, %%es\n\t"
                 "movl %2, %%ss\n\t"
                 "movl %3, %%fs\n\t"
                 "movl %3, %%gs\n\t"
                 "ltr %w4"
                 : : "m"(r), "i"(SEL_KERNEL_CODE), "r"(SEL_KERNEL_DATA), "r"(0), "r"(SEL_TSS) : "memory");
}

static void idt_load(void)
{
    struct table_register r = { sizeof idt - 1, (uint32_t)idt };

    for (unsigned v = 0; v < 48; v++)
        idt[v] = gate(trap_stubs[v], v == VEC_BREAKPOINT ? GATE_RING3 : GATE_RING0);
    idt[VEC_SYSCALL] = gate(syscall_stub, GATE_RING3);
    asm volatile("lidt %0" : : "m"(r));
}

void cpu_init(void)
{
    gdt_load();
    say("gdt: flat ring 0 and ring 3 segments, task register loaded\n");
    idt_load();
    say("idt: 48 interrupt gates, and vector %#x for system calls from ring 3\n", VEC_SYSCALL);
}

void cpu_set_kernel_stack(uint32_t top)
{
    tss.esp0 = top;
}

enum { PIC_MASTER = 0x20, PIC_SLAVE = 0xa0, PIC_EOI = 0x20, PIC_READ_ISR = 0x0b };

void pic_init(void)
{
    static const uint8_t words[4][2] = {
        { 0x11, 0x11 },                       /* ICW1: edge triggered, cascaded, ICW4 follows */
        { VEC_IRQ0, VEC_IRQ0 + 8 },           /* ICW2: vectors */
        { 1 << 2, 2 },                        /* ICW3: the slave hangs on input 2 */
        { 0x01, 0x01 },                       /* ICW4: 8086 mode, EOI by command */
    };

    for (unsigned i = 0; i < 4; i++) {
        outb(PIC_MASTER + (i > 0), words[i][0]);
        outb(PIC_SLAVE + (i > 0), words[i][1]);
    }
    outb(PIC_MASTER + 1, 0xfb);               /* all masked but the cascade */
    outb(PIC_SLAVE + 1, 0xff);
    say("pic: 8259 pair at vectors %u to %u\n", VEC_IRQ0, VEC_IRQ0 + 15);
}

void pic_unmask(unsigned irq)
{
    uint16_t port = irq < 8 ? PIC_MASTER + 1 : PIC_SLAVE + 1;

    outb(port, inb(port) & ~(1u << irq % 8));
}

void pic_done(unsigned irq)
{
    if (irq >= 8)
        outb(PIC_SLAVE, PIC_EOI);
    outb(PIC_MASTER, PIC_EOI);
}

/* An input that fell before it was acknowledged shows up as the chip's lowest one, not in service. */
bool pic_is_spurious(unsigned irq)
{
    uint16_t port = irq < 8 ? PIC_MASTER : PIC_SLAVE;

    if (irq != IRQ_SPURIOUS_MASTER && irq != IRQ_SPURIOUS_SLAVE)
        return false;
    outb(port, PIC_READ_ISR);
    if (inb(port) & 0x80)
        return false;
    if (irq == IRQ_SPURIOUS_SLAVE)
        outb(PIC_MASTER, PIC_EOI);            /* the cascade input itself was real */
    return true;
}

void pit_init(void)
{
    uint32_t divisor = (1193182 + HZ / 2) / HZ;

    outb(0x43, 0x34);                         /* channel 0, low byte then high byte, mode 2 */
    outb(0x40, divisor & 0xff);
    outb(0x40, divisor >> 8);
    pic_unmask(IRQ_TIMER);
    say("pit: %u interrupts a second\n", HZ);
}

void power_off(void)
{
    say("power off\n");
    outw(0x604, 0x2000);                      /* where an ACPI power switch is (QEMU), use it */
    for (;;)
        asm volatile("cli; hlt");             /* nothing can wake this CPU: the monitor ends */
}

void reboot(void)
{
    struct table_register none = { 0, 0 };

    say("reboot\n");
    for (unsigned i = 0; i < 100000 && (inb(0x64) & 2); i++)
        ;
    outb(0x64, 0xfe);                         /* the keyboard controller's reset line */
    asm volatile("lidt %0; int3" : : "m"(none)); /* or else a triple fault */
    power_off();
}
