/*
 * A small protected-mode system in the fake memory: GDT, LDT, IDT, TSSs and
 * stacks at fixed places, with one descriptor of each sort that the checks of
 * SDM vol. 3A chapter 5 tell apart.  Accessed bits start clear.
 *
 * World: unit tests.  i386_new() gives a vCPU at CPL 0 running K_CODE:0x8000 on
 * the kernel stack; i386_user() moves it to CPL 3.
 */
#ifndef FAKE_I386_H
#define FAKE_I386_H

#include "cpu/segment.h"
#include "tests/fake/gmem.h"

#define GDT_AT 0x1000u
#define IDT_AT 0x2000u
#define LDT_AT 0x3000u
#define TSS_AT 0x4000u   /* the current task's */
#define TSS2_AT 0x5000u  /* the other 32-bit task's */
#define TSS16_AT 0x5800u /* a 16-bit task's */
#define KSTACK_TOP 0xb000u /* ring 0's in the TSS; its page is 0xa000 */
#define R1STACK_TOP 0xc000u
#define USTACK_TOP 0xe000u
#define CODE_AT 0x8000u

enum {
    K_CODE = 0x08,
    K_DATA = 0x10,
    U_CODE = 0x1b,
    U_DATA = 0x23,
    SEL_TSS = 0x28,
    SEL_LDT = 0x30,
    CONF_CODE = 0x38,   /* conforming, DPL 0 */
    R1_CODE = 0x41,
    R1_DATA = 0x49,
    K_CODE16 = 0x50,
    K_DATA16 = 0x58,    /* base 0, limit 0xffff, 16 bits */
    U_ABSENT = 0x63,    /* data, DPL 3, not present */
    U_READONLY = 0x6b,
    U_EXEC = 0x73,      /* execute-only code, DPL 3 */
    U_DOWN = 0x7b,      /* expand-down data, limit 0xfff, 32 bits */
    GATE32 = 0x83,      /* call gate, DPL 3, K_CODE:0x8100, 2 parameters */
    GATE16 = 0x8b,      /* the same, 16 bits */
    GATE_TASK = 0x93,   /* task gate, DPL 3, SEL_TSS2 */
    SEL_TSS16 = 0x98,
    SEL_TSS2 = 0xa0,
    CODE_ABSENT = 0xa8, /* code, DPL 0 */
    GATE_ABSENT = 0xb3,
    U_CODE16 = 0xbb,
    U_DATA16 = 0xc3,
    GDT_END = 0xc8,
};

void i386_desc(uint16_t sel, uint32_t base, uint32_t limit, uint16_t attr);
void i386_call_gate(uint16_t sel, uint16_t target, uint32_t off, unsigned type, unsigned dpl,
                    unsigned params);
/* vec: an IDT gate of type DESC_INT32 and so on. */
void i386_gate(unsigned vec, uint16_t target, uint32_t off, unsigned type, unsigned dpl);
struct vcpu *i386_new(void);
void i386_user(struct vcpu *v);
/* Virtual-8086 mode at CS:IP = 0700:0123, SS:SP = 0800:1000, IOPL as given. */
void i386_v86(struct vcpu *v, unsigned iopl);
/* Real mode with the IVT at 0 and SS:SP = 0:8000. */
void i386_real(struct vcpu *v);
/* The hidden part as the descriptor in the GDT gives it. */
void i386_load(struct vcpu *v, unsigned seg, uint16_t sel);

#endif
