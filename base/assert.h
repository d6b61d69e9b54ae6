/*
 * Our own bugs, and how sure the author was.
 *
 * World: any.  bug_at() is bound at link time by each image's world (it dumps
 * and ends the VM, never the host silently) and does not return.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include "base/types.h"

__attribute__((noreturn, cold)) void bug_at(const char *file, int line, const char *what);

#define BUG(what) bug_at(__FILE__, __LINE__, what)
#define ASSERT(cond) ((cond) ? (void)0 : bug_at(__FILE__, __LINE__, #cond))
#define NOT_REACHED() bug_at(__FILE__, __LINE__, "not reached")

#endif
