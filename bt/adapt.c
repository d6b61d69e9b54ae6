// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Adaptive translation: instructions that keep reaching into the window.
 *
 * Linux with more than some 880 MiB maps its high memory a page at a time, by
 * the fixmap slots just below 4 GiB, where the window is: segments are
 * truncated there, so each access by an IDENT instruction costs a fault.  An
 * instruction that has met one twice is noted here, by the physical address of its
 * bytes, and the TUs that it is in are dropped; translated anew it looks where its operand lies
 * and either calls out, to have the access made by the monitor, or runs as it
 * stands (tr_adapt.c).  It is the same few dozen of a kernel's
 * instructions that do it all, and the test costs them next to nothing
 * elsewhere, so no note is taken back but by another that needs its place.
 *
 * The test is a guess in both directions: it knows offsets, not linear
 * addresses.  Limits remain what guards the window, and a callout may make
 * any access.
 */
#include "base/assert.h"
#include "bt/bt_priv.h"
#include "cpu/insn.h"

#define ADAPT_AT 2u

static struct adapt_note *note_at(struct bt *bt, uint32_t gpa)
{
    return &bt->adapt[gpa * 0x9e3779b1u >> 21 & (ADAPT_NOTES - 1)];
}

static uint32_t insn_gpa(const struct tu *t, unsigned n)
{
    return (uint32_t)gpn_to_gpa(t->gpn[0]) + page_offset(t->cs_base + t->eip) + t->insn_off[n];
}

const struct insn *adapt_insn(struct bt *bt, const struct tu *t, unsigned n)
{
    uint32_t gpa = insn_gpa(t, n);
    const struct adapt_note *a = note_at(bt, gpa);

    return a->gpa == gpa && a->faults >= ADAPT_AT ? &a->in : NULL;
}

/* The bytes may be others than those that were noted; from now on they are traced. */
bool adapt_wanted(struct bt *bt, const struct tu *t, unsigned n, const uint8_t *bytes)
{
    uint32_t gpa = insn_gpa(t, n);
    struct adapt_note *a = note_at(bt, gpa);

    if (t->gpn[1] != NO_GPN || !(bt->opt.adapt_all || adapt_insn(bt, t, n)))
        return false;
    *a = (struct adapt_note){ .gpa = gpa, .faults = ADAPT_AT };
    return insn_decode(&a->in, bytes, t->insn_off[n + 1] - t->insn_off[n], true) > 0;
}

static bool offset_high(uint32_t offset) { return offset >> 24 == 0xff; }

/* MOVS, CMPS, STOS, LODS, SCAS. */
static bool is_string(const struct insn *in)
{
    return in->map == 0 && in->opcode >= 0xa4 && in->opcode <= 0xaf && (in->opcode & 0xfe) != 0xa8;
}

/* Did it fault on what emit_adapted() would find? */
static bool reaches_up(const struct vcpu *v, const struct insn *in)
{
    if (is_string(in))
        return offset_high(v->gpr[REG_EDI]) || offset_high(v->gpr[REG_ESI]);
    return in->mem && offset_high(in->disp + (in->base != 0xff ? v->gpr[in->base] : 0) +
                                  (in->index != 0xff ? v->gpr[in->index] << in->scale : 0));
}

void adapt_fault(struct vcpu *v, struct tu *t, unsigned n)
{
    struct bt *bt = v->vm->bt;
    uint32_t gpa = insn_gpa(t, n);
    struct adapt_note *a = note_at(bt, gpa);
    struct insn in;

    /* A second look would find nothing else if it can't adapt. */
    if (bt->opt.no_adapt || t->gpn[1] != NO_GPN || adapt_insn(bt, t, n) ||
        insn_decode(&in, phys_hva(v->vm, gpa), t->insn_off[n + 1] - t->insn_off[n], true) <= 0 || !reaches_up(v, &in))
        return;
    *a = (struct adapt_note){ gpa, a->gpa == gpa ? a->faults + 1 : 1, in };
    if (a->faults < ADAPT_AT)
        return;
    v->vm->stats->tu_adapted++;
    tu_drop_range(v->vm, t->gpn[0], page_offset(gpa), page_offset(gpa) + t->insn_off[n + 1] - t->insn_off[n]);
}

void adapt_reset(struct bt *bt)
{
    memset(bt->adapt, 0, sizeof bt->adapt);
}
