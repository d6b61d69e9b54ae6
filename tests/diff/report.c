/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Comparing two outcomes, and showing where they part.
 */
#include <capstone/capstone.h>
#include <string.h>

#include "base/mem.h"
#include "tests/diff/diff.h"

static const char *const reg_names[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
static const char *const seg_names[6] = {"es", "cs", "ss", "ds", "fs", "gs"};

/* RF is set in the images of faults; its value after them is the kernel's affair. */
#define NEVER_COMPARED EFLAGS_RF

static const struct group *group_at(const struct seq *s, uint32_t eip, uint32_t *offset)
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

/* The flags that mean nothing where the run ended. */
static uint32_t undefined_flags(const struct seq *s, const struct outcome *o)
{
    uint32_t offset;

    if (o->kind == OUT_END)
        return s->group[s->ngroups - 1].undef;
    const struct group *g = group_at(s, o->s.eip, &offset);
    if (!g)
        return s->group[s->ngroups - 1].undef;
    if (offset > g->main_at || o->vec == VEC_DE)
        return g->undef;
    return 0;
}

/* A fault between the PUSHF and the POPF that sort out undefined flags: their image is on the stack. */
static bool inside_fixer(const struct seq *s, const struct outcome *o)
{
    uint32_t offset;
    const struct group *g = o->kind == OUT_FAULT ? group_at(s, o->s.eip, &offset) : NULL;

    return g && g->undef && offset > g->main_at;
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
    const struct group *g = o->kind == OUT_FAULT ? group_at(s, o->s.eip, &offset) : NULL;

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
 * fault comes before #UD and #MF; and an x87 store whose exception is unmasked
 * stores nothing and so never meets its page.  `b` is the interpreter.
 */
static bool fp_fault_order(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    const uint8_t *p = main_opcode(s, b);

    if (!s->fp || !p || !is_memory_fault(b) || !(p[0] == 0x0f || (p[0] & 0xf8) == 0xd8))
        return false;
    if (a->kind == OUT_FAULT && a->s.eip == b->s.eip && (a->vec == VEC_UD || a->vec == VEC_MF))
        return true;
    return (p[0] & 0xf8) == 0xd8 && (get16(a->s.fx + 2) & 0x80) && !(get16(b->s.fx + 2) & 0x80);
}

/* More than 15 bytes, and the 16th is not there to be fetched: either fault may come first. */
static bool long_fault_order(const struct outcome *a, const struct outcome *b)
{
    return a->kind == OUT_FAULT && b->kind == OUT_FAULT && a->s.eip == b->s.eip && a->vec == VEC_PF &&
           (a->err & PFERR_I) && b->vec == VEC_GP && b->err == 0 && a->cr2 - a->s.eip == 15;
}

bool outcome_equal(const struct seq *s, const struct outcome *a, const struct outcome *b)
{
    uint32_t mask = ~(undefined_flags(s, a) | NEVER_COMPARED);

    if (fp_fault_order(s, a, b) || long_fault_order(a, b))
        return true;
    if (a->kind != b->kind)
        return false;
    if (a->kind == OUT_FAULT && (a->vec != b->vec || a->err != b->err || (a->vec == VEC_PF && a->cr2 != b->cr2)))
        return false;
    unsigned keep = unspecified_by_fault(s, a);
    if (!(keep & KEEP_REGS) && memcmp(a->s.gpr, b->s.gpr, sizeof a->s.gpr) != 0)
        return false;
    if (a->s.gpr[4] != b->s.gpr[4] || a->s.eip != b->s.eip ||
        memcmp(a->s.sel, b->s.sel, sizeof a->s.sel) != 0 || ((a->s.eflags ^ b->s.eflags) & mask))
        return false;
    if (s->fp && !(keep & KEEP_FX) && !fx_equal(a->s.fx, b->s.fx))
        return false;
    return (keep & KEEP_MEMORY) || inside_fixer(s, a) || memcmp(a->mem, b->mem, sizeof *a->mem) == 0;
}

static bool disassemble(const struct seq *s, const uint8_t *bytes, size_t len, uint32_t at, char *buf, size_t size,
                        size_t *used)
{
    static csh handle[2];
    csh *h = &handle[s->code16];
    cs_insn *in;

    if (!*h && cs_open(CS_ARCH_X86, s->code16 ? CS_MODE_16 : CS_MODE_32, h) != CS_ERR_OK)
        return false;
    if (cs_disasm(*h, bytes, len, at, 1, &in) != 1) {
        snprintf(buf, size, "(bad)");
        *used = len;
        return false;
    }
    snprintf(buf, size, "%s %s", in->mnemonic, in->op_str);
    *used = in->size;
    cs_free(in, 1);
    return true;
}

void report_main_mnemonic(const struct seq *s, const struct outcome *o, char *buf, size_t size)
{
    uint32_t offset;
    size_t used;
    const struct group *g = o->kind == OUT_FAULT ? group_at(s, o->s.eip, &offset) : NULL;

    if (!g)
        g = &s->group[s->ngroups - 1];
    disassemble(s, g->bytes + g->main_at, g->main_len, 0, buf, size, &used);
    char *end = strchr(buf, ' ');
    if (end)
        *end = 0;
    if (strncmp(buf, "lock", 4) == 0 || strncmp(buf, "rep", 3) == 0)
        return;
}

static void print_code(FILE *f, const struct seq *s)
{
    for (unsigned i = 0; i < s->ngroups; i++) {
        const uint8_t *p = s->code + (s->start[i] - s->start[0]);
        unsigned len = s->group[i].len;
        uint32_t at = s->start[i];
        while (len) {
            char text[128];
            size_t used;
            disassemble(s, p, len, at, text, sizeof text, &used);
            fprintf(f, "  %08x %c ", at, at - s->start[i] == s->group[i].main_at ? '*' : ' ');
            for (size_t k = 0; k < 15; k++)
                if (k < used)
                    fprintf(f, "%02x", p[k]);
                else
                    fprintf(f, "  ");
            fprintf(f, "  %s\n", text);
            p += used;
            at += (uint32_t)used;
            len -= (unsigned)used;
        }
    }
}

static void print_kind(FILE *f, const char *name, const struct outcome *o)
{
    static const char *const kinds[] = {"end", "fault", "timeout", "skip"};

    fprintf(f, "  %-8s %s", name, kinds[o->kind]);
    if (o->kind == OUT_FAULT)
        fprintf(f, " vector %u error %#x cr2 %#x", o->vec, o->err, o->cr2);
    fprintf(f, " eip %#x eflags %#x\n", o->s.eip, o->s.eflags);
}

static void diff_value(FILE *f, const char *what, uint32_t init, uint32_t a, uint32_t b)
{
    if (a != b)
        fprintf(f, "  %-8s was %08x: %08x | %08x\n", what, init, a, b);
}

static void diff_memory(FILE *f, const struct guest_mem *a, const struct guest_mem *b)
{
    static const struct {
        const char *name;
        uint32_t base;
        size_t at, size;
    } part[] = {
        {"code", CODE_BASE, offsetof(struct guest_mem, code), CODE_SIZE},
        {"data", DATA_BASE, offsetof(struct guest_mem, data), DATA_SIZE},
        {"ro", RO_BASE, offsetof(struct guest_mem, ro), RO_SIZE},
        {"stack", STACK_BASE, offsetof(struct guest_mem, stack), STACK_SIZE},
    };
    unsigned shown = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(part); i++) {
        const uint8_t *p = (const uint8_t *)a + part[i].at, *q = (const uint8_t *)b + part[i].at;
        for (size_t k = 0; k < part[i].size; k++)
            if (p[k] != q[k] && shown++ < 16)
                fprintf(f, "  %s[%08x]: %02x | %02x\n", part[i].name, part[i].base + (uint32_t)k, p[k], q[k]);
    }
    if (shown > 16)
        fprintf(f, "  ... %u bytes of memory in all\n", shown);
}

static void diff_fx(FILE *f, const uint8_t *a, const uint8_t *b)
{
    for (unsigned i = 0; i < 288; i += 4) {
        bool pointers = i >= 8 && i < 24;
        if (!pointers && get32(a + i) != get32(b + i))
            fprintf(f, "  fx+%03x: %08x | %08x\n", i, get32(a + i), get32(b + i));
    }
}

static void print_init(FILE *f, const struct seq *s)
{
    fprintf(f, " ");
    for (unsigned i = 0; i < 8; i++)
        fprintf(f, " %s=%08x", reg_names[i], s->init.gpr[i]);
    fprintf(f, " eflags=%x\n", s->init.eflags);
}

void report(FILE *f, const struct seq *s, const char *an, const struct outcome *a, const char *bn,
            const struct outcome *b)
{
    fprintf(f, "sequence %#llx%s%s\n", (unsigned long long)s->seed, s->fp ? " fp" : "", s->code16 ? " code16" : "");
    print_init(f, s);
    print_code(f, s);
    print_kind(f, an, a);
    print_kind(f, bn, b);
    for (unsigned i = 0; i < 8; i++)
        diff_value(f, reg_names[i], s->init.gpr[i], a->s.gpr[i], b->s.gpr[i]);
    uint32_t mask = ~(undefined_flags(s, a) | NEVER_COMPARED);
    diff_value(f, "eflags", s->init.eflags, a->s.eflags & mask, b->s.eflags & mask);
    for (unsigned i = 0; i < 6; i++)
        diff_value(f, seg_names[i], s->init.sel[i], a->s.sel[i], b->s.sel[i]);
    if (s->fp)
        diff_fx(f, a->s.fx, b->s.fx);
    diff_memory(f, a->mem, b->mem);
}
