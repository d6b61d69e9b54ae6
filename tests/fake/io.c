// SPDX-License-Identifier: GPL-2.0-or-later
/* See the header. */
#include "tests/fake/io.h"

#include <cpuid.h>

struct fake_io fake_io;

uint32_t io_in(struct vcpu *v, uint16_t port, unsigned size)
{
    (void)v;
    fake_io.ins++;
    return fake_io.port[port] & (size == 4 ? 0xffffffffu : BIT(8 * size) - 1);
}

void io_out(struct vcpu *v, uint16_t port, uint32_t value, unsigned size)
{
    (void)v;
    (void)size;
    fake_io.outs++;
    fake_io.port[port] = value;
}

uint64_t io_rdtsc(void)
{
    return fake_io.tsc;
}

void io_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    if (fake_io.cpuid)
        fake_io.cpuid(leaf, subleaf, out);
    else
        __cpuid_count(leaf, subleaf, out[0], out[1], out[2], out[3]);
}
