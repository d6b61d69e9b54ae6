// SPDX-License-Identifier: GPL-2.0-or-later
/* See the header. */
#include "tests/fake/i386.h"

#include <string.h>

#define DATA 0x92   /* present, writable */
#define CODE 0x9a   /* present, readable */
#define DPL(n) ((n) << 5)
#define BIG (SEG_ATTR_DB | SEG_ATTR_G)

void i386_desc(uint16_t sel, uint32_t base, uint32_t limit, uint16_t attr)
{
    uint32_t at = (sel & 4 ? LDT_AT : GDT_AT) + (sel & ~7u);
    uint32_t l = attr & SEG_ATTR_G ? limit >> 12 : limit;

    mem_put32(at, (base & 0xffff) << 16 | (l & 0xffff));
    mem_put32(at + 4, (base & 0xff000000) | (base >> 16 & 0xff) | (l & 0xf0000) | (uint32_t)attr << 8);
}

void i386_call_gate(uint16_t sel, uint16_t target, uint32_t off, unsigned type, unsigned dpl, unsigned params)
{
    mem_put32(GDT_AT + (sel & ~7u), (uint32_t)target << 16 | (off & 0xffff));
    mem_put32(GDT_AT + (sel & ~7u) + 4, (off & 0xffff0000) | 0x8000 | dpl << 13 | type << 8 | params);
}

void i386_gate(unsigned vec, uint16_t target, uint32_t off, unsigned type, unsigned dpl)
{
    mem_put32(IDT_AT + vec * 8, (uint32_t)target << 16 | (off & 0xffff));
    mem_put32(IDT_AT + vec * 8 + 4, (off & 0xffff0000) | 0x8000 | dpl << 13 | type << 8);
}

static void build_gdt(void)
{
    i386_desc(K_CODE, 0, 0xffffffff, CODE | BIG);
    i386_desc(K_DATA, 0, 0xffffffff, DATA | BIG);
    i386_desc(U_CODE, 0, 0xffffffff, CODE | BIG | DPL(3));
    i386_desc(U_DATA, 0, 0xffffffff, DATA | BIG | DPL(3));
    i386_desc(SEL_TSS, TSS_AT, 0x67, 0x8b);
    i386_desc(SEL_LDT, LDT_AT, 0x1f, 0x82);
    i386_desc(CONF_CODE, 0, 0xffffffff, CODE | BIG | SEG_ATTR_EC);
    i386_desc(R1_CODE, 0, 0xffffffff, CODE | BIG | DPL(1));
    i386_desc(R1_DATA, 0, 0xffffffff, DATA | BIG | DPL(1));
    i386_desc(K_CODE16, 0, 0xffff, CODE);
    i386_desc(K_DATA16, 0, 0xffff, DATA);
    i386_desc(U_ABSENT, 0, 0xffffffff, ((DATA | BIG) & ~SEG_ATTR_P) | DPL(3));
    i386_desc(U_READONLY, 0, 0xffffffff, ((DATA | BIG) & ~SEG_ATTR_RW) | DPL(3));
    i386_desc(U_EXEC, 0, 0xffffffff, ((CODE | BIG) & ~SEG_ATTR_RW) | DPL(3));
    i386_desc(U_DOWN, 0, 0xfff, DATA | SEG_ATTR_DB | SEG_ATTR_EC | DPL(3));
    i386_call_gate(GATE32, K_CODE, 0x8100, DESC_CALL32, 3, 2);
    i386_call_gate(GATE16, K_CODE, 0x8100, DESC_CALL16, 3, 2);
    i386_call_gate(GATE_TASK, SEL_TSS2, 0, DESC_TASK, 3, 0);
    i386_desc(SEL_TSS16, TSS16_AT, 0x2b, 0x81);
    i386_desc(SEL_TSS2, TSS2_AT, 0x67, 0x89);
    i386_desc(CODE_ABSENT, 0, 0xffffffff, (CODE | BIG) & ~SEG_ATTR_P);
    i386_call_gate(GATE_ABSENT, K_CODE, 0x8100, DESC_CALL32, 3, 0);
    mem_put32(GDT_AT + (GATE_ABSENT & ~7u) + 4, mem32(GDT_AT + (GATE_ABSENT & ~7u) + 4) & ~0x8000u);
    i386_desc(U_CODE16, 0, 0xffff, CODE | DPL(3));
    i386_desc(U_DATA16, 0, 0xffff, DATA | DPL(3));
    i386_desc(0x04, 0, 0xfff, DATA | DPL(3)); /* LDT entry 0: selector 7 at ring 3 */
}

static void build_tss(void)
{
    mem_put32(TSS_AT + 4, KSTACK_TOP);
    mem_put32(TSS_AT + 8, K_DATA);
    mem_put32(TSS_AT + 12, R1STACK_TOP);
    mem_put32(TSS_AT + 16, R1_DATA);
}

void i386_load(struct vcpu *v, unsigned seg, uint16_t sel)
{
    struct desc d = {mem32(GDT_AT + (sel & ~7u)), mem32(GDT_AT + (sel & ~7u) + 4)};

    seg_from_desc(&v->seg[seg], sel, d);
    v->seg[seg].attr |= SEG_ATTR_A;
}

struct vcpu *i386_new(void)
{
    struct vcpu *v = fake_vcpu_new();

    build_gdt();
    build_tss();
    v->cr0 = CR0_PE | CR0_ET;
    v->gdtr = (struct dtr){GDT_AT, GDT_END - 1};
    v->idtr = (struct dtr){IDT_AT, 0x7ff};
    seg_from_desc(&v->tr, SEL_TSS, (struct desc){mem32(GDT_AT + SEL_TSS), mem32(GDT_AT + SEL_TSS + 4)});
    seg_from_desc(&v->ldtr, SEL_LDT, (struct desc){mem32(GDT_AT + SEL_LDT), mem32(GDT_AT + SEL_LDT + 4)});
    i386_load(v, SEG_CS, K_CODE);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        if (i != SEG_CS)
            i386_load(v, i, K_DATA);
    v->cpl = 0;
    v->eip = CODE_AT;
    v->eflags = EFLAGS_FIXED | EFLAGS_IF;
    v->gpr[REG_ESP] = KSTACK_TOP;
    return v;
}

void i386_user(struct vcpu *v)
{
    i386_load(v, SEG_CS, U_CODE);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        if (i != SEG_CS)
            i386_load(v, i, U_DATA);
    v->cpl = 3;
    v->gpr[REG_ESP] = USTACK_TOP;
}

void i386_v86(struct vcpu *v, unsigned iopl)
{
    static const uint16_t sel[SEG_COUNT] = {0x111, 0x700, 0x800, 0x333, 0x444, 0x555};

    v->eflags = EFLAGS_FIXED | EFLAGS_IF | EFLAGS_VM | iopl << 12;
    v->cpl = 3;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        seg_load_real(v, i, sel[i]);
    v->eip = 0x123;
    v->gpr[REG_ESP] = 0x1000;
}

void i386_real(struct vcpu *v)
{
    v->cr0 = CR0_ET;
    v->cpl = 0;
    v->eflags = EFLAGS_FIXED | EFLAGS_IF;
    v->idtr = (struct dtr){0, 0x3ff};
    for (unsigned i = 0; i < SEG_COUNT; i++)
        v->seg[i] = (struct seg){.attr = i == SEG_CS ? 0x9b : 0x93, .limit = 0xffff};
    v->eip = CODE_AT;
    v->gpr[REG_ESP] = 0x8000;
}
