/*
 * User views: sandboxed processes that hold nothing but guest user pages and run user code directly.
 *
 * World: the exchange block is shared by the kernel view and one user view, at the same address in both.  All
 * of it may be forged by a guest that escaped into 64-bit code there: the kernel view checks what it takes.
 * Units: bytes, 4 KiB pages; views are numbered from 1.  Errors: false = the host ran out of something.
 *
 * The block (UBLOCK bytes, aligned to that): struct uorders, which the user view maps read-only; struct
 * uexch; the signal stack; and the stub's code, which is private to the user view.  Nothing else is mapped
 * above 4 GiB there.
 */
#ifndef WORLD_PROC_UVIEW_H
#define WORLD_PROC_UVIEW_H

#include "world/proc/kview.h"
#include "world/proc/sigframe.h"

#define UVIEWS_MAX 8u

#define UBLOCK 0x20000ul
#define UBLOCK_SHARED 0x10000ul /* all but the code */
#define UORDERS_SIZE 0x4000ul
#define UEXCH_OFF UORDERS_SIZE
#define USTACK_OFF 0x8000ul
#define USTACK_SIZE 0x8000ul
#define UCODE_OFF 0x10000ul
#define UCODE_SIZE 0x1000ul

/* The user view's LDT. */
#define ULDT_CS (0u << 3 | 7)
#define ULDT_FLAT (1u << 3 | 7)
#define ULDT_FS (2u << 3 | 7)
#define ULDT_GS (3u << 3 | 7)
#define ULDT_ENTRIES 4u

enum uorder_op { UORDER_MAP, UORDER_MAP_SOON, UORDER_PROTECT, UORDER_UNMAP, UORDER_LDT };

struct uorder {
    uint32_t op;
    uint32_t gla;    /* LDT: entry */
    uint32_t npages; /* LDT: limit field */
    uint32_t prot;   /* host's PROT_*; LDT: user_desc's flags */
    uint64_t offset; /* MAP: in the RAM memfd */
};

#define UORDERS_MAX 640u

/* Written by the kernel view, read-only in the user view. */
struct uorders {
    uint32_t n;
    uint32_t ram_fd;
    uint32_t wake; /* somebody waits for uexch.ack */
    volatile uint32_t batch; /* how many batches there have been: none runs on before all are carried out */
    struct uorder order[UORDERS_MAX];
};

_Static_assert(sizeof(struct uorders) <= UORDERS_SIZE, "struct uexch follows");

enum uturn { UTURN_KERNEL, UTURN_USER };

/* Written by the user view unless marked K. */
struct uexch {
    volatile uint32_t turn;   /* futex word; both */
    volatile uint32_t failed; /* an order's negated errno */
    volatile uint64_t ack;    /* the nonce of the last batch of orders that was carried out */
    volatile uint32_t done;   /* its number; futex word */
    struct sig_ucontext *volatile frame;
    struct sig_info *volatile info;
    volatile uint32_t sig;
    volatile uint16_t sel[8];        /* DS ES FS GS found at the trap.  ORDER SEG */
    volatile uint16_t set[8];        /* K: to be loaded */
    volatile uint32_t base[2];       /* K: for FS and GS */
    volatile uint32_t base_found[2]; /* FS and GS bases at the trap */
    volatile uint32_t eflags_id;     /* K: EFLAGS_ID or 0 */
};

_Static_assert(UEXCH_OFF + sizeof(struct uexch) <= USTACK_OFF, "the signal stack follows");

/* Signals of the hand-off. */
#define USIG_KICK SIG_USR1 /* leave guest code */
#define USIG_ORDERS 12     /* SIGUSR2: carry out orders; its siginfo holds cookie and nonce */

struct uview {
    struct uorders *o;
    struct uexch *x;
    int pid;
    uint64_t ack; /* what x->ack must say */
    uint32_t queued;
    uint32_t ldt_limit[2], ldt_flags[2]; /* FS, GS descriptors as they are */
};

/* What the kernel view keeps to itself: the user views never see it. */
struct uviews {
    uint32_t cookie[2]; /* upper halves of two argument registers of every guarded system call */
    uint64_t key[2];    /* nonces are a keyed hash of a counter */
    uint64_t counter;
    struct uview *volatile running; /* has the turn, or is about to */
    struct uview view[UVIEWS_MAX];
};

/* ustub.c: position-independent code, copied into each user view. */
extern const uint8_t __start_ustub[], __stop_ustub[] __attribute__((visibility("hidden")));
void ustub_trap(int sig, struct sig_info *info, struct sig_ucontext *uc);
void ustub_orders(int sig, struct sig_info *info, struct sig_ucontext *uc);
void ustub_restorer(void);
void ustub_empty(void);

/* ustart.c (hosted): make n user views; fills w->uview and w->uviews. 0 or a negative errno. */
int uviews_make(struct world *w, unsigned n, bool cpuid_faulting);

bool uview_map(struct vm *vm, unsigned view, gla_t gla, gpa_t gpa, uint32_t npages, unsigned prot);
bool uview_protect(struct vm *vm, unsigned view, gla_t gla, uint32_t npages, unsigned prot);
bool uview_unmap(struct vm *vm, unsigned view, gla_t gla, uint32_t npages);
/* From the signal handler: something happened (or, if dead, a user view is gone). */
void uview_kick(struct world *w);
void uview_died(struct world *w);

#endif
