/*
 * Segmentation (SDM vol. 3A chapters 3 and 5): descriptors, loads, checks.
 *
 * World: monitor.  Units: bytes; selectors as the guest sees them.  All
 * functions that can fault return true when done, or false with *f filled and
 * the vCPU unchanged.  Real mode and V86 loads are handled too.
 */
#ifndef CPU_SEGMENT_H
#define CPU_SEGMENT_H

#include "base/mem.h"
#include "cpu/vcpu.h"

struct desc {
    uint32_t lo, hi; /* as in memory */
};

static inline uint32_t desc_base(struct desc d)
{
    return (d.lo >> 16) | (d.hi & 0xff) << 16 | (d.hi & 0xff000000);
}
static inline uint32_t desc_limit(struct desc d)
{
    uint32_t l = (d.lo & 0xffff) | (d.hi & 0xf0000);
    return d.hi & BIT(23) ? l << 12 | 0xfff : l;
}
static inline uint16_t desc_attr(struct desc d) { return d.hi >> 8 & 0xf0ff; }

/* Read a descriptor from the GDT or LDT.  A selector beyond the table's limit (or
 * in an unusable LDT) gives fault `vec` with error code (sel & ~3) | ext. */
bool desc_read(struct vcpu *v, uint16_t sel, struct desc *d, uint8_t vec, unsigned ext, struct fault *f);
bool desc_write_hi(struct vcpu *v, uint16_t sel, uint32_t hi, struct fault *f);
void seg_from_desc(struct seg *s, uint16_t sel, struct desc d);

/* MOV/POP/LDS to a data or stack segment register, all checks, sets the accessed bit;
 * SEG_SS does the stack rules; not for CS. */
bool seg_load(struct vcpu *v, unsigned seg, uint16_t sel, struct fault *f);
/* Would loading the selector that data segment register seg holds leave it as it is? Then that's why: this descriptor,
 * at this address. */
bool seg_reload_same(struct vcpu *v, unsigned seg, gla_t *gla, struct desc *d);
/* Real-mode / V86 load. */
void seg_load_real(struct vcpu *v, unsigned seg, uint16_t sel);
/* Set a segment register outright and mark it for world_seg_sync(). */
void seg_set(struct vcpu *v, unsigned seg, const struct seg *s);

/*
 * Offset to linear with all checks of a memory access: null, present, type
 * (write needs RW data, read of execute-only code refused), limit incl.
 * expand-down.  #GP(0), or #SS(0) for SEG_SS.
 */
bool seg_linear(struct vcpu *v, unsigned seg, uint32_t off, unsigned len, bool write, gla_t *gla, struct fault *f);

/* LLDT, LTR, LAR/LSL/VERR/VERW (these return ZF, and never fault but for the reads of the tables). */
bool seg_lldt(struct vcpu *v, uint16_t sel, struct fault *f);
bool seg_ltr(struct vcpu *v, uint16_t sel, struct fault *f);
bool seg_lar(struct vcpu *v, uint16_t sel, uint32_t *out, bool *zf, struct fault *f);
bool seg_lsl(struct vcpu *v, uint16_t sel, uint32_t *out, bool *zf, struct fault *f);
bool seg_verify(struct vcpu *v, uint16_t sel, bool write, bool *zf, struct fault *f);

/* Fault constructors. */
static inline bool fault_set(struct fault *f, uint8_t vec, bool has_err, uint32_t err)
{
    f->vec = vec;
    f->has_err = has_err;
    f->err = err;
    f->cr2 = 0;
    return false;
}
/* Are two segment registers the same, hidden parts and all? */
static inline bool seg_equal(const struct seg *a, const struct seg *b)
{
    _Static_assert(offsetof(struct seg, limit) == 8, "selector, attributes and base are the first eight bytes");
    return get64(a) == get64(b) && a->limit == b->limit;
}

static inline bool fault_gp(struct fault *f, uint32_t err) { return fault_set(f, VEC_GP, true, err); }
static inline bool fault_ud(struct fault *f) { return fault_set(f, VEC_UD, false, 0); }

#endif
