// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shadow fills: what a host page fault at a guest linear address means.
 *
 * The guest's tables are walked for the access, as the CPU would. If they refuse, the
 * fault is true. Otherwise it was hidden: the shadow did not (yet) hold what they
 * allow, and the page is mapped - unless no mapping could ever do: an empty bus,
 * a write to ROM, a supervisor write that only CR0.WP=0 allows, an address that
 * the world can't map. Such instructions are emulated, and so are writes to pages under
 * a code trace, which have to be seen.
 *
 * A page is mapped writable only when its D bit is set (or this access set it), so that
 * the first write is seen here and sets D; not before its A bit is set, it is not mapped at all.
 *
 * A host system call maps any number of pages for the price of one; so the mapping
 * goes out from the page in both directions for as long as the neighbours' words
 * follow on: same rights, next physical page, A (and D) already set, same side of the traces.
 * In user views, where a fault costs several times what a mapping does, a fill that follows on from the last
 * one maps further runs ahead, as a file system reads ahead. Within large pages, and from one to the next,
 * there is no bound: the linear map of a kernel becomes a handful of runs. Small pages go up to RUN_SMALL
 * within their 2 MiB.
 */
#include "shadowmmu/mmu_priv.h"

#define RUN_SMALL 64u
#define AHEAD_MAX 32u

/* Pages first..end-1; word is that of the first one. */
struct run {
    uint32_t first, end, word;
};

/* Is none of a slot's 512 pages from gpn on, a multiple of that, in the set? */
static bool pages_none(const uint64_t *set, gpn_t gpn)
{
    const uint64_t *t = &set[gpn / 64];

    return !(t[0] | t[1] | t[2] | t[3] | t[4] | t[5] | t[6] | t[7]);
}

/* May one large word stand for these pages, as far as those go who must know each writable page by itself? */
static bool large_allowed(const struct mmu *m, uint32_t word)
{
    gpn_t gpn = word_gpn(word);

    return !(word & WORD_W) || (pages_none(m->traced, gpn) && (!m->watched || pages_none(m->watched, gpn)));
}

/* May all of a slot be taken at once, `word` being its first page's? */
static bool slot_fits(const struct mmu *m, const struct view *view, const struct cursor *c, uint32_t word)
{
    gpn_t gpn = word_gpn(word);

    if (!word_runs_large(view, word) || map_bit(view->used, c->slot) || !c->large || gpn % SLOT_PAGES ||
        gpn < SLOT_PAGES || gpn + SLOT_PAGES > m->ram_pages)
        return false;
    return cursor_word(m, c, 0, view->kind) == word && large_allowed(m, word) &&
           cursor_word(m, c, SLOT_PAGES - 1, view->kind) == word + (SLOT_PAGES - 1) * WORD_NEXT;
}

static bool page_fits(const struct mmu *m, const struct view *view, const struct cursor *c, uint32_t page,
                      uint32_t word)
{
    return cursor_gpn(c, page % SLOT_PAGES) == word_gpn(word) &&
           cursor_word(m, c, page % SLOT_PAGES, view->kind) == word && live_word(view, page) != word;
}

/* Where a word for this page belongs: what all spaces have in common is kept once. */
static struct view *home_of(const struct mmu *m, struct view *view, uint32_t page, uint32_t word)
{
    bool common = view->kind == KIND_SPACE && (word & (WORD_G | WORD_U)) == WORD_G;

    return common && !map_bit(view->used, page / SLOT_PAGES) ? m->view[VIEW_KERNEL] : view;
}

/* May a run be continued into another slot by this page? */
static bool run_crosses(const struct mmu *m, struct view *view, uint32_t page, uint32_t word)
{
    return word_runs_large(view, word) && home_of(m, view, page, word) == view;
}

/* Does neither neighbour in the slot follow on?  Most often their place in memory tells. */
static inline bool page_alone(const struct cursor *c, uint32_t page, uint32_t word)
{
    unsigned i = page % SLOT_PAGES;

    return i && i < SLOT_PAGES - 1 && cursor_gpn(c, i + 1) != word_gpn(word) + 1 &&
           cursor_gpn(c, i - 1) != word_gpn(word) - 1;
}

#define NOINLINE __attribute__((noinline)) /* what a single page does without */

static NOINLINE void run_forwards(struct vcpu *v, struct view *view, const struct cursor *c, struct run *run,
                         uint32_t limit)
{
    const struct mmu *m = v->vm->mmu;
    struct cursor other;
    uint32_t word = run->word + (run->end - run->first) * WORD_NEXT;
    bool large = word_runs_large(view, word);

    while (run->end < limit && (large || run->end - run->first < RUN_SMALL)) {
        uint32_t n = 1;

        if (run->end % SLOT_PAGES == 0) {
            if (!run_crosses(m, view, run->end, word))
                break;
            cursor_load(v, run->end / SLOT_PAGES, &other);
            c = &other;
            if (run->end + SLOT_PAGES <= limit && slot_fits(m, view, c, word))
                n = SLOT_PAGES;
        }
        if (n == 1 && !page_fits(m, view, c, run->end, word))
            break;
        run->end += n;
        word += n * WORD_NEXT;
    }
}

static NOINLINE void run_backwards(struct vcpu *v, struct view *view, const struct cursor *c, struct run *run,
                          uint32_t limit)
{
    const struct mmu *m = v->vm->mmu;
    struct cursor other;
    bool large = word_runs_large(view, run->word);

    while (run->first > limit && (large || run->end - run->first < RUN_SMALL)) {
        uint32_t n = 1;

        if (run->first % SLOT_PAGES == 0) {
            if (!run_crosses(m, view, run->first - 1, run->word - WORD_NEXT))
                break;
            cursor_load(v, run->first / SLOT_PAGES - 1, &other);
            c = &other;
            if (run->first >= limit + SLOT_PAGES &&
                slot_fits(m, view, c, run->word - SLOT_PAGES * WORD_NEXT))
                n = SLOT_PAGES;
        }
        if (n == 1 && !page_fits(m, view, c, run->first - 1, run->word - WORD_NEXT))
            break;
        run->first -= n;
        run->word -= n * WORD_NEXT;
    }
}

/* Does the world map these very pages already, with other rights? Then mprotect keeps what it has touched. */
static bool run_is_upgrade(const struct view *view, const struct run *run)
{
    uint32_t rights = WORD_W | WORD_X | WORD_U | WORD_G | WORD_L, word = run->word;

    if (run->end - run->first > RUN_SMALL)
        return false;
    for (uint32_t page = run->first; page < run->end; page++, word += WORD_NEXT) {
        uint32_t live = live_word(view, page);

        if (!live || ((live ^ word) & ~rights) || live == word)
            return false;
    }
    return true;
}

/* Near the world's bound on runs: count them, and if they are really so many, let go. */
static void runs_check(struct vm *vm, struct view *view)
{
    struct mmu *m = vm->mmu;

    if (likely(view->runs + 2 <= m->runs_max))
        return;
    view->runs = live_count_runs(view);
    if (view->runs + 2 > m->runs_max - m->runs_max / 8)
        live_drop_user(vm, view);
    if (view->runs + 2 > m->runs_max - m->runs_max / 8)
        live_drop_all(vm, view);
}

/* A single page is mapped because it is about to be touched, and so is what lies ahead of an access that goes on
 * where the last one ended. Of another run most pages may never be. */
static unsigned run_prot(const struct view *view, const struct run *run)
{
    uint32_t n = run->end - run->first;

    return word_prot(view, run->word) | (n == 1 || (view->ahead && n <= RUN_SMALL) ? MAP_SOON : 0);
}

static bool run_tell_world(struct vm *vm, struct view *view, const struct run *run)
{
    uint32_t n = run->end - run->first;
    unsigned prot = run_prot(view, run);
    gla_t gla = page_gla(run->first);
    gpa_t gpa = gpn_to_gpa(word_gpn(run->word));

    runs_check(vm, view);
    for (unsigned attempt = 0; attempt < 3; attempt++) {
        if (run_is_upgrade(view, run) ? world_protect(vm, view->id, gla, n, prot)
                                      : world_map(vm, view->id, gla, gpa, n, prot)) {
            view->runs += 2;
            vm->stats->shadow_maps++;
            vm->stats->shadow_pages += n;
            TRACE_EV(vm->trace, map, gla, word_gpn(run->word), n | prot << 24);
            return true;
        }
        live_make_room(vm, view, attempt);
    }
    vm_stop(vm, VM_STOP_HOST, "mmu: the host refuses to map %u pages at %#x", n, gla);
    return false;
}

static NOINLINE void run_record(struct vm *vm, struct view *view, const struct run *run)
{
    uint32_t page = run->first, word = run->word;

    while (page < run->end) {
        uint32_t s = page / SLOT_PAGES;
        uint32_t n = (uint32_t)min_u64(run->end - page, SLOT_PAGES - page % SLOT_PAGES);

        if (n == SLOT_PAGES && word_runs_large(view, word) && word_gpn(word) % 64 == 0 &&
            large_allowed(vm->mmu, word)) {
            live_set_slot(vm, view, s, word);
        } else {
            if (view->slot[s].large && !live_split(vm, view, s))
                NOT_REACHED(); /* leaves have been reserved */
            for (uint32_t i = 0; i < n; i++)
                live_set(vm, view, page + i, word + i * WORD_NEXT);
        }
        page += n;
        word += n * WORD_NEXT;
    }
}

static inline void run_seen_check(struct view *view, const struct cursor *c, const struct run *run)
{
    for (uint32_t s = run->first / SLOT_PAGES; s <= (run->end - 1) / SLOT_PAGES; s++)
        slot_seen_check(view, s, c);
}

/* What has been mapped. */
static inline void run_note(struct vm *vm, struct view *view, const struct cursor *c, const struct run *run)
{
    if (run->end - run->first == 1 && !view->slot[run->first / SLOT_PAGES].large)
        live_set(vm, view, run->first, run->word);
    else
        run_record(vm, view, run);
    run_seen_check(view, c, run);
}

/* Map the page and what follows on from it, down to `lowest`; the number of pages. */
static uint32_t run_map(struct vcpu *v, struct view *view, const struct cursor *c, uint32_t page,
                        uint32_t word, gla_t lowest)
{
    struct vm *vm = v->vm;
    struct run run = {page, page + 1, word};
    uint32_t end = view->kind == KIND_USER ? GLA_PAGES : gla_to_page(WIN_BASE);

    live_reserve(vm, 2);
    if (!page_alone(c, page, word)) {
        run_forwards(v, view, c, &run, end);
        run_backwards(v, view, c, &run, gla_to_page(lowest));
    }
    if (!run_tell_world(vm, view, &run))
        return 0;
    run_note(vm, view, c, &run);
    return run.end - run.first;
}

/* How many runs to map ahead of this fault in a user view: more of them each time that this pays. */
static void ahead_judge(struct view *view, uint32_t page)
{
    view->ahead = page != view->ahead_at ? 0 : view->ahead ? (uint32_t)min_u64(view->ahead * 2, AHEAD_MAX) : 2;
}

/* Pages behind `page` that the guest has used and this user view doesn't hold yet. */
static void fill_ahead(struct vcpu *v, struct view *view, struct cursor *c, uint32_t page)
{
    uint32_t word, end = page + 1;

    while (end < GLA_PAGES && end - page < RUN_SMALL && live_word(view, end))
        end++;
    for (uint32_t i = 0; i < view->ahead && end < GLA_PAGES; i++) {
        if (end / SLOT_PAGES != c->slot)
            cursor_load(v, end / SLOT_PAGES, c);
        word = cursor_word(v->vm->mmu, c, end % SLOT_PAGES, view->kind);
        if (!word || live_word(view, end))
            break;
        end += run_map(v, view, c, end, word, page_gla(end));
        if (v->vm->stop)
            return;
    }
    view->ahead_at = end;
}

static bool mappable(const struct mmu *m, const struct view *view, gla_t gla)
{
    return gla >= m->min_gla && (view->kind == KIND_USER || gla < WIN_BASE);
}

static struct view *view_get(struct mmu *m, unsigned id)
{
    ASSERT(id < m->nviews && (!m->space || m->view[id] == m->space));
    return m->view[id];
}

static bool elsewhere(const struct view *view, gla_t gla, uint32_t word)
{
    uint32_t live = live_word(view, gla_to_page(gla));

    return live && word_gpn(live) != word_gpn(word);
}

/* Before a page is mapped: if another was here, the TLB may know it. */
static void forget_other(struct vcpu *v, struct view *view, gla_t gla, uint32_t word)
{
    struct mmu *m = v->vm->mmu;

    if (view->kind != KIND_SPACE) {
        if (elsewhere(view, gla, word))
            tlb_drop(m, gla);
    } else if (elsewhere(view, gla, word) || elsewhere(m->view[VIEW_KERNEL], gla, word)) {
        mmu_fault_seen(v, view, gla); /* what is hidden must not show again either */
    }
}

/* The kernel's code never runs from where the guest has it. */
static bool direct_fetch(const struct view *view, unsigned access)
{
    return view->kind != KIND_KERNEL && (access & GMEM_FETCH) && (access & GMEM_USER);
}

/* What the tables allow with no bit left to set, and nobody has to be asked about: it is no matter then for mmu_walk(). */
static inline bool word_allows(uint32_t word, unsigned access)
{
    uint32_t need = WORD_LIVE | (access & GMEM_USER ? WORD_U : 0) | (access & GMEM_WRITE ? WORD_W : 0);

    return (word & need) == need && !(access & GMEM_FETCH);
}

/* The page is mapped as the tables now have it. */
static enum fill_result fill_map(struct vcpu *v, struct view *asked, gla_t gla, unsigned access, struct cursor *c,
                                 uint32_t word)
{
    struct vm *vm = v->vm;
    struct mmu *m = vm->mmu;
    uint32_t page = gla_to_page(gla), n;
    bool ahead = asked->kind == KIND_USER && !(access & GMEM_FETCH);
    struct view *view;

    forget_other(v, asked, gla, word);
    view = home_of(m, asked, page, word);
    if (ahead)
        ahead_judge(view, page);
    n = run_map(v, view, c, page, word, m->min_gla);
    if (ahead && n)
        fill_ahead(v, view, c, page);
    vm->stats->hidden_faults++;
    TRACE_EV(vm->trace, hidden, gla,
             (access & GMEM_WRITE ? PFERR_W : 0) | (access & GMEM_USER ? PFERR_U : 0), n);
    return FILL_MAPPED;
}

/* The complete way: as the CPU would walk, and with all that may be in the way. */
static enum fill_result fill_walk(struct vcpu *v, struct view *view, gla_t gla, unsigned access, struct fault *f)
{
    struct vm *vm = v->vm;
    struct mmu *m = vm->mmu;
    struct cursor c;
    struct walk w;
    uint32_t word;

    if (!mmu_walk(v, gla, access, &w, f)) {
        mmu_fault_seen(v, view, gla);
        vm->stats->true_faults++;
        TRACE_EV(vm->trace, truefault, gla, f->err, v->eip);
        return FILL_TRUE;
    }
    if ((access & GMEM_WRITE) && w.writable && phys_kind(vm, w.gpa) == PHYS_RAM &&
        gpn_traced(m, gpa_to_gpn(w.gpa))) {
        vm->stats->trace_faults++;
        exec_written(vm, gpa_to_gpn(w.gpa));
        if (gpn_traced(m, gpa_to_gpn(w.gpa)))
            return FILL_TRACED;
    }
    if (direct_fetch(view, access) && !exec_admit(v, gla, gpa_to_gpn(w.gpa)))
        return FILL_SENSITIVE;
    /* No word, or no W, after an allowed access: an empty bus, ROM, WP=0, or tables in ROM. */
    cursor_load(v, gla_to_page(gla) / SLOT_PAGES, &c);
    word = cursor_word(m, &c, gla_to_page(gla) % SLOT_PAGES, view->kind);
    if (!word || ((access & GMEM_WRITE) && !(word & WORD_W)))
        return FILL_EMULATE;
    return fill_map(v, view, gla, access, &c, word);
}

enum fill_result mmu_fill(struct vcpu *v, unsigned id, gla_t gla, unsigned access, struct fault *f)
{
    struct mmu *m = v->vm->mmu;
    struct view *view = view_get(m, id);
    struct cursor c;
    uint32_t word;

    if (!mappable(m, view, gla))
        return FILL_EMULATE;
    if (view->kind == KIND_USER)
        access |= GMEM_USER;
    if (unlikely(view->stale))
        view_sync(v, view);
    cursor_load(v, gla_to_page(gla) / SLOT_PAGES, &c);
    word = cursor_word(m, &c, gla_to_page(gla) % SLOT_PAGES, view->kind);
    if (word_allows(word, access))
        return fill_map(v, view, gla, access, &c, word);
    return fill_walk(v, view, gla, access, f);
}

/*
 * No bits are set here: what the handler made present is mapped only as far as it set A and D itself.
 * Supervisor pages below the limit that user code now runs with would have to be dropped again at once.
 */
void mmu_prefill(struct vcpu *v, unsigned id, gla_t gla)
{
    struct mmu *m = v->vm->mmu;
    struct view *view;
    struct cursor c;
    uint32_t page = gla_to_page(gla), word;

    view = view_get(m, id);
    if (!mappable(m, view, gla))
        return;
    if (unlikely(view->stale))
        view_sync(v, view);
    cursor_load(v, page / SLOT_PAGES, &c);
    word = cursor_word(m, &c, page % SLOT_PAGES, view->kind);
    if (!word || (!(word & WORD_U) && gla < m->user_limit) ||
        live_word(home_of(m, view, page, word), page) == word)
        return;
    forget_other(v, view, gla, word);
    run_map(v, home_of(m, view, page, word), &c, page, word, word & WORD_U ? m->min_gla : m->user_limit);
}
