/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm_stop(): the first reason wins, later ones are its consequences.
 */
#include "base/vm.h"

#include "base/fmt.h"

void vm_stop(struct vm *vm, enum vm_stop_kind kind, const char *format, ...)
{
    va_list ap;

    if (vm->stop != VM_RUNNING)
        return;
    vm->stop = kind;
    va_start(ap, format);
    fmt_v(vm->stop_msg, sizeof vm->stop_msg, format, ap);
    va_end(ap);
}
