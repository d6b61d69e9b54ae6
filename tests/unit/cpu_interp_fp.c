// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * x87, MMX, SSE and AVX through the interpreter: the control registers' say, operand sizes and directions,
 * alignment, exact faults, and the element-wise instructions.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cpu/control.h"
#include "cpu/interp.h"
#include "tests/fake/fpnative.h"
#include "tests/fake/i386.h"
#include "tests/fake/io.h"

#define DATA_AT 0x20000u
#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static struct vcpu *v;
static struct fault f;

static void set_up(void)
{
    v = i386_new();
    fake_fpnative_reset();
    v->cr0 |= CR0_MP | CR0_NE;
    v->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
    v->gpr[REG_EBX] = DATA_AT;
}

TestSuite(cpu_interp_fp, .init = set_up);

static enum interp_result step(const uint8_t *bytes, size_t n)
{
    memset(&f, 0xee, sizeof f);
    v->eip = CODE_AT;
    memcpy(fake_gmem.mem + v->seg[SEG_CS].base + v->eip, bytes, n);
    return interp_step(v, &f);
}

static void expect_ok(const uint8_t *bytes, size_t n)
{
    enum interp_result r = step(bytes, n);

    cr_expect_eq(r, INTERP_OK, "%02x %02x %02x: result %d, vector %u", bytes[0], bytes[1], bytes[2], r,
        f.vec);
    cr_expect_eq(v->eip, CODE_AT + n);
}

static void expect_fault(unsigned vec, const uint8_t *bytes, size_t n)
{
    enum interp_result r = step(bytes, n);

    cr_expect(r == INTERP_FAULT && f.vec == vec, "%02x %02x %02x: result %d, vector %u, not %u", bytes[0],
        bytes[1],
              bytes[2], r, f.vec, vec);
    cr_expect_eq(v->eip, CODE_AT);
}

static void offer_avx(void)
{
    if (!__builtin_cpu_supports("avx2"))
        cr_skip_test("this CPU has no AVX2");
    v->cpuid = NULL; /* nothing here asks the model */
    v->cr4 |= CR4_OSXSAVE;
    v->xcr0 = 7;
}

Test(cpu_interp_fp, control_registers)
{
    static const struct {
        uint32_t cr0, cr4_off;
        uint8_t x87, wait, mmx, sse, fxsave;
    } rows[] = {
        {0, 0, 0, 0, 0, 0, 0},
        {CR0_TS, 0, VEC_NM, VEC_NM, VEC_NM, VEC_NM, VEC_NM},
        {CR0_EM, 0, VEC_NM, 0, VEC_UD, VEC_UD, VEC_NM},
        {CR0_EM | CR0_TS, 0, VEC_NM, VEC_NM, VEC_UD, VEC_UD, VEC_NM},
        {0, CR4_OSFXSR, 0, 0, 0, VEC_UD, 0},
    };
    static const uint8_t insns[5][3] = {
        {0xd9, 0xe8}, {0x9b}, {0x0f, 0xef, 0xc0}, {0x0f, 0x57, 0xc0}, {0x0f, 0xae, 0x03},
    };
    static const uint8_t len[5] = {2, 1, 3, 3, 3};

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const uint8_t want[5] = {rows[i].x87, rows[i].wait, rows[i].mmx, rows[i].sse, rows[i].fxsave};

        set_up();
        v->cr0 |= rows[i].cr0;
        v->cr4 &= ~rows[i].cr4_off;
        for (unsigned k = 0; k < 5; k++) {
            enum interp_result r = step(insns[k], len[k]);

            cr_expect(want[k] ? r == INTERP_FAULT && f.vec == want[k] : r == INTERP_OK,
                "row %u insn %u: %d %u", i, k,
                      r, f.vec);
        }
    }
    set_up();
    v->cr0 = (v->cr0 & ~CR0_MP) | CR0_TS;
    expect_ok(BYTES(0x9b)); /* WAIT looks at TS only with MP */
}

Test(cpu_interp_fp, x87_sizes)
{
    static const struct {
        uint8_t op, reg, size, size16;
    } rows[] = {
        {0xd8, 0, 4, 4}, {0xd9, 0, 4, 4}, {0xd9, 2, 4, 4}, {0xd9, 5, 2, 2}, {0xd9, 6, 28, 14},
        {0xd9, 7, 2, 2},
        {0xda, 0, 4, 4}, {0xdb, 0, 4, 4}, {0xdb, 5, 10, 10}, {0xdb, 7, 10, 10}, {0xdc, 0, 8, 8},
        {0xdd, 3, 8, 8},
        {0xdd, 6, 108, 94}, {0xdd, 7, 2, 2}, {0xde, 0, 2, 2}, {0xdf, 1, 2, 2}, {0xdf, 4, 10, 10},
        {0xdf, 5, 8, 8},
        {0xdf, 6, 10, 10}, {0xdf, 7, 8, 8}, {0xdd, 4, 108, 94}, {0xd9, 4, 28, 14},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        for (unsigned narrow = 0; narrow < 2; narrow++) {
            uint8_t bytes[3] = {0x66, rows[i].op, (uint8_t)(rows[i].reg << 3 | 3)};

            set_up();
            put16(fake_gmem.mem + DATA_AT, 0x37f); /* whatever is loaded, no unmasked exception */
            expect_ok(bytes + !narrow, 2 + narrow);
            cr_expect_eq(fake_fpnative.memlen, narrow ? rows[i].size16 : rows[i].size, "%02x /%u", rows[i].op,
                         rows[i].reg);
        }
    }
    expect_fault(VEC_UD, BYTES(0xd9, 0x0b));
    expect_fault(VEC_UD, BYTES(0xdb, 0x23));
}

Test(cpu_interp_fp, x87_environment_in_16_bit_code)
{
    memset(fake_gmem.mem + DATA_AT, 0xaa, 128);
    i386_load(v, SEG_CS, K_CODE16);
    expect_ok(BYTES(0x67, 0xd9, 0x33)); /* fnstenv [ebx], 16-bit form */
    cr_expect_eq(mem16(DATA_AT), 0x37f);
    cr_expect_eq(mem16(DATA_AT + 4), 0xffff); /* the tag word */
    cr_expect_eq(mem16(DATA_AT + 14), 0xaaaa);
    expect_ok(BYTES(0x66, 0x67, 0xd9, 0x33)); /* and the 32-bit one */
    cr_expect_eq(mem16(DATA_AT + 8), 0xffff);
    cr_expect_eq(mem16(DATA_AT + 28), 0xaaaa);
}

Test(cpu_interp_fp, x87_values)
{
    mem_put32(DATA_AT, 1000);
    expect_ok(BYTES(0xdb, 0x03));       /* fild dword */
    expect_ok(BYTES(0xdc, 0xc0));       /* fadd st0, st0 */
    expect_ok(BYTES(0xdf, 0x7b, 0x08)); /* fistp qword [ebx + 8] */
    cr_expect_eq(mem32(DATA_AT + 8), 2000);
    v->gpr[REG_EAX] = 0xffffffff;
    expect_ok(BYTES(0xdf, 0xe0)); /* fnstsw ax */
    cr_expect_eq(v->gpr[REG_EAX], 0xffff0000);
}

/* An unmasked exception: pending, then #MF at the next instruction; the store that met it wrote nothing. */
Test(cpu_interp_fp, x87_exception)
{
    put16(fake_fpnative.xsave, 0x37e); /* invalid operation unmasked */
    mem_put32(DATA_AT, 0x12345678);
    expect_ok(BYTES(0xd9, 0x13)); /* fst of an empty register */
    cr_expect_eq(mem32(DATA_AT), 0x12345678);
    expect_fault(VEC_MF, BYTES(0x9b));
    expect_fault(VEC_MF, BYTES(0xd9, 0xe8));
    expect_ok(BYTES(0xdb, 0xe2)); /* fnclex */
    expect_ok(BYTES(0x9b));
}

Test(cpu_interp_fp, simd_exception)
{
    put32(fake_fpnative.xsave + 24, 0x1f00); /* invalid unmasked */
    put32(fake_xmm(1), 0xff800001);          /* a signalling NaN */
    expect_fault(VEC_XM, BYTES(0x0f, 0x58, 0xc1));
    v->cr4 &= ~CR4_OSXMMEXCPT;
    expect_fault(VEC_UD, BYTES(0x0f, 0x58, 0xc1));
}

Test(cpu_interp_fp, store_faults_are_exact)
{
    fake_gmem.flags[(DATA_AT >> 12) + 1] = FAKE_ABSENT;
    v->gpr[REG_EBX] = DATA_AT + 0xffc;
    expect_fault(VEC_PF, BYTES(0xdd, 0x1b)); /* fstp qword */
    cr_expect_eq(f.cr2, DATA_AT + 0x1000);
    expect_fault(VEC_PF, BYTES(0x0f, 0x11, 0x03)); /* movups [ebx], xmm0 */
    cr_expect_eq(f.err, PFERR_W);
    cr_expect_eq(fake_fpnative.runs, 0); /* nothing ran: the FPU stack did not move */
    cr_expect_eq(mem32(DATA_AT + 0xffc), 0);
}

Test(cpu_interp_fp, sse_sizes_and_alignment)
{
    static const struct {
        uint8_t n, bytes[6], size, aligned;
    } rows[] = {
        {3, {0x0f, 0x10, 0x03}, 16, 0}, {3, {0x0f, 0x28, 0x03}, 16, 1}, {4, {0xf3, 0x0f, 0x10, 0x03}, 4, 0},
        {4, {0xf2, 0x0f, 0x11, 0x03}, 8, 0}, {3, {0x0f, 0x12, 0x03}, 8, 0}, {3, {0x0f, 0x17, 0x03}, 8, 0},
        {3, {0x0f, 0x58, 0x03}, 16, 1}, {4, {0xf2, 0x0f, 0x58, 0x03}, 8, 0}, {4,
        {0x66, 0x0f, 0x6e, 0x03}, 4, 0},
        {4, {0xf3, 0x0f, 0x6f, 0x03}, 16, 0}, {4, {0x66, 0x0f, 0x7f, 0x03}, 16, 1}, {4,
        {0xf3, 0x0f, 0x7e, 0x03}, 8, 0},
        {4, {0x66, 0x0f, 0xd6, 0x03}, 8, 0}, {3, {0x0f, 0x2b, 0x03}, 16, 1}, {4,
        {0x66, 0x0f, 0xe7, 0x03}, 16, 1},
        {3, {0x0f, 0x5a, 0x03}, 8, 0}, {3, {0x0f, 0x60, 0x03}, 4, 0}, {3, {0x0f, 0xfc, 0x03}, 8, 0},
        {5, {0x0f, 0xc4, 0x03, 0x01}, 2, 0}, {3, {0x0f, 0xae, 0x1b}, 4, 0}, {4,
        {0xf2, 0x0f, 0xf0, 0x03}, 16, 0},
        {4, {0xf2, 0x0f, 0x2c, 0x03}, 8, 0}, {4, {0x66, 0x0f, 0xd1, 0x03}, 16, 1}, {3,
        {0x0f, 0xd1, 0x03}, 8, 0},
        {5, {0x66, 0x0f, 0x38, 0x20, 0x03}, 8, 0}, {6, {0x66, 0x0f, 0x3a, 0x14, 0x03, 0x01}, 1, 0},
        {6, {0x66, 0x0f, 0x3a, 0x63, 0x03, 0x00}, 16, 0}, {4, {0x66, 0x0f, 0xc2, 0x03}, 16, 1},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint8_t bytes[8] = {0};

        set_up();
        memcpy(bytes, rows[i].bytes, rows[i].n);
        cr_expect_eq(step(bytes, 8), INTERP_OK, "row %u: %u", i, f.vec);
        cr_expect_eq(fake_fpnative.memlen, rows[i].size, "row %u: %u bytes", i, fake_fpnative.memlen);
        v->gpr[REG_EBX] = DATA_AT + 8;
        cr_expect_eq(step(bytes, 8), rows[i].aligned ? INTERP_FAULT : INTERP_OK, "row %u", i);
        if (rows[i].aligned)
            cr_expect(f.vec == VEC_GP && f.err == 0, "row %u: %u", i, f.vec);
    }
}

Test(cpu_interp_fp, sse_moves)
{
    for (unsigned i = 0; i < 16; i++)
        fake_gmem.mem[DATA_AT + i] = (uint8_t)(0x10 + i);
    expect_ok(BYTES(0x0f, 0x28, 0x13));             /* movaps xmm2, [ebx] */
    expect_ok(BYTES(0x66, 0x0f, 0xef, 0xd2 | 1));   /* pxor xmm2, xmm3 */
    expect_ok(BYTES(0x0f, 0x11, 0x53, 0x21));       /* movups [ebx + 33], xmm2 */
    cr_expect_eq(memcmp(fake_gmem.mem + DATA_AT, fake_gmem.mem + DATA_AT + 33, 16), 0);
    expect_ok(BYTES(0x66, 0x0f, 0x7e, 0xd4));       /* movd esp, xmm2 */
    cr_expect_eq(v->gpr[REG_ESP], 0x13121110);
    put32(fake_xmm(0), 0x3f800000);
    expect_ok(BYTES(0x0f, 0x2f, 0xc1));             /* comiss 1.0, 0.0 */
    cr_expect_eq(v->eflags & EFLAGS_ARITH, 0);
    expect_ok(BYTES(0x0f, 0x2f, 0xc8));
    cr_expect_eq(v->eflags & EFLAGS_ARITH, EFLAGS_CF);
}

Test(cpu_interp_fp, fxsave_keeps_what_is_not_32_bit)
{
    memset(fake_gmem.mem + DATA_AT, 0x5c, 512);
    memset(fake_xmm(7), 7, 16);
    memset(fake_xmm(8), 8, 16);
    expect_ok(BYTES(0x0f, 0xae, 0x03));
    cr_expect_eq(fake_gmem.mem[DATA_AT + 160 + 7 * 16], 7);
    for (unsigned i = 288; i < 512; i++)
        cr_assert_eq(fake_gmem.mem[DATA_AT + i], 0x5c, "byte %u", i);
    memset(fake_gmem.mem + DATA_AT + 160, 0x44, 16);
    expect_ok(BYTES(0x0f, 0xae, 0x0b));
    cr_expect_eq(fake_xmm(0)[5], 0x44);
    put32(fake_gmem.mem + DATA_AT + 24, 0xffff0000); /* reserved MXCSR bits */
    expect_fault(VEC_GP, BYTES(0x0f, 0xae, 0x0b));
    v->gpr[REG_EBX] += 8;
    expect_fault(VEC_GP, BYTES(0x0f, 0xae, 0x03));
}

/* The guest's XCR0 names x87 and SSE, the real one more: AVX is neither stored nor loaded, whatever EDX:EAX says. */
Test(cpu_interp_fp, xsave_by_the_guests_xcr0)
{
    uint8_t *area = fake_gmem.mem + DATA_AT;

    if (!__builtin_cpu_supports("avx2"))
        cr_skip_test("this CPU has no AVX2");
    v->cpuid = cpuid_model_find("host");
    v->cr4 |= CR4_OSXSAVE;
    v->xcr0 = 3;
    v->gpr[REG_EAX] = v->gpr[REG_EDX] = 0xffffffff;
    memset(fake_xmm(3), 0x33, 16);
    memset(fake_ymm_high(3), 0x44, 16);
    memset(area + 576, 0x5c, 3000);
    expect_ok(BYTES(0x0f, 0xae, 0x23));
    cr_expect_eq(v->gpr[REG_EAX] & v->gpr[REG_EDX], 0xffffffff, "the mask is the guest's again");
    cr_expect_eq(area[160 + 3 * 16], 0x33);
    cr_expect_eq(get64(area + 512) & ~3ull, 0, "XSTATE_BV %#lx", get64(area + 512));
    for (unsigned i = 576; i < 3576; i++)
        cr_assert_eq(area[i], 0x5c, "byte %u", i);
    memset(area + 160, 0x66, 16);
    put64(area + 512, 3);
    expect_ok(BYTES(0x0f, 0xae, 0x2b));
    cr_expect_eq(fake_xmm(0)[0], 0x66);
    cr_expect_eq(fake_ymm_high(3)[0], 0x44, "not in the guest's XCR0: left alone");
    put64(area + 512, 7); /* #GP by the guest's XCR0, though the CPU would take it */
    expect_fault(VEC_GP, BYTES(0x0f, 0xae, 0x2b));
    put64(area + 512, 0x203);
    expect_fault(VEC_GP, BYTES(0x0f, 0xae, 0x2b));
    put64(area + 512, 3);
    put64(area + 520, 1ull << 63 | 7);
    expect_fault(VEC_GP, BYTES(0x0f, 0xae, 0x2b));
    v->gpr[REG_EBX] += 32;
    expect_fault(VEC_GP, BYTES(0x0f, 0xae, 0x23));
    v->gpr[REG_EBX] -= 32;
    expect_fault(VEC_UD, BYTES(0x0f, 0xae, 0x33)); /* XSAVEOPT is not offered */
    expect_fault(VEC_UD, BYTES(0x0f, 0xc7, 0x2b)); /* nor XSAVES */
}

Test(cpu_interp_fp, xsavec_and_compacted_images)
{
    uint8_t *area = fake_gmem.mem + DATA_AT;

    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("xsavec"))
        cr_skip_test("this CPU has no AVX2 or no XSAVEC");
    v->cpuid = cpuid_model_find("host");
    v->cr4 |= CR4_OSXSAVE;
    v->xcr0 = 7;
    v->gpr[REG_EAX] = v->gpr[REG_EDX] = 0xffffffff;
    memset(fake_ymm_high(5), 0x55, 16);
    memset(area, 0x5c, 1024);
    memset(area + 512, 0, 64);
    expect_ok(BYTES(0x0f, 0xc7, 0x23));
    cr_expect_eq(get64(area + 520), 1ull << 63 | 7, "XCOMP_BV %#lx", get64(area + 520));
    cr_expect_eq(area[576 + 5 * 16], 0x55);
    cr_expect_eq(area[832], 0x5c, "behind the area");
    memset(area + 576 + 5 * 16, 0x77, 16);
    expect_ok(BYTES(0x0f, 0xae, 0x2b));
    cr_expect_eq(fake_ymm_high(5)[9], 0x77);
    v->gpr[REG_EAX] = 3; /* SSE alone from a whole image */
    memset(area + 576 + 5 * 16, 0x11, 16);
    expect_ok(BYTES(0x0f, 0xae, 0x2b));
    cr_expect_eq(fake_ymm_high(5)[9], 0x77);
}

Test(cpu_interp_fp, sse4a_by_the_model)
{
    uint8_t *at = fake_gmem.mem + DATA_AT;

    expect_fault(VEC_UD, BYTES(0xf3, 0x0f, 0x2b, 0x13)); /* btvmm32 is Intel's */
    expect_fault(VEC_UD, BYTES(0xf2, 0x0f, 0x79, 0xca));
    v->cpuid = cpuid_model_find("host");
    expect_fault(VEC_UD, BYTES(0x0f, 0x78, 0xca)); /* VMREAD */
    if (!__builtin_cpu_supports("sse4a"))
        return;
    memset(fake_xmm(2), 0x22, 16);
    expect_ok(BYTES(0xf3, 0x0f, 0x2b, 0x13));
    cr_expect(get32(at) == 0x22222222 && at[4] == 0);
    expect_ok(BYTES(0xf2, 0x0f, 0x2b, 0x53, 0x09)); /* needs no alignment */
    cr_expect(get32(at + 9) == 0x22222222 && at[8] == 0 && at[16] == 0x22 && at[17] == 0);
    memset(fake_xmm(1), 0xff, 8);
    expect_ok(BYTES(0xf2, 0x0f, 0x78, 0xca, 0x08, 0x04)); /* INSERTQ: 8 bits at bit 4 */
    cr_expect_eq(get32(fake_xmm(1)), 0xfffff22f);
    expect_ok(BYTES(0x66, 0x0f, 0x78, 0xc1, 0x0c, 0x00)); /* EXTRQ: the lowest 12 */
    cr_expect_eq(get32(fake_xmm(1)), 0x22f);
}

Test(cpu_interp_fp, maskmovdqu)
{
    memset(fake_xmm(1), 0x11, 16);
    fake_xmm(2)[3] = 0x80;
    fake_xmm(2)[5] = 0xff;
    v->gpr[REG_EDI] = DATA_AT + 0xffc; /* byte 5 would be on the next page */
    fake_gmem.flags[(DATA_AT >> 12) + 1] = FAKE_ABSENT;
    expect_fault(VEC_PF, BYTES(0x66, 0x0f, 0xf7, 0xca));
    cr_expect_eq(f.cr2, DATA_AT + 0x1001);
    cr_expect_eq(fake_gmem.mem[DATA_AT + 0xfff], 0);
    fake_xmm(2)[5] = 0x7f; /* not selected: no fault */
    expect_ok(BYTES(0x66, 0x0f, 0xf7, 0xca));
    cr_expect_eq(fake_gmem.mem[DATA_AT + 0xfff], 0x11);
    cr_expect_eq(fake_gmem.mem[DATA_AT + 0xffe], 0);
}

Test(cpu_interp_fp, movnti_and_fences)
{
    v->gpr[REG_ECX] = 0xcafe;
    expect_ok(BYTES(0x0f, 0xc3, 0x0b));
    cr_expect_eq(mem32(DATA_AT), 0xcafe);
    expect_ok(BYTES(0x0f, 0xae, 0xe8));
    expect_ok(BYTES(0x0f, 0xae, 0xf8));
    expect_ok(BYTES(0x0f, 0xae, 0x3b)); /* clflush */
    fake_gmem.flags[DATA_AT >> 12] = FAKE_ABSENT;
    expect_fault(VEC_PF, BYTES(0x0f, 0xae, 0x3b));
    expect_ok(BYTES(0x0f, 0x18, 0x03)); /* prefetch does not fault */
}

Test(cpu_interp_fp, avx_needs_xcr0)
{
    expect_fault(VEC_UD, BYTES(0xc5, 0xf0, 0x58, 0xc2));
    offer_avx();
    v->xcr0 = 3;
    expect_fault(VEC_UD, BYTES(0xc5, 0xf0, 0x58, 0xc2));
    v->xcr0 = 7;
    expect_ok(BYTES(0xc5, 0xf0, 0x58, 0xc2));
    v->cr0 |= CR0_TS;
    expect_fault(VEC_NM, BYTES(0xc5, 0xf0, 0x58, 0xc2));
    v->cr0 &= ~CR0_TS;
    expect_fault(VEC_UD, BYTES(0x62, 0xf1, 0x74, 0x48, 0x58, 0x03)); /* no AVX-512 state */
}

Test(cpu_interp_fp, avx_memory)
{
    offer_avx();
    for (unsigned i = 0; i < 32; i++)
        fake_gmem.mem[DATA_AT + 1 + i] = (uint8_t)(i + 1);
    v->gpr[REG_EBX] = DATA_AT + 1;
    expect_ok(BYTES(0xc5, 0xfe, 0x6f, 0x13)); /* vmovdqu ymm2, [ebx] */
    cr_expect_eq(fake_fpnative.memlen, 32);
    cr_expect(fake_xmm(2)[0] == 1 && fake_ymm_high(2)[15] == 32);
    expect_fault(VEC_GP, BYTES(0xc5, 0xfd, 0x6f, 0x13)); /* vmovdqa */
    expect_ok(BYTES(0xc5, 0xed, 0xfc, 0x13));            /* vpaddb ymm2, ymm2, [ebx]: no alignment */
    cr_expect(fake_xmm(2)[0] == 2 && fake_ymm_high(2)[15] == 64);
    /* VEX.B and vvvv's top bit mean nothing in 32-bit code. */
    expect_ok(BYTES(0xc4, 0xc1, 0x2d, 0xfc, 0xd2)); /* as vpaddb ymm2, ymm2, ymm2 */
    cr_expect_eq(fake_xmm(2)[0], 4);
    expect_ok(BYTES(0xc4, 0xe2, 0x7d, 0x58, 0x0b)); /* vpbroadcastd ymm1, [ebx] */
    cr_expect_eq(fake_fpnative.memlen, 4);
    cr_expect_eq(get32(fake_ymm_high(1) + 12), 0x04030201);
}

Test(cpu_interp_fp, avx_maskmov)
{
    offer_avx();
    fake_gmem.flags[(DATA_AT >> 12) + 1] = FAKE_ABSENT;
    v->gpr[REG_EBX] = DATA_AT + 0x1000 - 8;
    mem_put32(DATA_AT + 0x1000 - 8, 0x11111111);
    mem_put32(DATA_AT + 0x1000 - 4, 0x22222222);
    memset(fake_xmm(1), 0, 16);
    put32(fake_xmm(1) + 4, 0x80000000);
    memset(fake_xmm(2), 0xff, 16);
    memset(fake_ymm_high(2), 0xff, 16);
    expect_ok(BYTES(0xc4, 0xe2, 0x75, 0x2c, 0x13)); /* vmaskmovps ymm2, ymm1, [ebx] */
    cr_expect(get32(fake_xmm(2)) == 0 && get32(fake_xmm(2) + 4) == 0x22222222 &&
        get32(fake_ymm_high(2)) == 0);
    put32(fake_xmm(2) + 4, 0x33333333);
    expect_ok(BYTES(0xc4, 0xe2, 0x75, 0x2e, 0x13)); /* and back */
    cr_expect(mem32(DATA_AT + 0x1000 - 4) == 0x33333333 && mem32(DATA_AT + 0x1000 - 8) == 0x11111111);
    put32(fake_xmm(1) + 8, 0x80000000);
    expect_fault(VEC_PF, BYTES(0xc4, 0xe2, 0x75, 0x2c, 0x13));
    cr_expect_eq(f.cr2, DATA_AT + 0x1000);
}

Test(cpu_interp_fp, avx_gather)
{
    offer_avx();
    for (unsigned i = 0; i < 64; i++)
        mem_put32(DATA_AT + 4 * i, 100 + i);
    for (unsigned i = 0; i < 4; i++) {
        put32(fake_xmm(4) + 4 * i, 3 * i); /* index 4 is a register in VSIB */
        put32(fake_xmm(1) + 4 * i, i == 2 ? 0 : 0x80000000);
        put32(fake_xmm(0) + 4 * i, 7);
    }
    expect_ok(BYTES(0xc4, 0xe2, 0x71, 0x90, 0x04, 0xa3)); /* vpgatherdd xmm0, [ebx + xmm4*4], xmm1 */
    cr_expect(get32(fake_xmm(0)) == 100 && get32(fake_xmm(0) + 4) == 103 && get32(fake_xmm(0) + 8) == 7 &&
              get32(fake_xmm(0) + 12) == 109);
    for (unsigned i = 0; i < 16; i++)
        cr_expect_eq(fake_xmm(1)[i], 0);
}
