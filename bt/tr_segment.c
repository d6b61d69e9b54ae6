// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads and loads of segment registers.
 */
#include "bt/translate.h"

/* As CPUs do: 16 bits are written, the upper half of the slot stays. */
static void emit_push_selector(struct tr *r, unsigned seg)
{
    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_load(&r->e, REG_ECX, WD_OFF(sel) + seg * 4);
    rec(r, MAP_BODY, 0, SPILL_ECX);
    emit_bytes(&r->e, (const uint8_t[]){ 0x66, 0x89, 0x4c, 0x24, 0xfc }, 5); /* mov %cx, -4(%esp) */
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_lea(&r->e, REG_ESP, REG_ESP, 0u - 4);
}

void emit_seg_read_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    unsigned reg;

    if (r->bt->opt.no_inline_seg || (b[in->opcode_off] != 0x8c && (r->mode & MODE_SS16))) {
        emit_interp(r, false);
    } else if (b[in->opcode_off] == 0x8c) {
        reg = in->modrm >> 3 & 7;
        if (reg >= SEG_COUNT)
            emit_interp(r, true);
        else
            emit_load(&r->e, in->modrm & 7, WD_OFF(sel) + reg * 4);
    } else {
        /* PUSH: 06 0E 16 1E, 0F A0, 0F A8 */
        reg = b[in->opcode_off] >> 3 & 7;
        if (b[in->opcode_off] >= 0xa0)
            reg = b[in->opcode_off] == 0xa0 ? SEG_FS : SEG_GS;
        emit_push_selector(r, reg);
    }
}

/* Go on if ECX is zero, else to `slow`. */
static void emit_unless_zero(struct tr *r, const uint8_t *slow)
{
    uint8_t *same = emit_jcc8(&r->e, 0xe3); /* jecxz */

    emit8(&r->e, 0xeb);
    emit8(&r->e, (uint8_t)(slow - (r->e.p + 1)));
    emit_land(&r->e, same);
}

static void emit_restore_ax_cx(struct tr *r)
{
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_load(&r->e, REG_EAX, WD_OFF(spill_eax));
}

/* The load changes nothing if selector and descriptor are what reload.c noted; else it calls out. */
static void emit_seg_reload(struct tr *r, unsigned seg, uint32_t sub)
{
    static const uint8_t movzwl_cx[] = { 0x0f, 0xb7, 0xc9 }, lea_sum[] = { 0x8d, 0x0c, 0x01 } /* ecx = eax + ecx */,
                         pop_peek[] = { 0x8b, 0x0c, 0x24 } /* mov (%esp), %ecx */;
    const uint32_t kept = WD_OFF(reload) + seg * (uint32_t)sizeof(struct reload);
    uint8_t *same, *slow;

    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_store(&r->e, REG_EAX, WD_OFF(spill_eax));
    rec(r, MAP_BODY, 0, SPILL_EAX | SPILL_ECX);
    if (sub & SUB_POP) {
        emit_bytes(&r->e, pop_peek, sizeof pop_peek);
    } else {
        emit8(&r->e, 0x89); /* mov %reg, %ecx */
        emit8(&r->e, MODRM(3, SUB_REG(sub), REG_ECX));
    }
    emit_bytes(&r->e, movzwl_cx, sizeof movzwl_cx);
    emit_load(&r->e, REG_EAX, kept + (uint32_t)offsetof(struct reload, neg_sel));
    emit_bytes(&r->e, lea_sum, sizeof lea_sum);
    same = emit_jcc8(&r->e, 0xe3); /* jecxz */
    slow = r->e.p;
    emit_restore_ax_cx(r);
    emit_callout(r, CO_SEG_LOAD, sub);
    emit_land(&r->e, same);
    emit_load(&r->e, REG_EAX, kept + (uint32_t)offsetof(struct reload, gla));
    emit_bytes(&r->e, (const uint8_t[]){ 0x36, 0x8b, 0x08 }, 3); /* mov %ss:(%eax), %ecx */
    emit_load(&r->e, REG_EAX, kept + (uint32_t)offsetof(struct reload, neg_lo));
    emit_bytes(&r->e, lea_sum, sizeof lea_sum);
    emit_unless_zero(r, slow);
    emit_load(&r->e, REG_EAX, kept + (uint32_t)offsetof(struct reload, gla));
    emit_bytes(&r->e, (const uint8_t[]){ 0x36, 0x8b, 0x48, 0x04 }, 4); /* mov %ss:4(%eax), %ecx */
    emit_load(&r->e, REG_EAX, kept + (uint32_t)offsetof(struct reload, neg_hi));
    emit_bytes(&r->e, lea_sum, sizeof lea_sum);
    emit_unless_zero(r, slow);
    emit_restore_ax_cx(r);
    if (sub & SUB_POP)
        emit_lea(&r->e, REG_ESP, REG_ESP, 4);
}

void emit_seg_load_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    uint8_t op = b[in->opcode_off];
    unsigned seg = op == 0x8e ? in->modrm >> 3 & 7 : op == 0x07 ? SEG_ES : op == 0x1f ? SEG_DS : op == 0xa1 ? SEG_FS : SEG_GS;
    uint32_t sub = r->n | seg << 4 | (op == 0x8e ? (in->modrm & 7u) << 8 : SUB_POP);

    if (r->bt->opt.no_inline_seg)
        emit_interp(r, false);
    else if ((r->mode & MODE_CPL) || (r->mode & MODE_SS16))
        emit_callout(r, CO_SEG_LOAD, sub);
    else
        emit_seg_reload(r, seg, sub);
}
