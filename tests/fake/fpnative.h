/*
 * A fake of cpu/fpnative.h: the guest's FPU state lives in an XSAVE area and is
 * loaded around each instruction, which runs on the real CPU in 64-bit mode
 * with its memory operand at [r8].
 *
 * World: unit tests.  Owner: static, one vCPU a process.  Catches SIGSEGV,
 * SIGILL and SIGFPE while an instruction runs.
 */
#ifndef FAKE_FPNATIVE_H
#define FAKE_FPNATIVE_H

#include "cpu/fpnative.h"

struct fake_fpnative {
    uint8_t xsave[4096] __attribute__((aligned(64))); /* legacy area, header, AVX at 576 */
    unsigned runs;
    unsigned memlen; /* of the last run */
};

extern struct fake_fpnative fake_fpnative;

/* Initial FPU state: FNINIT, MXCSR 1F80, all registers zero. */
void fake_fpnative_reset(void);
/* XMM register n of the guest. */
uint8_t *fake_xmm(unsigned n);
/* The upper half of YMM register n. */
uint8_t *fake_ymm_high(unsigned n);

#endif
