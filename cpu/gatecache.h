/*
 * The outcome of the last events through gates, and of IRETs, by what they came from: struct gate_seen and
 * struct iret_seen in vcpu.h.
 *
 * World: monitor, cpu/ only (exception.c, iret.c).  Errors: none; false is a miss, and the vCPU is unchanged.
 * Order: the *_note() functions after the complete way has committed.
 */
#ifndef CPU_GATECACHE_H
#define CPU_GATECACHE_H

#include "cpu/segment.h"

/* Protected mode.  soft: INT n and kin; err: the error code to push, or NULL; rf: set RF in the image. */
bool gate_enter_seen(struct vcpu *v, unsigned vec, bool soft, const uint32_t *err, bool rf, uint32_t ret_eip);
/* An event of `vec` has come from from_cpl through this gate to v's CS:EIP, with a new stack if inner. */
void gate_note(struct vcpu *v, unsigned vec, unsigned from_cpl, bool inner, struct desc gate, struct desc code);

/* A 32-bit IRET in protected mode without NT. */
bool iret_seen(struct vcpu *v);
/* One has come from from_cpl to v's CS by this descriptor. */
void iret_note(struct vcpu *v, unsigned from_cpl, struct desc code);

#endif
