/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel view's side of the user views: orders, and runs of user code in them.
 *
 * Maps and unmaps of a user view are queued and carried out in one go before the view runs next (or when the
 * queue is full).  A run is a hand-off of the turn: the view's last signal frame is edited in place, FPU
 * state included, and the stub returns through it; the next trap leaves a new frame there, from which
 * registers and FPU state are taken (ustub.c).
 *
 * All that comes from the view is checked, because user code that escaped into 64-bit code can write
 * to the exchange block: pointers must lie in the signal stack, the FPU image is loaded by a checked XRSTOR,
 * values are copied before they are looked at, and the batch of orders must have been acknowledged with its
 * nonce. Otherwise (or if the code segment found is not the one entered with) the guest is stopped:
 * EXIT_ESCAPE.
 *
 * Segments: only flat CS, SS, DS and ES (or null DS and ES) run here, so that nothing but FS and GS needs
 * descriptors of its own; these take any base (WRFSBASE) and limit.  Pages with instructions that read or
 * load selectors are not executable here (shadowmmu/scan.c).  Should code get past that, it reads the
 * selectors of the view's LDT, and one that it loaded is noticed at the next trap and loaded as the guest's
 * descriptor tables say.
 *
 * SYSENTER (on Intel processors) and SYSCALL (on AMD's) can't be recovered from: the host's kernel replaces EIP and
 * CS by those of its own stub and gives back neither ECX nor EDX. They are looked for like the above.
 *
 * Not done: alternative entry by spinning on a second CPU.
 */
#include "world/proc/uview.h"

#include "base/assert.h"
#include "cpu/gmem.h"
#include "cpu/segment.h"

#define ORDER_TIMEOUT_S 2
#define KICK_TIMEOUT_S 4
#define ARCH_I386 0x40000003u /* AUDIT_ARCH_I386 */
#define HOST_CS32 0x23        /* Linux: where 32-bit system calls return to */
#define DESC_BIG BIT(0)       /* user_desc flags: seg_32bit, read_exec_only, limit_in_pages, useable */
#define DESC_RDONLY BIT(3)
#define DESC_PAGES BIT(4)
#define DESC_USEABLE BIT(6)

/* Flags that user code may have set for itself. */
#define EFLAGS_USER (EFLAGS_LIVE | EFLAGS_TF | EFLAGS_NT | EFLAGS_AC)

static struct uview *view_get(struct world *w, unsigned view)
{
    ASSERT(view >= 1 && view <= w->uviews);
    return &w->u->view[view - 1];
}

/* --- nonces: SipHash-2-4 of one 8-byte block --- */

static inline uint64_t rotl(uint64_t x, unsigned n) { return x << n | x >> (64 - n); }

static void sip_round(uint64_t s[4])
{
    s[0] += s[1], s[1] = rotl(s[1], 13) ^ s[0], s[0] = rotl(s[0], 32);
    s[2] += s[3], s[3] = rotl(s[3], 16) ^ s[2];
    s[0] += s[3], s[3] = rotl(s[3], 21) ^ s[0];
    s[2] += s[1], s[1] = rotl(s[1], 17) ^ s[2], s[2] = rotl(s[2], 32);
}

static uint64_t nonce_make(struct uviews *u)
{
    const uint64_t block[2] = { u->counter++, 8ull << 56 };
    uint64_t s[4] = { u->key[0] ^ 0x736f6d6570736575ull, u->key[1] ^ 0x646f72616e646f6dull,
                      u->key[0] ^ 0x6c7967656e657261ull, u->key[1] ^ 0x7465646279746573ull };

    for (unsigned i = 0; i < 2; i++) {
        s[3] ^= block[i];
        sip_round(s);
        sip_round(s);
        s[0] ^= block[i];
    }
    s[2] ^= 0xff;
    for (unsigned i = 0; i < 4; i++)
        sip_round(s);
    return s[0] ^ s[1] ^ s[2] ^ s[3];
}

/* --- orders --- */

/* The siginfo of rt_tgsigqueueinfo(2): nonce in the place of pid and uid, cookies in the value. */
struct queue_info {
    int32_t signo, err, code, pad;
    uint64_t nonce, value;
    uint8_t rest[128 - 32];
};

#define SI_QUEUE (-1)

/* From here on the view runs nothing before the queued orders are carried out. */
static void orders_publish(struct uview *u, bool wake)
{
    u->o->n = u->queued;
    u->o->wake = wake;
    u->queued = 0;
    __atomic_store_n(&u->o->batch, u->o->batch + 1, __ATOMIC_SEQ_CST);
}

static void orders_send(struct world *w, struct uview *u)
{
    struct queue_info info = { .signo = USIG_ORDERS, .code = SI_QUEUE };

    u->ack = info.nonce = nonce_make(w->u);
    info.value = (uint64_t)w->u->cookie[1] << 32 | w->u->cookie[0];
    if (sys4(SYS_NR_rt_tgsigqueueinfo, u->pid, u->pid, USIG_ORDERS, (long)&info) < 0)
        vm_stop(w->vm, VM_STOP_HOST, "host: a user view is gone");
    info.value = 0;
}

static bool orders_failed(struct world *w, struct uview *u)
{
    uint32_t failed = u->x->failed;

    if (failed)
        vm_stop(w->vm, VM_STOP_HOST, "host: a user view could not map memory (error %u)", failed);
    return failed;
}

/* The queue is full: wait until it has been worked off. */
static void orders_flush(struct world *w, struct uview *u)
{
    struct sys_timespec until;

    orders_publish(u, true);
    orders_send(w, u);
    sys3(SYS_NR_clock_gettime, SYS_CLOCK_MONOTONIC, (long)&until, 0);
    until.sec += ORDER_TIMEOUT_S;
    while (w->vm->stop == VM_RUNNING) {
        uint64_t seen = u->x->ack;
        if (seen == u->ack || orders_failed(w, u))
            return;
        if (sys_futex_wait((volatile uint32_t *)&u->x->ack, (uint32_t)seen, &until) == -SYS_ETIMEDOUT)
            vm_stop(w->vm, VM_STOP_UNSUPPORTED, "world: a user view does not obey");
    }
}

static void order_put(struct vm *vm, struct uview *u, const struct uorder *order)
{
    if (u->queued == UORDERS_MAX)
        orders_flush(vm->world, u);
    u->o->order[u->queued++] = *order;
}

static uint32_t host_prot(unsigned prot)
{
    return SYS_PROT_READ | (prot & MAP_W ? SYS_PROT_WRITE : 0) | (prot & MAP_X ? SYS_PROT_EXEC : 0);
}

static void range_check(struct vm *vm, gla_t gla, uint32_t npages)
{
    ASSERT(!page_offset(gla) && npages && gla >= vm->world->min_gla);
    ASSERT((uint64_t)gla + ((uint64_t)npages << PAGE_SHIFT) <= 1ull << 32);
}

bool uview_map(struct vm *vm, unsigned view, gla_t gla, gpa_t gpa, uint32_t npages, unsigned prot)
{
    const struct uorder o = { prot & MAP_SOON ? UORDER_MAP_SOON : UORDER_MAP, gla, npages, host_prot(prot), gpa };

    range_check(vm, gla, npages);
    order_put(vm, view_get(vm->world, view), &o);
    return true;
}

bool uview_protect(struct vm *vm, unsigned view, gla_t gla, uint32_t npages, unsigned prot)
{
    const struct uorder o = { UORDER_PROTECT, gla, npages, host_prot(prot), 0 };

    range_check(vm, gla, npages);
    order_put(vm, view_get(vm->world, view), &o);
    return true;
}

bool uview_unmap(struct vm *vm, unsigned view, gla_t gla, uint32_t npages)
{
    const struct uorder o = { UORDER_UNMAP, gla, npages, 0, 0 };

    range_check(vm, gla, npages);
    order_put(vm, view_get(vm->world, view), &o);
    return true;
}

/* --- segments --- */

static bool seg_flat(const struct seg *s)
{
    return (s->attr & SEG_ATTR_P) && s->base == 0 && s->limit == 0xffffffffu;
}

static bool seg_data_rw(const struct seg *s)
{
    return (s->attr & (SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_CODE | SEG_ATTR_EC | SEG_ATTR_RW)) ==
           (SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_RW);
}

static bool seg_null(const struct seg *s) { return !(s->attr & SEG_ATTR_P); }

/* FS (i = 0) or GS (1): selector and base, with an order for its descriptor if that must change. */
static void seg_set_fsgs(struct vm *vm, struct uview *u, const struct seg *s, unsigned i)
{
    unsigned seg = i ? SEG_GS : SEG_FS;
    struct uorder o = { UORDER_LDT, (i ? ULDT_GS : ULDT_FS) >> 3, s->limit, DESC_BIG | DESC_USEABLE, 0 };

    u->x->base[i] = seg_null(s) ? 0 : s->base;
    if (seg_null(s) || (seg_data_rw(s) && s->limit == 0xffffffffu)) {
        u->x->set[seg] = seg_null(s) ? 0 : ULDT_FLAT;
        return;
    }
    if (!(s->attr & SEG_ATTR_RW))
        o.prot |= DESC_RDONLY;
    if (s->limit > 0xfffff) {
        o.prot |= DESC_PAGES;
        o.npages = s->limit >> 12;
    }
    if (u->ldt_limit[i] != o.npages || u->ldt_flags[i] != o.prot) {
        order_put(vm, u, &o);
        u->ldt_limit[i] = o.npages;
        u->ldt_flags[i] = o.prot;
    }
    u->x->set[seg] = i ? ULDT_GS : ULDT_FS;
}

/* DS, ES: flat or null.  FS, GS: data of any base and limit, or null. */
static bool seg_direct_flat(const struct seg *s) { return seg_null(s) || (seg_flat(s) && seg_data_rw(s)); }

static bool seg_direct_based(const struct seg *s)
{
    return seg_null(s) || ((s->attr & SEG_ATTR_S) && !(s->attr & (SEG_ATTR_CODE | SEG_ATTR_EC)));
}

bool world_direct_ok(struct vcpu *v)
{
    const struct seg *s = v->seg;

    return seg_flat(&s[SEG_CS]) && vcpu_code32(v) && seg_flat(&s[SEG_SS]) && seg_data_rw(&s[SEG_SS]) &&
           vcpu_stack32(v) && seg_direct_flat(&s[SEG_DS]) && seg_direct_flat(&s[SEG_ES]) &&
           seg_direct_based(&s[SEG_FS]) && seg_direct_based(&s[SEG_GS]);
}

bool world_direct_again(struct vcpu *v)
{
    (void)v; /* a matter of the segments alone */
    return true;
}

static void segs_set(struct vcpu *v, struct uview *u)
{
    u->x->set[SEG_DS] = seg_null(&v->seg[SEG_DS]) ? 0 : ULDT_FLAT;
    u->x->set[SEG_ES] = seg_null(&v->seg[SEG_ES]) ? 0 : ULDT_FLAT;
    seg_set_fsgs(v->vm, u, &v->seg[SEG_FS], 0);
    seg_set_fsgs(v->vm, u, &v->seg[SEG_GS], 1);
}

/* What the guest meant by a selector that it loaded by itself: one of the view's own was read from a
 * register. */
static uint16_t sel_meant(const struct vcpu *v, const struct uview *u, uint16_t sel)
{
    static const uint8_t order[] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS };

    if (sel == ULDT_CS)
        return v->seg[SEG_CS].sel;
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        if (u->x->set[order[i]] == sel && sel)
            return v->seg[order[i]].sel;
    return sel == ULDT_FLAT ? v->seg[SEG_SS].sel : sel;
}

/* Selectors and bases found at the trap: carry loads that user code made over to the guest's registers. */
static bool segs_reconcile(struct vcpu *v, struct uview *u, uint16_t ss)
{
    static const uint8_t order[] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS, SEG_SS };
    bool changed = false;
    struct fault f;

    for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
        unsigned seg = order[i];
        uint16_t found = seg == SEG_SS ? ss : u->x->sel[seg],
                 want = seg == SEG_SS ? ULDT_FLAT : u->x->set[seg];
        bool base_lost = (seg == SEG_FS && u->x->base_found[0] != u->x->base[0]) ||
                         (seg == SEG_GS && u->x->base_found[1] != u->x->base[1]);
        if (found == want && !base_lost)
            continue;
        changed = true;
        if (!seg_load(v, seg, sel_meant(v, u, found), &f))
            vm_stop(v->vm, VM_STOP_UNSUPPORTED, "world: user code loaded the host's selector %#x at %#x",
                    found, v->eip);
    }
    return changed;
}

/* --- the frame --- */

static bool in_stack(const struct uview *u, const void *p, size_t size, size_t align)
{
    uint64_t low = (uint64_t)u->o + USTACK_OFF, a = (uint64_t)p;

    return !(a & (align - 1)) && a >= low && a < low + USTACK_SIZE && size <= low + USTACK_SIZE - a;
}

static struct sig_ucontext *frame_get(struct world *w, struct uview *u, uint8_t **fpstate)
{
    struct sig_ucontext *uc = u->x->frame;

    if (!in_stack(u, uc, sizeof *uc, 8))
        return NULL;
    *fpstate = *(uint8_t *volatile *)&uc->mc.fpstate;
    return in_stack(u, *fpstate, w->xsave_size, 64) ? uc : NULL;
}

static uint64_t frame_xfeatures(const uint8_t *fpstate)
{
    return *(const volatile uint64_t *)(fpstate + FPSTATE_SW + offsetof(struct fpstate_sw, xfeatures)) & XSTATE_GUEST;
}

static void frame_fill(struct vcpu *v, struct uview *u, struct sig_ucontext *uc, uint8_t *fpstate)
{
    struct sig_context *mc = &uc->mc;
    uint64_t mask = frame_xfeatures(fpstate);

    mc->r8 = mc->r9 = mc->r10 = mc->r11 = mc->r12 = mc->r13 = mc->r14 = mc->r15 = 0;
    mc->ax = v->gpr[REG_EAX];
    mc->cx = v->gpr[REG_ECX];
    mc->dx = v->gpr[REG_EDX];
    mc->bx = v->gpr[REG_EBX];
    mc->sp = v->gpr[REG_ESP];
    mc->bp = v->gpr[REG_EBP];
    mc->si = v->gpr[REG_ESI];
    mc->di = v->gpr[REG_EDI];
    mc->ip = v->eip;
    mc->flags = (v->eflags & EFLAGS_USER) | EFLAGS_FIXED | EFLAGS_IF;
    mc->cs = ULDT_CS;
    mc->ss = ULDT_FLAT;
    uc->sigmask = 0;
    u->x->eflags_id = v->eflags & EFLAGS_ID;
    __asm__ volatile("xsave64 (%0)"
                     :
                     : "r"(fpstate), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                     : "memory");
    /* What else the host has is at its initial state again, whatever user code did: a page fault by a protection
     * key (WRPKRU, XRSTOR) is gone when the instruction runs again. */
    put64(fpstate + FPSTATE_HEADER, get64(fpstate + FPSTATE_HEADER) & XSTATE_GUEST);
}

static void state_take(struct vcpu *v, const struct sig_context *mc)
{
    sig_gpr_take(v, mc);
    v->eip = (uint32_t)mc->ip;
    v->eflags = (v->eflags & ~(uint32_t)EFLAGS_USER) | ((uint32_t)mc->flags & EFLAGS_USER);
}

/* --- exits --- */

static void escaped(struct vcpu *v, const char *how)
{
    v->exit.kind = EXIT_ESCAPE;
    vm_stop(v->vm, VM_STOP_UNSUPPORTED, "world: user code at %#x left its sandbox's rules (%s)", v->eip, how);
}

/* Do the n bytes at eip + off read as said? */
static bool code_is(struct vcpu *v, int off, const uint8_t *want, unsigned n)
{
    uint8_t got[2];
    struct fault f;

    return gmem_read(v, v->seg[SEG_CS].base + v->eip + (uint32_t)off, got, n, GMEM_USER | GMEM_FETCH, &f) &&
           !memcmp(got, want, n);
}

static void softint(struct vcpu *v, uint32_t vec, uint32_t eip)
{
    v->exit.kind = EXIT_SOFTINT;
    v->exit.vec = vec;
    v->eip = eip;
}

/* SIGSYS: EIP is behind the instruction, EAX holds what it held before. */
static void exit_sigsys(struct vcpu *v, uint32_t arch)
{
    static const uint8_t int80[] = { 0xcd, 0x80 };

    if (arch != ARCH_I386)
        escaped(v, "64-bit system call");
    else if (code_is(v, -2, int80, 2))
        softint(v, 0x80, v->eip);
    else
        escaped(v, "system call");
}

static void exit_trap(struct vcpu *v, const struct uview *u, unsigned sig)
{
    const struct sig_info *info = u->x->info;
    uint32_t vec = v->exit.err >> 3 & 0xff;

    if (sig == USIG_KICK) {
        v->exit.kind = EXIT_ATTENTION;
    } else if (sig == SIG_SYS) {
        exit_sigsys(v, in_stack(u, info, sizeof *info, 8) ? info->arch : 0);
    } else if (sig == SIG_BUS && v->exit.vec == VEC_PF) {
        vm_stop(v->vm, VM_STOP_HOST, "host: no memory for guest RAM");
        v->exit.kind = EXIT_ATTENTION;
    } else if (sig == SIG_TRAP && v->exit.vec == VEC_BP) {
        v->eip--; /* traps, not faults: back to INT3 and INTO */
    } else if (v->exit.vec == VEC_OF) {
        v->eip--;
    } else if (v->exit.vec == VEC_DB && !(v->exit.err & DR6_BS) && !v->vm->config->host_int1_at &&
               code_is(v, -1, (uint8_t[]){ 0xf1 }, 1)) {
        v->eip--; /* INT1 */
    } else if (v->exit.vec == VEC_GP && (v->exit.err & 7) == 2 &&
               code_is(v, 0, (uint8_t[]){ 0xcd, (uint8_t)vec }, 2)) {
        softint(v, vec, v->eip + 2);
    }
}

/* A fault that a stale selector may have caused is no fault yet: run again with the right one. */
static bool fault_by_segment(const struct vcpu *v)
{
    return v->exit.kind == EXIT_FAULT &&
           (v->exit.vec == VEC_GP || v->exit.vec == VEC_SS || v->exit.vec == VEC_PF);
}

static void frame_take(struct vcpu *v, struct uview *u)
{
    uint8_t *fpstate;
    struct sig_ucontext *uc = frame_get(v->vm->world, u, &fpstate);
    struct sig_context mc;
    uint64_t mask;

    if (!uc) {
        escaped(v, "frame");
        return;
    }
    memcpy(&mc, &uc->mc, sizeof mc);
    state_take(v, &mc);
    mask = frame_xfeatures(fpstate);
    if (!proc_xrstor_checked(fpstate, (uint32_t)mask, (uint32_t)(mask >> 32))) {
        escaped(v, "FPU state");
        return;
    }
    v->exit = (struct exit){ EXIT_FAULT, v->eip, (uint32_t)mc.trapno, (uint32_t)mc.err, (uint32_t)mc.cr2 };
    if (mc.trapno == VEC_DB && v->eflags & EFLAGS_TF)
        v->exit.err = DR6_BS; /* the host's kernel keeps DR6 to itself */
    if (mc.cs != ULDT_CS || mc.ip >> 32)
        escaped(v, u->x->sig == SIG_SYS && mc.cs == HOST_CS32 ? "SYSENTER or SYSCALL" : "code segment");
    else if (u->x->ack != u->ack)
        escaped(v, "orders");
    else
        exit_trap(v, u, u->x->sig);
    if (v->exit.kind != EXIT_ESCAPE && segs_reconcile(v, u, mc.ss) && fault_by_segment(v))
        v->exit.kind = EXIT_ATTENTION;
    v->exit.tca = v->eip;
}

/* Wait for the turn.  A view that does not come when it is kicked blocks our signals: code has escaped there.
 * (The first timeouts may be due to both processes having been stopped.) */
static void turn_wait(struct world *w, struct uview *u)
{
    unsigned rounds = 0;

    while (__atomic_load_n(&u->x->turn, __ATOMIC_ACQUIRE) == UTURN_USER) {
        struct sys_timespec until;

        if (!w->entered->attention) {
            sys6(SYS_NR_futex, (long)&u->x->turn, SYS_FUTEX_WAIT, UTURN_USER, 0, 0, 0);
            continue;
        }
        sys3(SYS_NR_clock_gettime, SYS_CLOCK_MONOTONIC, (long)&until, 0);
        until.sec++;
        if (sys_futex_wait(&u->x->turn, UTURN_USER, &until) != -SYS_ETIMEDOUT)
            continue;
        if (++rounds == KICK_TIMEOUT_S) {
            vm_stop(w->vm, VM_STOP_UNSUPPORTED,
                    "world: user code left its sandbox's rules (a view does not obey)");
            return;
        }
        uview_kick(w);
    }
}

/* Give the turn to the view, with what it has to do first, and wait for it to come back.  The signal of the
 * orders wakes it as well, and for once only: their handler returns into a wait that is over. */
static void turn_pass(struct world *w, struct uview *u)
{
    bool orders = u->queued;

    if (orders)
        orders_publish(u, false);
    __atomic_store_n(&u->x->turn, UTURN_USER, __ATOMIC_SEQ_CST);
    if (w->vm->stop != VM_RUNNING) /* a view that died meanwhile won't give it back */
        return;
    if (orders)
        orders_send(w, u);
    else
        sys_futex_wake(&u->x->turn, 1);
    if (w->vm->stop == VM_RUNNING)
        turn_wait(w, u);
}

unsigned world_direct_views(struct vm *vm) { return vm->world->uviews; }

struct direct_traits world_direct_traits(struct vm *vm)
{
    unsigned cpuid = vm->cross->config.host_cpuid_faulting ? 0 : DIRECT_SHOWS_CPUID;

    return (struct direct_traits){
        .shows = DIRECT_SHOWS_SELECTORS | DIRECT_SHOWS_TABLES | DIRECT_SHOWS_SYSCALLS | DIRECT_SHOWS_XSTATE |
                 cpuid,
    };
}

void world_enter_direct(struct vcpu *v, unsigned view)
{
    struct world *w = v->vm->world;
    struct uview *u = view_get(w, view);
    uint8_t *fpstate;
    struct sig_ucontext *uc = frame_get(w, u, &fpstate);

    v->exit.kind = EXIT_NONE;
    w->entered = v;
    if (!uc) {
        escaped(v, "frame");
        return;
    }
    if (!world_direct_ok(v))
        return;
    segs_set(v, u);
    w->u->running = u; /* from here on the signal handlers kick the view; now look */
    __asm__ volatile("" : : : "memory");
    if (!v->attention && v->vm->stop == VM_RUNNING) {
        frame_fill(v, u, uc, fpstate);
        turn_pass(w, u);
        w->u->running = NULL;
        if (v->vm->stop == VM_RUNNING && !orders_failed(w, u))
            frame_take(v, u);
        else
            v->exit.kind = EXIT_ESCAPE;
    }
    w->u->running = NULL;
}

void uview_kick(struct world *w)
{
    struct uview *u = w->u->running;

    if (u)
        sys3(SYS_NR_tgkill, u->pid, u->pid, USIG_KICK);
}

void uview_died(struct world *w)
{
    struct uview *u = w->u->running;

    vm_stop(w->vm, VM_STOP_HOST, "host: a user view was killed");
    if (u)
        __atomic_store_n(&u->x->turn, UTURN_KERNEL, __ATOMIC_SEQ_CST);
}
