/*
 * A world that only maps: world_map(), world_protect() and world_unmap() write
 * a model page table per view, which tests read back.
 *
 * World: unit tests.  Owner: static, one VM a process.  fail_next makes that many of
 * the next maps and protects fail; a map that needs more than tables_max tables fails too, half done.
 * bt_code_written() is here too: it records its calls and lifts the trace.
 */
#ifndef FAKE_WORLD_MAP_H
#define FAKE_WORLD_MAP_H

#include "world/world.h"

#define FAKE_VIEWS 4u
#define FAKE_SLOTS 2048u /* of 2 MiB: what a table maps */

struct fake_page {
    uint64_t entry; /* PTE_D: it has been written to */
    gpn_t gpn;
    uint8_t mapped, prot;
    uint8_t soon; /* it was mapped with MAP_SOON, which is not in prot */
};

struct fake_world {
    struct fake_page *page[FAKE_VIEWS]; /* 2^20 each */
    bool spaces;                        /* what world_spaces() says */
    unsigned loaded, loads;             /* the view of the last world_load_view(); how many there were */
    unsigned direct_views;              /* what world_direct_views() says; < FAKE_VIEWS */
    gla_t min_gla;
    uint16_t used[FAKE_VIEWS][FAKE_SLOTS]; /* pages that are mapped in a slot: if any, it takes a table ... */
    unsigned tables, tables_max;        /* ... of which there are so many, in all views; 0: no bound */
    unsigned shortages;                 /* maps that failed for want of tables */
    unsigned fail_next;
    unsigned maps, protects, unmaps;
    uint64_t pages_mapped;
    unsigned code_writes;               /* calls of bt_code_written() */
    gpa_t code_gpa;
    uint32_t code_len;
    uint8_t code_seen[8];               /* the bytes that it found there */
};

extern struct fake_world fake_world;

/* A VM with RAM, arena, stats and a trace ring; call mmu_init() after setting fake_world. */
struct vm *fake_vm_new(uint64_t ram_size);
const struct fake_page *fake_mapping(unsigned view, gla_t gla);
/* Where views are spaces: what the loaded one shows. */
const struct fake_page *fake_shown(gla_t gla);

/* The guest has written to a page: through one of the mappings that let it now, whose D bit gets set, or by way of the monitor. */
void fake_guest_wrote(struct vm *vm, gpn_t gpn, unsigned which);

#endif
