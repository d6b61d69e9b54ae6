/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest time, the alarm, sleeping and ringing the VMX.
 *
 * Guest time is the host's CLOCK_MONOTONIC less its value at the start.  A system call costs 0.2 us, RDTSC a
 * tenth of that, so between anchors (50 ms) time is the anchor plus scaled TSC cycles.  Each anchor takes the
 * system call's word, so that nothing drifts, and corrects the scale; the result never goes back.
 *
 * The alarm is one POSIX timer that raises SIGALRM.  Setting it is a system call, so when several alarms have come at
 * about equal distances, as a guest's ticks do, the timer is made to repeat.  Alarms then cost no call as long as it
 * happens to fire when one is due or up to LATE_NS after it.  If it fires too early it is left alone as well, but not
 * in sleep: guests mask their timer while they handle its interrupt.
 *
 * Sleeping is waiting for signals, the alarm's among them: a guest that sleeps to its next tick has just had it set, and
 * so pays for no second timer.  The wait takes the signal itself, no handler runs. One that comes between the last look
 * at v->attention and the wait does run a handler, which then makes the wait return at once, as it does for the entry
 * to the guest (enter.c).
 */
#include "world/proc/kview.h"
#include "world/proc/sigframe.h"

#include "base/assert.h"

#define NS 1000000000ull
#define ANCHOR_NS 50000000ull
#define CALIBRATE_MIN_NS 20000000ull
#define CALIBRATE_MAX_NS 2000000000ull
#define PERIOD_MIN_NS 500000u
#define PERIOD_MAX_NS 1000000000u
#define RUN_MIN 4u
#define RUN_SPREAD_NS 20000u
#define LATE_NS 20000u
#define ALARM_UNKNOWN 0
#define SANE_SYSCALL_CYCLES 30000u /* a longer one was interrupted: no good for calibration */

static uint64_t monotonic_ns(void)
{
    struct sys_timespec t;

    sys3(SYS_NR_clock_gettime, SYS_CLOCK_MONOTONIC, (long)&t, 0);
    return (uint64_t)t.sec * NS + (uint64_t)t.nsec;
}

/* (ns << 32) / cycles; ns >> 32 must be below cycles. */
static uint64_t ratio32(uint64_t ns, uint64_t cycles)
{
    uint64_t q, rem;

    __asm__("divq %4" : "=a"(q), "=d"(rem) : "0"(ns << 32), "1"(ns >> 32), "r"(cycles) : "cc");
    return q;
}

void proc_clock_init(struct world *w)
{
    struct proc_clock *c = &w->clock;
    uint64_t hz = w->cross->config.tsc_hz;

    c->start_ns = monotonic_ns();
    c->start_tsc = c->anchor_tsc = rdtsc();
    c->anchor_ns = c->last = 0;
    c->alarm = UINT64_MAX;
    c->mult = hz >= 1000000 && hz < 20 * NS ? ratio32(NS, hz) : 0;
    c->anchor_cycles = c->mult ? hz / (NS / ANCHOR_NS) : 0;
}

/* Learn the scale from the interval that ends now. */
static void clock_calibrate(struct proc_clock *c, uint64_t ns, uint64_t cycles)
{
    uint64_t m;

    if (ns < CALIBRATE_MIN_NS || ns > CALIBRATE_MAX_NS || cycles < ns / 64)
        return;
    m = ratio32(ns, cycles);
    if (!c->mult)
        c->mult = m;
    else
        c->mult = c->mult - c->mult / 8 + m / 8;
    c->anchor_cycles = cycles / (ns / 1000) * (ANCHOR_NS / 1000);
}

static uint64_t clock_anchor(struct proc_clock *c)
{
    uint64_t before = rdtsc(), ns = monotonic_ns() - c->start_ns, after = rdtsc();

    if (!c->mult && ns - c->anchor_ns < CALIBRATE_MIN_NS)
        return ns; /* still learning: leave the first anchor in place */
    if (after - before < SANE_SYSCALL_CYCLES)
        clock_calibrate(c, ns - c->anchor_ns, after - c->anchor_tsc);
    c->anchor_ns = ns;
    c->anchor_tsc = after;
    return ns;
}

uint64_t world_now(struct vm *vm)
{
    struct proc_clock *c = &vm->world->clock;
    uint64_t cycles = rdtsc() - c->anchor_tsc, t;

    if (likely(cycles < c->anchor_cycles))
        t = c->anchor_ns + (cycles * c->mult >> 32);
    else
        t = clock_anchor(c);
    if (t < c->last)
        t = c->last;
    c->last = t;
    return t;
}

static void timespec_set(struct sys_timespec *t, uint64_t ns)
{
    t->sec = (int64_t)(ns / NS);
    t->nsec = (int64_t)(ns % NS);
}

/* The timer has fired: when will it again?  After a delay of that order it may have skipped a period or not. */
static void alarm_advance(struct proc_clock *c, uint64_t now)
{
    c->fired = false;
    if (!c->period)
        c->alarm = UINT64_MAX;
    else if (now - c->alarm < c->period / 2)
        c->alarm += c->period;
    else
        c->alarm = ALARM_UNKNOWN;
}

/* It fires next at `from` or later, and for `when` in time. */
static bool alarm_stands(const struct proc_clock *c, uint64_t from, uint64_t when)
{
    return !c->fired && c->alarm >= from && (c->alarm <= when || c->alarm - when <= (c->period ? LATE_NS : 0));
}

/* Another alarm is wanted than the last time: is it one of an evenly spaced run?  The longer that is, the better its spacing is known. */
static void run_observe(struct proc_clock *c, uint64_t when)
{
    uint64_t delta = when - c->wanted;

    if (c->run && delta - c->spacing + RUN_SPREAD_NS <= 2 * RUN_SPREAD_NS) {
        c->run++;
    } else {
        c->run = delta >= PERIOD_MIN_NS && delta <= PERIOD_MAX_NS;
        c->run_begin = c->wanted;
    }
    if (c->run)
        c->spacing = (when - c->run_begin) / c->run;
    c->wanted = when;
}

static void timer_set(struct world *w, uint64_t when)
{
    struct proc_clock *c = &w->clock;
    struct sys_itimerspec spec = { { 0, 0 }, { 0, 0 } };
    bool repeat = when != UINT64_MAX && c->run >= RUN_MIN;

    c->period = repeat ? c->spacing : 0;
    c->alarm = repeat ? when + LATE_NS / 2 : when;
    if (when != UINT64_MAX)
        timespec_set(&spec.value, c->start_ns + c->alarm);
    timespec_set(&spec.interval, c->period);
    c->fired = false; /* before the timer can fire */
    __asm__ volatile("" : : : "memory");
    if (sys4(SYS_NR_timer_settime, w->timer, SYS_TIMER_ABSTIME, (long)&spec, 0) < 0)
        BUG("timer_settime failed");
}

static void alarm_set(struct vm *vm, uint64_t from, uint64_t when)
{
    struct proc_clock *c = &vm->world->clock;
    uint64_t now;

    if (when != c->wanted && when != UINT64_MAX)
        run_observe(c, when);
    if (alarm_stands(c, from, when))
        return;
    now = world_now(vm);
    if (c->fired)
        alarm_advance(c, now);
    if (when <= now)
        vm->vcpu->attention = 1;
    else if (!alarm_stands(c, from, when))
        timer_set(vm->world, when);
}

void world_set_alarm(struct vm *vm, uint64_t when) { alarm_set(vm, ALARM_UNKNOWN + 1, when); }

/* Wait for one of *signals and take it: its number, or 0 if there was no need to wait. */
__attribute__((naked)) static long signal_wait(const struct vcpu *v __attribute__((unused)),
                                               const uint64_t *signals __attribute__((unused)))
{
    __asm__(".globl proc_sleep_crit\n"
            ".hidden proc_sleep_crit\n"
            "proc_sleep_crit:\n\t"
            "cmpl $0, %c[att](%%rdi)\n\t"
            "jne proc_sleep_abort\n\t"
            "mov %%rsi, %%rdi\n\t"
            "xor %%esi, %%esi\n\t"
            "xor %%edx, %%edx\n\t"
            "mov $8, %%r10d\n\t"
            "mov $%c[nr], %%eax\n\t"
            "syscall\n"
            ".globl proc_sleep_crit_end\n"
            ".hidden proc_sleep_crit_end\n"
            "proc_sleep_crit_end:\n\t"
            "ret\n"
            ".globl proc_sleep_abort\n"
            ".hidden proc_sleep_abort\n"
            "proc_sleep_abort:\n\t"
            "xor %%eax, %%eax\n\t"
            "ret"
            :
            : [att] "i"(offsetof(struct vcpu, attention)), [nr] "i"(SYS_NR_rt_sigtimedwait));
}

void world_idle(struct vm *vm, uint64_t until)
{
    static const uint64_t signals = BIT64(SIG_ALRM - 1) | BIT64(SIG_USR1 - 1) | BIT64(SIG_CHLD - 1);
    uint64_t begin = rdtsc();
    long sig;

    alarm_set(vm, until, until);
    sig = signal_wait(vm->vcpu, &signals);
    if (sig > 0)
        proc_event(vm->world, (int)sig);
    vm->stats->cycles_idle += rdtsc() - begin;
}

/* Signals come at any time. */
void world_breathe(struct vm *vm) { (void)vm; }

/*
 * The VMX is slow with its text, so wait until half the ring is free.  No record may be written here.  The VMX
 * wakes the low half of `tail` when it has drained; it drains for as long as we live.
 */
void trace_full(struct trace_ring *t)
{
    struct cross *c = world_of_stack()->cross;
    volatile uint32_t *low = (volatile uint32_t *)&t->tail;

    for (;;) {
        uint32_t seen = *low;

        if (t->head - t->tail <= TRACE_RECORDS / 2)
            return;
        __atomic_add_fetch(&c->doorbell, 1, __ATOMIC_RELEASE);
        sys_futex_wake(&c->doorbell, 1);
        sys_futex_wait(low, seen, NULL);
    }
}

void world_usercall(struct vm *vm, enum usercall call, uint32_t arg)
{
    struct cross *c = vm->world->cross;
    uint32_t want;

    TRACE_EV(vm->trace, worldswitch, call, arg, 0);
    vm->stats->world_switches++;
    if (call == USERCALL_RESET)
        __atomic_add_fetch(&c->reset_req, 1, __ATOMIC_RELEASE);
    want = c->reset_req;
    __atomic_add_fetch(&c->doorbell, 1, __ATOMIC_RELEASE);
    sys_futex_wake(&c->doorbell, 1);
    while (call == USERCALL_RESET && __atomic_load_n(&c->reset_ack, __ATOMIC_ACQUIRE) != want &&
           !c->host_stop) {
        uint32_t seen = c->wake;

        if (c->reset_ack != want && !c->host_stop)
            sys_futex_wait(&c->wake, seen, NULL);
    }
}
