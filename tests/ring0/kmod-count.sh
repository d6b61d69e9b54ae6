#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# With one instruction a nanosecond: how many a switch takes, and that the host neither loses interrupts nor gets them twice.
. "${SRCDIR:-.}/tests/ring0/lib.sh"

tests()
{
    kmod_run "$1" "count interrupts" --icount --timeout 200
}

for_kernels tests
