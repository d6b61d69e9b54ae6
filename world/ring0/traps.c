// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Traps in the monitor itself, and how it dies.
 *
 * Three kinds are no fault of ours: the host's interrupts (in the window of world_breathe()), NMIs and machine checks. They are
 * passed on, and the monitor goes on where it was. Everything else is our own bug: the VM ends with a dump of
 * the monitor's registers and the guest's, and the host lives.
 */
#include "world/ring0/ring0.h"

#include "base/assert.h"
#include "base/fmt.h"

#define STACK_SHOWN 32u

/* Words on the stack that look like return addresses (addr2line tells the rest). */
static size_t stack_dump(uint64_t rsp, char *buf, size_t size)
{
    const struct mon_header *image = (const struct mon_header *)MON_IMAGE;
    uint64_t bottom = MON_STACK_TOP - MON_STACK_SIZE;
    size_t n = (size_t)fmt(buf, size, " stack:");
    unsigned shown = 0;

    if (rsp < bottom || rsp >= MON_STACK_TOP)
        rsp = bottom; /* an overflow, or another stack */
    for (uint64_t p = rsp & ~7ul; p < MON_STACK_TOP && shown < STACK_SHOWN && n < size; p += 8) {
        uint64_t word = *(const uint64_t *)p;

        if (word - MON_IMAGE < image->text_size && ++shown)
            n += (size_t)fmt(buf + n, size - n, " %#lx", word);
    }
    return n < size ? n + (size_t)fmt(buf + n, size - n, "\n") : n;
}

void ring0_die(struct world *w, const char *msg)
{
    struct cross *x = w->shared;

    fmt(w->cross->why, sizeof w->cross->why, "%s", msg); /* the caller can't write there */
    if (x->stopped == VM_RUNNING) {
        fmt(x->stop_msg, sizeof x->stop_msg, "%s", msg);
        __atomic_store_n(&x->stopped, VM_STOP_BUG, __ATOMIC_RELEASE);
    }
    for (;;)
        ring0_switch(w, BTMON_OP_DEAD, 0, 0);
}

static size_t guest_dump(struct world *w, size_t n)
{
    struct cross *x = w->shared;

    if (n < sizeof x->dump && w->vcpu)
        n += (size_t)vcpu_dump(w->vcpu, x->dump + n, sizeof x->dump - n);
    return n;
}

void bug_at(const char *file, int line, const char *what)
{
    struct world *w = ring0_world();
    char msg[200];

    fmt(msg, sizeof msg, "bug: %s:%d: %s", file, line, what);
    if (!w->dying) {
        w->dying = true;
        guest_dump(w, stack_dump((uint64_t)__builtin_frame_address(0), w->shared->dump, sizeof w->shared->dump));
    }
    ring0_die(w, msg);
}

__attribute__((noreturn, cold)) static void monitor_fault(struct world *w, const struct trap_frame *f)
{
    char *dump = w->shared->dump;
    size_t size = sizeof w->shared->dump, n;
    char msg[160];

    fmt(msg, sizeof msg, "world: exception %u (error %#x) in the monitor at %#lx", (unsigned)f->vec, (unsigned)f->err,
        f->rip);
    if (w->dying)
        ring0_die(w, msg);
    w->dying = true;
    n = (size_t)fmt(dump, size,
                    "monitor: rip %#lx rsp %#lx err %#lx cr2 %#lx cs %#lx flags %#lx\n"
                    " rax %#lx rbx %#lx rcx %#lx rdx %#lx\n rsi %#lx rdi %#lx rbp %#lx\n"
                    " r8 %#lx r9 %#lx r10 %#lx r11 %#lx\n r12 %#lx r13 %#lx r14 %#lx r15 %#lx\n",
                    f->rip, f->rsp, f->err, read_cr2(), f->cs, f->rflags, f->rax, f->rbx, f->rcx, f->rdx, f->rsi,
                    f->rdi, f->rbp, f->r8, f->r9, f->r10, f->r11, f->r12, f->r13, f->r14, f->r15);
    if (n < size)
        n += stack_dump(f->rsp, dump + n, size - n);
    guest_dump(w, n);
    ring0_die(w, msg);
}

/* What was interrupted may be about to enter the guest: all that it has prepared is there again afterwards. */
void ring0_monitor_trap(struct trap_frame *f)
{
    struct world *w = ring0_world();
    uint16_t ds = SREG_GET(ds), es = SREG_GET(es), fs = SREG_GET(fs), gs = SREG_GET(gs);
    enum loaded loaded = w->loaded;
    bool shut = w->doors_shut;

    if (!vec_is_host((unsigned)f->vec))
        monitor_fault(w, f);
    ring0_host_event(w, (unsigned)f->vec, 0, (uint32_t)f->rip);
    if (loaded != LOADED_NOTHING) {
        SREG_SET(ds, ds);
        SREG_SET(es, es);
        SREG_SET(fs, fs);
        SREG_SET(gs, gs);
        w->loaded = loaded;
    }
    if (shut)
        ring0_doors_shut(w);
}
