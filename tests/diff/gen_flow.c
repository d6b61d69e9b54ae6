/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Near transfers of control: every condition, distance and operand size, and
 * indirect ones through every form of operand.  They lead to starts of groups
 * or to the end; those whose operand size cuts EIP to 16 bits mostly lead to
 * where nothing is, unless CS has a base.
 */
#include "tests/diff/gen.h"

void set_fix(struct gen *q, unsigned size, bool abs, unsigned target)
{
    q->g->fix_at = q->g->len;
    q->g->fix_size = (uint8_t)size;
    q->g->fix_abs = abs;
    q->g->target = (uint8_t)target;
    put_n(q, 0, size);
}

unsigned rnd_target(struct gen *q, unsigned self, unsigned ngroups)
{
    return chance(q, 80) ? self + 1 + rnd(q, ngroups - self) : rnd(q, ngroups + 1);
}

/* The other operand size, rarely: the size of displacements and of EIP in bytes. */
static unsigned rnd_size(struct gen *q)
{
    bool flip = chance(q, 6);

    if (flip)
        put(q, 0x66);
    return q->code32 != flip ? 4 : 2;
}

/* A direct transfer: Jcc, JMP, CALL, LOOPcc, JECXZ in all sizes. */
void put_jump(struct gen *q, unsigned self, unsigned ngroups)
{
    unsigned target = rnd_target(q, self, ngroups), kind = rnd(q, 10), z;

    if (kind >= 8 && chance(q, 60))
        put_mov(q, 1, rnd(q, 4));
    q->g->main_at = q->g->len;
    if (kind >= 8 && chance(q, 30)) /* counter size */
        put(q, 0x67);
    if (kind < 8 && chance(q, 5))
        put(q, chance(q, 50) ? 0x2e : 0x3e); /* branch hints */
    z = rnd_size(q);
    if (kind < 3) {
        put(q, (uint8_t)(0x70 + rnd(q, 16)));
        set_fix(q, 1, false, target);
    } else if (kind < 5) {
        put(q, 0x0f);
        put(q, (uint8_t)(0x80 + rnd(q, 16)));
        set_fix(q, z, false, target);
    } else if (kind == 5) {
        put(q, 0xeb);
        set_fix(q, 1, false, target);
    } else if (kind < 8) {
        put(q, kind == 6 ? 0xe9 : 0xe8);
        set_fix(q, z, false, target);
    } else {
        put(q, (uint8_t)(0xe0 + rnd(q, 4)));
        set_fix(q, 1, false, target);
    }
}

/* RET and RET n to an address that the group pushes. */
static void put_ret(struct gen *q, unsigned target)
{
    unsigned z = rnd_size(q);
    bool pop = chance(q, 40);

    put(q, 0x68);
    set_fix(q, z, true, target);
    q->g->main_at = q->g->len;
    if ((z == 4) != q->code32)
        put(q, 0x66);
    put(q, pop ? 0xc2 : 0xc3);
    if (pop) /* near enough to the stack's pages mostly; the high byte counts, too */
        put_n(q, chance(q, 85) ? rnd(q, 16) * 4 : rnd(q, 0x1800), 2);
}

/* Through a register. */
static void put_indirect_register(struct gen *q, unsigned ext, unsigned target)
{
    unsigned reg = rnd(q, 8);

    put(q, (uint8_t)(0xb8 + reg));
    set_fix(q, q->code32 ? 4 : 2, true, target);
    q->g->main_at = q->g->len;
    if (q->code32)
        (void)rnd_size(q);
    put(q, 0xff);
    put(q, (uint8_t)(0xc0 | ext << 3 | reg));
}

/* ModRM, SIB and displacement of an operand at `off` in its segment, in 32-bit addressing, and the registers set for it. */
static void choose_mem32_at(struct gen *q, unsigned ext, uint32_t off)
{
    unsigned mod = rnd(q, 3), base = pick_ext(q, 0xef), index = pick_ext(q, 0xef), scale = rnd(q, 4);
    uint32_t disp = mod == 1 ? rnd(q, 256) : mod == 2 ? rnd_value(q) : 0, scaled = 0;

    q->operand_len = 0;
    if (chance(q, 15) || (mod == 0 && base == 5)) {
        operand_n(q, ext << 3 | 5, 1);
        operand_n(q, off, 4);
        return;
    }
    if (mod == 1 && disp & 0x80)
        disp |= 0xffffff00;
    if (base != index && chance(q, 50)) { /* base and index */
        operand_n(q, mod << 6 | ext << 3 | 4, 1);
        operand_n(q, scale << 6 | index << 3 | base, 1);
        scaled = rnd_value(q);
        put_mov(q, index, scaled);
        scaled <<= scale;
    } else {
        operand_n(q, mod << 6 | ext << 3 | base, 1);
    }
    put_mov(q, base, off - disp - scaled);
    operand_n(q, disp, mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

/* The same in 16-bit addressing: DISP16, or BX, SI, DI with a displacement. */
static void choose_mem16_at(struct gen *q, unsigned ext, uint32_t off)
{
    static const uint8_t reg_of[8] = {0, 0, 0, 0, 6, 7, 0, 3};
    unsigned rm = 4 + rnd(q, 4);
    uint32_t disp = rnd(q, 256);

    q->operand_len = 0;
    if (rm == 6) {
        operand_n(q, ext << 3 | 6, 1);
        operand_n(q, off, 2);
        return;
    }
    operand_n(q, 2 << 6 | ext << 3 | rm, 1);
    operand_n(q, disp, 2);
    put_mov(q, reg_of[rm], ((off - disp) & 0xffff) | (uint32_t)rnd64(&q->rng) << 16);
}

/* Through memory, by any operand and segment: the group first puts the target where the operand will be. */
static void put_indirect_memory(struct gen *q, unsigned ext, unsigned target)
{
    static const uint8_t prefix[6] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    unsigned seg = chance(q, 50) ? 4 + rnd(q, 2) : rnd(q, 6);
    bool override = chance(q, 60);
    uint32_t base = !override || seg < 4 ? 0 : q->base_of[seg - 4];
    uint32_t at = DATA_BASE + 0x9000 + (rnd(q, 0x800) & ~3u), off = at - base;
    bool a16 = base && off < 0x10000 && chance(q, 30);

    put(q, 0xc7);
    put(q, 0x05);
    put_n(q, at, 4);
    set_fix(q, 4, true, target);
    if (a16)
        choose_mem16_at(q, ext, off);
    else
        choose_mem32_at(q, ext, off);
    q->g->main_at = q->g->len;
    if (override)
        put(q, prefix[seg]);
    if (a16)
        put(q, 0x67);
    (void)rnd_size(q);
    put(q, 0xff);
    put_operand(q);
}

/* Through the table at the start of the arena. */
static void put_indirect_table(struct gen *q, unsigned ext, unsigned target)
{
    unsigned reg = pick_ext(q, 0xef);

    if (chance(q, 50)) {
        q->g->main_at = q->g->len;
        put(q, 0xff);
        put(q, (uint8_t)(ext << 3 | 5));
        put_n(q, DATA_BASE + 4 * target, 4);
        return;
    }
    put_mov(q, reg, target);
    q->g->main_at = q->g->len;
    put(q, 0xff);
    put(q, (uint8_t)(ext << 3 | 4));
    put(q, (uint8_t)(2 << 6 | reg << 3 | 5));
    put_n(q, DATA_BASE, 4);
}

void put_indirect(struct gen *q, unsigned self, unsigned ngroups)
{
    unsigned target = rnd_target(q, self, ngroups), ext = chance(q, 50) ? 2 : 4, dice = rnd(q, 100);

    if (dice < 35)
        put_ret(q, target);
    else if (!q->code32 || dice < 55)
        put_indirect_register(q, ext, target);
    else if (dice < 85)
        put_indirect_memory(q, ext, target);
    else
        put_indirect_table(q, ext, target);
}
