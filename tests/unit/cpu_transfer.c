// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Far transfers: JMP, CALL, RET, call gates, IRET in all its forms, task switches, SYSENTER and SYSEXIT.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cpu/transfer.h"
#include "tests/fake/i386.h"

static struct vcpu *v;
static struct fault f;

static void setup(void) { v = i386_new(); }
TestSuite(cpu_transfer, .init = setup);

#define fails(call, vector, error)                                                            \
    do {                                                                                      \
        struct vcpu before_ = *v;                                                             \
        memset(&f, 0xee, sizeof f);                                                           \
        cr_assert(!(call), "%s must fault", #call);                                           \
        cr_assert_eq(f.vec, vector, "%s: vector %u", #call, f.vec);                           \
        cr_assert_eq(f.err, (uint32_t)(error), "%s: error %#x", #call, f.err);                \
        cr_assert(!memcmp(v, &before_, VCPU_STATE_SIZE), "%s changed the vCPU", #call);        \
    } while (0)

static void push32(uint32_t x)
{
    v->gpr[REG_ESP] -= 4;
    mem_put32(v->gpr[REG_ESP], x);
}

/* --- one slot --- */

Test(cpu_transfer, push_and_pop)
{
    uint32_t x;

    cr_assert(stack_push(v, 0x11223344, 4, &f));
    cr_assert_eq(mem32(KSTACK_TOP - 4), 0x11223344);
    cr_assert(stack_push(v, 0xaabb, 2, &f));
    cr_assert_eq(v->gpr[REG_ESP], KSTACK_TOP - 6);
    cr_assert(stack_peek(v, 2, &x, 4, &f));
    cr_assert_eq(x, 0x11223344);
    stack_drop(v, 6);
    cr_assert_eq(v->gpr[REG_ESP], KSTACK_TOP);
    i386_load(v, SEG_SS, K_DATA16);
    v->gpr[REG_ESP] = 0x55550000;
    cr_assert(stack_push(v, 0x1234, 2, &f));
    cr_assert_eq(v->gpr[REG_ESP], 0x5555fffe);
    v->gpr[REG_ESP] = 0x55550002;
    fails(stack_push(v, 0, 4, &f), VEC_SS, 0);
    i386_load(v, SEG_SS, K_DATA);
    fake_gmem.flags[0xa] = FAKE_ABSENT;
    v->gpr[REG_ESP] = 0xb002;
    fails(stack_push(v, 0, 4, &f), VEC_PF, PFERR_W);
}

/* --- JMP and CALL --- */

Test(cpu_transfer, far_jmp_direct)
{
    cr_assert(far_jmp(v, K_CODE16, 0x12345, 2, 0, &f));
    cr_assert_eq(v->eip, 0x2345, "a 16-bit offset");
    cr_assert_eq(v->seg[SEG_CS].attr & SEG_ATTR_DB, 0);
    cr_assert(mem32(GDT_AT + K_CODE16 + 4) & BIT(8));
    fails(far_jmp(v, K_CODE16, 0x12345, 4, 0, &f), VEC_GP, 0);
    fails(far_jmp(v, 3, 0, 4, 0, &f), VEC_GP, 0);
    fails(far_jmp(v, GDT_END, 0, 4, 0, &f), VEC_GP, GDT_END);
    fails(far_jmp(v, K_DATA, 0, 4, 0, &f), VEC_GP, K_DATA);
    fails(far_jmp(v, SEL_LDT, 0, 4, 0, &f), VEC_GP, SEL_LDT);
    fails(far_jmp(v, SEL_TSS, 0, 4, 0, &f), VEC_GP, SEL_TSS); /* busy */
    fails(far_jmp(v, CODE_ABSENT, 0, 4, 0, &f), VEC_NP, CODE_ABSENT);
    fails(far_jmp(v, U_CODE, 0, 4, 0, &f), VEC_GP, U_CODE & ~3);
    fails(far_jmp(v, K_CODE | 1, 0, 4, 0, &f), VEC_GP, K_CODE); /* RPL > CPL */
    i386_user(v);
    fails(far_jmp(v, K_CODE, 0, 4, 0, &f), VEC_GP, K_CODE);
    cr_assert(far_jmp(v, U_CODE & ~3, 5, 4, 0, &f), "a lower RPL is raised");
    cr_assert_eq(v->seg[SEG_CS].sel, U_CODE);
    cr_assert(far_jmp(v, CONF_CODE, 6, 4, 0, &f));
    cr_assert_eq(v->seg[SEG_CS].sel, CONF_CODE | 3);
    cr_assert_eq(v->cpl, 3);
}

Test(cpu_transfer, far_call_direct)
{
    cr_assert(far_call(v, K_CODE, 0x9000, 4, CODE_AT + 7, &f));
    cr_assert_eq(v->eip, 0x9000);
    cr_assert_eq(v->gpr[REG_ESP], KSTACK_TOP - 8);
    cr_assert_eq(mem32(KSTACK_TOP - 8), CODE_AT + 7);
    cr_assert_eq(mem32(KSTACK_TOP - 4), K_CODE);
    cr_assert(far_call(v, K_CODE, 0x9000, 2, 0x11223344, &f));
    cr_assert_eq(mem32(KSTACK_TOP - 12), K_CODE << 16 | 0x3344);
    cr_assert(far_ret(v, 2, 0, &f));
    cr_assert_eq(v->eip, 0x3344);
    cr_assert(far_ret(v, 4, 0, &f));
    cr_assert_eq(v->eip, CODE_AT + 7);
    cr_assert_eq(v->gpr[REG_ESP], KSTACK_TOP);
    fake_gmem.flags[0xa] = FAKE_READONLY;
    fails(far_call(v, K_CODE, 0x9000, 4, 0, &f), VEC_PF, PFERR_W | PFERR_P);
    v->seg[SEG_SS].limit = KSTACK_TOP - 6;
    fails(far_call(v, K_CODE, 0x9000, 4, 0, &f), VEC_SS, 0);
    fails(far_call(v, K_CODE16, 0x10000, 4, 0, &f), VEC_SS, 0); /* before the target's limit */
    cr_assert(far_jmp(v, K_CODE, 0x9000, 4, 0, &f));
}

Test(cpu_transfer, call_gate_to_an_inner_ring_and_back)
{
    i386_user(v);
    push32(0x22222222);
    push32(0x11111111);
    cr_assert(far_call(v, GATE32, 0xbad, 4, CODE_AT + 7, &f));
    cr_assert_eq(v->cpl, 0);
    cr_assert_eq(v->eip, 0x8100);
    cr_assert_eq(v->seg[SEG_CS].sel, K_CODE);
    cr_assert_eq(v->seg[SEG_SS].sel, K_DATA);
    cr_assert_eq(v->gpr[REG_ESP], KSTACK_TOP - 24);
    cr_assert_eq(mem32(KSTACK_TOP - 4), U_DATA);
    cr_assert_eq(mem32(KSTACK_TOP - 8), USTACK_TOP - 8);
    cr_assert_eq(mem32(KSTACK_TOP - 12), 0x22222222);
    cr_assert_eq(mem32(KSTACK_TOP - 16), 0x11111111);
    cr_assert_eq(mem32(KSTACK_TOP - 20), U_CODE);
    cr_assert_eq(mem32(KSTACK_TOP - 24), CODE_AT + 7);
    i386_load(v, SEG_DS, K_DATA);
    i386_load(v, SEG_FS, K_CODE);
    i386_load(v, SEG_GS, CONF_CODE);
    cr_assert(far_ret(v, 4, 8, &f));
    cr_assert_eq(v->cpl, 3);
    cr_assert_eq(v->eip, CODE_AT + 7);
    cr_assert_eq(v->gpr[REG_ESP], USTACK_TOP, "parameters are released on both stacks");
    cr_assert_eq(v->seg[SEG_SS].sel, U_DATA);
    cr_assert_eq(v->seg[SEG_DS].sel, 0, "an inner ring's data segment is nulled");
    cr_assert_eq(v->seg[SEG_FS].attr, 0);
    cr_assert_eq(v->seg[SEG_GS].sel, CONF_CODE);
    cr_assert_eq(v->seg[SEG_ES].sel, U_DATA);
}

Test(cpu_transfer, call_gate_16)
{
    i386_user(v);
    push32(0x22221111);
    cr_assert(far_call(v, GATE16, 0, 4, 0x8007, &f));
    cr_assert_eq(v->gpr[REG_ESP], KSTACK_TOP - 12);
    cr_assert_eq(mem16(KSTACK_TOP - 2), U_DATA);
    cr_assert_eq(mem16(KSTACK_TOP - 4), (USTACK_TOP - 4) & 0xffff);
    cr_assert_eq(mem32(KSTACK_TOP - 8), 0x22221111);
    cr_assert_eq(mem16(KSTACK_TOP - 10), U_CODE);
    cr_assert_eq(mem16(KSTACK_TOP - 12), 0x8007);
}

Test(cpu_transfer, call_gate_within_the_ring)
{
    cr_assert(far_call(v, GATE32 & ~3, 0, 2, CODE_AT + 7, &f));
    cr_assert_eq(v->gpr[REG_ESP], KSTACK_TOP - 8, "no parameters, and the gate's size");
    cr_assert(far_jmp(v, GATE32 & ~3, 0, 4, 0, &f));
    cr_assert_eq(v->eip, 0x8100);
}

Test(cpu_transfer, call_gate_checks)
{
    i386_user(v);
    fails(far_jmp(v, GATE32, 0, 4, 0, &f), VEC_GP, K_CODE); /* JMP can't change the ring */
    fails(far_call(v, GATE_ABSENT, 0, 4, 0, &f), VEC_NP, GATE_ABSENT & ~3);
    i386_call_gate(GATE32, K_CODE, 0x8100, DESC_CALL32, 2, 0);
    fails(far_call(v, GATE32, 0, 4, 0, &f), VEC_GP, GATE32 & ~3);
    i386_call_gate(GATE32, 0, 0x8100, DESC_CALL32, 3, 0);
    fails(far_call(v, GATE32, 0, 4, 0, &f), VEC_GP, 0);
    i386_call_gate(GATE32, K_DATA, 0x8100, DESC_CALL32, 3, 0);
    fails(far_call(v, GATE32, 0, 4, 0, &f), VEC_GP, K_DATA);
    i386_call_gate(GATE32, CODE_ABSENT, 0x8100, DESC_CALL32, 3, 0);
    fails(far_call(v, GATE32, 0, 4, 0, &f), VEC_NP, CODE_ABSENT);
    i386_call_gate(GATE32, K_CODE16, 0x10000, DESC_CALL32, 3, 0);
    fails(far_call(v, GATE32, 0, 4, 0, &f), VEC_GP, 0);
    i386_call_gate(GATE32, K_CODE, 0x8100, DESC_CALL32, 3, 31);
    v->gpr[REG_ESP] = FAKE_MEM_SIZE - 8; /* parameters run into the hole */
    fails(far_call(v, GATE32, 0, 4, 0, &f), VEC_PF, PFERR_U);
    v->gpr[REG_ESP] = USTACK_TOP;
    mem_put32(TSS_AT + 8, K_DATA | 1);
    fails(far_call(v, GATE32, 0, 4, 0, &f), VEC_TS, K_DATA);
    i386_call_gate(GATE32, R1_CODE, 0x8100, DESC_CALL32, 3, 0);
    cr_assert(far_call(v, GATE32, 0, 4, 0, &f));
    cr_assert_eq(v->cpl, 1);
    cr_assert_eq(v->seg[SEG_CS].sel, R1_CODE);
    cr_assert_eq(v->gpr[REG_ESP], R1STACK_TOP - 16);
}

/* --- RET --- */

static void ret_frame(uint16_t cs, uint32_t eip)
{
    v->gpr[REG_ESP] = KSTACK_TOP;
    push32(U_DATA);
    push32(USTACK_TOP);
    push32(cs);
    push32(eip);
}

Test(cpu_transfer, far_ret_checks)
{
    ret_frame(0, 0);
    fails(far_ret(v, 4, 0, &f), VEC_GP, 0);
    ret_frame(GDT_END, 0);
    fails(far_ret(v, 4, 0, &f), VEC_GP, GDT_END);
    ret_frame(K_DATA, 0);
    fails(far_ret(v, 4, 0, &f), VEC_GP, K_DATA);
    ret_frame(U_CODE & ~3, 0);
    fails(far_ret(v, 4, 0, &f), VEC_GP, U_CODE & ~3);
    ret_frame(K_CODE | 3, 0);
    fails(far_ret(v, 4, 0, &f), VEC_GP, K_CODE);
    ret_frame(CODE_ABSENT, 0);
    fails(far_ret(v, 4, 0, &f), VEC_NP, CODE_ABSENT);
    ret_frame(K_CODE16, 0x10000);
    fails(far_ret(v, 4, 0, &f), VEC_GP, 0);
    ret_frame(U_CODE, 0);
    mem_put32(KSTACK_TOP - 4, 0);
    fails(far_ret(v, 4, 0, &f), VEC_GP, 0);
    mem_put32(KSTACK_TOP - 4, K_DATA);
    fails(far_ret(v, 4, 0, &f), VEC_GP, K_DATA);
    mem_put32(KSTACK_TOP - 4, U_ABSENT);
    fails(far_ret(v, 4, 0, &f), VEC_SS, U_ABSENT & ~3);
    i386_user(v);
    ret_frame(K_CODE, 0);
    fails(far_ret(v, 4, 0, &f), VEC_GP, K_CODE); /* inward */
}

Test(cpu_transfer, far_ret_nulls_by_dpl)
{
    for (unsigned dpl = 0; dpl < 4; dpl++) {
        setup();
        v->seg[SEG_DS].attr = (v->seg[SEG_DS].attr & ~SEG_ATTR_DPL) | dpl << SEG_ATTR_DPL_SHIFT;
        ret_frame(U_CODE, 0x9000);
        cr_assert(far_ret(v, 4, 0, &f));
        cr_assert_eq(!v->seg[SEG_DS].attr, dpl < 3, "DPL %u", dpl);
    }
}

Test(cpu_transfer, real_mode_transfers)
{
    i386_real(v);
    cr_assert(far_call(v, 0x900, 0x10, 2, 0x8005, &f));
    cr_assert_eq(v->seg[SEG_CS].base, 0x9000);
    cr_assert_eq(v->gpr[REG_ESP], 0x7ffc);
    cr_assert(far_ret(v, 2, 2, &f));
    cr_assert_eq(v->eip, 0x8005);
    cr_assert_eq(v->seg[SEG_CS].sel, 0);
    cr_assert_eq(v->gpr[REG_ESP], 0x8002);
    fails(far_jmp(v, 0, 0x10000, 4, 0, &f), VEC_GP, 0);
    cr_assert(far_jmp(v, 0xffff, 0xfff0, 2, 0, &f));
    cr_assert_eq(v->seg[SEG_CS].base, 0xffff0);
}

/* --- IRET --- */

static void iret_frame(uint32_t eip, uint16_t cs, uint32_t eflags, uint32_t esp, uint16_t ss)
{
    v->gpr[REG_ESP] = KSTACK_TOP;
    push32(ss);
    push32(esp);
    push32(eflags);
    push32(cs);
    push32(eip);
}

/* A waiting NMI is let in before the next instruction, also when IRET itself faults. */
Test(cpu_transfer, iret_lets_a_pending_nmi_in)
{
    for (unsigned bad = 0; bad < 2; bad++) {
        v->nmi_blocked = v->nmi_pending = true;
        v->attention = 0;
        iret_frame(0x9000, bad ? 0 : K_CODE, EFLAGS_FIXED, 0, 0);
        cr_assert_eq(iret(v, 4, 0, &f), !bad);
        cr_assert(!v->nmi_blocked && v->nmi_pending);
        cr_assert(v->attention);
    }
}

Test(cpu_transfer, iret_same_ring)
{
    v->nmi_blocked = true;
    iret_frame(0x9000, K_CODE, EFLAGS_RF | EFLAGS_IF | EFLAGS_ZF | EFLAGS_AC | 3 << 12, 0, 0);
    fake_gmem.reads = 0;
    cr_assert(iret(v, 4, 0, &f));
    cr_assert_eq(fake_gmem.reads, 2, "frame and code descriptor");
    cr_assert_eq(v->eip, 0x9000);
    cr_assert_eq(v->gpr[REG_ESP], KSTACK_TOP - 8);
    cr_assert_eq(v->eflags, EFLAGS_FIXED | EFLAGS_RF | EFLAGS_IF | EFLAGS_ZF | EFLAGS_AC | 3 << 12);
    cr_assert(!v->nmi_blocked);
    cr_assert(!v->attention);
    cr_assert_eq(v->vm->stats->irets, 1);
}

Test(cpu_transfer, iret_to_user)
{
    i386_load(v, SEG_ES, U_DATA);
    iret_frame(0x9000, U_CODE, EFLAGS_IF, USTACK_TOP, U_DATA);
    cr_assert(iret(v, 4, 0, &f)); /* sets the accessed bits */
    i386_load(v, SEG_CS, K_CODE);
    i386_load(v, SEG_SS, K_DATA);
    i386_load(v, SEG_DS, K_DATA);
    i386_load(v, SEG_FS, U_DATA);
    v->cpl = 0;
    iret_frame(0x9000, U_CODE, EFLAGS_IF, USTACK_TOP, U_DATA);
    fake_gmem.reads = fake_gmem.writes = 0;
    cr_assert(iret(v, 4, 0, &f));
    cr_assert_eq(fake_gmem.reads, 0, "as the last one");
    cr_assert_eq(fake_gmem.writes, 0);
    cr_assert_eq(v->cpl, 3);
    cr_assert_eq(v->seg[SEG_CS].sel, U_CODE);
    cr_assert_eq(v->seg[SEG_SS].sel, U_DATA);
    cr_assert_eq(v->gpr[REG_ESP], USTACK_TOP);
    cr_assert_eq(v->seg[SEG_DS].sel, 0);
    cr_assert_eq(v->seg[SEG_FS].sel, U_DATA);
}

Test(cpu_transfer, iret_frame_at_a_page_end)
{
    /* Three slots at the very end of the last page: the other two must not be touched in the same ring. */
    v->gpr[REG_ESP] = FAKE_MEM_SIZE;
    push32(EFLAGS_IF);
    push32(K_CODE);
    push32(0x9000);
    cr_assert(iret(v, 4, 0, &f));
    cr_assert_eq(v->gpr[REG_ESP], FAKE_MEM_SIZE);
    push32(EFLAGS_IF);
    push32(U_CODE);
    push32(0x9000);
    fails(iret(v, 4, 0, &f), VEC_PF, 0);
    cr_assert_eq(f.cr2, FAKE_MEM_SIZE);
    /* Across two pages it works. */
    v->gpr[REG_ESP] = 0xb008;
    push32(U_DATA);
    push32(USTACK_TOP);
    push32(EFLAGS_IF);
    push32(U_CODE);
    push32(0x9000);
    cr_assert(iret(v, 4, 0, &f));
    cr_assert_eq(v->gpr[REG_ESP], USTACK_TOP);
}

Test(cpu_transfer, iret_checks)
{
    iret_frame(0, 0, 2, USTACK_TOP, U_DATA);
    fails(iret(v, 4, 0, &f), VEC_GP, 0);
    iret_frame(0, K_DATA, 2, USTACK_TOP, U_DATA);
    fails(iret(v, 4, 0, &f), VEC_GP, K_DATA);
    iret_frame(0, CODE_ABSENT, 2, USTACK_TOP, U_DATA);
    fails(iret(v, 4, 0, &f), VEC_NP, CODE_ABSENT);
    iret_frame(0x10000, K_CODE16, 2, USTACK_TOP, U_DATA);
    fails(iret(v, 4, 0, &f), VEC_GP, 0);
    iret_frame(0x10000, U_CODE16, 2, USTACK_TOP, U_DATA);
    fails(iret(v, 4, 0, &f), VEC_GP, 0);
    iret_frame(0, U_CODE, 2, USTACK_TOP, 0);
    fails(iret(v, 4, 0, &f), VEC_GP, 0);
    iret_frame(0, U_CODE, 2, USTACK_TOP, K_DATA);
    fails(iret(v, 4, 0, &f), VEC_GP, K_DATA);
    iret_frame(0, U_CODE, 2, USTACK_TOP, U_READONLY);
    fails(iret(v, 4, 0, &f), VEC_GP, U_READONLY & ~3);
    iret_frame(0, U_CODE, 2, USTACK_TOP, U_ABSENT);
    fails(iret(v, 4, 0, &f), VEC_SS, U_ABSENT & ~3);
    v->seg[SEG_SS].limit = KSTACK_TOP - 10;
    iret_frame(0, K_CODE, 2, 0, 0);
    fails(iret(v, 4, 0, &f), VEC_SS, 0);
}

Test(cpu_transfer, iret_user_flags)
{
    i386_user(v);
    v->gpr[REG_ESP] = USTACK_TOP;
    push32(EFLAGS_VM | EFLAGS_IOPL | EFLAGS_CF | EFLAGS_ID | EFLAGS_VIF);
    push32(U_CODE);
    push32(0x9000);
    cr_assert(iret(v, 4, 0, &f));
    cr_assert_eq(v->eflags, EFLAGS_FIXED | EFLAGS_IF | EFLAGS_CF | EFLAGS_ID, "IF, IOPL, VM and VIF are kept");
}

Test(cpu_transfer, iret_to_a_16_bit_stack_keeps_esp_high)
{
    iret_frame(0x9000, U_CODE, 2, 0x12341000, U_DATA16);
    v->seg[SEG_SS].base = 0;
    cr_assert(iret(v, 4, 0, &f));
    cr_assert_eq(v->gpr[REG_ESP], 0x1000);
    setup();
    i386_load(v, SEG_SS, K_DATA);
    v->seg[SEG_SS].base = 0u - 0x55550000u;
    v->gpr[REG_ESP] = 0x55550000 + KSTACK_TOP - 20;
    mem_put32(KSTACK_TOP - 20, 0x9000);
    mem_put32(KSTACK_TOP - 16, U_CODE);
    mem_put32(KSTACK_TOP - 12, 2);
    mem_put32(KSTACK_TOP - 8, 0x12341000);
    mem_put32(KSTACK_TOP - 4, U_DATA16);
    cr_assert(iret(v, 4, 0, &f));
    cr_assert_eq(v->gpr[REG_ESP], 0x55551000, "only SP is popped");
}

Test(cpu_transfer, iret_16)
{
    v->gpr[REG_ESP] = KSTACK_TOP - 6;
    mem_put16(KSTACK_TOP - 6, 0x9000);
    mem_put16(KSTACK_TOP - 4, K_CODE16);
    mem_put16(KSTACK_TOP - 2, EFLAGS_CF | EFLAGS_DF);
    v->eflags |= EFLAGS_AC;
    cr_assert(iret(v, 2, 0, &f));
    cr_assert_eq(v->eip, 0x9000);
    cr_assert_eq(v->gpr[REG_ESP], KSTACK_TOP);
    cr_assert_eq(v->eflags, EFLAGS_FIXED | EFLAGS_CF | EFLAGS_DF | EFLAGS_AC);
}

Test(cpu_transfer, iret_to_v86)
{
    static const uint32_t frame[9] = {0x123, 0x700, EFLAGS_VM | EFLAGS_IF | 3 << 12, 0xabcd1000, 0x800,
                                      0x111, 0x333, 0x444, 0x555};

    v->gpr[REG_ESP] = KSTACK_TOP - sizeof frame;
    memcpy(fake_gmem.mem + KSTACK_TOP - sizeof frame, frame, sizeof frame);
    cr_assert(iret(v, 4, 0, &f));
    cr_assert(v->eflags & EFLAGS_VM);
    cr_assert_eq(v->cpl, 3);
    cr_assert_eq(v->eip, 0x123);
    cr_assert_eq(v->seg[SEG_CS].base, 0x7000);
    cr_assert_eq(v->seg[SEG_SS].base, 0x8000);
    cr_assert_eq(v->gpr[REG_ESP], 0xabcd1000);
    cr_assert_eq(v->seg[SEG_ES].sel, 0x111);
    cr_assert_eq(v->seg[SEG_DS].sel, 0x333);
    cr_assert_eq(v->seg[SEG_FS].sel, 0x444);
    cr_assert_eq(v->seg[SEG_GS].sel, 0x555);
    cr_assert_eq(v->seg[SEG_GS].attr, 0xf3);
    cr_assert_eq(v->seg[SEG_CS].limit, 0xffff);
    setup();
    v->gpr[REG_ESP] = KSTACK_TOP - sizeof frame;
    memcpy(fake_gmem.mem + KSTACK_TOP - sizeof frame, frame, sizeof frame);
    mem_put32(KSTACK_TOP - sizeof frame, 0x10000);
    fails(iret(v, 4, 0, &f), VEC_GP, 0);
}

Test(cpu_transfer, iret_in_v86_and_real_mode)
{
    i386_v86(v, 3);
    mem_put16(0x9000, 0x10);
    mem_put16(0x9002, 0x900);
    mem_put16(0x9004, EFLAGS_CF);
    cr_assert(iret(v, 2, 0, &f));
    cr_assert_eq(v->seg[SEG_CS].base, 0x9000);
    cr_assert_eq(v->eflags, EFLAGS_FIXED | EFLAGS_CF | EFLAGS_VM | EFLAGS_IOPL, "IOPL stays, IF may change");
    i386_v86(v, 2);
    fails(iret(v, 2, 0, &f), VEC_GP, 0);
    setup();
    i386_real(v);
    v->gpr[REG_ESP] = 0x7ffa;
    mem_put16(0x7ffa, 0x10);
    mem_put16(0x7ffc, 0x900);
    mem_put16(0x7ffe, EFLAGS_IOPL | EFLAGS_NT);
    cr_assert(iret(v, 2, 0, &f));
    cr_assert_eq(v->eflags, EFLAGS_FIXED | EFLAGS_IOPL | EFLAGS_NT);
    cr_assert_eq(v->gpr[REG_ESP], 0x8000);
    mem_put32(0x8000, 0x10000);
    mem_put32(0x8004, 0x900);
    mem_put32(0x8008, 0);
    fails(iret(v, 4, 0, &f), VEC_GP, 0);
}

/* --- tasks --- */

static void second_task(void)
{
    mem_put32(TSS2_AT + 0x1c, 0x77000);
    mem_put32(TSS2_AT + 0x20, 0x9999);
    mem_put32(TSS2_AT + 0x24, EFLAGS_FIXED | EFLAGS_DF);
    for (unsigned i = 0; i < 8; i++)
        mem_put32(TSS2_AT + 0x28 + 4 * i, 0x100 + i);
    mem_put32(TSS2_AT + 0x38, USTACK_TOP);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        mem_put32(TSS2_AT + 0x48 + 4 * i, i == SEG_CS ? U_CODE : U_DATA);
    mem_put32(TSS2_AT + 0x60, SEL_LDT);
}

static unsigned tss_type(uint16_t sel) { return mem32(GDT_AT + sel + 4) >> 8 & 0xf; }

Test(cpu_transfer, task_call_and_return)
{
    second_task();
    v->cr0 |= CR0_PG;
    v->dr[7] = 0x7ff;
    v->gpr[REG_EDI] = 0x4711;
    cr_assert(far_call(v, GATE_TASK & ~3, 0, 4, CODE_AT + 7, &f));
    cr_assert_eq(v->tr.sel, SEL_TSS2);
    cr_assert_eq(v->tr.attr & 0xf, DESC_TSS32_BUSY);
    cr_assert_eq(v->cpl, 3);
    cr_assert_eq(v->eip, 0x9999);
    cr_assert_eq(v->eflags, EFLAGS_FIXED | EFLAGS_DF | EFLAGS_NT);
    cr_assert_eq(v->gpr[REG_EBX], 0x103);
    cr_assert_eq(v->seg[SEG_CS].sel, U_CODE);
    cr_assert_eq(v->seg[SEG_GS].sel, U_DATA);
    cr_assert_eq(v->ldtr.base, LDT_AT);
    cr_assert_eq(v->cr3, 0x77000);
    cr_assert_eq(fake_gmem.cr3_loads, 1);
    cr_assert_eq(v->dr[7], 0x7ff & ~0x155u);
    cr_assert(v->cr0 & CR0_TS);
    cr_assert_eq(mem16(TSS2_AT), SEL_TSS);
    cr_assert_eq(tss_type(SEL_TSS), DESC_TSS32_BUSY, "the caller stays busy");
    cr_assert_eq(tss_type(SEL_TSS2), DESC_TSS32_BUSY);
    cr_assert_eq(mem32(TSS_AT + 0x20), CODE_AT + 7);
    cr_assert_eq(mem32(TSS_AT + 0x44), 0x4711);
    cr_assert_eq(mem32(TSS_AT + 0x4c), K_CODE);

    cr_assert(iret(v, 4, 0x9999 + 1, &f));
    cr_assert_eq(v->tr.sel, SEL_TSS);
    cr_assert_eq(v->cpl, 0);
    cr_assert_eq(v->eip, CODE_AT + 7);
    cr_assert_eq(v->gpr[REG_EDI], 0x4711);
    cr_assert_eq(v->eflags, EFLAGS_FIXED | EFLAGS_IF);
    cr_assert_eq(tss_type(SEL_TSS2), DESC_TSS32, "the task that returned is free");
    cr_assert_eq(tss_type(SEL_TSS), DESC_TSS32_BUSY);
    cr_assert_eq(mem32(TSS2_AT + 0x24) & EFLAGS_NT, 0, "its stored NT is clear");
    cr_assert_eq(mem32(TSS2_AT + 0x20), 0x9999 + 1);
}

Test(cpu_transfer, task_jump)
{
    second_task();
    mem_put16(TSS2_AT, 0xaaaa);
    cr_assert(far_jmp(v, SEL_TSS2, 0, 4, CODE_AT + 7, &f));
    cr_assert_eq(tss_type(SEL_TSS), DESC_TSS32, "a jump leaves for good");
    cr_assert_eq(tss_type(SEL_TSS2), DESC_TSS32_BUSY);
    cr_assert_eq(v->eflags & EFLAGS_NT, 0);
    cr_assert_eq(mem16(TSS2_AT), 0xaaaa, "no back link");
    cr_assert_eq(fake_gmem.cr3_loads, 0, "no paging");
}

Test(cpu_transfer, task_16_bit)
{
    mem_put16(TSS16_AT + 0x0e, 0x1234);
    mem_put16(TSS16_AT + 0x10, EFLAGS_ZF);
    mem_put16(TSS16_AT + 0x12, 0x5678);
    mem_put16(TSS16_AT + 0x1a, 0x9000);
    mem_put16(TSS16_AT + 0x22, K_DATA);
    mem_put16(TSS16_AT + 0x24, K_CODE16);
    mem_put16(TSS16_AT + 0x26, K_DATA16);
    mem_put16(TSS16_AT + 0x28, K_DATA);
    cr_assert(far_call(v, SEL_TSS16, 0, 4, CODE_AT, &f));
    cr_assert_eq(v->eip, 0x1234);
    cr_assert_eq(v->eflags, EFLAGS_FIXED | EFLAGS_ZF | EFLAGS_NT);
    cr_assert_eq(v->gpr[REG_EAX], 0xffff5678);
    cr_assert_eq(v->seg[SEG_FS].attr, 0);
    v->gpr[REG_EAX] = 0x11112222;
    cr_assert(iret(v, 2, 0x4321, &f));
    cr_assert_eq(v->tr.sel, SEL_TSS);
    cr_assert_eq(mem16(TSS16_AT + 0x0e), 0x4321);
    cr_assert_eq(mem16(TSS16_AT + 0x12), 0x2222);
    cr_assert_eq(mem16(TSS16_AT + 0x24), K_CODE16);
}

Test(cpu_transfer, task_faults_of_the_old_task)
{
    second_task();
    i386_desc(SEL_TSS2, TSS2_AT, 0x66, 0x89);
    fails(far_jmp(v, SEL_TSS2, 0, 4, 0, &f), VEC_TS, SEL_TSS2);
    i386_desc(SEL_TSS2, TSS2_AT, 0x67, 0x09);
    fails(far_jmp(v, SEL_TSS2, 0, 4, 0, &f), VEC_NP, SEL_TSS2);
    fails(far_call(v, GATE_TASK & ~3, 0, 4, 0, &f), VEC_NP, SEL_TSS2);
    i386_desc(SEL_TSS2, TSS2_AT, 0x67, 0x8b);
    fails(far_call(v, GATE_TASK & ~3, 0, 4, 0, &f), VEC_GP, SEL_TSS2);
    i386_desc(SEL_TSS2, TSS2_AT, 0x67, 0x89);
    i386_call_gate(GATE_TASK, SEL_TSS2 | 4, 0, DESC_TASK, 3, 0);
    fails(far_call(v, GATE_TASK & ~3, 0, 4, 0, &f), VEC_GP, SEL_TSS2 | 4);
    v->eflags |= EFLAGS_NT;
    mem_put16(TSS_AT, SEL_TSS2);
    fails(iret(v, 4, 0, &f), VEC_TS, SEL_TSS2); /* not busy */
    mem_put16(TSS_AT, SEL_TSS2 | 4);
    fails(iret(v, 4, 0, &f), VEC_TS, SEL_TSS2 | 4);
    v->eflags &= ~EFLAGS_NT;
    v->tr.limit = 0x5e; /* the last selector to be saved does not fit */
    fails(far_jmp(v, SEL_TSS2, 0, 4, 0, &f), VEC_TS, SEL_TSS);
    v->tr.limit = 0x67;
    fake_gmem.flags[TSS2_AT >> 12] = FAKE_READONLY; /* no place for the back link */
    fails(far_call(v, SEL_TSS2, 0, 4, 0, &f), VEC_PF, PFERR_P | PFERR_W);
    cr_assert_eq(v->tr.sel, SEL_TSS);
    fake_gmem.flags[TSS2_AT >> 12] = 0;
    fake_gmem.flags[TSS_AT >> 12] = FAKE_READONLY;
    fails(far_jmp(v, SEL_TSS2, 0, 4, 0, &f), VEC_PF, PFERR_P | PFERR_W);
    cr_assert_eq(tss_type(SEL_TSS), DESC_TSS32_BUSY);
    cr_assert_eq(tss_type(SEL_TSS2), DESC_TSS32);
    fake_gmem.flags[TSS_AT >> 12] = 0;
    v->cr0 |= CR0_PG;
    v->cr4 |= CR4_PAE;
    fake_gmem.pdptes_bad = true;
    fails(far_jmp(v, SEL_TSS2, 0, 4, 0, &f), VEC_GP, 0);
    i386_user(v);
    fails(far_jmp(v, SEL_TSS2 | 3, 0, 4, 0, &f), VEC_GP, SEL_TSS2); /* DPL */
}

Test(cpu_transfer, task_faults_of_the_new_task)
{
    second_task();
    mem_put32(TSS2_AT + 0x50, U_READONLY); /* SS */
    cr_assert(!far_jmp(v, SEL_TSS2, 0, 4, 0, &f));
    cr_assert_eq(f.vec, VEC_TS);
    cr_assert_eq(f.err, U_READONLY & ~3);
    cr_assert_eq(v->tr.sel, SEL_TSS2, "the switch has happened");
    cr_assert_eq(v->eip, 0x9999);
    cr_assert_eq(v->seg[SEG_SS].attr, 0);
    setup();
    second_task();
    mem_put32(TSS2_AT + 0x54, U_ABSENT); /* DS */
    cr_assert(!far_jmp(v, SEL_TSS2, 0, 4, 0, &f));
    cr_assert_eq(f.vec, VEC_NP);
    setup();
    second_task();
    mem_put32(TSS2_AT + 0x4c, K_CODE | 3);
    cr_assert(!far_jmp(v, SEL_TSS2, 0, 4, 0, &f));
    cr_assert_eq(f.vec, VEC_TS);
    cr_assert_eq(f.err, K_CODE);
    setup();
    second_task();
    mem_put32(TSS2_AT + 0x60, K_DATA);
    cr_assert(!far_jmp(v, SEL_TSS2, 0, 4, 0, &f));
    cr_assert_eq(f.vec, VEC_TS);
    cr_assert_eq(f.err, K_DATA);
}

Test(cpu_transfer, task_trap_and_v86)
{
    second_task();
    mem_put32(TSS2_AT + 0x64, 1);
    cr_assert(!far_jmp(v, SEL_TSS2, 0, 4, 0, &f));
    cr_assert_eq(f.vec, VEC_DB);
    cr_assert(!f.has_err);
    cr_assert_eq(v->dr[6] & BIT(15), BIT(15));
    setup();
    second_task();
    mem_put32(TSS2_AT + 0x24, EFLAGS_VM);
    cr_assert(far_jmp(v, SEL_TSS2, 0, 4, 0, &f));
    cr_assert_eq(v->cpl, 3);
    cr_assert_eq(v->seg[SEG_CS].base, (uint32_t)U_CODE << 4);
}

/* --- SYSENTER --- */

Test(cpu_transfer, sysenter_sysexit)
{
    i386_user(v);
    fails(sysenter(v, &f), VEC_GP, 0);
    v->sysenter_cs = K_CODE;
    v->sysenter_esp = 0xb000;
    v->sysenter_eip = 0x8500;
    v->eflags |= EFLAGS_TF;
    fails(sysexit(v, &f), VEC_GP, 0);
    cr_assert(sysenter(v, &f));
    cr_assert_eq(v->cpl, 0);
    cr_assert_eq(v->seg[SEG_CS].sel, K_CODE);
    cr_assert_eq(v->seg[SEG_SS].sel, K_CODE + 8);
    cr_assert_eq(v->seg[SEG_CS].attr, 0xc09b);
    cr_assert_eq(v->gpr[REG_ESP], 0xb000);
    cr_assert_eq(v->eip, 0x8500);
    cr_assert_eq(v->eflags, EFLAGS_FIXED | EFLAGS_TF, "IF clears, TF does not");
    v->gpr[REG_ECX] = USTACK_TOP;
    v->gpr[REG_EDX] = CODE_AT;
    cr_assert(sysexit(v, &f));
    cr_assert_eq(v->cpl, 3);
    cr_assert_eq(v->seg[SEG_CS].sel, (K_CODE + 16) | 3);
    cr_assert_eq(v->seg[SEG_SS].sel, (K_CODE + 24) | 3);
    cr_assert_eq(v->seg[SEG_SS].attr, 0xc0f3);
    cr_assert_eq(v->gpr[REG_ESP], USTACK_TOP);
    cr_assert_eq(v->eip, CODE_AT);
}
