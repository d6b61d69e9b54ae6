/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See the header. */
#include "tests/fuzz/translate_cases.h"

#include "tests/fake/world_bt.h"

#define CODE 0x10000u
#define DATA 0x40000u
#define V (&fake_bt.vcpu)

static uint64_t state;

void case_seed(uint64_t seed)
{
    state = seed;
    draw(2);
}

uint32_t draw(uint32_t n)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 33) % n;
}

static uint32_t draw32(void) { return draw(0x10000) << 16 | draw(0x10000); }

/* -------------------------------------------------------------------- code */

/* Opcodes that the translator treats in its own ways come more often. */
static const uint8_t hot[] = {0x9c, 0x9d, 0xfa, 0xfb, 0xe8, 0xe9, 0xeb, 0xc3, 0xc2, 0x74, 0x7f, 0xe2, 0xe3, 0xff,
                              0x06, 0x1e, 0x07, 0x1f, 0x8c, 0x8e, 0xcf, 0xcd, 0x50, 0x58, 0x8f, 0xc8, 0xc9, 0x60,
                              0x61, 0xa4, 0xab, 0xa1, 0xa3, 0x8b, 0x89, 0x01, 0xc7, 0xc6, 0x0f, 0xcc, 0xd7, 0x62};
static const uint8_t prefixes[] = {0x66, 0x67, 0x65, 0x64, 0x2e, 0x36, 0xf0, 0xf3, 0xf2};

static void put_insn(uint8_t **at)
{
    uint8_t *p = *at;

    while (draw(6) == 0)
        *p++ = prefixes[draw(sizeof prefixes)];
    uint8_t op = draw(2) ? hot[draw(sizeof hot)] : (uint8_t)draw(256);
    *p++ = op;
    if (op == 0x0f)
        *p++ = draw(3) ? (uint8_t)(0x80 + draw(16)) : (uint8_t)draw(256);
    if (op == 0xe8 || op == 0xe9 || (op == 0x0f && (p[-1] & 0xf0) == 0x80)) {
        put32(p, draw(64) - 24);
        p += 4;
    } else if ((op & 0xf0) == 0x70 || (op & 0xfc) == 0xe0 || op == 0xeb) {
        *p++ = (uint8_t)(draw(40) - 16);
    } else if (op == 0xcd) {
        *p++ = draw(2) ? 0x80 : (uint8_t)draw(256);
    } else if (draw(2)) {
        *p++ = (uint8_t)draw(256);
        if (draw(3) == 0) {
            put32(p, draw(2) ? DATA + draw(0x2000) : draw(4) ? CODE + draw(0x3000) : FAKE_BT_GDT + draw(0x100));
            p += 4;
        }
    }
    *at = p;
}

static uint8_t *put_seg_load(uint8_t *p, unsigned seg, uint32_t sel)
{
    unsigned reg = draw(4);

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
    put32(p, PSEUDO_DESCRIPTORS + 8 * draw(4));
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
    unsigned to = draw(ARRAY_SIZE(code_segs));
    uint32_t target = draw(2) ? (uint32_t)(*at - fake_bt.vm.ram) + 7 : far_target;
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
    unsigned i = draw(4);
    uint32_t sel = 8 * (segs[i] + 1u) + (draw(4) ? 0 : 0x43);
    uint8_t *p = put_seg_load(*at, segs[i], sel);

    if (draw(2)) { /* addb */
        *p++ = 0x80;
        *p++ = 0x05;
        put32(p, FAKE_BT_GDT + (sel & ~7u) + draw(8));
        p += 4;
        *p++ = (uint8_t)draw(256);
    } else if (draw(3) == 0) {
        p = put_lgdt(p);
    }
    p = put_seg_load(p, segs[i], sel);
    *p++ = prefix[i];
    *p++ = 0xa1; /* mov moffs, %eax */
    put32(p, DATA + draw(0x2000));
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
    uint8_t *p = put_push(*at, (draw32() & (EFLAGS_ARITH | EFLAGS_DF | EFLAGS_IF)) | (draw(3) ? some[draw(8)] : 0));

    if (draw(8) == 0)
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
    put16(p, (uint16_t)draw(0x10000));
    p += 2;
    *p++ = 0x66;
    *p++ = 0xcf;
    *at = p;
}

static void put_invlpg(uint8_t **at)
{
    static const uint8_t prefix[] = {0x26, 0x2e, 0x36, 0x64, 0x65, 0x67, 0xf0};
    uint8_t *p = *at;

    if (draw(2))
        *p++ = prefix[draw(sizeof prefix)];
    *p++ = 0x0f;
    *p++ = 0x01;
    *p++ = (uint8_t)(draw(3) << 6 | 7 << 3 | draw(8));
    for (unsigned i = 0; i < 5; i++)
        *p++ = i ? 0x90 : (uint8_t)draw(256);
    *at = p;
}

/* Thread-local variables, at small offsets of both signs. */
static void put_tls(uint8_t **at)
{
    static const uint8_t ops[] = {0x8b, 0x89, 0x01, 0x83, 0xc7, 0x80, 0xff, 0xa0, 0xa1, 0xa3, 0xd7, 0xac, 0xaa};
    uint8_t *p = *at, op = ops[draw(sizeof ops)], mod = (uint8_t)draw(3), rm = (uint8_t)draw(8), sib = (uint8_t)draw(256);
    bool moffs = (op & 0xfc) == 0xa0, wide = moffs || mod == 2 || (mod == 0 && (rm == 5 || (rm == 4 && (sib & 7) == 5)));

    *p++ = draw(4) ? 0x65 : 0x64;
    if (draw(16) == 0)
        *p++ = 0x67;
    *p++ = op;
    if (!moffs && op != 0xd7 && op != 0xac && op != 0xaa) {
        *p++ = (uint8_t)(mod << 6 | (op == 0xff ? 2 + draw(4) : op == 0xc7 ? 0 : draw(8)) << 3 | rm);
        if (rm == 4)
            *p++ = sib;
        if (mod == 1)
            *p++ = (uint8_t)draw(256);
    } else if (!moffs) {
        wide = false;
    }
    if (wide) {
        put32(p, draw(2) ? draw(0x1000) - 0x800 : draw(2) ? DATA + draw(0x2000) : 0u - draw(0x110000));
        p += 4;
    }
    if (op == 0x83 || op == 0x80)
        *p++ = (uint8_t)draw(256);
    if (op == 0xc7) {
        put32(p, draw32());
        p += 4;
    }
    *at = p;
}

static void put_any(uint8_t **at)
{
    static void (*const often[])(uint8_t **) = {put_reload, put_popf,     put_iretw, put_invlpg,
                                                 put_tls,    put_far_jump, put_rdtsc, put_tls};

    if (draw(12))
        put_insn(at);
    else
        often[draw(ARRAY_SIZE(often))](at);
}

static void make_code(void)
{
    uint8_t *ram = fake_bt.vm.ram;
    uint32_t at = CODE + (draw(2) ? draw(0x3000) : 0x1000 * (1 + draw(3)) - draw(40));
    uint8_t *p = ram + at, *end = p + 20 + draw(200);

    far_target = at + draw(100);
    if (draw(8) == 0)
        for (uint32_t i = 0; i < 64; i++)
            ram[at + i] = (uint8_t)draw(256);
    else
        while (p < end)
            put_any(&p);
    for (uint32_t i = 0; i < 0x400; i += 4) { /* the stack and a table hold code addresses */
        put32(ram + 0x7fe00 + i, at + draw(200));
        put32(ram + DATA + draw(0x800) * 4, at + draw(200));
    }
    put32(ram + FAKE_BT_HANDLERS + 16 * 0x80, 0x00cf4545); /* INT 0x80: inc %ebp, twice; iret */
    V->eip = at;
}

/* ------------------------------------------------------------------- state */

/* Limits near what the code uses, and far from it. */
static uint32_t odd_limit(void)
{
    static const uint32_t some[] = {0, 0xffff, 0xfffff, 0x1fffff, 0x3fffffff, 0xffffffff};

    return draw(2) ? DATA + draw(0x2000) : draw(3) ? draw(0x100000) : draw(2) ? some[draw(6)] : draw(64);
}

static uint32_t odd_base(void)
{
    static const uint32_t some[] = {0x140000, 0x1000, 0xffff0000, 0xfffffff8, 1};

    return draw(2) ? 0 : draw(2) ? some[draw(5)] : draw(0x20000);
}

/* As loads from the table below would leave it: a data register may hold what reads; the stack must be writable. */
static void make_segment(unsigned s)
{
    struct seg *seg = &V->seg[s];

    if (s != SEG_SS && draw(6) == 0) {
        *seg = (struct seg){(uint16_t)draw(4), 0, 0, 0};
        return;
    }
    if (draw(2))
        seg->attr &= ~SEG_ATTR_DB;
    if (draw(2))
        seg->base = odd_base();
    if (s != SEG_SS && draw(3) == 0)
        seg->attr &= ~SEG_ATTR_RW;
    if (draw(3) == 0) {
        seg->attr |= SEG_ATTR_EC;
        seg->limit = draw(2) ? DATA - 1 : odd_limit();
    } else if (draw(2)) {
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

    cs->base = CODE - draw(0x1000);
    V->eip -= cs->base;
    cs->limit = draw(2) ? V->eip + draw(0x100) : V->eip + 0x1000 + draw(0x4000);
    cs->attr &= ~SEG_ATTR_G;
    if (draw(4) == 0)
        cs->attr &= ~SEG_ATTR_RW;
    if (draw(4) == 0)
        cs->attr |= SEG_ATTR_EC;
    if (draw(8) == 0)
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
        put32(d + 4, (base & 0xff000000) | (base >> 16 & 0xff) | (limit & 0xf0000) | (draw(8) ? 0x8000 : 0) |
                         (draw(8) ? 0x1000 : 0) | draw(4) << 13 | draw(16) << 8 | (draw(2) ? 0xc00000 : draw(2) ? 0x400000 : 0));
    }
    memcpy(ram + OTHER_GDT, ram + FAKE_BT_GDT, 0x100);
    for (unsigned i = 0; i < 4; i++) {
        static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

        ram[OTHER_GDT + 8 * (data[i] + 1u) + draw(8)] ^= (uint8_t)(1 << draw(8));
        put16(ram + PSEUDO_DESCRIPTORS + 8 * i, (uint16_t)(draw(2) ? 0xff : 8 * (2 + draw(8)) + 7));
        put32(ram + PSEUDO_DESCRIPTORS + 8 * i + 2, i & 1 ? OTHER_GDT : FAKE_BT_GDT);
    }
}

/* One that a register holds, or any; with something in the upper half. */
static uint32_t likely_selector(void)
{
    uint32_t sel = draw(2) ? V->seg[draw(SEG_COUNT)].sel : 8 * (1 + draw(31)) + (draw(3) ? V->cpl : draw(4));

    return draw(4) ? sel : sel | draw32() << 16;
}

static void make_control(void)
{
    if (draw(8) == 0)
        V->cr0 |= CR0_TS;
    if (draw(8) == 0)
        V->cr0 ^= draw(2) ? CR0_EM : CR0_MP;
    if (draw(8) == 0)
        V->cr0 |= CR0_AM;
    if (draw(8) == 0)
        V->cr4 &= ~CR4_OSFXSR;
    if (draw(8) == 0)
        V->cr4 |= CR4_TSD;
    if (draw(4) == 0)
        V->cr4 |= CR4_PVI;
    if (draw(8) == 0)
        V->cr4 |= CR4_VME;
    if (draw(8) == 0)
        V->cr4 |= CR4_DE;
    if (draw(4) == 0)
        V->eflags |= (draw(2) ? EFLAGS_VIF : 0) | (draw(2) ? EFLAGS_VIP : 0);
}

static void make_state(void)
{
    static const uint8_t cpls[] = {0, 0, 0, 0, 0, 0, 3, 3, 1, 2};
    static const uint32_t odd[] = {EFLAGS_IOPL, EFLAGS_NT, EFLAGS_AC, EFLAGS_IOPL | EFLAGS_NT, 1u << 12, 2u << 12};
    uint32_t eip = V->eip;

    fake_bt_vcpu(cpls[draw(sizeof cpls)]);
    V->eip = eip;
    for (unsigned i = 0; i < 8; i++)
        V->gpr[i] = draw(3) ? DATA + draw(0x2000) : draw(2) ? CODE + draw(0x4000) : draw(2) ? likely_selector() : draw32();
    V->gpr[REG_ESP] = draw(16) ? 0x80000 - 4 * draw(64) : draw32();
    V->gpr[REG_ECX] = draw(2) ? draw(64) : V->gpr[REG_ECX];
    V->eflags |= (draw32() & (EFLAGS_ARITH | EFLAGS_DF)) | (draw(4) ? 0 : odd[draw(6)]) | (draw(4) ? 0 : EFLAGS_IF);
    make_control();
    make_table();
    for (unsigned i = 0; i < 8; i++)
        put32(fake_bt.vm.ram + 0x80000 - 4 * draw(64), likely_selector());
    for (unsigned s = 0; s < SEG_COUNT; s++)
        if (s != SEG_CS && draw(s == SEG_FS || s == SEG_GS ? 4 : 12) == 0)
            make_segment(s);
    if (V->cpl == 3 && draw(2)) { /* as C libraries have it; registers hold small offsets */
        V->seg[SEG_GS] = V->seg[SEG_DS];
        V->seg[SEG_GS].base = FAKE_BT_RAM + draw(0x400); /* the RAM is at negative offsets */
        V->gpr[draw(8)] = draw(0x2000) - 0x1000;
        V->gpr[draw(8)] = draw(0x200) - 0x100;
        if (draw(4) == 0)
            make_segment(SEG_GS);
        if (draw(4) == 0) {
            V->seg[SEG_FS] = V->seg[SEG_DS];
            V->seg[SEG_FS].base = draw(0x20000);
        }
    }
    if (!(V->seg[SEG_SS].attr & SEG_ATTR_DB) && draw(2)) /* what a 16-bit stack does not use */
        V->gpr[REG_ESP] = draw32() << 16 | ((draw(2) ? draw(16) : DATA + draw(0x2000)) & 0xffff);
    if (draw(6) == 0)
        make_code_segment();
    if (draw(8) == 0)
        fake_bt.user_limit = 0x40000 + draw(0x50) * PAGE_SIZE;
}

void case_make(void)
{
    make_code();
    make_state();
}
