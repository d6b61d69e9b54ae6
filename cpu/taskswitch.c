/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hardware task switches (SDM vol. 3A chapter 7).
 *
 * A JMP, CALL, IRET or event that names a TSS stores the registers in the
 * current TSS and loads them from the new one.  Busy bits keep tasks from
 * recursion: JMP and IRET clear the old one's, all but IRET set the new one's;
 * CALL and events write the back link and set NT, which IRET follows.
 *
 * Up to the commit point (everything in switch_prepare) a fault belongs to
 * the old task and leaves the vCPU unchanged.  After it the new task's
 * segment selectors are loaded and checked one by one, and a fault belongs to
 * the new task: it comes back as false with the vCPU at the new task's first
 * instruction, which is where the caller delivers it.  A TSS with the T bit
 * set comes back as a #DB in the same manner, with DR6.BT set.
 *
 * Not done: the debug registers' breakpoints in the new task before its first
 * instruction.
 */
#include "cpu/frame.h"
#include "cpu/gmem.h"
#include "cpu/transfer.h"

#define TSS32_SIZE 0x68u
#define TSS16_SIZE 0x2cu
/* The part of a TSS that a switch stores. */
#define TSS32_SAVE 0x20u
#define TSS32_SAVE_END 0x60u
#define TSS16_SAVE 0x0eu
#define TSS16_SAVE_END 0x2au

#define TSS_EFLAGS 0x003f7fd5u
#define DR6_BT BIT(15)
#define DR7_LOCAL 0x155u /* L0-L3 and LE */

struct switching {
    uint16_t sel;      /* of the new TSS */
    enum task_how how;
    uint32_t next_eip; /* stored as the old task's EIP */
    uint32_t ext;      /* EXT bit */
    bool rf;           /* stored image has RF set */
    struct desc d;     /* the new TSS's descriptor */
    uint64_t pdpte[4]; /* PAE: of the new task's CR3 */
};

/* The dynamic part of a TSS of either size. */
struct task {
    uint32_t cr3, eip, eflags;
    uint32_t gpr[8];
    uint16_t sel[SEG_COUNT];
    uint16_t ldt;
    bool trap;
};

static bool tss_is32(uint16_t attr)
{
    return attr & 8;
}

/* --- TSS images --- */

static void task_unpack32(struct task *t, const uint8_t *m)
{
    t->cr3 = get32(m + 0x1c);
    t->eip = get32(m + 0x20);
    t->eflags = get32(m + 0x24);
    for (unsigned i = 0; i < 8; i++)
        t->gpr[i] = get32(m + 0x28 + 4 * i);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        t->sel[i] = get16(m + 0x48 + 4 * i);
    t->ldt = get16(m + 0x60);
    t->trap = m[0x64] & 1;
}

static void task_unpack16(struct task *t, const uint8_t *m)
{
    memset(t, 0, sizeof(*t));
    t->eip = get16(m + 0x0e);
    t->eflags = get16(m + 0x10);
    for (unsigned i = 0; i < 8; i++)
        t->gpr[i] = 0xffff0000u | get16(m + 0x12 + 2 * i);
    for (unsigned i = 0; i < 4; i++)
        t->sel[i] = get16(m + 0x22 + 2 * i);
    t->ldt = get16(m + 0x2a);
}

static bool task_read(struct vcpu *v, struct desc d, struct task *t, struct fault *f)
{
    bool is32 = tss_is32(desc_attr(d));
    uint8_t m[TSS32_SIZE];

    if (!gmem_read(v, desc_base(d), m, is32 ? TSS32_SIZE : TSS16_SIZE, GMEM_READ, f))
        return false;
    if (is32)
        task_unpack32(t, m);
    else
        task_unpack16(t, m);
    return true;
}

/* Store the current task's registers in its TSS. */
static bool task_save(struct vcpu *v, const struct switching *s, struct fault *f)
{
    uint32_t eflags = v->eflags | (s->rf ? EFLAGS_RF : 0);
    uint8_t m[TSS32_SIZE];

    if (s->how == TASK_IRET)
        eflags &= ~EFLAGS_NT;
    if (!tss_is32(v->tr.attr)) {
        put16(m + 0x0e, (uint16_t)s->next_eip);
        put16(m + 0x10, (uint16_t)eflags);
        for (unsigned i = 0; i < 8; i++)
            put16(m + 0x12 + 2 * i, (uint16_t)v->gpr[i]);
        for (unsigned i = 0; i < 4; i++)
            put16(m + 0x22 + 2 * i, v->seg[i].sel);
        return gmem_write(v, v->tr.base + TSS16_SAVE, m + TSS16_SAVE, TSS16_SAVE_END - TSS16_SAVE,
                          GMEM_WRITE, f);
    }
    put32(m + 0x20, s->next_eip);
    put32(m + 0x24, eflags);
    for (unsigned i = 0; i < 8; i++)
        put32(m + 0x28 + 4 * i, v->gpr[i]);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        put32(m + 0x48 + 4 * i, v->seg[i].sel);
    return gmem_write(v, v->tr.base + TSS32_SAVE, m + TSS32_SAVE, TSS32_SAVE_END - TSS32_SAVE, GMEM_WRITE, f);
}

/* --- before the commit point --- */

static bool switch_check_tss(struct vcpu *v, struct switching *s, struct fault *f)
{
    uint8_t vec = s->how == TASK_IRET ? VEC_TS : VEC_GP;
    unsigned busy = s->how == TASK_IRET ? 2 : 0;
    unsigned kind;

    if (s->sel & 4)
        return fault_set(f, vec, true, sel_err(s->sel, s->ext));
    if (!desc_read(v, s->sel, &s->d, vec, s->ext, f))
        return false;
    kind = desc_kind(s->d);
    if (kind != (DESC_TSS16 | busy) && kind != (DESC_TSS32 | busy))
        return fault_set(f, vec, true, sel_err(s->sel, s->ext));
    if (!desc_present(s->d))
        return fault_set(f, VEC_NP, true, sel_err(s->sel, s->ext));
    if (desc_limit(s->d) < (kind & 8 ? TSS32_SIZE : TSS16_SIZE) - 1)
        return fault_set(f, VEC_TS, true, sel_err(s->sel, s->ext));
    return true;
}

/* Every write that the switch will make, tried out. */
static bool switch_probe(struct vcpu *v, const struct switching *s, struct fault *f)
{
    bool old32 = tss_is32(v->tr.attr);
    uint32_t from = old32 ? TSS32_SAVE : TSS16_SAVE, to = old32 ? TSS32_SAVE_END : TSS16_SAVE_END;

    if (v->tr.limit < to - 1 || (v->tr.sel | 7u) > v->gdtr.limit)
        return fault_set(f, VEC_TS, true, sel_err(v->tr.sel, s->ext));
    return gmem_probe(v, v->tr.base + from, to - from, GMEM_WRITE, f) &&
           gmem_probe(v, desc_base(s->d), 2, GMEM_WRITE, f) &&
           gmem_probe(v, v->gdtr.base + (v->tr.sel & ~7u) + 4, 4, GMEM_WRITE, f) &&
           gmem_probe(v, v->gdtr.base + (s->sel & ~7u) + 4, 4, GMEM_WRITE, f);
}

static bool switch_loads_cr3(const struct vcpu *v, const struct switching *s)
{
    return tss_is32(desc_attr(s->d)) && (v->cr0 & CR0_PG);
}

/* The new page directory pointers are checked now and loaded later. */
static bool switch_check_pdptes(struct vcpu *v, struct switching *s, uint32_t cr3, struct fault *f)
{
    uint64_t old[4];
    bool ok;

    if (!switch_loads_cr3(v, s) || !(v->cr4 & CR4_PAE))
        return true;
    memcpy(old, v->pdpte, sizeof(old));
    ok = gmem_load_pdptes(v, cr3, v->cr4, v->efer);
    memcpy(s->pdpte, v->pdpte, sizeof(old));
    memcpy(v->pdpte, old, sizeof(old));
    return ok || fault_gp(f, s->ext);
}

static bool switch_prepare(struct vcpu *v, struct switching *s, struct task *t, struct fault *f)
{
    return switch_check_tss(v, s, f) && task_read(v, s->d, t, f) && switch_probe(v, s, f) &&
           switch_check_pdptes(v, s, t->cr3, f);
}

/* --- the commit --- */

static bool tss_set_busy(struct vcpu *v, uint16_t sel, bool busy, struct fault *f)
{
    struct desc d;

    if (!desc_read(v, sel, &d, VEC_TS, 0, f))
        return false;
    return desc_write_hi(v, sel, busy ? d.hi | BIT(9) : d.hi & ~BIT(9), f);
}

/* Memory first.  Probed, so these fail only where a TSS lies upon the tables that map it. */
static bool switch_store(struct vcpu *v, const struct switching *s, struct fault *f)
{
    bool nests = s->how == TASK_CALL || s->how == TASK_INT;

    if (!task_save(v, s, f))
        return false;
    if (!nests && !tss_set_busy(v, v->tr.sel, false, f))
        return false;
    if (nests && !gmem_write(v, desc_base(s->d), &v->tr.sel, 2, GMEM_WRITE, f))
        return false;
    return s->how == TASK_IRET || tss_set_busy(v, s->sel, true, f);
}

static void switch_load(struct vcpu *v, const struct switching *s, const struct task *t)
{
    seg_from_desc(&v->tr, s->sel, s->d);
    v->tr.attr |= 2;
    v->cr0 |= CR0_TS;
    vcpu_changed(v);
    memcpy(v->gpr, t->gpr, sizeof(v->gpr));
    v->eip = t->eip;
    v->eflags = (t->eflags & TSS_EFLAGS) | EFLAGS_FIXED;
    if (s->how == TASK_CALL || s->how == TASK_INT)
        v->eflags |= EFLAGS_NT;
    v->cpl = vcpu_v86(v) ? 3 : t->sel[SEG_CS] & 3;
    v->dr[7] &= ~DR7_LOCAL;
    v->shadow = 0;
    v->halted = false;
    v->ldtr = (struct seg){.sel = t->ldt};
    for (unsigned i = 0; i < SEG_COUNT; i++)
        seg_set(v, i, &(struct seg){.sel = t->sel[i]});
    if (switch_loads_cr3(v, s)) {
        v->cr3 = t->cr3;
        if (v->cr4 & CR4_PAE)
            memcpy(v->pdpte, s->pdpte, sizeof(v->pdpte));
        gmem_cr3_loaded(v);
    }
}

/* --- after the commit: the new task's segments --- */

/* Faults of ordinary segment loads, as a task switch names them. */
static bool switch_fault(const struct switching *s, struct fault *f)
{
    if (f->vec == VEC_GP)
        f->vec = VEC_TS;
    if (f->vec != VEC_PF)
        f->err |= s->ext;
    return false;
}

static bool switch_ldt(struct vcpu *v, const struct switching *s, uint16_t sel, struct fault *f)
{
    if (seg_lldt(v, sel, f))
        return true;
    if (f->vec == VEC_NP)
        f->vec = VEC_TS;
    return switch_fault(s, f);
}

static bool switch_cs(struct vcpu *v, const struct switching *s, uint16_t sel, struct fault *f)
{
    unsigned rpl = sel & 3u;
    struct desc d;

    if (sel_is_null(sel))
        return fault_set(f, VEC_TS, true, s->ext);
    if (!desc_read(v, sel, &d, VEC_TS, s->ext, f))
        return false;
    if (!desc_is_code(d) || (desc_is_conforming(d) ? desc_dpl(d) > rpl : desc_dpl(d) != rpl))
        return fault_set(f, VEC_TS, true, sel_err(sel, s->ext));
    if (!desc_present(d))
        return fault_set(f, VEC_NP, true, sel_err(sel, s->ext));
    if (!desc_access(v, sel, &d, f))
        return false;
    cs_commit(v, sel, d, rpl);
    return true;
}

static bool switch_segments(struct vcpu *v, const struct switching *s, const struct task *t, struct fault *f)
{
    static const uint8_t order[] = {SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS};

    if (!switch_ldt(v, s, t->ldt, f))
        return false;
    if (vcpu_v86(v)) {
        for (unsigned i = 0; i < SEG_COUNT; i++)
            seg_load_real(v, i, t->sel[i]);
        return true;
    }
    if (!switch_cs(v, s, t->sel[SEG_CS], f))
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        if (!seg_load(v, order[i], t->sel[order[i]], f))
            return switch_fault(s, f);
    return true;
}

static bool switch_finish(struct vcpu *v, const struct switching *s, const struct task *t, bool has_err,
                          uint32_t err, struct fault *f)
{
    if (!switch_segments(v, s, t, f))
        return false;
    if (has_err && !stack_push(v, err, tss_is32(v->tr.attr) ? 4 : 2, f)) {
        if (f->vec == VEC_SS)
            f->err |= s->ext;
        return false;
    }
    if (v->eip > v->seg[SEG_CS].limit)
        return fault_gp(f, s->ext);
    if (t->trap) {
        v->dr[6] |= DR6_BT;
        return fault_set(f, VEC_DB, false, 0);
    }
    return true;
}

static bool switch_task(struct vcpu *v, struct switching *s, bool has_err, uint32_t err, struct fault *f)
{
    struct task t;

    if (!switch_prepare(v, s, &t, f) || !switch_store(v, s, f))
        return false;
    /* A task that returns to itself must see what it has just stored. */
    if (!task_read(v, s->d, &t, f))
        return false;
    switch_load(v, s, &t);
    return switch_finish(v, s, &t, has_err, err, f);
}

bool task_switch(struct vcpu *v, uint16_t tss_sel, enum task_how how, uint32_t next_eip,
                 bool has_err, uint32_t err, struct fault *f)
{
    struct switching s = {.sel = tss_sel, .how = how, .next_eip = next_eip};

    return switch_task(v, &s, has_err, err, f);
}

bool task_gate(struct vcpu *v, uint16_t tss_sel, bool jmp, uint32_t next_eip, struct fault *f)
{
    return task_switch(v, tss_sel, jmp ? TASK_JMP : TASK_CALL, next_eip, false, 0, f);
}

bool task_event(struct vcpu *v, uint16_t tss_sel, uint32_t ret_eip, uint32_t ext, bool has_err, uint32_t err,
                bool rf, struct fault *f)
{
    struct switching s = {.sel = tss_sel, .how = TASK_INT, .next_eip = ret_eip, .ext = ext, .rf = rf};

    return switch_task(v, &s, has_err, err, f);
}
