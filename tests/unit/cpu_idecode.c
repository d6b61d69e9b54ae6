// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction decoder: lengths, operands, limits.  Agreement with other decoders over whole opcode maps
 * is bt_decode_agree.c's business.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cpu/interp.h"

static const struct sample {
    const char *name;
    bool code32;
    uint8_t len, bytes[15];
} samples[] = {
    {"nop", true, 1, {0x90}},
    {"mov eax, imm32", true, 5, {0xb8, 1, 2, 3, 4}},
    {"mov ax, imm16", true, 4, {0x66, 0xb8, 1, 2}},
    {"mov ax, imm16 (16)", false, 3, {0xb8, 1, 2}},
    {"mov eax, imm32 (16)", false, 6, {0x66, 0xb8, 1, 2, 3, 4}},
    {"mov eax, moffs32", true, 5, {0xa1, 1, 2, 3, 4}},
    {"mov eax, moffs16", true, 4, {0x67, 0xa1, 1, 2}},
    {"test bl, imm8", true, 3, {0xf6, 0xc3, 1}},
    {"test /1 imm32", true, 6, {0xf7, 0xcb, 1, 2, 3, 4}},
    {"not bl", true, 2, {0xf6, 0xd3}},
    {"lea sib disp32", true, 7, {0x8d, 0x84, 0x8b, 1, 2, 3, 4}},
    {"sib without base", true, 7, {0x8b, 0x04, 0x8d, 1, 2, 3, 4}},
    {"disp16", false, 4, {0x8b, 0x06, 1, 2}},
    {"bp+di+disp8", false, 3, {0x8b, 0x43, 1}},
    {"enter", true, 4, {0xc8, 1, 2, 3}},
    {"call far", true, 7, {0x9a, 1, 2, 3, 4, 5, 6}},
    {"call far 16", true, 6, {0x66, 0x9a, 1, 2, 3, 4}},
    {"jz near", true, 6, {0x0f, 0x84, 1, 2, 3, 4}},
    {"jz near 66", true, 5, {0x66, 0x0f, 0x84, 1, 2}},
    {"mov cr0, mod ignored", true, 3, {0x0f, 0x22, 0x00}},
    {"shld imm8", true, 4, {0x0f, 0xa4, 0xc2, 5}},
    {"pshufb", true, 5, {0x66, 0x0f, 0x38, 0x00, 0xc1}},
    {"palignr", true, 6, {0x66, 0x0f, 0x3a, 0x0f, 0xc1, 4}},
    {"3dnow", true, 4, {0x0f, 0x0f, 0xc1, 0x9e}},
    {"lds", true, 2, {0xc5, 0x03}},
    {"les disp8", true, 3, {0xc4, 0x43, 1}},
    {"bound", true, 2, {0x62, 0x03}},
    {"vaddps", true, 4, {0xc5, 0xf0, 0x58, 0xc2}},
    {"vzeroupper", true, 3, {0xc5, 0xf8, 0x77}},
    {"andn", true, 5, {0xc4, 0xe2, 0x70, 0xf2, 0xc2}},
    {"rorx", true, 6, {0xc4, 0xe3, 0x7b, 0xf0, 0xc2, 5}},
    {"evex vaddps disp8", true, 7, {0x62, 0xf1, 0x74, 0x48, 0x58, 0x43, 1}},
    {"seven prefixes", true, 8, {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x64, 0x90}},
};

Test(cpu_idecode, lengths)
{
    for (unsigned i = 0; i < ARRAY_SIZE(samples); i++) {
        const struct sample *s = &samples[i];
        struct insn in;
        int r = insn_decode(&in, s->bytes, 15, s->code32);

        cr_expect_eq(r, s->len, "%s: %d", s->name, r);
        cr_expect_eq(in.len, s->len, "%s", s->name);
    }
}

/* Every shorter prefix of an instruction asks for more, and the whole is enough. */
Test(cpu_idecode, asks_for_more)
{
    for (unsigned i = 0; i < ARRAY_SIZE(samples); i++) {
        const struct sample *s = &samples[i];
        struct insn in;

        for (unsigned n = 0; n < s->len; n++)
            cr_expect_eq(insn_decode(&in, s->bytes, n, s->code32), 0, "%s with %u bytes", s->name, n);
        cr_expect_eq(insn_decode(&in, s->bytes, s->len, s->code32), s->len, "%s", s->name);
    }
}

/* The same over random bytes: the answer never depends on bytes behind the instruction. */
Test(cpu_idecode, random_bytes)
{
    uint64_t seed = 42;

    for (unsigned i = 0; i < 300000; i++) {
        uint8_t bytes[15];
        struct insn in, again;
        bool code32 = i & 1;
        int r;

        for (unsigned k = 0; k < 15; k++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            bytes[k] = (uint8_t)(seed >> 40);
        }
        r = insn_decode(&in, bytes, 15, code32);
        cr_assert(r == -1 || (r >= 1 && r <= 15));
        if (r < 1)
            continue;
        cr_assert_eq(insn_decode(&again, bytes, (unsigned)r - 1, code32), 0);
        cr_assert_eq(insn_decode(&again, bytes, (unsigned)r, code32), r);
        cr_assert_eq(memcmp(&in, &again, sizeof in), 0);
    }
}

Test(cpu_idecode, fifteen_bytes)
{
    uint8_t bytes[16];
    struct insn in;

    memset(bytes, 0x3e, sizeof bytes);
    bytes[14] = 0x90;
    cr_expect_eq(insn_decode(&in, bytes, 15, true), 15);
    bytes[14] = 0x3e;
    cr_expect_eq(insn_decode(&in, bytes, 15, true), -1);
    cr_expect_eq(insn_decode_exact(&in, bytes, 15, true), INSN_TOO_LONG);
    bytes[10] = 0xb8; /* ten prefixes and five bytes fit, eleven don't */
    cr_expect_eq(insn_decode(&in, bytes, 15, true), 15);
    memset(bytes, 0x3e, 11);
    bytes[11] = 0xb8;
    cr_expect_eq(insn_decode_exact(&in, bytes, 15, true), INSN_TOO_LONG);
}

Test(cpu_idecode, undefined)
{
    static const uint8_t bad[][4] = {
        {0x0f, 0x04}, {0x0f, 0x0a}, {0x0f, 0x24, 0xc0}, {0x0f, 0x36},
        {0x66, 0xc5, 0xf0, 0x58},       /* a legacy prefix before VEX */
        {0xf0, 0xc5, 0xf0, 0x58},       {0xc4, 0xe0, 0x70, 0x58}, /* map 0 */
        {0xc4, 0xe4, 0x70, 0x58},       /* map 4 */
        {0x62, 0xf9, 0x74, 0x48},       /* a reserved EVEX bit */
        {0x8f, 0xc8},                   /* POP Ev has /0 only */
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        uint8_t bytes[15] = {0};
        struct insn in;

        memcpy(bytes, bad[i], 4);
        cr_expect_eq(insn_decode_exact(&in, bytes, 15, true), INSN_UNDEFINED, "%u", i);
    }
}

static struct insn decode(bool code32, const char *bytes, unsigned n)
{
    uint8_t b[15] = {0};
    struct insn in;

    memcpy(b, bytes, n);
    cr_assert_eq(insn_decode(&in, b, 15, code32), (int)n);
    return in;
}

Test(cpu_idecode, operands32)
{
    struct insn in = decode(true, "\x8b\x54\xb5\xfc", 4); /* mov edx, [ebp + esi*4 - 4] */

    cr_expect(in.mem && in.base == REG_EBP && in.index == REG_ESI && in.scale == 2 &&
        in.disp == (uint32_t)-4);
    cr_expect_eq(in.seg, SEG_SS);
    in = decode(true, "\x3e\x8b\x04\x24", 4); /* mov eax, ds:[esp] */
    cr_expect(in.base == REG_ESP && in.index == 0xff && in.seg == SEG_DS && in.seg_prefix == SEG_DS);
    in = decode(true, "\x8b\x04\xad\x10\x00\x00\x00", 7); /* mov eax, [ebp*4 + 16]: no base, so DS */
    cr_expect(in.base == 0xff && in.index == REG_EBP && in.seg == SEG_DS && in.disp == 16);
    in = decode(true, "\x8b\x05\x78\x56\x34\x12", 6);
    cr_expect(in.base == 0xff && in.index == 0xff && in.disp == 0x12345678 && in.disp_len == 4);
    in = decode(true, "\x83\xc0\xff", 3);
    cr_expect(!in.mem && in.imm == 0xffffffff && in.imm_len == 1);
    in = decode(true, "\x66\x81\xc0\xff\xff", 5);
    cr_expect(in.imm == 0xffff && in.opsize == 2 && in.osz_prefix);
    in = decode(true, "\x9a\x44\x33\x22\x11\x66\x55", 7);
    cr_expect(in.imm == 0x11223344 && in.imm2 == 0x5566);
    in = decode(true, "\xf2\xf3\xa4", 3);
    cr_expect_eq(in.rep, 0xf3);
    in = decode(true, "\xc4\xe2\x48\xf2\xc2", 5); /* andn eax, esi, edx */
    cr_expect(in.vex && in.vvvv == REG_ESI && in.map == 2 && in.pp == 0 && !in.vex_w && in.vex_l == 0);
}

Test(cpu_idecode, operands16)
{
    static const struct {
        uint8_t base, index, seg;
    } forms[8] = {
        {REG_EBX, REG_ESI, SEG_DS}, {REG_EBX, REG_EDI, SEG_DS}, {REG_EBP, REG_ESI, SEG_SS},
        {REG_EBP, REG_EDI, SEG_SS}, {0xff, REG_ESI, SEG_DS},    {0xff, REG_EDI, SEG_DS},
        {REG_EBP, 0xff, SEG_SS},    {REG_EBX, 0xff, SEG_DS},
    };

    for (uint8_t rm = 0; rm < 8; rm++) {
        uint8_t bytes[15] = {0x8b, (uint8_t)(0x80 | rm), 0xfe, 0xff};
        struct insn in;

        cr_assert_eq(insn_decode(&in, bytes, 15, false), 4);
        cr_expect(in.base == forms[rm].base && in.index == forms[rm].index && in.seg == forms[rm].seg,
            "rm %u", rm);
        cr_expect_eq(in.disp, (uint32_t)-2);
    }
    cr_expect_eq(decode(false, "\x8b\x06\x34\x12", 4).base, 0xff);
}
