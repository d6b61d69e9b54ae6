/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random instructions: prefixes, operands and immediates around the opcodes of
 * forms.def, and the kinds that need more than an encoding.
 */
#include <string.h>

#include "tests/diff/gen.h"

enum {
    M = 1,
    MEM = 2,
    REG = 4,
    LOCK = 8,
    NO66 = 16,
    NOREP = 32,
    GRP = 64,
    PLUSR = 128,
    CC = 256,
    PRIV = 512,
    FP = 1024
};
enum { Z = 10, O = 11 };
enum { CF = 1, PF = 4, AF = 16, ZF = 64, SF = 128, OF = 2048 };

struct form {
    uint8_t map, op;
    uint16_t attr;
    uint8_t ext, imm;
    uint16_t undef;
    uint8_t weight;
};

static const struct form forms[] = {
#define FORM(map, op, attr, ext, imm, undef, weight) {map, op, attr, ext, imm, undef, weight},
#include "tests/diff/forms.def"
#undef FORM
};

uint32_t rnd(struct gen *q, uint32_t n) { return (uint32_t)((rnd64(&q->rng) >> 32) * n >> 32); }
bool chance(struct gen *q, unsigned percent) { return rnd(q, 100) < percent; }

uint32_t rnd_value(struct gen *q)
{
    static const uint32_t edge[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000,
                                    0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x55555555, 31, 32, 33};

    switch (rnd(q, 4)) {
    case 0:
        return edge[rnd(q, ARRAY_SIZE(edge))];
    case 1:
        return rnd(q, 64);
    default:
        return (uint32_t)rnd64(&q->rng);
    }
}

/* Mostly well inside the arena, sometimes at or over its edges. */
uint32_t rnd_pointer(struct gen *q)
{
    switch (rnd(q, 24)) {
    case 0:
        return DATA_BASE + rnd(q, 16) - 8;
    case 1:
        return RO_BASE + rnd(q, 16) - 8;
    case 2:
        return RO_BASE + rnd(q, RO_SIZE);
    case 3:
        return RO_BASE + RO_SIZE - rnd(q, 8);
    case 4:
        return CODE_BASE + rnd(q, CODE_SIZE);
    default:
        return DATA_BASE + 0x100 + (rnd(q, DATA_SIZE - 0x200) & ~(chance(q, 70) ? 3u : 0u));
    }
}

void put(struct gen *q, uint8_t b)
{
    if (q->g->len < GROUP_BYTES)
        q->g->bytes[q->g->len++] = b;
}

void put_n(struct gen *q, uint32_t x, unsigned n)
{
    for (; n; n--, x >>= 8)
        put(q, (uint8_t)x);
}

/* mov reg, imm32 whatever the code size. */
void put_mov(struct gen *q, unsigned reg, uint32_t value)
{
    if (!q->code32)
        put(q, 0x66);
    put(q, (uint8_t)(0xb8 + reg));
    put_n(q, value, 4);
}

uint32_t offset_in_segment(struct gen *q)
{
    return chance(q, 85) ? rnd(q, 0xf00) : rnd(q, 0xa000);
}

/* Where a base register should point for the segment that will be used; LDT_BIG has something below its base, too. */
uint32_t good_pointer(struct gen *q)
{
    if (q->seg_prefix != 0x64 && q->seg_prefix != 0x65)
        return rnd_pointer(q);
    return chance(q, 10) ? 0u - rnd(q, 0x1000) : offset_in_segment(q);
}

static void operand_byte(struct gen *q, uint8_t b)
{
    q->operand[q->operand_len++] = b;
}

void operand_n(struct gen *q, uint32_t x, unsigned n)
{
    for (; n; n--, x >>= 8)
        operand_byte(q, (uint8_t)x);
}

/* ModRM and what follows it for a memory operand in 32-bit addressing. */
static void choose_mem32(struct gen *q, unsigned reg)
{
    unsigned mod = rnd(q, 3), rm = rnd(q, 8);

    if (chance(q, 15)) {
        mod = 0;
        rm = 5;
    }
    operand_byte(q, (uint8_t)(mod << 6 | reg << 3 | rm));
    q->base = rm;
    if (rm == 4) {
        unsigned index = chance(q, 40) ? 4 : rnd(q, 8);
        q->base = rnd(q, 8);
        q->index = index == 4 ? NO_REG : index;
        operand_byte(q, (uint8_t)(rnd(q, 4) << 6 | index << 3 | q->base));
    }
    if (mod == 0 && q->base == 5) {
        operand_n(q, good_pointer(q), 4);
        q->base = NO_REG;
    } else if (mod == 1) {
        operand_byte(q, (uint8_t)rnd(q, 256));
    } else if (mod == 2) {
        operand_n(q, chance(q, 95) ? rnd(q, 256) - 128 : (uint32_t)rnd64(&q->rng), 4);
    }
}

static void choose_mem16(struct gen *q, unsigned reg)
{
    static const uint8_t base[8] = {3, 3, 5, 5, 6, 7, 5, 3},
                         index[8] = {6, 7, 6, 7, NO_REG, NO_REG, NO_REG, NO_REG};
    unsigned mod = rnd(q, 3), rm = rnd(q, 8);

    operand_byte(q, (uint8_t)(mod << 6 | reg << 3 | rm));
    q->base = base[rm];
    q->index = index[rm];
    if (mod == 0 && rm == 6) {
        operand_n(q, offset_in_segment(q), 2);
        q->base = NO_REG;
    } else if (mod == 1) {
        operand_byte(q, (uint8_t)rnd(q, 256));
    } else if (mod == 2) {
        operand_n(q, rnd(q, 128), 2);
    }
}

/* Choose ModRM etc.; put_operand() writes it. */
void choose_operand(struct gen *q, unsigned reg, bool mem)
{
    q->operand_len = 0;
    q->base = q->index = NO_REG;
    if (!mem)
        operand_byte(q, (uint8_t)(0xc0 | reg << 3 | rnd(q, 8)));
    else if (q->asz)
        choose_mem32(q, reg);
    else
        choose_mem16(q, reg);
}

void put_operand(struct gen *q)
{
    for (unsigned i = 0; i < q->operand_len; i++)
        put(q, q->operand[i]);
}

/* Set-up moves: give the base and index registers of the operand useful values. */
void put_setup(struct gen *q)
{
    if (q->base != NO_REG && q->base != 4)
        put_mov(q, q->base, chance(q, 95) ? good_pointer(q) : rnd_value(q));
    if (q->index != NO_REG && q->index != q->base)
        put_mov(q, q->index, chance(q, 95) ? rnd(q, 256) : rnd_value(q));
}

static const uint8_t seg_prefixes[6] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};


void prefix_add(struct gen *q, struct prefixes *p, uint8_t b)
{
    unsigned at = rnd(q, p->n + 1); /* prefixes come in any order */

    memmove(p->b + at + 1, p->b + at, p->n - at);
    p->b[at] = b;
    p->n++;
}

void choose_sizes(struct gen *q, struct prefixes *p, bool no66)
{
    p->n = 0;
    q->osz = q->asz = q->code32;
    q->seg_prefix = 0;
    if (!no66 && chance(q, 25)) {
        prefix_add(q, p, 0x66);
        q->osz = !q->osz;
    }
    bool flip = chance(q, q->code32 ? 8 : 40);
    if (flip) {
        prefix_add(q, p, 0x67);
        q->asz = !q->asz;
    }
    if (chance(q, flip && q->code32 ? 80 : 10)) {
        q->seg_prefix = chance(q, 70) ? seg_prefixes[4 + rnd(q, 2)] : seg_prefixes[rnd(q, 6)];
        prefix_add(q, p, (uint8_t)q->seg_prefix);
    }
    if (chance(q, 1)) /* prefixes that change nothing, but the length */
        for (unsigned i = rnd(q, 10); i; i--)
            prefix_add(q, p, q->osz != q->code32 ? 0x66 : q->asz != q->code32 ? 0x67 : 0x3e);
    if (p->n && q->seg_prefix)
        q->seg_prefix = 0;
    for (unsigned i = 0; i < p->n; i++) /* the last one counts */
        for (unsigned k = 0; k < 6; k++)
            if (p->b[i] == seg_prefixes[k])
                q->seg_prefix = p->b[i];
}

void put_prefixes(struct gen *q, const struct prefixes *p)
{
    q->g->main_at = q->g->len;
    for (unsigned i = 0; i < p->n; i++)
        put(q, p->b[i]);
}

static uint32_t shift_undef(unsigned ext, bool by_one)
{
    if (ext < 4)
        return by_one ? 0 : OF;
    return by_one ? AF : OF | AF | CF;
}

static uint32_t unary_undef(unsigned ext)
{
    static const uint16_t undef[8] = {AF, AF, 0, 0, SF | ZF | AF | PF, SF | ZF | AF | PF,
                                      CF | PF | AF | ZF | SF | OF, CF | PF | AF | ZF | SF | OF};
    return undef[ext];
}

static uint32_t form_undef(const struct form *f, unsigned ext)
{
    if (!(f->attr & GRP))
        return f->undef;
    if (f->map == 1)
        return AF | OF; /* SHLD, SHRD */
    if (f->op >= 0xc0 && f->op <= 0xd3)
        return shift_undef(ext, f->op == 0xd0 || f->op == 0xd1);
    if (f->op >= 0xf6)
        return unary_undef(ext);
    return ext == 1 || ext == 4 || ext == 6 ? AF : 0; /* 80..83 */
}

static void put_imm(struct gen *q, unsigned imm)
{
    if (imm == 1)
        put(q, (uint8_t)rnd_value(q));
    else if (imm == 2)
        put_n(q, rnd_value(q), 2);
    else if (imm == Z)
        put_n(q, rnd_value(q), q->osz ? 4 : 2);
    else if (imm == O)
        put_n(q, q->asz ? good_pointer(q) : offset_in_segment(q), q->asz ? 4 : 2);
}

unsigned pick_ext(struct gen *q, unsigned mask)
{
    unsigned ext;

    do
        ext = rnd(q, 8);
    while (!(mask >> ext & 1));
    return ext;
}

/* Conditions under which LOCK is legal; a wrong LOCK is #UD and wanted, but rarely. */
static bool may_lock(const struct form *f, unsigned ext)
{
    if (!(f->attr & LOCK))
        return false;
    if (f->map == 0 && f->op >= 0x80 && f->op <= 0x83)
        return ext != 7;
    if (f->map == 0 && (f->op == 0xf6 || f->op == 0xf7))
        return ext == 2 || ext == 3;
    if (f->map == 1 && f->op == 0xba)
        return ext >= 5;
    return true;
}

static void put_form(struct gen *q, const struct form *f)
{
    struct prefixes p;
    unsigned ext = f->attr & M ? pick_ext(q, f->ext) : 0;
    bool mem = f->attr & MEM || (!(f->attr & REG) && chance(q, 50));

    choose_sizes(q, &p, f->attr & NO66);
    if (f->attr & M)
        choose_operand(q, ext, mem);
    if (mem && f->attr & M && chance(q, 85))
        put_setup(q);
    if (f->map == 1 && (f->op == 0xa5 || f->op == 0xad) && !q->osz) /* see below */
        put_mov(q, 1, ((uint32_t)rnd64(&q->rng) & ~31u) | rnd(q, 17));
    if (may_lock(f, ext) ? mem && chance(q, 12) : rnd(q, 200) == 0)
        prefix_add(q, &p, 0xf0);
    if (!(f->attr & NOREP) && f->map == 0 && chance(q, 2))
        prefix_add(q, &p, chance(q, 50) ? 0xf2 : 0xf3);
    put_prefixes(q, &p);
    if (f->map)
        put(q, 0x0f);
    put(q, (uint8_t)(f->op + (f->attr & PLUSR ? rnd(q, 8) : f->attr & CC ? rnd(q, 16) : 0)));
    if (f->attr & M)
        put_operand(q);
    q->g->undef = form_undef(f, ext);
    if (f->map == 1 && (f->op == 0xa4 || f->op == 0xac)) /* a count above the operand size is undefined */
        put(q, (uint8_t)(q->osz ? rnd(q, 256) : rnd(q, 17) | rnd(q, 8) << 5));
    else if ((f->op == 0xf6 || f->op == 0xf7) && f->map == 0 && ext < 2)
        put_imm(q, f->op == 0xf6 ? 1 : Z);
    else
        put_imm(q, f->imm);
}

/* String instructions, with pointers and a count that fit most of the time. */
void put_string(struct gen *q)
{
    static const uint8_t op[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};
    struct prefixes p;

    choose_sizes(q, &p, false);
    if (chance(q, 80)) {
        put_mov(q, 6, q->asz ? good_pointer(q) : offset_in_segment(q));
        q->seg_prefix = 0;
        put_mov(q, 7, rnd_pointer(q));
    }
    if (chance(q, 85))
        put_mov(q, 1, chance(q, 85) ? rnd(q, 24) : rnd(q, 6000));
    if (chance(q, 60))
        prefix_add(q, &p, chance(q, 50) ? 0xf2 : 0xf3);
    if (chance(q, 1))
        prefix_add(q, &p, 0xf0);
    put_prefixes(q, &p);
    put(q, op[rnd(q, ARRAY_SIZE(op))]);
}

#define POPF_SAFE (EFLAGS_ARITH | EFLAGS_DF | EFLAGS_ID | EFLAGS_NT)

/* PUSHF as it is; POPF of an image without TF and AC; ENTER; INT n. */
void put_special(struct gen *q)
{
    unsigned kind = rnd(q, 8);

    q->osz = q->code32;
    q->g->main_at = q->g->len;
    if (kind < 2) {
        if (chance(q, 20))
            put(q, 0x66);
        put(q, 0x9c);
    } else if (kind < 5) {
        uint32_t image = (uint32_t)rnd64(&q->rng);
        image &= q->features & FEAT_SYSTEM ? ~0u : POPF_SAFE | POPF_SAFE << 16;
        image &= ~(EFLAGS_AC | EFLAGS_TF | EFLAGS_TF << 16);
        put(q, 0x68);
        put_n(q, image, q->code32 ? 4 : 2);
        q->g->main_at = q->g->len;
        if (q->code32 && chance(q, 20)) {
            put(q, 0x66);
            put(q, 0x9d);
            put(q, 0x66);
        }
        put(q, 0x9d);
    } else if (kind < 7) {
        if (chance(q, 20))
            put(q, 0x66);
        put(q, 0xc8);
        put_n(q, chance(q, 90) ? rnd(q, 64) : rnd(q, 65536), 2);
        put(q, (uint8_t)(chance(q, 50) ? 0 : chance(q, 80) ? rnd(q, 4) : rnd(q, 256)));
    } else {
        uint8_t n = (uint8_t)rnd(q, 256);
        put(q, 0xcd);
        put(q, n == 0x80 ? 0x81 : n);
    }
}

/* Later instructions on general registers, told by a mandatory prefix or by VEX. */
struct extension {
    uint8_t map, pp, op, ext; /* ext: the only /digit, or 8 */
    bool vex, mem, imm;
    uint16_t undef;
};
enum { SZAP = SF | ZF | AF | PF };

static const struct extension extensions[] = {
    {1, 2, 0xb8, 8, false, false, false, 0},                 /* POPCNT */
    {1, 2, 0xbc, 8, false, false, false, OF | SF | AF | PF}, /* TZCNT */
    {1, 2, 0xbd, 8, false, false, false, OF | SF | AF | PF}, /* LZCNT */
    {2, 0, 0xf0, 8, false, true, false, 0},                  /* MOVBE */
    {2, 0, 0xf1, 8, false, true, false, 0},
    {2, 3, 0xf0, 8, false, false, false, 0},                 /* CRC32 */
    {2, 3, 0xf1, 8, false, false, false, 0},
    {2, 1, 0xf6, 8, false, false, false, 0},                 /* ADCX */
    {2, 2, 0xf6, 8, false, false, false, 0},                 /* ADOX */
    {2, 0, 0xf2, 8, true, false, false, AF | PF},            /* ANDN */
    {2, 0, 0xf3, 1, true, false, false, AF | PF},            /* BLSR */
    {2, 0, 0xf3, 2, true, false, false, SZAP},               /* BLSMSK: ZF is cleared, as it can't be zero */
    {2, 0, 0xf3, 3, true, false, false, AF | PF},            /* BLSI */
    {2, 0, 0xf5, 8, true, false, false, AF | PF},            /* BZHI */
    {2, 2, 0xf5, 8, true, false, false, 0},                  /* PEXT */
    {2, 3, 0xf5, 8, true, false, false, 0},                  /* PDEP */
    {2, 3, 0xf6, 8, true, false, false, 0},                  /* MULX */
    {2, 0, 0xf7, 8, true, false, false, SF | AF | PF},       /* BEXTR */
    {2, 1, 0xf7, 8, true, false, false, 0},                  /* SHLX SARX SHRX */
    {2, 2, 0xf7, 8, true, false, false, 0},
    {2, 3, 0xf7, 8, true, false, false, 0},
    {3, 3, 0xf0, 8, true, false, true, 0},                   /* RORX */
};

void put_extension(struct gen *q)
{
    static const uint8_t mandatory[4] = {0, 0x66, 0xf3, 0xf2};
    const struct extension *e = &extensions[rnd(q, ARRAY_SIZE(extensions))];
    bool mem = e->mem || chance(q, 50);
    struct prefixes p;

    choose_sizes(q, &p, e->vex || e->pp == 1);
    choose_operand(q, e->ext < 8 ? e->ext : rnd(q, 8), mem);
    if (mem && chance(q, 85))
        put_setup(q);
    if (e->pp && !e->vex)
        prefix_add(q, &p, mandatory[e->pp]);
    if (p.n < 4 && chance(q, 1)) /* #UD; with more prefixes the instruction might be too long besides */
        prefix_add(q, &p, 0xf0);
    put_prefixes(q, &p);
    if (e->vex) {
        put_vex(q, e->map, e->pp, chance(q, 10), e->imm || chance(q, 2) ? 0 : rnd(q, chance(q, 90) ? 8 : 16), chance(q, 2));
    } else {
        put(q, 0x0f);
        if (e->map > 1)
            put(q, 0x38);
    }
    put(q, e->op);
    put_operand(q);
    if (e->imm)
        put(q, (uint8_t)rnd_value(q));
    q->g->undef = e->undef;
}

void put_weighted_form(struct gen *q)
{
    static unsigned total;

    if (!total)
        for (unsigned i = 0; i < ARRAY_SIZE(forms); i++)
            total += forms[i].weight;
    int n = (int)rnd(q, total);
    unsigned i = 0;
    while ((n -= forms[i].weight) >= 0)
        i++;
    if (forms[i].attr & PRIV && chance(q, 75))
        put_weighted_form(q);
    else
        put_form(q, &forms[i]);
}
