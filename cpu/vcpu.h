/*
 * The virtual CPU's state: one i686-class processor as SDM vol. 3A describes it.
 *
 * World: monitor; offsets of the hot part are used by the world's entry code.
 * Units: registers hold guest values.  Owner: struct vm.  Errors: none here.
 * Order: vcpu_reset() first.  While guest code runs, gpr[]/eip/eflags are
 * stale; every exit brings them up to date before C code of the core runs.
 */
#ifndef CPU_VCPU_H
#define CPU_VCPU_H

#include "base/types.h"
#include "base/vm.h"
#include "cpu/insn.h"
#include "cpu/x86.h"

/* ModRM order.  ORDER REG */
#define GPR_LIST(X) X(EAX, eax) X(ECX, ecx) X(EDX, edx) X(EBX, ebx) \
                    X(ESP, esp) X(EBP, ebp) X(ESI, esi) X(EDI, edi)
enum { REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI };

/* Sreg encoding order of MOV Sreg.  ORDER SEG */
#define SEG_LIST(X) X(ES, es) X(CS, cs) X(SS, ss) X(DS, ds) X(FS, fs) X(GS, gs)
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

/*
 * A segment register with its hidden part.  attr is the descriptor's second
 * dword's bits 8..23 shifted down by 8 (type, S, DPL, P, -, AVL, L, D/B, G:
 * bits 0-3, 4, 5-6, 7, 8-11 limit bits (zero here), 12, 13, 14, 15), with
 * `limit` already scaled to bytes.  A null DS/ES/FS/GS has attr == 0 (P clear).
 */
struct seg {
    uint16_t sel;
    uint16_t attr;
    uint32_t base;
    uint32_t limit;
};

struct dtr {
    uint32_t base;
    uint16_t limit;
};

/* The guest's architectural fault, as a value. */
struct fault {
    uint8_t vec;      /* enum x86_vector */
    bool has_err;
    uint32_t err;
    uint32_t cr2;     /* #PF only */
};

/* The host's layout of the XSAVE components, kept by cpuid.c: CPUID is slow where it traps. */
#define XSTATE_COUNT 8
struct xstate {
    bool known;
    uint8_t aligned; /* bit per component: at a multiple of 64 in the compacted format */
    uint16_t size[XSTATE_COUNT], offset[XSTATE_COUNT];
};

/* What gates and IRETs led to: cpu/gatecache.c.  0 in the first word: nothing. */
#define GATES_SEEN 32u /* by vector */
#define IRETS_SEEN 4u  /* by CS */
/* Where the tables lie in host memory, while v->gmem_gen and v->changes are these. NULL: not within one
 * page, or not to be seen then; no 32-bit TSS. */
struct tables_seen {
    uint64_t changes;
    uint32_t gen;
    uint32_t serial; /* changes when they have moved */
    uint16_t idt_limit, gdt_limit;
    const uint8_t *idt, *gdt, *tss;
};
/* Where a frame on an inner stack lies, to be read and written through, while v->gmem_gen (never 0) is this. */
struct frame_seen {
    uint32_t gen;
    gla_t gla;
    uint8_t *hva;
};
#define GATE_KNOWN BIT(31)
struct gate_seen {
    uint32_t key; /* vector | CPL that it came from << 8 | with an error code << 16 | GATE_KNOWN */
    uint32_t int_key; /* the same for INT n, if the gate lets it through to an inner ring; 0 */
    uint32_t serial;
    const uint8_t *gate_at, *code_at, *stack_at; /* of the descriptors, while the tables' serial is that */
    uint64_t gate, code, stack; /* they, as in memory; without an inner stack the last two are the same */
    const uint8_t *esp_at; /* in the TSS: ESP, SS.  NULL: the stack stays */
    struct frame_seen frame;
    struct seg cs, ss;
    uint32_t eip;
    uint32_t keep; /* of EFLAGS */
    uint8_t cpl;
};
#define IRET_KNOWN BIT(31)
struct iret_seen {
    uint32_t key; /* CS | IRET_KNOWN */
    uint32_t serial;
    const uint8_t *code_at, *stack_at;
    uint64_t code, stack;
    uint8_t cpl;
    bool outer;
    struct seg from; /* the stack of the frame, a flat one of CPL 0 */
    struct seg cs, ss;
};

/* Instructions of up to eight bytes as they were decoded: cpu/interp.c.  mask 0: nothing. */
#define DECODED_SEEN 64u /* by EIP */
struct decoded_seen {
    uint64_t bytes, mask;
    bool code32;
    struct insn in;
};

/* Why world_enter() came back. */
enum exit_kind {
    EXIT_NONE,      /* was not entered: attention came first; gpr[] untouched */
    EXIT_CALLOUT,   /* translated code called; what it passed is in the data page */
    EXIT_FAULT,     /* host exception at tca: vec, err, cr2 */
    EXIT_ATTENTION, /* asynchronous event at tca */
    EXIT_SOFTINT,   /* direct execution only: INT n, vec = n, eip after it */
    EXIT_ESCAPE,    /* direct execution left its sandbox rules: vm is stopped */
};

struct exit {
    uint32_t kind;
    uint32_t tca;
    uint32_t vec;
    uint32_t err;
    uint32_t cr2;
};

struct vcpu {
    /* Hot: the world's entry code knows these offsets. */
    uint32_t gpr[8];
    uint32_t eip;
    uint32_t eflags;         /* whole architectural EFLAGS, virtual IF included */
    volatile uint32_t attention; /* set by the world when an event waits; the entry code refuses to enter */
    uint32_t hflags;         /* arithmetic flags etc. that the entry code loads and the exit code stores */
    uint16_t hsel[8];        /* host selectors for ES CS SS DS FS GS; [6],[7] unused. ORDER SEG */
    uint32_t hseg_base[2];   /* bases to set for FS and GS after loading their selectors */
    struct exit exit;
    uint64_t mon_rsp;        /* the monitor's stack while the guest runs */
    void *exit_entry;        /* where the window's 64-bit stub jumps */
    uint64_t scratch[4];     /* for the entry code */

    /* Segments. */
    struct seg seg[SEG_COUNT];
    struct seg ldtr, tr;
    struct dtr gdtr, idtr;
    uint8_t cpl;             /* 0..3; equals SS.DPL in protected mode; 3 in V86; 0 in real mode */
    uint8_t hsel_dirty;      /* bit per segment: hsel must be recomputed by world_seg_sync() */

    /* Interrupts. */
    bool intr;               /* the 8259s ask for an interrupt */
    uint8_t shadow;          /* SHADOW_*: interrupts held off for one instruction */
    bool halted;             /* HLT executed; waits for an interrupt */
    bool nmi_blocked, nmi_pending;

    /* Control. */
    uint32_t cr0, cr2, cr3, cr4;
    uint32_t dr[8];
    uint64_t pdpte[4];       /* PAE: loaded at MOV CR3/CR0/CR4 (SDM vol. 3A 4.4.1) */
    uint32_t mmu_mode_gen;   /* changes whenever CR0/CR4/EFER paging bits change */

    /* MSRs. */
    uint64_t efer;
    uint64_t tsc_offset;     /* guest TSC = host TSC + offset */
    uint32_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, apic_base, misc_enable;
    uint64_t spec_ctrl;
    uint64_t xcr0;
    struct xstate xstate;

    const struct cpuid_model *cpuid; /* what CPUID tells */
    struct vm *vm;

    /* What the monitor remembers to be quick; no state of the CPU. */
    uint32_t gmem_gen;       /* changes whenever what gmem_keep() has returned for supervisor accesses may no longer hold */
    uint64_t changes;        /* see vcpu_changed() */
    struct tables_seen tables_seen;
    struct gate_seen gate_seen[GATES_SEEN];
    struct iret_seen iret_seen[IRETS_SEEN];
    struct frame_seen iret_frame;
    struct decoded_seen decoded_seen[DECODED_SEEN];
};

/* Bytes of struct vcpu that are the CPU's state. */
#define VCPU_STATE_SIZE offsetof(struct vcpu, gmem_gen)

#define SHADOW_STI 1
#define SHADOW_SS 2

/*
 * The state has changed in another way than guest code itself (by its registers, flags, EIP) and gates and IRETs that
 * are known (cpu/gatecache.h) change it, and loads of CR3, of which the MMU tells. What has been checked of the rest, and
 * depends on none of these, holds as long as v->changes stays.
 */
static inline void vcpu_changed(struct vcpu *v) { v->changes++; }

/* Does an interrupt wait that the vCPU can take now?  It is no reason for attention before. */
static inline bool vcpu_interrupted(const struct vcpu *v) { return v->intr && (v->eflags & EFLAGS_IF); }

/* State after RESET (SDM vol. 3A table 9-1), keeping vm and cpuid. */
void vcpu_reset(struct vcpu *v);

static inline bool vcpu_pe(const struct vcpu *v) { return v->cr0 & CR0_PE; }
static inline bool vcpu_v86(const struct vcpu *v) { return v->eflags & EFLAGS_VM; }
/* Protected mode proper: PE and not virtual-8086. */
static inline bool vcpu_protected(const struct vcpu *v) { return vcpu_pe(v) && !vcpu_v86(v); }
static inline unsigned vcpu_iopl(const struct vcpu *v) { return v->eflags >> 12 & 3; }
static inline bool vcpu_code32(const struct vcpu *v) { return v->seg[SEG_CS].attr & SEG_ATTR_DB; }
static inline bool vcpu_stack32(const struct vcpu *v) { return v->seg[SEG_SS].attr & SEG_ATTR_DB; }

/* A readable dump of all registers into buf; returns its length. */
int vcpu_dump(const struct vcpu *v, char *buf, size_t size);

#endif
