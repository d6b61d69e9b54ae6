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
/* What a 32-bit IRET at CPL 0 takes from the image, but for VM: eflags_write(). */
#define EFLAGS_BY_IRET0                                                                                      \
    (EFLAGS_LIVE | EFLAGS_TF | EFLAGS_IF | EFLAGS_IOPL | EFLAGS_NT | EFLAGS_RF | EFLAGS_AC | EFLAGS_VIF | EFLAGS_VIP)
#define TSS_ESP0 4u
#define TSS_STACKS_END 27u /* last byte of SS2 */

static uint64_t raw(struct desc d) { return (uint64_t)d.hi << 32 | d.lo; }

static __attribute__((noinline)) const uint8_t *table_seen(struct vcpu *v, uint32_t base, uint32_t limit)
{
    return page_offset(base) + limit < PAGE_SIZE ? gmem_keep(v, base, 1, GMEM_READ) : NULL;
}

static struct tables_seen tables_now(struct vcpu *v)
{
    bool tss32 = (v->tr.attr & SEG_ATTR_TYPE) == DESC_TSS32_BUSY && v->tr.limit >= TSS_STACKS_END;

    return (struct tables_seen){
        .idt_limit = v->idtr.limit, .gdt_limit = v->gdtr.limit,
        .idt = table_seen(v, v->idtr.base, v->idtr.limit), .gdt = table_seen(v, v->gdtr.base, v->gdtr.limit),
        .tss = tss32 ? table_seen(v, v->tr.base, TSS_STACKS_END) : NULL,
    };
}

/* Where are the tables now? */
static __attribute__((noinline)) void tables_look(struct vcpu *v)
{
    struct tables_seen *t = &v->tables_seen, now = tables_now(v);

    now.serial = t->serial;
    if (now.idt != t->idt || now.gdt != t->gdt || now.tss != t->tss || now.idt_limit != t->idt_limit ||
        now.gdt_limit != t->gdt_limit)
        now.serial++;
    now.gen = v->gmem_gen;
    now.changes = v->changes;
    *t = now;
}

static inline const struct tables_seen *tables(struct vcpu *v)
{
    const struct tables_seen *t = &v->tables_seen;

    if (unlikely(t->gen != v->gmem_gen || t->changes != v->changes))
        tables_look(v);
    return t;
}

static __attribute__((noinline)) uint8_t *frame_look(struct vcpu *v, struct frame_seen *f, gla_t gla, unsigned size)
{
    uint8_t *p = gmem_keep(v, gla, size, GMEM_WRITE);

    if (p)
        *f = (struct frame_seen){ v->gmem_gen, gla, p };
    return p;
}

/* The frame of size bytes, always the same for one f, on a supervisor's stack at gla, to be read and written; NULL: not to be had now. */
static inline uint8_t *frame_at(struct vcpu *v, struct frame_seen *f, gla_t gla, unsigned size)
{
    if (likely(f->gla == gla && f->gen == v->gmem_gen))
        return f->hva;
    return frame_look(v, f, gla, size);
}

/* Where the GDT has the descriptor of sel; NULL: not to be seen now. */
static inline const uint8_t *gdt_at(const struct tables_seen *t, uint16_t sel)
{
    return t->gdt && (sel | 7u) <= t->gdt_limit ? t->gdt + (sel & ~7u) : NULL;
}

static inline const uint8_t *idt_at(const struct tables_seen *t, unsigned vec)
{
    return t->idt && vec * 8 + 7 <= t->idt_limit ? t->idt + vec * 8 : NULL;
}

static bool stack_is_flat(const struct seg *ss)
{
    return ss->base == 0 && ss->limit == 0xffffffffu && (ss->attr & SEG_ATTR_DB) && !(ss->attr & SEG_ATTR_EC);
}

/* CS, and SS too if it is not NULL.  Whoever makes host selectors finds out whether they are others than before. */
static inline void put_segs(struct vcpu *v, const struct seg *cs, const struct seg *ss)
{
    const struct trace_ring *t = v->vm->trace;

    v->hsel_dirty |= BIT(SEG_CS) | BIT(SEG_SS);
    v->seg[SEG_CS] = *cs;
    if (likely(ss != NULL))
        v->seg[SEG_SS] = *ss;
    if (TRACE_ON(t, seg_load)) {
        trace_write(v->vm->trace, TRACE_seg_load, SEG_CS, cs->sel, cs->base);
        if (ss)
            trace_write(v->vm->trace, TRACE_seg_load, SEG_SS, ss->sel, ss->base);
    }
}

/* Does s, the stack just loaded, come from the descriptor at p? Not if the frame overwrote it. */
static bool stack_is_from(const struct seg *s, const uint8_t *p)
{
    struct seg from;

    seg_from_desc(&from, s->sel, (struct desc){ get32(p), get32(p + 4) });
    return seg_equal(&from, s);
}

/* ------------------------------------------------------------------ gates */

static inline void gate_commit(struct vcpu *v, const struct gate_seen *g, bool inner, uint32_t esp)
{
    v->eflags &= g->keep;
    put_segs(v, &g->cs, inner ? &g->ss : NULL);
    v->gpr[REG_ESP] = esp;
    v->cpl = g->cpl;
    v->eip = g->eip;
    v->shadow = 0;
    v->halted = false;
}

/* All that the gate led to rests on these three descriptors, and on the TSS. */
static inline bool gate_holds(const struct gate_seen *g, const struct tables_seen *t)
{
    return g->serial == t->serial && get64(g->gate_at) == g->gate && get64(g->code_at) == g->code &&
           get64(g->stack_at) == g->stack;
}

static inline uint32_t gate_key(unsigned vec, unsigned cpl, bool err)
{
    return vec | cpl << 8 | (uint32_t)err << 16 | GATE_KNOWN;
}

/* The stack pointer that g leads to, if the TSS still names its segment. */
static inline bool gate_stack(const struct vcpu *v, const struct gate_seen *g, bool inner, uint32_t *esp)
{
    if (inner) {
        *esp = get32(g->esp_at);
        return get16(g->esp_at + 4) == g->ss.sel;
    }
    *esp = v->gpr[REG_ESP];
    return stack_is_flat(&v->seg[SEG_SS]);
}

/* Copies of this are made for what its callers know of the gate. */
static inline __attribute__((always_inline)) bool gate_enter(struct vcpu *v, struct gate_seen *g, bool inner,
                                                             const uint32_t *err, uint32_t image, uint32_t ret_eip)
{
    unsigned size = (inner ? 20 : 12) + (err ? 4 : 0);
    uint8_t *frame; /* at any address */
    uint32_t esp;

    if (!gate_holds(g, tables(v)) || !gate_stack(v, g, inner, &esp))
        return false;
    esp -= size;
    frame = frame_at(v, &g->frame, esp, size);
    if (unlikely(!frame))
        return false;
    if (err) {
        put32(frame, *err);
        frame += 4;
    }
    put32(frame, ret_eip);
    put32(frame + 4, v->seg[SEG_CS].sel);
    put32(frame + 8, image);
    if (inner) {
        put32(frame + 12, v->gpr[REG_ESP]);
        put32(frame + 16, v->seg[SEG_SS].sel);
    }
    gate_commit(v, g, inner, esp);
    return true;
}

bool gate_enter_seen(struct vcpu *v, unsigned vec, const uint32_t *err, bool rf, uint32_t ret_eip)
{
    struct gate_seen *g = &v->gate_seen[vec % GATES_SEEN];
    uint32_t image = v->eflags | (rf ? EFLAGS_RF : 0);

    KEEP_POINTER(g);
    if (g->key != gate_key(vec, v->cpl, err != NULL) || vcpu_v86(v))
        return false;
    return g->esp_at ? gate_enter(v, g, true, err, image, ret_eip) : gate_enter(v, g, false, err, image, ret_eip);
}

bool gate_int_seen(struct vcpu *v, unsigned vec, uint32_t ret_eip)
{
    struct gate_seen *g = &v->gate_seen[vec % GATES_SEEN];

    KEEP_POINTER(g);
    return g->int_key == gate_key(vec, v->cpl, false) && gate_enter(v, g, true, NULL, v->eflags, ret_eip);
}

void gate_note(struct vcpu *v, unsigned vec, unsigned from_cpl, bool inner, bool err, struct desc gate, struct desc code)
{
    struct gate_seen *g = &v->gate_seen[vec % GATES_SEEN];
    const struct tables_seen *t = &v->tables_seen;
    const uint8_t *gate_at, *code_at, *stack_at;

    tables_look(v); /* they are all known to the TLB now */
    g->key = g->int_key = 0;
    gate_at = idt_at(t, vec);
    code_at = gdt_at(t, v->seg[SEG_CS].sel);
    stack_at = inner ? gdt_at(t, v->seg[SEG_SS].sel) : code_at;
    if (!gate_at || !code_at || !stack_at || !gate_is32(gate) || v->cpl == 3 || (v->seg[SEG_CS].sel & SEL_TI) ||
        (v->seg[SEG_SS].sel & SEL_TI) || !stack_is_flat(&v->seg[SEG_SS]) ||
        (inner && (!t->tss || !stack_is_from(&v->seg[SEG_SS], stack_at))))
        return;
    *g = (struct gate_seen){ .key = gate_key(vec, from_cpl, err), .serial = t->serial, .gate_at = gate_at,
                             .code_at = code_at, .stack_at = stack_at, .gate = raw(gate), .code = raw(code),
                             .stack = inner ? get64(stack_at) : raw(code),
                             .esp_at = inner ? t->tss + TSS_ESP0 + 8 * v->cpl : NULL, .cs = v->seg[SEG_CS],
                             .ss = v->seg[SEG_SS], .eip = v->eip, .cpl = v->cpl,
                             .int_key = inner && !err && desc_dpl(gate) >= from_cpl ? gate_key(vec, from_cpl, err) : 0,
                             .keep = ~(EFLAGS_TF | EFLAGS_NT | EFLAGS_RF | (desc_type(gate) & 1 ? 0 : EFLAGS_IF)) };
}

/* ------------------------------------------------------------------- IRET */

static inline struct iret_seen *iret_slot(struct vcpu *v, uint16_t cs) { return &v->iret_seen[(cs >> 3) % IRETS_SEEN]; }

static inline bool iret_holds(const struct iret_seen *r, const struct tables_seen *t)
{
    return r->serial == t->serial && get64(r->code_at) == r->code && get64(r->stack_at) == r->stack;
}

bool iret_seen(struct vcpu *v)
{
    const struct iret_seen *r;
    const uint8_t *p;
    uint32_t image;

    p = frame_at(v, &v->iret_frame, v->gpr[REG_ESP], 20); /* if the stack is one that makes that right */
    if (unlikely(!p))
        return false;
    r = iret_slot(v, get16(p + 4));
    KEEP_POINTER(r);
    image = get32(p + 8);
    if (r->key != (get16(p + 4) | IRET_KNOWN) || !seg_equal(&v->seg[SEG_SS], &r->from) || get32(p) > r->cs.limit ||
        !iret_holds(r, tables(v)) || (image & EFLAGS_VM) || (r->outer && r->ss.sel != get16(p + 16)))
        return false;
    v->eflags = (image & EFLAGS_BY_IRET0) | EFLAGS_FIXED;
    put_segs(v, &r->cs, r->outer ? &r->ss : NULL);
    v->eip = get32(p);
    v->vm->stats->irets++;
    if (unlikely(!r->outer)) {
        v->gpr[REG_ESP] += 12;
        return true;
    }
    v->gpr[REG_ESP] = get32(p + 12);
    v->cpl = r->cpl;
    ret_null_segments(v);
    return true;
}

void iret_note(struct vcpu *v, unsigned from_cpl, const struct seg *from, struct desc code)
{
    struct iret_seen *r = iret_slot(v, v->seg[SEG_CS].sel);
    const struct tables_seen *t = &v->tables_seen;
    bool outer = v->cpl != from_cpl;
    const uint8_t *code_at, *stack_at;

    tables_look(v);
    r->key = 0;
    code_at = gdt_at(t, v->seg[SEG_CS].sel);
    stack_at = outer ? gdt_at(t, v->seg[SEG_SS].sel) : code_at;
    if (from_cpl || !stack_is_flat(from) || !code_at || !stack_at || (v->seg[SEG_CS].sel & SEL_TI) || (v->seg[SEG_SS].sel & SEL_TI) ||
        !(v->seg[SEG_SS].attr & SEG_ATTR_DB) || (outer && !stack_is_from(&v->seg[SEG_SS], stack_at)))
        return;
    *r = (struct iret_seen){ .key = v->seg[SEG_CS].sel | IRET_KNOWN, .serial = t->serial, .code_at = code_at, .stack_at = stack_at, .code = raw(code),
                             .stack = outer ? get64(stack_at) : raw(code), .cs = v->seg[SEG_CS],
                             .ss = v->seg[SEG_SS], .outer = outer, .cpl = v->cpl, .from = *from };
}
