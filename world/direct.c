// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Direct execution of user code: the decision, and the exits.
 */
#include "world/direct.h"

void direct_init(struct vm *vm)
{
    (void)vm;
}

bool direct_wanted(struct vcpu *v)
{
    (void)v;
    return false;
}

void direct_run(struct vcpu *v)
{
    (void)v;
}

void direct_note_translated(struct vcpu *v, unsigned entered_cpl)
{
    (void)v;
    (void)entered_cpl;
}
