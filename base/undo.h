/*
 * An undo log of guest memory writes, for trying instructions out and taking
 * them back (lock-step checking).
 *
 * World: monitor.  Active while vm->undo points to it; guest memory writers
 * call undo_note() before the bytes change.  Writes beyond its room set
 * `overflow`: the trial can then not be taken back and is a BUG, so a trial keeps
 * instructions few.  Owner: who sets vm->undo.
 */
#ifndef BASE_UNDO_H
#define BASE_UNDO_H

#include "base/mem.h"

#define UNDO_CHUNK 16u
#define UNDO_MAX 8192u

struct undo_record {
    uint8_t *hva;
    uint8_t len, step;
    uint8_t bytes[UNDO_CHUNK];
};

struct undo {
    uint32_t n;
    uint8_t step; /* which trial step writes now */
    bool overflow;
    struct undo_record rec[UNDO_MAX];
};

void undo_note(struct undo *u, uint8_t *hva, uint32_t len);
/* Take all writes back, and keep in each record what it had written. */
void undo_roll_back(struct undo *u);

#endif
