#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Each instruction of the world switch under single steps, with an NMI behind it.
. "${SRCDIR:-.}/tests/ring0/lib.sh"

tests()
{
    kmod_run "$1" "stress=100" --timeout 300
}

for_kernels tests
