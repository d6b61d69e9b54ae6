/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When are two outcomes the same?  Everything that the architecture defines
 * must be equal.  What it leaves to the implementation, and where the
 * interpreter and the host's CPU are known to choose differently, is not looked
 * at here, each with its reason, or described by a rule in undefined.c.
 */
#include <string.h>

#include "base/mem.h"
#include "tests/diff/diff.h"

/* RF is set in the images of faults; its value after them is the kernel's affair. */
#define NEVER_COMPARED EFLAGS_RF

const struct group *seq_group_at(const struct seq *s, uint32_t eip, uint32_t *offset)
{
    if (!s->code16 && eip < CODE_SIZE + CODE_MAX)
        eip += CODE_BASE; /* in the segment LDT_CODE_XO, or off its end */
    for (unsigned i = 0; i < s->ngroups; i++)
        if (eip >= s->start[i] && eip < s->start[i] + s->group[i].len) {
            *offset = eip - s->start[i];
            return &s->group[i];
        }
    return NULL;
}

const uint8_t *skip_prefixes(const uint8_t *p)
{
    while (*p == 0x66 || *p == 0x67 || *p == 0xf2 || *p == 0xf3 || (*p & 0xe7) == 0x26 || (*p & 0xfe) == 0x64)
        p++;
    return p;
}

const uint8_t *seq_main_opcode(const struct seq *s, const struct outcome *o)
{
    uint32_t offset;
    const struct group *g = o->kind == OUT_FAULT ? seq_group_at(s, o->s.eip, &offset) : NULL;

    if (!g || offset != g->main_at)
        return NULL;
    return skip_prefixes(g->bytes + offset);
}

static uint32_t left_undefined(const struct seq *s, const struct outcome *o)
{
    uint32_t offset;

    if (o->kind == OUT_END)
        return s->group[s->ngroups - 1].undef;
    const struct group *g = seq_group_at(s, o->s.eip, &offset);
    if (!g)
        return s->group[s->ngroups - 1].undef;
    if (offset > g->main_at || o->vec == VEC_DE)
        return g->undef;
    return 0;
}

uint32_t undefined_flags(const struct seq *s, const struct outcome *o)
{
    return left_undefined(s, o) | NEVER_COMPARED;
}

/* A fault behind the instruction, but before what makes its undefined effects defined is done: between the
 * PUSHF and the POPF that sort out flags their image is on the stack. */
static bool inside_fixer(const struct seq *s, const struct outcome *o)
{
    uint32_t offset;
    const struct group *g = o->kind == OUT_FAULT ? seq_group_at(s, o->s.eip, &offset) : NULL;

    return g && (g->undef || g->undef_memory) && offset > g->main_at;
}

/* Instruction and data pointers and the last opcode are not compared: no model keeps them. */
static bool fx_equal(const uint8_t *a, const uint8_t *b)
{
    if (memcmp(a, b, 5) != 0 || memcmp(a + 24, b + 24, 4) != 0)
        return false;
    for (unsigned i = 0; i < 8; i++)
        if (memcmp(a + 32 + 16 * i, b + 32 + 16 * i, 10) != 0)
            return false;
    return memcmp(a + 160, b + 160, 128) == 0;
}

/*
 * What a faulting instruction that makes several accesses has done before is
 * the CPU's affair, as long as it can be restarted: PUSHA, POPA, ENTER, CALL
 * to where it can't go, x87 stores of 80 bits.  Likewise an MMX store that faults may have made the
 * x87 stack an MMX file already.
 */
enum { KEEP_REGS = 1, KEEP_MEMORY = 2, KEEP_FX = 4 };

static unsigned unspecified_by_fault(const struct seq *s, const struct outcome *o)
{
    const uint8_t *p = seq_main_opcode(s, o);

    if (!p)
        return 0;
    if (p[0] == 0x0f)
        return p[1] == 0x7e || p[1] == 0x7f || p[1] == 0xe7 ? KEEP_FX : 0;
    if (p[0] == 0xdb || p[0] == 0xdf)
        return KEEP_MEMORY;
    if (p[0] == 0xe8 || p[0] == 0x9a || (p[0] == 0xff && ((p[1] & 0x38) == 0x10 || (p[1] & 0x38) == 0x18)))
        return KEEP_MEMORY;
    return p[0] == 0x61 ? KEEP_REGS : p[0] == 0x60 || p[0] == 0xc8 ? KEEP_MEMORY : 0;
}

static bool same(const struct seq *s, const struct outcome *a, const struct outcome *b, unsigned keep,
                 bool memory)
{
    uint32_t mask = ~undefined_flags(s, a);

    if (a->kind != b->kind)
        return false;
    if (a->kind == OUT_FAULT &&
        (a->vec != b->vec || a->err != b->err || (a->vec == VEC_PF && a->cr2 != b->cr2)))
        return false;
    if (!(keep & KEEP_REGS) && memcmp(a->s.gpr, b->s.gpr, sizeof a->s.gpr) != 0)
        return false;
    if (a->s.gpr[4] != b->s.gpr[4] || a->s.eip != b->s.eip ||
        memcmp(a->s.sel, b->s.sel, sizeof a->s.sel) != 0 || ((a->s.eflags ^ b->s.eflags) & mask))
        return false;
    if (s->fp && !(keep & KEEP_FX) && !fx_equal(a->s.fx, b->s.fx))
        return false;
    return !memory || memcmp(a->mem, b->mem, sizeof *a->mem) == 0;
}

bool outcome_same(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    return !inside_fixer(s, a) && same(s, a, b, 0, true);
}

bool outcome_equal(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    unsigned keep = unspecified_by_fault(s, a);

    return same(s, a, b, keep, !(keep & KEEP_MEMORY) && !inside_fixer(s, a));
}
