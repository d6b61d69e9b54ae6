/*
 * A fake of cpu/io.h: ports keep the last value written; the TSC is a variable
 * that a test sets; CPUID is the real one unless a test installs a table.
 *
 * World: unit tests.  Owner: static.
 */
#ifndef FAKE_IO_H
#define FAKE_IO_H

#include "cpu/io.h"

struct fake_io {
    uint32_t port[65536];
    unsigned ins, outs;
    uint64_t tsc;
    void (*cpuid)(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
};

extern struct fake_io fake_io;

#endif
