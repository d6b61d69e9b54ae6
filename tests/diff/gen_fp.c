/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random x87, MMX, SSE and AVX instructions.
 */
#include "tests/diff/gen.h"

/* x87: D8..DF but for the environment's loads and stores, whose pointers no model keeps. */
static unsigned choose_x87(struct gen *q)
{
    unsigned op = 0xd8 + rnd(q, 8), ext = rnd(q, 8);
    bool mem = chance(q, 50);

    if (mem && ((op == 0xd9 && (ext == 4 || ext == 6)) || (op == 0xdd && (ext == 4 || ext == 6))))
        ext = 0;
    choose_operand(q, ext, mem);
    return op;
}

/* EXTRQ, INSERTQ: with 66 or F2, between registers; the rest of these opcodes is undefined, its length too. */
static bool op_is_sse4a(unsigned op) { return op == 0x78 || op == 0x79; }

static bool sse_opcode_wanted(unsigned op)
{
    if (op >= 0x10 && op <= 0x17)
        return true;
    if (op >= 0x28 && op <= 0x2f)
        return true;
    if (op >= 0x50 && op <= 0x77)
        return true;
    if (op_is_sse4a(op) || (op >= 0x7c && op <= 0x7f))
        return true;
    return op == 0xc2 || (op >= 0xc4 && op <= 0xc6) || (op >= 0xd0 && op != 0xf7 && op != 0xff);
}

static unsigned choose_sse(struct gen *q)
{
    unsigned op;

    do
        op = rnd(q, 256);
    while (!sse_opcode_wanted(op));
    choose_operand(q, rnd(q, 8), op != 0x77 && !op_is_sse4a(op) && chance(q, 40));
    return op;
}

/* A pointer that is aligned more often than not, for the instructions that ask for it. */
static void put_fp_setup(struct gen *q)
{
    if (q->base != NO_REG && q->base != 4)
        put_mov(q, q->base, rnd_pointer(q) & ~(chance(q, 60) ? 15u : 0u));
    if (q->index != NO_REG && q->index != q->base)
        put_mov(q, q->index, rnd(q, 16) * 16);
}

/* A set of opcodes as ranges. */
struct range {
    uint8_t first, last;
};

static unsigned pick_opcode(struct gen *q, const struct range *r, unsigned n)
{
    const struct range *one = &r[rnd(q, n)];

    return one->first + rnd(q, one->last - one->first + 1u);
}

static const struct range sse_38[] = {{0x00, 0x0b}, {0x10, 0x10}, {0x14, 0x15}, {0x17, 0x17}, {0x1c, 0x1e},
                                      {0x20, 0x25}, {0x28, 0x29}, {0x2b, 0x2b}, {0x30, 0x35}, {0x37, 0x41},
                                      {0xdb, 0xdf}},
                          sse_3a[] = {{0x08, 0x0f}, {0x14, 0x17}, {0x20, 0x22}, {0x40, 0x42}, {0x44, 0x44},
                                      {0x60, 0x63}, {0xdf, 0xdf}},
                          avx_38[] = {{0x0c, 0x0f}, {0x13, 0x13}, {0x16, 0x1a}, {0x2c, 0x2f}, {0x36, 0x36},
                                      {0x45, 0x47}, {0x58, 0x5a}, {0x78, 0x79}, {0x8c, 0x8c}, {0x8e, 0x8e},
                                      {0x96, 0x9f}, {0xa6, 0xaf}, {0xb6, 0xbf}},
                          avx_3a[] = {{0x00, 0x02}, {0x04, 0x06}, {0x18, 0x19}, {0x1d, 0x1d}, {0x38, 0x39},
                                      {0x46, 0x46}, {0x4a, 0x4c}};
#define PICK(q, set) pick_opcode(q, set, ARRAY_SIZE(set))

/* SSSE3, SSE4, AES, PCLMULQDQ; without 66 what works on MMX registers. */
static void put_sse_long(struct gen *q)
{
    bool imm = chance(q, 40);
    unsigned op = imm ? PICK(q, sse_3a) : PICK(q, sse_38);
    bool mmx = imm ? op == 0x0f : op <= 0x0b || (op >= 0x1c && op <= 0x1e);

    choose_operand(q, rnd(q, 8), chance(q, 50));
    if (chance(q, 90))
        put_fp_setup(q);
    q->g->main_at = q->g->len;
    if (!mmx || chance(q, 60))
        put(q, 0x66);
    put(q, 0x0f);
    put(q, imm ? 0x3a : 0x38);
    put(q, (uint8_t)op);
    put_operand(q);
    if (imm)
        put(q, (uint8_t)rnd_value(q));
}

/* What the upper halves of the YMM registers hold is not part of a sequence's state. */
static void put_vzeroupper(struct gen *q)
{
    put_n(q, 0x77f8c5, 3);
}

/* The VEX prefix, in two bytes where that is enough and chance wants it. */
void put_vex(struct gen *q, unsigned map, unsigned pp, bool w, unsigned vvvv, bool l)
{
    uint8_t last = (uint8_t)((~vvvv & 15) << 3 | l << 2 | pp);

    if (map == 1 && !w && vvvv < 8 && chance(q, 50)) {
        put(q, 0xc5);
        put(q, last | 0x80);
        return;
    }
    put(q, 0xc4);
    put(q, (uint8_t)(map | (chance(q, 90) ? 0xe0 : 0xc0))); /* B means nothing outside 64-bit mode */
    put(q, (uint8_t)(w << 7 | last));
}

static unsigned choose_avx(struct gen *q, unsigned map)
{
    unsigned op;

    if (map == 2)
        return chance(q, 50) ? PICK(q, sse_38) : PICK(q, avx_38);
    if (map == 3)
        return chance(q, 50) ? PICK(q, sse_3a) : PICK(q, avx_3a);
    do
        op = rnd(q, 256);
    while (!sse_opcode_wanted(op) || op == 0x77 || op_is_sse4a(op));
    return op;
}

/* W makes 64-bit registers of what these have: ignored in 32-bit code by some CPUs, undefined to others. */
static bool avx_w_matters(unsigned map, unsigned op)
{
    return map == 3 && (op == 0x16 || op == 0x22 || (op >= 0x60 && op <= 0x63));
}

/* Nor does vvvv get its fourth bit, with which CPUs differ likewise. */
static void put_avx(struct gen *q)
{
    unsigned map = 1 + rnd(q, 3), op = choose_avx(q, map);
    unsigned pp = map == 1 ? rnd(q, 4) : chance(q, 95) ? 1 : rnd(q, 4);
    unsigned vvvv = chance(q, 40) ? 0 : rnd(q, 8);
    bool l = chance(q, 40);

    choose_operand(q, rnd(q, 8), chance(q, 50));
    if (chance(q, 90))
        put_fp_setup(q);
    if (l)
        put_vzeroupper(q);
    q->g->main_at = q->g->len;
    if (chance(q, 1))
        put(q, 0x66); /* #UD */
    put_vex(q, map, pp, chance(q, 30) && !avx_w_matters(map, op), vvvv, l);
    put(q, (uint8_t)op);
    put_operand(q);
    if (map == 3 || (map == 1 && ((op >= 0x70 && op <= 0x73) || op == 0xc2 || (op >= 0xc4 && op <= 0xc6))))
        put(q, (uint8_t)rnd_value(q));
    q->g->main_len = (uint8_t)(q->g->len - q->g->main_at);
    if (l)
        put_vzeroupper(q);
}

static void put_fp_short(struct gen *q)
{
    static const uint8_t mandatory[4] = {0, 0x66, 0xf3, 0xf2};
    struct prefixes p = {.n = 0};

    bool x87 = chance(q, 45);
    unsigned op = x87 ? choose_x87(q) : choose_sse(q);
    if (chance(q, 90))
        put_fp_setup(q);
    if (!x87 && op_is_sse4a(op))
        prefix_add(q, &p, mandatory[chance(q, 50) ? 1 : 3]);
    else if (!x87 && chance(q, 75))
        prefix_add(q, &p, mandatory[1 + rnd(q, 3)]);
    put_prefixes(q, &p);
    if (!x87)
        put(q, 0x0f);
    put(q, (uint8_t)op);
    if (x87 || op != 0x77)
        put_operand(q);
    if (!x87 && ((op >= 0x70 && op <= 0x73) || op == 0xc2 || (op >= 0xc4 && op <= 0xc6)))
        put(q, (uint8_t)rnd(q, chance(q, 70) ? 16 : 256));
    if (!x87 && op == 0x78) /* two immediates */
        put_n(q, (uint32_t)rnd64(&q->rng), 2);
}

void put_fp(struct gen *q)
{
    unsigned dice = rnd(q, 100);

    q->osz = q->asz = q->code32;
    q->seg_prefix = 0;
    if (dice < 12)
        put_sse_long(q);
    else if (dice < 36)
        put_avx(q);
    else
        put_fp_short(q);
}
