// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fpnative_run(): one x87/MMX/SSE/AVX instruction on the real CPU, for the
 * interpreter.
 *
 * The instruction is laid down in a slot of the TC with its memory operand
 * redirected to %gs:bounce in the data page, followed by a callout, and
 * entered like any translation.  The guest's FPU state is in the registers
 * before and after.
 */
#include "base/assert.h"
#include "bt/bt_priv.h"
#include "bt/emit.h"
#include "cpu/fpnative.h"

static bool is_redirected_prefix(uint8_t b)
{
    return b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e || b == 0x64 || b == 0x65 || b == 0x67;
}

static void lay_down(struct bt *bt, const struct insn *in, const uint8_t *bytes, bool mem)
{
    struct emit e = { tc_hva(bt, bt->run_once), bt->run_once };
    bool sib = in->mem && in->adsize == 4 && (in->modrm & 7) == 4;
    unsigned tail = in->len - in->imm_len;
    unsigned modrm_off = in->has_modrm ? tail - in->disp_len - sib - 1 : tail;

    for (unsigned i = 0; i < in->prefix_len; i++)
        if (!mem || !is_redirected_prefix(bytes[i]))
            emit8(&e, bytes[i]);
    if (mem) {
        /* The override must come before a VEX prefix and after any legacy one: here. */
        emit8(&e, 0x65);
    }
    emit_bytes(&e, bytes + in->prefix_len, modrm_off - in->prefix_len);
    if (in->mem) {
        emit8(&e, (uint8_t)((in->modrm & 0x38) | 5));
        emit32(&e, WD_OFF(bounce));
    } else if (in->has_modrm) {
        emit8(&e, in->modrm);
    }
    emit_bytes(&e, bytes + tail, in->imm_len);
    emit_store_imm(&e, WD_OFF(callout_arg), callout_arg(CO_RUNONCE, 0, 0));
    emit_bytes(&e, bt->callout_seq, bt->callout_len);
    ASSERT(e.tca - bt->run_once <= 64);
}

/* Enter the slot and come back, whatever events arrive meanwhile: they wait until then. */
static int run_slot(struct vcpu *v, struct bt *bt)
{
    uint32_t waits = 0;
    tca_t tca = bt->run_once;

    do {
        waits |= __atomic_exchange_n(&v->attention, 0, __ATOMIC_RELAXED); /* a signal may come here, too */
        world_enter(v, tca);
        if (v->exit.kind == EXIT_ATTENTION)
            tca = v->exit.tca;
    } while (v->exit.kind == EXIT_NONE || v->exit.kind == EXIT_ATTENTION);
    if (waits)
        v->attention = 1;
    return v->exit.kind == EXIT_FAULT ? (int)v->exit.vec : 0;
}

int fpnative_run(struct vcpu *v, const struct insn *in, const uint8_t *bytes, void *mem, unsigned memlen)
{
    struct bt *bt = v->vm->bt;
    bool vsib = in->mem && (in->vex || in->evex) && in->map == 2 && in->opcode >= 0x90 && in->opcode <= 0x93;
    bool implicit = mem && !in->mem; /* MASKMOVQ, MASKMOVDQU: DS:EDI */
    bool borrow = v->hsel_dirty || bt->seg_state == ~0u;
    struct seg saved[SEG_COUNT];
    uint32_t edi = v->gpr[REG_EDI];
    int vec;

    if (vsib || memlen > sizeof bt->wd->bounce)
        return VEC_UD;
    if (borrow) {
        memcpy(saved, v->seg, sizeof saved);
        for (unsigned s = 0; s < SEG_COUNT; s++)
            v->seg[s] = (struct seg){ 8, SEG_ATTR_G | SEG_ATTR_DB | SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_RW | SEG_ATTR_A,
                                      0, 0xffffffffu };
        v->hsel_dirty = 0x3f;
        world_seg_sync(v, WIN_BASE, false);
    }
    lay_down(bt, in, bytes, mem != NULL);
    if (mem)
        memcpy(bt->wd->bounce, mem, memlen);
    if (implicit)
        v->gpr[REG_EDI] = WD_OFF(bounce);
    bt_flags_out(v, bt);
    vec = run_slot(v, bt);
    bt_flags_in(v, bt);
    if (implicit)
        v->gpr[REG_EDI] = edi;
    if (mem)
        memcpy(mem, bt->wd->bounce, memlen);
    if (borrow) {
        memcpy(v->seg, saved, sizeof saved);
        v->hsel_dirty = 0x3f;
        bt->seg_state = ~0u;
    }
    return vec;
}
