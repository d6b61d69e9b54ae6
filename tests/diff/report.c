/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Showing a sequence and where two outcomes of it part. */
#include <capstone/capstone.h>
#include <string.h>

#include "base/mem.h"
#include "tests/diff/diff.h"

static const char *const reg_names[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
static const char *const seg_names[6] = {"es", "cs", "ss", "ds", "fs", "gs"};

static bool disassemble(const struct seq *s, const uint8_t *bytes, size_t len, uint32_t at, char *buf,
                        size_t size, size_t *used)
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
    const struct group *g = o->kind == OUT_FAULT ? seq_group_at(s, o->s.eip, &offset) : NULL;

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
    fprintf(f, "sequence %#llx%s%s\n", (unsigned long long)s->seed, s->fp ? " fp" : "",
            s->code16 ? " code16" : "");
    print_init(f, s);
    print_code(f, s);
    print_kind(f, an, a);
    print_kind(f, bn, b);
    for (unsigned i = 0; i < 8; i++)
        diff_value(f, reg_names[i], s->init.gpr[i], a->s.gpr[i], b->s.gpr[i]);
    uint32_t mask = ~undefined_flags(s, a);
    diff_value(f, "eflags", s->init.eflags, a->s.eflags & mask, b->s.eflags & mask);
    for (unsigned i = 0; i < 6; i++)
        diff_value(f, seg_names[i], s->init.sel[i], a->s.sel[i], b->s.sel[i]);
    if (s->fp)
        diff_fx(f, a->s.fx, b->s.fx);
    diff_memory(f, a->mem, b->mem);
}
