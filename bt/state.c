// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Precise state: from a TC address back to the guest's own state.
 *
 * Guest registers live in the real ones while translated code runs, so at an
 * instruction boundary the guest's state is what the CPU held, with EIP from
 * the TU's map.  Inside the translation of one instruction a register may sit
 * in its spill slot; the map says which.  Emitters make every guest memory
 * access before anything of the guest's state changes, so a fault there is
 * the instruction's own fault (SDM vol. 3A 6.5: faults are restartable).
 *
 * An asynchronous event may stop the CPU anywhere.  If that is not a boundary,
 * breakpoints are planted on every boundary that this TU can still reach and
 * the guest goes on: it stops a few instructions later with exact state.
 * Normal running pays nothing for this.
 *
 * EFLAGS: the arithmetic flags, DF and ID are the CPU's own; IF is a slot in
 * the data page; the rest (IOPL, NT, AC, ...) only changes in the interpreter.
 */
#include "base/assert.h"
#include "bt/bt_priv.h"

#define XCR0_AVX 0x06u
#define XCR0_AVX512 0xe6u

/* XSAVE and kin act on XCR0 & EDX:EAX, and the real XCR0 may have components that the guest's has not. */
static uint32_t xsave_mode(const struct vcpu *v)
{
    const struct bt *bt = v->vm->bt;

    if (v->xcr0 == bt->host_xcr0)
        return 0;
    return bt->host_bmi2 && !(v->xcr0 & ~bt->host_xcr0) && !(v->xcr0 >> 32) ? MODE_XMASK : MODE_NOXSAVE;
}

uint32_t bt_mode(const struct vcpu *v)
{
    const struct seg *cs = &v->seg[SEG_CS];
    uint32_t mode = v->cpl;

    if (v->cr0 & (CR0_TS | CR0_EM))
        mode |= MODE_NOFPU;
    if (!(v->cr4 & CR4_OSFXSR))
        mode |= MODE_NOSSE;
    if (!(v->cr4 & CR4_OSXSAVE))
        mode |= MODE_NOXSAVE | MODE_NOAVX | MODE_NOAVX512;
    else
        mode |= xsave_mode(v) |
                ((v->xcr0 & XCR0_AVX) != XCR0_AVX ? MODE_NOAVX : 0) |
                ((v->xcr0 & XCR0_AVX512) != XCR0_AVX512 ? MODE_NOAVX512 : 0);
    if (!vcpu_stack32(v))
        mode |= MODE_SS16;
    if (v->cpl == 3 && (v->seg[SEG_GS].attr & SEG_ATTR_P) && !(v->seg[SEG_FS].attr & SEG_ATTR_P))
        mode |= MODE_GS2FS | (v->seg[SEG_GS].limit == 0xffffffffu && v->seg[SEG_GS].base >= GS_BIAS &&
                              !(v->seg[SEG_GS].attr & SEG_ATTR_EC) ? MODE_GSBIAS : 0);
    if (v->eflags & (EFLAGS_IOPL | EFLAGS_NT | EFLAGS_AC | EFLAGS_VIF | EFLAGS_VIP))
        mode |= MODE_ODDFLAGS;
    if (v->tsc_offset || ((v->cr4 & CR4_TSD) && v->cpl))
        mode |= MODE_NOTSC;
    if (cs->base || cs->limit != 0xffffffffu)
        mode |= MODE_ODDCS;
    return mode;
}

/* The record that covers tca: the last one at or below it. */
static const struct map_rec *record_at(const struct tu *t, tca_t tca)
{
    uint32_t off = tca - t->tca;
    const struct map_rec *r = NULL;

    for (unsigned i = 0; i < t->nmap && t->map[i].off <= off; i++)
        r = &t->map[i];
    return r;
}

bool bt_sync_fault(struct vcpu *v, tca_t tca, struct tu **tu, unsigned *insn)
{
    struct bt *bt = v->vm->bt;
    struct tu *t = tu_at(bt, tca);
    const struct map_rec *r = t ? record_at(t, tca) : NULL;

    if (!r || (r->kind != MAP_INSN && r->kind != MAP_BODY))
        return false;
    if (r->flags & SPILL_EAX)
        v->gpr[REG_EAX] = bt->wd->spill_eax;
    if (r->flags & SPILL_ECX)
        v->gpr[REG_ECX] = bt->wd->spill_ecx;
    if (r->flags & SPILL_EDX)
        v->gpr[REG_EDX] = bt->wd->spill_edx;
    v->eip = t->eip + t->insn_off[r->insn];
    bt_flags_in(v, bt);
    *tu = t;
    *insn = r->insn;
    return true;
}

bool bt_sync_boundary(struct vcpu *v, tca_t tca)
{
    struct bt *bt = v->vm->bt;
    const struct map_rec *r;
    struct tu *t;

    if (tca == bt->l2_jump[0] || tca == bt->l2_jump[1]) {
        v->eip = bt->wd->target_eip;
        bt_flags_in(v, bt);
        return true;
    }
    t = tu_at(bt, tca);
    r = t ? record_at(t, tca) : NULL;
    if (!r || t->tca + r->off != tca)
        return false;
    switch (r->kind) {
    case MAP_INSN:
        v->eip = t->eip + t->insn_off[r->insn];
        break;
    case MAP_EXIT_DIRECT:
        v->eip = t->exit[r->arg].target;
        break;
    case MAP_EXIT_IND:
        v->eip = bt->wd->target_eip;
        v->gpr[REG_ECX] = bt->wd->spill_ecx;
        break;
    default:
        return false;
    }
    bt_flags_in(v, bt);
    if (r->flags & MAP_SHADOW)
        v->shadow = SHADOW_STI;
    return true;
}

static void plant_at(struct bt *bt, tca_t tca)
{
    uint8_t *p = tc_hva(bt, tca);

    if (*p == 0xcc)
        return;
    ASSERT(bt->nplants < ARRAY_SIZE(bt->plant));
    bt->plant[bt->nplants++] = (struct plant){ tca, *p };
    *p = 0xcc;
}

/* Make the guest stop at the next boundary that it reaches from tca. */
void bt_plant(struct vcpu *v, tca_t tca)
{
    struct bt *bt = v->vm->bt;
    struct tu *t = tu_at(bt, tca);

    bt_unplant(bt);
    plant_at(bt, bt->l2_jump[0]);
    plant_at(bt, bt->l2_jump[1]);
    for (unsigned i = 0; t && i < t->nmap; i++)
        if (t->tca + t->map[i].off > tca && t->map[i].kind != MAP_STUB && t->map[i].kind != MAP_BODY)
            plant_at(bt, t->tca + t->map[i].off);
}

void bt_unplant(struct bt *bt)
{
    while (bt->nplants) {
        struct plant *p = &bt->plant[--bt->nplants];

        *tc_hva(bt, p->tca) = p->byte;
    }
}
