// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Leaving for the host, and coming back.
 *
 * The monitor's half of a world switch is an ordinary call of the crosspage's to_host(), with all that the guest has in
 * the CPU saved around it.
 *
 * An NMI may arrive at any instruction here and then switches worlds itself, nested on the same stack. So it
 * preserves what the interrupted one has put into the crosspage, and CR2.
 */
#include "world/ring0/ring0.h"

/* The alarm may be what has fired; the run loop sets the next one. */
static void take_event(struct world *w)
{
    if (!w->cross->event)
        return;
    w->cross->event = 0;
    ring0_alarm_passed(w);
    w->vcpu->attention = 1;
}

/* What came while worlds were being switched is passed on before any IRET, as the host's handlers rely on. */
static void to_host(struct world *w)
{
    struct btmon_cross_abi *c = w->cross;

    for (;;) {
        ((void (*)(struct btmon_cross_abi *))c->to_host)(c);
        ring0_tables_load(w);
        if (likely(!*(volatile uint32_t *)&c->held))
            return;
        c->op = BTMON_OP_NONE;
    }
}

void ring0_switch(struct world *w, enum btmon_op op, uint32_t code, uint64_t arg)
{
    struct btmon_cross_abi *c = w->cross;
    uint64_t cr2 = read_cr2(), xcr0;

    ring0_fpu_save(w);
    xcr0 = ring0_xcr0_restore(w);
    ring0_doors_open(w);
    w->alarm_changed = false;
    c->op = op;
    c->code = code;
    c->arg = arg;
    to_host(w);
    w->vm->stats->host_switches = c->switches;
    ring0_xcr0_take(w, xcr0);
    ring0_fpu_load(w);
    write_cr2(cr2);
    take_event(w);
}

static void step(const struct world *w, enum trace_event event, uint64_t tsc, unsigned vec, uint32_t b, uint32_t c)
{
    struct trace_ring *t = &w->shared->trace;

    if (t->mask >> event & 1)
        trace_write_at(t, tsc, event, vec, b, c);
}

/* The steps of an interrupt, from what the module has noted of them; `before` it came. */
static void trace_steps(const struct world *w, unsigned vec, const struct btmon_cross_abi *before)
{
    const struct btmon_cross_abi *c = w->cross;

    step(w, TRACE_irq_left, c->tsc_left, vec, before->switches, 0);
    step(w, TRACE_irq_raised, c->tsc_raised, vec, 0, 0);
    step(w, TRACE_irq_handled, c->tsc_handled, vec, 0, 0);
    if (c->user_returns != before->user_returns)
        step(w, TRACE_irq_returned, c->tsc_returned, vec, c->user_returns, 0);
    step(w, TRACE_irq_entered, c->tsc_entered, vec, c->switches, 0);
    step(w, TRACE_irq_resumed, __builtin_ia32_rdtsc(), vec, 0, 0);
}

/* No steps are traced of NMIs and machine checks: they may have interrupted the writer of a record. */
void ring0_host_event(struct world *w, unsigned vec, unsigned cpl, uint32_t at)
{
    struct btmon_cross_abi *c = w->cross, before = *c;
    bool trace = c->trace && vec >= 32;

    if (unlikely(trace))
        step(w, TRACE_irq_vmm, __builtin_ia32_rdtsc(), vec, cpl, at);
    ring0_switch(w, BTMON_OP_INTR, 0, vec);
    if (unlikely(trace))
        trace_steps(w, vec, &before);
    c->op = before.op;
    c->code = before.code;
    c->arg = before.arg;
}

/* Whoever comes here may have run the guest's kernel by interpretation. */
void world_breathe(struct vm *vm)
{
    vm->world->desc_synced = false;
    __asm__ volatile("sti\n\tnop\n\tcli" : : : "memory");
}

void world_usercall(struct vm *vm, enum usercall call, uint32_t arg)
{
    TRACE_EV(vm->trace, worldswitch, call, arg, 0);
    vm->stats->world_switches++;
    if (call == USERCALL_RESET)
        vm->cross->reset_req++;
    ring0_switch(vm->world, BTMON_OP_USER, BTMON_USER_CALL, call);
}

/* The steps of the host's interrupts.  ORDER base/trace.def */
bool ring0_trace_wanted(const struct world *w)
{
    return w->shared->trace.mask & (BIT64(TRACE_irq_resumed + 1) - BIT64(TRACE_irq_vmm));
}

/* Writes no records. */
void trace_full(struct trace_ring *t)
{
    (void)t;
    ring0_switch(ring0_world(), BTMON_OP_USER, BTMON_USER_CALL, USERCALL_TRACE);
}
