// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest page walks (SDM vol. 3A 4.3 and 4.4).
 *
 * 32-bit paging: a directory of 1024 entries, each a table of 1024 or, under
 * CR4.PSE, a 4 MiB page; PSE-36 is not offered, so bits 21:13 of a large page's entry are
 * reserved. PAE: four PDPTEs held in registers (v->pdpte[], loaded at MOV CR3),
 * directories and tables of 512 64-bit entries, 2 MiB pages, 36 physical
 * bits, NX under EFER.NXE.
 *
 * mmu_walk() does what the CPU does for an access: an entry with P clear ends
 * the walk with P=0 in the error code, one with reserved bits set ends it with
 * RSVD; then rights are the AND of W and U and the OR of NX over the levels. The
 * accessed flag of the directory entry is set as soon as the walk goes through it,
 * that of the last entry (and D for a write) only if the access is allowed.
 *
 * A cursor is the other reader of the same tables: it looks, for many pages
 * at a time, at what could be mapped without an access being made.
 */
#include "shadowmmu/mmu_priv.h"

#define PAE_RSVD 0x7ffffff000000000ull
#define PAE_LARGE_RSVD 0x00000000001fe000ull
#define PAE_PDPTE_RSVD 0xfffffff0000001e6ull
#define PSE_LARGE_RSVD 0x003fe000u

/* The entries that a walk goes through, top down. */
struct path {
    unsigned n;
    gpa_t at[2];
    uint64_t entry[2];
    bool large;
};

enum path_end { PATH_OK, PATH_ABSENT, PATH_RSVD };

static bool nxe_on(const struct vcpu *v)
{
    return (v->cr4 & CR4_PAE) && (v->efer & EFER_NXE);
}

static bool pae_reserved(uint64_t entry, bool large, bool nxe)
{
    return (entry & PAE_RSVD) || (!nxe && (entry & PTE_NX)) || (large && (entry & PAE_LARGE_RSVD));
}

static enum path_end path_find32(struct vcpu *v, gla_t gla, struct path *p)
{
    uint32_t pde, pte;

    p->at[0] = (v->cr3 & ~PAGE_MASK) + (gla >> 22) * 4;
    p->entry[0] = pde = table_get32(v->vm, p->at[0]);
    if (!(pde & PTE_P))
        return PATH_ABSENT;
    p->n = 1;
    p->large = (pde & PTE_PS) && (v->cr4 & CR4_PSE);
    if (p->large)
        return pde & PSE_LARGE_RSVD ? PATH_RSVD : PATH_OK;
    p->at[1] = (pde & ~PAGE_MASK) + (gla >> 12 & 0x3ff) * 4;
    p->entry[1] = pte = table_get32(v->vm, p->at[1]);
    p->n = 2;
    return pte & PTE_P ? PATH_OK : PATH_ABSENT;
}

static enum path_end path_find_pae(struct vcpu *v, gla_t gla, struct path *p)
{
    uint64_t pdpte = v->pdpte[gla >> 30], pde, pte;
    bool nxe = nxe_on(v);

    if (!(pdpte & PTE_P))
        return PATH_ABSENT;
    p->at[0] = (pdpte & PAE_ADDR) + (gla >> 21 & 0x1ff) * 8;
    p->entry[0] = pde = table_get64(v->vm, p->at[0]);
    if (!(pde & PTE_P))
        return PATH_ABSENT;
    p->n = 1;
    p->large = pde & PTE_PS;
    if (pae_reserved(pde, p->large, nxe))
        return PATH_RSVD;
    if (p->large)
        return PATH_OK;
    p->at[1] = (pde & PAE_ADDR) + (gla >> 12 & 0x1ff) * 8;
    p->entry[1] = pte = table_get64(v->vm, p->at[1]);
    p->n = 2;
    if (!(pte & PTE_P))
        return PATH_ABSENT;
    return pae_reserved(pte, false, nxe) ? PATH_RSVD : PATH_OK;
}

static enum path_end path_find(struct vcpu *v, gla_t gla, struct path *p)
{
    p->n = 0;
    p->large = false;
    return v->cr4 & CR4_PAE ? path_find_pae(v, gla, p) : path_find32(v, gla, p);
}

/* Set A or D; only the low dword changes. Tables in ROM or nowhere stay as they are. */
static void path_mark(struct vm *vm, struct path *p, unsigned level, uint32_t flags)
{
    gpa_t at = p->at[level];

    if ((p->entry[level] & flags) == flags)
        return;
    p->entry[level] |= flags;
    if (phys_kind(vm, at) != PHYS_RAM)
        return;
    put32(phys_hva(vm, at), (uint32_t)p->entry[level]);
    if (unlikely(gpn_traced(vm->mmu, gpa_to_gpn(at))))
        traced_written(vm, at, 4);
}

static void walk_result(struct vcpu *v, gla_t gla, const struct path *p, struct walk *w)
{
    uint64_t last = p->entry[p->n - 1], all = last, any = last;
    bool pae = v->cr4 & CR4_PAE;
    gpa_t frame = pae ? last & PAE_ADDR : last & 0xfffff000;

    if (p->n == 2) {
        all &= p->entry[0];
        any |= p->entry[0];
    }
    w->span = !p->large ? PAGE_SIZE : pae ? 2u << 20 : 4u << 20;
    w->gpa = (frame & ~(gpa_t)(w->span - 1)) + (gla & (w->span - 1));
    w->user = all & PTE_U;
    w->writable = all & PTE_W;
    w->nx = pae && (any & PTE_NX); /* without NXE the bit is reserved and the walk ended */
    w->global = (last & PTE_G) && (v->cr4 & CR4_PGE);
    w->dirty = last & PTE_D;
}

/* A span of 4 GiB is 0 modulo 2^32, which suits masks made of span - 1. */
static void walk_identity(gla_t gla, struct walk *w)
{
    *w = (struct walk){.gpa = gla, .span = 0, .user = true, .writable = true, .dirty = true};
}

static bool walk_fault(struct vcpu *v, gla_t gla, unsigned access, uint32_t err, struct fault *f)
{
    if (access & GMEM_WRITE)
        err |= PFERR_W;
    if (access & GMEM_USER)
        err |= PFERR_U;
    if ((access & GMEM_FETCH) && nxe_on(v))
        err |= PFERR_I;
    *f = (struct fault){.vec = VEC_PF, .has_err = true, .err = err, .cr2 = gla};
    return false;
}

static bool walk_allowed(const struct vcpu *v, const struct walk *w, unsigned access)
{
    if ((access & GMEM_USER) && !w->user)
        return false;
    if ((access & GMEM_WRITE) && !w->writable && ((access & GMEM_USER) || (v->cr0 & CR0_WP)))
        return false;
    return !((access & GMEM_FETCH) && w->nx);
}

bool mmu_walk(struct vcpu *v, gla_t gla, unsigned access, struct walk *w, struct fault *f)
{
    struct path p;

    if (!(v->cr0 & CR0_PG)) {
        walk_identity(gla, w);
    } else {
        enum path_end end = path_find(v, gla, &p);

        if (end != PATH_OK) {
            /* The directory entry has been used, even if the next step failed. */
            if (p.n == 2)
                path_mark(v->vm, &p, 0, PTE_A);
            return walk_fault(v, gla, access, end == PATH_RSVD ? PFERR_P | PFERR_RSVD : 0, f);
        }
        if (p.n == 2)
            path_mark(v->vm, &p, 0, PTE_A);
        walk_result(v, gla, &p, w);
        if (!walk_allowed(v, w, access))
            return walk_fault(v, gla, access, PFERR_P, f);
        path_mark(v->vm, &p, p.n - 1, access & GMEM_WRITE ? PTE_A | PTE_D : PTE_A);
        w->dirty = p.entry[p.n - 1] & PTE_D;
    }
    if (access & GMEM_FETCH) {
        if (access & GMEM_USER)
            user_code_note(v->vm->mmu, gla);
        else
            code_note(v, gla);
    }
    return true;
}

bool mmu_peek(struct vcpu *v, gla_t gla, struct walk *w)
{
    struct path p;

    if (!(v->cr0 & CR0_PG))
        walk_identity(gla, w);
    else if (path_find(v, gla, &p) == PATH_OK)
        walk_result(v, gla, &p, w);
    else
        return false;
    code_note(v, gla); /* the translator asks so after the pages of its code */
    return true;
}

bool gmem_load_pdptes(struct vcpu *v, uint32_t cr3, uint32_t cr4, uint64_t efer)
{
    uint64_t pdpte[4];

    (void)efer; /* bit 63 of a PDPTE is reserved with and without NXE */
    if (!(cr4 & CR4_PAE))
        return true;
    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = table_get64(v->vm, (cr3 & ~31u) + i * 8);
        if ((pdpte[i] & PTE_P) && (pdpte[i] & PAE_PDPTE_RSVD))
            return false;
    }
    memcpy(v->pdpte, pdpte, sizeof pdpte);
    return true;
}

static void cursor_directory(struct cursor *c, uint64_t pde)
{
    c->pde = pde;
    c->mapped = true;
    c->user = pde & PTE_U;
    c->writable = pde & PTE_W;
    c->accessed = pde & PTE_A;
    c->nx = c->pae && (pde & PTE_NX);
}

static void cursor_large(struct cursor *c, uint64_t pde, gpn_t gpn)
{
    c->large = true;
    c->dirty = pde & PTE_D;
    c->global = pde & PTE_G;
    c->gpn = gpn;
}

static void cursor_table(struct vcpu *v, struct cursor *c, gpa_t gpa, uint32_t offset)
{
    c->table = phys_page(v->vm, gpa) + offset;
    c->table_gpn = gpa_to_gpn(gpa);
}

static void cursor_load32(struct vcpu *v, struct cursor *c)
{
    uint32_t pde = (uint32_t)directory_entry(v, c->slot);
    bool large = (pde & PTE_PS) && (v->cr4 & CR4_PSE);

    if (!(pde & PTE_P) || (large && (pde & PSE_LARGE_RSVD)))
        return;
    cursor_directory(c, pde);
    if (large)
        cursor_large(c, pde, (pde >> 22 << 10) + c->slot % 2 * SLOT_PAGES);
    else
        cursor_table(v, c, pde & ~PAGE_MASK, c->slot % 2 * SLOT_PAGES * 4);
}

static void cursor_load_pae(struct vcpu *v, struct cursor *c)
{
    uint64_t pde = directory_entry(v, c->slot);
    bool large = pde & PTE_PS;

    if (!(pde & PTE_P) || pae_reserved(pde, large, c->nxe))
        return;
    cursor_directory(c, pde);
    if (large)
        cursor_large(c, pde, gpa_to_gpn(pde & PAE_ADDR));
    else
        cursor_table(v, c, pde & PAE_ADDR, 0);
}

void cursor_load(struct vcpu *v, uint32_t slot, struct cursor *c)
{
    *c = (struct cursor){.slot = slot, .pae = v->cr4 & CR4_PAE, .nxe = nxe_on(v)};
    if (!(v->cr0 & CR0_PG)) {
        cursor_directory(c, PTE_P | PTE_W | PTE_U | PTE_A);
        cursor_large(c, PTE_D, slot * SLOT_PAGES);
        c->nx = false;
    } else if (c->pae) {
        cursor_load_pae(v, c);
    } else {
        cursor_load32(v, c);
    }
}

/* What cannot be had from the guest's rights alone: is it RAM, does somebody have to see its writes, may it run directly? rights:
 * WORD_U, WORD_W, and WORD_X for what the guest may execute. */
static inline uint32_t word_make(const struct mmu *m, gpn_t gpn, enum view_kind kind, uint32_t rights)
{
    uint32_t word = gpn << PAGE_SHIFT | WORD_LIVE | (rights & WORD_U);

    if (kind == KIND_CODE)
        return word | (rights & WORD_X);
    if (kind == KIND_USER && !(rights & WORD_U))
        return 0;
    if ((rights & WORD_X) && (rights & WORD_U) && kind != KIND_KERNEL && gpn_held(m, gpn, HOLD_EXEC))
        word |= WORD_X;
    if ((rights & WORD_W) && gpn_kind(m, gpn) == PHYS_RAM && !gpn_traced(m, gpn))
        word |= WORD_W;
    return word;
}

static uint32_t large_word(const struct mmu *m, const struct cursor *c, unsigned i, enum view_kind kind)
{
    gpn_t gpn = c->gpn + i;
    uint32_t rights = (c->user ? WORD_U : 0) | (c->writable && c->dirty ? WORD_W : 0) | (c->nx ? 0 : WORD_X), word;

    if (gpn_kind(m, gpn) == PHYS_MMIO)
        return 0;
    word = word_make(m, gpn, kind, rights);
    return word ? word | WORD_L | (c->global ? WORD_G : 0) : 0;
}

_Static_assert(PTE_U == WORD_U && PTE_W == WORD_W, "rights of entries and words are the same bits");

uint32_t cursor_word(const struct mmu *m, const struct cursor *c, unsigned i, enum view_kind kind)
{
    uint32_t need = kind == KIND_CODE ? PTE_P : PTE_P | PTE_A, rights, word;
    uint64_t pte;
    gpn_t gpn;

    if (!c->mapped || !(c->accessed || kind == KIND_CODE))
        return 0;
    if (c->large)
        return large_word(m, c, i, kind);
    pte = c->pae ? get64(c->table + i * 8) : get32(c->table + i * 4);
    if ((pte & need) != need || (c->pae && pae_reserved(pte, false, c->nxe)))
        return 0;
    gpn = gpa_to_gpn(c->pae ? pte & PAE_ADDR : pte);
    if (gpn_kind(m, gpn) == PHYS_MMIO)
        return 0;
    rights = (uint32_t)pte & (uint32_t)c->pde & (pte & PTE_D ? PTE_U | PTE_W : PTE_U);
    if (!c->nx && !(c->pae && (pte & PTE_NX)))
        rights |= WORD_X;
    word = word_make(m, gpn, kind, rights);
    return word && (pte & PTE_G) ? word | WORD_G : word;
}
