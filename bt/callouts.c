// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Callouts that know their instruction: port I/O, MOV to and from control registers, INVLPG.
 *
 * The translator has decoded these; what it found out is in the callout's argument (bt_priv.h has the layout) and, for what does
 * not fit there, in the data page's operand slot. So they are done without fetching and decoding anew. What they
 * do is what the interpreter does, by the same functions.
 *
 * Translated code runs with neither TF nor breakpoints nor an interrupt shadow (bt_can_run()), so there is
 * nothing behind the instruction that interp_run_one() would have to look after.
 */
#include "base/assert.h"
#include "bt/bt_priv.h"
#include "cpu/control.h"
#include "cpu/port.h"
#include "cpu/segment.h"

static bool do_port(struct vcpu *v, uint32_t sub, struct fault *f)
{
    uint16_t port = (uint16_t)(sub & SUB_PORT_DX ? v->gpr[REG_EDX] : v->vm->bt->wd->operand);
    unsigned size = SUB_PORT_SIZE(sub);

    return sub & SUB_PORT_OUT ? port_out(v, port, size, f) : port_in(v, port, size, f);
}

static bool do_mov_cr(struct vcpu *v, uint32_t sub, struct fault *f)
{
    uint32_t *reg = &v->gpr[SUB_REG(sub)];

    if (v->cpl != 0)
        return fault_gp(f, 0);
    if (!(sub & SUB_CR_WRITE))
        return cr_read(v, SUB_CR(sub), reg, f);
    if (SUB_CR(sub) != 3) /* what depends on CR3 has the MMU's generations to look at */
        vcpu_changed(v);
    return cr_write(v, SUB_CR(sub), *reg, f);
}

static bool do_invlpg(struct vcpu *v, uint32_t sub, struct fault *f)
{
    if (v->cpl != 0)
        return fault_gp(f, 0);
    gmem_invlpg(v, v->seg[SUB_SEG(sub)].base + v->vm->bt->wd->operand);
    return true;
}

bool callout_do(struct vcpu *v, enum callout kind, uint32_t sub, struct fault *f)
{
    switch (kind) {
    case CO_PORT: return do_port(v, sub, f);
    case CO_MOV_CR: return do_mov_cr(v, sub, f);
    case CO_INVLPG: return do_invlpg(v, sub, f);
    default: NOT_REACHED();
    }
}
