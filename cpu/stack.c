/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stacks: single pushes and pops, and whole frames (SDM vol. 1 6.2, vol. 3A 5.8.5).
 *
 * SS.B chooses between ESP and SP; with SP the upper half of ESP is left
 * alone and the pointer wraps within 64 KiB.  Calls through gates, interrupts
 * and their returns move frames of several slots.  Hardware pushes slot by
 * slot and rolls back when one of them faults; we check the whole frame
 * against the limit, write it with one access that transfers all or nothing,
 * and only then let the caller commit registers.  A frame that wraps is
 * written in two parts, both probed before the first is written.
 *
 * An inner ring's stack comes from the current TSS.
 */
#include "cpu/frame.h"
#include "cpu/gmem.h"
#include "cpu/transfer.h"

void esp_set(struct vcpu *v, uint32_t esp)
{
    if (vcpu_stack32(v))
        v->gpr[REG_ESP] = esp;
    else
        v->gpr[REG_ESP] = (v->gpr[REG_ESP] & 0xffff0000) | (esp & 0xffff);
}

static uint32_t stack_mask(const struct seg *ss)
{
    return ss->attr & SEG_ATTR_DB ? 0xffffffffu : 0xffffu;
}

/* --- one slot --- */

bool stack_push(struct vcpu *v, uint32_t value, unsigned opsize, struct fault *f)
{
    uint32_t sp = (v->gpr[REG_ESP] - opsize) & stack_mask(&v->seg[SEG_SS]);
    gla_t gla;

    if (!seg_linear(v, SEG_SS, sp, opsize, true, &gla, f) ||
        !gmem_write(v, gla, &value, opsize, GMEM_WRITE | gmem_cpl(v), f))
        return false;
    esp_set(v, sp);
    return true;
}

bool stack_peek(struct vcpu *v, uint32_t skip, uint32_t *value, unsigned opsize, struct fault *f)
{
    uint32_t sp = (v->gpr[REG_ESP] + skip) & stack_mask(&v->seg[SEG_SS]);
    uint32_t x = 0;
    gla_t gla;

    if (!seg_linear(v, SEG_SS, sp, opsize, false, &gla, f) ||
        !gmem_read(v, gla, &x, opsize, GMEM_READ | gmem_cpl(v), f))
        return false;
    *value = x;
    return true;
}

void stack_drop(struct vcpu *v, uint32_t bytes)
{
    esp_set(v, v->gpr[REG_ESP] + bytes);
}

/* --- frames --- */

/* The rare frame that runs over the end of its segment: `first` bytes at low, the rest at offset 0. */
static bool frame_push_wrapped(struct vcpu *v, const struct seg *ss, uint32_t low, uint32_t first,
                               const uint8_t *buf, unsigned n, unsigned access, struct fault *f)
{
    return gmem_probe(v, ss->base + low, first, access, f) && gmem_probe(v, ss->base, n - first, access, f) &&
           gmem_write(v, ss->base + low, buf, first, access, f) &&
           gmem_write(v, ss->base, buf + first, n - first, access, f);
}

/* A frame at `low` can't be written.  The CPU pushes from the top, so CR2 tells the highest bad slot. */
static bool frame_push_fault(struct vcpu *v, gla_t low, unsigned n, unsigned slot, unsigned access,
                             struct fault *f)
{
    for (; n > slot; n -= slot)
        if (!gmem_probe(v, low + n - slot, slot, access, f))
            return false;
    gmem_probe(v, low, slot, access, f);
    return false;
}

/* Does a frame that is to lie at low, below top, run over the end of its segment? */
static bool frame_wraps(const struct seg *ss, uint32_t low, uint32_t top)
{
    return unlikely(low >= top && top != 0) && !seg_is_flat(ss);
}

bool frame_fits(const struct seg *ss, uint32_t esp, unsigned n, unsigned slot)
{
    uint32_t mask = stack_mask(ss), top = esp & mask, low = (top - n) & mask, first = mask - low + 1;

    if (unlikely(!(ss->attr & SEG_ATTR_P)))
        return false;
    if (!frame_wraps(ss, low, top))
        return seg_fits(ss, low, n);
    /* No slot may straddle the end. */
    return top % slot == 0 && seg_fits(ss, low, first) && seg_fits(ss, 0, n - first);
}

bool frame_push(struct vcpu *v, const struct seg *ss, uint32_t *esp, const void *buf, unsigned n,
                unsigned slot, unsigned user, uint32_t err, struct fault *f)
{
    uint32_t mask = stack_mask(ss), top = *esp & mask, low = (top - n) & mask;
    unsigned access = GMEM_WRITE | user;

    if (unlikely(!frame_fits(ss, *esp, n, slot)))
        return fault_set(f, VEC_SS, true, err);
    if (frame_wraps(ss, low, top)) {
        if (!frame_push_wrapped(v, ss, low, mask - low + 1, buf, n, access, f))
            return false;
    } else if (!gmem_write(v, ss->base + low, buf, n, access, f)) {
        return frame_push_fault(v, ss->base + low, n, slot, access, f);
    }
    *esp = (*esp & ~mask) | low;
    return true;
}

bool frame_peek(struct vcpu *v, uint32_t skip, void *buf, unsigned n, struct fault *f)
{
    const struct seg *ss = &v->seg[SEG_SS];
    uint32_t mask = stack_mask(ss), low = (v->gpr[REG_ESP] + skip) & mask;
    uint32_t first = mask - low >= n - 1 ? n : mask - low + 1;
    gla_t gla;

    if (!seg_linear(v, SEG_SS, low, first, false, &gla, f) ||
        !gmem_read(v, gla, buf, first, GMEM_READ | gmem_cpl(v), f))
        return false;
    if (likely(first == n))
        return true;
    return seg_linear(v, SEG_SS, 0, n - first, false, &gla, f) &&
           gmem_read(v, gla, (uint8_t *)buf + first, n - first, GMEM_READ | gmem_cpl(v), f);
}

void frame_narrow(uint32_t *slots, unsigned count)
{
    uint8_t *out = (uint8_t *)slots;

    for (unsigned i = 0; i < count; i++)
        put16(out + 2 * i, (uint16_t)slots[i]);
}

/* --- stack segments for a given privilege --- */

bool ss_check(struct vcpu *v, uint16_t sel, unsigned dpl, uint8_t vec, uint32_t ext, struct seg *ss,
              struct fault *f)
{
    struct desc d;

    if (unlikely(sel_is_null(sel)))
        return fault_set(f, vec, true, ext);
    if (!desc_read(v, sel, &d, vec, ext, f))
        return false;
    if (unlikely((sel & 3u) != dpl || desc_dpl(d) != dpl || !desc_is_writable_data(d)))
        return fault_set(f, vec, true, sel_err(sel, ext));
    if (unlikely(!desc_present(d)))
        return fault_set(f, VEC_SS, true, sel_err(sel, ext));
    if (!desc_access(v, sel, &d, f))
        return false;
    seg_from_desc(ss, sel, d);
    return true;
}

bool tss_stack(struct vcpu *v, unsigned cpl, uint32_t ext, struct seg *ss, uint32_t *esp, struct fault *f)
{
    bool tss32 = v->tr.attr & 8;
    uint32_t off = tss32 ? cpl * 8 + 4 : cpl * 4 + 2, len = tss32 ? 6 : 4;
    uint8_t raw[8];

    if (unlikely(off + len - 1 > v->tr.limit))
        return fault_set(f, VEC_TS, true, sel_err(v->tr.sel, ext));
    if (!gmem_read(v, v->tr.base + off, raw, len, GMEM_READ, f))
        return false;
    *esp = tss32 ? get32(raw) : get16(raw);
    return ss_check(v, get16(raw + len - 2), cpl, VEC_TS, ext, ss, f);
}
