#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The module's requests: address space, what the host gets back, alarms, errors, limits; loading and unloading,
# callers that are killed, requests at random.
. "${SRCDIR:-.}/tests/ring0/lib.sh"

tests()
{
    kmod_run "$1" "basic aspace state alarm busy errors limit dead leak reload kill_callers fuzz" --timeout 300
}

for_kernels tests
