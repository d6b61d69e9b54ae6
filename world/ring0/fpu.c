// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's FPU state around switches to the host, and its view of XCR0.
 *
 * The registers hold the guest's state at all times in the VMM world. It is saved before the host runs and loaded
 * afterwards: eagerly, for that costs less than one CR3 write; a lazy scheme would need a #NM for each switch
 * after which the guest computes.
 *
 * CR4.OSXSAVE and XCR0 are the guest's own while it runs: without them there is no AVX, XGETBV tells the truth, and the
 * image that is saved is no larger than the guest's state. They follow the guest's when it is entered (it changes
 * them once, when it starts) and are the host's again before the host is.
 */
#include "world/ring0/ring0.h"

#define FCW_DEFAULT 0x037fu
#define MXCSR_DEFAULT 0x1f80u
#define FXSAVE_SIZE 512u
#define FXSAVE_MXCSR 24
#define XSAVE_HEADER_SIZE 64u
#define XCR0_LEGACY 3u /* x87 and SSE */
#define CPUID_XSAVEOPT BIT(0)

static void cpuid_count(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "0"(leaf), "2"(subleaf));
}

static void write_cr4(uint64_t x) { __asm__ volatile("mov %0, %%cr4" : : "r"(x) : "memory"); }

static uint64_t read_xcr0(void)
{
    uint32_t lo, hi;

    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static void write_xcr0(uint64_t x)
{
    __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)x), "d"((uint32_t)(x >> 32)));
}

/* xcr0 0: CR4.OSXSAVE clear. */
static void xcr0_set(struct world *w, uint64_t xcr0)
{
    if (xcr0) {
        if (!w->xcr0)
            write_cr4(w->cross->vmm_cr4);
        write_xcr0(xcr0);
    } else {
        write_cr4(w->cross->vmm_cr4 & ~(uint64_t)CR4_OSXSAVE);
    }
    w->xcr0 = xcr0;
}

void ring0_fpu_load(struct world *w)
{
    if (!w->xcr0)
        __asm__ volatile("fxrstor64 (%0)" : : "r"(w->fpu) : "memory");
    else
        __asm__ volatile("xrstor64 (%0)" : : "r"(w->fpu), "a"(-1), "d"(-1) : "memory");
}

void ring0_fpu_save(struct world *w)
{
    if (!w->xcr0)
        __asm__ volatile("fxsave64 (%0)" : : "r"(w->fpu) : "memory");
    else if (w->has_xsaveopt)
        __asm__ volatile("xsaveopt64 (%0)" : : "r"(w->fpu), "a"(-1), "d"(-1) : "memory");
    else
        __asm__ volatile("xsave64 (%0)" : : "r"(w->fpu), "a"(-1), "d"(-1) : "memory");
}

/* Components that the guest has not had before are in their initial state, not as the host left them. */
void ring0_xcr0_change(struct world *w, uint64_t want)
{
    ring0_fpu_save(w);
    if (!w->xcr0) {
        memset((uint8_t *)w->fpu + FXSAVE_SIZE, 0, XSAVE_HEADER_SIZE);
        put64((uint8_t *)w->fpu + FXSAVE_SIZE, XCR0_LEGACY);
    }
    xcr0_set(w, want);
    ring0_fpu_load(w);
}

uint64_t ring0_xcr0_restore(struct world *w)
{
    uint64_t guest = w->xcr0;

    if (guest != w->xcr0_host)
        xcr0_set(w, w->xcr0_host);
    return guest;
}

void ring0_xcr0_take(struct world *w, uint64_t guest)
{
    w->xcr0 = w->xcr0_host; /* the module loads CR4 as it is said to be in the VMM world */
    if (guest != w->xcr0_host)
        xcr0_set(w, guest);
}

/* The guest starts with the state after INIT: what an image says that names no component, and FXSAVE's words. */
void ring0_fpu_init(struct world *w)
{
    uint32_t out[4] = { 0, FXSAVE_SIZE };

    if (w->cross->vmm_cr4 & CR4_OSXSAVE) {
        cpuid_count(0xd, 1, out);
        w->has_xsaveopt = out[0] & CPUID_XSAVEOPT;
        cpuid_count(0xd, 0, out);
        w->xcr0 = w->xcr0_host = read_xcr0();
    }
    w->fpu = arena_alloc(&w->vm->arena, out[1], 64);
    put16(w->fpu, FCW_DEFAULT);
    put32((uint8_t *)w->fpu + FXSAVE_MXCSR, MXCSR_DEFAULT);
    ring0_fpu_load(w);
}
