/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Differences that the architecture allows: where the manuals leave the choice
 * to the implementation, or where the real CPU runs under another machine
 * state than the model, and two right answers differ so much that nothing
 * behind them can be compared.  Such a sequence is left out, and counted by the
 * rule that let it.
 *
 * Every rule names an instruction or an access and the two ways that it can
 * go; a difference that no rule describes is a failure, on every host.  In all
 * of them `a` is the real CPU and `b` the interpreter.
 */
#include "base/mem.h"
#include "tests/diff/diff.h"

static bool faulted(const struct outcome *o, unsigned vec, uint32_t err)
{
    return o->kind == OUT_FAULT && o->vec == vec && o->err == err;
}

static bool is_memory_fault(const struct outcome *o)
{
    return o->kind == OUT_FAULT && (o->vec == VEC_PF || o->vec == VEC_GP || o->vec == VEC_SS);
}

static bool both_fault_at(const struct outcome *a, const struct outcome *b)
{
    return a->kind == OUT_FAULT && b->kind == OUT_FAULT && a->s.eip == b->s.eip;
}

/*
 * An x87, MMX, SSE or AVX instruction with two reasons to fault.  The interpreter
 * fetches the operand before the FPU sees the instruction, so that a memory
 * fault comes before #UD and #MF (and a limit before an alignment); and an x87 store whose exception is
 * unmasked stores nothing and so never meets its page.
 */
static bool fp_fault_order(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    const uint8_t *p = seq_main_opcode(s, b);

    if (!s->fp || !p || !is_memory_fault(b) || !(p[0] == 0x0f || (p[0] & 0xfe) == 0xc4 || (p[0] & 0xf8) == 0xd8))
        return false;
    if (both_fault_at(a, b) &&
        (a->vec == VEC_UD || a->vec == VEC_MF || (a->vec == VEC_GP && b->vec == VEC_SS)))
        return true;
    return (p[0] & 0xf8) == 0xd8 && (get16(a->s.fx + 2) & 0x80) && !(get16(b->s.fx + 2) & 0x80);
}

/* More than 15 bytes, and the 16th is not there to be fetched: either fault may come first. */
static bool long_fault_order(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    const struct outcome *pf = a->vec == VEC_PF ? a : b, *gp = pf == a ? b : a;
    uint32_t base = s->code16 || pf->s.eip < CODE_SIZE ? CODE_BASE : 0;

    return both_fault_at(a, b) && pf->vec == VEC_PF && (pf->err & PFERR_I) && faulted(gp, VEC_GP, 0) &&
           pf->cr2 - (base + pf->s.eip) == 15;
}

/* A call that can neither go to its target nor push: CPUs push first, the SDM's order is the other one (but for
 * the room on the stack of a far call). */
static bool call_fault_order(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    const uint8_t *p = seq_main_opcode(s, b);

    if (!p || !(p[0] == 0xe8 || p[0] == 0x9a || p[0] == 0xff) || !both_fault_at(a, b) || !faulted(b, VEC_GP, 0))
        return false;
    return (a->vec == VEC_PF && (a->err & PFERR_W)) || faulted(a, VEC_SS, 0);
}

/*
 * An operand that lies across 4 GiB in a segment that reaches that far may
 * cause #GP or #SS or may not, "implementation-specific" and not even the same
 * each time (SDM vol. 3A 5.3).  Intel's CPUs wrap around, and here meet a page
 * that is not there; AMD's raise the exception, and so before any page fault.
 */
static bool wraps_at_4gib(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    (void)s;
    return b->wrapped && both_fault_at(a, b) && (faulted(a, VEC_GP, 0) || faulted(a, VEC_SS, 0)) &&
           b->vec == VEC_PF;
}

/* The operand of BOUND is both limits (SDM vol. 2): a CPU may read the second before it compares with the
 * first, or find with the first that it need not. */
static bool bound_second_limit(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    const uint8_t *p = seq_main_opcode(s, b);

    return p && p[0] == 0x62 && both_fault_at(a, b) && is_memory_fault(a) && b->vec == VEC_BR;
}

/* UD0 has a ModR/M byte, but not to all CPUs: one that does not fetch it can't fault there (SDM vol. 2 under UD).
 * AMD's take UD1, too, for the two bytes that make it undefined. */
static bool ud_length(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    const uint8_t *p = seq_main_opcode(s, b);

    return p && p[0] == 0x0f && (p[1] == 0xff || p[1] == 0xb9) && both_fault_at(a, b) && a->vec == VEC_UD &&
           ((b->vec == VEC_PF && (b->err & PFERR_I)) || faulted(b, VEC_GP, 0));
}

/* A prefix that VEX can't have behind it: #UD (SDM vol. 2A 2.3), for which a CPU may want the whole instruction first. */
static bool prefixed_vex(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    const uint8_t *p = seq_main_opcode(s, b);

    return p && (p[0] & 0xfe) == 0xc4 && (p[1] & 0xc0) == 0xc0 && both_fault_at(a, b) && faulted(b, VEC_UD, 0) &&
           a->vec == VEC_PF && (a->err & PFERR_I);
}

static bool is_push_sreg(const uint8_t *p)
{
    return (p[0] & 0xe7) == 0x06 || (p[0] == 0x0f && (p[1] == 0xa0 || p[1] == 0xa8));
}

/*
 * PUSH of a segment register as a dword writes the selector alone or all four
 * bytes (SDM vol. 2 under PUSH).  When the upper bytes of the slot are on another page, or behind 4 GiB,
 * only the latter faults.
 */
static bool push_upper_half(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    const uint8_t *p = seq_main_opcode(s, a);
    uint32_t slot = a->s.gpr[4] - 4;

    (void)b;
    if (!p || !is_push_sreg(p))
        return false;
    return a->vec == VEC_PF ? a->cr2 - slot - 1 < 3 : faulted(a, VEC_SS, 0) && slot > 0xfffffffc;
}

/*
 * SYSCALL and SYSRET go by EFER.SCE, which the host has set and the model has
 * not.  Outside 64-bit mode they are #UD on Intel's CPUs all the same (SDM
 * vol. 2); on AMD's SYSCALL enters the host's kernel, and SYSRET is #GP at CPL
 * 3 (APM vol. 3).
 */
static bool host_syscall(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    const uint8_t *p = seq_main_opcode(s, b);

    if (!p || p[0] != 0x0f || !faulted(b, VEC_UD, 0))
        return false;
    return p[1] == 0x05 || (p[1] == 0x07 && both_fault_at(a, b) && faulted(a, VEC_GP, 0));
}

/* On AMD's CPUs MOV CR0 with LOCK is MOV CR8, privileged (APM vol. 3, AltMovCr8); elsewhere and in the model it is #UD. */
static bool locked_mov_cr(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    const uint8_t *p = seq_main_opcode(s, b);

    if (!p || *p != 0xf0 || !both_fault_at(a, b) || !faulted(a, VEC_GP, 0) || !faulted(b, VEC_UD, 0))
        return false;
    while (*p == 0xf0)
        p = skip_prefixes(p + 1);
    return p[0] == 0x0f && (p[1] == 0x20 || p[1] == 0x22);
}

/* A fault that the operand at ES:[EDI] or ES:[DI] can have caused. */
static bool fault_at_di(const struct outcome *o, unsigned size)
{
    uint16_t es = o->s.sel[0];
    uint32_t base = es & 4 ? ldt_entries[es >> 3].base : 0;

    return o->vec == VEC_PF ? (uint16_t)(o->cr2 - base - o->s.gpr[7]) < size : es < 4 || es & 4;
}

/* CMPS reads two operands, and the SDM does not say which first: some of AMD's CPUs take DS:[SI], which an override can
 * move, where all others seen and the interpreter take ES:[DI]. */
static bool cmps_order(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    const uint8_t *p = seq_main_opcode(s, b);
    unsigned size = p && (p[0] & 1) ? 4 : 1;

    return p && (p[0] & 0xfe) == 0xa6 && both_fault_at(a, b) && is_memory_fault(a) && is_memory_fault(b) &&
           fault_at_di(b, size) && !(a->vec == VEC_PF && fault_at_di(a, size));
}

static const struct {
    const char *name;
    bool (*allows)(const struct seq *, const struct outcome *a, const struct outcome *b);
} rules[] = {
    {"FP fault order", fp_fault_order},
    {"fetch or length", long_fault_order},
    {"call: push or target", call_fault_order},
    {"operand across 4 GiB", wraps_at_4gib},
    {"BOUND: second limit", bound_second_limit},
    {"UD0, UD1: length", ud_length},
    {"prefix and VEX: length", prefixed_vex},
    {"PUSH Sreg: upper half", push_upper_half},
    {"SYSCALL, SYSRET: the host's", host_syscall},
    {"LOCK MOV CR: CR8", locked_mov_cr},
    {"CMPS: operands", cmps_order},
};

_Static_assert(ARRAY_SIZE(rules) == UNDEFINED_RULES, "diff.h has their number");

int undefined_rule(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
        if (rules[i].allows(s, a, b))
            return (int)i;
    return -1;
}

const char *undefined_rule_name(int rule) { return rules[rule].name; }
