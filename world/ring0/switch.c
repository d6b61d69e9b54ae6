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

#define MXCSR_DEFAULT 0x1f80u
/* The alarm may be what has fired; the run loop sets the next one. */
static void take_event(struct world *w)
{
    if (!w->cross->event)
        return;
    w->cross->event = 0;
    w->cross->alarm = UINT64_MAX;
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
    w->clock.alarm_changed = false;
    c->op = op;
    c->code = code;
    c->arg = arg;
    to_host(w);
    ring0_xcr0_take(w, xcr0);
    ring0_fpu_load(w);
    write_cr2(cr2);
    take_event(w);
}

void ring0_host_event(struct world *w, unsigned vec)
{
    struct btmon_cross_abi *c = w->cross;
    uint32_t op = c->op, code = c->code;
    uint64_t arg = c->arg;

    ring0_switch(w, BTMON_OP_INTR, 0, vec);
    c->op = op;
    c->code = code;
    c->arg = arg;
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

/* Writes no records. */
void trace_full(struct trace_ring *t)
{
    (void)t;
    ring0_switch(ring0_world(), BTMON_OP_USER, BTMON_USER_CALL, USERCALL_TRACE);
}
