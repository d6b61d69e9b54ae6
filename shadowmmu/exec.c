// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which pages user views may execute.
 *
 * A page is admitted when user code first fetches from it there: its bytes are looked through (scan.c), and
 * it is held (trace.c), so that it is writable in no view from then on. Before a write through any mapping
 * happens, and before user code runs again, the page is executable no more; the next fetch looks anew.
 *
 * A page that holds both code and data, or whose code is made at run time, could go back and forth
 * with every write. One that is written again and again soon after it was admitted is refused, and so
 * translated, for a number of times that doubles with each such write. (The translator copes: it drops only
 * the translations that a write overlaps.) "Soon" is counted in entries to direct execution.
 */
#include "shadowmmu/mmu_priv.h"

#define SOON 64u
#define STRIKES_FREE 2u
#define STRIKES_MAX 10u

/* What has been admitted was not searched for all of it, perhaps. */
void mmu_scan_for(struct vm *vm, unsigned shows)
{
    struct mmu *m = vm->mmu;
    bool more = shows & ~m->scan_for;

    m->scan_for = shows;
    for (gpn_t gpn = 0; more && gpn < m->ram_pages; gpn++)
        if (gpn_held(m, gpn, HOLD_EXEC)) {
            page_restrict(vm, gpn, WORD_X);
            hold_drop(vm, gpn, HOLD_EXEC);
        }
}

/* The user page that follows on in linear space, if user code has used it. */
static const uint8_t *next_page(struct vcpu *v, gla_t gla)
{
    uint32_t page = gla_to_page(gla) + 1, word;
    struct cursor c;

    if (page >= GLA_PAGES)
        return NULL;
    cursor_load(v, page / SLOT_PAGES, &c);
    word = cursor_word(v->vm->mmu, &c, page % SLOT_PAGES, KIND_USER);
    return word ? phys_hva(v->vm, gpn_to_gpa(word_gpn(word))) : NULL;
}

bool exec_admit(struct vcpu *v, gla_t gla, gpn_t gpn)
{
    struct vm *vm = v->vm;
    struct mmu *m = vm->mmu;
    struct exec_note *note;

    if (gpn_held(m, gpn, HOLD_EXEC))
        return true;
    if (gpn_kind(m, gpn) != PHYS_RAM)
        return false;
    note = &m->exec[gpn];
    if (note->sensitive)
        return false;
    if (note->skip) {
        note->skip--;
        return false;
    }
    vm->stats->code_scans++;
    if (scan_sensitive(phys_hva(vm, gpn_to_gpa(gpn)), next_page(v, gla), m->scan_for)) {
        note->sensitive = gpn_held(m, gpn, HOLD_CODE); /* writes would be seen */
        return false;
    }
    hold_take(vm, gpn, HOLD_EXEC);
    note->at = (uint32_t)m->clock;
    return true;
}

void exec_written(struct vm *vm, gpn_t gpn)
{
    struct mmu *m = vm->mmu;
    struct exec_note *note = &m->exec[gpn];

    note->sensitive = false;
    if (!gpn_held(m, gpn, HOLD_EXEC))
        return;
    page_restrict(vm, gpn, WORD_X);
    hold_drop(vm, gpn, HOLD_EXEC);
    if ((uint32_t)m->clock - note->at >= SOON)
        note->strikes = 0;
    else if (note->strikes < STRIKES_MAX)
        note->strikes++;
    note->skip = note->strikes > STRIKES_FREE ? (uint16_t)(1u << (note->strikes - STRIKES_FREE)) : 0;
}

/* RAM is about to be loaded anew; all views are empty. */
void exec_reset(struct vm *vm)
{
    struct mmu *m = vm->mmu;

    for (gpn_t gpn = 0; gpn < m->ram_pages; gpn++) {
        hold_drop(vm, gpn, HOLD_EXEC);
        m->exec[gpn] = (struct exec_note){0};
    }
}
