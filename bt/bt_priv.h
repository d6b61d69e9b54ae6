/*
 * The translator's own structures: translation units, exits, the cache.
 *
 * World: monitor, bt/ only.  Units: tca are linear addresses in the window;
 * tu numbers index bt->tu[] (0 is none).  Owner: struct bt.
 *
 * A TU's code in the TC is one run of bytes with a map: records in ascending
 * offset that say what state the guest is in from there on.  They make every
 * fault and interrupt precise (bt/state.c).
 */
#ifndef BT_BT_PRIV_H
#define BT_BT_PRIV_H

#include "bt/bt.h"
#include "bt/decode.h"
#include "bt/windata.h"
#include "cpu/gmem.h"
#include "shadowmmu/mmu.h"
#include "world/cross.h"
#include "world/world.h"

#define TU_MAX_INSNS 12
#define TU_MAX (1u << 16)
#define TU_MAP_MAX 64
#define TU_ROOM 2048u /* bytes of TC that one may take, at most */
#define HASH_SIZE (1u << 16)

/* What a TU assumes of the vCPU's mode; part of its key. */
#define MODE_CPL 3u          /* bits 0-1 */
#define MODE_NOFPU BIT(2)    /* CR0.TS or EM: FPU instructions are interpreted */
#define MODE_NOSSE BIT(3)    /* CR4.OSFXSR clear */
#define MODE_NOXSAVE BIT(4)  /* CR4.OSXSAVE clear, or a host that can't do MODE_XMASK: XSAVE and kin are interpreted */
#define MODE_NOAVX BIT(11)   /* AVX not enabled in CR4 and XCR0 */
#define MODE_NOAVX512 BIT(12)
#define MODE_SS16 BIT(5)     /* 16-bit stack: stack-relative sequences are interpreted */
#define MODE_GS2FS BIT(6)    /* guest GS sits in the real FS */
#define MODE_ODDFLAGS BIT(7) /* IOPL, NT or AC set: PUSHF/POPF/CLI/STI are interpreted */
#define MODE_NOTSC BIT(8)    /* RDTSC is interpreted */
#define MODE_GSBIAS BIT(10)  /* ... with its base lowered by GS_BIAS, see emit_biased() */
#define MODE_XMASK BIT(13)   /* the host's XCR0 has components that the guest's has not: XSAVE and kin get a mask */
#define MODE_ODDCS BIT(9)    /* CS not flat: base and limit are part of the key */

#define GS_BIAS 0x100000u

static inline bool mode_user(uint32_t mode) { return (mode & MODE_CPL) == 3; }

/* Map records: the state of the guest from `off` on. */
enum map_kind {
    MAP_INSN,        /* exactly at off: boundary before insn; up to the next record: faults are precise */
    MAP_BODY,        /* inside an insn; registers in `spill` are in their slots, otherwise precise on faults */
    MAP_EXIT_DIRECT, /* exactly at off: boundary, eip = exit[arg].target */
    MAP_EXIT_IND,    /* exactly at off: boundary, eip = target_eip slot, ecx in its slot */
    MAP_STUB,        /* leads to a callout by itself */
};
#define SPILL_EAX 1
#define SPILL_ECX 2
#define SPILL_EDX 4
#define MAP_SHADOW 8 /* boundary lies in an STI shadow */

struct map_rec {
    uint16_t off;       /* from tu->tca */
    uint8_t kind;
    uint8_t insn;       /* guest instruction number */
    uint8_t arg;        /* exit number */
    uint8_t flags;      /* SPILL_*, MAP_SHADOW */
};

struct tu_exit {
    uint32_t target;    /* guest EIP */
    tca_t site;         /* address of the rel32 */
    tca_t stub;         /* what it points to when unchained */
    uint32_t to;        /* TU chained to, 0 none */
    uint32_t next_in;   /* next exit chained to the same TU: tu << 1 | exit */
    bool chainable;
};

struct tu {
    uint32_t eip;
    uint32_t mode;
    uint32_t cs_base, cs_limit;
    gpn_t gpn[2];       /* pages of its bytes; gpn[1] == NO_GPN if one */
    uint32_t page_next[2];
    uint32_t hash_next;
    tca_t tca;
    uint16_t tc_len;
    uint16_t len;       /* guest bytes */
    uint8_t ninsns, nmap, nexits;
    uint16_t adapted;   /* bit per instruction: adapt.c */
    bool live, nochain; /* nochain: reached by lookup only (page-crossing user code) */
    uint8_t insn_off[TU_MAX_INSNS + 1]; /* guest offset of each instruction, then the length */
    uint8_t insn_map[TU_MAX_INSNS + 1]; /* map record of the boundary before each, and of that at the end; 0, but for the first: there is none */
    uint32_t in;        /* exits chained to here */
    tca_t pad;          /* return landing pad within, 0 none */
    uint32_t pad_eip;
    struct tu_exit exit[2];
    struct map_rec *map;
};
#define NO_GPN 0xffffffffu

/* Callout arguments: kind in bits 0-3, TU number from bit 4 (16 bits), sub in bits 20-31. */
enum callout {
    CO_NONE, CO_EXIT, CO_INTERP, CO_LOOKUP, CO_RUNONCE, CO_SEG_LOAD, CO_IRET, CO_INT, CO_PORT, CO_MOV_CR, CO_INVLPG,
    CO_WINDOW
};
/*
 * sub, from bit 0: instruction number, and then
 *   CO_SEG_LOAD  segment, POP or MOV, source register
 *   CO_INT       vector
 *   CO_PORT      size, OUT or IN, port in DX or in windata.operand
 *   CO_MOV_CR    number of the control register, write or read, general register
 *   CO_INVLPG    segment; the offset is in windata.operand
 */
#define SUB_INSN(sub) ((sub) & 15)
#define SUB_SEG(sub) ((sub) >> 4 & 7)
#define SUB_POP BIT(7)
#define SUB_REG(sub) ((sub) >> 8 & 7)
#define SUB_VEC(sub) ((sub) >> 4 & 0xff)
#define SUB_PORT_SIZE(sub) ((sub) >> 4 & 7)
#define SUB_PORT_OUT BIT(7)
#define SUB_PORT_DX BIT(8)
#define SUB_CR(sub) ((sub) >> 4 & 7)
#define SUB_CR_WRITE BIT(7)
static inline uint32_t callout_arg(enum callout kind, uint32_t tu, uint32_t sub)
{
    return (uint32_t)kind | tu << 4 | sub << 20;
}

struct plant {
    tca_t tca;
    uint8_t byte;
};

/* Code pages: linear page -> physical page that kernel TUs were made from. */
struct code_page {
    gla_t gla;
    gpn_t gpn;
    bool used;
};
#define CODE_PAGES 8192u

/* A small cache of code fetch translations for slow lookups. */
struct fetch_entry {
    gla_t gla;
    gpn_t gpn;
    uint32_t gen;
    uint8_t user;
};
#define FETCH_ENTRIES 256u

/* Why translated code came back.  ORDER EXIT_REASON in base/stats.def */
enum exit_reason {
    REASON_CHAIN, REASON_LOOKUP, REASON_INTERP, REASON_SEGMENT, REASON_GATE, REASON_SYSTEM, REASON_WINDOW, REASON_HIDDEN, REASON_TRUE,
    REASON_EMULATED, REASON_OTHER, REASON_COUNT
};

/* How often an instruction at a guest physical address has reached past the segments' end, and, in case a TU has adapted to
 * that, what it is: adapt.c. */
#define ADAPT_NOTES 1024u
struct adapt_note {
    uint32_t gpa, faults;
    struct insn in;
};

struct check;

/* Where descriptors come from, and whether translated code can read them through SS. */
struct desc_tables {
    uint32_t gdt, gdt_limit, ldt, ldt_limit, flat_stack;
};

struct bt {
    struct bt_decoder decoder;
    struct bt_options opt;
    uint64_t return_at_user; /* bit per bt_space() */
    uint64_t host_xcr0;
    bool host_bmi2;
    struct windata *wd;
    const struct mmu_gens *gens;
    uint8_t *tc_rw;
    tca_t tc_start, tc_next, tc_limit; /* after the fixed stubs */
    tca_t l2_stub[2], l1_miss[2];      /* [user] */
    tca_t l2_jump[2];                  /* their final jumps: boundaries */
    tca_t run_once;                    /* slot for fpnative_run() */
    uint8_t callout_seq[8];
    unsigned callout_len;

    struct tu *tu;
    uint32_t ntus;
    struct adapt_note adapt[ADAPT_NOTES];
    uint32_t *hash;
    uint32_t *page_tus;      /* [gpn]: tu << 1 | which */
    uint8_t *page_quiet;     /* [gpn]: writes in a row that hit no TU */
    uint32_t npages;
    struct map_rec *maps;    /* pool */
    uint32_t nmaps, maps_max;

    struct plant plant[32];
    unsigned nplants;

    struct code_page *code_pages; /* hash by gla */
    uint32_t ncode_pages;
    struct fetch_entry *fetch;
    uint32_t fetch_gen;
    uint32_t fetched_user_gen;  /* the fetch cache is right for this */
    uint32_t seen_user_gen, seen_global_gen;
    uint32_t ctx_mode[2], ctx_base[2], ctx_limit[2]; /* what the L1/L2 tables were filled under */
    uint32_t flush_count;
    uint32_t recent[64], nrecent; /* eips of TUs entered from the monitor */
    struct desc_tables tables; /* what wd->reload was made for */
    struct seg synced[SEG_COUNT]; /* what wd->sel and the world's selectors were made for */
    uint32_t seg_state;      /* what world_seg_sync() was last called for */
    gla_t seg_limit;
    uint32_t settled_mode;   /* all that an entry depends on was checked, for this mode, */
    uint64_t settled_at;     /* when v->changes was this; 0: never */
    bool profile;            /* count cycles */
    bool by_steps;           /* each entry and exit is of interest: no short ways */
    enum exit_reason reason; /* of the exit being handled */
    bool prefill;            /* a true page fault was delivered: */
    gla_t prefill_gla;       /*   at this address */
    uint32_t prefill_eip;    /*   by this instruction; when it runs again its page is likely there */
    struct check *check;     /* lock-step checking, or NULL */
    uint32_t chain_from;     /* exit that asked for the next lookup: tu << 1 | exit, or NO_EXIT */
};

static inline uint8_t *tc_hva(struct bt *bt, tca_t tca) { return bt->tc_rw + (tca - WIN_TC); }

/* tc.c */
void tc_init(struct vm *vm);
struct tu *tu_find(struct bt *bt, uint32_t eip, gpn_t gpn, uint32_t mode, const struct vcpu *v);
uint32_t tu_number(const struct bt *bt, const struct tu *t);
struct tu *tu_new(struct vm *vm);
void tu_publish(struct vm *vm, struct tu *t);
void tu_kill(struct vm *vm, struct tu *t);
struct tu *tu_at(struct bt *bt, tca_t tca);
void tu_chain(struct vm *vm, struct tu *from, unsigned exit, struct tu *to);
void lookup_flush(struct bt *bt, unsigned user);
void lookup_insert(struct bt *bt, const struct tu *t);

/* translate.c: NULL with *f set for a fetch fault; NULL with vec 0xff: interpret instead. */
struct tu *bt_translate(struct vcpu *v, uint32_t mode, struct fault *f);
bool bt_fetch_page(struct vcpu *v, gla_t gla, gpn_t *gpn, struct fault *f);

/* state.c */
uint32_t bt_mode(const struct vcpu *v);
/* v->hflags, vif slot -> v->eflags, and back. */
static inline void bt_flags_in(struct vcpu *v, struct bt *bt)
{
    uint32_t keep = v->eflags & ~(EFLAGS_LIVE | EFLAGS_IF | EFLAGS_RF);

    v->eflags = keep | (v->hflags & EFLAGS_LIVE) | (bt->wd->vif & EFLAGS_IF) | EFLAGS_FIXED;
}
static inline void bt_flags_out(struct vcpu *v, struct bt *bt)
{
    v->hflags = (v->eflags & EFLAGS_LIVE) | EFLAGS_IF | EFLAGS_FIXED;
    bt->wd->vif = v->eflags & EFLAGS_IF;
}
bool bt_sync_fault(struct vcpu *v, tca_t tca, struct tu **tu, unsigned *insn);
bool bt_sync_boundary(struct vcpu *v, tca_t tca);
void bt_plant(struct vcpu *v, tca_t tca);
void bt_unplant(struct bt *bt);

/* smc.c: drop TUs with bytes of this range within a page; how many? */
unsigned tu_drop_range(struct vm *vm, gpn_t gpn, uint32_t from, uint32_t to);

/* callouts.c: port I/O, MOV CR, INVLPG; false: *f holds the guest's fault and nothing is done. */
bool callout_do(struct vcpu *v, enum callout kind, uint32_t sub, struct fault *f);

/* adapt.c: instruction n of t has faulted on a limit (t may be dropped); is it to look before it leaps? */
void adapt_fault(struct vcpu *v, struct tu *t, unsigned n);
bool adapt_wanted(struct bt *bt, const struct tu *t, unsigned n, const uint8_t *bytes);
/* Instruction n of t, one of t->adapted.  NULL: no longer known. */
const struct insn *adapt_insn(struct bt *bt, const struct tu *t, unsigned n);
void adapt_reset(struct bt *bt);

/* check.c */
void check_init(struct vm *vm);
bool check_covers(const struct bt *bt, const struct tu *t);
void check_predict(struct vcpu *v, const struct tu *t);
/* The guest is at an exact boundary behind `steps` instructions of the predicted TU. */
#define CHECK_WHOLE_TU 0xffu
void check_compare(struct vcpu *v, unsigned steps);
/* A true fault at instruction n of t: a REP may have done a part. */
void check_fault(struct vcpu *v, const struct tu *t, unsigned n);
void check_forget(struct bt *bt);

#define NO_EXIT 0xffffffffu

/* reload.c: note which loads of segment registers would change nothing; dirty: a bit per register that may have changed. */
bool reload_tables_moved(const struct vcpu *v);
void reload_note(struct vcpu *v, unsigned dirty);

#endif
