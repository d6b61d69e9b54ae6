/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens at an exception, an interrupt, or a system call: the C half of
 * trap.S.  A fault in a program ends the program, unless it is a first touch
 * of heap or stack; a fault in the kernel is a bug and ends the demonstration.
 */
#include "kernel.h"

volatile uint32_t ticks;

void trap_dispatch(struct trap_frame *f);

static const char *const names[] = {
    "divide error", "debug", "NMI", "breakpoint", "overflow", "bound range", "invalid opcode",
    "device not available", "double fault", "coprocessor overrun", "invalid TSS", "segment not present",
    "stack fault", "general protection", "page fault", "reserved", "x87 error", "alignment check",
    "machine check", "SIMD error",
};

const char *trap_name(uint32_t vector)
{
    return vector < sizeof names / sizeof names[0] ? names[vector] : "reserved vector";
}

static bool from_user(const struct trap_frame *f)
{
    return (f->cs & 3) == 3;
}

static void irq(struct trap_frame *f, unsigned line)
{
    if (pic_is_spurious(line))
        return;
    pic_done(line);
    if (line == IRQ_TIMER) {
        ticks++;
        if (ticks == 1)
            say("timer: the first interrupt has come\n");
        current->ticks++;
        if (from_user(f))
            schedule();                       /* a program's time slice is one tick */
    } else if (line == IRQ_COM1) {
        console_interrupt();
    }
}

static void describe_page_fault(const struct trap_frame *f)
{
    say("  address %08x: %s, %s, in %s mode\n", read_cr2(), f->error & 1 ? "protection" : "not present",
        f->error & 2 ? "write" : "read", f->error & 4 ? "user" : "kernel");
}

static void exception(struct trap_frame *f)
{
    if (f->vector == VEC_PAGE_FAULT && !(f->error & 1) && space_demand(current->directory, read_cr2())) {
        current->demand_faults++;
        return;
    }
    say("%s %s (pid %u): %s, error code %x, at %02x:%08x\n", from_user(f) ? "program" : "KERNEL", current->name,
        current->pid, trap_name(f->vector), f->error, f->cs, f->eip);
    if (f->vector == VEC_PAGE_FAULT)
        describe_page_fault(f);
    if (!from_user(f))
        power_off();
    process_exit(STATUS_KILLED);
}

void trap_dispatch(struct trap_frame *f)
{
    if (f->vector == VEC_SYSCALL)
        syscall_dispatch(f);
    else if (f->vector >= VEC_IRQ0)
        irq(f, f->vector - VEC_IRQ0);
    else
        exception(f);
}
