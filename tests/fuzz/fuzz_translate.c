/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random bytes as guest code, in random modes, under random switches.
 *
 *   fuzz_translate [-t SECONDS] [-n CASES] [-s SEED] [-c CASE [-v]]
 *
 * Each case is run twice: by the interpreter, and translated on the emulated
 * CPU of tests/fake/world_bt.c, with attentions and hidden faults thrown in.  If the
 * interpreter comes to an end (every exception leads to a HLT), the translated
 * run must end in the same state.  In any case no assertion may fail, no byte
 * outside the translations may change, and all of the translator's lists must agree.
 * A case depends on seed and number only: -c runs one again, -v shows each interpreted instruction and
 * the state at each entry to translations.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cpu/interp.h"
#include "tests/fake/world_bt.h"

#define CODE 0x10000u
#define CODE_PAGES_USED 4u
#define DATA 0x40000u
#define MAX_STEPS 250u
#define GUARD 0xdb
#define V (&fake_bt.vcpu)

static uint64_t rng;
static bool verbose;
static struct {
    unsigned long cases, ended, stopped, endless, translated, enters;
} count;

static uint32_t rnd(uint32_t n)
{
    rng = rng * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(rng >> 33) % n;
}

static uint32_t rnd32(void) { return rnd(0x10000) << 16 | rnd(0x10000); }

/* ------------------------------------------------------------------- cases */

/* Opcodes that the translator treats in its own ways come more often. */
static const uint8_t hot[] = {0x9c, 0x9d, 0xfa, 0xfb, 0xe8, 0xe9, 0xeb, 0xc3, 0xc2, 0x74, 0x7f, 0xe2, 0xe3, 0xff,
                              0x06, 0x1e, 0x07, 0x1f, 0x8c, 0x8e, 0xcf, 0xcd, 0x50, 0x58, 0x8f, 0xc8, 0xc9, 0x60,
                              0x61, 0xa4, 0xab, 0xa1, 0xa3, 0x8b, 0x89, 0x01, 0xc7, 0xc6, 0x0f, 0xcc, 0xd7, 0x62};
static const uint8_t prefixes[] = {0x66, 0x67, 0x65, 0x64, 0x2e, 0x36, 0xf0, 0xf3, 0xf2};

static void put_insn(uint8_t **at)
{
    uint8_t *p = *at;

    while (rnd(6) == 0)
        *p++ = prefixes[rnd(sizeof prefixes)];
    uint8_t op = rnd(2) ? hot[rnd(sizeof hot)] : (uint8_t)rnd(256);
    *p++ = op;
    if (op == 0x0f)
        *p++ = rnd(3) ? (uint8_t)(0x80 + rnd(16)) : (uint8_t)rnd(256);
    if (op == 0xe8 || op == 0xe9 || (op == 0x0f && (p[-1] & 0xf0) == 0x80)) {
        put32(p, rnd(64) - 24);
        p += 4;
    } else if ((op & 0xf0) == 0x70 || (op & 0xfc) == 0xe0 || op == 0xeb) {
        *p++ = (uint8_t)(rnd(40) - 16);
    } else if (op == 0xcd) {
        *p++ = rnd(2) ? 0x80 : (uint8_t)rnd(256);
    } else if (rnd(2)) {
        *p++ = (uint8_t)rnd(256);
        if (rnd(3) == 0) {
            put32(p, rnd(2) ? DATA + rnd(0x2000) : rnd(4) ? CODE + rnd(0x3000) : FAKE_BT_GDT + rnd(0x100));
            p += 4;
        }
    }
    *at = p;
}

static uint8_t *put_seg_load(uint8_t *p, unsigned seg, uint32_t sel)
{
    unsigned reg = rnd(4);

    *p++ = (uint8_t)(0xb8 | reg); /* mov $sel, %reg */
    put32(p, sel);
    p += 4;
    *p++ = 0x8e; /* mov %reg, %seg */
    *p++ = (uint8_t)(0xc0 | seg << 3 | reg);
    return p;
}

#define OTHER_GDT 0x50000u
#define PSEUDO_DESCRIPTORS 0x51000u /* LGDT's operands, 8 bytes apart */

/* To the other table, or to another length of the same. */
static uint8_t *put_lgdt(uint8_t *p)
{
    *p++ = 0x0f;
    *p++ = 0x01;
    *p++ = 0x15;
    put32(p, PSEUDO_DESCRIPTORS + 8 * rnd(4));
    return p + 4;
}

/* Code segments whose bases differ by little, and flat ones. */
static const struct {
    uint16_t sel;
    uint32_t base, limit;
} code_segs[] = {{0x10, 0, 0xffffffff}, {0x88, CODE, 0x3fff}, {0x90, CODE + 8, 0x3fff}, {0x98, 0, CODE + 0x1800}};

/* To the code behind it, or to where the others go. */
static uint32_t far_target;

static void put_far_jump(uint8_t **at)
{
    unsigned to = rnd(ARRAY_SIZE(code_segs));
    uint32_t target = rnd(2) ? (uint32_t)(*at - fake_bt.vm.ram) + 7 : far_target;
    uint8_t *p = *at;

    *p++ = 0xea;
    put32(p, target - (code_segs[to].base & ~8u));
    put16(p + 4, code_segs[to].sel);
    *at = p + 6;
}

static void put_rdtsc(uint8_t **at)
{
    *(*at)++ = 0x0f;
    *(*at)++ = 0x31;
}

/* A selector is loaded again, between the loads its descriptor may change. */
static void put_reload(uint8_t **at)
{
    static const uint8_t segs[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS}, prefix[] = {0x26, 0x3e, 0x64, 0x65};
    unsigned i = rnd(4);
    uint32_t sel = 8 * (segs[i] + 1u) + (rnd(4) ? 0 : 0x43);
    uint8_t *p = put_seg_load(*at, segs[i], sel);

    if (rnd(2)) { /* addb */
        *p++ = 0x80;
        *p++ = 0x05;
        put32(p, FAKE_BT_GDT + (sel & ~7u) + rnd(8));
        p += 4;
        *p++ = (uint8_t)rnd(256);
    } else if (rnd(3) == 0) {
        p = put_lgdt(p);
    }
    p = put_seg_load(p, segs[i], sel);
    *p++ = prefix[i];
    *p++ = 0xa1; /* mov moffs, %eax */
    put32(p, DATA + rnd(0x2000));
    *at = p + 4;
}

static uint8_t *put_push(uint8_t *p, uint32_t imm)
{
    *p++ = 0x68;
    put32(p, imm);
    return p + 4;
}

/* POPF of flags that matter. */
static void put_popf(uint8_t **at)
{
    static const uint32_t some[] = {EFLAGS_IOPL, 1u << 12, EFLAGS_NT, EFLAGS_AC, EFLAGS_VIF, EFLAGS_VIP, EFLAGS_ID, EFLAGS_RF};
    uint8_t *p = put_push(*at, (rnd32() & (EFLAGS_ARITH | EFLAGS_DF | EFLAGS_IF)) | (rnd(3) ? some[rnd(8)] : 0));

    if (rnd(8) == 0)
        *p++ = 0x66;
    *p++ = 0x9d;
    *p++ = 0x9c; /* pushf shows them */
    *at = p;
}

/* A return by a 16-bit frame. */
static void put_iretw(uint8_t **at)
{
    static const uint8_t frame[] = {0x66, 0x9c, 0x66, 0x0e, 0x66, 0x68}; /* pushfw; pushw %cs; pushw $imm */
    uint8_t *p = *at;

    memcpy(p, frame, sizeof frame);
    p += sizeof frame;
    put16(p, (uint16_t)rnd(0x10000));
    p += 2;
    *p++ = 0x66;
    *p++ = 0xcf;
    *at = p;
}

static void put_invlpg(uint8_t **at)
{
    static const uint8_t prefix[] = {0x26, 0x2e, 0x36, 0x64, 0x65, 0x67, 0xf0};
    uint8_t *p = *at;

    if (rnd(2))
        *p++ = prefix[rnd(sizeof prefix)];
    *p++ = 0x0f;
    *p++ = 0x01;
    *p++ = (uint8_t)(rnd(3) << 6 | 7 << 3 | rnd(8));
    for (unsigned i = 0; i < 5; i++)
        *p++ = i ? 0x90 : (uint8_t)rnd(256);
    *at = p;
}

/* Thread-local variables, at small offsets of both signs. */
static void put_tls(uint8_t **at)
{
    static const uint8_t ops[] = {0x8b, 0x89, 0x01, 0x83, 0xc7, 0x80, 0xff, 0xa0, 0xa1, 0xa3, 0xd7, 0xac, 0xaa};
    uint8_t *p = *at, op = ops[rnd(sizeof ops)], mod = (uint8_t)rnd(3), rm = (uint8_t)rnd(8), sib = (uint8_t)rnd(256);
    bool moffs = (op & 0xfc) == 0xa0, wide = moffs || mod == 2 || (mod == 0 && (rm == 5 || (rm == 4 && (sib & 7) == 5)));

    *p++ = rnd(4) ? 0x65 : 0x64;
    if (rnd(16) == 0)
        *p++ = 0x67;
    *p++ = op;
    if (!moffs && op != 0xd7 && op != 0xac && op != 0xaa) {
        *p++ = (uint8_t)(mod << 6 | (op == 0xff ? 2 + rnd(4) : op == 0xc7 ? 0 : rnd(8)) << 3 | rm);
        if (rm == 4)
            *p++ = sib;
        if (mod == 1)
            *p++ = (uint8_t)rnd(256);
    } else if (!moffs) {
        wide = false;
    }
    if (wide) {
        put32(p, rnd(2) ? rnd(0x1000) - 0x800 : rnd(2) ? DATA + rnd(0x2000) : 0u - rnd(0x110000));
        p += 4;
    }
    if (op == 0x83 || op == 0x80)
        *p++ = (uint8_t)rnd(256);
    if (op == 0xc7) {
        put32(p, rnd32());
        p += 4;
    }
    *at = p;
}

static void put_any(uint8_t **at)
{
    static void (*const often[])(uint8_t **) = {put_reload, put_popf,     put_iretw, put_invlpg,
                                                 put_tls,    put_far_jump, put_rdtsc, put_tls};

    if (rnd(12))
        put_insn(at);
    else
        often[rnd(ARRAY_SIZE(often))](at);
}

static void make_code(void)
{
    uint8_t *ram = fake_bt.vm.ram;
    uint32_t at = CODE + (rnd(2) ? rnd(0x3000) : 0x1000 * (1 + rnd(3)) - rnd(40));
    uint8_t *p = ram + at, *end = p + 20 + rnd(200);

    far_target = at + rnd(100);
    if (rnd(8) == 0)
        for (uint32_t i = 0; i < 64; i++)
            ram[at + i] = (uint8_t)rnd(256);
    else
        while (p < end)
            put_any(&p);
    for (uint32_t i = 0; i < 0x400; i += 4) { /* the stack and a table hold code addresses */
        put32(ram + 0x7fe00 + i, at + rnd(200));
        put32(ram + DATA + rnd(0x800) * 4, at + rnd(200));
    }
    put32(ram + FAKE_BT_HANDLERS + 16 * 0x80, 0x00cf4545); /* INT 0x80: inc %ebp, twice; iret */
    V->eip = at;
}

/* Limits near what the code uses, and far from it. */
static uint32_t odd_limit(void)
{
    static const uint32_t some[] = {0, 0xffff, 0xfffff, 0x1fffff, 0x3fffffff, 0xffffffff};

    return rnd(2) ? DATA + rnd(0x2000) : rnd(3) ? rnd(0x100000) : rnd(2) ? some[rnd(6)] : rnd(64);
}

static uint32_t odd_base(void)
{
    static const uint32_t some[] = {0x140000, 0x1000, 0xffff0000, 0xfffffff8, 1};

    return rnd(2) ? 0 : rnd(2) ? some[rnd(5)] : rnd(0x20000);
}

/* As loads from the table below would leave it: a data register may hold what reads; the stack must be writable. */
static void make_segment(unsigned s)
{
    struct seg *seg = &V->seg[s];

    if (s != SEG_SS && rnd(6) == 0) {
        *seg = (struct seg){(uint16_t)rnd(4), 0, 0, 0};
        return;
    }
    if (rnd(2))
        seg->attr &= ~SEG_ATTR_DB;
    if (rnd(2))
        seg->base = odd_base();
    if (s != SEG_SS && rnd(3) == 0)
        seg->attr &= ~SEG_ATTR_RW;
    if (rnd(3) == 0) {
        seg->attr |= SEG_ATTR_EC;
        seg->limit = rnd(2) ? DATA - 1 : odd_limit();
    } else if (rnd(2)) {
        seg->limit = odd_limit();
    }
    seg->attr &= ~SEG_ATTR_G;
    if (seg->limit > 0xfffff) {
        seg->attr |= SEG_ATTR_G;
        seg->limit |= PAGE_MASK;
    }
}

static void make_code_segment(void)
{
    struct seg *cs = &V->seg[SEG_CS];

    cs->base = CODE - rnd(0x1000);
    V->eip -= cs->base;
    cs->limit = rnd(2) ? V->eip + rnd(0x100) : V->eip + 0x1000 + rnd(0x4000);
    cs->attr &= ~SEG_ATTR_G;
    if (rnd(4) == 0)
        cs->attr &= ~SEG_ATTR_RW;
    if (rnd(4) == 0)
        cs->attr |= SEG_ATTR_EC;
    if (rnd(8) == 0)
        cs->attr &= ~SEG_ATTR_DB;
}

/* Descriptors of all kinds behind the flat ones. */
static void make_table(void)
{
    uint8_t *ram = fake_bt.vm.ram;

    for (unsigned i = 1; i < ARRAY_SIZE(code_segs); i++) {
        put32(ram + FAKE_BT_GDT + code_segs[i].sel, (code_segs[i].base & 0xffff) << 16 | (code_segs[i].limit & 0xffff));
        put32(ram + FAKE_BT_GDT + code_segs[i].sel + 4,
              0x409b00 | code_segs[i].base >> 16 | (code_segs[i].limit & 0xf0000) | (uint32_t)V->cpl << 13);
    }
    for (uint32_t sel = 0xa0; sel < 0x100; sel += 8) {
        uint8_t *d = ram + FAKE_BT_GDT + sel;
        uint32_t base = odd_base(), limit = odd_limit() & 0xfffff;

        put32(d, base << 16 | (limit & 0xffff));
        put32(d + 4, (base & 0xff000000) | (base >> 16 & 0xff) | (limit & 0xf0000) | (rnd(8) ? 0x8000 : 0) |
                         (rnd(8) ? 0x1000 : 0) | rnd(4) << 13 | rnd(16) << 8 | (rnd(2) ? 0xc00000 : rnd(2) ? 0x400000 : 0));
    }
    memcpy(ram + OTHER_GDT, ram + FAKE_BT_GDT, 0x100);
    for (unsigned i = 0; i < 4; i++) {
        static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

        ram[OTHER_GDT + 8 * (data[i] + 1u) + rnd(8)] ^= (uint8_t)(1 << rnd(8));
        put16(ram + PSEUDO_DESCRIPTORS + 8 * i, (uint16_t)(rnd(2) ? 0xff : 8 * (2 + rnd(8)) + 7));
        put32(ram + PSEUDO_DESCRIPTORS + 8 * i + 2, i & 1 ? OTHER_GDT : FAKE_BT_GDT);
    }
}

/* One that a register holds, or any; with something in the upper half. */
static uint32_t likely_selector(void)
{
    uint32_t sel = rnd(2) ? V->seg[rnd(SEG_COUNT)].sel : 8 * (1 + rnd(31)) + (rnd(3) ? V->cpl : rnd(4));

    return rnd(4) ? sel : sel | rnd32() << 16;
}

static void make_control(void)
{
    if (rnd(8) == 0)
        V->cr0 |= CR0_TS;
    if (rnd(8) == 0)
        V->cr0 ^= rnd(2) ? CR0_EM : CR0_MP;
    if (rnd(8) == 0)
        V->cr0 |= CR0_AM;
    if (rnd(8) == 0)
        V->cr4 &= ~CR4_OSFXSR;
    if (rnd(8) == 0)
        V->cr4 |= CR4_TSD;
    if (rnd(4) == 0)
        V->cr4 |= CR4_PVI;
    if (rnd(8) == 0)
        V->cr4 |= CR4_VME;
    if (rnd(8) == 0)
        V->cr4 |= CR4_DE;
    if (rnd(4) == 0)
        V->eflags |= (rnd(2) ? EFLAGS_VIF : 0) | (rnd(2) ? EFLAGS_VIP : 0);
}

static void make_state(void)
{
    static const uint8_t cpls[] = {0, 0, 0, 0, 0, 0, 3, 3, 1, 2};
    static const uint32_t odd[] = {EFLAGS_IOPL, EFLAGS_NT, EFLAGS_AC, EFLAGS_IOPL | EFLAGS_NT, 1u << 12, 2u << 12};
    uint32_t eip = V->eip;

    fake_bt_vcpu(cpls[rnd(sizeof cpls)]);
    V->eip = eip;
    for (unsigned i = 0; i < 8; i++)
        V->gpr[i] = rnd(3) ? DATA + rnd(0x2000) : rnd(2) ? CODE + rnd(0x4000) : rnd(2) ? likely_selector() : rnd32();
    V->gpr[REG_ESP] = rnd(16) ? 0x80000 - 4 * rnd(64) : rnd32();
    V->gpr[REG_ECX] = rnd(2) ? rnd(64) : V->gpr[REG_ECX];
    V->eflags |= (rnd32() & (EFLAGS_ARITH | EFLAGS_DF)) | (rnd(4) ? 0 : odd[rnd(6)]) | (rnd(4) ? 0 : EFLAGS_IF);
    make_control();
    make_table();
    for (unsigned i = 0; i < 8; i++)
        put32(fake_bt.vm.ram + 0x80000 - 4 * rnd(64), likely_selector());
    for (unsigned s = 0; s < SEG_COUNT; s++)
        if (s != SEG_CS && rnd(s == SEG_FS || s == SEG_GS ? 4 : 12) == 0)
            make_segment(s);
    if (V->cpl == 3 && rnd(2)) { /* as C libraries have it; registers hold small offsets */
        V->seg[SEG_GS] = V->seg[SEG_DS];
        V->seg[SEG_GS].base = FAKE_BT_RAM + rnd(0x400); /* the RAM is at negative offsets */
        V->gpr[rnd(8)] = rnd(0x2000) - 0x1000;
        V->gpr[rnd(8)] = rnd(0x200) - 0x100;
        if (rnd(4) == 0)
            make_segment(SEG_GS);
        if (rnd(4) == 0) {
            V->seg[SEG_FS] = V->seg[SEG_DS];
            V->seg[SEG_FS].base = rnd(0x20000);
        }
    }
    if (!(V->seg[SEG_SS].attr & SEG_ATTR_DB) && rnd(2)) /* what a 16-bit stack does not use */
        V->gpr[REG_ESP] = rnd32() << 16 | ((rnd(2) ? rnd(16) : DATA + rnd(0x2000)) & 0xffff);
    if (rnd(6) == 0)
        make_code_segment();
    if (rnd(8) == 0)
        fake_bt.user_limit = 0x40000 + rnd(0x50) * PAGE_SIZE;
}

/* -------------------------------------------------------------- the two runs */

struct end {
    struct vcpu v;
    unsigned stop;
    gla_t user_limit;
    uint8_t ram[FAKE_BT_RAM];
};
static struct end start, want;

static void save(struct end *e)
{
    e->v = *V;
    e->stop = fake_bt.vm.stop;
    e->user_limit = fake_bt.user_limit;
    memcpy(e->ram, fake_bt.vm.ram, FAKE_BT_RAM);
}

static void restore(const struct end *e)
{
    *V = e->v;
    fake_bt.vm.stop = e->stop;
    fake_bt.user_limit = e->user_limit;
    memcpy(fake_bt.vm.ram, e->ram, FAKE_BT_RAM);
    V->hsel_dirty = 0x3f;
}

static bool over(void) { return V->halted || fake_bt.vm.stop; }

static void trace(const char *who)
{
    uint32_t at = V->seg[SEG_CS].base + V->eip;

    printf("# %s %08x:", who, V->eip);
    for (unsigned i = 0; i < 8; i++)
        printf(" %02x", fake_bt.vm.ram[(at + i) & (FAKE_BT_RAM - 1)]);
    printf(" cpl %u efl %08x a %x c %x d %x b %x sp %x bp %x si %x di %x\n", V->cpl, V->eflags, V->gpr[0], V->gpr[1],
           V->gpr[2], V->gpr[3], V->gpr[4], V->gpr[5], V->gpr[6], V->gpr[7]);
}

/* An access through GS may have been refused because it wraps at 4 GiB, which CPUs are free to allow (SDM vol. 3A 5.3). */
static bool gs_wrapped(uint32_t linear)
{
    for (unsigned i = 0; i < 4 && V->eip == FAKE_BT_HANDLERS + 16 * VEC_GP; i++)
        if (fake_bt.vm.ram[(linear + i) & (FAKE_BT_RAM - 1)] == 0x65)
            return true;
    return false;
}

/*
 * True: it came to an end that can be compared.  A REP that goes on for longer than the interpreter's slice may
 * overwrite itself, and then it matters where it was interrupted.
 */
static bool run_interpreted(void)
{
    for (unsigned i = 0; i < MAX_STEPS && !over(); i++) {
        uint32_t eip = V->eip, ecx = V->gpr[REG_ECX], linear = V->seg[SEG_CS].base + eip;
        bool wraps = V->cpl == 3 && V->seg[SEG_GS].limit == 0xffffffff;

        if (verbose)
            trace("interpreted");
        interp_run_one(V);
        if (wraps && gs_wrapped(linear))
            return false;
        if (V->eip == eip && ecx - V->gpr[REG_ECX] >= INTERP_REP_MAX)
            return false;
    }
    return over();
}

static void run_translated(bool storm, unsigned max)
{
    for (unsigned i = 0; i < max && !over(); i++) {
        if (storm && rnd(3) == 0)
            memset(fake_bt.hidden, 1, sizeof fake_bt.hidden);
        fake_bt.attention_in = storm ? 1 + rnd(80) : 4000;
        V->attention = 0;
        if (verbose)
            trace("translated ");
        if (bt_can_run(V))
            bt_run(V);
        else
            interp_run_one(V);
    }
    fake_bt.attention_in = 0;
}

static bool differs(const char **what)
{
    const struct vcpu *w = &want.v;

    *what = "registers";
    if (memcmp(V->gpr, w->gpr, sizeof V->gpr))
        return true;
    *what = "eip";
    if (V->eip != w->eip)
        return true;
    *what = "eflags";
    if (V->eflags != w->eflags)
        return true;
    *what = "system state";
    if (V->cpl != w->cpl || V->cr0 != w->cr0 || V->cr2 != w->cr2 || V->cr3 != w->cr3 || V->cr4 != w->cr4 ||
        memcmp(V->dr, w->dr, sizeof V->dr) || memcmp(V->seg, w->seg, sizeof V->seg) || V->halted != w->halted ||
        fake_bt.vm.stop != want.stop)
        return true;
    *what = "memory";
    return memcmp(fake_bt.vm.ram, want.ram, FAKE_BT_RAM) != 0;
}

static void show(const char *what, unsigned long n, uint64_t seed)
{
    static const char *const reg[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
    const uint8_t *code = start.ram + ((start.v.seg[SEG_CS].base + start.v.eip) & (FAKE_BT_RAM - 1));

    printf("# case %lu of seed %llu: %s differ (stop %s)\n# code at %#x:", n, (unsigned long long)seed, what,
           fake_bt.vm.stop_msg, start.v.eip);
    for (unsigned i = 0; i < 48; i++)
        printf(" %02x", code[i]);
    printf("\n#      start      interpreted translated\n");
    for (unsigned i = 0; i < 8; i++)
        printf("# %s %08x %08x %08x\n", reg[i], start.v.gpr[i], want.v.gpr[i], V->gpr[i]);
    printf("# eip %08x %08x %08x\n# efl %08x %08x %08x\n# cr0 %08x %08x %08x\n# cr2 %08x %08x %08x\n", start.v.eip,
           want.v.eip, V->eip, start.v.eflags, want.v.eflags, V->eflags, start.v.cr0, want.v.cr0, V->cr0,
           start.v.cr2, want.v.cr2, V->cr2);
    for (unsigned i = 0, shown = 0; i < FAKE_BT_RAM && shown < 8; i++)
        if (fake_bt.vm.ram[i] != want.ram[i]) {
            printf("# [%#x] %02x %02x %02x\n", i, start.ram[i], want.ram[i], fake_bt.vm.ram[i]);
            shown++;
        }
}

/* Switches stay for a batch of cases: a new translator costs more than many cases. */
#define BATCH 64u

static void new_batch(uint64_t seed, unsigned long n)
{
    struct bt_options o = {0};

    rng = seed ^ (n / BATCH + 1) * 0x9e3779b97f4a7c15ull;
    rnd(2);
    o.tu_insns = rnd(3) ? 0 : 1 + rnd(12);
    o.tc_bytes = rnd(3) ? 0 : 16384 + rnd(16384);
    o.no_chain = rnd(6) == 0;
    o.no_return_cache = rnd(6) == 0;
    o.no_indirect = rnd(6) == 0;
    o.no_inline_if = rnd(6) == 0;
    o.no_inline_seg = rnd(6) == 0;
    o.no_inline_sys = rnd(6) == 0;
    o.check = rnd(6) == 0;
    fake_bt_new(&o);
    memset(fake_bt.tc + (fake_bt.vm.bt->tc_start - WIN_TC), GUARD, WIN_TC_END - fake_bt.vm.bt->tc_start);
}

/* The bytes behind all translations so far are nobody's.  After a flush in mid-run those may reach to the limit. */
static bool guard_holds(uint32_t *used)
{
    struct bt *bt = fake_bt.vm.bt;
    uint32_t end = fake_bt.vm.stats->tc_flushes ? bt->tc_limit : bt->tc_next;

    if (*used < end - WIN_TC)
        *used = end - WIN_TC;
    for (uint32_t i = *used; i < *used + 65536 && i < FAKE_TC_SIZE; i++)
        if (fake_bt.tc[i] != GUARD)
            return false;
    return true;
}

static bool one(uint64_t seed, unsigned long n)
{
    static uint32_t used;
    const char *what;
    bool ended, storm;

    if (!fake_bt.vm.bt || n % BATCH == 0)
        used = 0, new_batch(seed, n);
    else
        fake_bt_again();
    rng = seed * 0x2545f4914f6cdd1dull ^ (n + 1) * 0xd1342543de82ef95ull;
    rnd(2);
    make_code();
    make_state();
    save(&start);
    ended = run_interpreted();
    save(&want);
    fake_bt_again();
    restore(&start);
    fake_bt.vm.stats->tc_flushes = 0;
    storm = rnd(2);
    run_translated(storm, ended ? 20000 : 4);
    fake_bt_consistent();
    count.cases++;
    count.ended += ended;
    count.stopped += ended && want.stop;
    count.endless += !ended;
    count.translated += fake_bt.vm.stats->tu_translated;
    count.enters += fake_bt.vm.stats->world_enters;
    if (!guard_holds(&used)) {
        show("bytes outside the translations", n, seed);
        return false;
    }
    if (fake_bt.vm.stop == VM_STOP_DIVERGED || (ended && differs(&what))) {
        show(fake_bt.vm.stop == VM_STOP_DIVERGED ? "checker and translation" : what, n, seed);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    unsigned long max = ~0ul, only = ~0ul, failed = 0;
    uint64_t seed = 1;
    long seconds = 20;
    int c;

    while ((c = getopt(argc, argv, "t:n:s:c:v")) != -1) {
        if (c == 't')
            seconds = atol(optarg);
        else if (c == 'n')
            max = strtoul(optarg, NULL, 0);
        else if (c == 's')
            seed = strtoull(optarg, NULL, 0);
        else if (c == 'c')
            only = strtoul(optarg, NULL, 0);
        else if (c == 'v')
            verbose = true;
        else
            return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..2\n# seed %llu\n", (unsigned long long)seed);
    if (only != ~0ul) {
        new_batch(seed, only);
        return !one(seed, only);
    }
    time_t end = time(NULL) + seconds;
    for (unsigned long n = 0; n < max && failed < 5 && (n % 16 || time(NULL) < end); n++)
        failed += !one(seed, n);
    printf("%s 1 - %lu cases: %lu failed\n", failed ? "not ok" : "ok", count.cases, failed);
    /* A generator whose cases never end, or never get to be translated, tests nothing. */
    bool worth = count.ended > count.cases / 2 && count.translated > 2 * count.cases;
    printf("%s 2 - %lu ended (%lu by a stop), %lu endless; %lu translations, %lu entries\n", worth ? "ok" : "not ok",
           count.ended, count.stopped, count.endless, count.translated, count.enters);
    return failed || !worth;
}
