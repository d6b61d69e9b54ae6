/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Three decoders, one opinion: cpu/idecode.c against Zydis and Capstone.
 *
 * Every opcode of the maps one-byte, 0F, 0F38 and 0F3A, under a set of
 * prefixes, with tails that take ModRM through every /digit in every form, in
 * 16- and 32-bit mode.  Whatever Zydis decodes must have the same length for
 * us, because the translator trusts Zydis; whatever only Capstone decodes must
 * have Capstone's length.  What both refuse may have a length for us: idecode.c
 * answers for lengths only, the interpreter raises #UD.  The exceptions are in
 * the table below, each with its reason.
 */
#include <Zydis/Zydis.h>
#include <capstone/capstone.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cpu/interp.h"
#include "tests/fake/rnd.h"

#define INVALID (-1)

/* Opcodes where a disagreement is known and does no harm. */
static const struct exception {
    uint8_t map, first, last;
    const char *why;
} exceptions[] = {
    {1, 0x78, 0x78, "EXTRQ and INSERTQ (SSE4a) under two mandatory prefixes at once: no CPU model has them, "
                    "all lengths are #UD; Zydis refuses them, Capstone overlooks the immediates"},
};

static const struct {
    uint8_t n, b[3];
} prefix_sets[] = {
    {0, {0}},       {1, {0x66}},       {1, {0x67}},       {1, {0xf2}},       {1, {0xf3}},
    {1, {0xf0}},    {1, {0x2e}},       {1, {0x65}},       {2, {0x66, 0x67}}, {2, {0x66, 0xf2}},
    {2, {0xf3, 0x66}}, {3, {0x64, 0x66, 0xf3}},
};

struct decoders {
    ZydisDecoder zydis[2];
    csh capstone[2];
};

struct census {
    unsigned total, referees_differ, excepted, wrong;
};

static void open_decoders(struct decoders *d)
{
    ZydisDecoderInit(&d->zydis[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    ZydisDecoderInit(&d->zydis[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    cr_assert_eq(cs_open(CS_ARCH_X86, CS_MODE_16, &d->capstone[0]), CS_ERR_OK);
    cr_assert_eq(cs_open(CS_ARCH_X86, CS_MODE_32, &d->capstone[1]), CS_ERR_OK);
}

static int zydis_length(const struct decoders *d, bool code32, const uint8_t *bytes)
{
    ZydisDecodedInstruction in;

    return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&d->zydis[code32], NULL, bytes, 15, &in)) ? in.length
                                                                                                : INVALID;
}

static int capstone_length(const struct decoders *d, bool code32, const uint8_t *bytes)
{
    static cs_insn *in[2];
    const uint8_t *p = bytes;
    size_t left = 15;
    uint64_t at = 0;

    if (!in[code32])
        in[code32] = cs_malloc(d->capstone[code32]);
    return cs_disasm_iter(d->capstone[code32], &p, &left, &at, in[code32]) ? in[code32]->size : INVALID;
}

static const struct exception *excepted(unsigned map, unsigned opcode)
{
    for (unsigned i = 0; i < ARRAY_SIZE(exceptions); i++)
        if (exceptions[i].map == map && opcode >= exceptions[i].first && opcode <= exceptions[i].last)
            return &exceptions[i];
    return NULL;
}

static void complain(bool code32, unsigned map, unsigned opcode, const uint8_t *bytes, int ours, int zydis,
                     int capstone)
{
    char text[64] = "";

    for (unsigned i = 0; i < 12; i++)
        sprintf(text + 3 * i, "%02x ", bytes[i]);
    fprintf(stderr, "%u-bit map %u opcode %02x: ours %d, Zydis %d, Capstone %d: %s\n", code32 ? 32 : 16, map,
            opcode, ours, zydis, capstone, text);
}

static void compare(const struct decoders *d, bool code32, unsigned map, unsigned opcode,
                    const uint8_t *bytes, struct census *c)
{
    struct insn in;
    int ours = insn_decode(&in, bytes, 15, code32);
    int zydis = zydis_length(d, code32, bytes), capstone = capstone_length(d, code32, bytes);

    c->total++;
    if (zydis != capstone)
        c->referees_differ++;
    if (zydis == INVALID && (capstone == INVALID || ours == capstone))
        return;
    if (ours == zydis)
        return;
    if (excepted(map, opcode)) {
        c->excepted++;
        return;
    }
    if (c->wrong++ < 20)
        complain(code32, map, opcode, bytes, ours, zydis, capstone);
}

/* Prefixes, escape, opcode, and a tail whose ModRM has the form `form` (0..31: /digit and mod). */
static void make_bytes(uint8_t *bytes, unsigned set, unsigned map, unsigned opcode, unsigned form,
                       uint64_t *rng)
{
    static const uint8_t escape[4][2] = {{0}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}};
    static const uint8_t escape_len[4] = {0, 1, 2, 2};
    unsigned at = prefix_sets[set].n;

    for (unsigned i = 0; i < 15; i++)
        bytes[i] = (uint8_t)rnd(rng);
    memcpy(bytes, prefix_sets[set].b, at);
    memcpy(bytes + at, escape[map], escape_len[map]);
    at += escape_len[map];
    bytes[at++] = (uint8_t)opcode;
    bytes[at] = (uint8_t)((form & 3) << 6 | (form >> 2) << 3 | (bytes[at] & 7));
}

/* These bytes are prefixes or escapes to another map, not opcodes. */
static bool no_opcode(unsigned map, unsigned opcode)
{
    if (map == 0)
        return opcode == 0x0f || opcode == 0x66 || opcode == 0x67 || opcode == 0xf0 || opcode == 0xf2 ||
               opcode == 0xf3 || (opcode & 0xe7) == 0x26 || (opcode & 0xfe) == 0x64;
    return map == 1 && (opcode == 0x38 || opcode == 0x3a);
}

static void walk(const struct decoders *d, unsigned map, struct census *c)
{
    uint64_t rng = 1;
    uint8_t bytes[16];

    for (unsigned code32 = 0; code32 < 2; code32++)
        for (unsigned opcode = 0; opcode < 256; opcode++)
            for (unsigned set = 0; set < ARRAY_SIZE(prefix_sets) && !no_opcode(map, opcode); set++)
                for (unsigned form = 0; form < 32; form++) {
                    make_bytes(bytes, set, map, opcode, form, &rng);
                    compare(d, code32, map, opcode, bytes, c);
                }
}

static void check_map(unsigned map)
{
    struct decoders d;
    struct census c = {0};

    open_decoders(&d);
    walk(&d, map, &c);
    cr_assert_gt(c.total, 180000u); /* the walk was a whole one */
    cr_assert_eq(c.wrong, 0, "%u of %u encodings", c.wrong, c.total);
    for (unsigned i = 0; i < ARRAY_SIZE(exceptions); i++)
        if (exceptions[i].map == map)
            cr_assert_gt(c.excepted, 0, "no longer needed: %s", exceptions[i].why);
}

Test(bt_decode_agree, map_one_byte) { check_map(0); }
Test(bt_decode_agree, map_0f) { check_map(1); }
Test(bt_decode_agree, map_0f38) { check_map(2); }
Test(bt_decode_agree, map_0f3a) { check_map(3); }

/* Fewer bytes than an instruction has: 0; its own length or more: the same answer. */
Test(bt_decode_agree, short_reads)
{
    uint64_t rng = 7;
    uint8_t bytes[16];
    struct insn in;

    for (unsigned i = 0; i < 200000; i++) {
        make_bytes(bytes, i % ARRAY_SIZE(prefix_sets), i & 3, rnd(&rng) & 0xff, i & 31, &rng);
        int len = insn_decode(&in, bytes, 15, i & 64);
        for (int avail = 0; avail < 15 && len > 0; avail++)
            cr_assert_eq(insn_decode(&in, bytes, (unsigned)avail, i & 64), avail < len ? 0 : len);
    }
}

Test(bt_decode_agree, fifteen_bytes_are_the_most)
{
    uint8_t bytes[16];
    struct insn in;

    memset(bytes, 0x3e, sizeof bytes);
    bytes[14] = 0x90;
    cr_assert_eq(insn_decode(&in, bytes, 15, true), 15);
    cr_assert_eq(in.prefix_len, 14);
    bytes[14] = 0x3e;
    cr_assert_eq(insn_decode(&in, bytes, 15, true), -1);
    bytes[14] = 0x04; /* ADD AL, imm8: the immediate would be the 16th byte */
    cr_assert_eq(insn_decode(&in, bytes, 15, true), -1);
}
