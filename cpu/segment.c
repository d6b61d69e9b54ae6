/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segment registers and descriptors (SDM vol. 3A chapters 3 and 5).
 *
 * A segment register is a selector and a hidden copy of the descriptor that
 * the selector named when it was loaded.  All checks of privilege and type
 * are made at load time (5.6, 5.7) so that an access has only to look at the
 * copy: present, direction, limit (5.3).  A null selector leaves a copy with
 * P clear; the first use of it faults.
 *
 * Descriptors are read from the GDT or LDT in guest linear memory with
 * supervisor rights whatever the CPL.  The first load of a code or data
 * descriptor sets its accessed bit (3.4.5.1); we write only when it is clear,
 * as the processor does, so tables may live in read-only pages.
 *
 * In real mode a load changes selector and base only.  Limit and attributes
 * stay as they were, which is what makes "unreal" mode work.  V86 loads give
 * the fixed 64 KiB ring-3 segment of 20.1.
 */
#include "base/mem.h"
#include "cpu/frame.h"
#include "cpu/gmem.h"
#include "cpu/segment.h"

static bool desc_linear(const struct vcpu *v, uint16_t sel, gla_t *gla)
{
    uint32_t base = v->gdtr.base, limit = v->gdtr.limit;

    if (sel & 4) {
        if (!(v->ldtr.attr & SEG_ATTR_P))
            return false;
        base = v->ldtr.base;
        limit = v->ldtr.limit;
    }
    *gla = base + (sel & ~7u);
    return (sel | 7u) <= limit;
}

bool desc_read(struct vcpu *v, uint16_t sel, struct desc *d, uint8_t vec, unsigned ext, struct fault *f)
{
    gla_t gla;

    if (unlikely(!desc_linear(v, sel, &gla)))
        return fault_set(f, vec, true, sel_err(sel, ext));
    return gmem_read(v, gla, d, sizeof(*d), GMEM_READ, f);
}

bool desc_write_hi(struct vcpu *v, uint16_t sel, uint32_t hi, struct fault *f)
{
    gla_t gla;

    if (!desc_linear(v, sel, &gla))
        return fault_gp(f, sel_err(sel, 0));
    return gmem_write(v, gla + 4, &hi, 4, GMEM_WRITE, f);
}

bool desc_access(struct vcpu *v, uint16_t sel, struct desc *d, struct fault *f)
{
    if (likely(d->hi & BIT(8)))
        return true;
    d->hi |= BIT(8);
    return desc_write_hi(v, sel, d->hi, f);
}

void seg_from_desc(struct seg *s, uint16_t sel, struct desc d)
{
    s->sel = sel;
    s->attr = desc_attr(d);
    s->base = desc_base(d);
    s->limit = desc_limit(d);
}

void seg_set(struct vcpu *v, unsigned seg, const struct seg *s)
{
    if (!seg_equal(&v->seg[seg], s))
        v->hsel_dirty |= 1u << seg;
    v->seg[seg] = *s;
    vcpu_changed(v);
    TRACE_EV(v->vm->trace, seg_load, seg, s->sel, s->base);
}

/* --- loads --- */

static void seg_load_null(struct vcpu *v, unsigned seg, uint16_t sel)
{
    struct seg s = {.sel = sel};

    seg_set(v, seg, &s);
}

/* Selector rights against a descriptor's: conforming code is open to all (SDM 5.6). */
static bool seg_privileged(const struct vcpu *v, uint16_t sel, struct desc d)
{
    unsigned dpl = desc_dpl(d);

    if (desc_is_code(d) && desc_is_conforming(d))
        return true;
    return v->cpl <= dpl && (sel & 3u) <= dpl;
}

static bool seg_load_ss(struct vcpu *v, uint16_t sel, struct fault *f)
{
    struct seg s;

    if (!ss_check(v, sel, v->cpl, VEC_GP, 0, &s, f))
        return false;
    seg_set(v, SEG_SS, &s);
    return true;
}

static bool seg_load_data(struct vcpu *v, unsigned seg, uint16_t sel, struct fault *f)
{
    struct desc d;
    struct seg s;

    if (sel_is_null(sel)) {
        seg_load_null(v, seg, sel);
        return true;
    }
    if (!desc_read(v, sel, &d, VEC_GP, 0, f))
        return false;
    if (!(d.hi & BIT(12)) || (desc_is_code(d) && !(d.hi & BIT(9))) || !seg_privileged(v, sel, d))
        return fault_gp(f, sel_err(sel, 0));
    if (!desc_present(d))
        return fault_set(f, VEC_NP, true, sel_err(sel, 0));
    if (!desc_access(v, sel, &d, f))
        return false;
    seg_from_desc(&s, sel, d);
    seg_set(v, seg, &s);
    return true;
}

bool seg_reload_same(struct vcpu *v, unsigned seg, gla_t *gla, struct desc *d)
{
    const struct seg *s = &v->seg[seg];
    struct fault f;
    struct seg now;

    if (!vcpu_protected(v) || sel_is_null(s->sel) || !desc_linear(v, s->sel, gla) ||
        !gmem_read(v, *gla, d, sizeof *d, GMEM_READ, &f))
        return false;
    if (!(d->hi & BIT(12)) || !(d->hi & BIT(8)) || (desc_is_code(*d) && !(d->hi & BIT(9))) || !desc_present(*d) ||
        !seg_privileged(v, s->sel, *d))
        return false;
    seg_from_desc(&now, s->sel, *d);
    return !memcmp(&now, s, sizeof now);
}

bool seg_load(struct vcpu *v, unsigned seg, uint16_t sel, struct fault *f)
{
    if (!vcpu_protected(v)) {
        seg_load_real(v, seg, sel);
        return true;
    }
    return seg == SEG_SS ? seg_load_ss(v, sel, f) : seg_load_data(v, seg, sel, f);
}

void seg_load_real(struct vcpu *v, unsigned seg, uint16_t sel)
{
    struct seg s = v->seg[seg];

    s.sel = sel;
    s.base = (uint32_t)sel << 4;
    if (vcpu_v86(v)) {
        s.limit = 0xffff;
        s.attr = 0xf3; /* present, DPL 3, read/write data, accessed */
    } else if (!(s.attr & SEG_ATTR_P)) {
        s.limit = 0xffff; /* was null when PE was cleared */
        s.attr = 0x93;
    }
    seg_set(v, seg, &s);
}

/* --- accesses --- */

static bool seg_fault(unsigned seg, struct fault *f)
{
    return fault_set(f, seg == SEG_SS ? VEC_SS : VEC_GP, true, 0);
}

bool seg_linear(struct vcpu *v, unsigned seg, uint32_t off, unsigned len, bool write, gla_t *gla,
                struct fault *f)
{
    const struct seg *s = &v->seg[seg];

    *gla = s->base + off;
    if (unlikely(!(s->attr & SEG_ATTR_P)))
        return seg_fault(seg, f);
    if (likely(vcpu_protected(v))) {
        /* Code is never writable and maybe not readable; data is always readable. */
        bool rw = s->attr & SEG_ATTR_RW;
        bool ok = s->attr & SEG_ATTR_CODE ? !write && rw : !write || rw;

        if (unlikely(!ok))
            return seg_fault(seg, f);
    }
    if (unlikely(!seg_fits(s, off, len)))
        return seg_fault(seg, f);
    return true;
}

/* --- LDTR and TR --- */

bool seg_lldt(struct vcpu *v, uint16_t sel, struct fault *f)
{
    struct desc d;

    if (sel_is_null(sel)) {
        v->ldtr = (struct seg){.sel = sel};
        return true;
    }
    if (sel & 4)
        return fault_gp(f, sel_err(sel, 0));
    if (!desc_read(v, sel, &d, VEC_GP, 0, f))
        return false;
    if (desc_kind(d) != DESC_LDT)
        return fault_gp(f, sel_err(sel, 0));
    if (!desc_present(d))
        return fault_set(f, VEC_NP, true, sel_err(sel, 0));
    seg_from_desc(&v->ldtr, sel, d);
    return true;
}

bool seg_ltr(struct vcpu *v, uint16_t sel, struct fault *f)
{
    struct desc d;

    if (sel_is_null(sel))
        return fault_gp(f, 0);
    if (sel & 4)
        return fault_gp(f, sel_err(sel, 0));
    if (!desc_read(v, sel, &d, VEC_GP, 0, f))
        return false;
    if (desc_kind(d) != DESC_TSS16 && desc_kind(d) != DESC_TSS32)
        return fault_gp(f, sel_err(sel, 0));
    if (!desc_present(d))
        return fault_set(f, VEC_NP, true, sel_err(sel, 0));
    d.hi |= BIT(9); /* busy */
    if (!desc_write_hi(v, sel, d.hi, f))
        return false;
    seg_from_desc(&v->tr, sel, d);
    return true;
}

/* --- LAR, LSL, VERR, VERW: questions about a descriptor, answered by ZF --- */

/* Reads it if it is there at all; *there false is an answer, a false return is a fault. */
static bool desc_look(struct vcpu *v, uint16_t sel, struct desc *d, bool *there, struct fault *f)
{
    gla_t gla;

    *there = !sel_is_null(sel) && desc_linear(v, sel, &gla);
    if (!*there)
        return true;
    return gmem_read(v, gla, d, sizeof(*d), GMEM_READ, f);
}

/* kinds: a bit per system type that the instruction accepts. */
static bool desc_ask(struct vcpu *v, uint16_t sel, uint32_t kinds, struct desc *d, bool *zf, struct fault *f)
{
    if (!desc_look(v, sel, d, zf, f))
        return false;
    if (*zf)
        *zf = ((d->hi & BIT(12)) || (kinds >> desc_type(*d) & 1)) && seg_privileged(v, sel, *d);
    return true;
}

bool seg_lar(struct vcpu *v, uint16_t sel, uint32_t *out, bool *zf, struct fault *f)
{
    const uint32_t kinds = BIT(DESC_TSS16) | BIT(DESC_LDT) | BIT(DESC_TSS16_BUSY) | BIT(DESC_CALL16) |
                           BIT(DESC_TASK) | BIT(DESC_TSS32) | BIT(DESC_TSS32_BUSY) | BIT(DESC_CALL32);
    struct desc d = {0, 0};

    if (!desc_ask(v, sel, kinds, &d, zf, f))
        return false;
    if (*zf)
        *out = d.hi & 0x00ffff00;
    return true;
}

bool seg_lsl(struct vcpu *v, uint16_t sel, uint32_t *out, bool *zf, struct fault *f)
{
    const uint32_t kinds =
        BIT(DESC_TSS16) | BIT(DESC_LDT) | BIT(DESC_TSS16_BUSY) | BIT(DESC_TSS32) | BIT(DESC_TSS32_BUSY);
    struct desc d = {0, 0};

    if (!desc_ask(v, sel, kinds, &d, zf, f))
        return false;
    if (*zf)
        *out = desc_limit(d);
    return true;
}

bool seg_verify(struct vcpu *v, uint16_t sel, bool write, bool *zf, struct fault *f)
{
    struct desc d = {0, 0};

    if (!desc_ask(v, sel, 0, &d, zf, f))
        return false;
    if (*zf && write)
        *zf = desc_is_writable_data(d);
    else if (*zf)
        *zf = !desc_is_code(d) || (d.hi & BIT(9));
    return true;
}
