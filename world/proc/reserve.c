/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages of the kernel view that are mapped ahead of their time.
 *
 * A program that touches new memory page by page gets pages from the guest's kernel that mostly follow on from each
 * other in RAM too. To map and populate one is the dearest part of such a touch; to give rights to a page that is
 * mapped and populated without any costs half of that. So when a page follows on from the last one, more are mapped
 * behind it without rights, for the guest's tables to come to hold just these.
 *
 * There is one such reservation at a time. It has no live page in it: MAP_FIXED_NOREPLACE sees to that when it is made,
 * and whatever else is mapped, protected or unmapped there ends it.
 */
#include "world/proc/kview.h"
#include "world/proc/sys.h"

#include "base/bits.h"
#include "world/cross.h"

#define RESERVE_MIN 4u
#define RESERVE_MAX 64u

static long at(uint32_t page) { return (long)page << PAGE_SHIFT; }

void reserve_drop(struct world *w, gla_t gla, uint32_t npages)
{
    struct reserve *r = &w->reserve;
    uint32_t first = gla >> PAGE_SHIFT;

    if (r->next == r->end || first >= r->end || first + npages <= r->next)
        return;
    sys3(SYS_NR_munmap, at(r->next), at(r->end - r->next), 0);
    r->end = r->next;
}

/* This page and some behind it; false: something is in the way. */
static bool reserve_make(struct world *w, uint32_t page, gpa_t gpa, int prot)
{
    const int flags = SYS_MAP_SHARED | SYS_MAP_FIXED_NOREPLACE | SYS_MAP_POPULATE;
    struct reserve *r = &w->reserve;
    uint64_t room = min_u64((w->vm->ram_size - gpa) >> PAGE_SHIFT, (WIN_BASE >> PAGE_SHIFT) - page);
    uint32_t n = (uint32_t)min_u64(r->size, room);

    reserve_drop(w, (gla_t)at(r->next), r->end - r->next);
    r->size /= 2;
    if (n < 2 || sys6(SYS_NR_mmap, at(page), at(n), prot, flags, w->ram_fd, (long)gpa) != at(page))
        return false;
    if (sys3(SYS_NR_mprotect, at(page + 1), at(n - 1), SYS_PROT_NONE)) {
        sys3(SYS_NR_munmap, at(page), at(n), 0);
        return false;
    }
    r->next = page + 1;
    r->end = page + n;
    r->size = (uint32_t)min_u64(2 * n, RESERVE_MAX);
    return true;
}

bool reserve_map(struct world *w, gla_t gla, gpa_t gpa, int prot)
{
    struct reserve *r = &w->reserve;
    uint32_t page = gla >> PAGE_SHIFT;
    bool follows = page == r->last + 1 && gpa == r->last_gpa + PAGE_SIZE;

    r->last = page;
    r->last_gpa = gpa;
    if (!follows || w->cross->config.bt.no_reserve) {
        r->size = RESERVE_MIN;
        return false;
    }
    if (page != r->next || page == r->end)
        return reserve_make(w, page, gpa, prot);
    if (sys3(SYS_NR_mprotect, at(page), PAGE_SIZE, prot))
        return false;
    r->next++;
    return true;
}
