// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which view is for which of the guest's address spaces.
 *
 * User views belong to a CR3 value each. Those of other address spaces can
 * wait until they are chosen again; until a caller chooses views by
 * mmu_user_view(), all are kept right at once.
 *
 * Spaces belong to a CR3 value each too, but hold the kernel's own pages besides, so a CR3 load chooses one at once
 * and the world loads it. A slot in which it has no word of its own shows view 0's: the global supervisor
 * pages, which a kernel's address spaces have in common. They are filled once for all of them, and as global
 * pages of a TLB would, they outlive CR3 loads whatever the new tables say.
 *
 * A view that is current is right at any time; one that is not may miss flushes, and is compared with the guest's tables
 * when it becomes so (stale).
 */
#include "shadowmmu/mmu_priv.h"

bool view_current(const struct mmu *m, const struct view *view)
{
    switch (view->kind) {
    case KIND_SPACE:
        return view == m->space;
    case KIND_USER:
        return !m->lazy_views;
    default:
        return true;
    }
}

void view_sync(struct vcpu *v, struct view *view)
{
    live_revalidate(v, view, 0, GLA_PAGES, true, NULL);
    view->cr3 = v->cr3;
    view->bound = true;
    view->stale = false;
}

static struct view *view_find(const struct mmu *m, uint32_t cr3)
{
    for (unsigned i = 1; i < m->nviews; i++)
        if (m->view[i]->cr3 == cr3 && m->view[i]->bound)
            return m->view[i];
    return NULL;
}

/* The view to give up for another CR3. */
static struct view *view_oldest(const struct mmu *m)
{
    struct view *oldest = m->view[1];

    for (unsigned i = 1; i < m->nviews && oldest->bound; i++)
        if (!m->view[i]->bound || m->view[i]->used_at < oldest->used_at)
            oldest = m->view[i];
    return oldest;
}

static struct view *user_view_choose(struct vcpu *v)
{
    struct mmu *m = v->vm->mmu;
    struct view *view;

    for (unsigned i = 1; i < m->nviews && !m->lazy_views; i++)
        m->view[i]->stale = true;
    m->lazy_views = true;
    view = view_find(m, v->cr3);
    if (!view || view->stale) {
        view = view ? view : view_oldest(m);
        view_sync(v, view);
    }
    return view;
}

unsigned mmu_kernel_view(struct vcpu *v)
{
    const struct mmu *m = v->vm->mmu;

    return m->space ? m->space->id : VIEW_KERNEL;
}

unsigned mmu_user_view(struct vcpu *v)
{
    struct mmu *m = v->vm->mmu;
    struct view *view;

    ASSERT(m->nviews > 1);
    view = m->space ? m->space : user_view_choose(v);
    view->used_at = ++m->clock;
    return view->id;
}

/* Another space than the current one, empty if none is for this CR3. */
static struct view *space_choose(struct vm *vm, struct mmu *m, uint32_t cr3)
{
    struct view *space = view_find(m, cr3);

    if (likely(space))
        return space;
    space = view_oldest(m);
    live_drop_all(vm, space);
    space->bound = true;
    space->cr3 = cr3;
    return space;
}

bool space_switch(struct vcpu *v)
{
    struct vm *vm = v->vm;
    struct mmu *m = vm->mmu;
    struct view *space = m->space;

    if (space->cr3 == v->cr3 && space->bound)
        return false;
    space->used_at = ++m->clock;
    space->stale = true;
    space->flushes = m->flushes;
    space = space_choose(vm, m, v->cr3);
    space->stale = false;
    m->space = space;
    m->user_limit_known = false;
    world_load_view(vm, space->id);
    return space->flushes != m->flushes;
}

void space_reset(struct vm *vm)
{
    struct mmu *m = vm->mmu;

    if (!m->space)
        return;
    for (unsigned i = 1; i < m->nviews; i++)
        m->view[i]->bound = m->view[i]->stale = false;
    m->space->bound = true;
    m->space->cr3 = vm->vcpu->cr3;
    m->user_limit_known = false;
}

static struct view *view_new(struct vm *vm, enum view_kind kind, unsigned id)
{
    struct view *view = arena_alloc(&vm->arena, sizeof *view, 64);

    view->kind = kind;
    view->id = (uint8_t)id;
    return view;
}

void views_init(struct vm *vm)
{
    struct mmu *m = vm->mmu;
    enum view_kind kind = world_spaces(vm) ? KIND_SPACE : KIND_USER;

    m->nviews = 1 + (unsigned)min_u64(world_direct_views(vm), VIEWS_MAX - 1);
    for (unsigned i = 0; i < m->nviews; i++)
        m->view[i] = view_new(vm, i == VIEW_KERNEL ? KIND_KERNEL : kind, i);
    m->code = view_new(vm, KIND_CODE, VIEWS_MAX);
    if (kind != KIND_SPACE)
        return;
    ASSERT(m->nviews > 1);
    m->space = m->view[1];
    world_load_view(vm, m->space->id);
}
