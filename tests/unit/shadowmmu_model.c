// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The shadow MMU against a model, under random guests.
 *
 * The guest has a few page tables and edits them at random, with and without
 * the flushes that real kernels would make. The model is a walk written anew
 * from the SDM and, per page, the set of translations that have held since the last
 * flush of that page: that is what a TLB may still know. After every
 * step each shadow entry must be one of that set, each true fault and each A/D bit must be the model's, the
 * pages of supervisor fetches must still be right if mmu_gens says that nothing changed, and the record
 * must agree with the fake world's page tables.
 *
 * Where views are spaces, the guest has more address spaces than there are views; what counts is what the loaded one
 * shows, and view 0, which it may come to show at any time.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "shadowmmu/mmu_priv.h"
#include "tests/fake/world_map.h"

#define RAM (32u << 20)
#define TABLES 0x800000u /* guest physical: the tables lie here, TABLE_PAGES pages; a large page may, too */
#define TABLE_PAGES 40u
#define ROOTS_MAX 5u
#define NPAGES 40u
#define REGIONS 10u
#define KERNEL_REGION 6u /* the first of KERNEL_REGIONS in the kernel's half */
#define KERNEL_REGIONS 3u
#define HISTORY 160u
#define TABLES_MAX 8u /* where views are spaces, and the guest has paging on */

/* One translation, as a TLB might hold it. */
struct item {
    gpn_t gpn;
    bool user, writable, nx, global, accessed, dirty, large;
};

struct history {
    unsigned n;
    struct item item[HISTORY];
};

static struct vm *vm;
static struct vcpu *v;
static uint8_t *ram;
static uint64_t seed;
static unsigned roots; /* of the guest's page tables */
static bool cr4_wavers; /* CR4.PSE and PGE are toggled often, and many directory entries mean something with PSE and without */
static struct {
    unsigned shared_hits, hidden, private_globals, fills;
} seen; /* what has happened */
static uint32_t page_of[NPAGES];
static struct history history[NPAGES];
static struct {
    gpn_t gpn;
    uint32_t gen;
    bool known;
} code[NPAGES];

static uint32_t rnd(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 20) % n;
}

/* --- the model's walk --- */

struct model {
    bool present, reserved;
    struct item item;
    uint64_t at[2];
    unsigned n, size;
};

static uint64_t model_entry(uint64_t at, unsigned size)
{
    uint64_t x = 0;

    if (at >= RAM || (at >= 0xa0000 && at < 0xc0000))
        return size == 8 ? ~0ull : 0xffffffff;
    memcpy(&x, ram + at, size);
    return x;
}

static bool bad_bits(uint64_t e, bool large, bool pae)
{
    if (!pae)
        return large && (e & 0x3fe000);
    if ((e >> 36 & 0x7ffffff) || ((e >> 63) && !(v->efer & EFER_NXE)))
        return true;
    return large && (e & 0x1fe000);
}

static struct model model_walk(gla_t gla)
{
    struct model w = {.size = v->cr4 & CR4_PAE ? 8 : 4};
    bool pae = w.size == 8;
    uint64_t frame = pae ? 0xffffff000ull : 0xfffff000, pde, pte, page;

    if (!(v->cr0 & CR0_PG)) {
        w.present = true;
        w.item = (struct item){gla >> 12, true, true, false, false, true, true, true};
        return w;
    }
    if (pae && !(v->pdpte[gla >> 30] & 1))
        return w;
    w.at[0] = pae ? (v->pdpte[gla >> 30] & frame) + (gla >> 21 & 511) * 8
                  : (v->cr3 & frame) + (gla >> 22) * 4;
    pde = model_entry(w.at[0], w.size);
    if (!(pde & 1))
        return w;
    w.n = 1;
    w.item.large = (pde & 0x80) && (pae || (v->cr4 & CR4_PSE));
    w.present = true;
    w.reserved = bad_bits(pde, w.item.large, pae);
    if (w.reserved)
        return w;
    pte = pde;
    page = (pde & frame & ~(uint64_t)(pae ? 0x1fffff : 0x3fffff)) | (gla & (pae ? 0x1ff000 : 0x3ff000));
    if (!w.item.large) {
        w.at[1] = (pde & frame) + (pae ? (gla >> 12 & 511) * 8 : (gla >> 12 & 1023) * 4);
        pte = model_entry(w.at[1], w.size);
        w.n = 2;
        w.present = pte & 1;
        w.reserved = w.present && bad_bits(pte, false, pae);
        page = pte & frame;
    }
    if (!w.present || w.reserved)
        return w;
    w.item.gpn = (gpn_t)(page >> 12);
    w.item.user = pde & pte & 4;
    w.item.writable = pde & pte & 2;
    w.item.nx = pae && ((pde | pte) >> 63);
    w.item.global = pte >> 8 & 1;
    w.item.accessed = pde & pte & 0x20;
    w.item.dirty = pte & 0x40;
    return w;
}

static void model_mark(const struct model *w, unsigned level, uint32_t flags)
{
    if (w->at[level] < RAM && !(w->at[level] >= 0xa0000 && w->at[level] < 0x100000))
        ram[w->at[level]] |= (uint8_t)flags;
}

/* What an access does: true = allowed, else *err. With `mark` the tables change. */
static bool model_access(gla_t gla, unsigned access, uint32_t *err, struct model *w, bool mark)
{
    bool user = access & GMEM_USER, write = access & GMEM_WRITE, fetch = access & GMEM_FETCH, denied;

    *w = model_walk(gla);
    *err = (write ? 2 : 0) | (user ? 4 : 0) | (fetch && (v->cr4 & CR4_PAE) && (v->efer & EFER_NXE) ? 16 : 0);
    if (!(v->cr0 & CR0_PG))
        return true;
    if (w->n == 2 && mark)
        model_mark(w, 0, 0x20);
    if (!w->present || w->reserved) {
        *err |= w->reserved ? 9 : 0;
        return false;
    }
    denied = (user && !w->item.user) || (write && !w->item.writable && (user || (v->cr0 & CR0_WP))) ||
             (fetch && w->item.nx);
    if (denied) {
        *err |= 1;
        return false;
    }
    if (mark)
        model_mark(w, w->n - 1, write ? 0x60 : 0x20);
    return true;
}

/* --- the model's TLB --- */

static void history_add(struct history *h, struct item item)
{
    for (unsigned i = 0; i < h->n; i++)
        if (!memcmp(&h->item[i], &item, sizeof item))
            return;
    cr_assert_lt(h->n, HISTORY);
    h->item[h->n++] = item;
}

static void history_note_all(void)
{
    for (unsigned i = 0; i < NPAGES; i++) {
        struct model w = model_walk(page_gla(page_of[i]));

        if (w.present && !w.reserved)
            history_add(&history[i], w.item);
        /* Bound it: a page whose history is long is flushed as a guest would. */
        if (history[i].n > HISTORY - 8) {
            history[i].n = 0;
            gmem_invlpg(v, page_gla(page_of[i]));
        }
    }
}

static void history_flush(unsigned i, bool globals_too)
{
    struct history *h = &history[i];
    unsigned n = 0;

    for (unsigned k = 0; k < h->n; k++)
        if (h->item[k].global && !globals_too)
            h->item[n++] = h->item[k];
    h->n = n;
}

static void history_flush_all(bool globals_too)
{
    for (unsigned i = 0; i < NPAGES; i++)
        history_flush(i, globals_too);
}

/* INVLPG: the page; and all of its large page if the tables or the TLB know one there. */
static void history_invlpg(unsigned page)
{
    uint32_t size = v->cr4 & CR4_PAE ? 512 : 1024;
    struct model w = model_walk(page_gla(page_of[page]));
    bool large = w.present && !w.reserved && w.item.large;

    for (unsigned k = 0; k < history[page].n; k++)
        large |= history[page].item[k].large;
    for (unsigned i = 0; large && i < NPAGES; i++) {
        struct history *h = &history[i];
        unsigned n = 0;

        if (page_of[i] / size != page_of[page] / size)
            continue;
        for (unsigned k = 0; k < h->n; k++)
            if (!h->item[k].large)
                h->item[n++] = h->item[k];
        h->n = n;
    }
    history[page].n = 0;
}

/* A page fault drops what is known of its page. (User views of their own drop only what the view that faulted has.) */
static void history_fault(unsigned page)
{
    if (fake_world.spaces)
        history[page].n = 0;
}

static bool item_allows(const struct item *item, const struct fake_page *e, unsigned view, uint32_t word)
{
    if (item->gpn != e->gpn || !item->accessed)
        return false;
    if ((e->prot & MAP_W) && !(item->writable && item->dirty))
        return false;
    if (item->user != !!(word & WORD_U))
        return false;
    if (fake_world.spaces ? item->user != !!(e->prot & MAP_U) || (!view && !item->global) : view && !item->user)
        return false;
    return !((e->prot & MAP_X) && item->nx);
}

static bool shadow_allowed(unsigned i, unsigned view)
{
    const struct fake_page *e = fake_mapping(view, page_gla(page_of[i]));
    uint32_t word = live_word(vm->mmu->view[view], page_of[i]);

    if (!e->mapped)
        return !word;
    if (!word || word_gpn(word) != e->gpn || word_prot(vm->mmu->view[view], word) != e->prot)
        return false;
    for (unsigned k = 0; k < history[i].n; k++)
        if (item_allows(&history[i].item[k], e, view, word))
            return true;
    return false;
}

/* Only a space that is right, and the current CR3's, may be loaded; what it hides of view 0 is what its tables hide. */
static void check_spaces(void)
{
    const struct mmu *m = vm->mmu;

    cr_assert(!m->space->stale && m->space->id == fake_world.loaded);
    cr_assert(!(v->cr0 & CR0_PG) || (m->space->bound && m->space->cr3 == v->cr3));
    for (unsigned view = 0; view <= fake_world.direct_views; view++)
        for (unsigned i = 0; i < NPAGES; i++)
            cr_assert_eq(map_bit(m->view[view]->used, page_of[i] / SLOT_PAGES),
                         fake_world.used[view][page_of[i] / SLOT_PAGES] != 0, "view %u page %#x", view, page_of[i]);
}

static void check_all(void)
{
    history_note_all();
    if (fake_world.spaces)
        check_spaces();
    for (unsigned i = 0; i < NPAGES; i++) {
        for (unsigned view = 0; view <= fake_world.direct_views; view++)
            if (!vm->mmu->view[view]->stale)
                cr_assert(shadow_allowed(i, view), "view %u page %#x", view, page_of[i]);
        if (code[i].known && code[i].gen == mmu_gens(vm)->global) {
            bool found = false;

            for (unsigned k = 0; k < history[i].n; k++)
                found |= history[i].item[k].gpn == code[i].gpn && !history[i].item[k].nx;
            cr_assert(found, "code at page %#x moved unnoticed", page_of[i]);
        }
    }
    cr_assert_eq(vm->stop, VM_RUNNING);
}

static void check_record(void)
{
    const char *wrong = live_verify(vm);

    cr_assert(!wrong, "%s", wrong);
    for (unsigned view = 0; view <= fake_world.direct_views; view++) {
        for (uint32_t page = 0; page < GLA_PAGES; page++) {
            const struct fake_page *e = &fake_world.page[view][page];
            uint32_t word = live_word(vm->mmu->view[view], page);

            cr_assert_eq(!!word, e->mapped, "view %u page %#x", view, page);
            cr_assert(!word || (word_gpn(word) == e->gpn && word_prot(vm->mmu->view[view], word) == e->prot));
        }
    }
}

/* --- the random guest --- */

/* Tables: first the shared ones, then directories (PAE: four per root), then PDPTEs. */
#define NTABLES 10u
static uint64_t table(unsigned n) { return TABLES + n * PAGE_SIZE; }
static uint64_t directory(unsigned root, unsigned pdpt) { return TABLES + (NTABLES + root * 4 + pdpt) * PAGE_SIZE; }
_Static_assert(ROOTS_MAX * 4 + NTABLES + ROOTS_MAX <= TABLE_PAGES, "room for all tables");

static uint64_t random_frame(bool large)
{
    static const gpn_t odd[] = {0x50, 0xa5, 0xc8, 0xff, 0x100, 0x9f, 0x1fff, 0x2000, 0x90000, 0xfffff};

    if (large)
        return (uint64_t)rnd(10) << 21;
    if (rnd(8) == 0)
        return (uint64_t)odd[rnd(10)] << 12;
    if (rnd(5) == 0)
        return table(rnd(2)); /* so that the guest can write to it by several addresses */
    return (uint64_t)(0x400 + rnd(12)) << 12;
}

/* Where views are spaces: is this the guest kernel's half, which most edits make the same in all its address spaces? */
static bool kernel_half(gla_t gla)
{
    return fake_world.spaces && gla >= 0xc0000000;
}

static uint64_t random_flags(gla_t gla, bool pae)
{
    bool kernel = kernel_half(gla);
    uint64_t e = rnd(8) ? PTE_P : 0;

    e |= (rnd(4) ? PTE_W : 0) | (!rnd(4) == kernel ? PTE_U : 0) | (rnd(3) ? PTE_A : 0) | (rnd(2) ? PTE_D : 0) |
         (!rnd(3) != kernel ? PTE_G : 0);
    if (pae && rnd(6) == 0)
        e |= PTE_NX;
    return e;
}

static void put_entry(uint64_t at, uint64_t e, unsigned size)
{
    memcpy(ram + at, &e, size);
    fake_guest_wrote(vm, (gpn_t)(at >> PAGE_SHIFT), rnd(8));
}

static uint64_t random_table(void)
{
    static const uint64_t odd[] = {0xa1000, 0xc1000, RAM - PAGE_SIZE, RAM, 0xfffff000};

    return rnd(20) ? table(rnd(NTABLES)) : odd[rnd(5)];
}

static void edit_pde(unsigned i, unsigned root)
{
    gla_t gla = page_gla(page_of[i]);
    bool pae = v->cr4 & CR4_PAE, large = rnd(3) == 0;
    bool all = kernel_half(gla) && rnd(4);
    uint64_t e = random_flags(gla, pae) | PTE_P, at;

    if (rnd(10) == 0)
        e = 0;
    e |= large ? PTE_PS | (pae ? random_frame(true) : random_frame(true) & ~0x3fffffull) : random_table();
    if (cr4_wavers && rnd(3) == 0)
        e = (e & PAGE_MASK) | PTE_PS | table(rnd(3)); /* the first two can be a large page's entry */
    if (rnd(25) == 0)
        e |= 0x4000;
    for (unsigned r = 0; r < roots; r++) {
        at = pae ? directory(r, gla >> 30) + (gla >> 21 & 511) * 8 : directory(r, 0) + (gla >> 22) * 4;
        if (r == root || all)
            put_entry(at, e, pae ? 8 : 4);
    }
}

static void edit_pte(unsigned i)
{
    struct model w = model_walk(page_gla(page_of[i]));
    bool pae = v->cr4 & CR4_PAE;
    uint64_t e = random_flags(page_gla(page_of[i]), pae) | random_frame(false);

    if (w.n != 2 || w.at[1] < TABLES || w.at[1] >= TABLES + TABLE_PAGES * PAGE_SIZE)
        return;
    if (rnd(3) == 0) { /* a small change to what is there */
        e = model_entry(w.at[1], w.size) ^ (1ull << rnd(9));
        e &= ~(uint64_t)PTE_PS;
    }
    if (pae && rnd(40) == 0)
        e |= 1ull << 40;
    put_entry(w.at[1], e, w.size);
}

static void load_cr3(unsigned root)
{
    if (v->cr4 & CR4_PAE) {
        uint64_t pdpt = TABLES + (roots * 4 + NTABLES + root) * PAGE_SIZE;

        for (unsigned i = 0; i < 4; i++)
            put_entry(pdpt + i * 8, rnd(30) ? directory(root, i) | PTE_P : 0, 8);
        v->cr3 = (uint32_t)pdpt;
        cr_assert(gmem_load_pdptes(v, v->cr3, v->cr4, v->efer));
    } else {
        v->cr3 = (uint32_t)directory(root, 0);
    }
    gmem_cr3_loaded(v);
    history_flush_all(!(v->cr4 & CR4_PGE));
}

/* The identity takes as many as it takes. */
static void bound_tables(void)
{
    fake_world.tables_max = fake_world.spaces && (v->cr0 & CR0_PG) ? TABLES_MAX : 0;
}

static void toggle_mode(void)
{
    uint32_t cr0 = v->cr0, cr4 = v->cr4;
    uint64_t efer = v->efer;
    bool flush = true;

    switch (rnd(8)) {
    case 0:
        v->cr0 ^= CR0_PG;
        break;
    case 1:
        v->cr4 ^= CR4_PSE;
        flush = v->cr0 & CR0_PG;
        break;
    case 2:
        v->efer ^= EFER_NXE;
        flush = v->cr0 & CR0_PG;
        break;
    case 3:
    case 4:
        v->cr4 ^= CR4_PGE;
        flush = v->cr0 & CR0_PG;
        break;
    default:
        v->cr0 ^= CR0_WP;
        flush = false;
    }
    gmem_mode_changed(v, cr0, cr4, efer);
    if (flush)
        history_flush_all(true);
    if (!(v->cr0 & CR0_PG) && rnd(2)) {
        cr0 = v->cr0;
        v->cr0 |= CR0_PG;
        gmem_mode_changed(v, cr0, v->cr4, v->efer);
        history_flush_all(true);
    }
    bound_tables();
}

static void toggle_cr4(void)
{
    uint32_t cr4 = v->cr4;

    v->cr4 ^= rnd(3) ? CR4_PSE : CR4_PGE;
    gmem_mode_changed(v, v->cr0, cr4, v->efer);
    history_flush_all(true);
}

static uint8_t *tables_after(gla_t gla, unsigned access, bool *ok, uint32_t *err, struct model *w)
{
    static uint8_t before[TABLE_PAGES * PAGE_SIZE], after[TABLE_PAGES * PAGE_SIZE];

    memcpy(before, ram + TABLES, sizeof before);
    *ok = model_access(gla, access, err, w, true);
    memcpy(after, ram + TABLES, sizeof after);
    memcpy(ram + TABLES, before, sizeof before);
    return after;
}

/* What the guest would now find at an address. */
static const struct fake_page *entry_at(unsigned view, gla_t gla)
{
    return fake_world.spaces ? fake_shown(gla) : fake_mapping(view, gla);
}

static bool entry_user(unsigned view, gla_t gla, const struct fake_page *e)
{
    if (fake_world.spaces)
        return e->prot & MAP_U;
    return view || (live_word(vm->mmu->view[0], gla_to_page(gla)) & WORD_U);
}

static bool goes_through(unsigned view, gla_t gla, unsigned access)
{
    const struct fake_page *e = entry_at(view, gla);
    bool direct = view && (access & GMEM_USER); /* the kernel's code is never fetched from where the guest has it */

    return e->mapped && (!(access & GMEM_WRITE) || (e->prot & MAP_W)) &&
           (!direct || !(access & GMEM_FETCH) || (e->prot & MAP_X)) &&
           (!(access & GMEM_USER) || entry_user(view, gla, e));
}

/* The view for an access that a test makes: half of them the kernel's, if that makes a difference. */
static unsigned choose_view(unsigned *access)
{
    unsigned view = rnd(2) ? VIEW_KERNEL : 1 + rnd(fake_world.direct_views);

    if (fake_world.spaces) {
        cr_assert_eq(mmu_user_view(v), mmu_kernel_view(v));
        return mmu_kernel_view(v);
    }
    if (view) /* nothing but user code runs there */
        *access |= GMEM_USER;
    return view && vm->mmu->lazy_views ? mmu_user_view(v) : view;
}

static void note_seen(unsigned view, gla_t gla)
{
    const struct fake_page *mine = fake_mapping(view, gla), *shared = fake_mapping(0, gla);
    uint32_t word = live_word(vm->mmu->view[view], gla_to_page(gla));

    if (!fake_world.spaces || !view)
        return;
    seen.fills++;
    seen.hidden += fake_shown(gla) != shared && shared->mapped;
    seen.private_globals += mine->mapped && (word & (WORD_G | WORD_U)) == WORD_G;
}

static void shadow_access(unsigned i, unsigned access)
{
    gla_t gla = page_gla(page_of[i]) + rnd(PAGE_SIZE);
    unsigned view = choose_view(&access);
    const struct fake_page *e;
    struct fault f = {0};
    struct model w;
    uint8_t *tables;
    uint32_t err;
    bool ok, low = gla < fake_world.min_gla || ((!view || fake_world.spaces) && gla >= WIN_BASE);
    bool user_fetch = view && (access & GMEM_FETCH) && (access & GMEM_USER);
    enum fill_result result;

    if (goes_through(view, gla, access)) { /* check_all() says whether it may */
        seen.shared_hits += view && entry_at(view, gla) == fake_mapping(0, gla);
        return;
    }
    history_note_all();
    tables = tables_after(gla, access, &ok, &err, &w);
    result = mmu_fill(v, view, gla, access, &f);
    e = entry_at(view, gla);
    note_seen(view, gla);
    switch (result) {
    case FILL_TRUE:
        cr_assert(!ok && !low, "page %#x access %u", page_of[i], access);
        cr_assert_eq(f.vec, VEC_PF);
        cr_assert_eq(f.err, err, "%#x instead of %#x", f.err, err);
        cr_assert_eq(f.cr2, gla);
        history_fault(i);
        break;
    case FILL_MAPPED:
        cr_assert(ok && !low);
        cr_assert(e->mapped && e->gpn == w.item.gpn);
        cr_assert(goes_through(view, gla, access));
        cr_assert(!fake_world.spaces || !fake_mapping(0, gla)->mapped || fake_mapping(0, gla)->gpn == w.item.gpn);
        break;
    case FILL_TRACED:
        cr_assert(ok && mmu_traced(vm, w.item.gpn) && (access & GMEM_WRITE));
        break;
    case FILL_SENSITIVE:
        cr_assert(ok && user_fetch && !(e->prot & MAP_X));
        break;
    case FILL_EMULATE:
        if (low)
            return;
        cr_assert(ok);
        enum phys_kind kind = phys_kind(vm, (gpa_t)w.item.gpn << 12);
        bool odd_tables = false;

        for (unsigned n = 0; n < w.n; n++)
            odd_tables |= phys_kind(vm, w.at[n]) != PHYS_RAM;
        cr_assert(kind == PHYS_MMIO || ((access & GMEM_WRITE) && (kind == PHYS_ROM || !w.item.writable)) ||
                  odd_tables);
        break;
    }
    cr_assert(!memcmp(tables, ram + TABLES, TABLE_PAGES * PAGE_SIZE), "A/D bits differ");
}

/* Each RAM page that is no table holds its number in its first word. */
static void monitor_access(unsigned i, unsigned access)
{
    gla_t gla = page_gla(page_of[i]);
    struct fault f;
    struct model w;
    uint8_t *tables;
    uint32_t err, word = 0;
    bool ok, found = false;

    history_note_all();
    tables = tables_after(gla, access, &ok, &err, &w);
    if (!gmem_read(v, gla, &word, 4, access, &f)) {
        cr_assert(!ok && f.err == err && f.cr2 == gla);
        history_fault(i);
        cr_assert(!memcmp(tables, ram + TABLES, TABLE_PAGES * PAGE_SIZE), "A/D bits differ");
        return;
    }
    for (unsigned k = 0; k < history[i].n; k++) {
        const struct item *item = &history[i].item[k];
        bool backed = phys_kind(vm, (gpa_t)item->gpn << 12) != PHYS_MMIO;
        uint32_t there = 0xffffffff;

        if (backed)
            memcpy(&there, ram + ((size_t)item->gpn << 12), 4);
        if ((access & GMEM_USER) && !item->user)
            continue;
        if ((access & GMEM_WRITE) && !item->writable && ((access & GMEM_USER) || (v->cr0 & CR0_WP)))
            continue;
        found |= there == word;
    }
    cr_assert(found || (ok && (!w.n || phys_kind(vm, (gpa_t)w.item.gpn << 12) != PHYS_RAM)));
    if ((access & (GMEM_FETCH | GMEM_USER)) == GMEM_FETCH && ok && word != 0xffffffff) {
        /* Tables, where they are read as code, don't tell where they lie. */
        code[i].gpn = word;
        code[i].gen = mmu_gens(vm)->global;
        code[i].known = false;
        for (unsigned k = 0; k < history[i].n; k++)
            code[i].known |= history[i].item[k].gpn == word && word - (TABLES >> 12) >= TABLE_PAGES;
        for (unsigned k = 0; k < history[i].n; k++)
            if (history[i].item[k].gpn - (TABLES >> 12) < TABLE_PAGES)
                code[i].known = false;
    }
}

static void one_step(unsigned step)
{
    static const unsigned accesses[] = {0, 0, GMEM_WRITE, GMEM_USER, GMEM_USER, GMEM_USER | GMEM_WRITE,
                                        GMEM_FETCH, GMEM_FETCH | GMEM_USER};
    unsigned i = rnd(NPAGES), access = accesses[rnd(8)];
    gpn_t gpn = rnd(2) ? 0x400 + rnd(12) : rnd(RAM >> 12);

    if (fake_world.spaces && rnd(2))
        i = i / REGIONS * REGIONS + KERNEL_REGION + rnd(KERNEL_REGIONS);
    switch (rnd(32)) {
    case 0 ... 1:
        if (!fake_world.spaces || rnd(4) == 0) /* so that much is shared for some time */
            edit_pde(i, rnd(roots));
        break;
    case 2 ... 6:
        edit_pte(i);
        break;
    case 7 ... 9:
        edit_pte(i); /* as a kernel does: edit and flush */
        history_note_all();
        gmem_invlpg(v, page_gla(page_of[i]));
        history_invlpg(i);
        break;
    case 10:
        history_note_all();
        gmem_invlpg(v, page_gla(page_of[i]) + 5);
        history_invlpg(i);
        break;
    case 11:
        load_cr3(rnd(roots));
        break;
    case 12:
        if (cr4_wavers)
            toggle_cr4();
        else if (rnd(4) == 0)
            toggle_mode();
        break;
    case 13:
        if (gpn < TABLES >> 12 || gpn >= (TABLES >> 12) + TABLE_PAGES)
            mmu_trace(vm, gpn);
        break;
    case 14:
        mmu_untrace(vm, gpn);
        break;
    case 15: {
        gla_t limit = mmu_user_limit(v);

        for (unsigned k = 0; k < NPAGES; k++) {
            uint32_t word = live_word(vm->mmu->view[mmu_kernel_view(v)], page_of[k]);

            cr_assert(!word || (word & WORD_U) || page_gla(page_of[k]) >= limit);
            word = live_word(vm->mmu->view[VIEW_KERNEL], page_of[k]);
            cr_assert(!word || (word & WORD_U) || page_gla(page_of[k]) >= limit);
        }
        break;
    }
    case 16:
        history_note_all();
        mmu_prefill(v, rnd(2) ? mmu_kernel_view(v) : fake_world.spaces ? mmu_user_view(v) : 1, page_gla(page_of[i]));
        break;
    case 17 ... 22:
        monitor_access(i, access);
        break;
    default:
        shadow_access(i, access);
    }
    if (rnd(2000) == 0)
        fake_world.fail_next = 1 + rnd(2);
    check_all();
    if (step % 2000 == 0)
        check_record();
}

static void choose_pages(void)
{
    static const gla_t region[REGIONS] = {0, 0x400000, 0x600000, 0x08000000, 0x7fe00000, 0xb7c00000, 0xc0000000,
                                   0xc0200000, 0xff800000, 0xffc00000};

    for (unsigned i = 0; i < NPAGES; i++)
        page_of[i] = gla_to_page(region[i % REGIONS]) + (i < 2 * REGIONS ? i / REGIONS + 3 : rnd(512));
}

enum config { EAGER_VIEWS, LAZY_VIEWS, SPACES, SPACES_KEPT };

static void configure(enum config config)
{
    fake_world.spaces = config == SPACES || config == SPACES_KEPT;
    fake_world.direct_views = config == SPACES_KEPT ? 3 : 2;
    fake_world.min_gla = fake_world.spaces ? 0 : 0x10000;
    roots = config == SPACES ? ROOTS_MAX : fake_world.direct_views;
    cr4_wavers = config == SPACES_KEPT;
}

static void run_model(uint64_t with_seed, bool pae, enum config config, unsigned steps)
{
    seed = with_seed * 0x9e3779b97f4a7c15ull + 1;
    configure(config);
    vm = fake_vm_new(RAM);
    v = vm->vcpu;
    ram = vm->ram;
    for (uint32_t gpn = 0; gpn < RAM >> 12; gpn++)
        memcpy(ram + ((size_t)gpn << 12), &gpn, 4);
    memset(ram + TABLES, 0, TABLE_PAGES * PAGE_SIZE);
    memset(code, 0, sizeof code);
    history_flush_all(true);
    mmu_init(vm);
    choose_pages();
    v->cr0 = CR0_PE | CR0_PG | CR0_WP;
    v->cr4 = CR4_PSE | CR4_PGE | (pae ? CR4_PAE : 0);
    v->efer = pae ? EFER_NXE : 0;
    gmem_mode_changed(v, CR0_PE, 0, 0);
    bound_tables();
    load_cr3(0);
    if (config == LAZY_VIEWS)
        mmu_user_view(v);
    for (unsigned k = 0; k < NPAGES * roots; k++)
        edit_pde(k % NPAGES, k / NPAGES);
    for (unsigned k = 0; k < 3 * NPAGES; k++)
        edit_pte(k % NPAGES);
    history_flush_all(true);
    for (unsigned step = 1; step <= steps; step++)
        one_step(step);
    check_record();
    mmu_reset(vm);
    check_record();
    cr_assert_eq(live_count_runs(vm->mmu->view[0]), 0);
}

#define SEEDS 4u
#define STEPS 12000u

static void run_seeds(uint64_t first, bool pae, enum config config)
{
    for (unsigned s = 1; s <= SEEDS; s++)
        run_model(first + s, pae, config, STEPS);
}

Test(shadowmmu_model, two_level)
{
    run_seeds(0, false, EAGER_VIEWS);
}

Test(shadowmmu_model, two_level_lazy_views)
{
    run_seeds(100, false, LAZY_VIEWS);
}

Test(shadowmmu_model, pae)
{
    run_seeds(200, true, EAGER_VIEWS);
}

Test(shadowmmu_model, pae_lazy_views)
{
    run_seeds(300, true, LAZY_VIEWS);
}

/* Has the guest met what spaces are about? */
static void run_spaces(uint64_t first, bool pae)
{
    run_seeds(first, pae, SPACES);
    cr_assert(seen.fills > 1000 && seen.shared_hits > 200 && seen.hidden > 20 && seen.private_globals > 50,
              "%u %u %u %u", seen.fills, seen.shared_hits, seen.hidden, seen.private_globals);
    cr_assert(fake_world.shortages > 10 && fake_world.loads > 1000, "%u %u", fake_world.shortages, fake_world.loads);
}

Test(shadowmmu_model, two_level_spaces)
{
    run_spaces(400, false);
}

Test(shadowmmu_model, pae_spaces)
{
    run_spaces(500, true);
}

/* No space is ever given up for another CR3, so that the guest comes back to all of them after its entries have changed their meaning. */
Test(shadowmmu_model, two_level_spaces_kept)
{
    run_seeds(600, false, SPACES_KEPT);
}
