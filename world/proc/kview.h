/*
 * The kernel view's private state: struct world of the process world.
 *
 * World: monitor (and its hosted start code, which fills it before the sandbox closes).  Units: ns of
 * CLOCK_MONOTONIC, TSC cycles, bytes.  Owner: the stack block below.  Errors: as each function says.
 *
 * The stack block: one STACK_BLOCK-aligned region holds a pointer to struct world in its first word, then the
 * signal stack, then the monitor's stack, with unmapped pages between them.  Whoever runs on one of them
 * (signal handlers, bug_at()) finds the world by masking RSP, so that no file-level variable is needed.
 */
#ifndef WORLD_PROC_KVIEW_H
#define WORLD_PROC_KVIEW_H

#include "world/cross.h"
#include "world/proc/sys.h"
#include "world/truncate.h"
#include "world/world.h"

#define STACK_BLOCK 0x100000ul /* size and alignment */
#define STACK_SIG_OFF 0x2000ul
#define STACK_SIG_SIZE 0x10000ul /* five frames nest at most, of up to 11 KiB (AMX) */
#define STACK_MON_OFF 0x44000ul

#define ARENA_SIZE (256ul << 20)
#define WIN_SIZE 0x400000ul

/* LDT: one page of descriptors (a larger table makes every modify_ldt() copy more). */
#define LDT_SETS 128u
#define LDT_WAYS 4u
#define LDT_CS (0u << 3 | 7) /* fixed: flat execute-only code */
#define LDT_GS (1u << 3 | 7) /* fixed: the window's data pages */

struct proc_clock {
    uint64_t start_ns, start_tsc;   /* guest time 0 */
    uint64_t anchor_ns, anchor_tsc; /* guest ns at a known TSC */
    uint64_t anchor_cycles;         /* re-anchor after so many cycles */
    uint64_t mult;                  /* ns per cycle, 32.32 fixed point; 0 = not known yet */
    uint64_t last;                  /* never go below */
    uint64_t alarm;                 /* when the timer fires next, guest ns; UINT64_MAX: never; 0: not known */
    uint64_t period;                /* and after that so often, ns; 0: only once */
    volatile bool fired;            /* a signal of it has come since then */
    uint64_t wanted;                /* the last alarm that was asked for */
    uint64_t run_begin, spacing;    /* a run of alarms: where it begins, and their mean distance ... */
    unsigned run;                   /* ... and how many followed the first; 0: no run */
};

struct uviews;

/* Pages mapped ahead (reserve.c): next..end-1 have no rights yet. */
struct reserve {
    uint32_t next, end;
    uint32_t last;  /* the single page that was mapped last ... */
    gpa_t last_gpa; /* ... and where to */
    uint32_t size;  /* how many pages to take the next time */
};

struct world {
    struct vm *vm;
    struct vcpu *entered; /* whose guest code runs or ran last */
    struct cross *cross;
    int ram_fd, win_fd, timer;
    uint8_t *win_rw; /* the whole window, writable */
    gla_t min_gla;
    struct reserve reserve;
    uint16_t cs64; /* the host's 64-bit code selector */

    /* What the segment registers hold; `reload` forces them to be loaded again. */
    uint32_t fs_base;
    bool reload;
    bool dying; /* a dump is being made: a second fault ends at once */

    struct truncated ldt[LDT_SETS * LDT_WAYS];
    uint8_t ldt_next[LDT_SETS]; /* which way to replace next */

    struct proc_clock clock;

    /* The fence. */
    uint64_t host_fs, fence_fs;
    unsigned fence_depth;
    void *fence_area; /* XSAVE image, 64-byte aligned */
    uint32_t xsave_size;
    bool has_xsavec;

    /* User views. */
    struct uviews *u;
    unsigned uviews;
};

/* Map a single page that is about to be touched, if it follows on from the last one; false: do it the usual way. */
bool reserve_map(struct world *w, gla_t gla, gpa_t gpa, int prot);
/* These pages are about to be mapped, protected or unmapped. */
void reserve_drop(struct world *w, gla_t gla, uint32_t npages);

static inline struct world *world_of_stack(void)
{
    uint64_t rsp;

    __asm__("mov %%rsp, %0" : "=r"(rsp));
    return *(struct world **)(rsp & ~(STACK_BLOCK - 1));
}

static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;

    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
}
static inline uint64_t rdfsbase(void)
{
    uint64_t x;

    __asm__ volatile("rdfsbase %0" : "=r"(x));
    return x;
}
static inline void wrfsbase(uint64_t x) { __asm__ volatile("wrfsbase %0" : : "r"(x)); }

/* enter.c */
extern const char proc_enter_crit[], proc_enter_crit_end[],
    proc_enter_abort[] __attribute__((visibility("hidden")));
void proc_enter(struct vcpu *v, tca_t tca);
void proc_exit_entry(void);
__attribute__((noreturn)) void proc_leave_guest(struct vcpu *v, void *fpstate, uint32_t mask_lo,
                                                uint32_t mask_hi);
/* XRSTOR from memory that a guest may have forged: false if the CPU refused it. */
bool proc_xrstor_checked(const void *area, uint32_t mask_lo, uint32_t mask_hi);
extern const char proc_xrstor_insn[], proc_xrstor_refused[] __attribute__((visibility("hidden")));
/* Build the window's stub page at `page`. */
void proc_stub_init(uint8_t *page);

/* segments.c: the fixed descriptors.  0 or the kernel's negative errno. */
long proc_ldt_init(struct world *w);

/* clock.c */
extern const char proc_sleep_crit[], proc_sleep_crit_end[],
    proc_sleep_abort[] __attribute__((visibility("hidden")));
void proc_clock_init(struct world *w);

/* signal.c: handlers for sigaction(SA_SIGINFO | SA_ONSTACK | SA_NODEFER); the second's blocks all its signals. */
void proc_signal_sync(int sig, void *info, void *context);
void proc_signal_async(int sig, void *info, void *context);
/* What an asynchronous signal says, whoever took it. */
void proc_event(struct world *w, int sig);

/* main.c: the end of the kernel view; does not return. */
__attribute__((noreturn)) void proc_main(struct world *w);
__attribute__((noreturn)) void proc_finish(struct world *w);
size_t proc_stack_dump(uint64_t rsp, char *buf, size_t size);
/* Record a reason without struct vm's help and end. */
__attribute__((noreturn)) void proc_die(struct world *w, enum vm_stop_kind kind, const char *msg);

#endif
