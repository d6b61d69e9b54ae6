/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every instruction has a class that somebody decided.
 *
 * The decoder's tables can't be listed, so all opcodes of all maps and
 * encodings are walked in 32-bit mode; each (mnemonic, category) met must have
 * a class by insn.def or category.def.  A mnemonic that 32-bit mode does not
 * know must turn up in 64-bit mode or on Knights Corner, or the walk is not whole.
 * The lists below are from the manuals, not from our tables: instructions that
 * must never run as themselves, because they are privileged, sensitive (in the
 * sense of Popek and Goldberg), or behave otherwise at CPL 3 of compatibility mode.
 */
#include <Zydis/Zydis.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bt/decode.h"

#define MNEMONICS (ZYDIS_MNEMONIC_MAX_VALUE + 1u)

struct walk {
    ZydisDecoder zydis;
    struct bt_decoder bt;
    bool classes; /* ask for classes too */
    unsigned insns, undecided;
    uint8_t met[MNEMONICS];
    uint32_t by_decode[MNEMONICS]; /* classes that bt_decode() gave, a bit each */
};

static void try(struct walk *w, const uint8_t *bytes)
{
    ZydisDecodedInstruction zi;
    struct bt_insn in;

    if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(&w->zydis, NULL, bytes, 15, &zi)))
        return;
    w->insns++;
    w->met[zi.mnemonic] = 1;
    if (!w->classes)
        return;
    if (bt_mnemonic_class(zi.mnemonic, zi.meta.category) < 0 && w->undecided++ < 20)
        fprintf(stderr, "no class: %s (%s)\n", bt_mnemonic_name(zi.mnemonic),
                ZydisCategoryGetString(zi.meta.category));
    bt_decode(&w->bt, bytes, 15, &in);
    cr_assert_eq(in.len, zi.length);
    cr_assert_lt(in.cls, CL_COUNT);
    w->by_decode[zi.mnemonic] |= 1u << in.cls;
}

/* ModRM forms: two registers and memory, with each /digit. */
static void try_forms(struct walk *w, uint8_t *b, unsigned at, bool digits)
{
    static const uint8_t modrm[3] = {0xc0, 0xc1, 0x04};

    for (unsigned form = 0; form < (digits ? 24 : 3); form++) {
        b[at] = (uint8_t)(modrm[form % 3] | form / 3 << 3);
        b[at + 1] = 0x08;
        try(w, b);
    }
}

static void walk_legacy(struct walk *w, unsigned rex)
{
    static const uint8_t prefix[][3] = {{0}, {1, 0x66}, {1, 0xf2}, {1, 0xf3}, {2, 0x66, 0xf2}, {2, 0x66, 0xf3},
                                        {1, 0x67}, {1, 0x65}, {1, 0xf0}};
    static const uint8_t escape[4][3] = {{0}, {1, 0x0f}, {2, 0x0f, 0x38}, {2, 0x0f, 0x3a}};
    uint8_t b[16];

    for (unsigned p = 0; p < sizeof prefix / sizeof prefix[0]; p++)
        for (unsigned map = 0; map < 4; map++)
            for (unsigned op = 0; op < 256; op++)
                for (unsigned modrm = 0; modrm < 256; modrm++) {
                    unsigned n = prefix[p][0];
                    memset(b, 0, sizeof b);
                    memcpy(b, prefix[p] + 1, 2);
                    if (rex)
                        b[n++] = (uint8_t)rex;
                    memcpy(b + n, escape[map] + 1, 2);
                    n += escape[map][0];
                    b[n] = (uint8_t)op;
                    b[n + 1] = (uint8_t)modrm;
                    try(w, b);
                    if (map == 1 && op == 0x0f && p == 0) /* 3DNow!: the opcode comes last */
                        for (b[n + 1] = 0xc1, b[n + 2] = 0; ++b[n + 2];)
                            try(w, b);
                }
}

static void walk_vex(struct walk *w, uint8_t first, unsigned top)
{
    uint8_t b[16] = {first};

    for (unsigned map = first == 0x8f ? 8 : 0; map < 32; map++)
        for (unsigned p1 = 0; p1 < 8 * 4; p1++) /* W, one more source or none, L, pp */
            for (unsigned op = 0; op < 256; op++) {
                b[1] = (uint8_t)(top | map);
                b[2] = (uint8_t)((p1 & 16 ? 0x80 : 0) | (p1 & 8 ? 0x78 : 0) | (p1 & 7));
                b[3] = (uint8_t)op;
                try_forms(w, b, 4, true);
            }
}

static void walk_evex(struct walk *w)
{
    uint8_t b[16] = {0x62};

    for (unsigned map = 0; map < 8; map++)
        for (unsigned p1 = 0; p1 < 32; p1++) /* W, source, the bit that tells EVEX from MVEX, pp */
            for (unsigned p2 = 0; p2 < 32; p2++)
                for (unsigned op = 0; op < 256; op++) {
                    b[1] = (uint8_t)(0xf0 | map);
                    b[2] = (uint8_t)((p1 & 16 ? 0x80 : 0) | (p1 & 8 ? 0x78 : 0) | (p1 & 7));
                    b[3] = (uint8_t)(8 | p2 >> 1 << 4 | (p2 & 1)) /* z or EH, LL, b, a mask */;
                    b[4] = (uint8_t)op;
                    try_forms(w, b, 5, op >> 3 == 0x70 >> 3 || op >= 0xc0); /* groups are there */
                }
}

static void walk_all(struct walk *w, bool long_mode)
{
    walk_legacy(w, 0);
    if (long_mode) {
        walk_legacy(w, 0x48);
        walk_legacy(w, 0x41); /* XCHG r8 and the like are no NOPs */
    }
    walk_vex(w, 0xc4, 0xe0);
    walk_vex(w, 0x8f, 0xe0);
    walk_evex(w);
}

static struct walk *walk_new(ZydisMachineMode mode, bool classes)
{
    struct walk *w = calloc(1, sizeof *w);

    ZydisDecoderInit(&w->zydis, mode,
                     mode == ZYDIS_MACHINE_MODE_LONG_64 ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32);
    bt_decoder_init(&w->bt);
    w->classes = classes;
    return w;
}

Test(bt_insn, every_mnemonic_is_decided)
{
    struct walk *w = walk_new(ZYDIS_MACHINE_MODE_LEGACY_32, true);
    struct walk *rest = walk_new(ZYDIS_MACHINE_MODE_LONG_64, false);
    unsigned missing = 0, here = 0;

    walk_all(w, false);
    cr_assert_eq(bt_mnemonic_count(), MNEMONICS);
    cr_assert_eq(w->undecided, 0, "%u encodings", w->undecided);
    walk_all(rest, true);
    ZydisDecoderEnableMode(&rest->zydis, ZYDIS_DECODER_MODE_KNC, ZYAN_TRUE);
    walk_all(rest, false);
    for (unsigned m = 1; m < MNEMONICS; m++) {
        here += w->met[m];
        if (!w->met[m] && !rest->met[m]) {
            fprintf(stderr, "never met: %s\n", bt_mnemonic_name(m));
            missing++;
        }
    }
    cr_assert_eq(missing, 0, "the walk misses %u of %u mnemonics", missing, MNEMONICS);
    cr_assert_gt(here, 1400);
}

/* Space-separated lower-case mnemonics. */
static const char privileged[] =
    "cli sti hlt clts lmsw lgdt lidt lldt ltr invlpg invd wbinvd rdmsr wrmsr xsetbv rsm monitor mwait "
    "xsaves xrstors stac clac invpcid encls enclv getsec vmcall vmlaunch vmresume vmxoff vmxon vmptrld vmptrst "
    "vmclear vmread vmwrite invept invvpid vmrun vmload vmsave stgi clgi skinit invlpga invlpgb tlbsync pvalidate "
    "hreset pconfig loadiwkey enqcmds setssbsy clrssbsy wrussd";
/* Of the 17: far RET, CALL and JMP and PUSH, POP and MOV of segment registers share their mnemonics
 * with harmless forms, so they are in forms[]. */
static const char sensitive[] =
    "sgdt sidt sldt smsw pushf pushfd popf popfd lar lsl verr verw str int int1 int3 into "
    "iret iretd lds les lfs lgs lss";
/* Do something else at CPL 3 in compatibility mode, depend on what the host turned on, or show the host. */
static const char different[] =
    "syscall sysret sysenter sysexit in out insb insw insd outsb outsw outsd rdtscp rdpmc cpuid rdpkru wrpkru "
    "enclu xbegin xabort xend xtest xsusldtrk xresldtrk umonitor umwait tpause monitorx mwaitx ptwrite rdpid rdpru "
    "clzero mcommit vmfunc vmmcall tdcall incsspd rdsspd saveprevssp rstorssp wrssd movdir64b movdiri enqcmd "
    "aesenc128kl encodekey128 bndmk bndldx serialize ud0 ud1 ud2 llwpcb slwpcb lwpins lwpval xstore jmp call ret "
    "jz jnbe jcxz jecxz loop loope loopne";
/* Look dangerous, and are not: the reason is in insn.def. */
static const char harmless[] = "arpl bound salc endbr32 endbr64 lahf sahf enter leave xlat cld std mov push pop";

static const char *names[MNEMONICS];

static bool in_list(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = list; (p = strstr(p, name)); p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
            return true;
    return false;
}

static unsigned words(const char *list)
{
    unsigned n = 1;

    for (; *list; list++)
        n += *list == ' ';
    return n;
}

/* Each name of the list was met, and never (or, if wanted, sometimes) as IDENT. */
static void check_list(const struct walk *w, const char *list, bool ident)
{
    unsigned met = 0;

    for (unsigned m = 1; m < MNEMONICS; m++) {
        names[m] = bt_mnemonic_name(m);
        if (!w->met[m] || !in_list(list, names[m]))
            continue;
        met++;
        cr_expect_eq(w->by_decode[m] >> CL_IDENT & 1, ident, "%s", names[m]);
    }
    cr_assert_eq(met, words(list), "%u of %u names met in 32-bit mode", met, words(list));
}

Test(bt_insn, nothing_privileged_or_sensitive_is_ident)
{
    struct walk *w = walk_new(ZYDIS_MACHINE_MODE_LEGACY_32, true);

    walk_legacy(w, 0);
    walk_vex(w, 0x8f, 0xe0); /* the rest is vectors */
    check_list(w, privileged, false);
    check_list(w, sensitive, false);
    check_list(w, different, false);
    check_list(w, harmless, true);
}

/* Forms whose mnemonic is not enough. */
static const struct {
    uint8_t b[8];
    const char *what;
    uint8_t cls;
} forms[] = {
    {{0x9a, 1, 2, 3, 4, 5, 6}, "call far", CL_INTERP_END},
    {{0xea, 1, 2, 3, 4, 5, 6}, "jmp far", CL_INTERP_END},
    {{0xff, 0x18}, "call far [eax]", CL_INTERP_END},
    {{0xff, 0x28}, "jmp far [eax]", CL_INTERP_END},
    {{0xff, 0x10}, "call [eax]", CL_CALL_IND},
    {{0xff, 0x20}, "jmp [eax]", CL_JMP_IND},
    {{0x66, 0xff, 0x20}, "jmp word [eax]", CL_INTERP_END},
    {{0x66, 0xff, 0xd0}, "call ax", CL_INTERP_END},
    {{0xcb}, "retf", CL_INTERP_END},
    {{0xca, 4, 0}, "retf 4", CL_INTERP_END},
    {{0xc3}, "ret", CL_RET},
    {{0x66, 0xc3}, "ret, 16 bits", CL_INTERP_END},
    {{0x66, 0xe9, 1, 1}, "jmp rel16", CL_INTERP_END},
    {{0x66, 0xe8, 1, 1}, "call rel16", CL_INTERP_END},
    {{0x66, 0x0f, 0x84, 1, 1}, "jz rel16", CL_INTERP_END},
    {{0x66, 0x74, 1}, "jz rel8, 16 bits", CL_INTERP_END},
    {{0x66, 0xe2, 1}, "loop, 16 bits", CL_INTERP_END},
    {{0x67, 0xe2, 1}, "loop by cx", CL_LOOP},
    {{0x06}, "push es", CL_SEG_READ},
    {{0x0e}, "push cs", CL_SEG_READ},
    {{0x16}, "push ss", CL_SEG_READ},
    {{0x1e}, "push ds", CL_SEG_READ},
    {{0x0f, 0xa0}, "push fs", CL_SEG_READ},
    {{0x0f, 0xa8}, "push gs", CL_SEG_READ},
    {{0x66, 0x06}, "push es, 16 bits", CL_INTERP},
    {{0x66, 0x0f, 0xa8}, "push gs, 16 bits", CL_INTERP},
    {{0x07}, "pop es", CL_SEG_LOAD},
    {{0x17}, "pop ss", CL_INTERP},
    {{0x1f}, "pop ds", CL_SEG_LOAD},
    {{0x0f, 0xa1}, "pop fs", CL_SEG_LOAD},
    {{0x0f, 0xa9}, "pop gs", CL_SEG_LOAD},
    {{0x8c, 0xd8}, "mov eax, ds", CL_SEG_READ},
    {{0x66, 0x8c, 0xd8}, "mov ax, ds", CL_INTERP},
    {{0x8c, 0x18}, "mov [eax], ds", CL_INTERP},
    {{0x8e, 0xd8}, "mov ds, eax", CL_SEG_LOAD},
    {{0x8e, 0xd0}, "mov ss, eax", CL_INTERP},
    {{0x8e, 0x18}, "mov ds, [eax]", CL_INTERP},
    {{0x0f, 0x20, 0xc0}, "mov eax, cr0", CL_MOV_CR},
    {{0x0f, 0x20, 0xe3}, "mov ebx, cr4", CL_MOV_CR},
    {{0x0f, 0x22, 0xc0}, "mov cr0, eax", CL_INTERP_END},
    {{0x0f, 0x22, 0xe0}, "mov cr4, eax", CL_INTERP_END},
    {{0x0f, 0x22, 0xd8}, "mov cr3, eax", CL_MOV_CR},
    {{0x0f, 0x01, 0x38}, "invlpg [eax]", CL_INVLPG},
    {{0x0f, 0x21, 0xf8}, "mov eax, dr7", CL_INTERP},
    {{0x0f, 0x23, 0xf8}, "mov dr7, eax", CL_INTERP_END},
    {{0x0f, 0x31}, "rdtsc", CL_RDTSC},
    {{0x9c}, "pushfd", CL_PUSHF},
    {{0x66, 0x9c}, "pushf, 16 bits", CL_INTERP},
    {{0x66, 0x9d}, "popf, 16 bits", CL_INTERP_END},
    {{0xcf}, "iretd", CL_IRET},
    {{0xcd, 0x80}, "int", CL_INT},
    {{0xcc}, "int3", CL_INTERP_END},
    {{0xf3, 0x6c}, "rep insb", CL_INTERP},
    {{0xf3, 0x6e}, "rep outsb", CL_INTERP},
    {{0xe4, 0x60}, "in al, 60h", CL_PORT},
    {{0xee}, "out dx, al", CL_PORT},
    {{0x62, 0x08}, "bound", CL_IDENT},
    {{0x63, 0xc8}, "arpl (movsxd in 64-bit mode)", CL_IDENT},
    {{0xd6}, "salc", CL_IDENT},
    {{0x90}, "nop", CL_IDENT},
    {{0x8b, 0x03}, "mov eax, [ebx]", CL_IDENT},
    {{0x8f, 0x00}, "pop [eax]", CL_IDENT},
};

Test(bt_insn, forms)
{
    struct bt_decoder d;
    struct bt_insn in;

    bt_decoder_init(&d);
    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        bt_decode(&d, forms[i].b, sizeof forms[i].b, &in);
        cr_expect(in.len, "%s", forms[i].what);
        cr_expect_eq(in.cls, forms[i].cls, "%s: %u", forms[i].what, in.cls);
    }
}

/* What needs a state that the guest may not have must say so. */
Test(bt_insn, needs)
{
    static const struct {
        uint8_t b[8];
        uint8_t needs;
    } rows[] = {
        {{0xd9, 0xe8}, NEED_FPU},                                            /* fld1 */
        {{0x9b}, NEED_FPU},                                                  /* fwait */
        {{0x0f, 0xae, 0x00}, NEED_FPU},                                      /* fxsave */
        {{0x0f, 0xae, 0x08}, NEED_FPU},                                      /* fxrstor */
        {{0x0f, 0x77}, NEED_FPU},                                            /* emms */
        {{0x0f, 0xef, 0xc0}, NEED_FPU},                                      /* pxor mm */
        {{0x0f, 0x58, 0xc1}, NEED_FPU | NEED_SSE},                           /* addps */
        {{0x66, 0x0f, 0xef, 0xc0}, NEED_FPU | NEED_SSE},                     /* pxor xmm */
        {{0x0f, 0xae, 0x10}, NEED_FPU | NEED_SSE},                           /* ldmxcsr */
        {{0x0f, 0xae, 0x20}, NEED_FPU | NEED_XSAVE},                         /* xsave */
        {{0x0f, 0x01, 0xd0}, NEED_FPU | NEED_XSAVE},                         /* xgetbv */
        {{0x0f, 0xae, 0xe8}, 0},                                             /* lfence */
        {{0x0f, 0xc3, 0x00}, 0},                                             /* movnti */
        {{0xc4, 0xe2, 0x78, 0xf2, 0xc1}, 0},                                 /* andn */
        {{0x8b, 0x00}, 0},
    };
    struct bt_decoder d;
    struct bt_insn in;

    bt_decoder_init(&d);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        bt_decode(&d, rows[i].b, sizeof rows[i].b, &in);
        cr_expect(in.len);
        cr_expect_eq(in.needs & rows[i].needs, rows[i].needs, "row %u: %u", i, in.needs);
        cr_expect(rows[i].needs || !in.needs, "row %u: %u", i, in.needs);
    }
    bt_decode(&d, (const uint8_t[]){0xc5, 0xf4, 0x58, 0xc2, 0, 0, 0, 0}, 8, &in); /* vaddps ymm */
    cr_expect_eq(in.needs & (NEED_FPU | NEED_AVX), NEED_FPU | NEED_AVX);
}

/* Lock-step checking trusts these: what an instruction leaves undefined, looks at, and defines again. */
Test(bt_insn, flags)
{
    enum { CF = 1, PF = 4, AF = 16, ZF = 64, SF = 128, OF = 2048, ALL = CF | PF | AF | ZF | SF | OF };
    static const struct {
        uint8_t b[8];
        uint32_t undefined, tested, defined;
    } rows[] = {
        {{0xd3, 0xe0}, AF, 0, 0},           /* shl eax, cl */
        {{0x21, 0xc8}, AF, 0, ALL & ~AF},   /* and */
        {{0x01, 0xc8}, 0, 0, ALL},          /* add */
        {{0x11, 0xc8}, 0, CF, ALL},         /* adc */
        {{0x9c}, 0, ALL, 0},                /* pushf */
        {{0x9d}, 0, 0, ALL},                /* popf */
        {{0x9f}, 0, ALL & ~OF, 0},          /* lahf */
        {{0x0f, 0x90, 0xc0}, 0, OF, 0},     /* seto */
        {{0x7f, 0x00}, 0, ZF | SF | OF, 0}, /* jg */
        {{0x37}, 0, AF, AF | CF},           /* aaa */
        {{0x0f, 0xbc, 0xc1}, AF, 0, ZF},    /* bsf */
        {{0x8b, 0xc1}, 0, 0, 0},            /* mov */
    };
    struct bt_decoder d;
    struct bt_insn in;

    bt_decoder_init(&d);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        bt_decode(&d, rows[i].b, sizeof rows[i].b, &in);
        cr_expect_eq(in.undefined & rows[i].undefined, rows[i].undefined, "row %u: %x", i, in.undefined);
        cr_expect_eq(in.tested & ALL, rows[i].tested, "row %u: %x", i, in.tested);
        cr_expect_eq(in.defined & rows[i].defined, rows[i].defined, "row %u: %x", i, in.defined);
        cr_expect(rows[i].defined || rows[i].undefined || !((in.defined | in.undefined) & ALL), "row %u", i);
    }
}
