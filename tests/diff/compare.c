/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When are two outcomes the same?  Everything that the architecture defines
 * must be equal.  What it leaves to the implementation, and where the
 * interpreter and the host's CPU are known to choose differently, is let pass
 * by the rules below, each with its reason.
 */
#include <string.h>

#include "base/mem.h"
#include "tests/diff/diff.h"

/* RF is set in the images of faults; its value after them is the kernel's affair. */
#define NEVER_COMPARED EFLAGS_RF

const struct group *seq_group_at(const struct seq *s, uint32_t eip, uint32_t *offset)
{
    if (!s->code16 && eip < CODE_SIZE)
        eip += CODE_BASE; /* in the segment LDT_CODE_XO */
    for (unsigned i = 0; i < s->ngroups; i++)
        if (eip >= s->start[i] && eip < s->start[i] + s->group[i].len) {
            *offset = eip - s->start[i];
            return &s->group[i];
        }
    return NULL;
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

static const uint8_t *main_opcode(const struct seq *s, const struct outcome *o)
{
    uint32_t offset;
    const struct group *g = o->kind == OUT_FAULT ? seq_group_at(s, o->s.eip, &offset) : NULL;

    if (!g || offset != g->main_at)
        return NULL;
    const uint8_t *p = g->bytes + offset;
    while (*p == 0x66 || *p == 0x67 || *p == 0xf2 || *p == 0xf3 || (*p & 0xe7) == 0x26 || (*p & 0xfe) == 0x64)
        p++;
    return p;
}

static unsigned unspecified_by_fault(const struct seq *s, const struct outcome *o)
{
    const uint8_t *p = main_opcode(s, o);

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

static bool is_memory_fault(const struct outcome *o)
{
    return o->kind == OUT_FAULT && (o->vec == VEC_PF || o->vec == VEC_GP || o->vec == VEC_SS);
}

/*
 * An x87, MMX or SSE instruction with two reasons to fault.  The interpreter
 * fetches the operand before the FPU sees the instruction, so that a memory
 * fault comes before #UD and #MF (and a limit before an alignment); and an x87 store whose exception is
 * unmasked stores nothing and so never meets its page.  `b` is the interpreter.
 */
static bool fp_fault_order(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    const uint8_t *p = main_opcode(s, b);

    if (!s->fp || !p || !is_memory_fault(b) || !(p[0] == 0x0f || (p[0] & 0xf8) == 0xd8))
        return false;
    if (a->kind == OUT_FAULT && a->s.eip == b->s.eip &&
        (a->vec == VEC_UD || a->vec == VEC_MF || (a->vec == VEC_GP && b->vec == VEC_SS)))
        return true;
    return (p[0] & 0xf8) == 0xd8 && (get16(a->s.fx + 2) & 0x80) && !(get16(b->s.fx + 2) & 0x80);
}

/* More than 15 bytes, and the 16th is not there to be fetched: either fault may come first. */
static bool long_fault_order(const struct outcome *a, const struct outcome *b)
{
    return a->kind == OUT_FAULT && b->kind == OUT_FAULT && a->s.eip == b->s.eip && a->vec == VEC_PF &&
           (a->err & PFERR_I) && b->vec == VEC_GP && b->err == 0 && a->cr2 - a->s.eip == 15;
}

/* A call that can neither go to its target nor push: CPUs push first, the SDM's order is the other one. */
static bool call_fault_order(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    const uint8_t *p = main_opcode(s, b);

    return p && (p[0] == 0xe8 || p[0] == 0x9a || p[0] == 0xff) && a->kind == OUT_FAULT &&
           a->s.eip == b->s.eip && a->vec == VEC_PF && (a->err & PFERR_W) && b->vec == VEC_GP && b->err == 0;
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

    if (fp_fault_order(s, a, b) || long_fault_order(a, b) || call_fault_order(s, a, b))
        return true;
    return same(s, a, b, keep, !(keep & KEEP_MEMORY) && !inside_fixer(s, a));
}
