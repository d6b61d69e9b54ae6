/*
 * The ring-0 world's private state: struct world of the monitor image.
 *
 * World: monitor, at CPL 0 in the VMM world (abi.h tells the address space).  Units: linear addresses of the VMM
 * world, ns of CLOCK_MONOTONIC, TSC cycles.  Owner: the private memory at MON_PRIVATE, which begins with struct
 * world; so that traps find it at a constant address and no file-level variable is needed.  Errors: as each function says; our
 * own bugs end in ring0_die().
 *
 * Who runs where: the monitor at CPL 0, always with IF = 0; translated code at CPL 1 and directly executed user code at CPL 3, both
 * in compatibility mode with IF = 1. Any trap lands on the trap stack (TSS.RSP0), saves the guest's registers in
 * the vCPU and returns from ring0_enter().
 */
#ifndef WORLD_RING0_RING0_H
#define WORLD_RING0_RING0_H

#include "base/bits.h"
#include "base/mem.h"
#include "base/vm.h"
#include "cpu/vcpu.h"
#include "world/cross.h"
#include "world/ring0/abi.h"
#include "world/truncate.h"
#include "world/world.h"

/* --- what the monitor can do with (struct mon_header); the module turns other callers away --- */
#define RING0_RAM_MIN (16ul << 20) /* base/vm.h */
#define RING0_RAM_MAX (3ul << 30)
#define RING0_SHARED_MIN sizeof(struct cross)
#define RING0_PRIVATE_MIN (64ul << 20) /* with 3 GiB of RAM: 42 MiB of arena and window, 20 MiB of page tables */

/* --- descriptor tables --- */

/* A GDT of one page. The guest's own selectors lie below GDT_OURS, in place; the monitor's from there on. */
#define GDT_SIZE 0x1000u
#define GDT_OURS 0xf00u
#define SEL_BT_CS (0xf08u | 1) /* flat, execute-only, CPL 1: reaches the translation cache */
#define SEL_BT_GS (0xf10u | 1) /* the window's data pages */
#define SEL_BT(seg) ((uint16_t)(0xf20u + 8u * (seg)) | 1) /* what stands for a guest segment register.  ORDER SEG */
#define SEL_BT_FLAT (0xf18u | 1) /* a stack segment for the trampoline: enter.c */
#define SEL_TSS 0xfd0u
#define SEL_LDT 0xfe0u
_Static_assert(BTMON_CS == 0xff0u, "above the selectors here");

#define VEC_CALLOUT 0x80u /* never a host device's vector: INT 80h is Linux's own.  From CPL 3 it is the guest's */

struct __attribute__((packed)) tss64 {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, iomap;
};
_Static_assert(sizeof(struct tss64) == 104, "SDM vol. 3A 8.7");

struct gate64 {
    uint16_t offset0, sel;
    uint8_t ist, type;
    uint16_t offset1;
    uint32_t offset2, reserved;
};
_Static_assert(sizeof(struct gate64) == 16, "SDM vol. 3A 6.14.1");

#define IST_DF 1u

/* What a trap in the monitor itself leaves on the stack: boot.S. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbx, rbp, rdi, rsi, rdx, rcx, rax; /* ORDER trap_frame */
    uint64_t vec, err, rip, cs, rflags, rsp, ss;
};

/* --- shadow page tables --- */

#define SPACES_MAX 16u
#define SPACE_SLOTS 2048u /* of 2 MiB, 512 entries each */
#define PT_NONE 0u        /* pool pages are numbered from 1 */

/* The tables of one view: four page directories, and what leads to them; which pool page each slot's table is, and how many entries it has. */
struct space {
    uint64_t *pd[4], pdpte[4];
    uint16_t pt[SPACE_SLOTS], used[SPACE_SLOTS];
};

/* The memory that the tables are made of and lead to. */
struct ring0_pages {
    const uint8_t *private;       /* the arena, the pool and the window lie in it */
    const uint32_t *pfn_private;  /* page frame number of each page of it */
    const uint32_t *pfn_ram;      /* and of guest RAM */
    uint64_t *low_pdpt;           /* its first four entries lead to linear 0-4 GiB */
    uint8_t *pool;                /* of zeroed pages for page tables */
    uint32_t pool_pages;
};

#define STALE_MAX 32u /* from so many pages on, one CR3 load is cheaper than INVLPGs */

/* --- time --- */

struct ring0_clock {
    uint64_t start_ns; /* guest time 0 */
    uint64_t mult;     /* ns per cycle, 32.32 fixed point */
    uint64_t last;     /* never go below */
    bool guessed;       /* cross->alarm is a guess */
    uint64_t slept_until; /* guest time */
};

/* What a guest segment register has been turned into: segments.c. */
struct seg_made {
    struct seg from;
    gla_t end;
    uint64_t descriptor;
};

/* A descriptor table of the guest as it was last seen: shadowdesc.c. */
#define SHADOW_ENTRIES (GDT_OURS / 8u)
#define SHADOW_LIVE 24u
struct shadow_table {
    uint64_t seen[SHADOW_ENTRIES];
    gla_t gla;
    uint32_t gen;        /* while v->gmem_gen is this (0: never), and not too many can be loaded, the guest's table is at: */
    const uint8_t *hva;
    uint32_t n;       /* how many of them the guest's table has */
    uint32_t nlive;   /* how many of these user code can load; their numbers, if they are not too many */
    uint16_t live[SHADOW_LIVE];
    bool zero_usable; /* entry 0: of an LDT */
};

/* What the guest's segment registers hold. */
enum loaded { LOADED_NOTHING, LOADED_BT, LOADED_DIRECT };

struct world {
    struct vcpu *vcpu; /* must stay first: boot.S */
    struct vm *vm;
    struct btmon_cross_abi *cross;
    struct cross *shared; /* the caller can write to it at any time */
    bool dying;           /* a dump is being made: a second fault ends at once */

    uint8_t *gdt, *ldt;
    struct gate64 *idt;
    struct tss64 *tss;

    enum loaded loaded;
    struct seg_made made[2][SEG_COUNT]; /* translated code: in kernel mode, in user mode */
    uint8_t seg_changed; /* translated code; bit per segment register: its descriptor has changed since it was loaded */

    /* Direct execution. */
    struct shadow_table shadow_gdt, shadow_ldt;
    struct seg verified[SEG_COUNT]; /* what segment registers are known to get from the shadow tables */
    bool desc_synced; /* they are as the guest's now */
    bool desc_changed; /* since segment registers were loaded from them */
    bool doors_shut;
    uint64_t host_efer, host_sysenter_cs;

    uint8_t *win; /* the window, writable */
    struct ring0_pages pages;
    uint32_t pt_made; /* pool pages that have been used */
    uint32_t pt_free; /* number of the first that is free again; its first word is the next one's */
    unsigned nspaces, space_loaded;
    struct space *space[SPACES_MAX];
    unsigned nstale;       /* of these pages; if more than STALE_MAX, of any */
    gla_t stale[STALE_MAX];

    /* What has to be done before the guest runs. */
    union {
        uint16_t due; /* any of it? */
        struct {
            bool flush;         /* the TLB may hold what the tables no longer say: ring0_tlb_flush() */
            bool alarm_changed; /* the module has not seen cross->alarm yet */
        };
    };

    struct ring0_clock clock;

    void *fpu; /* image of the guest's state while the host has the registers */
    bool has_xsaveopt;
    uint64_t xcr0, xcr0_host; /* now; the host's.  0: CR4.OSXSAVE is clear */
    uint64_t xcr0_at; /* xcr0 is the guest's as of this value of v->changes */
};

static inline struct world *ring0_world(void) { return (struct world *)MON_PRIVATE; }

static inline uint64_t read_cr2(void)
{
    uint64_t x;

    __asm__ volatile("mov %%cr2, %0" : "=r"(x));
    return x;
}
static inline void write_cr2(uint64_t x) { __asm__ volatile("mov %0, %%cr2" : : "r"(x)); }
static inline void write_cr3(uint64_t x) { __asm__ volatile("mov %0, %%cr3" : : "r"(x) : "memory"); }
#define SREG_SET(name, sel) __asm__ volatile("mov %k0, %%" #name : : "r"((uint16_t)(sel)) : "memory")
#define SREG_GET(name)                                                                                       \
    ({                                                                                                       \
        uint32_t sel_;                                                                                       \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(sel_));                                                \
        (uint16_t)sel_;                                                                                                \
    })
static inline void invlpg(uint64_t la) { __asm__ volatile("invlpg (%0)" : : "r"(la) : "memory"); }

/* boot.S */
extern const uint8_t ring0_stubs[]; /* 256 of them, 16 bytes each */

/* tables.c */
void ring0_tables_init(struct world *w);
/* Put GDT, IDT, LDTR and TR into the CPU: after every switch from the host. */
void ring0_tables_load(struct world *w);
/* An 8-byte data descriptor for t at privilege dpl. */
uint64_t ring0_descriptor(const struct truncated *t, unsigned dpl);

/* switch.c: leave for the host and come back.  The guest's FPU state survives; v->attention tells of events. */
void ring0_switch(struct world *w, enum btmon_op op, uint32_t code, uint64_t arg);
/* An interrupt, NMI or machine check that is the host's, and came at that CPL and address. */
void ring0_host_event(struct world *w, unsigned vec, unsigned cpl, uint32_t at);
/* Are the module's time stamps of them to be traced? */
bool ring0_trace_wanted(const struct world *w);
static inline bool vec_is_host(unsigned vec)
{
    return vec == VEC_NMI || vec == VEC_MC || (vec >= 32 && vec != VEC_CALLOUT);
}

/* fpu.c */
void ring0_fpu_init(struct world *w);
void ring0_fpu_save(struct world *w);
void ring0_fpu_load(struct world *w);
/* Before the guest runs: CR4.OSXSAVE and XCR0 as it has set them. */
void ring0_xcr0_change(struct world *w, uint64_t want);
static inline void ring0_xcr0_follow(struct world *w, const struct vcpu *v)
{
    uint64_t want;

    if (likely(w->xcr0_at == v->changes))
        return;
    want = v->cr4 & CR4_OSXSAVE ? v->xcr0 : 0;
    if (unlikely(w->xcr0 != want))
        ring0_xcr0_change(w, want);
    w->xcr0_at = v->changes;
}
/* Before the host runs (returns what it was), and after. */
uint64_t ring0_xcr0_restore(struct world *w);
void ring0_xcr0_take(struct world *w, uint64_t guest);

/* enter.c */
/* Run the guest until a trap, which v->exit, v->gpr, v->hflags and these two then tell of. */
#define SCRATCH_CS 0
#define SCRATCH_SS 1
void ring0_enter(struct vcpu *v, uint32_t eip, uint32_t cs, uint32_t ss, uint32_t flags);
void ring0_trampoline_init(struct world *w);
void ring0_trap_from_guest(void);
void ring0_callout(void);
void ring0_trap_in_monitor(void);

/* traps.c */
void ring0_monitor_trap(struct trap_frame *f);
/* Record a reason and end for ever. */
__attribute__((noreturn)) void ring0_die(struct world *w, const char *msg);

/* direct.c: the fast system calls into the host, while its values are not there. */
void ring0_doors_shut(struct world *w);
void ring0_doors_open(struct world *w);

/* shadowdesc.c */
/* Bring the shadow tables up to date: can the vCPU's segments be loaded from them? */
bool ring0_direct_segments(struct world *w, struct vcpu *v);
/* Direct code was found with another selector in a segment register. */
void ring0_segment_found(struct world *w, struct vcpu *v, unsigned seg, uint16_t sel);

/* memory.c */
void ring0_memory_init(struct world *w, const struct ring0_pages *pages);
/* Make the TLB agree with the tables. */
void ring0_tlb_flush(struct world *w);

/* measure.c: for the counters, once the rest is ready. */
void ring0_measure(struct world *w);

/* clock.c */
/* Something has come: the alarm is no more if that was it. */
void ring0_alarm_passed(struct world *w);
void ring0_clock_init(struct world *w);
/* What comes before the guest runs, translated or directly; false: an event has come first. */
static inline bool ring0_ready(struct world *w, struct vcpu *v)
{
    if (unlikely(w->due)) {
        if (w->alarm_changed)
            ring0_switch(w, BTMON_OP_NONE, 0, 0);
        if (w->flush)
            ring0_tlb_flush(w);
    }
    if (unlikely(v->attention)) {
        v->exit.kind = EXIT_NONE;
        return false;
    }
    ring0_xcr0_follow(w, v);
    return true;
}

#endif
