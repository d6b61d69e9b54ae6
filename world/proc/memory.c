/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shadow page tables of the process world: guest RAM's memfd, mapped at the guest's linear addresses.
 *
 * The kernel view never maps guest pages executable: all code there is translated.  Unmapping leaves a hole;
 * nothing else of the process lives below 4 GiB.  Out of VMAs or memory is the caller's to handle (it drops
 * entries and tries again); any other refusal of the host is a bug.
 */
#include "world/proc/kview.h"
#include "world/proc/uview.h"

#include "base/assert.h"

static int host_prot(unsigned prot) { return SYS_PROT_READ | (prot & MAP_W ? SYS_PROT_WRITE : 0); }

static int host_flags(unsigned prot)
{
    return SYS_MAP_SHARED | SYS_MAP_FIXED | (prot & MAP_SOON ? SYS_MAP_POPULATE : 0);
}

static bool mapped(long err)
{
    ASSERT(err >= 0 || err == -SYS_ENOMEM);
    return err >= 0;
}

static void range_check(struct vm *vm, gla_t gla, uint32_t npages)
{
    ASSERT(!page_offset(gla) && npages && gla >= vm->world->min_gla);
    ASSERT((uint64_t)gla + ((uint64_t)npages << PAGE_SHIFT) <= WIN_BASE);
}

bool world_map(struct vm *vm, unsigned view, gla_t gla, gpa_t gpa, uint32_t npages, unsigned prot)
{
    uint64_t len = (uint64_t)npages << PAGE_SHIFT;

    ASSERT(!(gpa & PAGE_MASK) && gpa < vm->ram_size && len <= vm->ram_size - gpa);
    if (view)
        return uview_map(vm, view, gla, gpa, npages, prot);
    range_check(vm, gla, npages);
    if (npages == 1 && (prot & MAP_SOON) && reserve_map(vm->world, gla, gpa, host_prot(prot)))
        return true;
    reserve_drop(vm->world, gla, npages);
    return mapped(sys6(SYS_NR_mmap, (long)gla, (long)len, host_prot(prot), host_flags(prot),
                       vm->world->ram_fd, (long)gpa));
}

bool world_protect(struct vm *vm, unsigned view, gla_t gla, uint32_t npages, unsigned prot)
{
    if (view)
        return uview_protect(vm, view, gla, npages, prot);
    range_check(vm, gla, npages);
    reserve_drop(vm->world, gla, npages);
    return mapped(sys3(SYS_NR_mprotect, (long)gla, (long)npages << PAGE_SHIFT, host_prot(prot)));
}

bool world_unmap(struct vm *vm, unsigned view, gla_t gla, uint32_t npages)
{
    if (view)
        return uview_unmap(vm, view, gla, npages);
    range_check(vm, gla, npages);
    reserve_drop(vm->world, gla, npages);
    return mapped(sys3(SYS_NR_munmap, (long)gla, (long)npages << PAGE_SHIFT, 0));
}

bool world_spaces(struct vm *vm)
{
    (void)vm;
    return false;
}

void world_load_view(struct vm *vm, unsigned view)
{
    (void)vm, (void)view;
    NOT_REACHED();
}

bool world_take_dirty(struct vm *vm, unsigned view, gla_t gla)
{
    (void)vm, (void)view, (void)gla;
    NOT_REACHED();
}

const uint64_t *world_entry(struct vm *vm, unsigned view, gla_t gla)
{
    (void)vm, (void)view, (void)gla;
    NOT_REACHED();
}

gla_t world_min_gla(struct vm *vm) { return vm->world->min_gla; }
