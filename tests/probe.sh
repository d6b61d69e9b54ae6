#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What btvmm says of this host must be true, since other tests are skipped by its word: a 32-bit program runs where it
# says nothing, and not where it says that there is no 32-bit mode.  What a host lacks is one line, and status 1.
set -u
# shellcheck source=tests/lib.sh
. "${SRCDIR:-.}/tests/lib.sh"
program=${BUILDDIR:-.}/tests/program32
[ -x "$program" ] || exit 77
begin_in_tmp

"$program" 2> /dev/null
ran=$?
lack=$(host_lacks)
case $lack:$ran in
:32) ;;
*"32-bit compatibility mode"*:32) complain "a 32-bit program runs, and btvmm says: $lack" ;;
*"32-bit compatibility mode"*) refuses 1 'this host lacks' --world=proc /nowhere ;;
:*) complain "no 32-bit program runs (status $ran), and btvmm lacks nothing" ;;
*) refuses 1 'this host lacks' --world=proc /nowhere ;;
esac
exit $bad
