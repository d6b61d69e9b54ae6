/*
 * Seam: port I/O and what a CPU asks of its board; bound in world/ (fakes in tests).
 * World: monitor.  size is 1, 2 or 4 bytes; values are zero-extended.
 * No faults come back: permission was checked by the caller.
 */
#ifndef CPU_IO_H
#define CPU_IO_H

#include "cpu/vcpu.h"

uint32_t io_in(struct vcpu *v, uint16_t port, unsigned size);
void io_out(struct vcpu *v, uint16_t port, uint32_t value, unsigned size);
uint64_t io_rdtsc(void); /* the host's time stamp counter */
void io_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]); /* EAX EBX ECX EDX */

#endif
