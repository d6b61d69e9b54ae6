/*
 * The per-VCPU data page(s) in the window: what translated code keeps there.
 *
 * World: monitor (through world_win_data()) and translated code (through
 * %gs:offset).  Guest segments end below the window, so guest code reaches it
 * only through what the translator emits; still the monitor takes nothing from
 * here on trust but spilled guest values and what it wrote itself.
 * Units: guest EIPs and window linear addresses (tca_t).
 */
#ifndef BT_WINDATA_H
#define BT_WINDATA_H

#include "base/types.h"

#define L1_SIZE 256u  /* return cache entries: indexed by the low byte of the return EIP */
#define L2_SIZE 4096u /* lookup entries: indexed by (eip ^ eip >> 12) */

struct lookup_entry {
    uint32_t eip;
    tca_t tca;
};

/* A segment register: the negatives of its selector and of the descriptor at `gla` that make loading it again a
 * no-op (negatives, because LEA and JECXZ compare without touching flags). */
struct reload {
    uint32_t neg_sel, gla, neg_lo, neg_hi;
};

struct windata {
    uint32_t callout_arg;  /* must stay first: the world's exit stub reads it */
    uint32_t spill_eax, spill_ecx, spill_edx;
    uint32_t target_eip;   /* where an indirect transfer wants to go */
    tca_t target_tca;
    uint32_t vif;          /* the virtual IF: EFLAGS_IF or 0 */
    uint32_t post;         /* what port 80h holds, in the low byte: the kernel's OUTs of a byte come here without a callout */
    uint32_t irq_pending;  /* an interrupt waits for IF: STI and POPF must call out */
    uint32_t sel[8];       /* guest selectors, zero-extended.  ORDER SEG */
    uint32_t operand;      /* of a callout: what its argument has no room for */
    uint32_t xcr0;         /* the guest's, low half: what XSAVE and kin may name */
    struct reload reload[8]; /* ORDER SEG */
    tca_t l1[2][L1_SIZE];               /* [user] return cache: landing pads */
    struct lookup_entry l2[2][L2_SIZE]; /* [user] */
    _Alignas(64) uint8_t bounce[4096];  /* memory operand of instructions run for the interpreter */
};

#define WD_OFF(field) ((uint32_t)offsetof(struct windata, field))

_Static_assert(offsetof(struct windata, callout_arg) == 0, "the world's exit stub knows it");
_Static_assert(sizeof(struct windata) <= 0x40000, "fits WIN_DATA_SIZE");

static inline uint32_t l2_index(uint32_t eip) { return (eip ^ eip >> 12) & (L2_SIZE - 1); }

#endif
