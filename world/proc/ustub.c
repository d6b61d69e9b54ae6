/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stub: all of the monitor's code that a user view has.
 *
 * It is compiled into a section of its own, position independent, without data, and copied to one page of the
 * user view, where everything else above 4 GiB but the exchange block is then unmapped.
 *
 * The view's life is that of signal handlers.  A trap in user code starts ustub_trap(), which leaves the
 * kernel's frame where it is (on the shared signal stack), gives the turn to the kernel view and waits.  The
 * kernel view reads and edits that frame in place, FPU state included, and gives the turn back; the stub
 * loads the data segments and returns through rt_sigreturn, which puts all the rest into the registers.
 *
 * Orders (mmap and friends) are read from a page that is read-only here; the call to carry them out is a
 * signal of its own.  Its siginfo carries the cookie without which the filter refuses these system calls, and
 * the nonce that proves that they were carried out.  Only the host kernel can start a handler, no other code
 * of this process runs while it works, and it wipes what it knew: code that escaped in this process can
 * neither learn the cookie, nor give orders of its own, nor pretend that ours were obeyed.
 */
#include "world/proc/uview.h"

#pragma GCC optimize("no-jump-tables", "no-tree-switch-conversion", "no-tree-loop-distribute-patterns")

#define STUB __attribute__((section("ustub"), noinline, used))
#define STUB_INLINE static inline __attribute__((always_inline))

#define INFO_PID_OFF 16 /* siginfo of a queued signal: pid, uid, value */
#define INFO_VALUE_OFF 24

STUB_INLINE void *stub_block(void)
{
    uint64_t here;

    __asm__("lea ustub_trap(%%rip), %0" : "=r"(here));
    return (void *)(here & ~(UBLOCK - 1));
}

STUB_INLINE struct uexch *stub_exch(void) { return (void *)((uint8_t *)stub_block() + UEXCH_OFF); }

#define SREG_GET(name)                                                                                       \
    ({                                                                                                       \
        uint16_t sel_;                                                                                       \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(sel_));                                                \
        sel_;                                                                                                \
    })
#define SREG_SET(name, sel) __asm__ volatile("mov %0, %%" #name : : "r"(sel) : "memory")

STUB_INLINE void stub_segments_save(struct uexch *x)
{
    x->sel[SEG_DS] = SREG_GET(ds);
    x->sel[SEG_ES] = SREG_GET(es);
    x->sel[SEG_FS] = SREG_GET(fs);
    x->sel[SEG_GS] = SREG_GET(gs);
    x->base_found[0] = (uint32_t)rdfsbase();
    uint64_t gs_base;
    __asm__ volatile("rdgsbase %0" : "=r"(gs_base));
    x->base_found[1] = (uint32_t)gs_base;
}

STUB_INLINE void stub_segments_load(struct uexch *x)
{
    uint64_t flags;

    SREG_SET(ds, x->set[SEG_DS]);
    SREG_SET(es, x->set[SEG_ES]);
    SREG_SET(fs, x->set[SEG_FS]);
    SREG_SET(gs, x->set[SEG_GS]);
    wrfsbase(x->base[0]);
    __asm__ volatile("wrgsbase %0" : : "r"((uint64_t)x->base[1]));
    /* rt_sigreturn keeps ID and NT as they are; guest code with NT set is never run directly. */
    __asm__ volatile("pushfq; pop %0" : "=r"(flags));
    flags = (flags & ~(uint64_t)(EFLAGS_ID | EFLAGS_NT)) | (x->eflags_id & EFLAGS_ID);
    __asm__ volatile("push %0; popfq" : : "r"(flags) : "cc");
}

STUB void ustub_trap(int sig, struct sig_info *info, struct sig_ucontext *uc)
{
    const struct uorders *os = stub_block();
    struct uexch *x = stub_exch();

    stub_segments_save(x);
    x->sig = (uint32_t)sig;
    x->info = info;
    x->frame = uc;
    __atomic_store_n(&x->turn, UTURN_KERNEL, __ATOMIC_RELEASE);
    sys_futex_wake(&x->turn, 1);
    while (__atomic_load_n(&x->turn, __ATOMIC_ACQUIRE) == UTURN_KERNEL)
        sys6(SYS_NR_futex, (long)&x->turn, SYS_FUTEX_WAIT, UTURN_KERNEL, 0, 0, 0);
    for (uint32_t done; (done = x->done) != os->batch;) /* the signal is on its way */
        sys6(SYS_NR_futex, (long)&x->done, SYS_FUTEX_WAIT, done, 0, 0, 0);
    stub_segments_load(x);
}

STUB_INLINE long stub_order(const struct uorders *os, const struct uorder *o, uint64_t flags_hi,
                            uint64_t fd_hi)
{
    uint64_t len = (uint64_t)o->npages << PAGE_SHIFT;
    uint64_t flags = flags_hi | SYS_MAP_SHARED | SYS_MAP_FIXED | (o->op == UORDER_MAP_SOON ? SYS_MAP_POPULATE : 0);

    if (o->op == UORDER_MAP || o->op == UORDER_MAP_SOON)
        return sys6(SYS_NR_mmap, o->gla, (long)len, o->prot, (long)flags, (long)(fd_hi | os->ram_fd),
                    (long)o->offset);
    if (o->op == UORDER_PROTECT)
        return sys6(SYS_NR_mprotect, o->gla, (long)len, o->prot, (long)flags_hi, (long)fd_hi, 0);
    if (o->op == UORDER_UNMAP)
        return sys6(SYS_NR_munmap, o->gla, (long)len, 0, (long)flags_hi, (long)fd_hi, 0);
    uint32_t desc[4] = { o->gla, 0, o->npages, o->prot };
    return sys6(SYS_NR_modify_ldt, 0x11, (long)desc, sizeof desc, (long)flags_hi, (long)fd_hi, 0);
}

STUB void ustub_orders_run(struct sig_info *info)
{
    const struct uorders *os = stub_block();
    struct uexch *x = stub_exch();
    volatile uint64_t *value = (volatile uint64_t *)((uint8_t *)info + INFO_VALUE_OFF);
    volatile uint64_t *nonce = (volatile uint64_t *)((uint8_t *)info + INFO_PID_OFF);
    uint64_t cookie = *value;

    *value = 0;
    for (uint32_t i = 0; i < os->n && i < UORDERS_MAX; i++) {
        long err = stub_order(os, &os->order[i], cookie << 32, cookie >> 32 << 32);
        if (err < 0 && err > -4096)
            x->failed = (uint32_t)-err;
    }
    x->ack = *nonce;
    *nonce = 0;
    x->done = os->batch;
    if (os->wake)
        sys_futex_wake((volatile uint32_t *)&x->ack, 1);
}

STUB void ustub_orders(int sig, struct sig_info *info, struct sig_ucontext *uc)
{
    (void)sig, (void)uc;
    ustub_orders_run(info);
    /* What it may have spilled; rt_sigreturn loads all registers anew. */
    __asm__ volatile("lea -512(%%rsp), %%rdi\n\t"
                     "mov $64, %%ecx\n\t"
                     "xor %%eax, %%eax\n\t"
                     "rep stosq"
                     :
                     :
                     : "rdi", "rcx", "rax", "memory");
}

__attribute__((section("ustub"), naked, used)) void ustub_restorer(void)
{
    __asm__("mov %0, %%eax\n\t"
            "syscall\n\t"
            "ud2"
            :
            : "i"(SYS_NR_rt_sigreturn));
}

/*
 * Unmap all but the block: rdi, rsi and r12, r13 are the two ranges, r10 and r8 the cookies.  Needs no stack.
 * Ends in a trap, whose frame shows the results in rax and r14.
 */
__attribute__((section("ustub"), naked, used)) void ustub_empty(void)
{
    __asm__("mov %0, %%eax\n\t"
            "syscall\n\t"
            "mov %%rax, %%r14\n\t"
            "mov %%r12, %%rdi\n\t"
            "mov %%r13, %%rsi\n\t"
            "mov %0, %%eax\n\t"
            "syscall\n\t"
            "xor %%r10d, %%r10d\n\t"
            "xor %%r8d, %%r8d\n\t"
            "ud2"
            :
            : "i"(SYS_NR_munmap));
}
