#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The world switch on several CPU models and with the kernel's variants: 4- and 5-level paging, page-table isolation.
. "${SRCDIR:-.}/tests/ring0/lib.sh"

tests()
{
    kmod_run "$1" "basic aspace state=2 alarm stress=5" --append "pti=on" --timeout 200
    kmod_run "$1" "basic aspace state=2 alarm stress=5" --append "no5lvl pti=on" --timeout 200
    kmod_run "$1" "basic aspace state=2 alarm stress=5" --append "no5lvl pti=off" --timeout 200
    kmod_run "$1" "basic aspace state=2 alarm stress=5" --cpu Nehalem --timeout 200
    kmod_run "$1" "basic aspace state=2 alarm stress=5" --cpu EPYC --timeout 200
}

for_kernels tests
