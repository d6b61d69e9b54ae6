// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest memory by linear address: the seam of cpu/gmem.h.
 *
 * A direct-mapped software TLB per kind of access (read, write, fetch) saves
 * the page walk. An entry's tag holds a generation, the page and the access bits, so
 * an entry vouches for exactly the rights that were checked when it was made; a write
 * entry is made by a walk that set D. It is a TLB as SDM vol. 3A 4.10 describes:
 * flushed by mode changes (a new generation), but for global pages, which have a generation of their own, by a CR3
 * load, and a page dropped by INVLPG and by a page fault at it (near large pages: everything).
 *
 * An access that crosses pages translates all of them before a byte moves. Only
 * RAM and ROM get entries; what reads as all ones is found by a walk each time.
 */
#include "base/undo.h"
#include "shadowmmu/mmu_priv.h"

#define GMEM_MAX 65536u
#define ACCESS_BITS 7u

/* Where a page of an access lies. */
struct place {
    uint8_t *hva; /* of the page; NULL: an empty bus, or ROM to be written */
    gpa_t gpa;
};

/* A number that no entry has yet. */
static uint32_t tlb_number(struct mmu *m)
{
    if (unlikely(!++m->tlb_last)) {
        memset(m->tlb, 0, sizeof m->tlb);
        m->tlb_last = 1;
    }
    return m->tlb_last;
}

/* What gmem_keep() has told is void. */
static void kept_forget(struct mmu *m)
{
    m->vcpu->gmem_gen++;
    memset(m->kept, 0, sizeof m->kept);
    m->kept_local = false;
}

void tlb_flush(struct mmu *m)
{
    kept_forget(m);
    m->tlb_large_first = UINT32_MAX;
    m->tlb_large_last = 0;
    m->tlb_gen = tlb_number(m);
    m->tlb_global_gen = tlb_number(m);
    if (unlikely(m->tlb_global_gen < m->tlb_gen)) /* the numbers have gone round in between */
        m->tlb_gen = tlb_number(m);
}

void tlb_flush_local(struct mmu *m)
{
    if (unlikely(m->tlb_last == UINT32_MAX)) { /* the numbers go round */
        tlb_flush(m);
        return;
    }
    m->tlb_gen = ++m->tlb_last;
    if (m->kept_local)
        kept_forget(m);
}

/* User and supervisor entries of a page lie apart, so that copies between them don't thrash. */
static inline struct tlb_entry *tlb_entry(struct mmu *m, gla_t gla, unsigned access)
{
    unsigned kind = access & GMEM_WRITE ? TLB_WRITE : access & GMEM_FETCH ? TLB_FETCH : TLB_READ;
    unsigned index = (gla >> PAGE_SHIFT) ^ (access & GMEM_USER ? TLB_ENTRIES / 2 : 0);

    return &m->tlb[kind][index % TLB_ENTRIES];
}

static inline uint64_t tlb_tag(uint32_t gen, gla_t gla, unsigned access)
{
    return (uint64_t)gen << 32 | gla_page(gla) | (access & ACCESS_BITS);
}

static inline bool tlb_hit(const struct mmu *m, const struct tlb_entry *e, gla_t gla, unsigned access)
{
    return e->tag == tlb_tag(m->tlb_gen, gla, access) || e->tag == tlb_tag(m->tlb_global_gen, gla, access);
}

static inline void entry_drop(struct tlb_entry *e, gla_t page)
{
    if (((gla_t)e->tag ^ page) < PAGE_SIZE)
        e->tag = 0;
}

void tlb_drop(struct mmu *m, gla_t gla)
{
    unsigned index = (gla >> PAGE_SHIFT) % TLB_ENTRIES;
    gla_t page = gla_page(gla);

    if (gla >= m->tlb_large_first && gla <= m->tlb_large_last) {
        tlb_flush(m);
        return;
    }
    if (map_bit(m->kept, index))
        kept_forget(m);
    for (unsigned kind = 0; kind < TLB_KINDS; kind++) {
        entry_drop(&m->tlb[kind][index], page);
        entry_drop(&m->tlb[kind][index ^ TLB_ENTRIES / 2], page);
    }
}

/* All entries of a large page go together, and an entry doesn't know what it was made from. */
static void tlb_note_large(struct mmu *m, gla_t gla, uint32_t span)
{
    gla_t first = gla & ~(span - 1), last = gla | (span - 1);

    if (first < m->tlb_large_first)
        m->tlb_large_first = first;
    if (last > m->tlb_large_last)
        m->tlb_large_last = last;
}

static bool page_translate(struct vcpu *v, gla_t gla, unsigned access, struct place *place, struct fault *f)
{
    struct vm *vm = v->vm;
    struct mmu *m = vm->mmu;
    struct tlb_entry *e = tlb_entry(m, gla, access);
    enum phys_kind kind;
    struct walk w;

    if (tlb_hit(m, e, gla, access)) {
        place->hva = e->hva;
        place->gpa = (gpa_t)(e->hva - vm->ram);
        return true;
    }
    if (!mmu_walk(v, gla, access, &w, f)) {
        mmu_fault_seen(v, m->view[mmu_kernel_view(v)], gla);
        vm->stats->true_faults++;
        TRACE_EV(vm->trace, truefault, gla, f->err, v->eip);
        return false;
    }
    place->gpa = gpn_to_gpa(gpa_to_gpn(w.gpa));
    kind = phys_kind(vm, place->gpa);
    place->hva = NULL;
    if (kind == PHYS_MMIO || (kind == PHYS_ROM && (access & GMEM_WRITE)))
        return true;
    place->hva = phys_hva(vm, place->gpa);
    *e = (struct tlb_entry){
        .tag = tlb_tag(w.global && (v->cr4 & CR4_PGE) ? m->tlb_global_gen : m->tlb_gen, gla, access), .hva = place->hva};
    if (w.span != PAGE_SIZE)
        tlb_note_large(m, gla, w.span);
    return true;
}

/* All pages of an access; they wrap at 4 GiB. */
static bool access_translate(struct vcpu *v, gla_t gla, unsigned len, unsigned access, struct place *place,
                             struct fault *f)
{
    unsigned n = len ? (page_offset(gla) + len + PAGE_SIZE - 1) / PAGE_SIZE : 0;

    ASSERT(len <= GMEM_MAX);
    for (unsigned i = 0; i < n; i++)
        if (!page_translate(v, i ? gla_page(gla) + i * PAGE_SIZE : gla, access, &place[i], f))
            return false;
    return true;
}

static inline void copy(void *dst, const void *src, unsigned len)
{
    switch (len) {
    case 1: __builtin_memcpy(dst, src, 1); break;
    case 2: __builtin_memcpy(dst, src, 2); break;
    case 4: __builtin_memcpy(dst, src, 4); break;
    case 8: __builtin_memcpy(dst, src, 8); break;
    default: memcpy(dst, src, len);
    }
}

static void bus_access(struct vm *vm, gpa_t gpa, const uint8_t *data, unsigned len, bool write)
{
    uint32_t value = 0;

    memcpy(&value, data, len < 4 ? len : 4);
    vm->stats->mmio_accesses++;
    TRACE_EV(vm->trace, mmio, gpa, value, (uint32_t)write << 8 | len);
}

static __attribute__((noinline)) bool read_slow(struct vcpu *v, gla_t gla, uint8_t *buf, unsigned len,
                                                unsigned access, struct fault *f)
{
    struct place place[GMEM_MAX / PAGE_SIZE + 1];
    uint32_t offset = page_offset(gla);

    if (!access_translate(v, gla, len, access, place, f))
        return false;
    for (unsigned i = 0; len; i++) {
        unsigned n = (unsigned)min_u64(len, PAGE_SIZE - offset);

        if (place[i].hva) {
            copy(buf, place[i].hva + offset, n);
        } else if (phys_kind(v->vm, place[i].gpa) == PHYS_ROM) {
            copy(buf, phys_hva(v->vm, place[i].gpa) + offset, n); /* the read half of a GMEM_RMW */
        } else {
            memset(buf, 0xff, n);
            bus_access(v->vm, place[i].gpa + offset, buf, n, false);
        }
        buf += n;
        len -= n;
        offset = 0;
    }
    return true;
}

static void code_check(struct vm *vm, gpa_t gpa, unsigned len)
{
    table_maybe_written(vm->mmu, gpa_to_gpn(gpa));
    if (unlikely(gpn_traced(vm->mmu, gpa_to_gpn(gpa))) && !vm->undo) /* a write on trial will be taken back */
        traced_written(vm, gpa, len);
}

static __attribute__((noinline)) bool write_slow(struct vcpu *v, gla_t gla, const uint8_t *buf, unsigned len,
                                                 unsigned access, struct fault *f)
{
    struct place place[GMEM_MAX / PAGE_SIZE + 1];
    uint32_t first = page_offset(gla), offset = first;
    unsigned left = len;

    if (!access_translate(v, gla, len, access, place, f))
        return false;
    for (unsigned i = 0; left; i++, offset = 0) {
        unsigned n = (unsigned)min_u64(left, PAGE_SIZE - offset);

        if (place[i].hva && unlikely(v->vm->undo != NULL))
            undo_note(v->vm->undo, place[i].hva + offset, n);
        if (place[i].hva)
            copy(place[i].hva + offset, buf, n);
        else
            bus_access(v->vm, place[i].gpa + offset, buf, n, true);
        buf += n;
        left -= n;
    }
    offset = first;
    for (unsigned i = 0; len; i++, offset = 0) {
        unsigned n = (unsigned)min_u64(len, PAGE_SIZE - offset);

        if (place[i].hva)
            code_check(v->vm, place[i].gpa + offset, n);
        len -= n;
    }
    return true;
}

bool gmem_read(struct vcpu *v, gla_t gla, void *buf, unsigned len, unsigned access, struct fault *f)
{
    struct mmu *m = v->vm->mmu;
    const struct tlb_entry *e = tlb_entry(m, gla, access);

    if (unlikely(page_offset(gla) + len > PAGE_SIZE || !tlb_hit(m, e, gla, access)))
        return read_slow(v, gla, buf, len, access, f);
    copy(buf, e->hva + page_offset(gla), len);
    return true;
}

bool gmem_write(struct vcpu *v, gla_t gla, const void *buf, unsigned len, unsigned access, struct fault *f)
{
    struct mmu *m = v->vm->mmu;
    const struct tlb_entry *e;
    uint8_t *hva;

    access |= GMEM_WRITE;
    e = tlb_entry(m, gla, access);
    if (unlikely(page_offset(gla) + len > PAGE_SIZE || !tlb_hit(m, e, gla, access)))
        return write_slow(v, gla, buf, len, access, f);
    hva = e->hva + page_offset(gla);
    if (unlikely(v->vm->undo != NULL))
        undo_note(v->vm->undo, hva, len);
    copy(hva, buf, len);
    if (likely(len))
        code_check(v->vm, (gpa_t)(hva - v->vm->ram), len);
    return true;
}

/* Does somebody want to know of writes to it? */
static bool gpn_seen_written(const struct mmu *m, gpn_t gpn)
{
    return gpn_traced(m, gpn) || gpn_watched(m, gpn);
}

void *gmem_seen(struct vcpu *v, gla_t gla, unsigned len, unsigned access)
{
    const struct vm *vm = v->vm;
    const struct tlb_entry *e = tlb_entry(vm->mmu, gla, access);

    if (unlikely(page_offset(gla) + len > PAGE_SIZE || !tlb_hit(vm->mmu, e, gla, access)))
        return NULL;
    if ((access & GMEM_WRITE) && (vm->undo || gpn_seen_written(vm->mmu, gpa_to_gpn((gpa_t)(e->hva - vm->ram)))))
        return NULL;
    return e->hva + page_offset(gla);
}

void *gmem_keep(struct vcpu *v, gla_t gla, unsigned len, unsigned access)
{
    struct mmu *m = v->vm->mmu;
    void *p = gmem_seen(v, gla, len, access);

    if (!p)
        return NULL;
    map_put(m->kept, (gla >> PAGE_SHIFT) % TLB_ENTRIES, true);
    m->kept_local |= tlb_entry(m, gla, access)->tag >> 32 != m->tlb_global_gen;
    return p;
}

bool gmem_probe(struct vcpu *v, gla_t gla, unsigned len, unsigned access, struct fault *f)
{
    struct place place[GMEM_MAX / PAGE_SIZE + 1];

    return access_translate(v, gla, len, access, place, f);
}
