/*
 * The one-instruction interpreter: reference semantics and the lock-step oracle.
 *
 * World: monitor.  interp_step() executes the instruction at CS:EIP wholly or
 * (false-like results) not at all; a REP string instruction may do up to
 * INTERP_REP_MAX iterations a call and then leaves EIP on itself.  Faults are
 * returned, not delivered.  Clears v->shadow and sets it anew for STI, MOV SS
 * and POP SS.  TF and DR7 are honoured by interp_run_one() only.
 */
#ifndef CPU_INTERP_H
#define CPU_INTERP_H

#include "cpu/insn.h"
#include "cpu/vcpu.h"

enum interp_result {
    INTERP_OK,     /* done, v->eip moved */
    INTERP_FAULT,  /* *f: the guest's fault, v->eip on the instruction */
    INTERP_HALT,   /* HLT executed; v->halted set, eip behind it */
    INTERP_STOP,   /* vm_stop() was called */
};

#define INTERP_REP_MAX 4096

enum interp_result interp_step(struct vcpu *v, struct fault *f);
/* The same where it is known what the bytes at CS:EIP decode to, and that they may be fetched.  Not for the FPU's instructions. */
enum interp_result interp_step_decoded(struct vcpu *v, const struct insn *in, struct fault *f);

/* interp_step() plus delivery of the fault, single-step and debug traps.  A delivered fault is INTERP_OK:
 * the vCPU is at the first instruction of the guest's handler. */
enum interp_result interp_run_one(struct vcpu *v);

/* The real CPU has single-stepped an instruction with TF set: deliver what the guest sees of that. */
void interp_stepped(struct vcpu *v);

#endif
