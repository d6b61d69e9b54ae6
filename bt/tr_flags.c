// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CLI, STI, PUSHF and POPF on the virtual IF, in place.
 */
#include "bt/translate.h"

void emit_cli_insn(struct tr *r)
{
    if (r->bt->opt.no_inline_if || (r->mode & (MODE_CPL | MODE_ODDFLAGS)))
        emit_interp(r, false);
    else
        emit_store_imm(&r->e, WD_OFF(vif), 0);
}

void emit_sti_insn(struct tr *r)
{
    uint8_t *clear;

    /* The last instruction of a TU would lose its interrupt shadow on the way to the next. */
    if (r->bt->opt.no_inline_if || (r->mode & (MODE_CPL | MODE_ODDFLAGS)) || r->n + 1 == r->t->ninsns) {
        emit_interp(r, false);
        return;
    }
    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_load(&r->e, REG_ECX, WD_OFF(irq_pending));
    clear = emit_jcc8(&r->e, 0xe3);
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_interp(r, false);
    emit_land(&r->e, clear);
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_store_imm(&r->e, WD_OFF(vif), EFLAGS_IF);
}

/* Real PUSHF pushes IF=1 (the host's); add vif - IF with LEA, which keeps the flags. */
void emit_pushf_insn(struct tr *r)
{
    if (r->bt->opt.no_inline_if || (r->mode & (MODE_ODDFLAGS | MODE_SS16))) {
        emit_interp(r, false);
        return;
    }
    emit8(&r->e, 0x9c);
    rec(r, MAP_BODY, 0, 0);
    emit_store(&r->e, REG_EAX, WD_OFF(spill_eax));
    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit8(&r->e, 0x8b); emit8(&r->e, MODRM(0, REG_EAX, 4)); emit8(&r->e, 0x24);  /* mov (%esp), %eax */
    emit_load(&r->e, REG_ECX, WD_OFF(vif));
    emit8(&r->e, 0x8d); emit8(&r->e, MODRM(2, REG_EAX, 4)); emit8(&r->e, MODRM(0, REG_ECX, REG_EAX));
    emit32(&r->e, 0u - EFLAGS_IF);                                               /* lea -0x200(%eax,%ecx), %eax */
    emit8(&r->e, 0x89); emit8(&r->e, MODRM(0, REG_EAX, 4)); emit8(&r->e, 0x24);  /* mov %eax, (%esp) */
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_load(&r->e, REG_EAX, WD_OFF(spill_eax));
}

/* Flags are about to be replaced, so the tests may change them. */
void emit_popf_insn(struct tr *r)
{
    const uint32_t plain = EFLAGS_ARITH | EFLAGS_DF | EFLAGS_ID | EFLAGS_IF | EFLAGS_FIXED;
    uint8_t *slow, *no_if = NULL, *slow2 = NULL, *done;

    if (r->bt->opt.no_inline_if || (r->mode & (MODE_ODDFLAGS | MODE_SS16)) ||
        (r->mode & MODE_CPL) == 1 || (r->mode & MODE_CPL) == 2) {
        emit_interp(r, true);
        return;
    }
    emit_store(&r->e, REG_EAX, WD_OFF(spill_eax));
    emit8(&r->e, 0x8b); emit8(&r->e, MODRM(0, REG_EAX, 4)); emit8(&r->e, 0x24); /* mov (%esp), %eax */
    rec(r, MAP_BODY, 0, SPILL_EAX);
    emit8(&r->e, 0xa9); emit32(&r->e, ~plain);                                  /* test $~plain, %eax */
    slow = emit_jcc8(&r->e, 0x75);
    if (!mode_user(r->mode)) {
        emit8(&r->e, 0x25); emit32(&r->e, EFLAGS_IF);                           /* and $IF, %eax */
        no_if = emit_jcc8(&r->e, 0x74);
        emit_gs(&r->e, 0x83, 7, WD_OFF(irq_pending)); emit8(&r->e, 0);          /* cmpl $0, irq_pending */
        slow2 = emit_jcc8(&r->e, 0x75);
        emit_land(&r->e, no_if);
        emit_store(&r->e, REG_EAX, WD_OFF(vif));
    }
    emit_load(&r->e, REG_EAX, WD_OFF(spill_eax));
    emit8(&r->e, 0x9d);
    done = emit_jcc8(&r->e, 0xeb);
    emit_land(&r->e, slow);
    if (slow2)
        emit_land(&r->e, slow2);
    emit_load(&r->e, REG_EAX, WD_OFF(spill_eax));
    emit_interp(r, false);
    emit_land(&r->e, done);
}
