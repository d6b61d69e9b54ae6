// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How a TU ends, and how it asks the monitor: records of the map, callouts, exits that are chained or looked up.
 */
#include "base/assert.h"
#include "bt/translate.h"

void rec(struct tr *r, enum map_kind kind, unsigned arg, unsigned flags)
{
    struct tu *t = r->t;

    ASSERT(t->nmap < TU_MAP_MAX);
    t->map[t->nmap++] = (struct map_rec){ (uint16_t)(r->e.tca - t->tca), kind, (uint8_t)r->n, (uint8_t)arg,
                                          (uint8_t)flags };
}

void emit_callout(struct tr *r, enum callout kind, uint32_t sub)
{
    emit_store_imm(&r->e, WD_OFF(callout_arg), callout_arg(kind, tu_number(r->bt, r->t), sub));
    emit_bytes(&r->e, r->bt->callout_seq, r->bt->callout_len);
}

void emit_interp(struct tr *r, bool end)
{
    emit_callout(r, CO_INTERP, r->n);
    if (end)
        r->ended = true;
}

unsigned exit_new(struct tr *r, uint32_t target, tca_t site)
{
    struct tu *t = r->t;
    gla_t here = gla_page(t->cs_base + t->eip), there = gla_page(t->cs_base + target);
    unsigned x = t->nexits++;

    ASSERT(x < ARRAY_SIZE(t->exit));
    t->exit[x] = (struct tu_exit){ .target = target, .site = site,
                                   .chainable = !mode_user(r->mode) || here == there };
    return x;
}

/* The unchained end of an exit: ask the monitor, or (user code to another page) look up in the TC. */
void emit_exit_stub(struct tr *r, unsigned x)
{
    struct tu_exit *exit = &r->t->exit[x];

    rec(r, MAP_STUB, x, 0);
    exit->stub = r->e.tca;
    put32(tc_hva(r->bt, exit->site), exit->stub - (exit->site + 4));
    if (exit->chainable || r->bt->opt.no_indirect) {
        emit_callout(r, CO_EXIT, x);
    } else {
        emit_store_imm(&r->e, WD_OFF(target_eip), exit->target);
        emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
        emit_jmp(&r->e, r->bt->l2_stub[mode_user(r->mode)]);
    }
}

unsigned emit_exit_jmp(struct tr *r, uint32_t target)
{
    unsigned x = r->t->nexits;

    rec(r, MAP_EXIT_DIRECT, x, 0);
    exit_new(r, target, emit_jmp(&r->e, r->e.tca));
    return x;
}

void emit_end(struct tr *r, uint32_t target)
{
    unsigned x = emit_exit_jmp(r, target);

    emit_exit_stub(r, x);
}

void emit_indirect_end(struct tr *r, bool ret)
{
    unsigned user = mode_user(r->mode);

    emit_store(&r->e, REG_ECX, WD_OFF(target_eip));
    if (r->bt->opt.no_indirect) {
        rec(r, MAP_EXIT_IND, 0, 0);
        emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
        rec(r, MAP_STUB, 0, 0);
        emit_callout(r, CO_LOOKUP, 0);
    } else if (ret && !r->bt->opt.no_return_cache) {
        emit8(&r->e, 0x0f); emit8(&r->e, 0xb6); emit8(&r->e, MODRM(3, REG_ECX, REG_ECX)); /* movzbl %cl, %ecx */
        rec(r, MAP_EXIT_IND, 0, 0);
        emit8(&r->e, 0x65); emit8(&r->e, 0xff); emit8(&r->e, MODRM(0, 4, 4)); /* jmp *%gs:l1(,%ecx,4) */
        emit8(&r->e, MODRM(2, REG_ECX, 5));
        emit32(&r->e, WD_OFF(l1) + user * (uint32_t)sizeof(r->bt->wd->l1[0]));
    } else {
        rec(r, MAP_EXIT_IND, 0, 0);
        emit_jmp(&r->e, r->bt->l2_stub[user]);
    }
    r->ended = true;
}
