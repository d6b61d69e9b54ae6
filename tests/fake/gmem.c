// SPDX-License-Identifier: GPL-2.0-or-later
/* See the header. */
#include "tests/fake/gmem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cpu/control.h"

struct fake_gmem fake_gmem;

__attribute__((weak)) void bug_at(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: BUG: %s\n", file, line, what);
    abort();
}

struct vcpu *fake_vcpu_new(void)
{
    static struct vm vm;
    static struct vcpu v;
    static struct stats stats;
    static struct trace_ring trace;
    static struct cross cross;

    memset(&fake_gmem, 0, sizeof fake_gmem);
    memset(&vm, 0, sizeof vm);
    memset(&v, 0, sizeof v);
    memset(&stats, 0, sizeof stats);
    cross.config.host_has_nx = 1;
    cross.config.tsc_hz = 2500000000;
    vm.stats = &stats;
    vm.trace = &trace;
    vm.cross = &cross;
    vm.config = &cross.config;
    vm.vcpu = &v;
    v.vm = &vm;
    v.cpuid = cpuid_model_find("btvmm32");
    return &v;
}

static bool page_fault(struct fault *f, gla_t gla, uint32_t err, unsigned access)
{
    err |= (access & GMEM_WRITE ? PFERR_W : 0) | (access & GMEM_USER ? PFERR_U : 0);
    *f = (struct fault){.vec = VEC_PF, .has_err = true, .err = err, .cr2 = gla};
    return false;
}

static bool check(gla_t gla, unsigned len, unsigned access, struct fault *f)
{
    for (unsigned i = 0; i < len; i++) {
        gla_t at = gla + i;
        uint8_t flags = at < FAKE_MEM_SIZE ? fake_gmem.flags[at >> PAGE_SHIFT] : FAKE_ABSENT;

        if (flags & FAKE_ABSENT)
            return page_fault(f, at, 0, access);
        if (((flags & FAKE_READONLY) && (access & GMEM_WRITE)) ||
            ((flags & FAKE_SUPERVISOR) && (access & GMEM_USER)))
            return page_fault(f, at, PFERR_P, access);
    }
    return true;
}

bool gmem_read(struct vcpu *v, gla_t gla, void *buf, unsigned len, unsigned access, struct fault *f)
{
    (void)v;
    fake_gmem.reads++;
    if (!check(gla, len, access, f))
        return false;
    memcpy(buf, fake_gmem.mem + gla, len);
    return true;
}

void *gmem_seen(struct vcpu *v, gla_t gla, unsigned len, unsigned access)
{
    struct fault f;

    (void)v;
    return gla < FAKE_MEM_SIZE && check(gla, len, access, &f) ? fake_gmem.mem + gla : NULL;
}

void *gmem_keep(struct vcpu *v, gla_t gla, unsigned len, unsigned access)
{
    return gmem_seen(v, gla, len, access);
}

bool gmem_write(struct vcpu *v, gla_t gla, const void *buf, unsigned len, unsigned access, struct fault *f)
{
    (void)v;
    fake_gmem.writes++;
    if (!check(gla, len, access | GMEM_WRITE, f))
        return false;
    memcpy(fake_gmem.mem + gla, buf, len);
    return true;
}

bool gmem_probe(struct vcpu *v, gla_t gla, unsigned len, unsigned access, struct fault *f)
{
    (void)v;
    fake_gmem.probes++;
    return check(gla, len, access, f);
}

void gmem_cr3_loaded(struct vcpu *v)
{
    (void)v;
    fake_gmem.cr3_loads++;
}

void gmem_mode_changed(struct vcpu *v, uint32_t old_cr0, uint32_t old_cr4, uint64_t old_efer)
{
    (void)v;
    (void)old_efer;
    fake_gmem.mode_changes++;
    fake_gmem.old_cr0 = old_cr0;
    fake_gmem.old_cr4 = old_cr4;
}

void gmem_invlpg(struct vcpu *v, gla_t gla)
{
    (void)v;
    (void)gla;
}

bool gmem_load_pdptes(struct vcpu *v, uint32_t cr3, uint32_t cr4, uint64_t efer)
{
    (void)cr4;
    (void)efer;
    fake_gmem.pdpte_loads++;
    if (fake_gmem.pdptes_bad)
        return false;
    for (unsigned i = 0; i < 4; i++)
        v->pdpte[i] = cr3 + i;
    return true;
}
