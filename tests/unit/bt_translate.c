/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Translation units over a fake world: where they end, what their records say
 * at every offset, and how they are found, chained and dropped.
 * What they compute is looked at by bt_programs.c.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cpu/interp.h"
#include "tests/fake/rnd.h"
#include "tests/fake/world_bt.h"

#define CODE 0x10000u
#define V (&fake_bt.vcpu)
#define BT (fake_bt.vm.bt)

static struct tu *translate(void)
{
    struct fault f;
    struct tu *t = bt_translate(V, bt_mode(V), &f);

    fake_bt_consistent();
    return t;
}

static struct tu *translate_at(uint32_t eip)
{
    V->eip = eip;
    return translate();
}

#define CODE_IS(at, s) fake_bt_code(at, s, sizeof(s) - 1)

/* ---------------------------------------------------------------- where TUs end */

static const struct {
    const char *bytes;
    unsigned len, ninsns, nexits;
    int32_t to[2]; /* targets, relative to CODE */
} ends[] = {
#define ROW(s, n, x, ...) {s, sizeof(s) - 1, n, x, {__VA_ARGS__}}
    ROW("\x90\x90\xeb\x10", 3, 1, 0x14),
    ROW("\xe9\xfb\xff\xff\xff", 1, 1, 0),
    ROW("\x90\x75\x02", 2, 2, 5, 3),             /* taken, then not taken */
    ROW("\x0f\x84\x00\x01\x00\x00", 1, 2, 0x106, 6),
    ROW("\xe2\xfe", 1, 2, 2, 0),                 /* LOOP: not taken, then taken */
    ROW("\xe3\x02", 1, 2, 2, 4),
    ROW("\xe8\x00\x00\x00\x00", 1, 2, 5, 5),     /* CALL: its target and the landing pad */
    ROW("\x40\xc3", 2, 0, 0),
    ROW("\xff\xe0", 1, 0, 0),
    ROW("\xff\x13", 1, 1, 2),
    ROW("\xf4\x90", 1, 0, 0),                    /* HLT */
    ROW("\xfa\xfb\x9c\xc3", 4, 0, 0),            /* CLI STI PUSHF RET */
    ROW("\x0f\xa2\xc3", 2, 0, 0),                /* CPUID goes on */
    ROW("\x0f\x22\xc0\x90", 1, 0, 0),            /* MOV CR0 does not */
    ROW("\x90\x0f\x0b", 2, 0, 0),                /* UD2 */
    ROW("\x90\x0f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 2, 0, 0), /* UD0 */
    ROW("\x66\xe9\x00\x00", 1, 0, 0),            /* 16-bit jump */
    ROW("\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90", 12, 1, 12),
    ROW("\xea\x00\x00\x00\x00\x08\x00", 1, 0, 0),
    ROW("\xcf", 1, 0, 0),
    ROW("\xcd\x80", 1, 0, 0),
};

Test(bt_translate, ends)
{
    fake_bt_new(NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
        uint32_t at = CODE + i * 64;
        fake_bt_code(at, ends[i].bytes, ends[i].len);
        struct tu *t = translate_at(at);
        cr_assert(t, "row %u", i);
        cr_expect_eq(t->ninsns, ends[i].ninsns, "row %u: %u instructions", i, t->ninsns);
        cr_expect_eq(t->nexits, ends[i].nexits, "row %u: %u exits", i, t->nexits);
        for (unsigned x = 0; x < t->nexits && x < ends[i].nexits; x++)
            cr_expect_eq(t->exit[x].target, at + (uint32_t)ends[i].to[x], "row %u exit %u: %#x", i, x,
                         t->exit[x].target - at);
        cr_expect_eq(t->len, t->insn_off[t->ninsns]);
        cr_expect_eq(tu_find(BT, at, at >> 12, bt_mode(V), V), t);
        cr_expect_null(tu_find(BT, at, at >> 12, bt_mode(V) ^ MODE_SS16, V));
        cr_expect_null(tu_find(BT, at, (at >> 12) + 1, bt_mode(V), V));
    }
}

Test(bt_translate, undecodable)
{
    static const uint8_t bad[] = {0x90, 0xf0, 0x90}; /* LOCK NOP */

    fake_bt_new(NULL);
    fake_bt_code(CODE, bad, sizeof bad);
    struct tu *t = translate();
    cr_assert_eq(t->ninsns, 1);
    cr_expect_eq(t->exit[0].target, CODE + 1);
    t = translate_at(CODE + 1);
    cr_assert(t); /* a TU that leaves it to the interpreter */
    cr_expect_eq(t->ninsns, 1);
    cr_expect_eq(t->nexits, 0);
}

Test(bt_translate, insn_limit)
{
    struct bt_options o = {0};

    for (o.tu_insns = 1; o.tu_insns <= 12; o.tu_insns++) {
        fake_bt_new(&o);
        memset(fake_bt.vm.ram + CODE, 0x40, 64);
        struct tu *t = translate_at(CODE);
        cr_expect_eq(t->ninsns, o.tu_insns);
        cr_expect_eq(t->exit[0].target, CODE + o.tu_insns);
    }
}

/* ---------------------------------------------------------------- pages */

Test(bt_translate, stops_at_page_end)
{
    fake_bt_new(NULL);
    memset(fake_bt.vm.ram + CODE + 0xff0, 0x40, 32);
    struct tu *t = translate_at(CODE + 0xffc);
    cr_expect_eq(t->ninsns, 4);
    cr_expect_eq(t->exit[0].target, CODE + 0x1000);
    cr_expect_eq(t->gpn[1], NO_GPN);
    cr_expect(!fake_bt.traced[(CODE >> 12) + 1]);
    cr_expect(t->exit[0].chainable);
}

static struct tu *crossing(unsigned cpl, unsigned in_first)
{
    fake_bt_new(NULL);
    fake_bt_vcpu(cpl);
    fake_bt_code(CODE + 0x1000 - in_first, "\xb8\x11\x22\x33\x44\xeb\xfe", 7); /* mov $imm32, %eax; jmp . */
    return translate();
}

Test(bt_translate, crossing_page)
{
    for (unsigned n = 1; n < 5; n++) {
        struct tu *t = crossing(0, n);
        cr_assert(t);
        cr_expect_eq(t->ninsns, 1);
        cr_expect_eq(t->gpn[0], CODE >> 12);
        cr_expect_eq(t->gpn[1], (CODE >> 12) + 1);
        cr_expect(!t->nochain);
        cr_expect(fake_bt.traced[CODE >> 12] && fake_bt.traced[(CODE >> 12) + 1]);
        cr_expect_eq(get32(tc_hva(BT, t->tca) + 1), 0x44332211);
        /* A write to its tail on the second page drops it; one behind it does not. */
        bt_code_written(&fake_bt.vm, CODE + 0x1000 + 5 - n, 1);
        cr_expect(t->live);
        bt_code_written(&fake_bt.vm, CODE + 0x1000 + 4 - n, 1);
        cr_expect(!t->live);
        fake_bt_consistent();
    }
    cr_expect(crossing(3, 2)->nochain);
}

Test(bt_translate, crossing_into_nothing)
{
    fake_bt_new(NULL);
    fake_bt_code(CODE + 0xfff, "\xb8", 1);
    fake_bt.map[(CODE >> 12) + 1] = NO_GPN;
    BT->fetch_gen++;
    cr_expect_null(translate_at(CODE + 0xfff));
    /* The first page alone is enough for a short instruction. */
    fake_bt_code(CODE + 0xffe, "\x40\xb8", 2);
    struct tu *t = translate_at(CODE + 0xffe);
    cr_assert(t);
    cr_expect_eq(t->ninsns, 1);
}

Test(bt_translate, fetch_fault)
{
    struct fault f;

    fake_bt_new(NULL);
    V->eip = FAKE_BT_RAM + 5;
    cr_expect_null(bt_translate(V, bt_mode(V), &f));
    cr_expect_eq(f.vec, VEC_PF);
    cr_expect_eq(f.cr2, FAKE_BT_RAM + 5);
}

Test(bt_translate, cs_limit)
{
    fake_bt_new(NULL);
    memset(fake_bt.vm.ram + CODE, 0x40, 64);
    V->seg[SEG_CS].limit = CODE + 5;
    for (uint32_t at = CODE; at < CODE + 12; at++) {
        struct fault f;
        V->eip = at;
        struct tu *t = bt_translate(V, bt_mode(V), &f);
        if (t)
            cr_expect_leq(t->eip + t->len - 1, CODE + 5);
        else
            cr_expect_eq(f.vec, 0xff); /* the interpreter finds out */
    }
    V->seg[SEG_CS] = (struct seg){.attr = V->seg[SEG_CS].attr, .base = CODE, .limit = 0xffffffff};
    V->eip = 0;
    struct tu *t = translate();
    cr_assert(t);
    cr_expect_eq(t->gpn[0], CODE >> 12);
    cr_expect_eq(t->exit[0].target, 12); /* EIPs stay relative to CS */
}

/* The same bytes at the same EIP in segments of other bases and limits are other code. */
Test(bt_translate, code_segments)
{
    static const struct seg_place { uint32_t base, limit; } places[] = {
        {CODE, 0xffffffff}, {CODE + 16, 0xffffffff}, {CODE, 0xffff}, {CODE, 0x1f}, {0, CODE + 0x40}, {0, 0xffffffff},
    };
    struct tu *made[ARRAY_SIZE(places)];

    fake_bt_new(NULL);
    memset(fake_bt.vm.ram + CODE, 0x40, 0x100);
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        V->seg[SEG_CS].base = places[i].base;
        V->seg[SEG_CS].limit = places[i].limit;
        V->eip = CODE - places[i].base;
        if (places[i].base == CODE + 16)
            V->eip = 0;
        cr_expect_null(tu_find(BT, V->eip, CODE >> 12, bt_mode(V), V), "place %u", i);
        cr_expect_eq(!!(bt_mode(V) & MODE_ODDCS), i != 5, "place %u", i);
        made[i] = translate();
        cr_assert(made[i], "place %u", i);
        for (unsigned j = 0; j < i; j++)
            cr_expect_neq(made[i], made[j]);
    }
}

/* Behind the last byte of 4 GiB comes no first one: the interpreter sees to that. */
Test(bt_translate, end_of_4g)
{
    fake_bt_new(NULL);
    memset(fake_bt.vm.ram + CODE, 0x40, 64);
    V->seg[SEG_CS].base = CODE + 32;
    for (uint32_t before = 32; before; before--) {
        struct tu *t = translate_at(-before);
        cr_expect_eq(t != NULL, before >= 12, "%u before", before);
    }
}

/* User code's GS is used through the real FS, with GS_BIAS less where that can't wrap. */
Test(bt_translate, gs_modes)
{
    static const struct { uint32_t base, limit; unsigned attr; bool fs, used, bias; } rows[] = {
        {GS_BIAS, 0xffffffff, 0, false, true, true},
        {GS_BIAS - 1, 0xffffffff, 0, false, true, false},
        {GS_BIAS, 0xfffffffe, 0, false, true, false},
        {GS_BIAS, 0xffffffff, SEG_ATTR_EC, false, true, false},
        {GS_BIAS, 0xffffffff, 0, true, false, false},
        {GS_BIAS, 0xffffffff, SEG_ATTR_P, false, false, false},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        fake_bt_new(NULL);
        fake_bt_vcpu(3);
        if (rows[i].fs)
            V->seg[SEG_FS] = V->seg[SEG_DS];
        V->seg[SEG_GS].base = rows[i].base;
        V->seg[SEG_GS].limit = rows[i].limit;
        V->seg[SEG_GS].attr ^= (uint16_t)rows[i].attr;
        cr_expect_eq(!!(bt_mode(V) & MODE_GS2FS), rows[i].used, "row %u", i);
        cr_expect_eq(!!(bt_mode(V) & MODE_GSBIAS), rows[i].bias, "row %u", i);
    }
}

/* ---------------------------------------------------------------- records */

/* A state of the guest with values that tell where they came from. */
static void mark_state(void)
{
    for (unsigned i = 0; i < 8; i++)
        V->gpr[i] = 0x11111111u * (i + 1);
    V->hflags = EFLAGS_CF | EFLAGS_FIXED | EFLAGS_IF;
    BT->wd->spill_eax = 0xaaaa0000;
    BT->wd->spill_ecx = 0xaaaa0001;
    BT->wd->spill_edx = 0xaaaa0002;
    BT->wd->target_eip = 0xbbbb0000;
    BT->wd->vif = 0;
}

static unsigned boundaries(const struct tu *t)
{
    unsigned n = 0;

    for (uint32_t off = 0; off < t->tc_len; off++) {
        mark_state();
        if (!bt_sync_boundary(V, t->tca + off)) {
            cr_expect_eq(V->gpr[REG_ECX], 0x22222222, "a refusal leaves the state alone");
            continue;
        }
        bool known = V->eip == 0xbbbb0000;
        for (unsigned i = 0; i <= t->ninsns; i++)
            known |= V->eip == t->eip + t->insn_off[i];
        for (unsigned x = 0; x < t->nexits; x++)
            known |= V->eip == t->exit[x].target;
        cr_expect(known, "offset %u: eip %#x", off, V->eip);
        cr_expect_eq(V->gpr[REG_ECX], V->eip == 0xbbbb0000 ? 0xaaaa0001 : 0x22222222);
        cr_expect_eq(V->eflags & (EFLAGS_CF | EFLAGS_IF), EFLAGS_CF);
        V->shadow = 0;
        n++;
    }
    return n;
}

/* Offsets where a fault is the guest's own; each must name an instruction and restore what is spilled. */
static unsigned faultables(const struct tu *t)
{
    unsigned n = 0;

    for (uint32_t off = 0; off < t->tc_len; off++) {
        struct tu *at = NULL;
        unsigned insn = 99;
        mark_state();
        if (!bt_sync_fault(V, t->tca + off, &at, &insn))
            continue;
        cr_expect_eq(at, t);
        cr_assert_lt(insn, t->ninsns);
        cr_expect_eq(V->eip, t->eip + t->insn_off[insn]);
        cr_expect(V->gpr[REG_EAX] == 0x11111111 || V->gpr[REG_EAX] == 0xaaaa0000);
        n++;
    }
    return n;
}

Test(bt_translate, records_at_every_offset)
{
    static const struct {
        const char *s;
        unsigned len, boundaries;
    } rows[] = {
        {"\x40\x41\x42\xeb\x00", 5, 4},             /* JMP itself is the exit's jump */
        {"\x75\x00", 2, 2},                         /* the Jcc and the jump behind it */
        {"\xe8\x00\x00\x00\x00", 5, 3},             /* CALL, its exit, the pad's exit */
        {"\xc3", 1, 2},                             /* RET, and the jump through the return cache */
        {"\xff\x10", 2, 3},
        {"\x9c\x9d\xfa\xfb\x90\xf4", 6, 6},
        {"\x8c\xd8\x8e\xd8\x1e\x1f\xcf", 7, 5},
    };

    fake_bt_new(NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        fake_bt_code(CODE + 256 * i, rows[i].s, rows[i].len);
        struct tu *t = translate();
        cr_assert(t);
        cr_expect_eq(boundaries(t), rows[i].boundaries, "row %u: %u", i, boundaries(t));
        cr_expect_gt(faultables(t), 0);
        cr_expect_not(bt_sync_boundary(V, t->tca + t->tc_len), "outside");
    }
    /* The lookup stubs' last jump is a boundary, nothing else in them is. */
    for (tca_t a = WIN_TC; a < BT->tc_start; a++) {
        mark_state();
        bool is = bt_sync_boundary(V, a);
        cr_expect_eq(is, a == BT->l2_jump[0] || a == BT->l2_jump[1]);
        cr_expect(!is || V->eip == 0xbbbb0000);
    }
}

Test(bt_translate, sti_shadow)
{
    fake_bt_new(NULL);
    CODE_IS(CODE, "\xfb\xf4"); /* STI HLT */
    struct tu *t = translate();
    unsigned shadows = 0;
    for (uint32_t off = 0; off < t->tc_len; off++) {
        V->shadow = 0;
        mark_state();
        if (bt_sync_boundary(V, t->tca + off) && V->shadow) {
            cr_expect_eq(V->eip, CODE + 1);
            shadows++;
        }
    }
    cr_expect_eq(shadows, 1);
}

/* Nothing may lose the shadow behind STI where a TU ends: no chain, no boundary without it. */
Test(bt_translate, sti_is_never_last)
{
    struct bt_options o = {.tu_insns = 3};

    fake_bt_new(&o);
    CODE_IS(CODE, "\x40\x40\xfb\xf4");
    struct tu *t = translate();
    cr_expect_eq(t->ninsns, 2);
    cr_expect_eq(t->exit[0].target, CODE + 2);
    t = translate_at(CODE + 2);
    cr_expect_eq(t->ninsns, 2);
    /* At the end of a page it has to be: then it is interpreted. */
    fake_bt_code(CODE + 0xfff, "\xfb\xf4", 2);
    t = translate();
    V->gpr[REG_ESP] = 0x80000;
    V->eflags = EFLAGS_FIXED;
    V->attention = 0;
    bt_run(V);
    cr_expect_eq(V->eip, CODE + 0x1000);
    cr_expect_eq(V->shadow, SHADOW_STI);
    cr_expect(V->eflags & EFLAGS_IF);
}

/* ---------------------------------------------------------------- switches */

static unsigned count_byte_pair(const struct tu *t, uint8_t a, uint8_t b)
{
    unsigned n = 0;

    for (unsigned i = 0; i + 1 < t->tc_len; i++)
        n += tc_hva(BT, t->tca)[i] == a && tc_hva(BT, t->tca)[i + 1] == b;
    return n;
}

Test(bt_translate, switches)
{
    static const char code[] = "\xfa\xfb\x9c\x9d\x8c\xd8\xe8\x00\x00\x00\x00";
    struct bt_options o = {0};

    fake_bt_new(&o);
    fake_bt_code(CODE, code, sizeof code - 1);
    struct tu *t = translate();
    unsigned plain_callouts = count_byte_pair(t, 0xea, 0);
    cr_expect_neq(t->pad, 0);
    o.no_inline_if = 1;
    fake_bt_new(&o);
    fake_bt_code(CODE, code, sizeof code - 1);
    t = translate();
    cr_expect_eq(count_byte_pair(t, 0x9c, 0x65), 0); /* no real PUSHF */
    o.no_return_cache = 1;
    o.no_inline_seg = 1;
    fake_bt_new(&o);
    fake_bt_code(CODE + 4, code + 4, sizeof code - 5);
    t = translate();
    cr_expect_eq(t->pad, 0);
    cr_expect_eq(t->nexits, 1);
    cr_expect_geq(plain_callouts, 3);
    o.no_chain = 1;
    fake_bt_new(&o);
    CODE_IS(CODE, "\xeb\x00\xeb\xfe");
    t = translate();
    struct tu *u = translate_at(CODE + 2);
    tu_chain(&fake_bt.vm, t, 0, u);
    cr_expect_eq(t->exit[0].to, 0);
    fake_bt_consistent();
    o = (struct bt_options){.no_indirect = 1};
    fake_bt_new(&o);
    CODE_IS(CODE, "\xc3");
    t = translate();
    cr_expect_eq(count_byte_pair(t, 0xea, 0), 1); /* a callout instead of the lookup */
}

/* ---------------------------------------------------------------- modes */

Test(bt_translate, modes)
{
    fake_bt_new(NULL);
    CODE_IS(CODE, "\xd9\xe8\xc3");
    struct tu *t = translate();
    cr_expect_eq(t->ninsns, 2);
    V->cr0 |= CR0_TS;
    struct tu *ts = translate_at(CODE);
    cr_expect_neq(ts, t);
    cr_expect_eq(tu_find(BT, CODE, CODE >> 12, bt_mode(V), V), ts);
    cr_expect_eq(count_byte_pair(ts, 0xd9, 0xe8), 0);
    V->cr0 &= ~CR0_TS;
    cr_expect_eq(tu_find(BT, CODE, CODE >> 12, bt_mode(V), V), t);
    V->seg[SEG_SS].attr &= ~SEG_ATTR_DB;
    CODE_IS(CODE + 64, "\x9c\xc3");
    t = translate();
    cr_expect_eq(count_byte_pair(t, 0x9c, 0x65), 0, "a 16-bit stack: interpreted");
}

/* A CS override reads the real CS, which is execute-only; %gs is the monitor's. */
Test(bt_translate, overrides)
{
    static const struct {
        const char *s;
        unsigned len;
        bool kernel, user;
    } rows[] = {
        {"\x2e\x8b\x00\xc3", 4, false, false}, {"\x36\x8b\x00\xc3", 4, true, true},
        {"\x65\x8b\x00\xc3", 4, false, true},  {"\x64\x8b\x00\xc3", 4, true, false},
        {"\x65\x90\xc3", 3, true, true},       {"\x65\x8d\x00\xc3", 4, true, true},
        {"\x65\xa1\x04\x00\x00\x00\xc3", 7, false, true},
    };

    for (unsigned user = 0; user < 2; user++) {
        fake_bt_new(NULL);
        fake_bt_vcpu(user ? 3 : 0);
        V->seg[SEG_GS].limit = 0xffff;
        for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
            fake_bt_code(CODE + 64 * i, rows[i].s, rows[i].len);
            struct tu *t = translate();
            bool ident = get16(tc_hva(BT, t->tca)) != 0xc765; /* movl $arg, %gs:callout_arg */
            cr_expect_eq(ident, user ? rows[i].user : rows[i].kernel, "row %u at CPL %u", i, V->cpl);
            if (ident && user && rows[i].s[0] == 0x65 && rows[i].s[1] != '\x90' && rows[i].s[1] != '\x8d')
                cr_expect_eq(*tc_hva(BT, t->tca), 0x64, "row %u uses the real FS", i);
        }
    }
}

/* ---------------------------------------------------------------- chains */

Test(bt_translate, chaining)
{
    fake_bt_new(NULL);
    CODE_IS(CODE, "\x75\x0e");
    fake_bt_code(CODE + 2, "\xeb\xfc", 2);
    fake_bt_code(CODE + 16, "\xeb\xee", 2);
    struct tu *a = translate_at(CODE), *b = translate_at(CODE + 2), *c = translate_at(CODE + 16);
    tu_chain(&fake_bt.vm, a, 0, c);
    tu_chain(&fake_bt.vm, a, 1, b);
    tu_chain(&fake_bt.vm, b, 0, a);
    tu_chain(&fake_bt.vm, c, 0, a);
    fake_bt_consistent();
    cr_expect_eq(fake_bt.vm.stats->chains, 4);
    tu_kill(&fake_bt.vm, a);
    fake_bt_consistent();
    cr_expect_eq(b->exit[0].to, 0);
    cr_expect_eq(c->exit[0].to, 0);
    tu_chain(&fake_bt.vm, b, 0, a); /* not to a dead one */
    cr_expect_eq(b->exit[0].to, 0);
    /* To itself. */
    CODE_IS(CODE + 128, "\xeb\xfe");
    struct tu *self = translate();
    tu_chain(&fake_bt.vm, self, 0, self);
    fake_bt_consistent();
    tu_kill(&fake_bt.vm, self);
    fake_bt_consistent();
}

Test(bt_translate, user_chains_stay_on_their_page)
{
    fake_bt_new(NULL);
    fake_bt_vcpu(3);
    CODE_IS(CODE, "\x0f\x84\xfa\x0f\x00\x00"); /* jz CODE + 0x1000 */
    struct tu *t = translate();
    cr_expect_not(t->exit[0].chainable);
    cr_expect(t->exit[1].chainable);
}

/* All pairs of TUs on a few pages: translate, chain, insert, write, kill and flush in random order. */
static void churn(uint64_t seed, unsigned rounds)
{
    uint64_t rng = seed;
    struct tu *t;

    fake_bt_new(NULL);
    for (unsigned page = 0; page < 4; page++)
        for (unsigned i = 0; i < 0x1000; i += 5) { /* jmp or jz to the start of another group of 5 bytes */
            uint8_t *p = fake_bt.vm.ram + CODE + page * 0x1000 + i;
            uint32_t here = CODE + page * 0x1000 + i, to = CODE + rnd(&rng) % 297 * 55;
            p[0] = rnd(&rng) % 3 ? 0xe9 : 0xe8;
            put32(p + 1, to - (here + 5));
        }
    for (unsigned i = 0; i < rounds; i++) {
        uint32_t n = BT->ntus;
        switch (rnd(&rng) % 16) {
        case 0 ... 4:
            fake_bt_vcpu(rnd(&rng) % 4 ? 0 : 3);
            V->eip = CODE + rnd(&rng) % 297 * 55;
            if (!tu_find(BT, V->eip, V->eip >> 12, bt_mode(V), V)) {
                struct fault f;
                if ((t = bt_translate(V, bt_mode(V), &f)))
                    lookup_insert(BT, t);
            }
            break;
        case 5 ... 12:
            t = &BT->tu[1 + rnd(&rng) % (n > 1 ? n - 1 : 1)];
            if (n > 1 && t->live) {
                unsigned x = rnd(&rng) % (t->nexits ? t->nexits : 1);
                fake_bt_vcpu(t->mode & MODE_CPL);
                struct tu *to = tu_find(BT, t->exit[x].target, t->exit[x].target >> 12, t->mode, V);
                if (t->nexits && to)
                    tu_chain(&fake_bt.vm, t, x, to);
            }
            break;
        case 13:
            t = &BT->tu[1 + rnd(&rng) % (n > 1 ? n - 1 : 1)];
            if (n > 1 && t->live)
                tu_kill(&fake_bt.vm, t);
            break;
        case 14:
            bt_code_written(&fake_bt.vm, CODE + rnd(&rng) % 0x4000, 1 + rnd(&rng) % 40);
            break;
        default:
            if (rnd(&rng) % 200 == 0)
                bt_flush(&fake_bt.vm, BT_FLUSH_RESET);
            n = BT->ntus;
            t = &BT->tu[1 + rnd(&rng) % (n > 1 ? n - 1 : 1)];
            if (n > 1 && t->live && t->pad)
                BT->wd->l1[mode_user(t->mode)][t->pad_eip & 0xff] = t->pad;
        }
        if (i % 37 == 0)
            fake_bt_consistent();
    }
    fake_bt_consistent();
    cr_expect_gt(fake_bt.vm.stats->chains, rounds / 200);
    cr_expect_gt(fake_bt.vm.stats->smc_invalidations, rounds / 40);
}

Test(bt_translate, churn)
{
    for (uint64_t seed = 1; seed <= 6; seed++)
        churn(seed, 8000);
}

/* ---------------------------------------------------------------- full */

Test(bt_translate, full_cache_is_flushed)
{
    struct bt_options o = {.tc_bytes = 65536};

    fake_bt_new(&o);
    memset(fake_bt.vm.ram + CODE, 0x9c, 0x10000); /* PUSHF: long translations */
    for (unsigned i = 0; i < 2000; i++) {
        struct tu *t = translate_at(CODE + i * 12);
        cr_assert(t);
        cr_assert_leq(t->tca + t->tc_len, BT->tc_limit);
    }
    cr_expect_gt(fake_bt.vm.stats->tc_flushes, 5);
}

Test(bt_translate, tu_numbers_run_out)
{
    fake_bt_new(NULL);
    memset(fake_bt.vm.ram, 0x90, FAKE_BT_RAM);
    for (uint32_t eip = 0; eip < TU_MAX + 10; eip++) {
        struct fault f;
        fake_bt.vm.ram[eip + 1] = 0xf4;
        V->eip = eip;
        cr_assert(bt_translate(V, bt_mode(V), &f));
        fake_bt.vm.ram[eip + 1] = 0x90;
    }
    fake_bt_consistent();
    cr_expect_eq(fake_bt.vm.stats->tc_flushes, 2); /* bt_init() makes the first */
}

/* ---------------------------------------------------------------- self-modifying code */

Test(bt_translate, written_ranges)
{
    fake_bt_new(NULL);
    for (uint32_t off = 0; off < 20; off++)
        for (uint32_t len = 1; len < 8; len++) {
            memset(fake_bt.vm.ram + CODE, 0x40, 64);
            fake_bt.vm.ram[CODE + 13] = 0xc3; /* TU: CODE+8 .. CODE+13 */
            struct tu *t = translate_at(CODE + 8), *other = translate_at(CODE + 0x800);
            bt_code_written(&fake_bt.vm, CODE + off, len);
            cr_expect_eq(t->live, off > 13 || off + len <= 8, "write of %u at %u", len, off);
            cr_expect(other->live);
            fake_bt_consistent();
            fake_bt_again();
        }
}

Test(bt_translate, write_over_two_pages)
{
    fake_bt_new(NULL);
    memset(fake_bt.vm.ram + CODE, 0xc3, 0x2000);
    struct tu *a = translate_at(CODE + 0xfff), *b = translate_at(CODE + 0x1000), *c = translate_at(CODE + 0x1001);
    bt_code_written(&fake_bt.vm, CODE + 0xfff, 2);
    cr_expect(!a->live && !b->live && c->live);
    cr_expect(!fake_bt.traced[CODE >> 12], "no TU left: the trace is lifted");
    cr_expect(fake_bt.traced[(CODE >> 12) + 1]);
    bt_code_written(&fake_bt.vm, FAKE_BT_RAM - 1, 2); /* runs out of RAM */
    fake_bt_consistent();
}

Test(bt_translate, quiet_page)
{
    fake_bt_new(NULL);
    memset(fake_bt.vm.ram + CODE, 0xc3, 0x1000);
    struct tu *t = translate_at(CODE + 0x100);
    for (unsigned i = 0; i < 7; i++)
        bt_code_written(&fake_bt.vm, CODE + 0x800, 4);
    cr_expect(t->live);
    struct tu *u = translate_at(CODE + 0x900);
    bt_code_written(&fake_bt.vm, CODE + 0x900, 1); /* a hit starts the count again */
    cr_expect(t->live && !u->live);
    for (unsigned i = 0; i < 7; i++)
        bt_code_written(&fake_bt.vm, CODE + 0x800, 4);
    cr_expect(t->live && fake_bt.traced[CODE >> 12]);
    bt_code_written(&fake_bt.vm, CODE + 0x800, 4);
    cr_expect(!t->live && !fake_bt.traced[CODE >> 12]);
    fake_bt_consistent();
    t = translate_at(CODE + 0x100);
    cr_expect(t->live && fake_bt.traced[CODE >> 12], "traced again");
}

/* ---------------------------------------------------------------- remapped code */

Test(bt_translate, kernel_code_remapped)
{
    fake_bt_new(NULL);
    CODE_IS(CODE, "\xb8\x01\x00\x00\x00\xf4");
    fake_bt_code(0x20000, "\xb8\x02\x00\x00\x00\xf4", 6);
    V->eip = CODE;
    fake_bt_run(5);
    cr_expect_eq(V->gpr[REG_EAX], 1);
    /* The mapping changes, nothing is said (no INVLPG): the old code may go on. Then it is said. */
    fake_bt.map[CODE >> 12] = 0x20;
    fake_bt.gens.global++;
    V->halted = false;
    V->eip = CODE;
    uint64_t flushes = fake_bt.vm.stats->tc_flushes;
    fake_bt_run(5);
    cr_expect_eq(V->gpr[REG_EAX], 2);
    cr_expect_eq(fake_bt.vm.stats->tc_flushes, flushes + 1);
    /* An event that changed nothing costs no flush. */
    fake_bt.gens.global++;
    V->halted = false;
    V->eip = CODE;
    fake_bt_run(5);
    cr_expect_eq(fake_bt.vm.stats->tc_flushes, flushes + 1);
    fake_bt_consistent();
}

Test(bt_translate, second_page_remapped)
{
    fake_bt_new(NULL);
    fake_bt_vcpu(3);
    fake_bt_code(CODE + 0xffe, "\xb8\x01\x00\x00\x00\xeb\xfe", 7);
    fake_bt_code(0x30000, "\x02\x00\x00\xeb\xfe", 5);
    V->eip = CODE + 0xffe;
    fake_bt.attention_in = 50;
    bt_run(V);
    cr_expect_eq(V->gpr[REG_EAX], 0x00000001);
    fake_bt.map[(CODE >> 12) + 1] = 0x30;
    fake_bt.gens.user++;
    V->eip = CODE + 0xffe;
    V->attention = 0;
    fake_bt.attention_in = 50;
    bt_run(V);
    cr_expect_eq(V->gpr[REG_EAX], 0x00000201);
    fake_bt_consistent();
}

/* A jump to nowhere faults at once, EIP 0 included: an empty lookup entry is no hit. */
Test(bt_translate, call_to_zero)
{
    fake_bt_new(NULL);
    CODE_IS(CODE, "\x31\xc0\xff\xe0"); /* xor %eax, %eax; jmp *%eax */
    fake_bt_code(0, "\xfa\xf4", 2);
    fake_bt.attention_in = 5000;
    V->eip = CODE;
    V->attention = 0;
    bt_run(V);
    cr_expect(V->halted);
    cr_expect_lt(fake_bt.steps, 200);
}
