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

/* Protected mode.  err: the error code to push, or NULL; rf: set RF in the image. */
bool gate_enter_seen(struct vcpu *v, unsigned vec, const uint32_t *err, bool rf, uint32_t ret_eip);
/* The same for INT n and kin, which the gate may refuse, from an outer ring; not in V86. */
bool gate_int_seen(struct vcpu *v, unsigned vec, uint32_t ret_eip);
/* An event of `vec` has come from from_cpl through this gate to v's CS:EIP, with a new stack if inner, and an error code if err. */
void gate_note(struct vcpu *v, unsigned vec, unsigned from_cpl, bool inner, bool err, struct desc gate, struct desc code);

/* A 32-bit IRET in protected mode without NT; counts it. */
bool iret_seen(struct vcpu *v);
/* One has come from from_cpl and this stack to v's CS by this descriptor. */
void iret_note(struct vcpu *v, unsigned from_cpl, const struct seg *from, struct desc code);

#endif
