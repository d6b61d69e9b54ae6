// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Live shadow entries: the record of what the world maps in each view.
 *
 * live_set() is the one place where a word of a leaf changes; it keeps the
 * leaf's counts, the views' bitmaps of slots and the reverse map in step.
 * Everything that drops entries is a sweep: it goes up through the slots that
 * are in use, asks a function about every live word, clears those that are not to
 * stay, and tells the world with as few unmaps as possible. An unmap may
 * span holes, where nothing is mapped, but no word that stays; so emptying a
 * process's half of the linear space is one call.
 *
 * The reverse map records only what a trace must find: pages that leaf words map
 * writable or, in user views, executable. Two places are held per physical page; a third sets RMAP_MULTI, and
 * then the leaves are searched. Writable large words are found by their bitmap.
 *
 * The world's runs are counted from above: every map or protect adds at most two, every
 * unmap at most one. When the bound nears WORLD_MAX_RUNS, fill.c has it counted exactly.
 */
#include "shadowmmu/mmu_priv.h"

/* --- reverse map --- */

static uint32_t rmap_place(const struct view *view, uint32_t page)
{
    return page_gla(page) | (uint32_t)view->id << 4 | RMAP_USED;
}

/* A watched page whose aliases change counts as written to. */
static void rmap_add(struct mmu *m, gpn_t gpn, uint32_t place)
{
    struct rmap *r = &m->rmap[gpn];

    table_maybe_written(m, gpn);
    if (!(r->at[0] & RMAP_USED))
        r->at[0] |= place;
    else if (!r->at[1])
        r->at[1] = place;
    else
        r->at[0] |= RMAP_MULTI;
}

static void rmap_del(struct mmu *m, gpn_t gpn, uint32_t place)
{
    struct rmap *r = &m->rmap[gpn];

    table_maybe_written(m, gpn);
    if ((r->at[0] & ~RMAP_MULTI) == place)
        r->at[0] &= RMAP_MULTI;
    else if (r->at[1] == place)
        r->at[1] = 0;
}

/* --- leaves --- */

static struct leaf *leaf_new(struct vm *vm, struct view *view)
{
    struct mmu *m = vm->mmu;
    struct leaf *leaf = m->free;

    if (leaf) {
        m->free = leaf->next;
        m->leaves_free--;
        leaf->next = NULL;
    } else if (m->leaves_made < m->leaves_max) {
        leaf = arena_alloc(&vm->arena, sizeof *leaf, 64);
        m->leaves_made++;
    } else {
        return NULL;
    }
    view->nleaves++;
    return leaf;
}

/* An empty leaf goes back with all its words and bits zero. */
static void leaf_free(struct mmu *m, struct view *view, struct slot *slot)
{
    slot->leaf->next = m->free;
    m->free = slot->leaf;
    m->leaves_free++;
    slot->leaf = NULL;
    slot->seen.pde = 0;
    view->nleaves--;
}

void live_make_leaves(struct vm *vm, unsigned n)
{
    struct mmu *m = vm->mmu;
    struct view *most = m->view[0];

    for (unsigned i = 1; i < m->nviews; i++)
        if (m->view[i]->nleaves > most->nleaves)
            most = m->view[i];
    live_drop_user(vm, most);
    for (unsigned i = 0; i < m->nviews && leaves_left(m) < n; i++)
        live_drop_all(vm, m->view[i]);
    if (leaves_left(m) < n) {
        live_drop_all(vm, m->code);
        m->gens.global++;
    }
    ASSERT(leaves_left(m) >= n);
}

/* --- words --- */

static void word_update(uint32_t *words, const uint64_t *map, uint32_t s)
{
    uint32_t bit = BIT(s / 64);

    *words = map[s / 64] ? *words | bit : *words & ~bit;
}

static void slot_update_bits(struct view *view, uint32_t s)
{
    const struct slot *slot = &view->slot[s];
    const struct leaf *leaf = slot->leaf;
    uint32_t large = slot->large;
    bool sup = leaf ? leaf->nsup : large && !(large & WORD_U);

    map_put(view->used, s, leaf || large);
    map_put(view->local, s, leaf ? leaf->nlocal : large && !(large & WORD_G));
    map_put(view->sup, s, sup);
    map_put(view->large, s, large);
    word_update(&view->used_words, view->used, s);
    word_update(&view->local_words, view->local, s);
}

/* A supervisor word came or went: does mmu_user_limit() have to look again? */
static void sup_changed(struct mmu *m, const struct view *view, uint32_t page)
{
    if ((view->kind == KIND_KERNEL || view == m->space) && page_gla(page) <= m->user_limit)
        m->user_limit_known = false;
}

/* What a word adds to leaf.counts. */
static inline uint64_t word_counts(uint32_t word)
{
    if (!word)
        return 0;
    return 1 | (uint64_t)!(word & WORD_G) << 16 | (uint64_t)!(word & WORD_U) << 32 | (uint64_t)!!(word & WORD_L) << 48;
}

/* Is a count that the slot's bits tell of 0 in one and not in the other?  None exceeds SLOT_PAGES. */
static inline bool counts_tell(uint64_t a, uint64_t b)
{
    const uint64_t carry = 0x00007fff7fff7fffull;

    return ((a + carry) ^ (b + carry)) & 0x0000800080008000ull;
}

void live_set(struct vm *vm, struct view *view, uint32_t page, uint32_t word)
{
    struct mmu *m = vm->mmu;
    uint32_t s = page / SLOT_PAGES, i = page % SLOT_PAGES;
    struct slot *slot = &view->slot[s];
    uint64_t before;
    uint32_t old;

    ASSERT(!slot->large);
    if (!slot->leaf) {
        if (!word)
            return;
        slot->leaf = leaf_new(vm, view);
        ASSERT(slot->leaf);
    }
    old = slot->leaf->word[i];
    if (old == word)
        return;
    if (word_noted(view, old))
        rmap_del(m, word_gpn(old), rmap_place(view, page));
    if (word_noted(view, word))
        rmap_add(m, word_gpn(word), rmap_place(view, page));
    slot->leaf->word[i] = word;
    map_put(slot->leaf->live, i, word);
    before = slot->leaf->counts;
    slot->leaf->counts += word_counts(word) - word_counts(old);
    if ((old && !(old & WORD_U)) || (word && !(word & WORD_U)))
        sup_changed(m, view, page);
    if (!counts_tell(before, slot->leaf->counts))
        return;
    if (!slot->leaf->nlive)
        leaf_free(m, view, slot);
    slot_update_bits(view, s);
}

static void slot_clear(struct vm *vm, struct view *view, uint32_t s)
{
    struct slot *slot = &view->slot[s];

    if (slot->large) {
        sup_changed(vm->mmu, view, s * SLOT_PAGES);
        slot->large = 0;
        slot->seen.pde = 0;
        slot_update_bits(view, s);
    }
    for (uint32_t i = 0; i < SLOT_PAGES && slot->leaf; i++)
        live_set(vm, view, s * SLOT_PAGES + i, 0);
}

void live_set_slot(struct vm *vm, struct view *view, uint32_t s, uint32_t word)
{
    slot_clear(vm, view, s);
    view->slot[s].large = word;
    sup_changed(vm->mmu, view, s * SLOT_PAGES);
    slot_update_bits(view, s);
}

bool live_split(struct vm *vm, struct view *view, uint32_t s)
{
    struct slot *slot = &view->slot[s];
    uint32_t word = slot->large;

    if (!leaves_left(vm->mmu))
        return false;
    slot->large = 0;
    for (uint32_t i = 0; i < SLOT_PAGES; i++)
        live_set(vm, view, s * SLOT_PAGES + i, word + i * WORD_NEXT);
    slot_update_bits(view, s);
    return true;
}

/* --- sweeps --- */

/* Pages to unmap with one call: from first up to end, holes included. */
struct span {
    uint32_t first, end;
};

static void span_unmap(struct vm *vm, struct view *view, struct span *span)
{
    uint32_t n = span->end - span->first;

    if (view->kind != KIND_CODE) {
        vm->stats->shadow_unmaps++;
        view->runs++;
        TRACE_EV(vm->trace, unmap, page_gla(span->first), n, view->id);
        if (!world_unmap(vm, view->id, page_gla(span->first), n))
            vm_stop(vm, VM_STOP_HOST, "mmu: the host refuses to unmap %#x", page_gla(span->first));
    }
    *span = (struct span){0};
}

static inline void span_flush(struct vm *vm, struct view *view, struct span *span)
{
    if (span->end)
        span_unmap(vm, view, span);
}

static void span_add(struct span *span, uint32_t page, uint32_t n)
{
    if (!span->end)
        span->first = page;
    span->end = page + n;
}

struct sweep {
    struct vm *vm;
    struct vcpu *v;
    struct view *view;
    const uint64_t *select; /* slots to look into */
    uint32_t first, end;    /* pages; a slot that is one word is taken or left as a whole */
    bool globals_too;
    struct cursor cursor;
    bool cursor_valid;
    struct span span;
    uint32_t kept, dropped;
};

#define INLINE static inline __attribute__((always_inline))

INLINE void sweep_large(struct sweep *w, uint32_t s, bool (*keep)(struct sweep *, uint32_t, uint32_t))
{
    if (keep(w, s * SLOT_PAGES, w->view->slot[s].large)) {
        w->kept++;
        span_flush(w->vm, w->view, &w->span);
        return;
    }
    slot_clear(w->vm, w->view, s);
    span_add(&w->span, s * SLOT_PAGES, SLOT_PAGES);
    w->dropped++;
}

INLINE void sweep_leaf(struct sweep *w, uint32_t s, bool (*keep)(struct sweep *, uint32_t, uint32_t))
{
    struct leaf *leaf = w->view->slot[s].leaf; /* stays readable, and empty, when it is freed on the way */

    uint32_t base = s * SLOT_PAGES, from = w->first > base ? w->first - base : 0;
    uint32_t to = w->end < base + SLOT_PAGES ? w->end - base : SLOT_PAGES;

    for (uint32_t k = from / 64; k < (to + 63) / 64; k++) {
        uint64_t live = leaf->live[k];

        for (; live; live &= live - 1) {
            uint32_t i = k * 64 + (uint32_t)__builtin_ctzll(live), page = base + i;

            if (i < from)
                continue;
            if (i >= to)
                break;
            if (keep(w, page, leaf->word[i])) {
                w->kept++;
                span_flush(w->vm, w->view, &w->span);
                continue;
            }
            live_set(w->vm, w->view, page, 0);
            span_add(&w->span, page, 1);
            w->dropped++;
        }
    }
}

INLINE void sweep_run(struct sweep *w, bool (*keep)(struct sweep *, uint32_t, uint32_t))
{
    uint32_t from = w->first / SLOT_PAGES, to = (w->end + SLOT_PAGES - 1) / SLOT_PAGES;

    for (uint32_t k = from / 64; k < (to + 63) / 64; k++) {
        uint64_t used = w->view->used[k];

        for (; used; used &= used - 1) {
            uint32_t s = k * 64 + (uint32_t)__builtin_ctzll(used);

            if (s < from)
                continue;
            if (s >= to)
                break;
            if (!map_bit(w->select, s))
                span_flush(w->vm, w->view, &w->span);
            else if (w->view->slot[s].large)
                sweep_large(w, s, keep);
            else
                sweep_leaf(w, s, keep);
        }
    }
    span_flush(w->vm, w->view, &w->span);
}

INLINE bool keep_none(struct sweep *w, uint32_t page, uint32_t word)
{
    (void)w, (void)page, (void)word;
    return false;
}

INLINE bool keep_sup(struct sweep *w, uint32_t page, uint32_t word)
{
    (void)w, (void)page;
    return !(word & WORD_U);
}

INLINE bool keep_user(struct sweep *w, uint32_t page, uint32_t word)
{
    (void)w, (void)page;
    return word & WORD_U;
}

/* The shadow may allow less than the guest's tables do, but nothing more. Translated code depends
 * on the place and on who may execute it, nothing else. */
INLINE bool keep_matching(struct sweep *w, uint32_t page, uint32_t word)
{
    uint32_t want, loose = WORD_W | WORD_X;

    if ((word & WORD_G) && !w->globals_too)
        return true;
    if (!w->cursor_valid || w->cursor.slot != page / SLOT_PAGES) {
        cursor_load(w->v, page / SLOT_PAGES, &w->cursor);
        w->cursor_valid = true;
    }
    want = cursor_word(w->vm->mmu, &w->cursor, page % SLOT_PAGES, w->view->kind);
    return !((word ^ want) & ~loose) && !(word & ~want & loose);
}

void live_drop_all(struct vm *vm, struct view *view)
{
    struct sweep w = {.vm = vm, .view = view, .select = view->used, .end = GLA_PAGES};

    sweep_run(&w, keep_none);
    view->runs = 0;
}

void live_drop_user(struct vm *vm, struct view *view)
{
    struct sweep w = {.vm = vm, .view = view, .select = view->used, .end = GLA_PAGES};

    if (view->kind == KIND_USER) {
        live_drop_all(vm, view);
        return;
    }
    sweep_run(&w, keep_sup);
    view->runs = live_count_runs(view);
}

void live_make_room(struct vm *vm, struct view *view, unsigned attempt)
{
    struct mmu *m = vm->mmu;

    if (!m->space && attempt)
        live_drop_all(vm, view);
    else if (!m->space)
        live_drop_user(vm, view);
    /* Spaces share one pool of page tables: those that are away are the first to give. */
    for (unsigned i = 0; m->space && i < m->nviews; i++)
        if (attempt || !view_current(m, m->view[i]))
            live_drop_all(vm, m->view[i]);
}

void live_drop_sup(struct vm *vm, struct view *view, uint32_t end)
{
    struct sweep w = {.vm = vm, .view = view, .select = view->sup, .end = end};

    sweep_run(&w, keep_user);
}

void live_drop_sup_range(struct vm *vm, struct view *view, uint32_t first, uint32_t end)
{
    struct sweep w = {.vm = vm, .view = view, .select = view->sup, .first = first, .end = end};

    sweep_run(&w, keep_user);
}

void live_drop_slot(struct vm *vm, struct view *view, uint32_t s)
{
    struct sweep w = {.vm = vm, .view = view, .select = view->used, .first = s * SLOT_PAGES,
                      .end = (s + 1) * SLOT_PAGES};

    sweep_run(&w, keep_none);
}

uint32_t live_revalidate(struct vcpu *v, struct view *view, uint32_t first, uint32_t end, bool globals_too,
                         uint32_t *kept)
{
    struct sweep w = {.vm = v->vm, .v = v, .view = view, .select = globals_too ? view->used : view->local,
                      .first = first, .end = end, .globals_too = globals_too};

    sweep_run(&w, keep_matching);
    if (kept)
        *kept += w.kept;
    return w.dropped;
}

/* Compare all words of a slot with the guest's tables, and remember what these were. */
static __attribute__((noinline)) uint32_t slot_revalidate(struct vcpu *v, struct view *view, uint32_t s, uint32_t *kept)
{
    struct slot *slot = &view->slot[s];
    struct sweep w = {.vm = v->vm, .v = v, .view = view, .first = s * SLOT_PAGES, .end = (s + 1) * SLOT_PAGES,
                      .globals_too = true, .cursor_valid = true};
    struct table_seen seen;

    cursor_load(v, s, &w.cursor);
    tables_look(v->vm, &w.cursor, &seen);
    if (slot->large)
        sweep_large(&w, s, keep_matching);
    else if (slot->leaf)
        sweep_leaf(&w, s, keep_matching);
    span_flush(w.vm, view, &w.span);
    if (slot->leaf || slot->large)
        slot->seen = seen;
    if (kept)
        *kept += w.kept;
    return w.dropped;
}

uint32_t live_revalidate_slots(struct vcpu *v, struct view *view, const uint64_t *slots, uint32_t words, uint32_t *kept)
{
    const struct mmu *m = v->vm->mmu;
    uint32_t dropped = 0;

    for (; words; words &= words - 1) {
        uint32_t k = (uint32_t)__builtin_ctz(words);

        for (uint64_t left = slots[k]; left; left &= left - 1) {
            uint32_t s = k * 64 + (uint32_t)__builtin_ctzll(left);

            if (unlikely(!tables_unchanged(m, directory_entry(v, s), &view->slot[s].seen)))
                dropped += slot_revalidate(v, view, s, kept);
        }
    }
    return dropped;
}

uint32_t live_lowest_sup(const struct view *view)
{
    for (uint32_t k = 0; k < SLOT_WORDS; k++) {
        if (!view->sup[k])
            continue;
        uint32_t s = k * 64 + (uint32_t)__builtin_ctzll(view->sup[k]);
        const struct leaf *leaf = view->slot[s].leaf;

        if (!leaf)
            return s * SLOT_PAGES;
        for (uint32_t i = 0; i < SLOT_PAGES; i++)
            if ((leaf->word[i] & (WORD_LIVE | WORD_U)) == WORD_LIVE)
                return s * SLOT_PAGES + i;
        NOT_REACHED();
    }
    return GLA_PAGES;
}

uint32_t live_count_runs(const struct view *view)
{
    const uint32_t seen = ~(WORD_U | WORD_G | WORD_L); /* what the world knows of a word */
    uint32_t runs = 0, next = 0, next_page = 0;        /* what would continue the last run */

    for (uint32_t s = 0; s < SLOTS; s++) {
        const struct slot *slot = &view->slot[s];
        uint32_t step = slot->large ? SLOT_PAGES : 1;

        if (!slot->leaf && !slot->large)
            continue;
        for (uint32_t i = 0; i < SLOT_PAGES; i += step) {
            uint32_t page = s * SLOT_PAGES + i, word = live_word(view, page);

            if (!word)
                continue;
            if (page != next_page || (word & seen) != next)
                runs++;
            next_page = page + step;
            next = (word & seen) + step * WORD_NEXT;
        }
    }
    return runs;
}
