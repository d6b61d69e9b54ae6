// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Segment loads and accesses: every check of SDM vol. 3A chapter 5 with its vector and error code.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/fake/i386.h"

static struct vcpu *v;
static struct fault f;

static void setup(void) { v = i386_new(); }
TestSuite(cpu_segment, .init = setup);

#define fails(call, vector, error)                                                            \
    do {                                                                                      \
        struct vcpu before_ = *v;                                                             \
        memset(&f, 0xee, sizeof f);                                                           \
        cr_assert(!(call), "%s must fault", #call);                                           \
        cr_assert_eq(f.vec, vector, "%s: vector %u", #call, f.vec);                           \
        cr_assert(f.has_err);                                                                 \
        cr_assert_eq(f.err, (uint32_t)(error), "%s: error %#x", #call, f.err);                \
        cr_assert(!memcmp(v, &before_, VCPU_STATE_SIZE), "%s changed the vCPU", #call);        \
    } while (0)

Test(cpu_segment, data_load_fills_the_hidden_part)
{
    i386_desc(U_DATA, 0x12345678, 0x54321, 0x40f2);
    v->hsel_dirty = 0;
    cr_assert(seg_load(v, SEG_DS, U_DATA, &f));
    cr_assert_eq(v->seg[SEG_DS].sel, U_DATA);
    cr_assert_eq(v->seg[SEG_DS].base, 0x12345678);
    cr_assert_eq(v->seg[SEG_DS].limit, 0x54321);
    cr_assert_eq(v->seg[SEG_DS].attr, 0x40f3, "limit bits stay out, accessed is set");
    cr_assert_eq(v->hsel_dirty, 1u << SEG_DS);
    i386_desc(U_DATA, 0, 0x12345fff, 0xc0f2);
    cr_assert(seg_load(v, SEG_FS, U_DATA, &f));
    cr_assert_eq(v->seg[SEG_FS].limit, 0x12345fff, "granularity");
}

Test(cpu_segment, accessed_bit_is_written_once)
{
    cr_assert(seg_load(v, SEG_ES, U_DATA, &f));
    cr_assert(mem32(GDT_AT + (U_DATA & ~7) + 4) & BIT(8));
    cr_assert_eq(fake_gmem.writes, 1);
    cr_assert(seg_load(v, SEG_ES, U_DATA, &f));
    cr_assert_eq(fake_gmem.writes, 1);
    fake_gmem.flags[GDT_AT >> 12] = FAKE_READONLY;
    cr_assert(seg_load(v, SEG_ES, U_DATA, &f), "an accessed descriptor needs no write");
    memset(&f, 0, sizeof f);
    cr_assert(!seg_load(v, SEG_ES, R1_DATA, &f));
    cr_assert_eq(f.vec, VEC_PF);
    cr_assert_eq(f.err, PFERR_P | PFERR_W, "a supervisor access");
}

Test(cpu_segment, table_limits)
{
    fails(seg_load(v, SEG_DS, GDT_END, &f), VEC_GP, GDT_END);
    fails(seg_load(v, SEG_DS, GDT_END | 3, &f), VEC_GP, GDT_END);
    v->gdtr.limit = U_DATA | 7;
    cr_assert(seg_load(v, SEG_DS, U_DATA, &f), "all eight bytes lie inside");
    v->gdtr.limit--;
    fails(seg_load(v, SEG_DS, U_DATA, &f), VEC_GP, U_DATA & ~3);
    cr_assert(seg_load(v, SEG_DS, 7, &f));
    cr_assert_eq(v->seg[SEG_DS].limit, 0xfff, "from the LDT");
    fails(seg_load(v, SEG_DS, 0x24, &f), VEC_GP, 0x24);
    v->ldtr = (struct seg){0};
    fails(seg_load(v, SEG_DS, 7, &f), VEC_GP, 4);
}

Test(cpu_segment, data_types_and_privilege)
{
    fails(seg_load(v, SEG_DS, U_EXEC, &f), VEC_GP, U_EXEC & ~3);
    fails(seg_load(v, SEG_DS, SEL_TSS, &f), VEC_GP, SEL_TSS);
    fails(seg_load(v, SEG_DS, GATE32, &f), VEC_GP, GATE32 & ~3);
    fails(seg_load(v, SEG_DS, U_ABSENT, &f), VEC_NP, U_ABSENT & ~3);
    fails(seg_load(v, SEG_DS, K_DATA | 3, &f), VEC_GP, K_DATA); /* RPL */
    cr_assert(seg_load(v, SEG_DS, U_READONLY, &f));
    cr_assert(seg_load(v, SEG_DS, K_CODE, &f), "readable code");
    i386_user(v);
    fails(seg_load(v, SEG_DS, K_DATA, &f), VEC_GP, K_DATA); /* CPL */
    fails(seg_load(v, SEG_DS, K_CODE, &f), VEC_GP, K_CODE);
    cr_assert(seg_load(v, SEG_DS, CONF_CODE | 3, &f), "readable conforming code is open to all");
    cr_assert(seg_load(v, SEG_DS, U_DATA & ~3, &f), "RPL below CPL does no harm");
}

Test(cpu_segment, null_selectors)
{
    cr_assert(seg_load(v, SEG_GS, 3, &f));
    cr_assert_eq(v->seg[SEG_GS].sel, 3);
    cr_assert_eq(v->seg[SEG_GS].attr, 0);
    fails(seg_load(v, SEG_SS, 0, &f), VEC_GP, 0);
    fails(seg_load(v, SEG_SS, 3, &f), VEC_GP, 0);
}

Test(cpu_segment, stack_segments)
{
    cr_assert(seg_load(v, SEG_SS, K_DATA, &f));
    fails(seg_load(v, SEG_SS, K_DATA | 3, &f), VEC_GP, K_DATA);
    fails(seg_load(v, SEG_SS, U_DATA, &f), VEC_GP, U_DATA & ~3);
    fails(seg_load(v, SEG_SS, U_DATA & ~3, &f), VEC_GP, U_DATA & ~3);
    fails(seg_load(v, SEG_SS, K_CODE, &f), VEC_GP, K_CODE);
    i386_user(v);
    cr_assert(seg_load(v, SEG_SS, U_DATA, &f));
    cr_assert(seg_load(v, SEG_SS, U_DOWN, &f));
    fails(seg_load(v, SEG_SS, U_READONLY, &f), VEC_GP, U_READONLY & ~3);
    fails(seg_load(v, SEG_SS, U_ABSENT, &f), VEC_SS, U_ABSENT & ~3);
    fails(seg_load(v, SEG_SS, U_DATA & ~3, &f), VEC_GP, U_DATA & ~3);
}

Test(cpu_segment, linear_addresses_and_limits)
{
    gla_t gla;

    i386_desc(U_DATA, 0x1000, 0xfff, 0x40f2);
    cr_assert(seg_load(v, SEG_DS, U_DATA, &f));
    cr_assert(seg_linear(v, SEG_DS, 0xffc, 4, true, &gla, &f));
    cr_assert_eq(gla, 0x1ffc);
    fails(seg_linear(v, SEG_DS, 0xffd, 4, true, &gla, &f), VEC_GP, 0);
    fails(seg_linear(v, SEG_DS, 0xfffffffe, 4, false, &gla, &f), VEC_GP, 0);
    cr_assert(seg_load(v, SEG_DS, U_READONLY, &f));
    cr_assert(seg_linear(v, SEG_DS, 0, 4, false, &gla, &f));
    fails(seg_linear(v, SEG_DS, 0, 4, true, &gla, &f), VEC_GP, 0);
    cr_assert(seg_linear(v, SEG_CS, 0, 4, false, &gla, &f));
    fails(seg_linear(v, SEG_CS, 0, 4, true, &gla, &f), VEC_GP, 0);
    i386_load(v, SEG_CS, U_EXEC);
    fails(seg_linear(v, SEG_CS, 0, 4, false, &gla, &f), VEC_GP, 0);
    cr_assert(seg_load(v, SEG_FS, 0, &f));
    fails(seg_linear(v, SEG_FS, 0, 1, false, &gla, &f), VEC_GP, 0);
    v->seg[SEG_SS].limit = 0xfff;
    fails(seg_linear(v, SEG_SS, 0x1000, 1, false, &gla, &f), VEC_SS, 0);
}

Test(cpu_segment, expand_down)
{
    gla_t gla;

    cr_assert(seg_load(v, SEG_DS, U_DOWN, &f));
    fails(seg_linear(v, SEG_DS, 0xfff, 1, true, &gla, &f), VEC_GP, 0);
    cr_assert(seg_linear(v, SEG_DS, 0x1000, 1, true, &gla, &f));
    cr_assert(seg_linear(v, SEG_DS, 0xfffffffc, 4, true, &gla, &f));
    i386_desc(U_DOWN, 0, 0xfff, 0x00f6);
    cr_assert(seg_load(v, SEG_DS, U_DOWN, &f));
    cr_assert(seg_linear(v, SEG_DS, 0xfffe, 2, true, &gla, &f));
    fails(seg_linear(v, SEG_DS, 0xffff, 2, true, &gla, &f), VEC_GP, 0);
}

Test(cpu_segment, real_and_v86_loads)
{
    gla_t gla;

    i386_real(v);
    v->seg[SEG_FS].limit = 0xffffffff;
    cr_assert(seg_load(v, SEG_FS, 0x1234, &f));
    cr_assert_eq(v->seg[SEG_FS].base, 0x12340);
    cr_assert_eq(v->seg[SEG_FS].limit, 0xffffffff, "unreal mode keeps the limit");
    fails(seg_linear(v, SEG_DS, 0xffff, 2, false, &gla, &f), VEC_GP, 0);
    cr_assert(seg_linear(v, SEG_CS, 0, 2, true, &gla, &f), "CS is writable in real mode");
    v = i386_new();
    i386_v86(v, 3);
    v->seg[SEG_FS].limit = 0xffffffff;
    cr_assert(seg_load(v, SEG_FS, 0x1234, &f));
    cr_assert_eq(v->seg[SEG_FS].limit, 0xffff);
    cr_assert_eq(v->seg[SEG_FS].attr, 0xf3);
}

Test(cpu_segment, lldt_ltr)
{
    cr_assert(seg_lldt(v, 0, &f));
    cr_assert_eq(v->ldtr.attr, 0);
    cr_assert(seg_lldt(v, SEL_LDT, &f));
    cr_assert_eq(v->ldtr.base, LDT_AT);
    fails(seg_lldt(v, SEL_LDT | 4, &f), VEC_GP, SEL_LDT | 4);
    fails(seg_lldt(v, K_DATA, &f), VEC_GP, K_DATA);
    i386_desc(SEL_LDT, LDT_AT, 0x1f, 0x02);
    fails(seg_lldt(v, SEL_LDT, &f), VEC_NP, SEL_LDT);

    fails(seg_ltr(v, 0, &f), VEC_GP, 0);
    fails(seg_ltr(v, SEL_TSS, &f), VEC_GP, SEL_TSS); /* busy */
    fails(seg_ltr(v, K_DATA, &f), VEC_GP, K_DATA);
    fails(seg_ltr(v, SEL_TSS2 | 4, &f), VEC_GP, SEL_TSS2 | 4);
    cr_assert(seg_ltr(v, SEL_TSS2, &f));
    cr_assert_eq(v->tr.base, TSS2_AT);
    cr_assert_eq(mem32(GDT_AT + SEL_TSS2 + 4) >> 8 & 0xf, DESC_TSS32_BUSY);
    i386_desc(SEL_TSS2, TSS2_AT, 0x67, 0x09);
    fails(seg_ltr(v, SEL_TSS2, &f), VEC_NP, SEL_TSS2);
}

static bool zf_of_lar(uint16_t sel, uint32_t *out)
{
    bool zf = false;

    cr_assert(seg_lar(v, sel, out, &zf, &f));
    return zf;
}

static bool zf_of_lsl(uint16_t sel, uint32_t *out)
{
    bool zf = false;

    cr_assert(seg_lsl(v, sel, out, &zf, &f));
    return zf;
}

static bool verifies(uint16_t sel, bool write)
{
    bool zf = false;

    cr_assert(seg_verify(v, sel, write, &zf, &f));
    return zf;
}

Test(cpu_segment, lar_lsl_verify)
{
    uint32_t out = 0;

    cr_assert(zf_of_lar(U_DATA, &out));
    cr_assert_eq(out, 0x00cff200);
    cr_assert(zf_of_lar(GATE32, &out));
    cr_assert(zf_of_lar(U_ABSENT, &out), "presence does not matter");
    cr_assert(!zf_of_lar(0, &out));
    cr_assert(!zf_of_lar(GDT_END, &out));
    cr_assert(!zf_of_lar(K_DATA | 3, &out));
    i386_gate(0, K_CODE, 0, DESC_INT32, 3);
    i386_call_gate(GATE32, K_CODE, 0, DESC_INT32, 3, 0);
    cr_assert(!zf_of_lar(GATE32, &out), "interrupt gates have no access rights here");
    cr_assert(zf_of_lsl(U_DOWN, &out));
    cr_assert_eq(out, 0xfff);
    cr_assert(zf_of_lsl(K_DATA, &out));
    cr_assert_eq(out, 0xffffffff);
    cr_assert(zf_of_lsl(SEL_TSS, &out));
    cr_assert(!zf_of_lsl(GATE16, &out), "gates have no limit");

    cr_assert(verifies(U_DATA, true) && verifies(U_READONLY, false) && verifies(U_CODE, false));
    cr_assert(!verifies(U_READONLY, true) && !verifies(U_EXEC, false) && !verifies(U_CODE, true));
    cr_assert(!verifies(SEL_TSS, false) && !verifies(0, false));
    i386_user(v);
    cr_assert(!verifies(K_DATA, false) && verifies(CONF_CODE, false));
    cr_assert(!zf_of_lar(SEL_TSS, &out) && zf_of_lar(CONF_CODE, &out));
}
