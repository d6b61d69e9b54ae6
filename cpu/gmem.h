/*
 * Seam: guest memory by linear address, and the paging events of the CPU.
 *
 * World: monitor.  Implemented in shadowmmu/ (and by a fake in the unit
 * tests).  Units: bytes; an access may cross pages and wraps at 4 GiB.
 * Errors: true = done; false = *f holds the guest's #PF (exact error code and
 * CR2) and nothing was transferred or written.  A/D bits are set as a CPU
 * does.  MMIO and ROM are handled behind it.  Order: any.
 */
#ifndef CPU_GMEM_H
#define CPU_GMEM_H

#include "cpu/vcpu.h"

enum gmem_access {
    GMEM_READ = 0,
    GMEM_WRITE = 1,
    GMEM_USER = 2,   /* made at CPL 3: user rights apply */
    GMEM_FETCH = 4,  /* instruction fetch */
    GMEM_RMW = 1,    /* a read that will be written: checked as a write */
};

/* The access bits of an ordinary data access by v's current CPL. */
static inline unsigned gmem_cpl(const struct vcpu *v) { return v->cpl == 3 ? GMEM_USER : 0; }

bool gmem_read(struct vcpu *v, gla_t gla, void *buf, unsigned len, unsigned access, struct fault *f);
bool gmem_write(struct vcpu *v, gla_t gla, const void *buf, unsigned len, unsigned access, struct fault *f);
/*
 * Where an access goes that has been made before and whose translation is still known: a pointer to len bytes (>= 1),
 * good until the guest runs or another access is made. NULL: gmem_read() or gmem_write() will tell. To
 * be written through only if access says so; never to memory whose writes somebody must see.
 */
void *gmem_seen(struct vcpu *v, gla_t gla, unsigned len, unsigned access);
/* The same to be kept: for supervisor accesses it stays good until v->gmem_gen changes. */
void *gmem_keep(struct vcpu *v, gla_t gla, unsigned len, unsigned access);
/* Would this access fault?  Sets A/D like the access itself; transfers nothing. */
bool gmem_probe(struct vcpu *v, gla_t gla, unsigned len, unsigned access, struct fault *f);

/* Paging events, called by cpu/ after the register has its new value. */
void gmem_cr3_loaded(struct vcpu *v);
void gmem_mode_changed(struct vcpu *v, uint32_t old_cr0, uint32_t old_cr4, uint64_t old_efer);
void gmem_invlpg(struct vcpu *v, gla_t gla);
/* PAE: load v->pdpte[] from the table at cr3; false (#GP wanted) if reserved bits are set. */
bool gmem_load_pdptes(struct vcpu *v, uint32_t cr3, uint32_t cr4, uint64_t efer);

#endif
