/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The FPU fence: around library code inside the monitor.
 *
 * The monitor is compiled without vector registers, so the guest's x87/SSE/AVX state simply stays in the CPU.
 * Code from a library may use them, and may read its stack-protector canary through FS: the fence saves the
 * guest's state with XSAVEC (only components in use are written, SDM vol. 1 13.10) and lends it the host's FS
 * base.  Fences nest.
 */
#include "world/proc/kview.h"

#include "base/assert.h"

#define MXCSR_DEFAULT 0x1f80u

void world_fence_begin(struct vm *vm)
{
    struct world *w = vm->world;
    uint32_t mxcsr = MXCSR_DEFAULT;

    if (w->fence_depth++)
        return;
    if (w->has_xsavec)
        __asm__ volatile("xsavec64 (%0)" : : "r"(w->fence_area), "a"(-1), "d"(-1) : "memory");
    else
        __asm__ volatile("xsave64 (%0)" : : "r"(w->fence_area), "a"(-1), "d"(-1) : "memory");
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    w->fence_fs = rdfsbase();
    wrfsbase(w->host_fs);
}

void world_fence_end(struct vm *vm)
{
    struct world *w = vm->world;

    ASSERT(w->fence_depth);
    if (--w->fence_depth)
        return;
    wrfsbase(w->fence_fs);
    __asm__ volatile("xrstor64 (%0)" : : "r"(w->fence_area), "a"(-1), "d"(-1) : "memory");
}
