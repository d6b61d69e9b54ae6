// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What gates and IRETs led to last time is used only where the complete way would lead there again.
 *
 * Each event is carried out twice from the same machine: with the outcomes that are kept, and with none. Registers,
 * hidden parts, memory, fault and VM state must be the same. Once for each thing that an outcome depends on,
 * changed behind the cache's back; then over long random walks through such changes. A taken short cut shows by
 * its reading nothing, so that it can be told that the tests saw any.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cpu/exception.h"
#include "cpu/gatecache.h"
#include "cpu/transfer.h"
#include "tests/fake/i386.h"

#define HANDLER 0x8200u
#define SYSCALL 0x80u
#define IRQ 0x30u
#define USED_MEM 0x10000u
#define FRAME (KSTACK_TOP - 20) /* where an IRET of these tests finds its frame */

enum op { OP_SOFT, OP_SOFT_IRQ, OP_IRQ, OP_FAULT, OP_IRET, OPS };

struct machine {
    struct vcpu v;
    uint8_t mem[USED_MEM];
    uint8_t flags[USED_MEM / PAGE_SIZE];
    uint32_t stop;
};

struct outcome {
    struct machine m;
    struct fault f;
    bool ok, short_cut;
};

static struct vcpu *v;
static struct machine start;
static struct outcome warm, cold, plain;

static void gates(void)
{
    for (unsigned i = 0; i < 32; i++)
        i386_gate(i, K_CODE, HANDLER + i, DESC_INT32, 0);
    i386_gate(IRQ, K_CODE, HANDLER + IRQ, DESC_INT32, 0);
    i386_gate(SYSCALL, K_CODE, HANDLER + SYSCALL, DESC_TRAP32, 3);
}

static void desc_xor(uint16_t sel, uint32_t lo, uint32_t hi)
{
    mem_put32(GDT_AT + (sel & ~7u), mem32(GDT_AT + (sel & ~7u)) ^ lo);
    mem_put32(GDT_AT + (sel & ~7u) + 4, mem32(GDT_AT + (sel & ~7u) + 4) ^ hi);
}

static void setup(void)
{
    static const uint16_t accessed[] = {K_CODE, K_DATA, U_CODE, U_DATA, R1_CODE, R1_DATA, CONF_CODE,
                                        K_CODE16, K_DATA16, U_CODE16, U_DATA16};

    v = i386_new();
    gates();
    for (unsigned i = 0; i < ARRAY_SIZE(accessed); i++)
        desc_xor(accessed[i], 0, BIT(8));
}
TestSuite(cpu_gatecache, .init = setup);

/* --- one machine, two ways --- */

static void save(struct machine *m)
{
    m->v = *v;
    memcpy(m->mem, fake_gmem.mem, USED_MEM);
    memcpy(m->flags, fake_gmem.flags, sizeof m->flags);
    m->stop = v->vm->stop;
}

static void forget(struct vcpu *x)
{
    memset(&x->tables_seen, 0, sizeof x->tables_seen);
    memset(x->gate_seen, 0, sizeof x->gate_seen);
    memset(x->iret_seen, 0, sizeof x->iret_seen);
    memset(&x->iret_frame, 0, sizeof x->iret_frame);
    x->gmem_gen = 1;
    x->changes = 0;
}

/* Everything as it was, but what is kept now stays. */
static void restore(const struct machine *m)
{
    struct vcpu now = *v;

    *v = m->v;
    memcpy(v->gate_seen, now.gate_seen, sizeof now.gate_seen);
    memcpy(v->iret_seen, now.iret_seen, sizeof now.iret_seen);
    v->iret_frame = now.iret_frame;
    v->tables_seen = now.tables_seen;
    v->changes = now.changes + 1;
    v->gmem_gen = now.gmem_gen + !!memcmp(fake_gmem.flags, m->flags, sizeof m->flags);
    memcpy(fake_gmem.mem, m->mem, USED_MEM);
    memcpy(fake_gmem.flags, m->flags, sizeof m->flags);
    v->vm->stop = m->stop;
}

static bool carry_out(enum op op, struct fault *f)
{
    struct fault fault = {.vec = VEC_PF, .has_err = true, .err = PFERR_W, .cr2 = 0x1234};

    switch (op) {
    case OP_SOFT: return vcpu_soft_int(v, SYSCALL, v->eip + 2, f);
    case OP_SOFT_IRQ: return vcpu_soft_int(v, IRQ, v->eip + 2, f);
    case OP_IRQ: vcpu_deliver_interrupt(v, IRQ); return true;
    case OP_FAULT: vcpu_deliver_fault(v, &fault); return true;
    default: return iret(v, 4, v->eip + 1, f);
    }
}

static void outcome_of(enum op op, struct outcome *o)
{
    memset(&o->f, 0, sizeof o->f);
    fake_gmem.reads = fake_gmem.writes = 0;
    o->ok = carry_out(op, &o->f);
    o->short_cut = o->ok && !fake_gmem.reads && !fake_gmem.writes;
    save(&o->m);
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    struct vcpu x = a->m.v, y = b->m.v;
    bool dirty = (x.hsel_dirty & y.hsel_dirty) == y.hsel_dirty; /* a short cut may say more */

    forget(&x);
    forget(&y);
    x.hsel_dirty = y.hsel_dirty;
    return dirty && a->ok == b->ok && !memcmp(&x, &y, sizeof x) && !memcmp(a->m.mem, b->m.mem, USED_MEM) &&
           a->m.stop == b->m.stop &&
           (a->ok || (a->f.vec == b->f.vec && a->f.err == b->f.err && a->f.cr2 == b->f.cr2 &&
                      a->f.has_err == b->f.has_err));
}

/* Carry op out both ways; the machine is then as it left it. Was it a short cut? */
static bool agree(enum op op, const char *what)
{
    struct machine before;

    save(&before);
    outcome_of(op, &warm);
    restore(&before);
    forget(v);
    outcome_of(op, &cold);
    cr_assert(!cold.short_cut, "%s: nothing was kept, and nothing read", what);
    cr_assert(same(&warm, &cold), "%s: EIP %#x, ESP %#x, vector %u, error %#x; the complete way: %#x, %#x, %u, %#x", what,
              warm.m.v.eip, warm.m.v.gpr[REG_ESP], warm.f.vec, warm.f.err, cold.m.v.eip, cold.m.v.gpr[REG_ESP],
              cold.f.vec, cold.f.err);
    restore(&warm.m);
    *v = warm.m.v;
    return warm.short_cut;
}

/* --- one change at a time --- */

struct change {
    const char *name;
    void (*make)(void);
};
#define CHANGE(name, what)                                                                                   \
    static void name(void)                                                                                   \
    {                                                                                                        \
        what;                                                                                                \
        vcpu_changed(v);                                                                                     \
    }
#define ROW(name) {#name, name}

/* The machine has seen op from `start`, more than once. What of it after the change? */
static void after_change(enum op op, const struct change *c)
{
    save(&start);
    agree(op, c->name);
    plain = warm;
    for (unsigned i = 0; i < 2; i++) {
        restore(&start);
        agree(op, c->name);
    }
    cr_assert(warm.short_cut, "%s: not kept to begin with", c->name);
    for (unsigned i = 0; i < 2; i++) {
        restore(&start);
        c->make();
        agree(op, c->name);
        cr_assert(!same(&cold, &plain), "%s changes nothing", c->name);
    }
    restore(&start);
    agree(op, c->name);
    cr_assert(same(&cold, &plain), "%s stays", c->name);
}

static void gdt_moved(void)
{
    memcpy(fake_gmem.mem + 0x6000, fake_gmem.mem + GDT_AT, GDT_END);
    v->gdtr.base = 0x6000;
}

/* Code that starts at 0x100, then. */
static void code_based(uint16_t sel) { desc_xor(sel, 0x01000000, 0); }
/* 64 KiB and byte granular: its attributes show. */
static void code_small(uint16_t sel) { desc_xor(sel, 0, BIT(23) | 0xf0000); }

CHANGE(gate_offset, i386_gate(SYSCALL, K_CODE, 0x8640, DESC_TRAP32, 3))
CHANGE(gate_offset_high, i386_gate(SYSCALL, K_CODE, 0x18280, DESC_TRAP32, 3))
CHANGE(gate_selector, i386_gate(SYSCALL, CONF_CODE, HANDLER + SYSCALL, DESC_TRAP32, 3))
CHANGE(gate_selector_ring1, i386_gate(SYSCALL, R1_CODE, HANDLER + SYSCALL, DESC_TRAP32, 3))
CHANGE(gate_null, i386_gate(SYSCALL, 0, HANDLER + SYSCALL, DESC_TRAP32, 3))
CHANGE(gate_interrupt, i386_gate(SYSCALL, K_CODE, HANDLER + SYSCALL, DESC_INT32, 3))
CHANGE(gate_16, i386_gate(SYSCALL, K_CODE, HANDLER + SYSCALL, DESC_TRAP16, 3))
CHANGE(gate_no_gate, i386_gate(SYSCALL, K_CODE, HANDLER + SYSCALL, DESC_CALL32, 3))
CHANGE(gate_dpl, i386_gate(SYSCALL, K_CODE, HANDLER + SYSCALL, DESC_TRAP32, 2))
CHANGE(gate_absent, fake_gmem.mem[IDT_AT + SYSCALL * 8 + 5] &= 0x7f)
CHANGE(code_base, code_based(K_CODE))
CHANGE(code_limit, desc_xor(K_CODE, 0xff00, 0xf0000 | BIT(23)))
CHANGE(code_attributes, code_small(K_CODE))
CHANGE(code_dpl, desc_xor(K_CODE, 0, BIT(13)))
CHANGE(code_absent, desc_xor(K_CODE, 0, BIT(15)))
CHANGE(code_conforming, desc_xor(K_CODE, 0, BIT(10)))
CHANGE(code_data, desc_xor(K_CODE, 0, BIT(11)))
CHANGE(code_system, desc_xor(K_CODE, 0, BIT(12)))
CHANGE(stack_base, desc_xor(K_DATA, 0x10000000, 0))
CHANGE(stack_limit, desc_xor(K_DATA, 0, BIT(23)))
CHANGE(stack_16, desc_xor(K_DATA, 0, BIT(22)))
CHANGE(stack_dpl, desc_xor(K_DATA, 0, BIT(13)))
CHANGE(stack_absent, desc_xor(K_DATA, 0, BIT(15)))
CHANGE(stack_readonly, desc_xor(K_DATA, 0, BIT(9)))
CHANGE(stack_down, desc_xor(K_DATA, 0, BIT(10)))
CHANGE(tss_esp0, mem_put32(TSS_AT + 4, KSTACK_TOP - 0x100))
CHANGE(tss_esp0_odd, mem_put32(TSS_AT + 4, KSTACK_TOP - 3))
CHANGE(tss_esp0_crossing, mem_put32(TSS_AT + 4, KSTACK_TOP + 8))
CHANGE(tss_esp0_nowhere, mem_put32(TSS_AT + 4, 0xdead0000))
CHANGE(tss_ss0, mem_put32(TSS_AT + 8, K_DATA16))
CHANGE(tss_ss0_null, mem_put32(TSS_AT + 8, 0))
CHANGE(tss_ss0_rpl, mem_put32(TSS_AT + 8, K_DATA | 1))
CHANGE(tss_limit, v->tr.limit = 8)
CHANGE(tss_16, v->tr.attr &= ~8)
CHANGE(tss_elsewhere, v->tr.base = TSS2_AT)
CHANGE(stack_page_absent, (fake_gmem.flags[(KSTACK_TOP - 4) >> PAGE_SHIFT] = FAKE_ABSENT, v->gmem_gen++))
CHANGE(stack_page_readonly, (fake_gmem.flags[(KSTACK_TOP - 4) >> PAGE_SHIFT] = FAKE_READONLY, v->gmem_gen++))
CHANGE(idt_absent, (fake_gmem.flags[IDT_AT >> PAGE_SHIFT] = FAKE_ABSENT, v->gmem_gen++))
CHANGE(gdt_absent, (fake_gmem.flags[GDT_AT >> PAGE_SHIFT] = FAKE_ABSENT, v->gmem_gen++))
CHANGE(tss_absent, (fake_gmem.flags[TSS_AT >> PAGE_SHIFT] = FAKE_ABSENT, v->gmem_gen++))
CHANGE(idt_limit, v->idtr.limit = SYSCALL * 8 + 6)
CHANGE(idt_base, v->idtr.base -= 8)
CHANGE(gdt_limit_code, v->gdtr.limit = K_CODE + 6)
CHANGE(gdt_limit_stack, v->gdtr.limit = K_DATA + 6)
CHANGE(gdt_elsewhere, (gdt_moved(), mem_put32(0x6000 + K_CODE, mem32(0x6000 + K_CODE) ^ 0x01000000)))
CHANGE(from_v86, i386_v86(v, 3))
CHANGE(from_real, i386_real(v))
CHANGE(from_ring1, (i386_user(v), i386_load(v, SEG_CS, R1_CODE), i386_load(v, SEG_SS, R1_DATA), v->cpl = 1))
CHANGE(from_ring0, (i386_load(v, SEG_CS, K_CODE), i386_load(v, SEG_SS, K_DATA), v->cpl = 0))
CHANGE(flag_tf, v->eflags |= EFLAGS_TF)
CHANGE(flag_nt, v->eflags |= EFLAGS_NT)
CHANGE(flag_rf, v->eflags |= EFLAGS_RF)
CHANGE(flag_if, v->eflags &= ~EFLAGS_IF)
CHANGE(flag_iopl, v->eflags |= EFLAGS_IOPL)
CHANGE(flag_ac, v->eflags |= EFLAGS_AC)
CHANGE(shadow, (v->shadow = SHADOW_STI, v->eip += 4))
CHANGE(user_esp, v->gpr[REG_ESP] = 0x12345)
CHANGE(user_ss, i386_load(v, SEG_SS, U_DATA16))
CHANGE(user_cs, i386_load(v, SEG_CS, U_CODE16))

static const struct change system_call[] = {
    ROW(gate_offset), ROW(gate_offset_high), ROW(gate_selector), ROW(gate_selector_ring1), ROW(gate_null),
    ROW(gate_interrupt), ROW(gate_16), ROW(gate_no_gate), ROW(gate_dpl), ROW(gate_absent),
    ROW(code_base), ROW(code_limit), ROW(code_attributes), ROW(code_dpl), ROW(code_absent), ROW(code_conforming),
    ROW(code_data), ROW(code_system), ROW(stack_base), ROW(stack_limit), ROW(stack_16), ROW(stack_dpl),
    ROW(stack_absent), ROW(stack_readonly), ROW(stack_down), ROW(tss_esp0), ROW(tss_esp0_odd), ROW(tss_esp0_crossing),
    ROW(tss_esp0_nowhere), ROW(tss_ss0), ROW(tss_ss0_null), ROW(tss_ss0_rpl), ROW(tss_limit), ROW(tss_16),
    ROW(tss_elsewhere), ROW(stack_page_absent), ROW(stack_page_readonly), ROW(idt_absent), ROW(gdt_absent),
    ROW(tss_absent), ROW(idt_limit), ROW(idt_base), ROW(gdt_limit_code), ROW(gdt_limit_stack), ROW(gdt_elsewhere),
    ROW(from_v86), ROW(from_real), ROW(from_ring1), ROW(from_ring0), ROW(flag_tf), ROW(flag_nt), ROW(flag_rf),
    ROW(flag_if), ROW(flag_iopl), ROW(flag_ac), ROW(shadow), ROW(user_esp), ROW(user_ss), ROW(user_cs),
};

Test(cpu_gatecache, system_call_after_a_change)
{
    for (unsigned i = 0; i < ARRAY_SIZE(system_call); i++) {
        setup();
        i386_user(v);
        after_change(OP_SOFT, &system_call[i]);
    }
}

/* Within the ring: the stack is the one in use. */
CHANGE(irq_trap, i386_gate(IRQ, K_CODE, HANDLER + IRQ, DESC_TRAP32, 0))
CHANGE(irq_absent, fake_gmem.mem[IDT_AT + IRQ * 8 + 5] &= 0x7f)
CHANGE(own_stack_16, i386_load(v, SEG_SS, K_DATA16))
CHANGE(own_stack_based, v->seg[SEG_SS].base = 0x1000)
CHANGE(own_stack_short, v->seg[SEG_SS].limit = KSTACK_TOP - 8)
CHANGE(own_stack_down, v->seg[SEG_SS].attr |= SEG_ATTR_EC)
CHANGE(own_stack_crossing, v->gpr[REG_ESP] = KSTACK_TOP + 8)
CHANGE(own_stack_odd, v->gpr[REG_ESP] = KSTACK_TOP - 1)
CHANGE(own_stack_at_0, v->gpr[REG_ESP] = 4)
CHANGE(idle, (v->halted = true, v->eip++))

static const struct change interrupt[] = {
    ROW(irq_trap), ROW(irq_absent), ROW(code_base), ROW(code_attributes), ROW(code_dpl), ROW(code_absent),
    ROW(own_stack_16), ROW(own_stack_based), ROW(own_stack_short), ROW(own_stack_down), ROW(own_stack_crossing),
    ROW(own_stack_odd), ROW(own_stack_at_0), ROW(stack_page_absent), ROW(idle), ROW(flag_tf), ROW(flag_nt), ROW(flag_rf),
    ROW(flag_if), ROW(from_v86), ROW(from_real), ROW(from_ring1), ROW(gdt_elsewhere), ROW(gdt_absent), ROW(idt_absent),
};

Test(cpu_gatecache, interrupt_of_the_kernel_after_a_change)
{
    for (unsigned i = 0; i < ARRAY_SIZE(interrupt); i++) {
        setup();
        after_change(OP_IRQ, &interrupt[i]);
    }
}

CHANGE(pf_trap, i386_gate(VEC_PF, K_CODE, HANDLER + VEC_PF, DESC_TRAP32, 0))
CHANGE(pf_absent, fake_gmem.mem[IDT_AT + VEC_PF * 8 + 5] &= 0x7f)
CHANGE(pf_double, desc_xor(K_CODE, 0, BIT(15)); i386_gate(VEC_DF, CONF_CODE, 0x8777, DESC_INT32, 0))

static const struct change page_fault[] = {
    ROW(pf_trap), ROW(pf_absent), ROW(pf_double), ROW(code_base), ROW(stack_dpl), ROW(tss_esp0), ROW(tss_ss0_null),
    ROW(tss_esp0_crossing), ROW(from_v86), ROW(from_ring0), ROW(idle),
};

Test(cpu_gatecache, page_fault_after_a_change)
{
    for (unsigned i = 0; i < ARRAY_SIZE(page_fault); i++) {
        setup();
        i386_user(v);
        after_change(OP_FAULT, &page_fault[i]);
    }
}

/* --- IRET --- */

static void iret_frame(uint16_t cs, uint16_t ss)
{
    static const uint32_t flags = EFLAGS_FIXED | EFLAGS_IF | EFLAGS_ZF;
    const uint32_t slot[] = {CODE_AT + 0x10, cs, flags, USTACK_TOP, ss};

    memcpy(fake_gmem.mem + FRAME, slot, sizeof slot);
    v->gpr[REG_ESP] = FRAME;
}

static void frame_xor(unsigned slot, uint32_t x) { mem_put32(FRAME + 4 * slot, mem32(FRAME + 4 * slot) ^ x); }

static void second_task(void)
{
    mem_put16(TSS_AT, SEL_TSS2);
    desc_xor(SEL_TSS2, 0, BIT(9));
    mem_put32(TSS2_AT + 0x20, 0x9999);
    mem_put32(TSS2_AT + 0x24, EFLAGS_FIXED);
    mem_put32(TSS2_AT + 0x38, 0xd000);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        mem_put32(TSS2_AT + 0x48 + 4 * i, i == SEG_CS ? K_CODE : K_DATA);
    v->eflags |= EFLAGS_NT;
}

CHANGE(to_eip, frame_xor(0, 0x40))
CHANGE(to_esp, frame_xor(3, 0x40))
CHANGE(to_flags, frame_xor(2, EFLAGS_IF | EFLAGS_TF | EFLAGS_IOPL | EFLAGS_CF | EFLAGS_NT))
CHANGE(to_v86, frame_xor(2, EFLAGS_VM))
CHANGE(to_null, frame_xor(1, U_CODE))
CHANGE(to_16_bits, frame_xor(1, U_CODE ^ U_CODE16))
CHANGE(to_lower_rpl, frame_xor(1, 1))
CHANGE(to_ldt, frame_xor(1, 4))
CHANGE(to_same_slot, frame_xor(1, 0x20)) /* another selector with the same place among those kept */
CHANGE(to_other_ss, frame_xor(4, U_DATA ^ U_DATA16); frame_xor(3, 0x50000))
CHANGE(to_ss_null, frame_xor(4, U_DATA))
CHANGE(to_ss_rpl, frame_xor(4, 1))
CHANGE(to_ss_ldt, frame_xor(4, U_DATA ^ 7))
CHANGE(ucode_base, code_based(U_CODE))
CHANGE(ucode_limit_below, desc_xor(U_CODE, 0x8000, 0xf0000 | BIT(23)))
CHANGE(ucode_attributes, code_small(U_CODE))
CHANGE(ucode_dpl, desc_xor(U_CODE, 0, BIT(14)))
CHANGE(ucode_absent, desc_xor(U_CODE, 0, BIT(15)))
CHANGE(ucode_data, desc_xor(U_CODE, 0, BIT(11)))
CHANGE(ucode_unreadable, desc_xor(U_CODE, 0, BIT(9)))
CHANGE(ustack_base, desc_xor(U_DATA, 0x10000000, 0))
CHANGE(ustack_16, desc_xor(U_DATA, 0, BIT(22)))
CHANGE(ustack_limit, desc_xor(U_DATA, 0, BIT(23)))
CHANGE(ustack_dpl, desc_xor(U_DATA, 0, BIT(13)))
CHANGE(ustack_absent, desc_xor(U_DATA, 0, BIT(15)))
CHANGE(ustack_readonly, desc_xor(U_DATA, 0, BIT(9)))
CHANGE(nulls_no_data, i386_load(v, SEG_DS, U_DATA); i386_load(v, SEG_GS, CONF_CODE))
CHANGE(gdt_short, v->gdtr.limit = U_CODE - 1)
CHANGE(gdt_shorter_by_ss, v->gdtr.limit = U_DATA - 1)
CHANGE(frame_in_two_pages, memcpy(fake_gmem.mem + 0x9ff4, fake_gmem.mem + FRAME, 20); frame_xor(0, 4); v->gpr[REG_ESP] = 0x9ff4)
CHANGE(frame_absent, (fake_gmem.flags[FRAME >> PAGE_SHIFT] = FAKE_ABSENT, v->gmem_gen++))
CHANGE(iret_stack_based, v->seg[SEG_SS].base = 4)
CHANGE(iret_stack_16, i386_load(v, SEG_SS, K_DATA16); v->gpr[REG_ESP] |= 0x770000)
CHANGE(iret_stack_short, v->seg[SEG_SS].limit = FRAME + 9)
CHANGE(iret_from_ring1, from_ring1(); v->gpr[REG_ESP] = FRAME; v->eflags &= ~EFLAGS_IF) /* IF stays, IOPL being 0 */
CHANGE(iret_from_ring3, i386_user(v); v->gpr[REG_ESP] = FRAME)
CHANGE(iret_from_user_page, iret_from_ring3(); fake_gmem.flags[FRAME >> PAGE_SHIFT] = FAKE_SUPERVISOR)
CHANGE(iret_from_real, v->cr0 &= ~CR0_PE)
CHANGE(iret_from_v86, v->eflags |= EFLAGS_VM; v->cpl = 3)
CHANGE(iret_nmi, v->nmi_blocked = v->nmi_pending = true)

static const struct change to_user[] = {
    ROW(to_eip), ROW(to_esp), ROW(to_flags), ROW(to_v86), ROW(to_null), ROW(to_16_bits), ROW(to_lower_rpl), ROW(to_ldt),
    ROW(to_same_slot), ROW(to_other_ss), ROW(to_ss_null), ROW(to_ss_rpl), ROW(to_ss_ldt), ROW(ucode_base),
    ROW(ucode_limit_below), ROW(ucode_attributes), ROW(ucode_dpl), ROW(ucode_absent), ROW(ucode_data),
    ROW(ucode_unreadable), ROW(ustack_base), ROW(ustack_16), ROW(ustack_limit), ROW(ustack_dpl), ROW(ustack_absent),
    ROW(ustack_readonly), ROW(nulls_no_data), ROW(gdt_short), ROW(gdt_shorter_by_ss), ROW(gdt_absent),
    ROW(frame_in_two_pages), ROW(frame_absent), ROW(iret_stack_based), ROW(iret_from_ring1),
    ROW(iret_from_ring3), ROW(iret_from_user_page), ROW(iret_from_real), ROW(iret_from_v86), ROW(second_task),
    ROW(iret_nmi),
};

Test(cpu_gatecache, iret_to_user_after_a_change)
{
    for (unsigned i = 0; i < ARRAY_SIZE(to_user); i++) {
        setup();
        iret_frame(U_CODE, U_DATA);
        after_change(OP_IRET, &to_user[i]);
    }
}

CHANGE(kcode_limit_below, desc_xor(K_CODE, 0x8000, 0xf0000 | BIT(23)))
CHANGE(to_user_instead, iret_frame(U_CODE, U_DATA))

static const struct change to_kernel[] = {
    ROW(to_eip), ROW(to_flags), ROW(to_v86), ROW(to_user_instead), ROW(kcode_limit_below), ROW(code_base),
    ROW(code_attributes), ROW(code_dpl), ROW(code_absent), ROW(code_data), ROW(iret_stack_short), ROW(iret_stack_based),
    ROW(iret_stack_16), ROW(iret_from_ring3), ROW(iret_from_real), ROW(iret_from_v86), ROW(second_task), ROW(iret_nmi),
};

Test(cpu_gatecache, iret_within_the_ring_after_a_change)
{
    for (unsigned i = 0; i < ARRAY_SIZE(to_kernel); i++) {
        setup();
        iret_frame(K_CODE, 0);
        after_change(OP_IRET, &to_kernel[i]);
    }
}

/* What an event was let through, an INT n may not be. */
Test(cpu_gatecache, gate_privilege)
{
    i386_user(v);
    save(&start);
    for (unsigned i = 0; i < 3; i++) {
        restore(&start);
        cr_assert_eq(agree(OP_IRQ, "an interrupt"), i > 0);
        restore(&start);
        agree(OP_SOFT_IRQ, "an INT n of its vector");
        cr_assert(!cold.ok && cold.f.vec == VEC_GP && cold.f.err == IRQ * 8 + 2);
    }
}

/* --- what is not kept --- */

static void never_kept(enum op op, const char *what)
{
    save(&start);
    for (unsigned i = 0; i < 3; i++) {
        restore(&start);
        cr_assert(!agree(op, what), "%s", what);
    }
}

/* The accessed bit is set again each time that the guest clears it. */
Test(cpu_gatecache, accessed_bits)
{
    i386_user(v);
    save(&start);
    for (unsigned i = 0; i < 8; i++) {
        restore(&start);
        if (i & 1)
            desc_xor(K_CODE, 0, mem32(GDT_AT + K_CODE + 4) & BIT(8));
        agree(OP_SOFT, "a system call");
        cr_assert(mem32(GDT_AT + K_CODE + 4) & BIT(8));
        cr_assert(mem32(GDT_AT + K_DATA + 4) & BIT(8));
    }
    setup();
    desc_xor(U_CODE, 0, BIT(8));
    desc_xor(U_DATA, 0, BIT(8));
    iret_frame(U_CODE, U_DATA);
    never_kept(OP_IRET, "an IRET to descriptors not accessed");
    cr_assert(mem32(GDT_AT + U_CODE + 4) & mem32(GDT_AT + U_DATA + 4) & BIT(8));
}

Test(cpu_gatecache, the_unusual_is_not_kept)
{
    i386_user(v);
    i386_gate(SYSCALL, K_CODE, HANDLER, DESC_INT16, 3);
    never_kept(OP_SOFT, "a 16-bit gate");
    i386_user(v);
    i386_gate(SYSCALL, CONF_CODE, HANDLER, DESC_INT32, 3);
    never_kept(OP_SOFT, "ring 3's own handler");
    i386_user(v);
    i386_gate(SYSCALL, K_CODE, HANDLER, DESC_INT32, 3);
    mem_put32(TSS_AT + 8, K_DATA16);
    never_kept(OP_SOFT, "a 16-bit stack");
    setup();
    v->idtr.base += PAGE_SIZE - 8; /* its gate in the second page */
    memcpy(fake_gmem.mem + v->idtr.base, fake_gmem.mem + IDT_AT, 0x800);
    never_kept(OP_IRQ, "an IDT in two pages");
    i386_v86(v, 3);
    never_kept(OP_IRQ, "an interrupt of V86");
    setup();
    iret_from_ring3();
    iret_frame(U_CODE, 0);
    never_kept(OP_IRET, "an IRET within ring 3");
}

static void ldt_twin(uint16_t sel)
{
    memcpy(fake_gmem.mem + LDT_AT + (sel & ~7u), fake_gmem.mem + GDT_AT + (sel & ~7u), 8);
}

Test(cpu_gatecache, the_ldt_is_not_kept)
{
    v->ldtr.limit = 0x2f;
    ldt_twin(K_CODE);
    ldt_twin(K_DATA);
    ldt_twin(U_CODE);
    ldt_twin(U_DATA);
    iret_frame(U_CODE, U_DATA | 4);
    never_kept(OP_IRET, "an IRET to a stack of the LDT");
    setup();
    v->ldtr.limit = 0x2f;
    ldt_twin(U_CODE);
    iret_frame(U_CODE | 4, U_DATA);
    never_kept(OP_IRET, "an IRET to code of the LDT");
    setup();
    ldt_twin(K_CODE);
    i386_gate(IRQ, K_CODE | 4, HANDLER, DESC_INT32, 0);
    never_kept(OP_IRQ, "a handler in the LDT");
    i386_gate(IRQ, K_CODE, HANDLER, DESC_INT32, 0);
    ldt_twin(K_DATA);
    mem_put32(TSS_AT + 8, K_DATA | 4);
    i386_user(v);
    never_kept(OP_IRQ, "an inner stack of the LDT");
}

/* The table was seen as far as the end of its page; a larger limit takes it into one that is absent. */
Test(cpu_gatecache, idt_grows_into_another_page)
{
    i386_user(v);
    memcpy(fake_gmem.mem + 0x6c10, fake_gmem.mem + IDT_AT, 0x800);
    save(&start);
    for (unsigned i = 0; i < 2; i++) {
        restore(&start);
        cr_assert_eq(agree(OP_SOFT, "a system call"), i > 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        restore(&start);
        v->idtr = (struct dtr){0x6c10, 0x3ef};
        cr_assert_eq(agree(OP_IRQ, "an interrupt"), i > 0);
    }
    restore(&start);
    v->idtr = (struct dtr){0x6c10, 0x7ff};
    fake_gmem.flags[7] = FAKE_ABSENT;
    cr_assert(!agree(OP_SOFT, "a system call beyond"));
    cr_assert(!cold.ok && cold.f.vec == VEC_PF && cold.f.cr2 == 0x6c10 + SYSCALL * 8);
}

/* A stack over the GDT: the frame destroys the descriptor that it was pushed by. */
Test(cpu_gatecache, frame_over_its_own_stack_descriptor)
{
    i386_user(v);
    mem_put32(TSS_AT + 4, GDT_AT + K_DATA + 8);
    agree(OP_SOFT, "the first");
    i386_user(v);
    v->eip = CODE_AT;
    mem_put32(GDT_AT + K_CODE, 0x0000ffff);
    mem_put32(GDT_AT + K_CODE + 4, 0x00cf9b00);
    agree(OP_SOFT, "the second");
}

/* --- random walks --- */

static uint32_t seed;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static void random_mode(void)
{
    switch (rnd(8)) {
    case 0: i386_v86(v, rnd(4)); break;
    case 1: iret_from_ring1(); break;
    case 2: case 3: iret_frame(K_CODE, K_DATA); break;
    case 4: iret_frame(U_CODE, U_DATA); break;
    default: i386_user(v);
    }
}

static void random_change(void)
{
    static const uint16_t sel[] = {K_CODE, K_DATA, U_CODE, U_DATA, R1_CODE, R1_DATA, K_CODE16, SEL_TSS2};
    static const uint16_t stack[] = {0, K_DATA, K_DATA16, K_DATA | 1, R1_DATA, U_DATA};
    static const uint8_t vec[] = {SYSCALL, IRQ, VEC_PF, VEC_GP, VEC_DF};
    uint32_t bit = rnd(64);
    gla_t at;

    switch (rnd(12)) {
    case 0: case 1: case 2: at = GDT_AT + sel[rnd(ARRAY_SIZE(sel))]; break;
    case 3: case 4: at = IDT_AT + vec[rnd(ARRAY_SIZE(vec))] * 8u; break;
    case 5: at = TSS_AT + 4 + 8 * rnd(2); bit %= 16; break;
    case 6: at = FRAME + 4 * rnd(4); bit %= 32; break;
    case 7: mem_put32(TSS_AT + 8, stack[rnd(ARRAY_SIZE(stack))]); return;
    case 8: v->eflags ^= BIT(rnd(22)) & (EFLAGS_CF | EFLAGS_TF | EFLAGS_IF | EFLAGS_IOPL | EFLAGS_NT | EFLAGS_RF | EFLAGS_AC); return;
    case 9: v->gdtr.limit ^= 8u << rnd(5); return;
    case 10: v->tr.limit ^= 1u << rnd(7); return;
    default: fake_gmem.flags[rnd(14)] ^= 1u << rnd(3); v->gmem_gen++; return;
    }
    at &= ~7u | 4;
    fake_gmem.mem[(at & ~3u) + bit / 8] ^= BIT(bit % 8);
}

Test(cpu_gatecache, random_changes)
{
    unsigned taken = 0, rounds = 0;
    struct machine clean;

    save(&clean);
    for (seed = 1; seed < 400; seed++) {
        uint32_t walk = seed;

        for (unsigned i = 0; i < 40; i++, rounds++) {
            enum op op = (enum op)rnd(OPS);

            if (!rnd(6) || v->vm->stop)
                restore(&clean);
            if (!rnd(3))
                random_mode();
            while (!rnd(3))
                random_change();
            vcpu_changed(v);
            taken += agree(op, "a random walk");
        }
        seed = walk;
    }
    cr_log_info("%u short cuts of %u", taken, rounds);
    cr_assert_gt(taken, rounds / 10);
}
