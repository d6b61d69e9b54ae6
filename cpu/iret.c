/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IRET (SDM vol. 2 IRET, vol. 3A 6.12.1, 7.4, 20.2): back from a handler.
 *
 * What is popped and where it leads depends on the popped values themselves:
 *
 *   real mode, V86 with IOPL 3   IP CS FLAGS
 *   NT set                       nothing: switch to the task that the TSS's link names
 *   VM set in the image, CPL 0   EIP CS EFLAGS ESP SS ES DS FS GS, to virtual-8086 mode
 *   CS.RPL = CPL                 EIP CS EFLAGS
 *   CS.RPL > CPL                 EIP CS EFLAGS ESP SS; data segments of inner rings are nulled
 *
 * The common case reads the longest ordinary frame (five slots) at once if
 * the rest of the page and of the segment has room, so that a return costs
 * one memory access and one or two descriptor reads.  EFLAGS is written with
 * the rights of the ring that executes IRET, before CPL changes.
 *
 * Every IRET ends the blocking of NMIs, even one that faults (6.7.1).
 */
#include "cpu/control.h"
#include "cpu/frame.h"
#include "cpu/gatecache.h"
#include "cpu/gmem.h"
#include "cpu/transfer.h"

/* Slots in the order of the stack. */
enum { SLOT_EIP, SLOT_CS, SLOT_EFLAGS, SLOT_ESP, SLOT_SS, SLOT_ES, SLOT_DS, SLOT_FS, SLOT_GS, SLOT_COUNT };

#define EFLAGS_ALL 0x003f7fd5u

static void slots_widen(uint32_t *out, const uint8_t *raw, unsigned count, unsigned opsize)
{
    for (unsigned i = 0; i < count; i++)
        out[i] = opsize == 4 ? get32(raw + 4 * i) : get16(raw + 2 * i);
}

static bool iret_read(struct vcpu *v, uint32_t *slots, unsigned first, unsigned count, unsigned opsize,
                      struct fault *f)
{
    uint8_t raw[4 * SLOT_COUNT];

    if (!frame_peek(v, first * opsize, raw, count * opsize, f))
        return false;
    slots_widen(slots + first, raw, count, opsize);
    return true;
}

/* Three slots, or five when reading five can't fault where three would not.  Returns how many, 0 on a
 * fault. */
static unsigned iret_read_frame(struct vcpu *v, uint32_t *slots, unsigned opsize, struct fault *f)
{
    const struct seg *ss = &v->seg[SEG_SS];
    uint32_t esp = v->gpr[REG_ESP];

    if (likely(opsize == 4 && (ss->attr & SEG_ATTR_DB) && (ss->attr & SEG_ATTR_P) && seg_fits(ss, esp, 20) &&
               page_offset(ss->base + esp) <= PAGE_SIZE - 20))
        return gmem_read(v, ss->base + esp, slots, 20, GMEM_READ | gmem_cpl(v), f) ? 5 : 0;
    return iret_read(v, slots, 0, 3, opsize, f) ? 3 : 0;
}

static bool iret_real(struct vcpu *v, unsigned opsize, struct fault *f)
{
    uint32_t slots[3];

    if (vcpu_v86(v) && vcpu_iopl(v) < 3)
        return fault_gp(f, 0);
    if (!iret_read(v, slots, 0, 3, opsize, f))
        return false;
    if (slots[SLOT_EIP] > v->seg[SEG_CS].limit)
        return fault_gp(f, 0);
    stack_drop(v, 3 * opsize);
    seg_load_real(v, SEG_CS, (uint16_t)slots[SLOT_CS]);
    v->eip = slots[SLOT_EIP];
    eflags_write(v, slots[SLOT_EFLAGS], opsize, true);
    return true;
}

/* NT: the back link of the current TSS names the task to return to. */
static bool iret_task(struct vcpu *v, uint32_t next_eip, struct fault *f)
{
    uint16_t link;

    if (!gmem_read(v, v->tr.base, &link, 2, GMEM_READ, f))
        return false;
    return task_switch(v, link, TASK_IRET, next_eip, false, 0, f);
}

static bool iret_v86(struct vcpu *v, const uint32_t *slots, struct fault *f)
{
    static const uint8_t order[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

    if (slots[SLOT_EIP] > 0xffff)
        return fault_gp(f, 0);
    v->eflags = (slots[SLOT_EFLAGS] & EFLAGS_ALL) | EFLAGS_FIXED;
    v->cpl = 3;
    seg_load_real(v, SEG_CS, (uint16_t)slots[SLOT_CS]);
    seg_load_real(v, SEG_SS, (uint16_t)slots[SLOT_SS]);
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        seg_load_real(v, order[i], (uint16_t)slots[SLOT_ES + i]);
    v->gpr[REG_ESP] = slots[SLOT_ESP];
    v->eip = slots[SLOT_EIP];
    return true;
}

static bool iret_outer(struct vcpu *v, const uint32_t *slots, struct desc d, unsigned opsize, struct fault *f)
{
    unsigned rpl = slots[SLOT_CS] & 3;
    struct seg ss;

    if (!ss_check(v, (uint16_t)slots[SLOT_SS], rpl, VEC_GP, 0, &ss, f))
        return false;
    if (slots[SLOT_EIP] > desc_limit(d))
        return fault_gp(f, 0);
    eflags_write(v, slots[SLOT_EFLAGS], opsize, true);
    cs_commit(v, (uint16_t)slots[SLOT_CS], d, rpl);
    seg_set(v, SEG_SS, &ss);
    esp_set(v, slots[SLOT_ESP]);
    v->eip = slots[SLOT_EIP];
    ret_null_segments(v);
    return true;
}

static bool iret_protected(struct vcpu *v, unsigned opsize, struct fault *f)
{
    uint32_t slots[SLOT_COUNT];
    unsigned have, from_cpl = v->cpl;
    struct seg from = v->seg[SEG_SS];
    struct desc d;
    uint16_t cs;

    have = iret_read_frame(v, slots, opsize, f);
    if (!have)
        return false;
    if (unlikely(opsize == 4 && (slots[SLOT_EFLAGS] & EFLAGS_VM) && v->cpl == 0))
        return iret_read(v, slots, have, SLOT_COUNT - have, opsize, f) && iret_v86(v, slots, f);
    cs = (uint16_t)slots[SLOT_CS];
    if (!ret_code_check(v, cs, &d, f))
        return false;
    if ((cs & 3u) > v->cpl) {
        if (unlikely(have < 5) && !iret_read(v, slots, have, 5 - have, opsize, f))
            return false;
        if (!iret_outer(v, slots, d, opsize, f))
            return false;
        if (opsize == 4)
            iret_note(v, from_cpl, &from, d);
        return true;
    }
    if (unlikely(slots[SLOT_EIP] > desc_limit(d)))
        return fault_gp(f, 0);
    stack_drop(v, 3 * opsize);
    eflags_write(v, slots[SLOT_EFLAGS], opsize, true);
    cs_commit(v, cs, d, v->cpl);
    v->eip = slots[SLOT_EIP];
    if (opsize == 4)
        iret_note(v, from_cpl, &from, d);
    return true;
}

/* Protected mode, and no return to another task. */
static inline bool iret_usual(const struct vcpu *v)
{
    return vcpu_pe(v) && !(v->eflags & (EFLAGS_VM | EFLAGS_NT));
}

bool iret_again(struct vcpu *v)
{
    return !(v->nmi_blocked | v->nmi_pending) && iret_usual(v) && !TRACE_ON(v->vm->trace, iret) && iret_seen(v);
}

static bool iret_whole(struct vcpu *v, unsigned opsize, uint32_t next_eip, struct fault *f)
{
    bool ok;

    vcpu_changed(v);
    if (unlikely(!vcpu_protected(v)))
        ok = iret_real(v, opsize, f);
    else if (unlikely(v->eflags & EFLAGS_NT))
        ok = iret_task(v, next_eip, f);
    else
        ok = iret_protected(v, opsize, f);
    v->vm->stats->irets += ok;
    return ok;
}

bool iret(struct vcpu *v, unsigned opsize, uint32_t next_eip, struct fault *f)
{
    v->nmi_blocked = false;
    if (unlikely(v->nmi_pending))
        v->attention = 1; /* it is taken before the next instruction */
    if (!(opsize == 4 && iret_usual(v) && iret_seen(v)) && !iret_whole(v, opsize, next_eip, f))
        return false;
    TRACE_EV(v->vm->trace, iret, v->eip, v->seg[SEG_CS].sel, v->eflags);
    return true;
}
