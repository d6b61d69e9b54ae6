/*
 * What the files of this folder share about stacks, gates and code segments.
 *
 * World: monitor, cpu/ only (far.c, iret.c, taskswitch.c, stack.c,
 * exception.c, segment.c).  Units: bytes.  Everything that can fault returns
 * false with *f filled; nothing here but the commit helpers changes the vCPU's
 * registers, so a transfer checks and writes all its memory first and commits
 * last.  `ext` is the EXT bit (0 or 1) for error codes.
 */
#ifndef CPU_FRAME_H
#define CPU_FRAME_H

#include "cpu/segment.h"

static inline unsigned desc_type(struct desc d) { return d.hi >> 8 & 0xf; }
/* Type with the S bit above it: < 16 is a system descriptor. */
static inline unsigned desc_kind(struct desc d) { return d.hi >> 8 & 0x1f; }
static inline unsigned desc_dpl(struct desc d) { return d.hi >> 13 & 3; }
static inline bool desc_present(struct desc d) { return d.hi & BIT(15); }
static inline bool desc_is_code(struct desc d) { return (d.hi & (BIT(12) | BIT(11))) == (BIT(12) | BIT(11)); }
static inline bool desc_is_conforming(struct desc d) { return d.hi & BIT(10); }
static inline bool desc_is_writable_data(struct desc d)
{
    return (d.hi & (BIT(12) | BIT(11) | BIT(9))) == (BIT(12) | BIT(9));
}
static inline bool sel_is_null(uint16_t sel) { return !(sel & ~3u); }
static inline uint32_t sel_err(uint16_t sel, uint32_t ext) { return (sel & 0xfffcu) | ext; }

/* Gates: target selector and offset. */
static inline uint16_t gate_sel(struct desc g) { return g.lo >> 16; }
static inline bool gate_is32(struct desc g) { return g.hi & BIT(11); }
static inline uint32_t gate_off(struct desc g)
{
    return (g.lo & 0xffff) | (gate_is32(g) ? g.hi & 0xffff0000 : 0);
}

static inline bool seg_is_flat(const struct seg *s)
{
    return s->base == 0 && s->limit == 0xffffffffu &&
           (s->attr & (SEG_ATTR_CODE | SEG_ATTR_EC)) != SEG_ATTR_EC;
}

/* Does [off, off+len) lie within the segment?  Expand-down segments are turned round (SDM 5.3).  In a flat
 * segment an access may wrap: the SDM leaves that to the implementation, and host CPUs raise nothing there,
 * but do so when the base is not zero. */
static inline bool seg_fits(const struct seg *s, uint32_t off, uint32_t len)
{
    uint32_t last = off + len - 1;

    if (unlikely(last < off))
        return s->limit == 0xffffffffu && s->base == 0 &&
               (s->attr & (SEG_ATTR_CODE | SEG_ATTR_EC)) != SEG_ATTR_EC;
    if (likely((s->attr & (SEG_ATTR_CODE | SEG_ATTR_EC)) != SEG_ATTR_EC))
        return last <= s->limit;
    return off > s->limit && last <= (s->attr & SEG_ATTR_DB ? 0xffffffffu : 0xffffu);
}

/* Set the accessed bit of a code or data descriptor in memory and in *d, if it is clear. */
bool desc_access(struct vcpu *v, uint16_t sel, struct desc *d, struct fault *f);

/* Checks for a stack segment with privilege `dpl` taken from a TSS or a frame.  vec is #TS or #GP for all but
 * absence, which is #SS. */
bool ss_check(struct vcpu *v, uint16_t sel, unsigned dpl, uint8_t vec, uint32_t ext, struct seg *ss,
              struct fault *f);

/* SS:ESP of an inner ring from the current TSS (SDM 5.8.5). */
bool tss_stack(struct vcpu *v, unsigned cpl, uint32_t ext, struct seg *ss, uint32_t *esp, struct fault *f);

/* Has the segment room for a frame of n bytes, in slots of `slot` bytes, below esp?  Pages are not looked at. */
bool frame_fits(const struct seg *ss, uint32_t esp, unsigned n, unsigned slot);
/*
 * Write n bytes (slots of `slot` bytes, lowest address first) below *esp of `ss` in one go, all or nothing,
 * and move *esp.  A stack that wraps is honoured.  Past the limit: #SS(err).
 */
bool frame_push(struct vcpu *v, const struct seg *ss, uint32_t *esp, const void *buf, unsigned n,
                unsigned slot, unsigned user, uint32_t err, struct fault *f);
/* Read n bytes at SS:ESP+skip of the current stack; #SS(0). */
bool frame_peek(struct vcpu *v, uint32_t skip, void *buf, unsigned n, struct fault *f);
/* Squeeze dwords into words for a 16-bit frame, in place. */
void frame_narrow(uint32_t *slots, unsigned count);

/* The code segment that a frame returns to (RETF, IRET; SDM 5.8.6). */
bool ret_code_check(struct vcpu *v, uint16_t sel, struct desc *d, struct fault *f);
/* After a return to an outer ring: null the data segments that it may not use. */
void ret_null_segment(struct vcpu *v, unsigned seg);
static inline bool seg_stays_always(const struct seg *s)
{
    unsigned attr = s->attr & (SEG_ATTR_P | SEG_ATTR_DPL);

    return attr == (SEG_ATTR_P | SEG_ATTR_DPL) || !attr; /* DPL 3, or null */
}
static inline void ret_null_segments(struct vcpu *v)
{
    if (unlikely(!seg_stays_always(&v->seg[SEG_ES])))
        ret_null_segment(v, SEG_ES);
    if (unlikely(!seg_stays_always(&v->seg[SEG_DS])))
        ret_null_segment(v, SEG_DS);
    if (unlikely(!seg_stays_always(&v->seg[SEG_FS])))
        ret_null_segment(v, SEG_FS);
    if (unlikely(!seg_stays_always(&v->seg[SEG_GS])))
        ret_null_segment(v, SEG_GS);
}

/* Commit helpers. */
void cs_commit(struct vcpu *v, uint16_t sel, struct desc d, unsigned cpl);
void esp_set(struct vcpu *v, uint32_t esp);

/* Call/JMP/IDT task gates: switch to the task that gate selector names. */
bool task_gate(struct vcpu *v, uint16_t tss_sel, bool jmp, uint32_t next_eip, struct fault *f);
bool task_event(struct vcpu *v, uint16_t tss_sel, uint32_t ret_eip, uint32_t ext, bool has_err, uint32_t err,
                bool rf, struct fault *f);

#endif
