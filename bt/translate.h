/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of the translator share while they make one TU: translate.c drives, tr_*.c emit one
 * class of instructions each.
 *
 * World: monitor.  `in` is the decoded instruction, `b` its bytes; r->n is its number in the TU.  An emitter
 * leaves the guest's registers and flags as the instruction does, and records (rec()) what is spilled
 * where wherever the translation can fault.
 */
#ifndef BT_TRANSLATE_H
#define BT_TRANSLATE_H

#include "bt/bt_priv.h"
#include "bt/emit.h"

struct tr {
    struct vcpu *v;
    struct bt *bt;
    struct tu *t;
    struct emit e;
    uint32_t mode;
    const uint8_t *bytes;           /* of the TU */
    struct bt_insn insn[TU_MAX_INSNS];
    unsigned n;                     /* instruction being emitted */
    bool ended;                     /* control does not fall out of the last instruction */
};

static inline uint32_t insn_eip(const struct tr *r, unsigned n) { return r->t->eip + r->t->insn_off[n]; }

/* --- tr_exit.c --- */
void rec(struct tr *r, enum map_kind kind, unsigned arg, unsigned flags);
void emit_callout(struct tr *r, enum callout kind, uint32_t sub);
/* Instruction r->n by the interpreter; end: it may change what the rest was translated for. */
void emit_interp(struct tr *r, bool end);
/* Exits are numbered.  A jump comes first, and its stub once nothing can fall into it; the jump is patched when chained. */
unsigned exit_new(struct tr *r, uint32_t target, tca_t site);
unsigned emit_exit_jmp(struct tr *r, uint32_t target);
void emit_exit_stub(struct tr *r, unsigned x);
void emit_end(struct tr *r, uint32_t target);
/* %ecx holds the target and its guest value is spilled. */
void emit_indirect_end(struct tr *r, bool ret);

/* --- tr_ident.c --- */
/* The segment prefix is one that translated code can use as it stands. */
bool seg_usable(const struct tr *r, const struct bt_insn *in, const uint8_t *b);
/* ModRM, SIB and a disp32 raised by GS_BIAS, then what follows (immediates). */
void emit_biased(struct tr *r, const struct bt_insn *in, const uint8_t *b, unsigned reg);
void emit_ident(struct tr *r, const struct bt_insn *in, const uint8_t *b);
/* The offset of the memory operand to %ecx. */
void emit_lea_operand(struct tr *r, const struct bt_insn *in, const uint8_t *b);
void emit_xsave_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b);

/* --- tr_adapt.c --- */
bool adaptable(const struct bt_insn *in, const uint8_t *b);
void emit_adapted(struct tr *r, const struct bt_insn *in, const uint8_t *b);

/* --- tr_flow.c --- */
void emit_jcc_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b);
void emit_loop_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b);
void emit_call_insn(struct tr *r, const struct bt_insn *in);
void emit_ret_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b);
void emit_indirect_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b, bool call);

/* --- tr_flags.c --- */
void emit_cli_insn(struct tr *r);
void emit_sti_insn(struct tr *r);
void emit_pushf_insn(struct tr *r);
void emit_popf_insn(struct tr *r);

/* --- tr_segment.c --- */
void emit_seg_read_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b);
void emit_seg_load_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b);

/* --- tr_system.c --- */
void emit_gate_insn(struct tr *r, const struct bt_insn *in);
void emit_port_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b);
void emit_mov_cr_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b);
void emit_invlpg_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b);

#endif
