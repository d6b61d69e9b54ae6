/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random user-mode instruction sequences.
 *
 * Registers start as a mixture of small numbers, boundary values and pointers
 * into the data arena, and a memory operand is often preceded by a move that
 * sets its base register to such a pointer: so most accesses land, and the
 * rest fault.  An instruction that leaves flags undefined is followed by one
 * that defines them again, so that only the very last instruction of a run
 * needs a mask.  Jumps go to starts of groups or to the end.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/diff/gen.h"

/* Make the flags defined again that the group's instruction left undefined. */
static void put_flag_fixer(struct gen *q)
{
    if (chance(q, 50)) { /* keeps the others */
        if (q->code32) {
            put(q, 0x9c);
            put(q, 0x81);
            put(q, 0x24);
            put(q, 0x24);
            put_n(q, ~q->g->undef, 4);
            put(q, 0x9d);
            return;
        }
    }
    put(q, 0x80); /* ADD r8, imm8 */
    put(q, (uint8_t)(0xc0 + rnd(q, 8)));
    put(q, (uint8_t)rnd(q, 256));
}

static void make_group(struct gen *q, struct seq *s, unsigned self)
{
    unsigned dice = rnd(q, 100);

    memset(q->g, 0, sizeof *q->g);
    q->seg_prefix = 0;
    q->osz = q->asz = q->code32;
    if (s->fp && dice < 60)
        put_fp(q);
    else if (dice >= 96)
        put_special(q);
    else if (dice >= 91)
        put_jump(q, self, s->ngroups);
    else if (dice >= 89)
        put_indirect(q, self, s->ngroups);
    else if (dice >= 83)
        put_string(q);
    else if (dice >= 75 && q->features & FEAT_SYSTEM)
        put_system(q, self, s->ngroups);
    else if (dice >= 71)
        put_extension(q);
    else
        put_weighted_form(q);
    if (!q->g->main_len)
        q->g->main_len = (uint8_t)(q->g->len - q->g->main_at);
    if (q->g->undef && self + 1 < s->ngroups)
        put_flag_fixer(q);
}

static void init_fx(struct gen *q, struct cpu_state *c)
{
    memset(c->fx, 0, sizeof c->fx);
    put16(c->fx, chance(q, 85) ? 0x37f : (uint16_t)(0x40 | (rnd64(&q->rng) & 0xf3f)));
    c->fx[4] = chance(q, 50) ? 0xff : (uint8_t)rnd(q, 256); /* abridged tag word: valid or empty */
    put32(c->fx + 24, chance(q, 85) ? 0x1f80 : (uint32_t)rnd64(&q->rng) & 0xffc0);
    for (unsigned i = 0; i < 8; i++) {
        uint8_t *st = c->fx + 32 + 16 * i;
        put64(st, rnd64(&q->rng) | 1ull << 63);
        put16(st + 8, (uint16_t)(0x3fff - 40 + rnd(q, 80)));
        if (chance(q, 10))
            put16(st + 8, (uint16_t)rnd64(&q->rng));
    }
    for (unsigned i = 0; i < 32; i++) {
        static const uint32_t edge[] = {0, 0x80000000, 0x3f800000, 0x7f800000, 0x7fc00000, 0x7f800001, 1,
                                        0x3ff00000, 0x40490fdb, 0xc0000000};
        put32(c->fx + 160 + 4 * i, chance(q, 60) ? edge[rnd(q, ARRAY_SIZE(edge))] : (uint32_t)rnd64(&q->rng));
    }
}

static void choose_segment(struct gen *q, struct cpu_state *c, unsigned seg, unsigned entry)
{
    c->sel[seg] = LDT_SEL(entry);
    q->base_of[seg - 4] = ldt_entries[entry].base;
}

/* Two kinds of GS, alone (so that the translator may have the real FS for it) or beside an FS. */
static void init_fs_gs(struct gen *q, struct cpu_state *c)
{
    unsigned dice = rnd(q, 100);

    choose_segment(q, c, 4, dice < 30 ? LDT_BIG : LDT_FS);
    choose_segment(q, c, 5, dice % 2 ? LDT_BIG : LDT_GS);
    if (dice >= 70) {
        c->sel[4] = 0;
        q->base_of[0] = 0;
    }
}

static void init_state(struct gen *q, struct seq *s)
{
    struct cpu_state *c = &s->init;
    static const uint16_t sels[6] = {SEL_DATA, SEL_CODE32, SEL_DATA, SEL_DATA, 0, 0};

    for (unsigned i = 0; i < 8; i++)
        c->gpr[i] = chance(q, i >= 3 ? 75 : 30) ? rnd_pointer(q) : rnd_value(q);
    c->gpr[4] = STACK_BASE + (chance(q, 95) ? 0x1000 + (rnd(q, 256) & ~3u) : rnd(q, STACK_SIZE + 16));
    c->eflags = 0x202 | ((uint32_t)rnd64(&q->rng) & EFLAGS_ARITH);
    if (chance(q, 8))
        c->eflags |= EFLAGS_DF;
    if (chance(q, 10))
        c->eflags |= EFLAGS_ID;
    memcpy(c->sel, sels, sizeof sels);
    init_fs_gs(q, c);
    if (s->code16)
        c->sel[1] = LDT_SEL(LDT_CODE16);
    init_fx(q, c);
}

void seq_generate(struct seq *s, uint64_t seed, unsigned features)
{
    struct gen q = {.rng = seed, .features = features};

    memset(s, 0, sizeof *s);
    s->seed = seed;
    s->ngroups = 1 + rnd(&q, SEQ_GROUPS);
    s->fp = features & FEAT_FP && chance(&q, 20);
    s->code16 = features & FEAT_CODE16 && chance(&q, 15);
    q.code32 = !s->code16;
    s->mem_seed = (uint32_t)rnd64(&q.rng);
    init_state(&q, s);
    for (unsigned i = 0; i < s->ngroups; i++) {
        q.g = &s->group[i];
        make_group(&q, s, i);
    }
    unsigned size = 16;
    for (unsigned i = 0; i < s->ngroups; i++)
        size += s->group[i].len;
    if (chance(&q, 90))
        s->place = 16 + rnd(&q, 0x1000 - size);
    else if (chance(&q, 80))
        s->place = 0x1000 - rnd(&q, size); /* across the two code pages */
    else
        s->place = 0x1fff - rnd(&q, size - 1); /* off the end of the code */
    seq_assemble(s);
}

void seq_assemble(struct seq *s)
{
    uint32_t base = s->code16 ? 0 : CODE_BASE;
    unsigned at = 0;

    for (unsigned i = 0; i < s->ngroups; i++) {
        s->start[i] = base + s->place + at;
        memcpy(s->code + at, s->group[i].bytes, s->group[i].len);
        at += s->group[i].len;
    }
    s->code_len = at;
    s->start[s->ngroups] = base + s->place + at;
    s->init.eip = s->start[0];
    for (unsigned i = 0; i < s->ngroups; i++) {
        const struct group *g = &s->group[i];
        if (!g->fix_size)
            continue;
        uint32_t to = s->start[g->target], here = s->start[i] + g->fix_at + g->fix_size;
        uint32_t value = g->fix_abs ? to - g->fix_minus : to - here;
        memcpy(s->code + (here - g->fix_size - s->start[0]), &value, g->fix_size);
    }
}

void seq_drop(struct seq *s, unsigned group)
{
    memmove(&s->group[group], &s->group[group + 1], (s->ngroups - group - 1) * sizeof s->group[0]);
    s->ngroups--;
    for (unsigned i = 0; i < s->ngroups; i++)
        if (s->group[i].target > group)
            s->group[i].target--;
    seq_assemble(s);
}

void seq_memory(const struct seq *s, struct guest_mem *m)
{
    struct image img = {
        .mem_seed = s->mem_seed, .place = s->place, .code16 = s->code16, .code_len = s->code_len};

    for (unsigned i = 0; i < TABLE_ENTRIES; i++)
        img.table[i] = s->start[i <= s->ngroups ? i : s->ngroups];
    memcpy(img.code, s->code, sizeof img.code);
    image_memory(&img, m);
}
