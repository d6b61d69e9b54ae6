/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The trace ring's writer, and vm_stop()'s first reason. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/vm.h"

Test(base_trace, mask_selects_and_ring_wraps)
{
    struct trace_ring *t = calloc(1, sizeof *t);

    TRACE_EV(t, smc, 1, 2, 3);
    cr_assert_eq(t->head, 0);
    t->mask = 1ull << TRACE_smc;
    TRACE_EV(t, tu, 1, 2, 3);
    cr_assert_eq(t->head, 0);
    for (uint32_t i = 0; i < TRACE_RECORDS + 2; i++)
        TRACE_EV(t, smc, i, i + 1, i + 2);
    cr_assert_eq(t->head, TRACE_RECORDS + 2);
    cr_assert_eq(t->rec[1].a, TRACE_RECORDS + 1);
    cr_assert_eq(t->rec[2].a, 2);
    cr_assert_eq(t->rec[2].b, 3);
    cr_assert_eq(t->rec[2].c, 4);
    cr_assert_eq(t->rec[2].event, TRACE_smc);
    cr_assert_geq(t->rec[1].tsc, t->rec[2].tsc);
    free(t);
}

Test(base_vm, first_reason_wins)
{
    struct vm *vm = calloc(1, sizeof *vm);

    vm_stop(vm, VM_STOP_UNSUPPORTED, "cpu: %s at %#x", "task gate", 0x1234);
    vm_stop(vm, VM_STOP_BUG, "later");
    cr_assert_eq(vm->stop, VM_STOP_UNSUPPORTED);
    cr_assert_str_eq(vm->stop_msg, "cpu: task gate at 0x1234");
    free(vm);
}
