/*
 * Writing a guest's RAM before it runs: every byte a loader places goes
 * through here and is checked against the memory map.
 *
 * World: VMX.  Units: guest physical addresses and bytes.  Ownership: the
 * mapping belongs to the VMX; what has been placed is remembered, so that later
 * pieces find free room.  Errors: false, with one line in `err`.
 */
#ifndef HOST_GUESTRAM_H
#define HOST_GUESTRAM_H

#include "base/types.h"

#define GUESTRAM_RANGES 96
#define GUESTRAM_LOW_END 0x9fc00u   /* conventional memory ends where a PC's EBDA begins */
#define GUESTRAM_HOLE 0xa0000u      /* video memory and adapters: not RAM */
#define GUESTRAM_HOLE_END 0xc0000u

struct guestram {
    uint8_t *base;
    uint64_t size;
    unsigned count;
    struct {
        gpa_t start, end;
    } used[GUESTRAM_RANGES];
    char err[256];
};

void guestram_init(struct guestram *g, void *base, uint64_t size);

/* Record the first error; always returns false. */
bool guestram_fail(struct guestram *g, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Copy `len` bytes to gpa and clear up to `total` (>= len) bytes; `what` names the piece in the error. */
bool guestram_place(struct guestram *g, gpa_t gpa, const void *data, uint64_t len, uint64_t total,
                    const char *what);

/* The highest free place of `size` bytes, aligned, in [lo, hi); true if there is one. Does not take it. */
bool guestram_find(const struct guestram *g, uint64_t size, uint64_t align, gpa_t lo, gpa_t hi, gpa_t *gpa);

/* Keep later pieces away from a range that holds nothing yet. */
bool guestram_reserve(struct guestram *g, gpa_t gpa, uint64_t size, const char *what);

#endif
