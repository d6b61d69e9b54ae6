/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Golden listings: guest code beside its translation, for a fixed set of snippets.
 *
 *   golden [DIR]         compare with the listings in DIR, or $SRCDIR/tests/golden (TAP)
 *   golden --write DIR   write them (make golden); the difference is for review
 *
 * A listing shows the guest's instructions and then the TU's code with the
 * records of its map: `insn n` and `exit n` are boundaries, `body n` says which registers are
 * spilled from there on, `stub` leads out.  Slots of the data page and addresses in the
 * TU are shown by name, so that a listing changes only when the translation does.
 */
#define _GNU_SOURCE
#include <capstone/capstone.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake/world_bt.h"

#define CODE 0x10000u
#define V (&fake_bt.vcpu)
#define BT (fake_bt.vm.bt)

enum { USER = 1, TS = 2, SS16 = 4, IOPL = 8, GSBIAS = 16, EDGE = 32, NO_INLINE = 64, NO_INDIRECT = 128, ADAPT = 256 };

static const struct snippet {
    const char *file, *title;
    const char *bytes;
    unsigned len, how;
} snippets[] = {
#define S(file, title, how, bytes) {file, title, bytes, sizeof(bytes) - 1, how}
    S("ident", "arithmetic, memory, stack, strings", 0, "\x01\xd8\x8b\x43\x08\x50\x8f\x03\xf3\xa4\xc9\x0f\xb6\xc0"),
    S("ident", "twelve instructions are the most", 0, "\x40\x41\x42\x43\x44\x45\x46\x47\x48\x49\x4a\x4b\x4c"),
    S("ident", "segment overrides of kernel code", 0, "\x64\x8b\x03\x65\x8b\x03\x2e\x8b\x03\x36\x8b\x03\xf4"),
    S("ident", "%gs of user code in the real %fs", USER, "\x65\x8b\x03\x65\xa1\x14\x00\x00\x00\x64\x8b\x03\xf4"),
    S("ident", "%gs of user code, biased: thread-local variables", USER | GSBIAS,
      "\x65\x8b\x43\xc4\x65\xa1\x14\x00\x00\x00\x65\x8b\x0d\xc4\xff\xff\xff\x65\xa4\xf4"),
    S("ident", "operands that are looked at: MOV, CMPXCHG8B, REP MOVS, FILD; not PUSH, %fs, LEA", ADAPT,
      "\x8b\x44\x8b\x04\xc7\x04\x24\x01\x00\x00\x00\x0f\xc7\x0e\xf3\xa5\xdf\x2b\x50\x64\x8b\x03\x8d\x03"),
    S("ident", "x87 under CR0.TS", TS, "\x40\xd9\xe8"),
    S("direct", "JMP", 0, "\xeb\x10"),
    S("direct", "Jcc", 0, "\x85\xc0\x0f\x84\x00\x01\x00\x00"),
    S("direct", "LOOP", 0, "\xe2\xfe"),
    S("direct", "JCXZ", 0, "\x67\xe3\x10"),
    S("direct", "Jcc of user code to another page: by lookup", USER, "\x0f\x84\x00\x10\x00\x00"),
    S("direct", "CALL", 0, "\xe8\x00\x01\x00\x00"),
    S("direct", "CALL on a 16-bit stack", SS16, "\xe8\x00\x01\x00\x00"),
    S("direct", "CALL without the lookups in the cache", NO_INDIRECT, "\xe8\x00\x01\x00\x00"),
    S("indirect", "RET", 0, "\xc3"),
    S("indirect", "RET 8", 0, "\xc2\x08\x00"),
    S("indirect", "JMP register", 0, "\xff\xe0"),
    S("indirect", "JMP memory", 0, "\xff\x24\x85\x00\x00\x04\x00"),
    S("indirect", "JMP %cs:memory", 0, "\x2e\xff\x23"),
    S("indirect", "CALL memory", 0, "\xff\x53\x08"),
    S("indirect", "CALL %gs:16 of user code, biased", USER | GSBIAS, "\x65\xff\x15\x10\x00\x00\x00"),
    S("indirect", "RET without the lookups in the cache", NO_INDIRECT, "\xc3"),
    S("flags", "CLI", 0, "\xfa\x90"),
    S("flags", "STI and its shadow", 0, "\xfb\x90"),
    S("flags", "STI at the end of a page", EDGE, "\xfb"),
    S("flags", "PUSHF", 0, "\x9c"),
    S("flags", "POPF", 0, "\x9d"),
    S("flags", "POPF of user code", USER, "\x9d"),
    S("flags", "CLI, STI, PUSHF, POPF with IOPL 3", IOPL, "\xfa\xfb\x9c\x9d"),
    S("flags", "the same, switched off", NO_INLINE, "\xfa\xfb\x9c\x9d"),
    S("segments", "reading selectors", 0, "\x8c\xd8\x1e\x0f\xa0\x8c\x1b"),
    S("segments", "loading selectors", 0, "\x8e\xd8\x1f\x0f\xa1\x8e\xe9\x8e\x1b\x17"),
    S("segments", "the same, switched off", NO_INLINE, "\x8c\xd8\x1e\x8e\xd8\x1f"),
    S("interp", "goes on behind: CPUID, MOV from DR7, INSB", 0, "\x0f\xa2\x0f\x21\xf8\x6c\x90"),
    S("interp", "ends: MOV to CR0", 0, "\x90\x0f\x22\xc0"),
    S("system", "IN and OUT", 0, "\xe4\x60\x66\xe5\xff\xed\xe6\x80\xee\x66\xef\xf4"),
    S("system", "IN and OUT of user code", USER, "\xec\xe7\x70"),
    S("system", "MOV with control registers", 0, "\x0f\x20\xd0\x0f\x20\xdb\x0f\x22\xd9\x90"),
    S("system", "INVLPG", 0, "\x0f\x01\x38\x0f\x01\x7d\x08\x0f\x01\x3c\x24\x64\x0f\x01\x3c\x8d\x00\x10\x00\x00\x67\x0f\x01\x3f"),
    S("system", "INVLPG in 16-bit address forms is interpreted, and ends", 0, "\x67\x0f\x01\x3f\x90"),
    S("system", "the same, switched off", NO_INLINE, "\xec\xe6\x80\x0f\x20\xd8\x0f\x01\x38\x90"),
    S("system", "MOV to CR3, switched off, ends", NO_INLINE, "\x90\x0f\x22\xd8\x90"),
    S("interp", "IRET", 0, "\xcf"),
    S("interp", "INT 0x80", 0, "\xcd\x80"),
    S("interp", "far JMP", 0, "\xea\x00\x00\x01\x00\x08\x00"),
    S("interp", "HLT", 0, "\xf4"),
    S("interp", "UD2", 0, "\x0f\x0b"),
    S("interp", "undecodable", 0, "\xf0\x90"),
};

static const char *const files[] = {"ident", "direct", "indirect", "flags", "segments", "system", "interp"};

static csh capstone;

/* ---------------------------------------------------------------- names */

static void slot_name(uint32_t off, char *name, size_t size)
{
    static const struct {
        uint32_t off, len;
        const char *name;
    } slots[] = {
#define SLOT(f) {WD_OFF(f), sizeof(((struct windata *)0)->f), #f}
        SLOT(callout_arg), SLOT(spill_eax), SLOT(spill_ecx), SLOT(spill_edx), SLOT(target_eip), SLOT(target_tca),
        SLOT(vif), SLOT(post), SLOT(irq_pending), SLOT(sel), SLOT(operand), SLOT(reload), SLOT(l1), SLOT(l2), SLOT(bounce),
    };

    for (unsigned i = 0; i < ARRAY_SIZE(slots); i++)
        if (off - slots[i].off < slots[i].len) {
            if (slots[i].len > 4)
                snprintf(name, size, "%s+%#x", slots[i].name, off - slots[i].off);
            else
                snprintf(name, size, "%s", slots[i].name);
            return;
        }
    snprintf(name, size, "%#x", off);
}

static void tca_name(const struct tu *t, uint32_t tca, char *name, size_t size)
{
    if (tca - t->tca < t->tc_len)
        snprintf(name, size, "+%03x", tca - t->tca);
    else if (tca == BT->l2_stub[0] || tca == BT->l2_stub[1])
        snprintf(name, size, "lookup[%s]", tca == BT->l2_stub[1] ? "user" : "kernel");
    else
        snprintf(name, size, "%#x", tca);
}

/* Numbers behind "%gs:" and addresses in the window become names; not in guest code (no t). */
static void print_operands(FILE *f, const struct tu *t, const char *op)
{
    char name[48], *end;

    if (!t) {
        fputs(op, f);
        return;
    }
    while (*op) {
        if (!strncmp(op, "%gs:", 4) && op[4] >= '0' && op[4] <= '9') {
            slot_name((uint32_t)strtoul(op + 4, &end, 0), name, sizeof name);
            fprintf(f, "%%gs:%s", name);
            op = end;
        } else if (!strncmp(op, "0xff", 4) && (unsigned long)strtoul(op, &end, 0) >= WIN_TC && end == op + 10) {
            tca_name(t, (uint32_t)strtoul(op, &end, 0), name, sizeof name);
            fputs(name, f);
            op = end;
        } else {
            fputc(*op++, f);
        }
    }
}

/* ---------------------------------------------------------------- listing */

static void print_records(FILE *f, const struct tu *t, uint32_t off)
{
    static const char *const kind[] = {"insn", "body", "exit", "exit by target_eip,", "stub"};

    for (unsigned i = 0; i < t->nmap; i++) {
        const struct map_rec *r = &t->map[i];
        if (r->off != off)
            continue;
        fprintf(f, "   %s", kind[r->kind]);
        if (r->kind == MAP_EXIT_DIRECT)
            fprintf(f, " %u to %#x%s", r->arg, t->exit[r->arg].target, t->exit[r->arg].chainable ? ", chained" : "");
        else if (r->kind != MAP_STUB && r->kind != MAP_EXIT_IND)
            fprintf(f, " %u", r->insn);
        else if (r->kind == MAP_EXIT_IND)
            fprintf(f, " %%ecx spilled");
        fprintf(f, "%s%s%s%s\n", r->flags & SPILL_EAX ? ", %eax spilled" : "",
                r->flags & SPILL_ECX ? ", %ecx spilled" : "", r->flags & SPILL_EDX ? ", %edx spilled" : "",
                r->flags & MAP_SHADOW ? ", in the shadow of STI" : "");
    }
    if (t->pad && t->pad - t->tca == off)
        fprintf(f, "   landing pad of %#x\n", t->pad_eip);
}

static void print_insn(FILE *f, const struct tu *t, const uint8_t *bytes, unsigned avail, uint64_t at, unsigned *len)
{
    cs_insn *in;

    if (cs_disasm(capstone, bytes, avail, at, 1, &in) == 1) {
        fprintf(f, "%s%s", in->mnemonic, in->op_str[0] ? " " : "");
        print_operands(f, t, in->op_str);
        *len = in->size;
        cs_free(in, 1);
    } else {
        fputs("(bad)", f);
    }
    fputc('\n', f);
}

static void print_tu(FILE *f, const struct tu *t)
{
    const uint8_t *guest = fake_bt.vm.ram + t->eip;
    unsigned len, seq = BT->callout_len;

    for (unsigned i = 0; i < t->ninsns; i++) {
        fprintf(f, "%8x  ", t->eip + t->insn_off[i]);
        print_insn(f, NULL, guest + t->insn_off[i], t->insn_off[i + 1] - t->insn_off[i], t->eip + t->insn_off[i], &len);
    }
    fputs("   --\n", f);
    for (uint32_t off = 0; off < t->tc_len; off += len) {
        const uint8_t *code = tc_hva(BT, t->tca + off);

        print_records(f, t, off);
        fprintf(f, "   +%03x  ", off);
        len = seq;
        if (memcmp(code, BT->callout_seq, seq) == 0)
            fputs("callout\n", f);
        else
            print_insn(f, t, code, t->tc_len - off, t->tca + off, &len);
    }
}

static void print_snippet(FILE *f, const struct snippet *s)
{
    struct bt_options o = {.no_inline_if = !!(s->how & NO_INLINE), .no_inline_seg = !!(s->how & NO_INLINE),
                           .no_inline_sys = !!(s->how & NO_INLINE), .no_indirect = !!(s->how & NO_INDIRECT),
                           .adapt_all = !!(s->how & ADAPT)};
    uint32_t at = s->how & EDGE ? CODE + PAGE_SIZE - s->len : CODE;
    struct fault fault;

    fake_bt_new(&o);
    fake_bt_vcpu(s->how & USER ? 3 : 0);
    V->seg[SEG_GS].limit = s->how & GSBIAS ? 0xffffffff : 0xffff;
    V->seg[SEG_GS].base = 0x140000;
    if (s->how & TS)
        V->cr0 |= CR0_TS;
    if (s->how & SS16)
        V->seg[SEG_SS].attr &= ~SEG_ATTR_DB;
    if (s->how & IOPL)
        V->eflags |= EFLAGS_IOPL;
    memset(fake_bt.vm.ram + CODE, 0xf4, 2 * PAGE_SIZE); /* HLT ends what does not end by itself */
    fake_bt_code(at, s->bytes, s->len);
    V->eip = at;
    struct tu *t = bt_translate(V, bt_mode(V), &fault);
    fprintf(f, "== %s\n", s->title);
    if (t)
        print_tu(f, t);
    else
        fputs("not translated\n", f);
    fputc('\n', f);
}

static char *listing(const char *file)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    for (unsigned i = 0; i < ARRAY_SIZE(snippets); i++)
        if (!strcmp(snippets[i].file, file))
            print_snippet(f, &snippets[i]);
    fclose(f);
    return text;
}

/* ---------------------------------------------------------------- files */

static char *slurp(const char *path)
{
    static char buf[1 << 20];
    FILE *f = fopen(path, "r");

    if (!f)
        return NULL;
    buf[fread(buf, 1, sizeof buf - 1, f)] = '\0';
    fclose(f);
    return buf;
}

static void first_difference(const char *a, const char *b)
{
    unsigned line = 1;
    const char *la = a, *lb = b;

    for (; *a && *a == *b; a++, b++)
        if (*a == '\n') {
            line++;
            la = a + 1;
            lb = b + 1;
        }
    printf("# line %u\n# was: %.*s\n# is:  %.*s\n# 'make golden' writes the new listings\n", line,
           (int)strcspn(la, "\n"), la, (int)strcspn(lb, "\n"), lb);
}

static bool write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    bool write = argc > 2 && !strcmp(argv[1], "--write"), failed = false;
    const char *dir = argc > 1 ? argv[argc - 1] : NULL, *src = getenv("SRCDIR"); /* of make check */
    char path[512];

    if (!dir && src && snprintf(path, sizeof path, "%s/tests/golden", src) > 0)
        dir = strdup(path);
    if (!dir || cs_open(CS_ARCH_X86, CS_MODE_32, &capstone) != CS_ERR_OK)
        return 99;
    cs_option(capstone, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
    if (!write)
        printf("1..%zu\n", ARRAY_SIZE(files));
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
        char *now = listing(files[i]), *was;
        bool ok;

        snprintf(path, sizeof path, "%s/%s.txt", dir, files[i]);
        if (write) {
            ok = write_file(path, now);
        } else {
            was = slurp(path);
            ok = was && !strcmp(was, now);
            printf("%s %u - %s\n", ok ? "ok" : "not ok", i + 1, files[i]);
            if (was && !ok)
                first_difference(was, now);
        }
        failed |= !ok;
        free(now);
    }
    return failed;
}
