// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Near control transfers: Jcc, LOOP, CALL, RET, indirect JMP and CALL; the return cache's landing pads.
 */
#include "bt/translate.h"

void emit_jcc_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    uint32_t next = insn_eip(r, r->n + 1);
    unsigned cc = b[in->opcode_off] & 0xf;
    unsigned taken = exit_new(r, next + in->rel, emit_jcc(&r->e, cc, r->e.tca));
    unsigned fall = emit_exit_jmp(r, next);

    emit_exit_stub(r, taken);
    emit_exit_stub(r, fall);
    r->ended = true;
}

void emit_loop_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    uint32_t next = insn_eip(r, r->n + 1);
    unsigned taken, fall;
    uint8_t *over;

    if (in->asz16)
        emit8(&r->e, 0x67);
    over = emit_jcc8(&r->e, b[in->opcode_off]);
    fall = emit_exit_jmp(r, next);
    emit_land(&r->e, over);
    taken = emit_exit_jmp(r, next + in->rel);
    emit_exit_stub(r, taken);
    emit_exit_stub(r, fall);
    r->ended = true;
}

/*
 * Push the return EIP and point the return cache at this TU's landing pad.
 * The pad's code is laid down by emit_pad(); its address is patched in there.
 */
static uint8_t *emit_push_return(struct tr *r, uint32_t ret, unsigned spill)
{
    uint8_t *imm;
    unsigned user = mode_user(r->mode);

    if (spill) /* else the instruction's own record says it all, and is a boundary */
        rec(r, MAP_BODY, 0, spill);
    emit_push_imm(&r->e, ret);
    if (r->bt->opt.no_return_cache || r->bt->opt.no_indirect)
        return NULL;
    emit_store_imm(&r->e, WD_OFF(l1[0]) + user * (uint32_t)sizeof(r->bt->wd->l1[0]) + (ret & 0xff) * 4, 0);
    imm = r->e.p - 4;
    return imm;
}

static void emit_pad(struct tr *r, uint32_t ret, uint8_t *imm)
{
    uint8_t *ok;

    if (!imm)
        return;
    rec(r, MAP_STUB, 0, 0);
    put32(imm, r->e.tca);
    r->t->pad = r->e.tca;
    r->t->pad_eip = ret;
    emit_load(&r->e, REG_ECX, WD_OFF(target_eip));
    emit_lea(&r->e, REG_ECX, REG_ECX, 0u - ret);
    ok = emit_jcc8(&r->e, 0xe3); /* jecxz */
    emit_jmp(&r->e, r->bt->l1_miss[mode_user(r->mode)]);
    emit_land(&r->e, ok);
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_end(r, ret);
}

void emit_call_insn(struct tr *r, const struct bt_insn *in)
{
    uint32_t next = insn_eip(r, r->n + 1);
    uint8_t *imm;
    unsigned x;

    if (r->mode & MODE_SS16) {
        emit_interp(r, true);
        return;
    }
    imm = emit_push_return(r, next, 0);
    x = emit_exit_jmp(r, next + in->rel);
    emit_exit_stub(r, x);
    emit_pad(r, next, imm);
    r->ended = true;
}

void emit_ret_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    if (r->mode & MODE_SS16) {
        emit_interp(r, true);
        return;
    }
    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit8(&r->e, 0x59); /* pop %ecx: faults before anything has changed */
    rec(r, MAP_BODY, 0, SPILL_ECX);
    if (b[in->opcode_off] == 0xc2)
        emit_lea(&r->e, REG_ESP, REG_ESP, in->imm & 0xffff);
    emit_indirect_end(r, true);
}

/* MOV to %ecx from the operand of an indirect JMP or CALL. */
static void emit_load_target(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    unsigned rm = in->modrm & 7;

    if (in->modrm >> 6 == 3) {
        if (rm != REG_ECX) {
            emit8(&r->e, 0x89);
            emit8(&r->e, MODRM(3, rm, REG_ECX));
        }
        return;
    }
    if (in->seg != 0xff)
        emit8(&r->e, in->seg == SEG_GS ? 0x64 : b[in->seg_off]);
    if (in->asz16)
        emit8(&r->e, 0x67);
    emit8(&r->e, 0x8b);
    if (in->seg == SEG_GS && (r->mode & MODE_GSBIAS)) {
        emit_biased(r, in, b, REG_ECX);
        return;
    }
    emit8(&r->e, (uint8_t)((in->modrm & ~0x38) | REG_ECX << 3));
    emit_bytes(&r->e, b + in->modrm_off + 1, in->len - in->modrm_off - 1);
}

void emit_indirect_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b, bool call)
{
    uint32_t next = insn_eip(r, r->n + 1);
    uint8_t *imm = NULL;

    if ((call && (r->mode & MODE_SS16)) || !seg_usable(r, in, b)) {
        emit_interp(r, true);
        return;
    }
    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_load_target(r, in, b);
    if (call)
        imm = emit_push_return(r, next, SPILL_ECX);
    else
        rec(r, MAP_BODY, 0, SPILL_ECX);
    emit_indirect_end(r, false);
    emit_pad(r, next, imm);
}
