/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instruction format decoding (SDM vol. 2A chapter 2, vol. 2D appendix A).
 *
 * An IA-32 instruction is up to four kinds of prefixes in any order and
 * number, an opcode in one of four maps (one byte; 0F; 0F 38; 0F 3A), a
 * ModR/M byte with SIB and displacement if the opcode has one, and immediates.
 * Only three things depend on the opcode: whether a ModR/M byte follows, what
 * immediate follows, and whether the opcode exists at all.  Three tables hold
 * that as one byte per opcode; the 0F 38 and 0F 3A maps are so regular that
 * they need none.
 *
 * C4, C5 and 62 are LES, LDS and BOUND when the next byte, as a ModR/M byte,
 * names memory; with mod = 11 they are VEX and EVEX prefixes (which real and
 * virtual-8086 mode do not know: the interpreter refuses them there).
 *
 * The decoder answers for lengths and operands.  Encodings that are undefined
 * only by a ModR/M field or a missing mandatory prefix get their length; the
 * interpreter raises #UD for them.
 *
 * Not done: AMD's XOP (8F with a map number) is undefined here.
 */
#include "cpu/interp.h"
#include "base/mem.h"

enum {
    IMM_NONE,
    IMM_8,       /* sign-extended byte */
    IMM_Z,       /* operand-size word */
    IMM_16,
    IMM_16_8,    /* ENTER */
    IMM_FAR,     /* ptr16:16, ptr16:32 */
    IMM_OFFSET,  /* address-size offset without ModR/M */
    IMM_KIND = 7,
    M = 8,       /* a ModR/M byte follows */
    U = 16,      /* undefined */
    P = 32,      /* a prefix */
};
#define MB (M | IMM_8)
#define MZ (M | IMM_Z)

/* ORDER opcode.  0F is looked up in the other maps. */
static const uint8_t map_one[256] = {
    M, M, M, M, IMM_8, IMM_Z, 0, 0, M, M, M, M, IMM_8, IMM_Z, 0, U,                       /* 00 */
    M, M, M, M, IMM_8, IMM_Z, 0, 0, M, M, M, M, IMM_8, IMM_Z, 0, 0,                       /* 10 */
    M, M, M, M, IMM_8, IMM_Z, P, 0, M, M, M, M, IMM_8, IMM_Z, P, 0,                       /* 20 */
    M, M, M, M, IMM_8, IMM_Z, P, 0, M, M, M, M, IMM_8, IMM_Z, P, 0,                       /* 30 */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,                                       /* 40 */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,                                       /* 50 */
    0, 0, M, M, P, P, P, P, IMM_Z, MZ, IMM_8, MB, 0, 0, 0, 0,                             /* 60 */
    IMM_8, IMM_8, IMM_8, IMM_8, IMM_8, IMM_8, IMM_8, IMM_8,                               /* 70 */
    IMM_8, IMM_8, IMM_8, IMM_8, IMM_8, IMM_8, IMM_8, IMM_8,
    MB, MZ, MB, MB, M, M, M, M, M, M, M, M, M, M, M, M,                                   /* 80 */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, IMM_FAR, 0, 0, 0, 0, 0,                                 /* 90 */
    IMM_OFFSET, IMM_OFFSET, IMM_OFFSET, IMM_OFFSET, 0, 0, 0, 0, IMM_8, IMM_Z, 0, 0, 0, 0, 0, 0, /* a0 */
    IMM_8, IMM_8, IMM_8, IMM_8, IMM_8, IMM_8, IMM_8, IMM_8,                               /* b0 */
    IMM_Z, IMM_Z, IMM_Z, IMM_Z, IMM_Z, IMM_Z, IMM_Z, IMM_Z,
    MB, MB, IMM_16, 0, M, M, MB, MZ, IMM_16_8, 0, IMM_16, 0, 0, IMM_8, 0, 0,              /* c0 */
    M, M, M, M, IMM_8, IMM_8, 0, 0, M, M, M, M, M, M, M, M,                               /* d0 */
    IMM_8, IMM_8, IMM_8, IMM_8, IMM_8, IMM_8, IMM_8, IMM_8, IMM_Z, IMM_Z, IMM_FAR, IMM_8, 0, 0, 0, 0, /* e0 */
    P, 0, P, P, 0, 0, M, M, 0, 0, 0, 0, 0, 0, M, M,                                       /* f0 */
};

static const uint8_t map_0f[256] = {
    M, M, M, M, U, 0, 0, 0, 0, 0, U, 0, U, M, 0, MB,                                      /* 00 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                                       /* 10 */
    M, M, M, M, U, U, U, U, M, M, M, M, M, M, M, M,                                       /* 20 */
    0, 0, 0, 0, 0, 0, U, 0, U, U, U, U, U, U, U, U,                                       /* 30 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                                       /* 40 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                                       /* 50 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                                       /* 60 */
    MB, MB, MB, MB, M, M, M, 0, M, M, U, U, M, M, M, M,                                   /* 70 */
    IMM_Z, IMM_Z, IMM_Z, IMM_Z, IMM_Z, IMM_Z, IMM_Z, IMM_Z,                               /* 80 */
    IMM_Z, IMM_Z, IMM_Z, IMM_Z, IMM_Z, IMM_Z, IMM_Z, IMM_Z,
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                                       /* 90 */
    0, 0, 0, M, MB, M, M, M, 0, 0, 0, M, MB, M, M, M,                                     /* a0 */
    M, M, M, M, M, M, M, M, M, M, MB, M, M, M, M, M,                                      /* b0 */
    M, M, MB, M, MB, MB, MB, M, 0, 0, 0, 0, 0, 0, 0, 0,                                   /* c0 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                                       /* d0 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                                       /* e0 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                                       /* f0 */
};

struct cursor {
    const uint8_t *bytes;
    unsigned pos, end;
};

static inline bool have(const struct cursor *c, unsigned n) { return c->pos + n <= c->end; }

/* What to answer when the bytes ran out. */
static int short_of_bytes(const struct cursor *c)
{
    return c->end >= 15 ? INSN_TOO_LONG : 0;
}

static inline uint32_t take(struct cursor *c, unsigned n)
{
    const uint8_t *p = c->bytes + c->pos;

    c->pos += n;
    return n == 1 ? *p : n == 2 ? get16(p) : get32(p);
}

static void take_prefix(struct insn *in, uint8_t b, bool code32)
{
    switch (b) {
    case 0x26: in->seg_prefix = SEG_ES; break;
    case 0x2e: in->seg_prefix = SEG_CS; break;
    case 0x36: in->seg_prefix = SEG_SS; break;
    case 0x3e: in->seg_prefix = SEG_DS; break;
    case 0x64: in->seg_prefix = SEG_FS; break;
    case 0x65: in->seg_prefix = SEG_GS; break;
    case 0x66: in->osz_prefix = true; in->opsize = code32 ? 2 : 4; break;
    case 0x67: in->adsize = code32 ? 2 : 4; break;
    case 0xf0: in->lock = true; break;
    default: in->rep = b; break; /* F2, F3 */
    }
}

/* The bytes after C4, C5 or 62 when they are VEX or EVEX.  Negative: undefined. */
static int decode_vex(struct insn *in, struct cursor *c, uint8_t lead)
{
    unsigned n = lead == 0xc5 ? 1 : lead == 0xc4 ? 2 : 3;
    uint8_t p0, p1;

    if (in->lock || in->rep || in->osz_prefix)
        return INSN_UNDEFINED;
    if (!have(c, n + 1))
        return short_of_bytes(c);
    p0 = c->bytes[c->pos];
    p1 = lead == 0xc5 ? p0 : c->bytes[c->pos + 1];
    in->vex = true;
    in->map = lead == 0xc5 ? 1 : p0 & (lead == 0xc4 ? 0x1f : 7);
    in->pp = p1 & 3;
    in->vvvv = ~p1 >> 3 & 7;
    in->vex_l = p1 >> 2 & 1;
    in->vex_w = lead != 0xc5 && p1 & 0x80;
    if (lead == 0x62) {
        in->evex = true;
        in->evex_p2 = c->bytes[c->pos + 2];
        in->vex_l = in->evex_p2 >> 5 & 3;
        if ((p0 & 8) || !(p1 & 4))
            return INSN_UNDEFINED;
    }
    c->pos += n;
    in->opcode = (uint8_t)take(c, 1);
    if (in->map == 0 || in->map == 4 || in->map > (in->evex ? 6 : 3))
        return INSN_UNDEFINED;
    return 1;
}

static uint8_t vex_flags(const struct insn *in)
{
    if (in->map == 3)
        return MB;
    if (in->map != 1)
        return M;
    if (in->opcode == 0x77 && !in->evex)
        return 0;
    if ((in->opcode & 0xfc) == 0x70 || in->opcode == 0xc2 || (in->opcode >= 0xc4 && in->opcode <= 0xc6))
        return MB;
    return M;
}

/* 0F 38 and 0F 3A: every opcode has ModR/M, and an imm8 in the latter. */
static int decode_escape(struct insn *in, struct cursor *c, uint8_t *flags)
{
    if (!have(c, 1))
        return short_of_bytes(c);
    in->map = 1;
    in->opcode = (uint8_t)take(c, 1);
    *flags = map_0f[in->opcode];
    if (in->opcode == 0x38 || in->opcode == 0x3a) {
        in->map = in->opcode == 0x38 ? 2 : 3;
        *flags = in->map == 2 ? M : MB;
        if (!have(c, 1))
            return short_of_bytes(c);
        in->opcode = (uint8_t)take(c, 1);
    }
    return 1;
}

static void decode_base16(struct insn *in, unsigned rm, unsigned mod)
{
    static const uint8_t base[8] = { REG_EBX, REG_EBX, REG_EBP, REG_EBP, 0xff, 0xff, REG_EBP, REG_EBX };
    static const uint8_t index[8] = { REG_ESI, REG_EDI, REG_ESI, REG_EDI, REG_ESI, REG_EDI, 0xff, 0xff };

    in->base = base[rm];
    in->index = index[rm];
    in->disp_len = mod == 1 ? 1 : mod == 2 ? 2 : 0;
    if (mod == 0 && rm == 6) {
        in->base = 0xff;
        in->disp_len = 2;
    }
}

static int decode_base32(struct insn *in, struct cursor *c, unsigned rm, unsigned mod)
{
    in->base = (uint8_t)rm;
    in->disp_len = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    if (rm == 4) {
        uint8_t sib;

        if (!have(c, 1))
            return short_of_bytes(c);
        sib = (uint8_t)take(c, 1);
        in->base = sib & 7;
        in->scale = sib >> 6;
        in->index = sib >> 3 & 7;
        if (in->index == 4)
            in->index = 0xff;
    }
    if (mod == 0 && in->base == REG_EBP) {
        in->base = 0xff;
        in->disp_len = 4;
    }
    return 1;
}

static int decode_modrm(struct insn *in, struct cursor *c)
{
    unsigned mod, rm;

    if (!have(c, 1))
        return short_of_bytes(c);
    in->has_modrm = true;
    in->modrm = (uint8_t)take(c, 1);
    mod = in->modrm >> 6;
    rm = in->modrm & 7;
    /* MOV CR and MOV DR ignore mod: always registers. */
    if (mod == 3 || (in->map == 1 && !in->vex && in->opcode >= 0x20 && in->opcode <= 0x23))
        return 1;
    in->mem = true;
    if (in->adsize == 2) {
        decode_base16(in, rm, mod);
    } else {
        int r = decode_base32(in, c, rm, mod);

        if (r <= 0)
            return r;
    }
    if (in->disp_len) {
        if (!have(c, in->disp_len))
            return short_of_bytes(c);
        in->disp = take(c, in->disp_len);
        in->disp = in->disp_len == 1 ? sext8(in->disp) : in->disp_len == 2 ? sext16(in->disp) : in->disp;
    }
    if (in->seg_prefix == 0xff && (in->base == REG_EBP || (in->adsize == 4 && in->base == REG_ESP)))
        in->seg = SEG_SS;
    return 1;
}

static int decode_imm(struct insn *in, struct cursor *c, unsigned kind)
{
    unsigned first, second = 0;

    switch (kind) {
    case IMM_8: first = 1; break;
    case IMM_Z: first = in->opsize; break;
    case IMM_16: first = 2; break;
    case IMM_16_8: first = 2; second = 1; break;
    case IMM_FAR: first = in->opsize; second = 2; break;
    default: first = in->adsize; break;
    }
    if (!have(c, first + second))
        return short_of_bytes(c);
    if (kind == IMM_OFFSET) {
        in->disp = take(c, first);
        in->disp_len = (uint8_t)first;
        return 1;
    }
    in->imm = take(c, first);
    if (kind == IMM_8)
        in->imm = sext8(in->imm);
    if (second)
        in->imm2 = take(c, second);
    in->imm_len = (uint8_t)(first + second);
    return 1;
}

/* Immediates and definedness that hang on more than the opcode. */
static int refine_flags(const struct insn *in, uint8_t *flags)
{
    if (in->vex)
        return 1;
    if (in->map == 0) {
        if ((in->opcode == 0xf6 || in->opcode == 0xf7) && !(in->modrm >> 4 & 3))
            *flags |= in->opcode == 0xf6 ? IMM_8 : IMM_Z;
        else if (in->opcode == 0x8f && (in->modrm & 0x38))
            return INSN_UNDEFINED;
    } else if (in->map == 1 && in->opcode == 0x78 && (in->pp == 1 || in->pp == 3)) {
        *flags |= IMM_16; /* SSE4a EXTRQ and INSERTQ: two bytes */
    }
    return 1;
}

/* The opcode and everything after the prefixes. */
static int decode_body(struct insn *in, struct cursor *c)
{
    uint8_t lead = (uint8_t)take(c, 1), flags;
    int r = 1;

    in->opcode = lead;
    if (lead == 0x0f) {
        r = decode_escape(in, c, &flags);
    } else if (lead == 0xc4 || lead == 0xc5 || lead == 0x62) {
        if (!have(c, 1))
            return short_of_bytes(c);
        if (c->bytes[c->pos] >= 0xc0) {
            r = decode_vex(in, c, lead);
            flags = vex_flags(in);
        } else {
            flags = M;
        }
    } else {
        flags = map_one[lead];
    }
    if (r <= 0)
        return r;
    if (flags & U)
        return INSN_UNDEFINED;
    if (flags & M) {
        r = decode_modrm(in, c);
        if (r > 0)
            r = refine_flags(in, &flags);
        if (r <= 0)
            return r;
    }
    return flags & IMM_KIND ? decode_imm(in, c, flags & IMM_KIND) : 1;
}

int insn_decode_exact(struct insn *in, const uint8_t *bytes, unsigned avail, bool code32)
{
    struct cursor c = { bytes, 0, avail < 15 ? avail : 15 };
    int r;

    memset(in, 0, sizeof(*in));
    in->base = in->index = in->seg_prefix = 0xff;
    in->seg = SEG_DS;
    in->opsize = in->adsize = code32 ? 4 : 2;
    for (;;) {
        if (!have(&c, 1))
            return short_of_bytes(&c);
        if (likely(!(map_one[bytes[c.pos]] & P)))
            break;
        take_prefix(in, bytes[c.pos++], code32);
    }
    if (unlikely(c.pos)) {
        in->prefix_len = (uint8_t)c.pos;
        in->seg = in->seg_prefix == 0xff ? SEG_DS : in->seg_prefix;
        in->pp = in->rep == 0xf3 ? 2 : in->rep == 0xf2 ? 3 : in->osz_prefix ? 1 : 0;
    }
    r = decode_body(in, &c);
    if (r <= 0)
        return r;
    in->len = (uint8_t)c.pos;
    return in->len;
}

int insn_decode(struct insn *in, const uint8_t *bytes, unsigned avail, bool code32)
{
    int r = insn_decode_exact(in, bytes, avail, code32);

    return r < 0 ? -1 : r;
}
