/*
 * What the files of shadowmmu/ share.
 *
 * World: monitor.  Units: pages are 4 KiB page numbers of linear addresses
 * (gla >> 12); a slot is 2 MiB of linear space, 512 pages.  Owner: struct
 * mmu, in vm->arena.  Errors: none come back; what runs short is dropped.
 *
 * A live shadow entry is one 32-bit word: the guest physical page in bits
 * 31:12 (RAM ends below 4 GiB) and WORD_* below.  Words live in leaves of 512,
 * one leaf per slot and view; a slot that one run of a guest large page covers
 * is a single word in the slot itself.  Besides the views that the world
 * knows there is the code table: the same structure, holding what supervisor
 * code fetches have seen, so that struct mmu_gens changes only when it must.
 */
#ifndef SHADOWMMU_MMU_PRIV_H
#define SHADOWMMU_MMU_PRIV_H

#include "base/assert.h"
#include "base/bits.h"
#include "base/mem.h"
#include "base/vm.h"
#include "cpu/x86.h"
#include "shadowmmu/mmu.h"
#include "world/world.h"

#define SLOT_PAGES 512u
#define SLOTS 2048u
#define SLOT_WORDS (SLOTS / 64)
#define GLA_PAGES (SLOTS * SLOT_PAGES)
_Static_assert(SLOT_WORDS == 32, "a summary of such a map is one word");
#define PAE_ADDR 0x0000000ffffff000ull
#define VIEWS_MAX 16u
#define LEAVES_MAX 2048u

#define WORD_LIVE BIT(0)
#define WORD_W BIT(1) /* writable in the shadow */
#define WORD_U BIT(2) /* a user page of the guest */
#define WORD_X BIT(3) /* executable in the shadow (user pages, never with W), or not NX (code table) */
#define WORD_G BIT(4) /* the guest's G bit */
#define WORD_L BIT(5) /* part of a guest large page (or of the identity when paging is off) */
#define WORD_NEXT PAGE_SIZE /* word + WORD_NEXT: the same for the next physical page */

static inline gpn_t word_gpn(uint32_t word) { return word >> PAGE_SHIFT; }
static inline gla_t page_gla(uint32_t page) { return (gla_t)page << PAGE_SHIFT; }
static inline uint32_t gla_to_page(gla_t gla) { return gla >> PAGE_SHIFT; }

struct leaf {
    uint32_t word[SLOT_PAGES];
    uint64_t live[SLOT_PAGES / 64]; /* bit per word */
    union {
        struct {
            uint16_t nlive, nlocal, nsup, nlarge; /* of these: not global; supervisor; WORD_L */
        };
        uint64_t counts; /* all four */
    };
    struct leaf *next;              /* free list */
};

/* The guest's tables for a slot, as tables_look() saw them. They are still the same if tables_unchanged(). */
struct table_seen {
    uint64_t pde;             /* the directory entry; 0: nothing is known */
    uint32_t gen;             /* table_gen of the table that it leads to; 0: it is a large page's */
    const uint64_t *alias[2]; /* shadow entries that the guest can write to the table through: a D bit tells that it has */
};

/* At most one of leaf and large is in use. */
struct slot {
    struct leaf *leaf;
    uint32_t large; /* word of the slot's first page, standing for all 512 */
    struct table_seen seen; /* all words agree with these */
};

/*
 * KIND_SPACE: all pages of one guest address space, user pages told apart by the U bit; but supervisor pages that
 * are global lie in view 0, which is then the part that all spaces share. A slot of a space that has any word of its own hides the
 * shared one.
 */
enum view_kind { KIND_KERNEL, KIND_USER, KIND_SPACE, KIND_CODE };

struct view {
    struct slot slot[SLOTS];
    /* A bit per slot: has anything; something not global; something supervisor; is one large word. */
    uint64_t used[SLOT_WORDS], local[SLOT_WORDS], sup[SLOT_WORDS], large[SLOT_WORDS];
    uint32_t used_words, local_words; /* a bit per word of these: it is not 0 */
    enum view_kind kind;
    uint8_t id;        /* the world's number of it */
    bool stale;        /* user views and spaces: CR3 was loaded since it was last right ... */
    uint64_t flushes;  /* ... and this was mmu.flushes */
    bool bound;        /* cr3 below is meaningful */
    uint32_t cr3;      /* user views and spaces: whose address space */
    uint64_t used_at;  /* for choosing the least recently used one */
    uint32_t ahead_at; /* user views: the page behind what the last fill mapped ... */
    uint32_t ahead;    /* ... and how many runs to map ahead if it comes next */
    uint32_t runs;     /* upper bound of the world's runs */
    uint32_t nleaves;
};

/* The reverse map's entry: where a page is mapped writable, or executable, by a leaf word (never both). */
struct rmap {
    uint32_t at[2]; /* page << 12 | view << 4 | RMAP_* */
};
#define RMAP_USED BIT(0)
#define RMAP_MULTI BIT(1) /* in at[0]: there may be more than at[] shows */

/* Why a page is write-protected everywhere. */
enum hold {
    HOLD_CODE, /* translations were made from it */
    HOLD_EXEC, /* it may be executable in user views */
    HOLDS
};

/* What exec.c remembers of a page. */
struct exec_note {
    uint32_t at;     /* mmu.clock when it was admitted */
    uint16_t skip;   /* refuse so many times without looking */
    uint8_t strikes; /* how often it was written soon after it had been admitted */
    bool sensitive;  /* found to be so, and under HOLD_CODE since */
};

#define TLB_ENTRIES 256u
enum { TLB_READ, TLB_WRITE, TLB_FETCH, TLB_KINDS };
struct tlb_entry {
    uint64_t tag; /* generation << 32 | gla page | access bits */
    uint8_t *hva; /* of the page */
};

struct mmu {
    struct vcpu *vcpu;
    struct mmu_gens gens;
    uint32_t fetched_gen; /* while gens.user is this, user code has been fetched from pages in between only; else from nowhere: */
    gla_t fetched_first, fetched_last;
    uint32_t tlb_gen, tlb_global_gen, tlb_last; /* never 0; of entries that are not global, and that are; the highest given */
    gla_t tlb_large_first, tlb_large_last; /* since the last flush, entries from large pages lie in between */
    struct tlb_entry tlb[TLB_KINDS][TLB_ENTRIES];
    uint64_t kept[TLB_ENTRIES / 64]; /* a bit by page % TLB_ENTRIES: gmem_keep() told of such a page since vcpu->gmem_gen changed, */
    bool kept_local;                 /* and one of them is not global */
    gpn_t ram_pages;
    gla_t min_gla;
    uint64_t *traced;   /* bit per RAM page: held for any reason */
    uint64_t *held[HOLDS];
    struct exec_note *exec; /* per RAM page */
    unsigned scan_for; /* DIRECT_SHOWS_* */
    uint64_t *watched;   /* bit per RAM page: it is known when it is written to.  NULL: the world can't tell */
    uint32_t *table_gen, table_clock; /* per RAM page: changes at the latest when a write is looked for; 0: was never watched */
    struct rmap *rmap;  /* per RAM page */
    unsigned nviews;
    struct view *view[VIEWS_MAX];
    struct view *code;
    struct view *space; /* where views are spaces: that of the current CR3; else NULL */
    bool lazy_views;    /* mmu_user_view() is in use: user views are revalidated when chosen */
    uint64_t clock;     /* for used_at */
    uint64_t flushes;   /* of global pages: how many have there been? */
    gla_t user_limit;   /* what mmu_user_limit() said last */
    bool user_limit_known;
    uint32_t leaves_made, leaves_free, leaves_max;
    uint32_t runs_max;
    struct leaf *free;
};

/* --- phys.c --- */
extern const uint8_t phys_ones[PAGE_SIZE];
/* To read a page of guest physical memory; where nothing is, all ones. */
const uint8_t *phys_page_any(const struct vm *vm, gpa_t gpa);
/* RAM where no hole can be. */
static inline bool phys_plain(const struct vm *vm, gpa_t gpa) { return gpa >= 0x100000 && gpa < vm->ram_size; }
static inline const uint8_t *phys_page(const struct vm *vm, gpa_t gpa)
{
    if (likely(phys_plain(vm, gpa)))
        return vm->ram + (gpa & ~(gpa_t)PAGE_MASK);
    return phys_page_any(vm, gpa);
}
/* Kind of a page number below 2^24. */
static inline enum phys_kind gpn_kind(const struct mmu *m, gpn_t gpn)
{
    if (likely(gpn >= 0x100))
        return gpn < m->ram_pages ? PHYS_RAM : PHYS_MMIO;
    return gpn < 0xa0 ? PHYS_RAM : gpn < 0xc0 ? PHYS_MMIO : PHYS_ROM;
}
static inline bool gpn_traced(const struct mmu *m, gpn_t gpn)
{
    return gpn < m->ram_pages && m->traced[gpn / 64] >> (gpn % 64) & 1;
}
static inline bool gpn_held(const struct mmu *m, gpn_t gpn, enum hold why)
{
    return gpn < m->ram_pages && m->held[why][gpn / 64] >> (gpn % 64) & 1;
}

static inline bool gpn_watched(const struct mmu *m, gpn_t gpn)
{
    return m->watched && gpn < m->ram_pages && m->watched[gpn / 64] >> (gpn % 64) & 1;
}

/* --- walk.c --- */
/* The guest's tables for one slot, loaded once, asked for many pages; no rights are checked, no bits set. */
struct cursor {
    const uint8_t *table; /* 512 entries, or NULL */
    gpn_t table_gpn;
    uint64_t pde;         /* as it is */
    uint32_t slot;
    bool mapped;          /* anything at all */
    bool large, pae, nxe;
    bool user, writable, nx, accessed; /* of the directory entry; for a large page of the page */
    bool dirty, global;   /* large only */
    gpn_t gpn;            /* large only: of the slot's first page */
};
void cursor_load(struct vcpu *v, uint32_t slot, struct cursor *c);
static inline uint32_t table_get32(const struct vm *vm, gpa_t gpa)
{
    return likely(phys_plain(vm, gpa)) ? get32(vm->ram + gpa) : get32(phys_page_any(vm, gpa) + (gpa & PAGE_MASK));
}
static inline uint64_t table_get64(const struct vm *vm, gpa_t gpa)
{
    return likely(phys_plain(vm, gpa)) ? get64(vm->ram + gpa) : get64(phys_page_any(vm, gpa) + (gpa & PAGE_MASK));
}
/* The directory entry for a slot under paging; 0 where there is no directory. */
static inline uint64_t directory_entry(const struct vcpu *v, uint32_t slot)
{
    uint64_t pdpte;

    if (!(v->cr4 & CR4_PAE))
        return table_get32(v->vm, (v->cr3 & ~PAGE_MASK) + slot / 2 * 4);
    pdpte = v->pdpte[slot / 512];
    return pdpte & PTE_P ? table_get64(v->vm, (pdpte & PAE_ADDR) + slot % 512 * 8) : 0;
}
/* Where an entry for page i of the slot leads; means nothing if there is none. */
static inline gpn_t cursor_gpn(const struct cursor *c, unsigned i)
{
    if (c->large || !c->mapped)
        return c->gpn + i;
    return c->pae ? (gpn_t)(get64(c->table + i * 8) >> PAGE_SHIFT) : get32(c->table + i * 4) >> PAGE_SHIFT;
}
/* The word that page i of the slot may have in a view of this kind without an access being made; 0 = none. */
uint32_t cursor_word(const struct mmu *m, const struct cursor *c, unsigned i, enum view_kind kind);

/* --- trace.c --- */
/* Write-protect a page in all views, or drop a reason for that; true if it was not (was) held for this one. */
bool hold_take(struct vm *vm, gpn_t gpn, enum hold why);
bool hold_drop(struct vm *vm, gpn_t gpn, enum hold why);
/* Take rights (WORD_W or WORD_X) from all words of a page. */
void page_restrict(struct vm *vm, gpn_t gpn, uint32_t rights);
/* A traced page has been written to. */
void traced_written(struct vm *vm, gpa_t gpa, uint32_t len);

/* Split the slots in which a view maps a page writable by a large word. */
void large_split(struct vm *vm, struct view *view, gpn_t gpn);

/* --- tables.c --- */
/* Only where m->watched.  What c was loaded from: for words that are about to be compared with it. */
void tables_look(struct vm *vm, const struct cursor *c, struct table_seen *seen);
/* Is this directory entry what was seen, and has nobody written to the table behind it since? */
static inline bool tables_unchanged(const struct mmu *m, uint64_t pde, const struct table_seen *seen)
{
    if (pde != seen->pde || !(pde & PTE_P))
        return false;
    return !seen->gen ||
           (seen->gen == m->table_gen[(gpn_t)(pde >> PAGE_SHIFT)] && !((*seen->alias[0] | *seen->alias[1]) & PTE_D));
}
/* Entries mean something else now: nothing that was seen is known any longer. */
void tables_forget(struct mmu *m);
/* Words from c have been added to a slot: what was seen holds for these too only if they come from the same table. */
static inline void slot_seen_check(struct view *view, uint32_t s, const struct cursor *c)
{
    if (s != c->slot || view->slot[s].seen.pde != c->pde)
        view->slot[s].seen.pde = 0;
}
/* A page has been written to by the monitor, or its aliases are no longer what they were. */
void table_written(struct mmu *m, gpn_t gpn);
static inline void table_maybe_written(struct mmu *m, gpn_t gpn)
{
    if (unlikely(gpn_watched(m, gpn)))
        table_written(m, gpn);
}

/* --- exec.c --- */
/* May the page, at gla, be executable in a user view (from now on)? */
bool exec_admit(struct vcpu *v, gla_t gla, gpn_t gpn);
/* It is about to be written: it no longer is. */
void exec_written(struct vm *vm, gpn_t gpn);
void exec_reset(struct vm *vm);

/* --- scan.c --- */
/* Does this page of 32-bit code hold an instruction that must not run directly? next: the bytes that follow on the
 * next page (at least 64), or NULL; shows: DIRECT_SHOWS_*. */
bool scan_sensitive(const uint8_t *page, const uint8_t *next, unsigned shows);

/* --- runs.c --- */
static inline uint32_t live_word(const struct view *view, uint32_t page)
{
    const struct slot *slot = &view->slot[page / SLOT_PAGES];

    if (slot->leaf)
        return slot->leaf->word[page % SLOT_PAGES];
    return slot->large ? slot->large + page % SLOT_PAGES * WORD_NEXT : 0;
}
void live_set(struct vm *vm, struct view *view, uint32_t page, uint32_t word);
/* word: of the first page of the slot. */
void live_set_slot(struct vm *vm, struct view *view, uint32_t slot, uint32_t word);
/* Replace a slot's large word by a leaf; false if no leaf is to be had (nothing changed). */
bool live_split(struct vm *vm, struct view *view, uint32_t slot);
static inline unsigned leaves_left(const struct mmu *m)
{
    return m->leaves_free + m->leaves_max - m->leaves_made;
}
/* Make sure that n leaves can be had, dropping shadow entries if need be. */
void live_make_leaves(struct vm *vm, unsigned n);
static inline void live_reserve(struct vm *vm, unsigned n)
{
    if (unlikely(leaves_left(vm->mmu) < n))
        live_make_leaves(vm, n);
}
/* The world has refused to map more in a view for want of resources: drop entries, all on any further attempt. */
void live_make_room(struct vm *vm, struct view *view, unsigned attempt);
void live_drop_all(struct vm *vm, struct view *view);
void live_drop_user(struct vm *vm, struct view *view);
/* Drop supervisor words below page `end`. */
void live_drop_sup(struct vm *vm, struct view *view, uint32_t end);
/* Drop supervisor words of pages first..end-1. */
void live_drop_sup_range(struct vm *vm, struct view *view, uint32_t first, uint32_t end);
void live_drop_slot(struct vm *vm, struct view *view, uint32_t slot);
/* Compare words of pages first..end-1 with the guest's tables, drop what disagrees; how many were dropped. */
uint32_t live_revalidate(struct vcpu *v, struct view *view, uint32_t first, uint32_t end, bool globals_too,
                         uint32_t *kept);
/* The same for all of a view where m->watched, by what is known of the tables: words of slots whose tables have not changed
 * since they were compared last are not looked at. (Global words that share a slot with others are compared with them.) */
uint32_t live_revalidate_slots(struct vcpu *v, struct view *view, const uint64_t *slots, uint32_t words, uint32_t *kept);
static inline uint32_t live_revalidate_changed(struct vcpu *v, struct view *view, bool globals_too, uint32_t *kept)
{
    const uint64_t *slots = globals_too ? view->used : view->local;
    uint32_t words = globals_too ? view->used_words : view->local_words;

    return words ? live_revalidate_slots(v, view, slots, words, kept) : 0;
}
/* The lowest page with a supervisor word, GLA_PAGES if none. */
uint32_t live_lowest_sup(const struct view *view);
/* In all that the kernel now sees; the window's first page if none. */
static inline uint32_t lowest_sup(const struct mmu *m)
{
    uint64_t lowest = min_u64(live_lowest_sup(m->view[VIEW_KERNEL]), gla_to_page(WIN_BASE));

    return (uint32_t)(m->space ? min_u64(lowest, live_lowest_sup(m->space)) : lowest);
}
/* The exact number of runs that the world holds for a view. */
uint32_t live_count_runs(const struct view *view);
/* For tests: is everything consistent? Text of the first thing that is not, or NULL. */
const char *live_verify(const struct vm *vm);

/* Does the reverse map have to know this word? */
static inline bool word_noted(const struct view *view, uint32_t word)
{
    return word & (view->kind == KIND_USER || view->kind == KIND_SPACE ? WORD_W | WORD_X : WORD_W);
}
/* May words with these flags stand for a whole slot, and runs of them go on without bound? */
static inline bool word_runs_large(const struct view *view, uint32_t word)
{
    return (word & WORD_L) && !(view->kind != KIND_CODE && (word & WORD_X));
}
static inline unsigned word_prot(const struct view *view, uint32_t word)
{
    return MAP_R | (word & WORD_W ? MAP_W : 0) | (word & WORD_X ? MAP_X : 0) |
           (view->kind == KIND_SPACE && (word & WORD_U) ? MAP_U : 0);
}
static inline bool map_bit(const uint64_t *map, uint32_t n) { return map[n / 64] >> (n % 64) & 1; }
static inline void map_put(uint64_t *map, uint32_t n, bool on)
{
    if (on)
        map[n / 64] |= BIT64(n % 64);
    else
        map[n / 64] &= ~BIT64(n % 64);
}

/* --- gmem.c --- */
void tlb_flush(struct mmu *m);
void tlb_flush_local(struct mmu *m); /* all but global pages */
void tlb_drop(struct mmu *m, gla_t gla);

/* --- flush.c --- */
/* Something has been fetched by, or for, user code. */
static inline void user_code_note(struct mmu *m, gla_t gla)
{
    if (m->fetched_gen != m->gens.user || gla < m->fetched_first)
        m->fetched_first = gla;
    if (m->fetched_gen != m->gens.user || gla > m->fetched_last)
        m->fetched_last = gla;
    m->fetched_gen = m->gens.user;
}
/* A supervisor fetch (or look) saw this page: remember it for mmu_gens. */
void code_note(struct vcpu *v, gla_t gla);
/* A page fault in a view drops what the TLB knows of its page (SDM vol. 3A 4.10.4.1). */
void mmu_fault_seen(struct vcpu *v, struct view *view, gla_t gla);

/* --- views.c --- */
void views_init(struct vm *vm);
/* Has the view to be right at any time? (If not: before it is used again.) */
bool view_current(const struct mmu *m, const struct view *view);
/* Make a user view right for the current CR3. */
void view_sync(struct vcpu *v, struct view *view);
/* Where views are spaces: CR3 was loaded. The space of the new value becomes the current one; has it missed flushes of
 * global pages? */
bool space_switch(struct vcpu *v);
/* All spaces are empty: the current one is for the current CR3. */
void space_reset(struct vm *vm);

#endif
