/*
 * Far control transfer (SDM vol. 3A 5.8, 6.12, chapter 7): far JMP/CALL/RET,
 * call gates, IRET in all its forms, task switches, V86 entry and exit.
 *
 * World: monitor.  v->eip must hold the address of the instruction itself and
 * next_eip what follows it.  True: the vCPU is at its new CS:EIP.  False: *f
 * filled, vCPU unchanged.  opsize is 2 or 4.
 */
#ifndef CPU_TRANSFER_H
#define CPU_TRANSFER_H

#include "cpu/vcpu.h"

bool far_jmp(struct vcpu *v, uint16_t sel, uint32_t off, unsigned opsize, uint32_t next_eip, struct fault *f);
bool far_call(struct vcpu *v, uint16_t sel, uint32_t off, unsigned opsize, uint32_t next_eip, struct fault *f);
bool far_ret(struct vcpu *v, unsigned opsize, uint16_t pop, struct fault *f);
bool iret(struct vcpu *v, unsigned opsize, uint32_t next_eip, struct fault *f);

enum task_how { TASK_JMP, TASK_CALL, TASK_IRET, TASK_INT };
/* err: error code to push on the new stack for TASK_INT with has_err. */
bool task_switch(struct vcpu *v, uint16_t tss_sel, enum task_how how, uint32_t next_eip,
                 bool has_err, uint32_t err, struct fault *f);

/* A 32-bit IRET in protected mode, if it leads where one did before; false: nothing has been done. */
bool iret_again(struct vcpu *v);

/* Push/pop helpers on the current stack (honour SS.B); nothing moves on a fault. */
bool stack_push(struct vcpu *v, uint32_t value, unsigned opsize, struct fault *f);
bool stack_peek(struct vcpu *v, uint32_t skip, uint32_t *value, unsigned opsize, struct fault *f);
void stack_drop(struct vcpu *v, uint32_t bytes);

/*
 * SYSENTER/SYSEXIT as the SDM gives them (#GP(0) when SYSENTER_CS is null; #UD is the caller's).
 */
bool sysenter(struct vcpu *v, struct fault *f);
bool sysexit(struct vcpu *v, struct fault *f);

#endif
