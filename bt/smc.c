// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Self- and cross-modifying code.
 *
 * Every page that a TU's bytes come from is write-protected in all views
 * (shadowmmu's code traces).  A write faults, is interpreted, and arrives
 * here with its exact range: TUs that overlap it are dropped at once, before
 * the next instruction runs.  A page whose writes keep missing its TUs holds
 * hot data beside cold code: its TUs are dropped and the trace lifted; should
 * the code run again, the page is traced again.
 */
#include "bt/bt_priv.h"

#define QUIET_LIMIT 8

/* Offset range of t's bytes within page w of it, relative to the page. */
static void tu_range(const struct tu *t, unsigned w, uint32_t *from, uint32_t *to)
{
    uint32_t start = page_offset(t->cs_base + t->eip), end = start + t->len;

    if (w) {
        *from = 0;
        *to = end > PAGE_SIZE ? end - PAGE_SIZE : 1;
    } else {
        *from = start;
        *to = end < PAGE_SIZE ? end : PAGE_SIZE;
    }
}

unsigned tu_drop_range(struct vm *vm, gpn_t gpn, uint32_t from, uint32_t to)
{
    struct bt *bt = vm->bt;
    unsigned dropped = 0;
    uint32_t link = bt->page_tus[gpn];

    while (link) {
        struct tu *t = &bt->tu[link >> 1];
        unsigned w = link & 1;
        uint32_t a, b;

        link = t->page_next[w];
        tu_range(t, w, &a, &b);
        if (a >= to || b <= from)
            continue;
        /* A TU on this page twice is impossible: its two pages differ or it has one. */
        tu_kill(vm, t);
        dropped++;
    }
    return dropped;
}

void bt_code_written(struct vm *vm, gpa_t gpa, uint32_t len)
{
    struct bt *bt = vm->bt;

    while (len) {
        gpn_t gpn = gpa_to_gpn(gpa);
        uint32_t off = (uint32_t)(gpa & PAGE_MASK), part = PAGE_SIZE - off < len ? PAGE_SIZE - off : len;
        unsigned dropped;

        if (gpn >= bt->npages)
            return;
        dropped = tu_drop_range(vm, gpn, off, off + part);
        bt->page_quiet[gpn] = dropped ? 0 : (uint8_t)(bt->page_quiet[gpn] + 1);
        if (bt->page_quiet[gpn] >= QUIET_LIMIT) {
            dropped += tu_drop_range(vm, gpn, 0, PAGE_SIZE);
            bt->page_quiet[gpn] = 0;
        }
        vm->stats->smc_invalidations += dropped;
        if (!bt->page_tus[gpn])
            mmu_untrace(vm, gpn);
        TRACE_EV(vm->trace, smc, gpa, part, dropped);
        gpa += part;
        len -= part;
    }
}
