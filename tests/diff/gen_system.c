/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System-level instructions as user code sees them: segment registers, far
 * transfers and IRET within CPL 3, the whole of POPF's image.
 */
#include "tests/diff/gen.h"

void put_system(struct gen *q)
{
    put_weighted_form(q);
}
