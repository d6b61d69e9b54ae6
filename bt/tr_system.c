// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What calls out with its operands decoded: INT and IRET, IN and OUT, MOV to and from control registers, INVLPG.
 */
#include "bt/translate.h"

void emit_gate_insn(struct tr *r, const struct bt_insn *in)
{
    if (in->osz16 && in->cls == CL_IRET)
        emit_interp(r, true);
    else if (in->cls == CL_IRET)
        emit_callout(r, CO_IRET, r->n);
    else
        emit_callout(r, CO_INT, r->n | (in->imm & 0xff) << 4);
    r->ended = true;
}

/* IN and OUT: E4-E7 with an immediate port, EC-EF with DX.  Kernels write to port 80h to pass time, which needs none. */
void emit_port_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    uint8_t op = b[in->opcode_off];
    unsigned size = !(op & 1) ? 1 : in->osz16 ? 2 : 4;
    uint32_t sub = r->n | size << 4 | (op & 2 ? SUB_PORT_OUT : 0) | (op & 8 ? SUB_PORT_DX : 0);

    if (r->bt->opt.no_inline_sys) {
        emit_interp(r, false);
        return;
    }
    if (op == 0xe6 && (in->imm & 0xff) == PORT_POST && !(r->mode & MODE_CPL) && !r->bt->by_steps) {
        emit8(&r->e, 0x65); /* mov %al, %gs:post */
        emit8(&r->e, 0xa2);
        emit32(&r->e, WD_OFF(post));
        return;
    }
    if (!(op & 8))
        emit_store_imm(&r->e, WD_OFF(operand), in->imm & 0xff);
    emit_callout(r, CO_PORT, sub);
}

void emit_mov_cr_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    bool write = b[in->opcode_off] == 0x22;

    if (r->bt->opt.no_inline_sys)
        emit_interp(r, write);
    else
        emit_callout(r, CO_MOV_CR, r->n | (in->modrm >> 3 & 7u) << 4 | (write ? SUB_CR_WRITE : 0) | (in->modrm & 7u) << 8);
}

/* The segment of a 32-bit memory operand that has no prefix for it. */
static unsigned default_seg(const struct bt_insn *in, const uint8_t *b)
{
    unsigned mod = in->modrm >> 6, rm = in->modrm & 7, base = rm == 4 ? b[in->modrm_off + 1] & 7 : rm;

    return (rm == 4 && base == REG_ESP) || (base == REG_EBP && mod != 0) ? SEG_SS : SEG_DS;
}

/* The offset is what LEA of the same operand gives. */
void emit_invlpg_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    unsigned seg = in->seg != 0xff ? in->seg : default_seg(in, b);

    if (r->bt->opt.no_inline_sys || in->asz16 || in->lock) {
        emit_interp(r, true);
        return;
    }
    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_lea_operand(r, in, b);
    rec(r, MAP_BODY, 0, SPILL_ECX);
    emit_store(&r->e, REG_ECX, WD_OFF(operand));
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_callout(r, CO_INVLPG, r->n | seg << 4);
}
