// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The undo log.  Old bytes are kept in order; rolling back walks it from the
 * end, so that overlapping writes come out right, and swaps old for new.
 */
#include "base/undo.h"

void undo_note(struct undo *u, uint8_t *hva, uint32_t len)
{
    while (len) {
        uint32_t n = len < UNDO_CHUNK ? len : UNDO_CHUNK;
        struct undo_record *r = &u->rec[u->n];

        if (u->n == UNDO_MAX) {
            u->overflow = true;
            return;
        }
        u->n++;
        r->hva = hva;
        r->len = (uint8_t)n;
        r->step = u->step;
        memcpy(r->bytes, hva, n);
        hva += n;
        len -= n;
    }
}

void undo_roll_back(struct undo *u)
{
    for (uint32_t i = u->n; i-- > 0;) {
        struct undo_record *r = &u->rec[i];
        uint8_t now[UNDO_CHUNK];

        memcpy(now, r->hva, r->len);
        memcpy(r->hva, r->bytes, r->len);
        memcpy(r->bytes, now, r->len);
    }
}
