/*
 * IN and OUT: one access to a port by the accumulator, with the check of who may make it.
 *
 * World: monitor.  Units: size is 1, 2 or 4 bytes.  Owner: the vCPU; the value is in EAX.  Order: any, in any mode.  True = done; false = *f holds the fault
 * (#GP(0), or the #PF of a look into the TSS) and neither device nor register has changed.  I/O
 * breakpoints are the caller's.
 */
#ifndef CPU_PORT_H
#define CPU_PORT_H

#include "cpu/vcpu.h"

bool port_in(struct vcpu *v, uint16_t port, unsigned size, struct fault *f);
bool port_out(struct vcpu *v, uint16_t port, unsigned size, struct fault *f);

#endif
