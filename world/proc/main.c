/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel view's first and last steps, and how it dies of its own bugs.
 *
 * proc_main() runs on the monitor's stack with the sandbox closed.  However the VM ends, the reason is copied
 * to the cross page before the VMX is rung: it is all that outlives the process.
 */
#include "world/proc/kview.h"

#include "base/assert.h"
#include "base/fmt.h"

#define NEAR_CODE (16l << 20) /* return addresses lie within this distance of proc_main() */
#define STACK_WORDS 4096u
#define STACK_SHOWN 32u

void proc_finish(struct world *w)
{
    struct cross *c = w->cross;
    struct vm *vm = w->vm;

    w->dying = true;
    if (!c->dump[0] && vm->vcpu)
        vcpu_dump(vm->vcpu, c->dump, sizeof c->dump);
    if (c->stopped == VM_RUNNING) {
        c->dump[sizeof c->dump - 1] = '\0';
        memcpy(c->stop_msg, vm->stop_msg, sizeof c->stop_msg);
        c->stop_code = vm->stop_code;
        __atomic_store_n(&c->stopped, vm->stop == VM_RUNNING ? VM_STOP_BUG : vm->stop, __ATOMIC_RELEASE);
    }
    world_usercall(vm, USERCALL_STOPPED, 0);
    sys_exit(0);
}

void proc_die(struct world *w, enum vm_stop_kind kind, const char *msg)
{
    if (w->cross->stopped == VM_RUNNING) {
        if (!w->cross->stop_msg[0])
            fmt(w->cross->stop_msg, sizeof w->cross->stop_msg, "%s", msg);
        __atomic_store_n(&w->cross->stopped, kind, __ATOMIC_RELEASE);
    }
    proc_finish(w);
}

/* Words on the stack that look like return addresses, as offsets from proc_main (nm tells the rest). */
size_t proc_stack_dump(uint64_t rsp, char *buf, size_t size)
{
    uint64_t block = rsp & ~(STACK_BLOCK - 1), end = block + STACK_BLOCK, first = rsp & ~7ul;
    struct world *w = world_of_stack();
    size_t n = (size_t)fmt(buf, size, " stack (from proc_main):");
    unsigned shown = 0;

    /* Only a stack that is ours may be read. */
    if (((rsp ^ (uint64_t)__builtin_frame_address(0)) & ~(STACK_BLOCK - 1)) || !w)
        first = end;
    else if (first < block + STACK_MON_OFF && first >= block + STACK_SIG_OFF + STACK_SIG_SIZE)
        first = block + STACK_MON_OFF; /* an overflow ran into the guard pages */
    for (uint64_t p = first; p < end && p < first + 8 * STACK_WORDS && shown < STACK_SHOWN && n < size;
         p += 8) {
        long d = (long)(*(uint64_t *)p - (uint64_t)proc_main);
        if (d > -NEAR_CODE && d < NEAR_CODE && ++shown)
            n +=
                (size_t)fmt(buf + n, size - n, " %c%#lx", d < 0 ? '-' : '+', (unsigned long)(d < 0 ? -d : d));
    }
    if (n < size)
        n += (size_t)fmt(buf + n, size - n, "\n");
    return n;
}

void bug_at(const char *file, int line, const char *what)
{
    struct world *w = world_of_stack();
    char *dump = w->cross->dump;
    char msg[200];
    size_t n;

    fmt(msg, sizeof msg, "bug: %s:%d: %s", file, line, what);
    if (!w->dying) {
        w->dying = true;
        fmt(w->cross->stop_msg, sizeof w->cross->stop_msg, "%s", msg); /* the dump may fault */
        n = proc_stack_dump((uint64_t)__builtin_frame_address(0), dump, sizeof w->cross->dump);
        if (n < sizeof w->cross->dump && w->vm->vcpu)
            vcpu_dump(w->vm->vcpu, dump + n, sizeof w->cross->dump - n);
    }
    proc_die(w, VM_STOP_BUG, msg);
}

void proc_main(struct world *w)
{
    while (!__atomic_load_n(&w->cross->started, __ATOMIC_ACQUIRE) && !w->cross->host_stop)
        sys_futex_wait(&w->cross->started, 0, NULL);
    proc_clock_init(w);
    if (w->cross->host_stop)
        vm_stop(w->vm, VM_STOP_HOST, "host: stopped before the start");
    else
        monitor_main(w->vm);
    proc_finish(w);
}
