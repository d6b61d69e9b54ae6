// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The interpreter: fetch, faults that change nothing, privilege, strings, I/O permission, debug traps.
 * What the integer instructions compute is compared with the real CPU by tests/diff/; FP instructions are
 * in cpu_interp_fp.c.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cpu/control.h"
#include "cpu/interp.h"
#include "tests/fake/i386.h"
#include "tests/fake/io.h"

#define DATA_AT 0x20000u
#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static struct vcpu *v;
static struct fault f;

static void put_code(const uint8_t *bytes, size_t n)
{
    memcpy(fake_gmem.mem + v->seg[SEG_CS].base + v->eip, bytes, n);
}

/* Run one instruction placed at EIP. */
static enum interp_result step(const uint8_t *bytes, size_t n)
{
    memset(&f, 0xee, sizeof f);
    put_code(bytes, n);
    return interp_step(v, &f);
}

static bool faults(unsigned vec, uint32_t err)
{
    return f.vec == vec && f.err == err;
}

/* Run one that must fault with vec and err and leave the vCPU as it was. */
static void expect_fault(unsigned vec, uint32_t err, const uint8_t *bytes, size_t n)
{
    struct vcpu before;
    enum interp_result r;

    v->shadow = 0;
    before = *v;
    r = step(bytes, n);
    cr_expect_eq(r, INTERP_FAULT, "%02x %02x: result %d", bytes[0], n > 1 ? bytes[1] : 0, r);
    cr_expect(faults(vec, err), "%02x %02x: fault %u(%x), not %u(%x)", bytes[0], n > 1 ? bytes[1] : 0,
        f.vec, f.err,
              vec, err);
    cr_expect_eq(memcmp(&before, v, VCPU_STATE_SIZE), 0, "%02x %02x changed the vCPU", bytes[0],
        n > 1 ? bytes[1] : 0);
    *v = before;
}

static void set_up(void)
{
    v = i386_new();
    mem_put16(TSS_AT + 0x66, 0x68); /* no I/O bitmap within the limit */
}

TestSuite(cpu_interp, .init = set_up);

/* --- fetch --- */

Test(cpu_interp, fetch_stays_in_page)
{
    fake_gmem.flags[(CODE_AT >> 12) + 1] = FAKE_ABSENT;
    v->eip = CODE_AT + 0xffb;
    cr_expect_eq(step(BYTES(0xb8, 1, 2, 3, 4)), INTERP_OK);
    cr_expect_eq(v->gpr[REG_EAX], 0x04030201);
    cr_expect_eq(v->eip, CODE_AT + 0x1000);
}

Test(cpu_interp, fetch_across_page)
{
    v->eip = CODE_AT + 0xffd;
    cr_expect_eq(step(BYTES(0xb8, 1, 2, 3, 4)), INTERP_OK);
    cr_expect_eq(v->gpr[REG_EAX], 0x04030201);
    fake_gmem.flags[(CODE_AT >> 12) + 1] = FAKE_ABSENT;
    v->eip = CODE_AT + 0xffd;
    cr_expect_eq(interp_step(v, &f), INTERP_FAULT);
    cr_expect(f.vec == VEC_PF && f.cr2 == CODE_AT + 0x1000);
    cr_expect_eq(v->eip, CODE_AT + 0xffd);
}

Test(cpu_interp, fetch_limits)
{
    uint8_t longest[16];

    memset(longest, 0x3e, 15);
    longest[14] = 0x90;
    cr_expect_eq(step(longest, 15), INTERP_OK);
    longest[14] = 0x3e;
    longest[15] = 0x90;
    expect_fault(VEC_GP, 0, longest, 16);
    v->seg[SEG_CS].limit = v->eip + 3; /* four bytes */
    expect_fault(VEC_GP, 0, BYTES(0xb8, 1, 2, 3, 4));
    v->seg[SEG_CS].limit = v->eip + 4;
    cr_expect_eq(step(BYTES(0xb8, 1, 2, 3, 4)), INTERP_OK);
    expect_fault(VEC_GP, 0, BYTES(0x90)); /* EIP beyond the limit */
}

/* --- faults change nothing --- */

Test(cpu_interp, faults_are_restartable)
{
    static const struct {
        uint8_t n, bytes[4];
    } insns[] = {
        {2, {0x01, 0x03}}, /* add [ebx], eax */
        {2, {0x11, 0x03}}, {2, {0xff, 0x03}}, {2, {0xf7, 0x1b}}, {2, {0xd1, 0x13}}, {3, {0x0f, 0xc1, 0x03}},
        {2, {0x87, 0x03}}, {3, {0x0f, 0xb1, 0x03}}, {3, {0x0f, 0xc7, 0x0b}}, {3, {0x0f, 0xab, 0x03}},
        {3, {0x0f, 0xa5, 0x03}}, {2, {0x8f, 0x03}}, {1, {0xa4}}, {1, {0xab}}, {3, {0x0f, 0x01, 0x03}},
        {2, {0x8c, 0x1b}}, {3, {0x0f, 0x94, 0x03}}, {2, {0x63, 0x03}}, {1, {0x6c}},
    };

    v->cr0 |= CR0_WP;
    v->gpr[REG_ECX] = 5;
    v->gpr[REG_EBX] = v->gpr[REG_EDI] = DATA_AT;
    v->gpr[REG_ESI] = DATA_AT + 0x1000;
    v->eflags |= EFLAGS_CF;
    mem_put32(DATA_AT, 0xffffffff);
    fake_gmem.flags[DATA_AT >> 12] = FAKE_READONLY;
    for (unsigned i = 0; i < ARRAY_SIZE(insns); i++)
        expect_fault(VEC_PF, PFERR_P | PFERR_W, insns[i].bytes, insns[i].n);
    cr_expect_eq(mem32(DATA_AT), 0xffffffff);
    cr_expect_eq(fake_io.ins, 0); /* INS looked at its destination first */
}

Test(cpu_interp, pop_with_esp_base)
{
    v->gpr[REG_ESP] = DATA_AT;
    mem_put32(DATA_AT, 0x1234);
    cr_expect_eq(step(BYTES(0x8f, 0x44, 0x24, 0x08)), INTERP_OK); /* pop [esp + 8] */
    cr_expect_eq(mem32(DATA_AT + 12), 0x1234);
    cr_expect_eq(v->gpr[REG_ESP], DATA_AT + 4);
    mem_put32(DATA_AT + 4, 77);
    cr_expect_eq(step(BYTES(0x5c)), INTERP_OK); /* pop esp */
    cr_expect_eq(v->gpr[REG_ESP], 77);
}

/* --- LOCK --- */

Test(cpu_interp, lock_legality)
{
    static const uint8_t good[][4] = {
        {0x01, 0x03}, {0x20, 0x03}, {0x83, 0x03, 1}, {0xff, 0x03}, {0xfe, 0x0b}, {0xf7, 0x13}, {0xf6, 0x1b},
        {0x87, 0x03}, {0x0f, 0xab, 0x03}, {0x0f, 0xba, 0x2b, 1}, {0x0f, 0xb1, 0x03}, {0x0f, 0xc1, 0x03},
        {0x0f, 0xc7, 0x0b},
    };
    static const uint8_t bad[][4] = {
        {0x01, 0xc3}, {0x03, 0x03}, {0x39, 0x03}, {0x83, 0x3b, 1}, {0x85, 0x03}, {0x89, 0x03}, {0xff, 0x33},
        {0xf7, 0x23}, {0x90}, {0x0f, 0xa3, 0x03}, {0x0f, 0xba, 0x23, 1}, {0x0f, 0xb6, 0x03}, {0xd1, 0x03},
        {0x0f, 0xab, 0xc3}, {0xf4}, {0x0f, 0xa2},
    };

    v->gpr[REG_EBX] = DATA_AT;
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        v->eip = CODE_AT;
        fake_gmem.mem[CODE_AT] = 0xf0;
        memcpy(fake_gmem.mem + CODE_AT + 1, good[i], 4);
        cr_expect_eq(interp_step(v, &f), INTERP_OK, "good %u", i);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        uint8_t bytes[5] = {0xf0};

        memcpy(bytes + 1, bad[i], 4);
        v->eip = CODE_AT;
        expect_fault(VEC_UD, 0, bytes, 5);
    }
}

/* --- privilege --- */

static const uint8_t privileged[][3] = {
    {0xf4}, {0x0f, 0x06}, {0x0f, 0x08}, {0x0f, 0x09}, {0x0f, 0x20, 0xc0}, {0x0f, 0x22, 0xc0},
    {0x0f, 0x21, 0xc0},
    {0x0f, 0x23, 0xc0}, {0x0f, 0x30}, {0x0f, 0x32}, {0x0f, 0x01, 0x13}, {0x0f, 0x01, 0x1b},
    {0x0f, 0x01, 0xf0},
    {0x0f, 0x01, 0x3b}, {0xfa}, {0xfb}, {0xec}, {0xef}, {0x6c}, {0x6f}, {0x0f, 0x33},
};

Test(cpu_interp, privileged_at_cpl3)
{
    i386_user(v);
    v->gpr[REG_EBX] = DATA_AT;
    for (unsigned i = 0; i < ARRAY_SIZE(privileged); i++)
        expect_fault(VEC_GP, 0, privileged[i], 3);
    expect_fault(VEC_GP, 0, BYTES(0x0f, 0x00, 0xd0)); /* lldt */
    expect_fault(VEC_GP, 0, BYTES(0x0f, 0x00, 0xd8)); /* ltr */
}

Test(cpu_interp, v86_privilege)
{
    i386_v86(v, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(privileged); i++)
        expect_fault(VEC_GP, 0, privileged[i], 3);
    expect_fault(VEC_GP, 0, BYTES(0x9c));
    expect_fault(VEC_GP, 0, BYTES(0x9d));
    expect_fault(VEC_GP, 0, BYTES(0xcd, 0x21));
    expect_fault(VEC_GP, 0, BYTES(0xcf));
    expect_fault(VEC_UD, 0, BYTES(0x0f, 0x00, 0xc0)); /* sldt */
    expect_fault(VEC_UD, 0, BYTES(0x0f, 0x02, 0xc0)); /* lar */
    expect_fault(VEC_UD, 0, BYTES(0x63, 0xc0));       /* arpl */
    expect_fault(VEC_UD, 0, BYTES(0xc4, 0xe2, 0x70, 0xf2, 0xc2)); /* VEX is not known */
}

Test(cpu_interp, vme_flags)
{
    i386_v86(v, 0);
    v->cr4 |= CR4_VME;
    v->eflags |= EFLAGS_VIF;
    cr_expect_eq(step(BYTES(0x9c)), INTERP_OK);
    cr_expect(mem16(0x8000 + 0xffe) & EFLAGS_IF);
    cr_expect_eq(mem16(0x8000 + 0xffe) & EFLAGS_IOPL, EFLAGS_IOPL);
    cr_expect_eq(step(BYTES(0xfa)), INTERP_OK);
    cr_expect_not(v->eflags & EFLAGS_VIF);
    v->eflags |= EFLAGS_VIP;
    expect_fault(VEC_GP, 0, BYTES(0xfb));
    expect_fault(VEC_GP, 0, BYTES(0x9d)); /* the image has IF, and VIP is set */
    v->eflags &= ~EFLAGS_VIP;
    cr_expect_eq(step(BYTES(0x9d)), INTERP_OK);
    cr_expect(v->eflags & EFLAGS_VIF);
    cr_expect_eq(v->eflags & EFLAGS_IOPL, 0);
    cr_expect(vcpu_v86(v));
}

/* At CPL 3 only (SDM vol. 3A 21.4). */
Test(cpu_interp, protected_mode_virtual_interrupts)
{
    i386_user(v);
    v->cr4 |= CR4_PVI;
    v->eflags &= ~EFLAGS_IOPL;
    cr_expect_eq(step(BYTES(0xfb)), INTERP_OK);
    cr_expect(v->eflags & EFLAGS_VIF);
    cr_expect_eq(step(BYTES(0xfa)), INTERP_OK);
    cr_expect_not(v->eflags & EFLAGS_VIF);
    v->eflags |= EFLAGS_VIP;
    expect_fault(VEC_GP, 0, BYTES(0xfb));
    v->eflags &= ~EFLAGS_VIP;
    v->cpl = 1;
    expect_fault(VEC_GP, 0, BYTES(0xfb));
    expect_fault(VEC_GP, 0, BYTES(0xfa));
}

Test(cpu_interp, undefined_opcodes)
{
    static const uint8_t bad[][3] = {
        {0x0f, 0x0b}, {0x0f, 0xb9, 0xc0}, {0x0f, 0xff, 0xc0}, {0x0f, 0xaa}, {0x0f, 0x34}, {0x0f, 0x35},
        {0x0f, 0x05},
        {0x0f, 0x01, 0xc8}, {0x0f, 0x01, 0xc9}, {0x0f, 0x01, 0xd0}, {0x0f, 0x01, 0xd1}, {0x8e, 0xc8},
        {0x8e, 0xf0},
        {0x8c, 0xf8}, {0x8d, 0xc0}, {0xc4, 0xc0}, {0xff, 0xf8}, {0xff, 0xd8}, {0xfe, 0xd0}, {0xc6, 0xc8},
        {0x0f, 0xba, 0xc0}, {0x0f, 0xb8, 0xc0}, {0x0f, 0x37}, {0x0f, 0x20, 0xc8}, {0x0f, 0x22, 0xe8},
        {0x0f, 0xc3, 0xc0},
        {0x0f, 0x00, 0xf0}, {0x0f, 0xc7, 0xc8}, {0x0f, 0x01, 0xe8},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        expect_fault(VEC_UD, 0, bad[i], 3);
}

Test(cpu_interp, sti_and_ss_shadow)
{
    v->eflags &= ~EFLAGS_IF;
    cr_expect_eq(step(BYTES(0xfb)), INTERP_OK);
    cr_expect_eq(v->shadow, SHADOW_STI);
    cr_expect_eq(step(BYTES(0xfb)), INTERP_OK); /* IF was on already */
    cr_expect_eq(v->shadow, 0);
    v->gpr[REG_EAX] = K_DATA;
    cr_expect_eq(step(BYTES(0x8e, 0xd0)), INTERP_OK);
    cr_expect_eq(v->shadow, SHADOW_SS);
    cr_expect_eq(step(BYTES(0x90)), INTERP_OK);
    cr_expect_eq(v->shadow, 0);
    mem_put32(v->gpr[REG_ESP] -= 4, K_DATA);
    cr_expect_eq(step(BYTES(0x17)), INTERP_OK);
    cr_expect_eq(v->shadow, SHADOW_SS);
}

Test(cpu_interp, halt)
{
    uint32_t eip = v->eip;

    cr_expect_eq(step(BYTES(0xf4)), INTERP_HALT);
    cr_expect(v->halted);
    cr_expect_eq(v->eip, eip + 1);
}

/* --- control flow --- */

Test(cpu_interp, branch_limit_and_truncation)
{
    v->seg[SEG_CS].limit = 0x8fff;
    expect_fault(VEC_GP, 0, BYTES(0xe9, 0xfc, 0x0f, 0x00, 0x00));
    expect_fault(VEC_GP, 0, BYTES(0x0f, 0x84 ^ 1, 0xfc, 0x0f, 0x00, 0x00)); /* jnz, taken */
    expect_fault(VEC_GP, 0, BYTES(0xe8, 0xfc, 0x0f, 0x00, 0x00));
    mem_put32(v->gpr[REG_ESP] -= 4, 0x9000);
    expect_fault(VEC_GP, 0, BYTES(0xc3));
    v->gpr[REG_ECX] = 2;
    v->eip = 0x8ff0;
    expect_fault(VEC_GP, 0, BYTES(0xe2, 0x0e)); /* loop to 0x9000: ECX stays */
    v->eip = 0x8ff0;
    cr_expect_eq(step(BYTES(0xe2, 0x0d)), INTERP_OK);
    cr_expect(v->eip == 0x8fff && v->gpr[REG_ECX] == 1);

    set_up();
    v->eip = 0x18000;
    cr_expect_eq(step(BYTES(0x66, 0xe9, 0x10, 0x00)), INTERP_OK); /* a 16-bit jump cuts EIP */
    cr_expect_eq(v->eip, 0x8014);
    v->eip = 0x18000;
    cr_expect_eq(step(BYTES(0x66, 0xe8, 0x10, 0x00)), INTERP_OK);
    cr_expect_eq(v->gpr[REG_ESP], KSTACK_TOP - 2);
    cr_expect_eq(mem16(KSTACK_TOP - 2), 0x8004);
}

Test(cpu_interp, loop_counts_by_address_size)
{
    v->gpr[REG_ECX] = 0x10001;
    cr_expect_eq(step(BYTES(0x67, 0xe2, 0x10)), INTERP_OK);
    cr_expect_eq(v->eip, CODE_AT + 3);
    cr_expect_eq(v->gpr[REG_ECX], 0x10000);
    cr_expect_eq(step(BYTES(0x67, 0xe3, 0x10)), INTERP_OK); /* jcxz */
    cr_expect_eq(v->eip, CODE_AT + 3 + 3 + 0x10);
}

Test(cpu_interp, int_and_into)
{
    i386_gate(3, K_CODE, 0x9000, DESC_INT32, 3);
    i386_gate(4, K_CODE, 0x9004, DESC_INT32, 3);
    cr_expect_eq(step(BYTES(0xcc)), INTERP_OK);
    cr_expect_eq(v->eip, 0x9000);
    cr_expect_eq(mem32(v->gpr[REG_ESP]), CODE_AT + 1);
    v->eip = CODE_AT;
    cr_expect_eq(step(BYTES(0xce)), INTERP_OK);
    cr_expect_eq(v->eip, CODE_AT + 1);
    v->eip = CODE_AT;
    v->eflags |= EFLAGS_OF;
    cr_expect_eq(step(BYTES(0xce)), INTERP_OK);
    cr_expect_eq(v->eip, 0x9004);
}

Test(cpu_interp, far_call_and_return)
{
    v->gpr[REG_EBX] = DATA_AT;
    mem_put32(DATA_AT, 0x9000);
    mem_put16(DATA_AT + 4, CONF_CODE);
    cr_expect_eq(step(BYTES(0xff, 0x1b)), INTERP_OK);
    cr_expect(v->eip == 0x9000 && v->seg[SEG_CS].sel == CONF_CODE);
    cr_expect_eq(mem32(v->gpr[REG_ESP]), CODE_AT + 2);
    cr_expect_eq(step(BYTES(0xcb)), INTERP_OK);
    cr_expect(v->eip == CODE_AT + 2 && v->seg[SEG_CS].sel == K_CODE);
}

/* --- arithmetic that faults --- */

Test(cpu_interp, divide_error)
{
    v->gpr[REG_EAX] = 0;
    v->gpr[REG_EDX] = 0x80000000;
    v->gpr[REG_ECX] = 0xffffffff;
    expect_fault(VEC_DE, 0, BYTES(0xf7, 0xf9)); /* idiv: INT64_MIN / -1 */
    expect_fault(VEC_DE, 0, BYTES(0xf7, 0xfb)); /* by zero */
    expect_fault(VEC_DE, 0, BYTES(0xf7, 0xf2)); /* div: quotient too big */
    expect_fault(VEC_DE, 0, BYTES(0xd4, 0x00)); /* aam 0 */
    v->gpr[REG_EDX] = 0xffffffff;
    v->gpr[REG_EAX] = 0x80000000;
    v->gpr[REG_ECX] = 1;
    cr_expect_eq(step(BYTES(0xf7, 0xf9)), INTERP_OK); /* INT32_MIN / 1 just fits */
    cr_expect_eq(v->gpr[REG_EAX], 0x80000000);
}

Test(cpu_interp, bound)
{
    v->gpr[REG_EBX] = DATA_AT;
    mem_put32(DATA_AT, (uint32_t)-5);
    mem_put32(DATA_AT + 4, 5);
    v->gpr[REG_EAX] = 6;
    expect_fault(VEC_BR, 0, BYTES(0x62, 0x03));
    v->gpr[REG_EAX] = (uint32_t)-5;
    cr_expect_eq(step(BYTES(0x62, 0x03)), INTERP_OK);
}

Test(cpu_interp, alignment_check)
{
    i386_user(v);
    v->cr0 |= CR0_AM;
    v->eflags |= EFLAGS_AC;
    v->gpr[REG_EBX] = DATA_AT + 1;
    expect_fault(VEC_AC, 0, BYTES(0x8b, 0x03));
    cr_expect_eq(step(BYTES(0x8a, 0x03)), INTERP_OK);
    fake_gmem.flags[DATA_AT >> 12] = FAKE_ABSENT;
    expect_fault(VEC_PF, PFERR_U, BYTES(0x8b, 0x03)); /* the page fault comes first */
    fake_gmem.flags[DATA_AT >> 12] = 0;
    v->eflags &= ~EFLAGS_AC;
    cr_expect_eq(step(BYTES(0x8b, 0x03)), INTERP_OK);
}

/* --- stack --- */

Test(cpu_interp, pusha_popa_wrap)
{
    i386_real(v);
    for (unsigned i = 0; i < 8; i++)
        v->gpr[i] = 0x1110 * (i + 1);
    v->seg[SEG_SS].base = DATA_AT;
    v->gpr[REG_ESP] = 4; /* two words below, six at the segment's end */
    cr_expect_eq(step(BYTES(0x60)), INTERP_OK);
    cr_expect_eq(v->gpr[REG_ESP], 0xfff4);
    cr_expect_eq(mem16(DATA_AT + 2), 0x1110);
    cr_expect_eq(mem16(DATA_AT + 0xfffe), 0x1110 * 3);
    cr_expect_eq(mem16(DATA_AT + 0xfff4), 0x1110 * 8);
    memset(v->gpr, 0, 16);
    v->gpr[REG_EDI] = 0;
    cr_expect_eq(step(BYTES(0x61)), INTERP_OK);
    cr_expect(v->gpr[REG_EAX] == 0x1110 && v->gpr[REG_EDI] == 0x8880 && v->gpr[REG_ESP] == 4);
}

Test(cpu_interp, pusha_fault_order)
{
    v->gpr[REG_ESP] = DATA_AT + 8;
    fake_gmem.flags[(DATA_AT >> 12) - 1] = FAKE_ABSENT;
    expect_fault(VEC_PF, PFERR_W, BYTES(0x60));
    cr_expect_eq(f.cr2, DATA_AT - 4); /* the first slot that can't be written, from the top */
}

Test(cpu_interp, enter_leave)
{
    v->gpr[REG_ESP] = DATA_AT + 0x100;
    v->gpr[REG_EBP] = DATA_AT + 0x200;
    mem_put32(DATA_AT + 0x1fc, 0xabc);
    cr_expect_eq(step(BYTES(0xc8, 0x20, 0x00, 0x02)), INTERP_OK);
    cr_expect_eq(v->gpr[REG_EBP], DATA_AT + 0xfc);
    cr_expect_eq(v->gpr[REG_ESP], DATA_AT + 0xfc - 8 - 0x20);
    cr_expect_eq(mem32(DATA_AT + 0xf8), 0xabc);
    cr_expect_eq(mem32(DATA_AT + 0xf4), DATA_AT + 0xfc);
    cr_expect_eq(step(BYTES(0xc9)), INTERP_OK);
    cr_expect(v->gpr[REG_EBP] == DATA_AT + 0x200 && v->gpr[REG_ESP] == DATA_AT + 0x100);
    fake_gmem.flags[(DATA_AT >> 12) - 1] = FAKE_ABSENT;
    expect_fault(VEC_PF, PFERR_W, BYTES(0xc8, 0x00, 0x08, 0x00)); /* the new top is not there */
}

Test(cpu_interp, popf_privilege)
{
    i386_user(v);
    mem_put32(v->gpr[REG_ESP] -= 4, ~(uint32_t)EFLAGS_TF);
    cr_expect_eq(step(BYTES(0x9d)), INTERP_OK);
    cr_expect(v->eflags & EFLAGS_IF); /* unchanged, was set */
    cr_expect_not(v->eflags & (EFLAGS_IOPL | EFLAGS_VM | EFLAGS_RF | EFLAGS_VIP | EFLAGS_VIF));
    cr_expect(v->eflags & EFLAGS_AC);
}

/* --- strings --- */

Test(cpu_interp, rep_movs_fault_in_the_middle)
{
    for (unsigned i = 0; i < 64; i++)
        fake_gmem.mem[DATA_AT + i] = (uint8_t)i;
    fake_gmem.flags[(DATA_AT >> 12) + 2] = FAKE_ABSENT;
    v->gpr[REG_ESI] = DATA_AT;
    v->gpr[REG_EDI] = DATA_AT + 0x2000 - 10;
    v->gpr[REG_ECX] = 8;
    cr_expect_eq(step(BYTES(0xf3, 0xa5)), INTERP_FAULT);
    cr_expect(f.vec == VEC_PF && f.cr2 == DATA_AT + 0x2000); /* the third dword straddles */
    cr_expect_eq(v->gpr[REG_ECX], 6);
    cr_expect_eq(v->gpr[REG_ESI], DATA_AT + 8);
    cr_expect_eq(v->eip, CODE_AT);
    cr_expect_eq(mem16(DATA_AT + 0x2000 - 2), 0); /* nothing of it was written */
    fake_gmem.flags[(DATA_AT >> 12) + 2] = 0;
    cr_expect_eq(interp_step(v, &f), INTERP_OK);
    cr_expect_eq(memcmp(fake_gmem.mem + DATA_AT, fake_gmem.mem + DATA_AT + 0x2000 - 10, 32), 0);
    cr_expect_eq(v->eip, CODE_AT + 2);
}

/* Forward copies that overlap replicate; every distance must look like byte by byte. */
Test(cpu_interp, rep_movs_overlap)
{
    for (unsigned dist = 1; dist < 40; dist++) {
        uint8_t want[256];

        for (unsigned i = 0; i < 256; i++)
            fake_gmem.mem[DATA_AT + i] = want[i] = (uint8_t)(i * 7 + dist);
        for (unsigned i = 0; i < 100; i++)
            memcpy(want + dist + 2 * i, want + 2 * i, 2);
        v->gpr[REG_ESI] = DATA_AT;
        v->gpr[REG_EDI] = DATA_AT + dist;
        v->gpr[REG_ECX] = 100;
        v->eip = CODE_AT;
        cr_expect_eq(step(BYTES(0x66, 0xf3, 0xa5)), INTERP_OK);
        cr_expect_eq(memcmp(want, fake_gmem.mem + DATA_AT, 256), 0, "distance %u", dist);
        cr_expect(v->gpr[REG_ECX] == 0 && v->gpr[REG_EDI] == DATA_AT + dist + 200);
    }
    memset(fake_gmem.mem + DATA_AT, 0, 64);
    fake_gmem.mem[DATA_AT] = 0x5a;
    v->gpr[REG_ESI] = DATA_AT;
    v->gpr[REG_EDI] = DATA_AT + 1;
    v->gpr[REG_ECX] = 20;
    cr_expect_eq(step(BYTES(0xf3, 0xa4)), INTERP_OK);
    for (unsigned i = 0; i <= 20; i++)
        cr_expect_eq(fake_gmem.mem[DATA_AT + i], 0x5a);
    cr_expect_eq(fake_gmem.mem[DATA_AT + 21], 0);
}

Test(cpu_interp, rep_is_bounded)
{
    v->gpr[REG_EDI] = DATA_AT;
    v->gpr[REG_ECX] = INTERP_REP_MAX + 10;
    v->gpr[REG_EAX] = 0x77;
    cr_expect_eq(step(BYTES(0xf3, 0xaa)), INTERP_OK);
    cr_expect_eq(v->gpr[REG_ECX], 10);
    cr_expect_eq(v->eip, CODE_AT);
    cr_expect_eq(interp_step(v, &f), INTERP_OK);
    cr_expect_eq(v->eip, CODE_AT + 2);
    cr_expect_eq(v->gpr[REG_EDI], DATA_AT + INTERP_REP_MAX + 10);
    for (unsigned i = 0; i < INTERP_REP_MAX + 10; i++)
        cr_assert_eq(fake_gmem.mem[DATA_AT + i], 0x77);
    cr_expect_eq(fake_gmem.mem[DATA_AT + INTERP_REP_MAX + 10], 0);
    /* An event stops it after the first iteration. */
    v->eip = CODE_AT;
    v->gpr[REG_ECX] = 10;
    v->gpr[REG_ESI] = DATA_AT;
    v->attention = 1;
    cr_expect_eq(step(BYTES(0xf3, 0xac)), INTERP_OK);
    cr_expect_eq(v->gpr[REG_ECX], 9);
    cr_expect_eq(v->eip, CODE_AT);
}

Test(cpu_interp, rep_zero_and_16bit)
{
    v->gpr[REG_ECX] = 0x10000; /* CX is 0 */
    v->gpr[REG_EDI] = 0xfff00000;
    cr_expect_eq(step(BYTES(0x67, 0xf3, 0xaa)), INTERP_OK);
    cr_expect_eq(v->eip, CODE_AT + 3);
    /* DI wraps at 64 KiB and EDI's upper half stays. */
    v->gpr[REG_EDI] = 0xabcdfffe;
    v->gpr[REG_ECX] = 4;
    v->gpr[REG_EAX] = 0x33;
    v->seg[SEG_ES].base = DATA_AT;
    cr_expect_eq(step(BYTES(0x67, 0xf3, 0xaa)), INTERP_OK);
    cr_expect_eq(v->gpr[REG_EDI], 0xabcd0002);
    cr_expect(fake_gmem.mem[DATA_AT + 0xffff] == 0x33 && fake_gmem.mem[DATA_AT + 1] == 0x33);
    cr_expect_eq(fake_gmem.mem[DATA_AT + 0x10000], 0);
}

/* A host of the other vendor. */
static void amd(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    (void)subleaf;
    memset(out, 0, 16);
    if (leaf == 0)
        memcpy(out + 1, "AuthcAMDenti", 12);
}

static void rep_cmps_that_faults(void)
{
    fake_gmem.flags[(DATA_AT >> 12) + 1] = FAKE_ABSENT;
    v->gpr[REG_ESI] = DATA_AT + 0xffe;
    v->gpr[REG_EDI] = DATA_AT;
    v->gpr[REG_ECX] = 9;
    v->eflags |= EFLAGS_CF | EFLAGS_OF;
    cr_expect_eq(step(BYTES(0xf3, 0xa6)), INTERP_FAULT);
    cr_expect_eq(v->gpr[REG_ECX], 7);
    cr_expect_eq(f.cr2, DATA_AT + 0x1000);
}

Test(cpu_interp, rep_cmps_fault_keeps_flags)
{
    rep_cmps_that_faults();
    cr_expect_eq(v->eflags & EFLAGS_ARITH, EFLAGS_CF | EFLAGS_OF);
}

Test(cpu_interp, rep_cmps_fault_shows_last_comparison_on_amd)
{
    fake_io.cpuid = amd;
    v->cpuid = cpuid_model_find("host");
    rep_cmps_that_faults();
    cr_expect_eq(v->eflags & EFLAGS_ARITH, EFLAGS_ZF | EFLAGS_PF);
}

/* --- port I/O --- */

Test(cpu_interp, io_bitmap)
{
    i386_user(v);
    v->tr.limit = 0x67 + 8193;
    mem_put16(TSS_AT + 0x66, 0x68);
    memset(fake_gmem.mem + TSS_AT + 0x68, 0xff, 64);
    fake_gmem.mem[TSS_AT + 0x68 + 8] = 0x3f; /* ports 46h and 47h are free */
    fake_gmem.mem[TSS_AT + 0x68 + 9] = 0xfe; /* and 48h */
    fake_io.port[0x47] = 0xabcd;
    v->gpr[REG_EDX] = 0x47;
    cr_expect_eq(step(BYTES(0xec)), INTERP_OK);
    cr_expect_eq(v->gpr[REG_EAX] & 0xff, 0xcd);
    cr_expect_eq(step(BYTES(0x66, 0xed)), INTERP_OK); /* 47h and 48h: two bytes of the bitmap */
    expect_fault(VEC_GP, 0, BYTES(0xed));
    v->gpr[REG_EDX] = 0x45;
    expect_fault(VEC_GP, 0, BYTES(0xec));
    v->gpr[REG_EDX] = 0x47;
    v->tr.limit = 0x68 + 8; /* the second byte is beyond the limit */
    expect_fault(VEC_GP, 0, BYTES(0xec));
    v->eflags |= EFLAGS_IOPL;
    cr_expect_eq(step(BYTES(0xec)), INTERP_OK);
    fake_gmem.flags[TSS_AT >> 12] = FAKE_SUPERVISOR;
    v->eflags &= ~EFLAGS_IOPL;
    v->tr.limit = 0x67 + 8193;
    cr_expect_eq(step(BYTES(0xec)), INTERP_OK); /* the TSS is read as the supervisor */
}

Test(cpu_interp, io_v86_ignores_iopl)
{
    i386_v86(v, 3);
    v->gpr[REG_EDX] = 0x47;
    expect_fault(VEC_GP, 0, BYTES(0xec));
}

Test(cpu_interp, rep_outs)
{
    memcpy(fake_gmem.mem + DATA_AT, "abcdef", 6);
    v->gpr[REG_ESI] = DATA_AT;
    v->gpr[REG_ECX] = 6;
    v->gpr[REG_EDX] = 0x3f8;
    cr_expect_eq(step(BYTES(0xf3, 0x6e)), INTERP_OK);
    cr_expect_eq(fake_io.outs, 6);
    cr_expect_eq(fake_io.port[0x3f8], 'f');
    cr_expect(v->gpr[REG_ECX] == 0 && v->gpr[REG_ESI] == DATA_AT + 6);
}

/* --- system registers --- */

Test(cpu_interp, descriptor_table_registers)
{
    v->gpr[REG_EBX] = DATA_AT;
    cr_expect_eq(step(BYTES(0x0f, 0x01, 0x03)), INTERP_OK); /* sgdt */
    cr_expect(mem16(DATA_AT) == v->gdtr.limit && mem32(DATA_AT + 2) == v->gdtr.base);
    mem_put16(DATA_AT, 0x123);
    mem_put32(DATA_AT + 2, 0x89abcdef);
    cr_expect_eq(step(BYTES(0x66, 0x0f, 0x01, 0x1b)), INTERP_OK); /* lidt with a 16-bit operand size */
    cr_expect(v->idtr.limit == 0x123 && v->idtr.base == 0xabcdef);
    cr_expect_eq(step(BYTES(0x0f, 0x01, 0x1b)), INTERP_OK);
    cr_expect_eq(v->idtr.base, 0x89abcdef);
}

Test(cpu_interp, rdtsc)
{
    fake_io.tsc = 0x123456789a;
    v->tsc_offset = 6;
    cr_expect_eq(step(BYTES(0x0f, 0x31)), INTERP_OK);
    cr_expect(v->gpr[REG_EAX] == 0x345678a0 && v->gpr[REG_EDX] == 0x12);
    v->cr4 |= CR4_TSD;
    cr_expect_eq(step(BYTES(0x0f, 0x31)), INTERP_OK);
    i386_user(v);
    expect_fault(VEC_GP, 0, BYTES(0x0f, 0x31));
}

Test(cpu_interp, selector_stores)
{
    v->gpr[REG_EAX] = 0xffffffff;
    cr_expect_eq(step(BYTES(0x8c, 0xd8)), INTERP_OK);
    cr_expect_eq(v->gpr[REG_EAX], K_DATA);
    v->gpr[REG_EAX] = 0xffffffff;
    cr_expect_eq(step(BYTES(0x66, 0x8c, 0xd8)), INTERP_OK);
    cr_expect_eq(v->gpr[REG_EAX], 0xffff0000 | K_DATA);
    mem_put32(v->gpr[REG_ESP] - 4, 0xffffffff);
    cr_expect_eq(step(BYTES(0x1e)), INTERP_OK); /* push ds writes 16 bits */
    cr_expect_eq(mem32(v->gpr[REG_ESP]), 0xffff0000 | K_DATA);
    cr_expect_eq(v->gpr[REG_ESP], KSTACK_TOP - 4);
}

/* --- debug: interp_run_one() --- */

#define DB_AT 0x9100u

static void debug_set_up(void)
{
    i386_gate(VEC_DB, K_CODE, DB_AT, DESC_INT32, 0);
}

Test(cpu_interp, single_step)
{
    debug_set_up();
    v->eflags |= EFLAGS_TF;
    put_code(BYTES(0x40));
    cr_expect_eq(interp_run_one(v), INTERP_OK);
    cr_expect_eq(v->eip, DB_AT);
    cr_expect_eq(v->gpr[REG_EAX], 1);
    cr_expect(v->dr[6] & BIT(14));
    cr_expect_eq(mem32(v->gpr[REG_ESP]), CODE_AT + 1);
    cr_expect(mem32(v->gpr[REG_ESP] + 8) & EFLAGS_TF);
    cr_expect_not(v->eflags & EFLAGS_TF);
}

Test(cpu_interp, single_step_not_after_ss)
{
    debug_set_up();
    v->eflags |= EFLAGS_TF;
    v->gpr[REG_EAX] = K_DATA;
    put_code(BYTES(0x8e, 0xd0, 0x90));
    cr_expect_eq(interp_run_one(v), INTERP_OK);
    cr_expect_eq(v->eip, CODE_AT + 2);
    cr_expect_eq(interp_run_one(v), INTERP_OK);
    cr_expect_eq(v->eip, DB_AT);
    cr_expect_eq(mem32(v->gpr[REG_ESP]), CODE_AT + 3);
}

Test(cpu_interp, single_step_counts_before)
{
    debug_set_up();
    mem_put32(v->gpr[REG_ESP] -= 4, EFLAGS_FIXED | EFLAGS_TF);
    put_code(BYTES(0x9d, 0x90)); /* popf sets TF: the next instruction traps */
    cr_expect_eq(interp_run_one(v), INTERP_OK);
    cr_expect_eq(v->eip, CODE_AT + 1);
    cr_expect_eq(interp_run_one(v), INTERP_OK);
    cr_expect_eq(v->eip, DB_AT);
}

Test(cpu_interp, single_step_rep)
{
    debug_set_up();
    v->eflags |= EFLAGS_TF;
    v->gpr[REG_ECX] = 3;
    v->gpr[REG_EDI] = DATA_AT;
    put_code(BYTES(0xf3, 0xaa));
    cr_expect_eq(interp_run_one(v), INTERP_OK);
    cr_expect_eq(v->eip, DB_AT);
    cr_expect_eq(v->gpr[REG_ECX], 2);
    cr_expect_eq(mem32(v->gpr[REG_ESP]), CODE_AT);
}

Test(cpu_interp, code_breakpoint_and_rf)
{
    debug_set_up();
    v->dr[0] = CODE_AT;
    v->dr[7] = 0x402;
    put_code(BYTES(0x40));
    cr_expect_eq(interp_run_one(v), INTERP_OK);
    cr_expect_eq(v->eip, DB_AT);
    cr_expect_eq(v->gpr[REG_EAX], 0); /* a fault: before the instruction */
    cr_expect_eq(v->dr[6] & 15, 1);
    v->eip = CODE_AT;
    v->eflags |= EFLAGS_RF;
    cr_expect_eq(interp_run_one(v), INTERP_OK);
    cr_expect(v->eip == CODE_AT + 1 && v->gpr[REG_EAX] == 1);
    cr_expect_not(v->eflags & EFLAGS_RF);
}

Test(cpu_interp, data_breakpoint)
{
    debug_set_up();
    v->dr[1] = DATA_AT + 4;
    v->dr[7] = 0x408 | 1u << 20 | 3u << 22; /* L1... write, 4 bytes */
    v->gpr[REG_EBX] = DATA_AT + 3;
    put_code(BYTES(0x8a, 0x43, 0x01, 0xc6, 0x03, 0x07, 0x66, 0x89, 0x03));
    cr_expect_eq(interp_run_one(v), INTERP_OK); /* a read */
    cr_expect_eq(v->eip, CODE_AT + 3);
    cr_expect_eq(interp_run_one(v), INTERP_OK); /* a write beside it */
    cr_expect_eq(v->eip, CODE_AT + 6);
    cr_expect_eq(interp_run_one(v), INTERP_OK); /* two bytes: meets it */
    cr_expect_eq(v->eip, DB_AT);
    cr_expect_eq(v->dr[6] & 15, 2);
    cr_expect_eq(mem32(v->gpr[REG_ESP]), CODE_AT + 9);
}

Test(cpu_interp, general_detect)
{
    debug_set_up();
    v->dr[7] = 0x2400;
    put_code(BYTES(0x0f, 0x21, 0xf8)); /* mov eax, dr7 */
    cr_expect_eq(interp_run_one(v), INTERP_OK);
    cr_expect_eq(v->eip, DB_AT);
    cr_expect(v->dr[6] & BIT(13));
    cr_expect_not(v->dr[7] & 0x2000);
    cr_expect_eq(mem32(v->gpr[REG_ESP]), CODE_AT);
}

Test(cpu_interp, fault_is_delivered)
{
    i386_gate(VEC_UD, K_CODE, 0x9200, DESC_INT32, 0);
    put_code(BYTES(0x0f, 0x0b));
    cr_expect_eq(interp_run_one(v), INTERP_OK);
    cr_expect_eq(v->eip, 0x9200);
    cr_expect_eq(mem32(v->gpr[REG_ESP]), CODE_AT);
}

Test(cpu_interp, counts)
{
    step(BYTES(0x90));
    step(BYTES(0x90));
    cr_expect_eq(v->vm->stats->interp_insns, 2);
}
