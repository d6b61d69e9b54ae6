// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Delivery of interrupts and exceptions: frames, gates, error codes, double and triple faults, and that a
 * delivery that fails leaves no trace (SDM vol. 3A chapter 6).
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cpu/exception.h"
#include "tests/fake/i386.h"

#define HANDLER 0x8200u
#define DF_HANDLER 0x8300u

static struct vcpu *v;
static struct fault f;

static void setup(void)
{
    v = i386_new();
    for (unsigned i = 0; i < 32; i++)
        i386_gate(i, K_CODE, HANDLER + i, DESC_INT32, 0);
    i386_gate(VEC_DF, K_CODE, DF_HANDLER, DESC_INT32, 0);
    i386_gate(0x30, K_CODE, HANDLER, DESC_INT32, 0);
    i386_gate(0x80, K_CODE, HANDLER, DESC_TRAP32, 3);
}
TestSuite(cpu_exception, .init = setup);

#define soft_int_fails(vec_, vector, error)                                           \
    do {                                                                              \
        struct vcpu before_ = *v;                                                     \
        memset(&f, 0xee, sizeof f);                                                   \
        cr_assert(!vcpu_soft_int(v, vec_, v->eip + 2, &f));                           \
        cr_assert_eq(f.vec, vector, "vector %u", f.vec);                              \
        cr_assert_eq(f.err, (uint32_t)(error), "error %#x", f.err);                   \
        cr_assert(!memcmp(v, &before_, VCPU_STATE_SIZE), "the vCPU changed");          \
    } while (0)

static struct fault fault_of(uint8_t vec, bool has_err, uint32_t err)
{
    return (struct fault){.vec = vec, .has_err = has_err, .err = err, .cr2 = 0xdead000};
}

static void deliver(uint8_t vec, bool has_err, uint32_t err)
{
    struct fault x = fault_of(vec, has_err, err);

    vcpu_deliver_fault(v, &x);
}

Test(cpu_exception, system_call_from_user)
{
    i386_user(v);
    v->eflags |= EFLAGS_TF | EFLAGS_NT | EFLAGS_RF | EFLAGS_AC | EFLAGS_CF;
    v->shadow = SHADOW_STI;
    v->hsel_dirty = 0;
    fake_gmem.reads = fake_gmem.writes = 0;
    for (unsigned i = 0; i < 2; i++) /* the accessed bits get set by a first load */
        cr_assert(seg_load(v, SEG_ES, U_DATA, &f));
    mem_put32(GDT_AT + K_CODE + 4, mem32(GDT_AT + K_CODE + 4) | BIT(8));
    mem_put32(GDT_AT + K_DATA + 4, mem32(GDT_AT + K_DATA + 4) | BIT(8));
    fake_gmem.reads = fake_gmem.writes = 0;
    cr_assert(vcpu_soft_int(v, 0x80, CODE_AT + 2, &f));
    cr_assert_eq(fake_gmem.reads, 4, "gate, code, TSS stack, stack descriptor");
    cr_assert_eq(fake_gmem.writes, 1, "the frame");
    cr_assert_eq(v->cpl, 0);
    cr_assert_eq(v->eip, HANDLER);
    cr_assert_eq(v->seg[SEG_CS].sel, K_CODE);
    cr_assert_eq(v->seg[SEG_SS].sel, K_DATA);
    cr_assert_eq(v->gpr[REG_ESP], KSTACK_TOP - 20);
    cr_assert_eq(mem32(KSTACK_TOP - 4), U_DATA);
    cr_assert_eq(mem32(KSTACK_TOP - 8), USTACK_TOP);
    cr_assert_eq(mem32(KSTACK_TOP - 12),
                 EFLAGS_FIXED | EFLAGS_IF | EFLAGS_TF | EFLAGS_NT | EFLAGS_RF | EFLAGS_AC | EFLAGS_CF);
    cr_assert_eq(mem32(KSTACK_TOP - 16), U_CODE);
    cr_assert_eq(mem32(KSTACK_TOP - 20), CODE_AT + 2);
    cr_assert_eq(v->eflags, EFLAGS_FIXED | EFLAGS_IF | EFLAGS_AC | EFLAGS_CF, "trap gates keep IF");
    cr_assert_eq(v->seg[SEG_DS].sel, U_DATA, "data segments stay");
    cr_assert_eq(v->shadow, 0);
    cr_assert_eq(v->hsel_dirty, 1u << SEG_CS | 1u << SEG_SS, "what did not change needs no new selector");
    cr_assert_eq(v->vm->stats->soft_interrupts, 1);
}

Test(cpu_exception, same_ring_with_error_code)
{
    deliver(VEC_GP, true, 0x1234);
    cr_assert_eq(v->eip, HANDLER + VEC_GP);
    cr_assert_eq(v->gpr[REG_ESP], KSTACK_TOP - 16);
    cr_assert_eq(mem32(KSTACK_TOP - 16), 0x1234);
    cr_assert_eq(mem32(KSTACK_TOP - 12), CODE_AT);
    cr_assert_eq(mem32(KSTACK_TOP - 8), K_CODE);
    cr_assert_eq(mem32(KSTACK_TOP - 4), EFLAGS_FIXED | EFLAGS_IF | EFLAGS_RF, "faults set RF in the image");
    cr_assert_eq(v->eflags, EFLAGS_FIXED, "interrupt gates clear IF");
    cr_assert_eq(v->vm->stats->exceptions, 1);
}

Test(cpu_exception, rf_in_the_image)
{
    deliver(VEC_DB, false, 0);
    cr_assert_eq(mem32(KSTACK_TOP - 4), EFLAGS_FIXED | EFLAGS_IF, "instruction breakpoints do not");
    v->gpr[REG_ESP] = KSTACK_TOP;
    vcpu_deliver_trap(v, VEC_DB);
    cr_assert_eq(mem32(KSTACK_TOP - 4), EFLAGS_FIXED);
}

Test(cpu_exception, page_fault_sets_cr2)
{
    deliver(VEC_PF, true, PFERR_U);
    cr_assert_eq(v->cr2, 0xdead000);
    cr_assert_eq(mem32(KSTACK_TOP - 16), PFERR_U);
}

Test(cpu_exception, external_interrupt_wakes)
{
    i386_user(v);
    v->halted = true;
    vcpu_deliver_interrupt(v, 0x30);
    cr_assert(!v->halted);
    cr_assert_eq(v->eip, HANDLER);
    cr_assert_eq(v->eflags & EFLAGS_IF, 0);
    cr_assert_eq(v->vm->stats->interrupts, 1);
    v->nmi_pending = true;
    vcpu_deliver_nmi(v);
    cr_assert(v->nmi_blocked && !v->nmi_pending);
    cr_assert_eq(v->eip, HANDLER + VEC_NMI);
}

Test(cpu_exception, gate_checks)
{
    i386_user(v);
    soft_int_fails(0x30, VEC_GP, 0x30 * 8 + 2); /* gate DPL */
    v->idtr.limit = 0x80 * 8 + 6;
    soft_int_fails(0x80, VEC_GP, 0x80 * 8 + 2);
    v->idtr.limit++;
    i386_gate(0x80, K_CODE, HANDLER, DESC_CALL32, 3);
    soft_int_fails(0x80, VEC_GP, 0x80 * 8 + 2);
    i386_gate(0x80, K_CODE, HANDLER, DESC_INT32, 3);
    mem_put32(IDT_AT + 0x404, mem32(IDT_AT + 0x404) & ~0x8000u);
    soft_int_fails(0x80, VEC_NP, 0x80 * 8 + 2);
    i386_gate(0x80, 0, HANDLER, DESC_INT32, 3);
    soft_int_fails(0x80, VEC_GP, 0);
    i386_gate(0x80, K_DATA, HANDLER, DESC_INT32, 3);
    soft_int_fails(0x80, VEC_GP, K_DATA);
    i386_gate(0x80, CODE_ABSENT, HANDLER, DESC_INT32, 3);
    soft_int_fails(0x80, VEC_NP, CODE_ABSENT);
    i386_gate(0x80, GDT_END, HANDLER, DESC_INT32, 3);
    soft_int_fails(0x80, VEC_GP, GDT_END);
    i386_gate(0x80, K_CODE16, 0x10000, DESC_INT32, 3);
    soft_int_fails(0x80, VEC_GP, 0); /* offset beyond the limit */
    i386_gate(0x80, U_CODE, HANDLER, DESC_INT32, 3);
    cr_assert(vcpu_soft_int(v, 0x80, CODE_AT, &f), "a handler in the same ring");
    cr_assert_eq(v->cpl, 3);
    cr_assert_eq(v->gpr[REG_ESP], USTACK_TOP - 12);
}

Test(cpu_exception, handler_may_not_be_less_privileged)
{
    i386_gate(0x80, U_CODE, HANDLER, DESC_INT32, 3);
    soft_int_fails(0x80, VEC_GP, U_CODE & ~3);
}

Test(cpu_exception, conforming_handler_keeps_the_ring)
{
    i386_user(v);
    i386_gate(0x80, CONF_CODE, HANDLER, DESC_INT32, 3);
    cr_assert(vcpu_soft_int(v, 0x80, CODE_AT, &f));
    cr_assert_eq(v->cpl, 3);
    cr_assert_eq(v->seg[SEG_CS].sel, CONF_CODE | 3);
    cr_assert_eq(v->seg[SEG_SS].sel, U_DATA);
}

Test(cpu_exception, inner_stack_checks)
{
    i386_user(v);
    mem_put32(TSS_AT + 8, 0);
    soft_int_fails(0x80, VEC_TS, 0);
    mem_put32(TSS_AT + 8, GDT_END);
    soft_int_fails(0x80, VEC_TS, GDT_END);
    mem_put32(TSS_AT + 8, K_DATA | 3);
    soft_int_fails(0x80, VEC_TS, K_DATA);
    mem_put32(TSS_AT + 8, U_DATA & ~3);
    soft_int_fails(0x80, VEC_TS, U_DATA & ~3);
    mem_put32(TSS_AT + 8, K_CODE);
    soft_int_fails(0x80, VEC_TS, K_CODE);
    i386_desc(K_DATA, 0, 0xffffffff, 0xc012);
    mem_put32(TSS_AT + 8, K_DATA);
    soft_int_fails(0x80, VEC_SS, K_DATA);
    i386_desc(K_DATA, 0, KSTACK_TOP - 5, 0x4092);
    soft_int_fails(0x80, VEC_SS, K_DATA);
    v->tr.limit = 8;
    soft_int_fails(0x80, VEC_TS, SEL_TSS);
}

Test(cpu_exception, delivery_is_atomic)
{

    i386_user(v);
    fake_gmem.flags[(KSTACK_TOP - 1) >> 12] = FAKE_ABSENT;
    soft_int_fails(0x80, VEC_PF, PFERR_W);
    cr_assert_eq(f.cr2, KSTACK_TOP - 4, "the first slot that the CPU would push");
    /* A frame across two pages, the lower of which is absent: nothing in the upper one changes. */
    fake_gmem.flags[(KSTACK_TOP - 1) >> 12] = 0;
    fake_gmem.flags[(KSTACK_TOP >> 12) - 1 - 1] = FAKE_ABSENT;
    mem_put32(TSS_AT + 4, KSTACK_TOP - 0x1000 + 8);
    memset(fake_gmem.mem + KSTACK_TOP - 0x1000, 0xaa, 8);
    soft_int_fails(0x80, VEC_PF, PFERR_W);
    cr_assert_eq(mem32(KSTACK_TOP - 0x1000), 0xaaaaaaaa);
}

Test(cpu_exception, ext_bit_of_events)
{
    /* #UD whose gate is absent: #NP with EXT, not a double fault (#UD is benign). */
    mem_put32(IDT_AT + VEC_UD * 8 + 4, mem32(IDT_AT + VEC_UD * 8 + 4) & ~0x8000u);
    deliver(VEC_UD, false, 0);
    cr_assert_eq(v->eip, HANDLER + VEC_NP);
    cr_assert_eq(mem32(v->gpr[REG_ESP]), VEC_UD * 8 + 3);
    cr_assert_eq(mem32(v->gpr[REG_ESP] + 4), CODE_AT);
    v->gpr[REG_ESP] = KSTACK_TOP;
    i386_gate(0x30, K_DATA, HANDLER, DESC_INT32, 0);
    vcpu_deliver_interrupt(v, 0x30);
    cr_assert_eq(v->eip, HANDLER + VEC_GP);
    cr_assert_eq(mem32(v->gpr[REG_ESP]), K_DATA | 1);
}

static void break_gate(unsigned vec)
{
    mem_put32(IDT_AT + vec * 8 + 4, mem32(IDT_AT + vec * 8 + 4) & ~0x8000u);
}

Test(cpu_exception, double_fault_classes)
{
    /* ORDER: first, second by a broken gate (#NP, contributory), double? */
    static const struct { uint8_t vec; bool has_err, doubles; } cases[] = {
        {VEC_DE, false, true}, {VEC_TS, true, true}, {VEC_NP, true, true}, {VEC_SS, true, true},
        {VEC_GP, true, true},  {VEC_PF, true, true}, {VEC_UD, false, false}, {VEC_DB, false, false},
        {VEC_NM, false, false}, {VEC_MF, false, false}, {VEC_AC, true, false}, {VEC_OF, false, false},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        setup();
        break_gate(cases[i].vec);
        if (cases[i].vec == VEC_NP) /* its own gate is needed for the second fault of the others only */
            cr_assert(cases[i].doubles);
        deliver(cases[i].vec, cases[i].has_err, 0);
        cr_assert_eq(v->vm->stop, VM_RUNNING);
        cr_assert_eq(v->eip, cases[i].doubles ? DF_HANDLER : HANDLER + VEC_NP, "vector %u", cases[i].vec);
        if (cases[i].doubles) {
            cr_assert_eq(mem32(v->gpr[REG_ESP]), 0, "error code 0");
            cr_assert_eq(mem32(v->gpr[REG_ESP] + 4), CODE_AT);
        }
    }
}

Test(cpu_exception, page_fault_during_contributory_is_serial)
{
    i386_user(v);
    v->idtr.base = 0xff000; /* gates beyond #GP's page are absent */
    memcpy(fake_gmem.mem + 0xff000, fake_gmem.mem + IDT_AT, 0x100);
    v->idtr.base = 0xff000 + PAGE_SIZE - VEC_GP * 8; /* #GP's own gate lies in the hole */
    memcpy(fake_gmem.mem + v->idtr.base, fake_gmem.mem + IDT_AT, VEC_GP * 8);
    /* #NP (11) works, #GP (13) page-faults, and #PF (14) too: #GP -> #PF -> #DF (8), which works. */
    deliver(VEC_GP, true, 0);
    cr_assert_eq(v->eip, DF_HANDLER);
    cr_assert_eq(v->cr2, FAKE_MEM_SIZE + 8, "the second page fault, at #PF's gate");
    cr_assert_eq(v->vm->stop, VM_RUNNING);
}

Test(cpu_exception, page_fault_alone_after_gp)
{
    /* #GP goes through a task-less gate to an absent stack page; #PF has a same-ring handler that works. */
    i386_user(v);
    i386_gate(VEC_PF, U_CODE, HANDLER + VEC_PF, DESC_INT32, 0);
    fake_gmem.flags[(KSTACK_TOP - 1) >> 12] = FAKE_ABSENT;
    deliver(VEC_GP, true, 0);
    cr_assert_eq(v->eip, HANDLER + VEC_PF);
    cr_assert_eq(v->cpl, 3);
    cr_assert_eq(v->cr2, KSTACK_TOP - 4);
    cr_assert_eq(mem32(v->gpr[REG_ESP] + 12) & EFLAGS_RF, EFLAGS_RF);
}

Test(cpu_exception, triple_fault)
{
    struct vcpu before;

    break_gate(VEC_GP);
    break_gate(VEC_DF);
    before = *v;
    deliver(VEC_GP, true, 0);
    cr_assert_eq(v->vm->stop, VM_STOP_TRIPLE);
    cr_assert_eq(v->eip, before.eip);
    cr_assert_eq(v->gpr[REG_ESP], before.gpr[REG_ESP]);
    cr_assert(strstr(v->vm->stop_msg, "triple fault"));
}

Test(cpu_exception, empty_idt_is_a_triple_fault)
{
    v->idtr.limit = 0;
    deliver(VEC_UD, false, 0);
    cr_assert_eq(v->vm->stop, VM_STOP_TRIPLE);
}

Test(cpu_exception, sixteen_bit_gates_and_stacks)
{
    i386_gate(0x80, K_CODE16, 0x9000, DESC_INT16, 3);
    mem_put32(TSS_AT + 8, K_DATA16);
    i386_user(v);
    cr_assert(vcpu_soft_int(v, 0x80, CODE_AT + 2, &f));
    cr_assert_eq(v->gpr[REG_ESP], KSTACK_TOP - 10);
    cr_assert_eq(mem16(KSTACK_TOP - 10), CODE_AT + 2);
    cr_assert_eq(mem16(KSTACK_TOP - 8), U_CODE);
    cr_assert_eq(mem16(KSTACK_TOP - 2), U_DATA);
    /* In the same ring SP wraps at 64 KiB and the upper half of ESP stays. */
    v->gpr[REG_ESP] = 0x12340004;
    cr_assert(vcpu_soft_int(v, 0x80, 0x1111, &f));
    cr_assert_eq(v->gpr[REG_ESP], 0x1234fffe);
    cr_assert_eq(mem16(2), v->eflags | 0);
    cr_assert_eq(mem16(0), K_CODE16);
    cr_assert_eq(mem16(0xfffe), 0x1111);
    v->gpr[REG_ESP] = 3;
    soft_int_fails(0x80, VEC_SS, 0);
    /* Both parts of a wrapped frame are tried before either is written. */
    v->gpr[REG_ESP] = 4;
    fake_gmem.flags[0] = FAKE_READONLY;
    mem_put16(0xfffe, 0x7777);
    soft_int_fails(0x80, VEC_PF, PFERR_P | PFERR_W);
    cr_assert_eq(mem16(0xfffe), 0x7777);
}

Test(cpu_exception, from_v86)
{
    i386_v86(v, 0);
    vcpu_deliver_interrupt(v, 0x30);
    cr_assert_eq(v->cpl, 0);
    cr_assert(!(v->eflags & EFLAGS_VM));
    cr_assert_eq(v->gpr[REG_ESP], KSTACK_TOP - 36);
    cr_assert_eq(mem32(KSTACK_TOP - 4), 0x555);
    cr_assert_eq(mem32(KSTACK_TOP - 8), 0x444);
    cr_assert_eq(mem32(KSTACK_TOP - 12), 0x333);
    cr_assert_eq(mem32(KSTACK_TOP - 16), 0x111);
    cr_assert_eq(mem32(KSTACK_TOP - 20), 0x800);
    cr_assert_eq(mem32(KSTACK_TOP - 24), 0x1000);
    cr_assert_eq(mem32(KSTACK_TOP - 28), EFLAGS_FIXED | EFLAGS_IF | EFLAGS_VM);
    cr_assert_eq(mem32(KSTACK_TOP - 32), 0x700);
    cr_assert_eq(mem32(KSTACK_TOP - 36), 0x123);
    cr_assert_eq(v->seg[SEG_DS].sel | v->seg[SEG_ES].sel | v->seg[SEG_FS].sel | v->seg[SEG_GS].sel, 0);
    cr_assert_eq(v->seg[SEG_DS].attr, 0);
}

Test(cpu_exception, v86_software_interrupts)
{
    i386_v86(v, 0);
    soft_int_fails(0x80, VEC_GP, 0); /* IOPL */
    i386_gate(VEC_BP, K_CODE, HANDLER, DESC_INT32, 3);
    cr_assert(vcpu_soft_int(v, VEC_BP, v->eip + 1, &f), "INT3 is not sensitive to IOPL");
    setup();
    i386_v86(v, 3);
    i386_gate(0x80, R1_CODE, HANDLER, DESC_INT32, 3);
    soft_int_fails(0x80, VEC_GP, R1_CODE & ~3); /* only ring 0 */
    i386_gate(0x80, CONF_CODE, HANDLER, DESC_INT32, 3);
    soft_int_fails(0x80, VEC_GP, CONF_CODE);
    i386_gate(0x80, K_CODE, HANDLER, DESC_INT32, 3);
    cr_assert(vcpu_soft_int(v, 0x80, v->eip + 2, &f));
}

Test(cpu_exception, real_mode)
{
    i386_real(v);
    mem_put16(0x80 * 4, 0x4321);
    mem_put16(0x80 * 4 + 2, 0x0900);
    v->eflags |= EFLAGS_TF | EFLAGS_CF;
    cr_assert(vcpu_soft_int(v, 0x80, 0x8002, &f));
    cr_assert_eq(v->eip, 0x4321);
    cr_assert_eq(v->seg[SEG_CS].sel, 0x900);
    cr_assert_eq(v->seg[SEG_CS].base, 0x9000);
    cr_assert_eq(v->gpr[REG_ESP], 0x7ffa);
    cr_assert_eq(mem16(0x7ffa), 0x8002);
    cr_assert_eq(mem16(0x7ffc), 0);
    cr_assert_eq(mem16(0x7ffe), EFLAGS_FIXED | EFLAGS_IF | EFLAGS_TF | EFLAGS_CF);
    cr_assert_eq(v->eflags, EFLAGS_FIXED | EFLAGS_CF);
    mem_put16(VEC_GP * 4, 0x5000);
    deliver(VEC_GP, true, 0x99);
    cr_assert_eq(v->gpr[REG_ESP], 0x7ff4, "no error code in real mode");
    v->idtr.limit = 0x30 * 4 + 2;
    soft_int_fails(0x30, VEC_GP, 0x30 * 8 + 2);
    v->gpr[REG_ESP] = 0x8001;
    v->seg[SEG_SS].limit = 0x7ffe;
    soft_int_fails(0x10, VEC_SS, 0);
}

static void second_task(void)
{
    mem_put32(TSS2_AT + 0x1c, 0x77000);
    mem_put32(TSS2_AT + 0x20, 0x9999);
    mem_put32(TSS2_AT + 0x24, EFLAGS_FIXED);
    mem_put32(TSS2_AT + 0x38, 0xd000);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        mem_put32(TSS2_AT + 0x48 + 4 * i, i == SEG_CS ? K_CODE : K_DATA);
}

Test(cpu_exception, task_gate_pushes_the_error_code_on_the_new_stack)
{
    second_task();
    i386_gate(VEC_DF, SEL_TSS2, 0, DESC_TASK, 0);
    break_gate(VEC_GP);
    v->gpr[REG_EBX] = 0x1234;
    deliver(VEC_GP, true, 0x10);
    cr_assert_eq(v->vm->stop, VM_RUNNING);
    cr_assert_eq(v->tr.sel, SEL_TSS2);
    cr_assert_eq(v->eip, 0x9999);
    cr_assert_eq(v->gpr[REG_ESP], 0xd000 - 4);
    cr_assert_eq(mem32(0xd000 - 4), 0);
    cr_assert(v->eflags & EFLAGS_NT);
    cr_assert(v->cr0 & CR0_TS);
    cr_assert_eq(mem16(TSS2_AT), SEL_TSS, "back link");
    cr_assert_eq(mem32(TSS_AT + 0x20), CODE_AT, "the old task's EIP");
    cr_assert_eq(mem32(TSS_AT + 0x34), 0x1234, "its EBX");
    cr_assert_eq(v->cr3, 0, "CR3 is not loaded without paging");
}

Test(cpu_exception, debug_trap_of_a_task_switch)
{
    second_task();
    mem_put32(TSS2_AT + 0x64, 1); /* T */
    i386_gate(VEC_DB, SEL_TSS2, 0, DESC_TASK, 0);
    i386_gate(0x30, SEL_TSS2, 0, DESC_TASK, 0);
    vcpu_deliver_interrupt(v, 0x30);
    /* The first switch works and traps; #DB's gate then names a busy TSS. */
    cr_assert_eq(v->dr[6] & BIT(15), BIT(15));
    cr_assert_eq(v->eip, HANDLER + VEC_GP);
}
