// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The run loop: events, interrupts, and who runs the guest next.
 *
 * World: VMM, every world.  One turn of the loop: take the events that have
 * arrived (time, console, requests of the VMX), deliver an interrupt if the
 * guest can take one, then run the guest by the translator, directly, or by
 * the interpreter, as its state asks (the execution manager).
 *
 * An event never polls: the world raises v->attention by a signal (or a host
 * interrupt) and whatever runs the guest comes back at an instruction
 * boundary.
 */
#include "world/run.h"
#include "base/assert.h"
#include "bt/bt.h"
#include "cpu/control.h"
#include "cpu/exception.h"
#include "cpu/interp.h"
#include "cpu/io.h"
#include "devices/hot/board.h"
#include "shadowmmu/mmu.h"
#include "world/config.h"
#include "world/cross.h"
#include "world/direct.h"
#include "world/inject.h"
#include "world/monitorbug.h"
#include "world/world.h"

/* ------------------------------------------------------------------ start */

static void boot_segment(struct vcpu *v, unsigned seg, uint16_t sel, uint16_t type)
{
    struct seg s = { sel, SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_DB | SEG_ATTR_G | SEG_ATTR_A | type, 0, 0xffffffffu };

    v->seg[seg] = s;
    v->hsel_dirty |= BIT(seg);
}

/* The state that a 32-bit boot protocol promises: flat segments, no paging, IF=0. */
static void boot_protected(struct vcpu *v, const struct boot_state *b)
{
    v->cr0 = CR0_PE | CR0_ET;
    memcpy(v->gpr, b->gpr, sizeof v->gpr);
    v->eip = b->eip;
    v->eflags = EFLAGS_FIXED;
    v->cpl = 0;
    v->gdtr = (struct dtr){ b->gdt_base, (uint16_t)b->gdt_limit };
    boot_segment(v, SEG_CS, b->cs, SEG_ATTR_CODE | SEG_ATTR_RW);
    for (unsigned s = 0; s < SEG_COUNT; s++)
        if (s != SEG_CS)
            boot_segment(v, s, b->ds, SEG_ATTR_RW);
}

static void machine_reset(struct vm *vm)
{
    const struct cross_config *c = vm->config;
    struct board_config bc = { .ram_size = vm->ram_size, .wallclock_ns = c->wallclock_ns, .serial_tx = console_tx,
                               .opaque = vm, .debug_exit_port = (uint16_t)c->debug_exit_port };

    board_init(vm->board, &bc);
    vcpu_reset(vm->vcpu);
    mmu_reset(vm);
    bt_reset(vm);
    inject_reset(vm);
    if (c->boot.protected_mode)
        boot_protected(vm->vcpu, &c->boot);
    vm->vcpu->attention = 1;
}

static void machine_init(struct vm *vm)
{
    vm->vcpu->vm = vm;
    vm->vcpu->cpuid = cpuid_model_find(vm->config->cpu_model);
    if (!vm->vcpu->cpuid)
        vm->vcpu->cpuid = cpuid_model_find("btvmm32");
    vm->board = arena_alloc(&vm->arena, board_size(), 64);
    mmu_init(vm);
    bt_init(vm);
    direct_init(vm);
    inject_init(vm);
    machine_reset(vm);
}

/* ----------------------------------------------------------------- events */

static void take_board_event(struct vm *vm)
{
    uint32_t code = 0;

    switch (board_take_event(vm->board, &code)) {
    case BOARD_RESET:
        vm_stop(vm, VM_STOP_RESET, "the guest asked for a reset");
        break;
    case BOARD_EXIT:
        vm->stop_code = (int)code;
        vm_stop(vm, VM_STOP_EXIT, "the guest wrote %u to the debug exit port", code);
        break;
    default:
        break;
    }
}

/* The counters that are differences of others. */
static void count_time(struct vm *vm)
{
    struct stats *s = vm->stats;

    s->cycles_total = io_rdtsc() - vm->start_tsc;
    s->cycles_monitor = s->cycles_total - s->cycles_bt - s->cycles_direct - s->cycles_interp - s->cycles_idle;
}

static void take_host_requests(struct vm *vm)
{
    struct cross *x = vm->cross;

    if (x->host_stop)
        vm_stop(vm, VM_STOP_HOST, "stopped by the host");
    if (x->nmi_req != x->nmi_ack) {
        x->nmi_ack = x->nmi_req;
        board_raise_nmi(vm->board);
    }
    if (x->stats_req != x->stats_ack) {
        count_time(vm);
        x->stats_ack = x->stats_req;
        world_usercall(vm, USERCALL_CONSOLE, 0);
    }
}

#define BREAK_AT 10u /* interrupts */

static void take_events(struct vm *vm)
{
    if (unlikely(vm->config->bt.monitor_bug) && vm->stats->interrupts >= BREAK_AT)
        monitor_bug(vm->config->bt.monitor_bug);
    vm->vcpu->attention = 0;
    console_rx(vm);
    board_advance(vm->board, world_now(vm));
    take_board_event(vm);
    take_host_requests(vm);
    vm->vcpu->nmi_pending |= board_take_nmi(vm->board);
}

/* The rule: whenever the guest runs, the alarm stands at the time when a device next wants to raise its line. */
void run_arm(struct vm *vm)
{
    world_set_alarm(vm, board_deadline(vm->board));
}

static bool nmi_ready(const struct vcpu *v)
{
    return v->nmi_pending && !v->nmi_blocked && !v->shadow;
}

/* Deliver what the guest can take now. True: the vCPU has moved to a handler. */
static void take_interrupts(struct vm *vm)
{
    struct vcpu *v = vm->vcpu;
    bool intr = board_intr(vm->board);

    if (nmi_ready(v)) {
        vcpu_deliver_nmi(v);
        intr = board_intr(vm->board);
    }
    if (intr && vcpu_can_interrupt(v)) {
        vcpu_deliver_interrupt(v, board_inta(vm->board));
        board_advance(vm->board, world_now(vm));
        intr = board_intr(vm->board);
    } else if (unlikely(vm->inject) && !intr) {
        inject_interrupt(v);
    }
    bt_set_irq_pending(vm, intr);
}

static void take_halt(struct vm *vm)
{
    struct vcpu *v = vm->vcpu;

    if (!(v->eflags & EFLAGS_IF) && !nmi_ready(v)) {
        vm_stop(vm, VM_STOP_HALTED, "halted with interrupts off");
        return;
    }
    vm->stats->halts++;
    while (!vm->stop && !board_intr(vm->board) && !nmi_ready(v)) {
        world_idle(vm, board_deadline(vm->board));
        take_events(vm);
    }
    v->shadow = 0;
}

/* ------------------------------------------------------ execution manager */

static bool interp_wanted(const struct vcpu *v)
{
    const struct bt_options *o = &v->vm->config->bt;

    return o->interp_only || (o->interp_user && v->cpl == 3) || (o->interp_kernel && v->cpl != 3);
}

static void run_guest(struct vcpu *v)
{
    if (interp_wanted(v) || !bt_can_run(v)) {
        uint64_t t = io_rdtsc();

        interp_run_one(v);
        v->vm->stats->cycles_interp += io_rdtsc() - t;
    } else if (direct_wanted(v)) {
        direct_run(v);
    } else {
        uint32_t entered_cpl = v->cpl;

        bt_run(v);
        direct_note_translated(v, entered_cpl);
    }
}

/* ------------------------------------------------------------------ the end */

static void write_dump(struct vm *vm)
{
    struct cross *x = vm->cross;
    const struct vcpu *v = vm->vcpu;
    const struct bt_options *o = &vm->config->bt;
    struct cross_end e = { .valid = 1, .eip = v->eip, .cr0 = v->cr0, .cr3 = v->cr3, .cr4 = v->cr4 };

    vcpu_dump(v, x->dump, sizeof x->dump);
    e.code32 = vcpu_protected(v) && vcpu_code32(v);
    e.stack32 = vcpu_protected(v) && vcpu_stack32(v);
    e.esp = v->gpr[REG_ESP];
    e.cs_base = v->seg[SEG_CS].base;
    e.ss_base = v->seg[SEG_SS].base;
    memcpy(e.pdpte, v->pdpte, sizeof e.pdpte);
    e.nrecent = bt_recent(vm, e.recent, CROSS_RECENT);
    e.recent_all = o->inject_irq || (o->no_chain && o->no_indirect);
    x->end = e;
}

static void report_stop(struct vm *vm)
{
    struct cross *x = vm->cross;

    count_time(vm);
    if (vm->bt) /* or there never was a machine */
        write_dump(vm);
    memcpy(x->stop_msg, vm->stop_msg, sizeof x->stop_msg);
    x->stop_code = vm->stop_code;
    x->stopped = vm->stop;
    world_usercall(vm, USERCALL_STOPPED, (uint32_t)vm->stop);
}

static void run_until_stop(struct vm *vm)
{
    struct vcpu *v = vm->vcpu;

    while (!vm->stop) {
        world_breathe(vm);
        if (v->attention)
            take_events(vm);
        take_interrupts(vm);
        if (vm->stop)
            break;
        if (v->halted) {
            take_halt(vm);
        } else {
            run_arm(vm);
            run_guest(v);
        }
    }
}

void monitor_main(struct vm *vm)
{
    vm->start_tsc = io_rdtsc();
    if (config_take(vm))
        machine_init(vm);
    for (;;) {
        run_until_stop(vm);
        if (vm->stop != VM_STOP_RESET)
            break;
        world_usercall(vm, USERCALL_RESET, 0);
        if (vm->cross->host_stop)
            break;
        vm->stop = VM_RUNNING;
        if (config_take(vm))
            machine_reset(vm);
    }
    report_stop(vm);
}
