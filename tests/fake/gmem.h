/*
 * A fake of cpu/gmem.h and a vCPU over it: guest linear memory is 1 MiB of
 * flat bytes at address 0, nothing beyond; each page can be made read-only,
 * supervisor-only or absent.
 *
 * World: unit tests.  Owner: static, one vCPU a process.  Counts accesses and
 * remembers the paging events, so a test can say what a transfer cost and told.
 */
#ifndef FAKE_GMEM_H
#define FAKE_GMEM_H

#include "cpu/gmem.h"
#include "world/cross.h"

#define FAKE_MEM_SIZE 0x100000u

enum fake_page_flags { FAKE_ABSENT = 1, FAKE_READONLY = 2, FAKE_SUPERVISOR = 4 };

struct fake_gmem {
    uint8_t mem[FAKE_MEM_SIZE];
    uint8_t flags[FAKE_MEM_SIZE / PAGE_SIZE];
    unsigned reads, writes, probes;
    unsigned cr3_loads, mode_changes, pdpte_loads;
    bool pdptes_bad; /* gmem_load_pdptes() refuses */
    uint32_t old_cr0, old_cr4;
};

extern struct fake_gmem fake_gmem;

/* A zeroed vCPU ("btvmm32") with its VM, all pages present, memory zeroed. */
struct vcpu *fake_vcpu_new(void);

static inline uint16_t mem16(gla_t gla) { return get16(fake_gmem.mem + gla); }
static inline uint32_t mem32(gla_t gla) { return get32(fake_gmem.mem + gla); }
static inline void mem_put16(gla_t gla, uint16_t x) { put16(fake_gmem.mem + gla, x); }
static inline void mem_put32(gla_t gla, uint32_t x) { put32(fake_gmem.mem + gla, x); }

#endif
