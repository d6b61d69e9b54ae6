#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two CPUs, three VMs, and NMIs.
. "${SRCDIR:-.}/tests/ring0/lib.sh"

tests()
{
    kmod_run "$1" "nmi" --smp 2 --nmi 0.02 --timeout 200
}

for_kernels tests
