/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control and debug registers, XCR0 and EFLAGS (SDM vol. 3A 2.3, 2.5, 2.6, 17.2; vol. 2 MOV CRn, POPF, IRET).
 *
 * A write first checks everything that can be refused (#GP(0) for
 * combinations and reserved bits, #UD for registers that do not exist), then
 * changes the register, then tells the MMU what changed.  Under PAE the four
 * page directory pointers are registers of the CPU: they are loaded, and
 * checked, by writes of CR3 and by those writes of CR0 and CR4 that change
 * paging bits (4.4.1).
 *
 * Switching PE leaves the hidden parts of the segment registers alone; code
 * runs on with them until it loads new ones.
 *
 * Not done: CR4.VME and PVI are not offered, so the VIF rules of POPF and IRET
 * are the plain ones.
 */
#include "cpu/control.h"
#include "cpu/cpuid.h"
#include "cpu/gmem.h"
#include "cpu/segment.h"

#define CR0_DEFINED (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
                     CR0_PG)
#define CR4_PAGING (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP | CR4_SMAP)
#define DR6_WRITABLE 0x0000e00fu
#define DR7_FIXED 0x00000400u
#define DR7_WRITABLE 0xffff23ffu
#define NOINLINE __attribute__((noinline)) /* what a write of CR3 does without */
#define XCR0_X87 BIT(0)
#define XCR0_SSE BIT(1)
#define XCR0_AVX BIT(2)
#define XCR0_AVX512 0xe0u

/* --- control registers --- */

bool cr_read(struct vcpu *v, unsigned cr, uint32_t *value, struct fault *f)
{
    switch (cr) {
    case 0: *value = v->cr0; return true;
    case 2: *value = v->cr2; return true;
    case 3: *value = v->cr3; return true;
    case 4: *value = v->cr4; return true;
    default: return fault_ud(f);
    }
}

static void cr_paging_changed(struct vcpu *v, uint32_t old_cr0, uint32_t old_cr4)
{
    if (((old_cr0 ^ v->cr0) & (CR0_PE | CR0_PG | CR0_WP)) || ((old_cr4 ^ v->cr4) & CR4_PAGING)) {
        v->mmu_mode_gen++;
        gmem_mode_changed(v, old_cr0, old_cr4, v->efer);
    }
}

static NOINLINE bool cr0_write(struct vcpu *v, uint32_t value, struct fault *f)
{
    uint32_t old = v->cr0, changed;

    value = (value & CR0_DEFINED) | CR0_ET;
    changed = old ^ value;
    if ((value & CR0_PG) && !(value & CR0_PE))
        return fault_gp(f, 0);
    if ((value & CR0_NW) && !(value & CR0_CD))
        return fault_gp(f, 0);
    if ((value & CR0_PG) && (v->cr4 & CR4_PAE) && (changed & (CR0_PG | CR0_CD | CR0_NW)) &&
        !gmem_load_pdptes(v, v->cr3, v->cr4, v->efer))
        return fault_gp(f, 0);
    v->cr0 = value;
    if (changed & CR0_PE) {
        v->cpl = 0;
        v->hsel_dirty = (1u << SEG_COUNT) - 1;
    }
    cr_paging_changed(v, old, v->cr4);
    return true;
}

static bool cr3_write(struct vcpu *v, uint32_t value, struct fault *f)
{
    if ((v->cr0 & CR0_PG) && (v->cr4 & CR4_PAE) && !gmem_load_pdptes(v, value, v->cr4, v->efer))
        return fault_gp(f, 0);
    v->cr3 = value;
    gmem_cr3_loaded(v);
    return true;
}

static uint32_t cr4_allowed(struct vcpu *v, uint32_t value)
{
    uint32_t mask = v->cpuid->cr4;

    if ((value & CR4_OSXSAVE) && ((v->cr4 & CR4_OSXSAVE) || cpuid_xcr0_mask(v)))
        mask |= CR4_OSXSAVE;
    return mask;
}

static NOINLINE bool cr4_write(struct vcpu *v, uint32_t value, struct fault *f)
{
    uint32_t old = v->cr4;

    if (value & ~cr4_allowed(v, value))
        return fault_gp(f, 0);
    if ((v->cr0 & CR0_PG) && (value & CR4_PAE) && ((old ^ value) & (CR4_PAE | CR4_PGE | CR4_PSE)) &&
        !gmem_load_pdptes(v, v->cr3, value, v->efer))
        return fault_gp(f, 0);
    v->cr4 = value;
    cr_paging_changed(v, v->cr0, old);
    return true;
}

bool cr_write(struct vcpu *v, unsigned cr, uint32_t value, struct fault *f)
{
    TRACE_EV(v->vm->trace, cr, cr, value, v->eip);
    switch (cr) {
    case 0: return cr0_write(v, value, f);
    case 2: v->cr2 = value; return true;
    case 3: return cr3_write(v, value, f);
    case 4: return cr4_write(v, value, f);
    default: return fault_ud(f);
    }
}

void cr_clts(struct vcpu *v)
{
    v->cr0 &= ~CR0_TS;
}

/* LMSW writes PE MP EM TS and can set PE but not clear it. */
void cr_lmsw(struct vcpu *v, uint16_t msw, struct fault *f, bool *ok)
{
    const uint32_t mask = CR0_PE | CR0_MP | CR0_EM | CR0_TS;

    *ok = cr_write(v, 0, (v->cr0 & ~(mask & ~CR0_PE)) | (msw & mask), f);
}

/* --- debug registers --- */

/* DR4 and DR5 are other names for DR6 and DR7 unless CR4.DE is set; 0..7, or -1. */
static int dr_number(const struct vcpu *v, unsigned dr)
{
    if (dr == 4 || dr == 5)
        return v->cr4 & CR4_DE ? -1 : (int)dr + 2;
    return dr < 8 ? (int)dr : -1;
}

bool dr_read(struct vcpu *v, unsigned dr, uint32_t *value, struct fault *f)
{
    int n = dr_number(v, dr);

    if (n < 0)
        return fault_ud(f);
    *value = v->dr[n];
    return true;
}

bool dr_write(struct vcpu *v, unsigned dr, uint32_t value, struct fault *f)
{
    int n = dr_number(v, dr);

    if (n < 0)
        return fault_ud(f);
    if (n == 6)
        value = (value & DR6_WRITABLE) | DR6_FIXED;
    else if (n == 7)
        value = (value & DR7_WRITABLE) | DR7_FIXED;
    v->dr[n] = value;
    return true;
}

/* --- XCR0 --- */

static bool xcr0_valid(struct vcpu *v, uint64_t value)
{
    uint64_t wide = value & XCR0_AVX512;

    if (!(value & XCR0_X87) || (value & ~cpuid_xcr0_mask(v)))
        return false;
    if ((value & XCR0_AVX) && !(value & XCR0_SSE))
        return false;
    return !wide || (wide == XCR0_AVX512 && (value & XCR0_AVX));
}

bool xcr_write(struct vcpu *v, uint32_t index, uint64_t value, struct fault *f)
{
    if (!(v->cr4 & CR4_OSXSAVE))
        return fault_ud(f);
    if (index != 0 || !xcr0_valid(v, value))
        return fault_gp(f, 0);
    v->xcr0 = value;
    return true;
}

/* --- EFLAGS --- */

void eflags_write(struct vcpu *v, uint32_t value, unsigned opsize, bool by_iret)
{
    uint32_t mask = EFLAGS_ARITH | EFLAGS_TF | EFLAGS_DF | EFLAGS_NT | EFLAGS_AC | EFLAGS_ID;
    uint32_t keep = v->eflags;

    if (v->cpl <= vcpu_iopl(v))
        mask |= EFLAGS_IF;
    if (v->cpl == 0)
        mask |= EFLAGS_IOPL;
    if (by_iret) {
        mask |= EFLAGS_RF;
        if (v->cpl == 0 && vcpu_pe(v))
            mask |= EFLAGS_VIF | EFLAGS_VIP;
    } else {
        keep &= ~EFLAGS_RF;
    }
    if (opsize == 2)
        mask &= 0xffff;
    v->eflags = (keep & ~mask) | (value & mask) | EFLAGS_FIXED;
}
