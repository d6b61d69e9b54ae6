/*
 * The interpreter's decoder (also the translator's second opinion): SDM vol. 2 appendix A.
 *
 * World: monitor.  Pure functions.
 * bytes: up to 15; avail: how many are readable.  Returns length 1..15, 0 if more bytes are
 * needed than `avail`, or -1 for an encoding longer than 15 bytes (#GP) or undefined (#UD).
 */
#ifndef CPU_INSN_H
#define CPU_INSN_H

#include "base/types.h"

struct insn {
    uint8_t len;
    uint8_t map;        /* 0: one-byte, 1: 0F, 2: 0F38, 3: 0F3A; VEX/EVEX maps alike with vex set */
    uint8_t opcode;
    uint8_t opsize;     /* 2 or 4 */
    uint8_t adsize;     /* 2 or 4 */
    uint8_t rep;        /* 0, 0xf2 or 0xf3: the last of them */
    bool lock, has_modrm, vex, evex;
    bool osz_prefix;    /* 66 seen */
    uint8_t modrm;
    uint8_t seg;        /* effective segment of the memory operand (SEG_*), overrides applied */
    uint8_t seg_prefix; /* SEG_* of the last override prefix, or 0xff */
    bool mem;           /* ModRM names memory */
    uint8_t base, index, scale; /* register numbers or 0xff; scale is the shift, 0..3 */
    uint8_t prefix_len; /* bytes before the opcode (escape bytes not counted) */
    uint8_t disp_len, imm_len;
    uint32_t disp;      /* sign-extended; also moffs.  EVEX: not yet multiplied by N */
    uint32_t imm;       /* imm8 sign-extended, imm16 zero-extended */
    uint32_t imm2;      /* ENTER's second, far pointer's selector */
    uint8_t pp;         /* mandatory prefix: 0 none, 1 66, 2 F3, 3 F2 (VEX.pp, or from the legacy prefixes) */
    uint8_t vvvv;       /* VEX/EVEX second source register */
    uint8_t vex_l;      /* vector length: 0 128, 1 256, 2 512 bits */
    uint8_t evex_p2;    /* EVEX third payload byte: z L'L b V' aaa */
    bool vex_w;
};
int insn_decode(struct insn *in, const uint8_t *bytes, unsigned avail, bool code32);

/* The same, telling the two apart: what insn_decode() gives as -1. */
#define INSN_UNDEFINED (-1)
#define INSN_TOO_LONG (-2)
int insn_decode_exact(struct insn *in, const uint8_t *bytes, unsigned avail, bool code32);

#endif
