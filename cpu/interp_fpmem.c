/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much memory an x87, MMX, SSE or AVX instruction touches, whether it must
 * be aligned, and whether it is a pure store (SDM vol. 2, operand columns;
 * EVEX tuple types in 2.7.5).
 *
 * One byte describes a memory form.  Vector sizes depend on the vector length:
 * a legacy SSE instruction has 16 bytes, VEX and EVEX ones 16, 32 or 64; half,
 * quarter and eighth forms take that part of it.  A legacy SSE operand of 16
 * bytes must be aligned unless the table says UN; a VEX or EVEX one only where
 * it says AL.
 *
 * Not done: EVEX maps 5 and 6 (FP16) are taken as undefined.
 */
#include "cpu/interp_priv.h"

enum {
    NO,                         /* no such memory form */
    B1, B2, B4, B8, B16, B32,   /* bytes */
    FV, HV, QV, EV,             /* full, half, quarter, eighth vector */
    DD,                         /* 8 bytes at 128 bits, else full (MOVDDUP) */
    SW,                         /* scalar: 4 or 8 bytes by W */
    HW,                         /* half vector, or full with EVEX.W */
    SIZE = 15,
    ST = 16,                    /* store */
    AL = 32,                    /* aligned, VEX too */
    UN = 64,                    /* unaligned, legacy too */
};

/* 0F map.  ORDER none 66 F3 F2 */
static const uint8_t map_0f[256][4] = {
    [0x10] = { FV | UN, FV | UN, B4, B8 },
    [0x11] = { FV | UN | ST, FV | UN | ST, B4 | ST, B8 | ST },
    [0x12] = { B8, B8, FV, DD },
    [0x13] = { B8 | ST, B8 | ST, NO, NO },
    [0x14] = { FV, FV, NO, NO },
    [0x15] = { FV, FV, NO, NO },
    [0x16] = { B8, B8, FV, NO },
    [0x17] = { B8 | ST, B8 | ST, NO, NO },
    [0x28] = { FV | AL, FV | AL, NO, NO },
    [0x29] = { FV | AL | ST, FV | AL | ST, NO, NO },
    [0x2a] = { B8, B8, B4, B4 },
    [0x2b] = { FV | AL | ST, FV | AL | ST, B4 | ST, B8 | ST }, /* the scalar ones: SSE4a */
    [0x2c] = { B8, B16, B4, B8 },
    [0x2d] = { B8, B16, B4, B8 },
    [0x2e] = { B4, B8, NO, NO },
    [0x2f] = { B4, B8, NO, NO },
    [0x51] = { FV, FV, B4, B8 },
    [0x52] = { FV, NO, B4, NO },
    [0x53] = { FV, NO, B4, NO },
    [0x54] = { FV, FV, NO, NO },
    [0x55] = { FV, FV, NO, NO },
    [0x56] = { FV, FV, NO, NO },
    [0x57] = { FV, FV, NO, NO },
    [0x58] = { FV, FV, B4, B8 },
    [0x59] = { FV, FV, B4, B8 },
    [0x5a] = { HV, FV, B4, B8 },
    [0x5b] = { FV, FV, FV, NO },
    [0x5c] = { FV, FV, B4, B8 },
    [0x5d] = { FV, FV, B4, B8 },
    [0x5e] = { FV, FV, B4, B8 },
    [0x5f] = { FV, FV, B4, B8 },
    [0x60] = { B4, FV, NO, NO },
    [0x61] = { B4, FV, NO, NO },
    [0x62] = { B4, FV, NO, NO },
    [0x63] = { B8, FV, NO, NO },
    [0x64] = { B8, FV, NO, NO },
    [0x65] = { B8, FV, NO, NO },
    [0x66] = { B8, FV, NO, NO },
    [0x67] = { B8, FV, NO, NO },
    [0x68] = { B8, FV, NO, NO },
    [0x69] = { B8, FV, NO, NO },
    [0x6a] = { B8, FV, NO, NO },
    [0x6b] = { B8, FV, NO, NO },
    [0x6c] = { NO, FV, NO, NO },
    [0x6d] = { NO, FV, NO, NO },
    [0x6e] = { B4, B4, NO, NO },
    [0x6f] = { B8, FV | AL, FV | UN, FV | UN },
    [0x70] = { B8, FV, FV, FV },
    [0x71] = { NO, FV, NO, NO }, /* memory: EVEX only */
    [0x72] = { NO, FV, NO, NO },
    [0x73] = { NO, FV, NO, NO },
    [0x74] = { B8, FV, NO, NO },
    [0x75] = { B8, FV, NO, NO },
    [0x76] = { B8, FV, NO, NO },
    [0x78] = { FV, HW, B4, B8 }, /* 78-7B: EVEX only */
    [0x79] = { FV, HW, B4, B8 },
    [0x7a] = { NO, HW, HW, FV },
    [0x7b] = { NO, HW, B4, B4 },
    [0x7c] = { NO, FV, NO, FV },
    [0x7d] = { NO, FV, NO, FV },
    [0x7e] = { B4 | ST, B4 | ST, B8, NO },
    [0x7f] = { B8 | ST, FV | AL | ST, FV | UN | ST, FV | UN | ST },
    [0xc2] = { FV, FV, B4, B8 },
    [0xc4] = { B2, B2, NO, NO },
    [0xc6] = { FV, FV, NO, NO },
    [0xd0] = { NO, FV, NO, FV },
    [0xd1] = { B8, B16, NO, NO },
    [0xd2] = { B8, B16, NO, NO },
    [0xd3] = { B8, B16, NO, NO },
    [0xd4] = { B8, FV, NO, NO },
    [0xd5] = { B8, FV, NO, NO },
    [0xd6] = { NO, B8 | ST, NO, NO },
    [0xd8] = { B8, FV, NO, NO },
    [0xd9] = { B8, FV, NO, NO },
    [0xda] = { B8, FV, NO, NO },
    [0xdb] = { B8, FV, NO, NO },
    [0xdc] = { B8, FV, NO, NO },
    [0xdd] = { B8, FV, NO, NO },
    [0xde] = { B8, FV, NO, NO },
    [0xdf] = { B8, FV, NO, NO },
    [0xe0] = { B8, FV, NO, NO },
    [0xe1] = { B8, B16, NO, NO },
    [0xe2] = { B8, B16, NO, NO },
    [0xe3] = { B8, FV, NO, NO },
    [0xe4] = { B8, FV, NO, NO },
    [0xe5] = { B8, FV, NO, NO },
    [0xe6] = { NO, FV, HW, FV },
    [0xe7] = { B8 | ST, FV | AL | ST, NO, NO },
    [0xe8] = { B8, FV, NO, NO },
    [0xe9] = { B8, FV, NO, NO },
    [0xea] = { B8, FV, NO, NO },
    [0xeb] = { B8, FV, NO, NO },
    [0xec] = { B8, FV, NO, NO },
    [0xed] = { B8, FV, NO, NO },
    [0xee] = { B8, FV, NO, NO },
    [0xef] = { B8, FV, NO, NO },
    [0xf0] = { NO, NO, NO, FV | UN },
    [0xf1] = { B8, B16, NO, NO },
    [0xf2] = { B8, B16, NO, NO },
    [0xf3] = { B8, B16, NO, NO },
    [0xf4] = { B8, FV, NO, NO },
    [0xf5] = { B8, FV, NO, NO },
    [0xf6] = { B8, FV, NO, NO },
    [0xf8] = { B8, FV, NO, NO },
    [0xf9] = { B8, FV, NO, NO },
    [0xfa] = { B8, FV, NO, NO },
    [0xfb] = { B8, FV, NO, NO },
    [0xfc] = { B8, FV, NO, NO },
    [0xfd] = { B8, FV, NO, NO },
    [0xfe] = { B8, FV, NO, NO },
};

/* 0F 38 map with 66; what is not named is a full vector. */
static uint8_t form_0f38(const struct insn *in)
{
    unsigned op = in->opcode;

    if (!in->vex && in->pp == 0 && (op <= 0x0b || (op >= 0x1c && op <= 0x1e)))
        return B8;
    if (in->evex && in->pp == 2 && (op & 15) < 6 && op >= 0x10 && op < 0x40) { /* VPMOV truncations */
        static const uint8_t part[6] = { HV, QV, EV, HV, QV, HV };

        return part[op & 15] | ST;
    }
    switch (op) {
    case 0x13: case 0x20: case 0x23: case 0x25: case 0x30: case 0x33: case 0x35: return HV;
    case 0x21: case 0x24: case 0x31: case 0x34: return QV;
    case 0x22: case 0x32: return EV;
    case 0x18: case 0x58: return B4;
    case 0x19: case 0x59: return B8;
    case 0x1a: case 0x5a: return B16;
    case 0x1b: case 0x5b: return B32;
    case 0x2a: return FV | AL;
    case 0x78: return B1;
    case 0x79: return B2;
    case 0x2d: return in->evex ? SW : FV;
    case 0x43: case 0x4d: case 0x4f: case 0xcb: case 0xcd: return in->evex ? SW : FV;
    case 0x63: case 0x8a: case 0x8b: return FV | ST;
    case 0x99: case 0x9b: case 0x9d: case 0x9f: case 0xa9: case 0xab: case 0xad: case 0xaf:
    case 0xb9: case 0xbb: case 0xbd: case 0xbf: return SW;
    default: return FV;
    }
}

/* 0F 3A map. */
static uint8_t form_0f3a(const struct insn *in)
{
    switch (in->opcode) {
    case 0x0a: return B4;
    case 0x0b: return B8;
    case 0x0f: return !in->vex && in->pp == 0 ? B8 : FV;
    case 0x14: return B1 | ST;
    case 0x15: return B2 | ST;
    case 0x16: case 0x17: return B4 | ST;
    case 0x18: case 0x38: return B16;
    case 0x19: case 0x39: return B16 | ST;
    case 0x1a: case 0x3a: return B32;
    case 0x1b: case 0x3b: return B32 | ST;
    case 0x1d: return HV | ST;
    case 0x20: return B1;
    case 0x21: case 0x22: return B4;
    case 0x27: case 0x51: case 0x55: case 0x57: case 0x67: return SW;
    case 0x60: case 0x61: case 0x62: case 0x63: return FV | UN;
    default: return FV;
    }
}

/* VEX 0F 90, 91: KMOV by pp and W. */
static uint8_t form_kmov(const struct insn *in)
{
    if (in->opcode > 0x91 || in->pp > 1)
        return NO;
    return (in->pp ? (in->vex_w ? B4 : B1) : (in->vex_w ? B8 : B2)) | (in->opcode & 1 ? ST : 0);
}

static uint16_t form_size(const struct insn *in, uint8_t form)
{
    unsigned vl = in->vex ? 16u << (in->vex_l & 3) : 16;

    switch (form & SIZE) {
    case NO: return 0;
    case FV: return (uint16_t)vl;
    case HV: return (uint16_t)(vl / 2);
    case QV: return (uint16_t)(vl / 4);
    case EV: return (uint16_t)(vl / 8);
    case DD: return vl == 16 ? 8 : (uint16_t)vl;
    case SW: return in->vex_w ? 8 : 4;
    case HW: return (uint16_t)(in->evex && in->vex_w ? vl : vl / 2);
    default: return (uint16_t)(1u << ((form & SIZE) - B1));
    }
}

struct fpmem fpmem_simd(const struct insn *in)
{
    struct fpmem m = { 0, 1, false };
    uint8_t form;

    if (in->map > 3 || in->vex_l == 3)
        return m;
    form = in->map == 1 ? map_0f[in->opcode][in->pp] : in->map == 2 ? form_0f38(in) : form_0f3a(in);
    if (in->vex && !in->evex && in->map == 1 && (in->opcode & 0xf0) == 0x90)
        form = form_kmov(in);
    m.size = form_size(in, form);
    m.store = form & ST;
    if (in->evex && (in->evex_p2 & 0x10) && !m.store)
        m.size = in->vex_w ? 8 : 4; /* broadcast of one element */
    else if ((form & AL) || (!in->vex && m.size == 16 && !(form & UN)))
        m.align = (uint8_t)m.size;
    return m;
}

/* x87: size by opcode (D8..DF) and reg; 0 = undefined; environments in their 32-bit form. */
static const uint8_t x87_size[8][8] = {
    { 4, 4, 4, 4, 4, 4, 4, 4 },
    { 4, 0, 4, 4, 28, 2, 28, 2 },
    { 4, 4, 4, 4, 4, 4, 4, 4 },
    { 4, 4, 4, 4, 0, 10, 0, 10 },
    { 8, 8, 8, 8, 8, 8, 8, 8 },
    { 8, 8, 8, 8, 108, 0, 108, 2 },
    { 2, 2, 2, 2, 2, 2, 2, 2 },
    { 2, 2, 2, 2, 10, 8, 10, 8 },
};

/* Bit per reg: pure stores. */
static const uint8_t x87_store[8] = { 0, 0xcc, 0, 0x8e, 0, 0xce, 0, 0xce };

struct fpmem fpmem_x87(const struct insn *in)
{
    unsigned row = in->opcode & 7, reg = in->modrm >> 3 & 7;
    struct fpmem m = { x87_size[row][reg], 1, x87_store[row] >> reg & 1 };

    if (in->opsize == 2 && m.size >= 28)
        m.size -= 14; /* 16-bit environments: 14 and 94 bytes */
    return m;
}
