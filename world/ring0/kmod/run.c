// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * BTMON_RUN: enter the VMM world, let the host have what interrupted it, look whether the host wants the CPU for
 * something else, and enter again; until the monitor wants the caller, or the host does (a signal, say).
 *
 * An interrupt that arrived in the VMM world has been acknowledged by the CPU but not at the APIC. INT n, still
 * with interrupts off, makes the host's handler run as if it had come now; the handler does the rest. NMIs and
 * machine checks that came during the switch go first.
 */
#define pr_fmt(fmt) "btmon: " fmt

#include <linux/cpufeature.h>
#include <linux/ktime.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <asm/fpu/api.h>
#include <asm/trapnr.h>
#include <asm/tsc.h>
#include "switch.h"
#include "vm.h"

#define ANCHOR_MS 10
#define FIRST_IRQ 0x20
#define SYSCALL_VECTOR 0x80

void btmon_raise(unsigned int vector); /* reraise.S */

/* ----------------------------------------------------------------- alarm -- */

enum hrtimer_restart vm_alarm(struct hrtimer *timer)
{
	struct vm *vm = container_of(timer, struct vm, timer);

	WRITE_ONCE(vm->cross->abi.event, 1);
	return HRTIMER_NORESTART;
}

/*
 * The timer must fire on this CPU, or it would not end the VMM world: it is cancelled first, because while its handler
 * runs on another CPU it could only be started there. Preemption is off.
 */
static void arm(struct vm *vm)
{
	u64 alarm = vm->cross->abi.alarm;

	if (alarm == vm->alarm && (vm->cpu == smp_processor_id() || !hrtimer_active(&vm->timer)))
		return;
	vm->alarm = alarm;
	hrtimer_cancel(&vm->timer);
	if (alarm < KTIME_MAX)
		hrtimer_start(&vm->timer, ns_to_ktime(alarm), HRTIMER_MODE_ABS_PINNED_HARD);
}

/* ---------------------------------------------------------------- switch -- */

static void renew_anchor(struct btmon_cross_abi *abi)
{
	u64 now = rdtsc();

	if (abi->anchor_ns && now - abi->anchor_tsc < abi->tsc_khz * ANCHOR_MS)
		return;
	abi->anchor_ns = ktime_get_ns();
	abi->anchor_tsc = rdtsc_ordered();
}

/* What only a broken monitor asks for: vectors that no device has. */
static bool host_vector(u64 vector)
{
	return vector == X86_TRAP_NMI || vector == X86_TRAP_MC ||
	       (vector >= FIRST_IRQ && vector <= 0xff && vector != SYSCALL_VECTOR);
}

static void reraise(struct vm *vm)
{
	struct btmon_cross_abi *abi = &vm->cross->abi;

	if (abi->held & BTMON_HELD_MC)
		btmon_raise(X86_TRAP_MC);
	if (abi->held & BTMON_HELD_NMI)
		btmon_raise(X86_TRAP_NMI);
	abi->held = 0;
	if (abi->op != BTMON_OP_INTR)
		return;
	if (!host_vector(abi->arg)) {
		vm->dead = true;
		return;
	}
	if (abi->trace)
		abi->tsc_raised = rdtsc();
	btmon_raise(abi->arg);
	if (abi->trace)
		abi->tsc_handled = rdtsc();
}

/* Interrupts are off. */
static void switch_and_reraise(struct vm *vm)
{
	struct crosspage *x = vm->cross;
	int cpu = smp_processor_id();

	if (cpu != vm->cpu) {
		cross_arrive(x);
		vm->cpu = cpu;
	}
	renew_anchor(&x->abi);
	x->abi.switches++;
	if (x->abi.trace)
		x->abi.tsc_entered = rdtsc();
	world_switch(x);
	if (x->abi.trace)
		x->abi.tsc_left = rdtsc();
	reraise(vm);
}

static void enter_once(struct vm *vm)
{
	preempt_disable();
	arm(vm);
	kernel_fpu_begin();
	local_irq_disable();
	switch_and_reraise(vm);
	local_irq_enable();
	kernel_fpu_end();
	preempt_enable();
}

/* Besides signals there is what the kernel puts off until a task goes back to user code, and would wait for. */
static bool caller_wanted(void)
{
	return signal_pending(current) || test_thread_flag(TIF_NOTIFY_RESUME);
}

int vm_run(struct vm *vm, struct btmon_run *arg)
{
	struct btmon_cross_abi *abi = &vm->cross->abi;
	int rc = -EINTR;

	if (arg->event)
		WRITE_ONCE(abi->event, 1);
	while (rc && !vm->dead && !caller_wanted()) {
		enter_once(vm);
		if (abi->op == BTMON_OP_USER) {
			arg->code = abi->code;
			arg->arg = abi->arg;
			rc = 0;
		} else if (abi->op == BTMON_OP_DEAD) {
			pr_warn_ratelimited("the monitor gave up: code %u, %#llx %.*s\n", abi->code, abi->arg,
					    (int)sizeof(abi->why), abi->why);
			vm->dead = true;
		}
		cond_resched_tasks_rcu_qs(); /* no task stays longer out of sight of RCU than for one entry */
	}
	if (vm->dead)
		return -EIO;
	abi->user_returns++;
	if (abi->trace)
		abi->tsc_returned = rdtsc();
	return rc;
}
