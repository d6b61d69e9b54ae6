/*
 * User views: sandboxed processes that hold nothing but guest user pages and run user code directly.
 *
 * World: monitor, kernel view.  Views are numbered from 1.  Errors: false = the host ran out of something.
 */
#ifndef WORLD_PROC_UVIEW_H
#define WORLD_PROC_UVIEW_H

#include "world/world.h"

bool uview_map(struct vm *vm, unsigned view, gla_t gla, gpa_t gpa, uint32_t npages, unsigned prot);
bool uview_protect(struct vm *vm, unsigned view, gla_t gla, uint32_t npages, unsigned prot);
bool uview_unmap(struct vm *vm, unsigned view, gla_t gla, uint32_t npages);

#endif
