/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The x87 and SSE as a kernel sees them: #NM by TS, EM and MP, #MF at the next
 * waiting instruction, state that survives traps and interrupts, FNSAVE and
 * FXSAVE images, #XM (SDM volume 3, 2.5, 6.15, chapter 13).
 */
#include "rt.h"

CODE(f_init, "f_init_at: fninit");
CODE(f_ld1, "f_ld1_at: fld1\n fstp %st(0)");
CODE(f_wait, "f_wait_at: fwait");
CODE(f_clts, "clts");
CODE(f_sse, "f_sse_at: xorps %xmm0,%xmm0");
CODE(f_mmx, "f_mmx_at: pxor %mm0,%mm0\n emms");
CODE(f_fnstsw, "fnstsw %ax");

static void set_cr0(uint32_t bits)
{
    WRITE_CR(0, (READ_CR(0) & ~(CR0_MP | CR0_EM | CR0_TS)) | bits);
}

static void try(const char *name, uint32_t cr0, void (*code)(void *), int vector)
{
    set_cr0(cr0);
    check_trap(name, rt_try(code, 0), vector, 0);
    set_cr0(cr0);
    check_trap(name, rt_try_user(code, 0), vector, 0);
    set_cr0(0);
}

static void test_nm(uint32_t features)
{
    try("plain", CR0_MP, f_ld1, NO_TRAP);
    try("ts-fninit", CR0_TS, f_init, NM);
    try("ts-fld", CR0_TS, f_ld1, NM);
    check("ts-fld-eip", rt_last.eip, ADDR(f_ld1_at));
    try("ts-fnstsw", CR0_TS, f_fnstsw, NM);
    try("ts-fwait", CR0_TS, f_wait, NO_TRAP);
    try("ts-mp-fwait", CR0_TS | CR0_MP, f_wait, NM);
    try("mp-fwait", CR0_MP, f_wait, NO_TRAP);
    try("em-fld", CR0_EM, f_ld1, NM);
    try("em-fwait", CR0_EM, f_wait, NO_TRAP);
    if (features & 1 << 23) {
        try("ts-mmx", CR0_TS, f_mmx, NM);
        check("ts-mmx-eip", rt_last.eip, ADDR(f_mmx_at));
        try("em-mmx", CR0_EM, f_mmx, UD);
    }
    set_cr0(CR0_TS);
    check_trap("clts", rt_try(f_clts, 0), NO_TRAP, 0);
    check("clts-cr0", READ_CR(0) & CR0_TS, 0);
    check_trap("after-clts", rt_try_user(f_ld1, 0), NO_TRAP, 0);
}

/* The usual lazy switch: #NM, the handler clears TS and the instruction is done again. */
static uint32_t nms;

static void on_nm(struct frame *f)
{
    (void)f;
    nms++;
    asm volatile("clts");
}

CODE(f_sum, "fninit\n fld1\n fld1\n faddp\n fld %st(0)\n fmulp\n fistpl f_out\n movl f_out,%eax");
uint32_t f_out;

static void test_lazy(void)
{
    rt_handlers[NM] = on_nm;
    nms = 0;
    set_cr0(CR0_TS);
    check_trap("lazy", rt_try(f_sum, 0), NO_TRAP, 0);
    check("lazy-result", rt_result, 4);
    check("lazy-traps", nms, 1);
    set_cr0(CR0_TS);
    check_trap("lazy-user", rt_try_user(f_sum, 0), NO_TRAP, 0);
    check("lazy-user-result", f_out, 4);
    check("lazy-user-traps", nms, 2);
    rt_handlers[NM] = NULL;
}

/* Division by zero, unmasked: nothing at the division, #MF at the next waiting instruction. */
CODE(f_mf, "fninit\n movw $0x37b,f_cw\n fldcw f_cw\n fldz\n fld1\n fdivp %st,%st(1)\n nop\n fnstsw %ax\n"
     "movzwl %ax,%eax\n movl %eax,f_out\n f_mf_at: fwait\n nop");
CODE(f_mf_fld, "fninit\n movw $0x37b,f_cw\n fldcw f_cw\n fld1\n fldz\n fdivrp %st,%st(1)\n nop\n f_mf_fld_at: fld1\n nop");
CODE(f_clear, "fnclex\n fninit");
uint16_t f_cw;

static void test_mf(void)
{
    WRITE_CR(0, READ_CR(0) | CR0_NE);
    check_trap("mf-at-fwait", rt_try(f_mf, 0), MF, 0);
    check("mf-eip", rt_last.eip, ADDR(f_mf_at));
    rt_try(f_clear, 0);
    check_trap_cpu("mf-at-fld", rt_try(f_mf_fld, 0), MF, 0);
    check_cpu("mf-fld-eip", rt_last.eip, ADDR(f_mf_fld_at));
    rt_try(f_clear, 0);
    check_trap("mf-user", rt_try_user(f_mf, 0), MF, 0);
    check("mf-user-eip", rt_last.eip, ADDR(f_mf_at));
    rt_try(f_clear, 0);
    check_trap("mf-cleared", rt_try(f_wait, 0), NO_TRAP, 0);
}

/* FNSAVE and FRSTOR, and the state across traps that come in between. */
static uint8_t image[108], image2[108];
static uint32_t int80s;

static void on_int(struct frame *f)
{
    (void)f;
    int80s++;
}

CODE(f_across, "fninit\n fldpi\n fldl2e\n int $0x91\n int $0x91\n faddp\n fistpl f_out\n movl f_out,%eax");

static void test_state(void)
{
    rt_handlers[0x91] = on_int;
    check_trap("across-traps", rt_try(f_across, 0), NO_TRAP, 0);
    check("across-traps-result", rt_result, 5);
    f_out = 0;
    check_trap("across-traps-user", rt_try_user(f_across, 0), NO_TRAP, 0);
    check("across-traps-user-result", f_out, 5);
    check("across-traps-count", int80s, 4);
    rt_handlers[0x91] = NULL;
    asm volatile("fninit\n\tfldpi\n\tfld1\n\tfnsave %0" : "=m"(image));
    check("fnsave-control", *(uint16_t *)image, 0x37f);
    check("fnsave-tag", *(uint16_t *)(image + 8), 0x0fff);
    check("fnsave-one", *(uint16_t *)(image + 28 + 8), 0x3fff);
    asm volatile("frstor %1\n\tfnsave %0" : "=m"(image2) : "m"(image));
    check("frstor-top", *(uint16_t *)(image2 + 4), *(uint16_t *)(image + 4));
    check("frstor-pi", *(uint32_t *)(image2 + 28 + 10), *(uint32_t *)(image + 28 + 10));
}

static uint8_t fx[512] __attribute__((aligned(16))), fx2[512] __attribute__((aligned(16)));

CODE(x_ud, "x_ud_at: xorps %xmm1,%xmm1");
CODE(x_div0, "pushl $0x1d80\n ldmxcsr (%esp)\n popl %ecx\n movl $1,%ecx\n cvtsi2ss %ecx,%xmm0\n xorps %xmm1,%xmm1\n"
     "x_div0_at: divss %xmm1,%xmm0");
CODE(x_work, "movl $3,%ecx\n cvtsi2ss %ecx,%xmm2\n int $0x91\n addss %xmm2,%xmm2\n cvtss2si %xmm2,%eax\n movl %eax,f_out");

static void test_sse(uint32_t features)
{
    if (!(features & 1 << 24) || !(features & 1 << 25)) {
        skip("sse", "no FXSR or SSE");
        return;
    }
    WRITE_CR(4, READ_CR(4) & ~CR4_OSFXSR);
    check_trap("sse-without-osfxsr", rt_try(x_ud, 0), UD, 0);
    check_trap("sse-without-osfxsr-user", rt_try_user(x_ud, 0), UD, 0);
    WRITE_CR(4, READ_CR(4) | CR4_OSFXSR | CR4_OSXMMEXCPT);
    try("sse-plain", 0, f_sse, NO_TRAP);
    try("sse-ts", CR0_TS, f_sse, NM);
    check("sse-ts-eip", rt_last.eip, ADDR(f_sse_at));
    try("sse-em", CR0_EM, f_sse, UD);
    rt_handlers[0x91] = on_int;
    check_trap("sse-across", rt_try(x_work, 0), NO_TRAP, 0);
    check("sse-across-result", f_out, 6);
    f_out = 0;
    check_trap("sse-across-user", rt_try_user(x_work, 0), NO_TRAP, 0);
    check("sse-across-user-result", f_out, 6);
    rt_handlers[0x91] = NULL;
    asm volatile("fninit\n\tfldpi\n\tmovups %2,%%xmm3\n\tfxsave %0\n\tpxor %%xmm3,%%xmm3\n\tfxrstor %0\n\tfxsave %1"
                 : "=m"(fx), "=m"(fx2) : "m"(image));
    check("fxsave-control", *(uint16_t *)fx, 0x37f);
    check("fxsave-tag", fx[4], 0x80);
    check("fxsave-xmm3", *(uint32_t *)(fx + 160 + 48), *(uint32_t *)image);
    check("fxrstor-xmm3", *(uint32_t *)(fx2 + 160 + 48), *(uint32_t *)image);
    check_trap_cpu("xm", rt_try(x_div0, 0), XM, 0);
    check_cpu("xm-eip", rt_last.eip, ADDR(x_div0_at));
    WRITE_CR(4, READ_CR(4) & ~CR4_OSXMMEXCPT);
    check_trap_cpu("xm-without-osxmmexcpt", rt_try(x_div0, 0), UD, 0);
    WRITE_CR(4, READ_CR(4) & ~CR4_OSFXSR);
}

void test_main(void)
{
    uint32_t r[4];

    cpuid(1, r);
    if (!(r[3] & 1)) {
        skip("fpu", "no x87");
        return;
    }
    test_nm(r[3]);
    test_lazy();
    test_mf();
    test_state();
    test_sse(r[3]);
}
