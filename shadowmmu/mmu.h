/*
 * The shadow MMU: guest page walks, shadow fills, TLB semantics, code traces.
 *
 * World: monitor.  Units: gla/gpa in bytes, counts in 4 KiB pages.  Owner:
 * struct vm (vm->mmu, from vm->arena).  Errors: architectural faults come back
 * as values; resources that run out are dealt with by dropping shadow entries.
 *
 * Shadow entries behave as a TLB: guest page table writes are not intercepted;
 * INVLPG drops one page; a CR3 load revalidates the live entries against the guest's
 * tables and drops those that changed; global entries stay under CR4.PGE.
 *
 * Address-space objects ("views") are numbered: VIEW_KERNEL (K) holds everything the guest
 * kernel may use; user views (U) hold user pages only.  The object is keyed by (guest CR3, view).  In a world that
 * tells user pages by the U bit, views are spaces instead: each holds all pages of one guest CR3 and runs its kernel
 * and its user code, and VIEW_KERNEL is the part that all share.
 */
#ifndef SHADOWMMU_MMU_H
#define SHADOWMMU_MMU_H

#include "cpu/gmem.h"
#include "cpu/vcpu.h"

#define VIEW_KERNEL 0

/* Physical memory map. */
enum phys_kind { PHYS_RAM, PHYS_ROM, PHYS_MMIO };
/* gpa < 0xA0000 RAM; 0xA0000-0xBFFFF MMIO (no VGA); 0xC0000-0xFFFFF ROM (backed by RAM, writes ignored);
 * 1 MiB .. ram_size RAM; all else MMIO (reads all ones, writes ignored). */
enum phys_kind phys_kind(const struct vm *vm, gpa_t gpa);
/* Host pointer to a backed page (RAM or ROM), NULL otherwise. */
static inline uint8_t *phys_hva(const struct vm *vm, gpa_t gpa)
{
    return gpa < vm->ram_size ? vm->ram + gpa : NULL;
}

void mmu_init(struct vm *vm);
/* Forget everything (CPU reset). */
void mmu_reset(struct vm *vm);

/* A guest page walk. */
struct walk {
    gpa_t gpa;         /* of the byte asked for */
    uint32_t span;     /* bytes that this entry maps: 4 KiB, 2 MiB, 4 MiB; 4 GiB when paging is off */
    bool user, writable, nx, global, dirty;
};
/* Translate gla for `access` (enum gmem_access); checks rights (CR0.WP, U/S, NX, reserved bits), sets A and, for a write, D.
 * With paging off it is the identity. */
bool mmu_walk(struct vcpu *v, gla_t gla, unsigned access, struct walk *w, struct fault *f);
/* The same without rights checks or A/D: false if nothing is mapped. For looking only. */
bool mmu_peek(struct vcpu *v, gla_t gla, struct walk *w);

enum fill_result {
    FILL_MAPPED,     /* hidden fault: shadow now maps it; run on */
    FILL_TRUE,       /* *f is the guest's #PF */
    FILL_EMULATE,    /* MMIO, ROM write, CR0.WP=0 write, the window ...: interpret the instruction */
    FILL_TRACED,     /* a write to a page that holds translated code: caller interprets it (which invalidates) */
    FILL_SENSITIVE,  /* a fetch in a user view from a page that must not run directly: caller translates */
};
/* A host #PF at linear address gla with the *guest's* view of access (GMEM_WRITE, GMEM_USER). Maps runs of
 * neighbours with one world_map() where they are contiguous and equally permitted. */
enum fill_result mmu_fill(struct vcpu *v, unsigned view, gla_t gla, unsigned access, struct fault *f);

/* A true page fault is about to be returned from: map what the guest's handler has just made present
 * (CR2's page), if it is. */
void mmu_prefill(struct vcpu *v, unsigned view, gla_t gla);

/* The view that translated code runs in: VIEW_KERNEL, or the current address space's where views are spaces. */
unsigned mmu_kernel_view(struct vcpu *v);

/*
 * The user view to run the current address space in (needs world_direct_views() > 0). To be asked before each
 * world_enter_direct() after a CR3 load. Once it has been used, only the view that it returned last is
 * right; if it is never used, all user views are kept right for the current CR3.
 */
unsigned mmu_user_view(struct vcpu *v);

/* Lowest supervisor-only linear address now mapped in the kernel view at or above which user-mode segments must end
 * (page aligned; 0xFFC00000 when none).  It first drops low supervisor mappings if they lie below user pages.
 * */
gla_t mmu_user_limit(struct vcpu *v);

/*
 * User views map a page executable only after a look through it for instructions that direct execution would
 * show the host by; executable pages are writable nowhere (as if under a code trace) until they are written.
 * shows: DIRECT_SHOWS_*, what those instructions are.
 */
void mmu_scan_for(struct vm *vm, unsigned shows);

/* Code traces: write-protect a physical page in all views (idempotent), or lift it. */
void mmu_trace(struct vm *vm, gpn_t gpn);
void mmu_untrace(struct vm *vm, gpn_t gpn);
bool mmu_traced(const struct vm *vm, gpn_t gpn);

/*
 * Seam: a page under trace was written through gmem_write()/DMA; implemented by bt/, which drops translations
 * that overlap and may call mmu_untrace().
 */
void bt_code_written(struct vm *vm, gpa_t gpa, uint32_t len);

/*
 * What the translator must know of TLB events: counters that change when linear-to-physical mappings of
 * user pages, or of any page (incl. global), may have changed.
 */
struct mmu_gens {
    uint32_t user;    /* CR3 load, mode change, INVLPG; unless no fetch with GMEM_USER since it last changed was from around there */
    uint32_t global;  /* mapping of a page that held kernel code has changed, as found by a mode change, CR3
                         load or INVLPG. Counts pages seen by mmu_walk() or gmem_*() with GMEM_FETCH and without
                         GMEM_USER, and by mmu_peek(), since they last changed. */
};
const struct mmu_gens *mmu_gens(const struct vm *vm);

#endif
