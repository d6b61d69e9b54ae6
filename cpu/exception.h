/*
 * Interrupts and exceptions (SDM vol. 3A chapter 6): delivery through the IDT
 * (or the real-mode IVT), contributory rules, double and triple fault.
 *
 * World: monitor.  A delivery that itself faults is resolved inside; a triple
 * fault ends in vm_stop(VM_STOP_TRIPLE).  After these return the vCPU is at
 * the handler's first instruction (or the VM is stopped).
 */
#ifndef CPU_EXCEPTION_H
#define CPU_EXCEPTION_H

#include "cpu/vcpu.h"

/* Deliver a fault at v->eip (faults push the faulting EIP; sets RF in the pushed image as
 * the SDM 17.3.1.1 says; sets CR2 for #PF, DR6 is the caller's). */
void vcpu_deliver_fault(struct vcpu *v, const struct fault *f);
/* A trap-class exception (#BP by INT3, #OF by INTO, #DB after an instruction): pushes v->eip as it stands. */
void vcpu_deliver_trap(struct vcpu *v, uint8_t vec);
/* INT n / INT3 / INTO: v->eip is the instruction; next_eip is pushed; gate DPL is checked.
 * V86: IOPL and CR4.VME rules.  False: *f is the fault (#GP etc.) to be delivered by the caller. */
bool vcpu_soft_int(struct vcpu *v, uint8_t vec, uint32_t next_eip, struct fault *f);
/* Likewise INT n, in protected mode proper, if it leads where one did before; v->eip need not be set. False: nothing has been done. */
bool vcpu_int_again(struct vcpu *v, uint8_t vec, uint32_t next_eip);
/* A maskable external interrupt; caller has checked vcpu_can_interrupt() and acknowledged the PIC. */
void vcpu_deliver_interrupt(struct vcpu *v, uint8_t vec);
void vcpu_deliver_nmi(struct vcpu *v);

static inline bool vcpu_can_interrupt(const struct vcpu *v)
{
    return (v->eflags & EFLAGS_IF) && !v->shadow;
}

#endif
