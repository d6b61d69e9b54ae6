/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every way into a kernel, tried by user code that may run directly: under paging, with interrupts on, on pages
 * that hold nothing else. Unless the processor offers SYSENTER or SYSCALL, these are undefined instructions and
 * leave all registers alone, whatever the host's processor makes of them; INT 80h is an interrupt like any
 * other. The stack pointer may point anywhere.
 */
#include "rt.h"

#define RUNS 20
#define NOWHERE 0x03800000u /* linear, not mapped */
#define TRIALS 3

struct registers { uint32_t ax, cx, dx, bx, sp, bp, si, di; };

/* Two pages for each trial. */
uint8_t room[3 * TRIALS][8192] __attribute__((aligned(4096)));
static unsigned used;

/* Load all registers; then the two bytes of the instruction, at page + at. */
static const uint8_t *write_code(uint8_t *page, unsigned at, const char *insn, const struct registers *r)
{
    const uint32_t value[] = { r->ax, r->cx, r->dx, r->bx, r->sp, r->bp, r->si, r->di };
    uint8_t *start = page + at - sizeof value / sizeof value[0] * 5, *p = start;

    memset(page, 0x90, 8192);
    for (unsigned i = 0; i < 8; i++, p += 5) { /* mov $value, %reg */
        *p = (uint8_t)(0xb8 + i);
        memcpy(p + 1, &value[i], 4);
    }
    memcpy(p, insn, 2);
    return start;
}

static bool kept(const struct registers *r, uint32_t eip)
{
    return rt_last.eax == r->ax && rt_last.ecx == r->cx && rt_last.edx == r->dx && rt_last.ebx == r->bx &&
           rt_last.esp == r->sp && rt_last.ebp == r->bp && rt_last.esi == r->si && rt_last.edi == r->di &&
           rt_last.eip == eip;
}

static void try_at(const char *name, const char *insn, int vector, unsigned length, uint32_t esp, unsigned at)
{
    const struct registers r = { 20, 0xc1c2c3c4, 0xd1d2d3d4, 0xb1b2b3b4, esp, 0x51525354, 0x61626364, 0x71727374 };
    uint8_t *page = room[used++];
    const uint8_t *code = write_code(page, at, insn, &r);
    uint32_t trapped = 0, unchanged = 0;

    for (unsigned i = 0; i < RUNS; i++) {
        trapped += rt_try_user_flags((void (*)(void *))code, 0, IF | 2) == vector;
        unchanged += kept(&r, (uint32_t)page + at + length);
    }
    check(name, trapped, RUNS);
    check(name, unchanged, RUNS);
}

static void try(const char *name, const char *insn, int vector, unsigned length)
{
    try_at(name, insn, vector, length, (uint32_t)rt_user_stack_top - 64, 2000);
    try_at(name, insn, vector, length, NOWHERE, 2000);
    try_at(name, insn, vector, length, NOWHERE, 4095); /* across the end of a page */
}

void test_main(void)
{
    uint32_t basic[4], extended[4];

    pic_setup(0xff, 0xff);
    paging_on();
    *pte_of((void *)NOWHERE) = 0;
    invlpg((void *)NOWHERE);
    cpuid(1, basic);
    cpuid(0x80000001, extended);
    try("int80", "\xcd\x80", 0x80, 2);
    if (basic[3] & 1 << 11)
        skip("sysenter", "the processor has it");
    else
        try("sysenter", "\x0f\x34", UD, 0);
    if (extended[3] & 1 << 11)
        skip("syscall", "the processor has it");
    else
        try("syscall", "\x0f\x05", UD, 0);
}
