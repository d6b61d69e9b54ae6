/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System-level instructions as user code sees them: segment registers, the
 * instructions that look at descriptors, far transfers and IRET within CPL 3.
 *
 * The selectors are those that mean the same on the host and in the model: the
 * LDT, the host's flat ones, null ones, and some that CPL 3 may not use.  No
 * transfer goes to the 64-bit selector.  Null selectors have RPL 0: an interrupt of the
 * host in between would make it so.  A segment register that was changed
 * is mostly put back at once, or nothing behind it would run.
 */
#include "tests/diff/gen.h"

static uint16_t rnd_selector(struct gen *q)
{
    static const uint16_t sel[] = {
        0, 0, 0, SEL_DATA, SEL_DATA, SEL_DATA & ~1, SEL_DATA & ~3, SEL_CODE32, SEL_CODE64,
        0x10, 0x18, 0x13, 0x40, LDT_SEL(LDT_COUNT), 0xfff7, 0x1003,
    };

    if (chance(q, 50))
        return (uint16_t)(LDT_SEL(rnd(q, LDT_COUNT)) & ~(chance(q, 90) ? 0u : rnd(q, 4)));
    return sel[rnd(q, ARRAY_SIZE(sel))];
}

/* ES SS DS FS GS in encoding order, CS left out. */
static unsigned rnd_data_seg(struct gen *q)
{
    static const uint8_t seg[] = {0, 0, 2, 3, 3, 4, 4, 5, 5};

    return seg[rnd(q, ARRAY_SIZE(seg))];
}

static void put_push_imm(struct gen *q, uint32_t value)
{
    put(q, 0x68);
    put_n(q, value, q->code32 ? 4 : 2);
}

static void put_pop_seg(struct gen *q, unsigned seg)
{
    static const uint8_t pop[6][2] = {{0x07}, {0}, {0x17}, {0x1f}, {0x0f, 0xa1}, {0x0f, 0xa9}};

    put(q, pop[seg][0]);
    if (pop[seg][0] == 0x0f)
        put(q, pop[seg][1]);
}

static void put_restore(struct gen *q, unsigned seg)
{
    q->g->main_len = (uint8_t)(q->g->len - q->g->main_at);
    if (chance(q, 30))
        return;
    if (seg == 2) { /* the stack may be gone: by way of a register */
        put_mov(q, 0, SEL_DATA);
        put(q, 0x8e);
        put(q, 0xd0);
        return;
    }
    put_push_imm(q, seg == 4 ? LDT_SEL(LDT_FS) : seg == 5 ? LDT_SEL(LDT_GS) : SEL_DATA);
    put_pop_seg(q, seg);
}

static void put_mov_to_seg(struct gen *q)
{
    unsigned seg = rnd_data_seg(q), reg = pick_ext(q, 0xef);

    put_mov(q, reg, rnd_selector(q) | (uint32_t)rnd64(&q->rng) << 16);
    q->g->main_at = q->g->len;
    put(q, 0x8e);
    if (chance(q, 3))
        seg = chance(q, 50) ? 1 : 6 + rnd(q, 2); /* #UD */
    put(q, (uint8_t)(0xc0 | seg << 3 | reg));
    put_restore(q, seg == 1 || seg > 5 ? 0 : seg);
}

/* From here on the stack pointer is SP. */
static void put_stack16(struct gen *q)
{
    put_mov(q, 0, LDT_SEL(LDT_STACK16));
    q->g->main_at = q->g->len;
    put(q, 0x8e);
    put(q, 0xd0);
}

static void put_pop_to_seg(struct gen *q)
{
    unsigned seg = rnd_data_seg(q);

    put_push_imm(q, rnd_selector(q) | (uint32_t)rnd64(&q->rng) << 16);
    q->g->main_at = q->g->len;
    put_pop_seg(q, seg);
    put_restore(q, seg);
}

/* PUSH Sreg as a dword may clear the upper half or leave it (SDM under PUSH): not to be seen. */
static void put_clear_upper_half(struct gen *q)
{
    q->g->main_len = (uint8_t)(q->g->len - q->g->main_at);
    if (!q->osz)
        return;
    q->g->undef_memory = true;
    put(q, q->code32 ? 0x66 : 0x67);
    put(q, 0xc7);
    put(q, 0x44);
    put(q, 0x24);
    put_n(q, 2, 3); /* MOV word [ESP+2], 0 */
}

/* PUSH Sreg, MOV r/m, Sreg. */
static void put_store_seg(struct gen *q)
{
    static const uint8_t push[6][2] = {{0x06}, {0x0e}, {0x16}, {0x1e}, {0x0f, 0xa0}, {0x0f, 0xa8}};
    unsigned seg = rnd(q, 6);
    struct prefixes p;

    choose_sizes(q, &p, false);
    if (chance(q, 50)) {
        put_prefixes(q, &p);
        put(q, push[seg][0]);
        if (push[seg][0] == 0x0f)
            put(q, push[seg][1]);
        put_clear_upper_half(q);
        return;
    }
    bool mem = chance(q, 50);
    choose_operand(q, chance(q, 97) ? seg : 6 + rnd(q, 2), mem);
    if (mem)
        put_setup(q);
    put_prefixes(q, &p);
    put(q, 0x8c);
    put_operand(q);
}

/* LES LDS LSS LFS LGS through a far pointer that the group itself writes. */
static void put_load_far(struct gen *q)
{
    static const uint8_t seg_of[] = {0, 3, 2, 4, 5};
    static const uint8_t op[5][2] = {{0xc4}, {0xc5}, {0x0f, 0xb2}, {0x0f, 0xb4}, {0x0f, 0xb5}};
    uint32_t at = DATA_BASE + 0x100 + rnd(q, 0x1000);
    unsigned which = rnd(q, 5);

    if (!q->code32) {
        put_pop_to_seg(q);
        return;
    }
    put(q, 0xc7);
    put(q, 0x05);
    put_n(q, at, 4);
    put_n(q, which == 2 ? STACK_BASE + 0x1000 : rnd_pointer(q), 4);
    put(q, 0xc7);
    put(q, 0x05);
    put_n(q, at + 4, 4);
    put_n(q, rnd_selector(q), 4);
    q->g->main_at = q->g->len;
    put(q, op[which][0]);
    if (op[which][0] == 0x0f)
        put(q, op[which][1]);
    put(q, (uint8_t)((which == 2 ? 4 : rnd(q, 8)) << 3 | 5)); /* LSS ESP mostly makes a sane stack */
    put_n(q, at, 4);
    put_restore(q, seg_of[which]);
}

/* LAR LSL VERR VERW ARPL. */
static void put_inspect(struct gen *q)
{
    unsigned kind = rnd(q, 5), reg = pick_ext(q, 0xef), dst = rnd(q, 8);

    put_mov(q, reg, rnd_selector(q) | (uint32_t)rnd64(&q->rng) << 16);
    q->g->main_at = q->g->len;
    if (chance(q, 20))
        put(q, 0x66);
    if (kind == 4) {
        put(q, 0x63);
        put(q, (uint8_t)(0xc0 | reg << 3 | dst));
    } else if (kind < 2) {
        put(q, 0x0f);
        put(q, (uint8_t)(2 + kind));
        put(q, (uint8_t)(0xc0 | dst << 3 | reg));
    } else {
        put(q, 0x0f);
        put(q, 0x00);
        put(q, (uint8_t)(0xc0 | (2 + kind) << 3 | reg));
    }
}

/* A selector for CS: the one we are in, mostly, and what it takes off a linear address. */
static uint16_t code_selector(struct gen *q, uint32_t *minus)
{
    *minus = 0;
    if (!q->code32)
        return LDT_SEL(LDT_CODE16);
    if (chance(q, 15)) {
        uint16_t sel = rnd_selector(q);
        /* Not into 64-bit code, nor into 16-bit code that was not made as such. */
        if ((sel & ~3) != (SEL_CODE64 & ~3) && (sel & ~3) != (LDT_SEL(LDT_CODE16) & ~3))
            return sel;
    }
    if (chance(q, 30)) {
        *minus = CODE_BASE;
        return LDT_SEL(LDT_CODE_XO);
    }
    return SEL_CODE32;
}

static void put_far_direct(struct gen *q, unsigned target)
{
    uint32_t minus;
    uint16_t sel = code_selector(q, &minus);

    q->g->main_at = q->g->len;
    put(q, chance(q, 60) ? 0xea : 0x9a);
    set_fix(q, q->code32 ? 4 : 2, true, target);
    q->g->fix_minus = minus;
    put_n(q, sel, 2);
}

/* RETF, RETF n. */
static void put_far_ret(struct gen *q, unsigned target)
{
    uint32_t minus;
    uint16_t sel = code_selector(q, &minus);
    bool pop = chance(q, 30);

    put_push_imm(q, sel);
    put(q, 0x68);
    set_fix(q, q->code32 ? 4 : 2, true, target);
    q->g->fix_minus = minus;
    q->g->main_at = q->g->len;
    put(q, pop ? 0xca : 0xcb);
    if (pop)
        put_n(q, rnd(q, 16) * 4, 2);
}

/* IRET with an image of EFLAGS that tries to change what CPL 3 may not.  With NT set the host can't (64-bit
 * mode has no tasks), so it is cleared first. */
static void put_iret(struct gen *q, unsigned target)
{
    uint32_t minus, image = (uint32_t)rnd64(&q->rng) & ~(EFLAGS_TF | EFLAGS_AC | EFLAGS_NT);
    uint16_t sel = code_selector(q, &minus);

    if (!q->code32) {
        put_far_ret(q, target);
        return;
    }
    put_push_imm(q, 0x202);
    put(q, 0x9d);
    put_push_imm(q, image);
    put_push_imm(q, sel);
    put(q, 0x68);
    set_fix(q, 4, true, target);
    q->g->fix_minus = minus;
    q->g->main_at = q->g->len;
    put(q, 0xcf);
}

/* Indirect far JMP and CALL through a pointer that the group writes. */
static void put_far_indirect(struct gen *q, unsigned target)
{
    uint32_t minus, at = DATA_BASE + 0x100 + rnd(q, 0x1000);
    uint16_t sel = code_selector(q, &minus);

    if (!q->code32) {
        put_far_direct(q, target);
        return;
    }
    put(q, 0xc7);
    put(q, 0x05);
    put_n(q, at + 4, 4);
    put_n(q, sel, 4);
    put(q, 0xc7);
    put(q, 0x05);
    put_n(q, at, 4);
    set_fix(q, 4, true, target);
    q->g->fix_minus = minus;
    q->g->main_at = q->g->len;
    put(q, 0xff);
    put(q, chance(q, 50) ? 0x2d : 0x1d);
    put_n(q, at, 4);
}

void put_system(struct gen *q, unsigned self, unsigned ngroups)
{
    unsigned target = rnd_target(q, self, ngroups);

    q->seg_prefix = 0;
    switch (rnd(q, 12)) {
    case 0:
    case 1:
        if (chance(q, 12))
            put_stack16(q);
        else
            put_mov_to_seg(q);
        break;
    case 2:
    case 3:
        put_pop_to_seg(q);
        break;
    case 4:
    case 5:
        put_store_seg(q);
        break;
    case 6:
        put_load_far(q);
        break;
    case 7:
    case 8:
        put_inspect(q);
        break;
    case 9:
        put_far_direct(q, target);
        break;
    case 10:
        if (chance(q, 50))
            put_far_ret(q, target);
        else
            put_iret(q, target);
        break;
    default:
        put_far_indirect(q, target);
        break;
    }
}
