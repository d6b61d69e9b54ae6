/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User views: not there yet; world_direct_views() says so.
 */
#include "world/proc/uview.h"

#include "base/assert.h"
#include "world/proc/kview.h"

bool uview_map(struct vm *vm, unsigned view, gla_t gla, gpa_t gpa, uint32_t npages, unsigned prot)
{
    (void)vm, (void)view, (void)gla, (void)gpa, (void)npages, (void)prot;
    BUG("no such view");
}

bool uview_protect(struct vm *vm, unsigned view, gla_t gla, uint32_t npages, unsigned prot)
{
    (void)vm, (void)view, (void)gla, (void)npages, (void)prot;
    BUG("no such view");
}

bool uview_unmap(struct vm *vm, unsigned view, gla_t gla, uint32_t npages)
{
    (void)vm, (void)view, (void)gla, (void)npages;
    BUG("no such view");
}

unsigned world_direct_views(struct vm *vm) { return vm->world->uviews; }

void world_enter_direct(struct vcpu *v, unsigned view)
{
    (void)v, (void)view;
    BUG("no such view");
}
