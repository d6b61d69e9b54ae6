// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions that run as they are unless their operand lies where the window is. Which ones, and why: adapt.c.
 */
#include "bt/translate.h"

/* Is the offset in %ecx one of the upper 16 MiB?  The jump is to be patched. */
static uint8_t *emit_jump_if_high(struct tr *r)
{
    static const uint8_t top_byte[] = { 0x0f, 0xc9, 0x0f, 0xb6, 0xc9 }; /* bswap %ecx; movzbl %cl, %ecx */

    emit_bytes(&r->e, top_byte, sizeof top_byte);
    emit_lea(&r->e, REG_ECX, REG_ECX, 0u - 0xff);
    return emit_jcc8(&r->e, 0xe3); /* jecxz */
}

/* MOVS, CMPS, STOS, LODS, SCAS. */
static bool is_string(const struct bt_insn *in, const uint8_t *b)
{
    uint8_t op = b[in->opcode_off];

    return !in->modrm_off && op >= 0xa4 && op <= 0xaf && (op & 0xfe) != 0xa8;
}

/* Can it look where its operand lies?  Segments with a base of their own are never truncated where that is of use. */
bool adaptable(const struct bt_insn *in, const uint8_t *b)
{
    bool segment = in->seg == 0xff || in->seg == SEG_DS || in->seg == SEG_ES || in->seg == SEG_SS;

    return in->mem && segment && !in->asz16 && (in->modrm_off ? in->modrm >> 6 != 3 : is_string(in, b));
}

/*
 * An instruction that reaches into the window now and then (adapt.c): if its operand lies near there, call out, else IDENT.
 * A string instruction may go through two registers; where it goes from there is not looked at.
 */
void emit_adapted(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    uint8_t *high, *high2 = NULL, *done;

    if (!in->needs)
        r->t->adapted |= (uint16_t)BIT(r->n);
    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    rec(r, MAP_BODY, 0, SPILL_ECX);
    if (in->modrm_off) {
        emit_lea_operand(r, in, b);
        high = emit_jump_if_high(r);
    } else {
        emit_lea(&r->e, REG_ECX, REG_EDI, 0);
        high = emit_jump_if_high(r);
        emit_lea(&r->e, REG_ECX, REG_ESI, 0);
        high2 = emit_jump_if_high(r);
    }
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    rec(r, MAP_BODY, 0, 0);
    emit_ident(r, in, b);
    done = emit_jcc8(&r->e, 0xeb);
    emit_land(&r->e, high);
    if (high2)
        emit_land(&r->e, high2);
    rec(r, MAP_BODY, 0, SPILL_ECX);
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_callout(r, in->needs ? CO_INTERP : CO_WINDOW, r->n); /* the interpreter has the FPU run by the CPU, which unsettles things */
    emit_land(&r->e, done);
}
