/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What gates and IRETs led to last time.
 *
 * A system call goes through the same gate to the same code segment and the same inner stack segment, and its
 * IRET back to the same two user segments, as the one before. Reading and checking four descriptors each time
 * is most of the work. So the outcome is kept beside the raw descriptors that it came from; if memory
 * still holds the very same bits, nothing can have changed, and what remains is to build (or take) the frame.
 * No invalidation is needed.
 *
 * Kept is only what is common: 32-bit gates of the IDT, segments of the GDT, flat stacks, nothing of V86 or task
 * gates. Anything unusual, a memory access that the TLB does not know among them, is a miss, and the
 * complete way is gone, which notes what it found.
 */
#include "cpu/gatecache.h"
#include "cpu/control.h"
#include "cpu/frame.h"
#include "cpu/gmem.h"

#define SEL_TI 4u
#define TSS_ESP0 4u
#define TSS_STACKS_END 27u /* last byte of SS2 */

static uint64_t raw(struct desc d) { return (uint64_t)d.hi << 32 | d.lo; }

static __attribute__((noinline)) const uint8_t *table_seen(struct vcpu *v, uint32_t base, uint32_t limit)
{
    return page_offset(base) + limit < PAGE_SIZE ? gmem_seen(v, base, 1, GMEM_READ) : NULL;
}

static __attribute__((noinline)) void tables_look(struct vcpu *v)
{
    v->tables_seen = (struct tables_seen){
        .gen = v->gmem_gen, .idt_base = v->idtr.base, .gdt_base = v->gdtr.base, .tss_base = v->tr.base,
        .idt_limit = v->idtr.limit, .gdt_limit = v->gdtr.limit,
        .idt = table_seen(v, v->idtr.base, v->idtr.limit), .gdt = table_seen(v, v->gdtr.base, v->gdtr.limit),
        .tss = table_seen(v, v->tr.base, TSS_STACKS_END),
    };
}

static inline const struct tables_seen *tables(struct vcpu *v)
{
    const struct tables_seen *t = &v->tables_seen;

    if (unlikely(t->gen != v->gmem_gen || t->idt_base != v->idtr.base || t->gdt_base != v->gdtr.base ||
                 t->tss_base != v->tr.base || t->idt_limit != v->idtr.limit || t->gdt_limit != v->gdtr.limit))
        tables_look(v);
    return t;
}

/* What the tables have at sel, or for a vector; 0: not to be seen now. */
static inline uint64_t gdt_raw(const struct vcpu *v, const struct tables_seen *t, uint16_t sel)
{
    return t->gdt && (sel | 7u) <= v->gdtr.limit ? get64(t->gdt + (sel & ~7u)) : 0;
}

static inline uint64_t idt_raw(const struct vcpu *v, const struct tables_seen *t, unsigned vec)
{
    return t->idt && vec * 8 + 7 <= v->idtr.limit ? get64(t->idt + vec * 8) : 0;
}

static bool stack_is_flat(const struct seg *ss)
{
    return ss->base == 0 && ss->limit == 0xffffffffu && (ss->attr & SEG_ATTR_DB) && !(ss->attr & SEG_ATTR_EC);
}

static inline void put_seg(struct vcpu *v, unsigned seg, const struct seg *s)
{
    if (!seg_equal(&v->seg[seg], s))
        v->hsel_dirty |= 1u << seg;
    v->seg[seg] = *s;
    TRACE_EV(v->vm->trace, seg_load, seg, s->sel, s->base);
}

/* The descriptor in the GDT that s, the stack just loaded, came from; 0: not to be seen, or the frame overwrote it. */
static uint64_t stack_raw(const struct vcpu *v, const struct seg *s)
{
    uint64_t now = gdt_raw(v, &v->tables_seen, s->sel);
    struct seg from;

    seg_from_desc(&from, s->sel, (struct desc){ (uint32_t)now, (uint32_t)(now >> 32) });
    return seg_equal(&from, s) ? now : 0;
}

/* ------------------------------------------------------------------ gates */

/* The inner stack's pointer, if the TSS names the segment that it did. */
static inline bool inner_stack(const struct vcpu *v, const struct tables_seen *t, const struct gate_seen *g,
                               uint32_t *esp)
{
    unsigned at = TSS_ESP0 + 8 * g->cpl;
    const uint8_t *tss = t->tss;

    if (!tss || get16(tss + at + 4) != g->ss.sel || (v->tr.attr & SEG_ATTR_TYPE) != DESC_TSS32_BUSY ||
        at + 7 > v->tr.limit)
        return false;
    *esp = get32(tss + at);
    return gdt_raw(v, t, g->ss.sel) == g->stack;
}

static void gate_commit(struct vcpu *v, const struct gate_seen *g, uint32_t esp)
{
    uint32_t clear = EFLAGS_TF | EFLAGS_NT | EFLAGS_RF | (g->is_trap ? 0 : EFLAGS_IF);

    v->eflags &= ~clear;
    if (g->inner)
        put_seg(v, SEG_SS, &g->ss);
    put_seg(v, SEG_CS, &g->cs);
    v->gpr[REG_ESP] = esp;
    v->cpl = g->cpl;
    v->eip = g->eip;
    v->shadow = 0;
    v->halted = false;
}

bool gate_enter_seen(struct vcpu *v, unsigned vec, bool soft, const uint32_t *err, bool rf, uint32_t ret_eip)
{
    const struct gate_seen *g = &v->gate_seen[vec % GATES_SEEN];
    const struct tables_seen *t = tables(v);
    uint32_t esp = v->gpr[REG_ESP], size;
    uint8_t *frame; /* at any address */

    if (!g->gate || g->vec != vec || g->from_cpl != v->cpl || vcpu_v86(v) || (soft && g->dpl < v->cpl))
        return false;
    if (idt_raw(v, t, vec) != g->gate || gdt_raw(v, t, g->cs.sel) != g->code)
        return false;
    if (g->inner ? !inner_stack(v, t, g, &esp) : !stack_is_flat(&v->seg[SEG_SS]))
        return false;
    size = (g->inner ? 20 : 12) + (err ? 4 : 0);
    frame = gmem_seen(v, esp - size, size, GMEM_WRITE);
    if (!frame)
        return false;
    esp -= size;
    if (err) {
        put32(frame, *err);
        frame += 4;
    }
    put32(frame, ret_eip);
    put32(frame + 4, v->seg[SEG_CS].sel);
    put32(frame + 8, v->eflags | (rf ? EFLAGS_RF : 0));
    if (g->inner) {
        put32(frame + 12, v->gpr[REG_ESP]);
        put32(frame + 16, v->seg[SEG_SS].sel);
    }
    gate_commit(v, g, esp);
    return true;
}

void gate_note(struct vcpu *v, unsigned vec, unsigned from_cpl, bool inner, struct desc gate, struct desc code)
{
    struct gate_seen *g = &v->gate_seen[vec % GATES_SEEN];
    uint64_t stack;

    tables_look(v); /* they are all known to the TLB now */
    stack = inner ? stack_raw(v, &v->seg[SEG_SS]) : 0;
    g->gate = 0;
    if (!gate_is32(gate) || (inner && !stack) || v->cpl == 3 || (v->seg[SEG_CS].sel & SEL_TI) || (v->seg[SEG_SS].sel & SEL_TI) ||
        !stack_is_flat(&v->seg[SEG_SS]))
        return;
    *g = (struct gate_seen){ .gate = raw(gate), .code = raw(code), .stack = stack, .cs = v->seg[SEG_CS],
                             .ss = v->seg[SEG_SS], .eip = v->eip, .vec = (uint8_t)vec,
                             .from_cpl = (uint8_t)from_cpl, .cpl = v->cpl, .dpl = (uint8_t)desc_dpl(gate),
                             .inner = inner, .is_trap = desc_type(gate) & 1 };
}

/* ------------------------------------------------------------------- IRET */

static struct iret_seen *iret_slot(struct vcpu *v, uint16_t cs) { return &v->iret_seen[(cs >> 3) % IRETS_SEEN]; }

bool iret_seen(struct vcpu *v)
{
    uint32_t esp = v->gpr[REG_ESP];
    const uint8_t *p = gmem_seen(v, esp, 20, GMEM_READ | gmem_cpl(v));
    const struct tables_seen *t = tables(v);
    const struct iret_seen *r;

    if (!p || !stack_is_flat(&v->seg[SEG_SS]) || (get32(p + 8) & EFLAGS_VM))
        return false;
    r = iret_slot(v, get16(p + 4));
    if (!r->code || r->cs.sel != get16(p + 4) || r->from_cpl != v->cpl || get32(p) > r->cs.limit ||
        gdt_raw(v, t, r->cs.sel) != r->code)
        return false;
    if (r->outer && (r->ss.sel != get16(p + 16) || gdt_raw(v, t, r->ss.sel) != r->stack))
        return false;
    eflags_write(v, get32(p + 8), 4, true);
    put_seg(v, SEG_CS, &r->cs);
    v->eip = get32(p);
    v->gpr[REG_ESP] = esp + 12;
    if (r->outer) {
        put_seg(v, SEG_SS, &r->ss);
        v->gpr[REG_ESP] = get32(p + 12);
        v->cpl = r->cs.sel & 3;
        ret_null_segments(v);
    }
    return true;
}

void iret_note(struct vcpu *v, unsigned from_cpl, struct desc code)
{
    struct iret_seen *r = iret_slot(v, v->seg[SEG_CS].sel);
    bool outer = v->cpl != from_cpl;
    uint64_t stack;

    tables_look(v);
    stack = outer ? stack_raw(v, &v->seg[SEG_SS]) : 0;
    r->code = 0;
    if ((v->seg[SEG_CS].sel & SEL_TI) || (v->seg[SEG_SS].sel & SEL_TI) || !(v->seg[SEG_SS].attr & SEG_ATTR_DB) ||
        (outer && !stack))
        return;
    *r = (struct iret_seen){ .code = raw(code), .stack = stack, .cs = v->seg[SEG_CS], .ss = v->seg[SEG_SS],
                             .from_cpl = (uint8_t)from_cpl, .outer = outer };
}
