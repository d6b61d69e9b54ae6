/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest code beside its translation.
 *
 * The map that comes with a translation unit says at which offset of the
 * translation each guest instruction begins and where the stubs behind the
 * last one are.  So the translation falls into groups: one for each guest
 * instruction, one for what goes on behind the last, one for each stub.
 *
 * Translated code has the data page (bt/windata.h) at %gs:0; its fields are shown by
 * name.  A callout is two instructions, the store of its argument and the far
 * jump out of the guest; they are shown as the one thing they are.
 */
#include "host/listing.h"

#include <capstone/capstone.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bt/bt_priv.h"

#define TEXT 192

/* Opened once: that costs more than a whole listing. */
static cs_insn *decode(const uint8_t *code, size_t n, uint32_t addr, unsigned bits)
{
    static csh handle[2];
    static cs_insn *insn;
    unsigned h = bits == 16;
    uint64_t at = addr;

    if (!handle[h]) {
        if (cs_open(CS_ARCH_X86, h ? CS_MODE_16 : CS_MODE_32, &handle[h]) != CS_ERR_OK)
            return NULL;
        cs_option(handle[h], CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
    }
    if (!insn && !(insn = cs_malloc(handle[h])))
        return NULL;
    return cs_disasm_iter(handle[h], &code, &n, &at, insn) ? insn : NULL;
}

/* Operands as GNU tools space them: no blank behind a comma. */
static void operands(char *out, size_t size, const char *op)
{
    size_t n = 0;

    for (; *op && n + 1 < size; op++)
        if (*op != ' ' || n == 0 || out[n - 1] != ',')
            out[n++] = *op;
    out[n] = '\0';
}

/* Of a direct jump or call. */
static bool branch_target(const cs_insn *in, uint32_t *target)
{
    bool branch = in->mnemonic[0] == 'j' || !strncmp(in->mnemonic, "call", 4) || !strncmp(in->mnemonic, "loop", 4);

    if (!branch || in->op_str[0] < '0' || in->op_str[0] > '9')
        return false;
    *target = (uint32_t)strtoul(in->op_str, NULL, 0);
    return true;
}

/* One guest instruction as text; returns its length, at least 1. */
static unsigned guest_text(char text[TEXT], const uint8_t *code, size_t n, uint32_t addr, unsigned bits,
                           const struct symbols *symbols)
{
    const cs_insn *in = decode(code, n, addr, bits);
    char name[64] = "", op[96];
    uint32_t target;

    if (!in) {
        snprintf(text, TEXT, "%08x  .byte  %#04x", addr, *code);
        return 1;
    }
    if (branch_target(in, &target))
        symbols_text(symbols, target, name, sizeof name);
    operands(op, sizeof op, in->op_str);
    snprintf(text, TEXT, "%08x  %-6.20s %s%s", addr, in->mnemonic, op, name);
    return in->size;
}

void listing_code(FILE *f, const uint8_t *code, size_t n, uint32_t addr, unsigned bits, unsigned max,
                  const char *prefix, const struct symbols *symbols)
{
    char text[TEXT];

    while (n > 0 && max-- > 0) {
        unsigned len = guest_text(text, code, n, addr, bits, symbols);
        fprintf(f, "%s%s\n", prefix, text);
        code += len;
        n -= len;
        addr += len;
    }
}

/* ------------------------------------------------- names of the data page */

#define SLOT(field) {#field, offsetof(struct windata, field), sizeof ((struct windata *)0)->field}
static const struct {
    const char *name;
    uint32_t off, size;
} slots[] = {
    SLOT(callout_arg), SLOT(spill_eax), SLOT(spill_ecx), SLOT(spill_edx), SLOT(target_eip), SLOT(target_tca),
    SLOT(vif), SLOT(post), SLOT(irq_pending), SLOT(sel), SLOT(operand), SLOT(xcr0), SLOT(reload), SLOT(l1), SLOT(l2), SLOT(bounce),
};
#undef SLOT

static void slot_text(char *buf, size_t size, uint32_t off)
{
    static const char seg[][4] = { "es", "cs", "ss", "ds", "fs", "gs", "6", "7" }; /* ORDER SEG */
    unsigned i = 0;

    while (i < ARRAY_SIZE(slots) && off - slots[i].off >= slots[i].size)
        i++;
    if (i == ARRAY_SIZE(slots)) {
        snprintf(buf, size, "%#x", off);
        return;
    }
    const char *name = slots[i].name;
    uint32_t at = off - slots[i].off, half = slots[i].size / 2;
    if (!strcmp(name, "sel") && at % 4 == 0)
        snprintf(buf, size, "<sel.%s>", seg[at / 4]);
    else if (!strcmp(name, "l1") || !strcmp(name, "l2"))
        snprintf(buf, size, at % half ? "<%s.%s+%#x>" : "<%s.%s>", name, at < half ? "kernel" : "user", at % half);
    else
        snprintf(buf, size, at ? "<%s+%#x>" : "<%s>", name, at);
}

/* Operands with each %gs:number named. */
static void name_slots(char *out, size_t size, const char *op)
{
    size_t at = 0;
    const char *gs;

    while ((gs = strstr(op, "%gs:")) && at < size) {
        char name[40];
        char *end;
        uint32_t off = (uint32_t)strtoul(gs + 4, &end, 0);
        if (end == gs + 4)
            break;
        slot_text(name, sizeof name, off);
        int n = snprintf(out + at, size - at, "%.*s%%gs:%s", (int)(gs - op), op, name);
        at += n > 0 ? (size_t)n : 0;
        op = end;
    }
    if (at < size)
        snprintf(out + at, size - at, "%s", op);
}

/* ------------------------------------------------- the translation */

/* Where exit x of the unit leads: the translator numbers exits in the order in which it emits them. */
static bool exit_target(const struct listing_tu *t, unsigned x, uint32_t *target)
{
    uint32_t off = 0, next = t->eip + t->guest_len, to = next;
    const cs_insn *in = NULL;

    while (off < t->guest_got && (in = decode(t->guest + off, t->guest_got - off, t->eip + off, 32)))
        off += in->size;
    if (!in)
        return false;
    bool direct = branch_target(in, &to), call = !strncmp(in->mnemonic, "call", 4);
    bool jmp = !strcmp(in->mnemonic, "jmp"), loop = in->mnemonic[0] == 'l' || strstr(in->mnemonic, "cx");
    if (direct && !call && !jmp && loop)
        *target = x == 0 ? next : to;
    else
        *target = x == 0 && direct ? to : next;
    return x < 2;
}

static void callout_text(char text[TEXT], const struct listing_tu *t, tca_t tca, uint32_t arg,
                         const struct symbols *symbols)
{
    static const char seg[][4] = { "es", "cs", "ss", "ds", "fs", "gs", "?", "?" }; /* ORDER SEG */
    uint32_t sub = arg >> 20, target;
    int n = snprintf(text, TEXT, "%08x  callout ", tca);
    char *p = text + n, name[TEXT];
    size_t room = TEXT - (size_t)n;

    switch ((enum callout)(arg & 15)) {
    case CO_EXIT:
        if (exit_target(t, sub, &target))
            snprintf(p, room, "exit to %#x%s", target, symbols_text(symbols, target, name, sizeof name));
        else
            snprintf(p, room, "exit %u", sub);
        break;
    case CO_INTERP: snprintf(p, room, "interp insn %u", sub); break;
    case CO_LOOKUP: snprintf(p, room, "lookup"); break;
    case CO_RUNONCE: snprintf(p, room, "done"); break;
    case CO_SEG_LOAD: snprintf(p, room, "load %%%s insn %u", seg[SUB_SEG(sub)], SUB_INSN(sub)); break;
    case CO_IRET: snprintf(p, room, "iret insn %u", SUB_INSN(sub)); break;
    case CO_INT: snprintf(p, room, "int $%#x insn %u", SUB_VEC(sub), SUB_INSN(sub)); break;
    case CO_PORT: snprintf(p, room, "%s insn %u", sub & SUB_PORT_OUT ? "out" : "in", SUB_INSN(sub)); break;
    case CO_MOV_CR:
        snprintf(p, room, "%s %%cr%u insn %u", sub & SUB_CR_WRITE ? "write" : "read", SUB_CR(sub), SUB_INSN(sub));
        break;
    case CO_INVLPG: snprintf(p, room, "invlpg insn %u", SUB_INSN(sub)); break;
    case CO_WINDOW: snprintf(p, room, "access by insn %u", SUB_INSN(sub)); break;
    default: snprintf(p, room, "%#x", arg); break;
    }
}

/* movl $arg, %gs:callout_arg and the far jump behind it: their length together, or 0. */
static unsigned callout_at(const uint8_t *code, size_t n, uint32_t *arg)
{
    static const uint8_t store[] = { 0x65, 0xc7, 0x05, WD_OFF(callout_arg), 0, 0, 0 };
    const unsigned len = sizeof store + 4;

    if (n <= len || memcmp(code, store, sizeof store))
        return 0;
    const cs_insn *in = decode(code + len, n - len, 0, 32);
    if (!in || strncmp(in->mnemonic, "ljmp", 4))
        return 0;
    *arg = get32(code + sizeof store);
    return len + in->size;
}

/* One instruction (or callout) of the translation as text; returns its length, at least 1. */
static unsigned host_text(char text[TEXT], const struct listing_tu *t, unsigned off, unsigned end,
                          const struct symbols *symbols)
{
    const uint8_t *code = t->host + off;
    tca_t tca = t->tca + off;
    char op[96], named[112];
    uint32_t arg, target;
    unsigned len = callout_at(code, end - off, &arg);

    if (len) {
        callout_text(text, t, tca, arg, symbols);
        return len;
    }
    const cs_insn *in = decode(code, end - off, tca, 32);
    if (!in) {
        snprintf(text, TEXT, "%08x  .byte  %#04x", tca, *code);
        return 1;
    }
    operands(op, sizeof op, in->op_str);
    name_slots(named, sizeof named, op);
    /* The lookup stubs come first in the cache. */
    bool lookup = branch_target(in, &target) && target >= WIN_TC && target < WIN_TC + 0x100 && target < t->tca;
    snprintf(text, TEXT, "%08x  %-6.20s %s%s", tca, in->mnemonic, named, lookup ? " <lookup>" : "");
    return in->size;
}

static void print_group(FILE *f, const struct listing_tu *t, unsigned off, unsigned end, const char *left,
                        char mark, const struct symbols *symbols)
{
    char right[TEXT];

    if (off >= end)
        fprintf(f, "    %-48s\n", left);
    for (; off < end; left = "", mark = ' ') {
        off += host_text(right, t, off, end, symbols);
        fprintf(f, "    %-48s %c %s\n", left, mark, right);
    }
}

/* Records that begin a group: a guest instruction, what follows the last, a stub. */
static bool begins_group(const struct listing_map *m, unsigned ninsns)
{
    return m->kind == MAP_INSN || m->kind == MAP_STUB || (m->kind == MAP_EXIT_DIRECT && m->insn >= ninsns);
}

static unsigned group_end(const struct listing_tu *t, unsigned i, unsigned ninsns)
{
    unsigned off = t->map[i].off;

    for (i++; i < t->nmap; i++)
        if (begins_group(&t->map[i], ninsns) && t->map[i].off >= off)
            return t->map[i].off < t->host_got ? t->map[i].off : t->host_got;
    return t->host_got;
}

static bool has_insn(const struct listing_tu *t, unsigned n)
{
    for (unsigned i = 0; i < t->nmap; i++)
        if (t->map[i].kind == MAP_INSN && t->map[i].insn == n)
            return true;
    return false;
}

static unsigned count_insns(const struct listing_tu *t)
{
    unsigned n = 0;

    for (unsigned i = 0; i < t->nmap; i++)
        if (t->map[i].kind == MAP_INSN && t->map[i].insn >= n)
            n = t->map[i].insn + 1u;
    return n;
}

/* Where a return that the return cache led here goes on: it begins by looking at the target. */
static bool is_landing_pad(const struct listing_tu *t, unsigned off)
{
    static const uint8_t load[] = { 0x65, 0x8b, 0x0d, WD_OFF(target_eip), 0, 0, 0 };

    return t->host_got - off >= sizeof load && !memcmp(t->host + off, load, sizeof load);
}

static void list_group(FILE *f, const struct listing_tu *t, unsigned i, unsigned ninsns, unsigned *guest_off,
                       const struct symbols *symbols)
{
    const struct listing_map *m = &t->map[i];
    unsigned off = m->off < t->host_got ? m->off : t->host_got, end = group_end(t, i, ninsns), len, at = *guest_off;
    char left[TEXT];

    if (m->kind != MAP_INSN) {
        snprintf(left, sizeof left, "  %s", m->kind != MAP_STUB ? "(go on behind it)"
                                            : is_landing_pad(t, off) ? "(return landing pad)" : "(exit stub)");
        print_group(f, t, off, end, left, ' ', symbols);
        return;
    }
    if (at >= t->guest_got)
        return;
    len = guest_text(left, t->guest + at, t->guest_got - at, t->eip + at, 32, symbols);
    bool ident = end - off == len && !memcmp(t->guest + at, t->host + off, len);
    print_group(f, t, off, end, left, ident ? '=' : '>', symbols);
    *guest_off += len;
}

void listing_tu(FILE *f, const struct listing_tu *t, const struct symbols *symbols)
{
    unsigned ninsns = count_insns(t), off = 0;

    if (!t->nmap || !t->guest_got || !t->host_got) {
        char text[TEXT];

        listing_code(f, t->guest, t->guest_got, t->eip, 32, UINT32_MAX, "    ", symbols);
        for (unsigned at = 0; at < t->host_got;) {
            at += host_text(text, t, at, t->host_got, symbols);
            fprintf(f, "      > %s\n", text);
        }
        return;
    }
    for (unsigned i = 0; i < t->nmap; i++)
        if (begins_group(&t->map[i], ninsns))
            list_group(f, t, i, ninsns, &off, symbols);
    if (off < t->guest_got && !has_insn(t, ninsns))
        listing_code(f, t->guest + off, t->guest_got - off, t->eip + off, 32, UINT32_MAX,
                     "    not translated: ", symbols);
}
