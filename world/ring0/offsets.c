// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Numbers of the ring-0 world for assembly sources and the linker: compiled to assembly, whose marked lines the
 * build turns into world/ring0/offsets.h.  Never linked.
 */
#include "world/ring0/ring0.h"

#define EMIT(text, value) __asm__ volatile("@define " text " %0" : : "i"(value))
#define CONSTANT(name) EMIT(#name, name)

void offsets(void)
{
    CONSTANT(BTMON_VERSION);
    CONSTANT(MON_MAGIC);
    CONSTANT(MON_IMAGE);
    CONSTANT(RING0_RAM_MIN);
    CONSTANT(RING0_RAM_MAX);
    CONSTANT(RING0_SHARED_MIN);
    CONSTANT(RING0_PRIVATE_MIN);
}
