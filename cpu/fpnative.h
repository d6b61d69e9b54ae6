/*
 * Seam: run one x87/MMX/SSE/AVX instruction natively for the interpreter.
 *
 * World: monitor; bound in bt/ (a fake in unit tests runs it on the real CPU).
 * The guest's FPU state is live in the registers while the monitor works, so
 * the interpreter needs no model of it: it copies the memory operand into
 * `mem`, and asks for the same instruction with its memory operand redirected
 * there.  GPRs and arithmetic flags go in and out through v.
 *
 * fpnative_run: `in` is the decoded instruction with its bytes; mem (up to
 * 4096 bytes, NULL if no memory operand) is read and written.  Returns 0, or
 * the vector (#UD, #MF, #XM, #GP ...) that the real CPU raised.
 */
#ifndef CPU_FPNATIVE_H
#define CPU_FPNATIVE_H

#include "cpu/interp.h"

int fpnative_run(struct vcpu *v, const struct insn *in, const uint8_t *bytes, void *mem, unsigned memlen);

#endif
