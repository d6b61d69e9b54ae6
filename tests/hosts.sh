#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Hosts that lack something, arranged by tests/without: what btvmm needs is missed in one line, with status 1; what it
# can do without changes nothing that a guest sees.
set -u
# shellcheck source=tests/lib.sh
. "${SRCDIR:-.}/tests/lib.sh"
need_process_world
without=${BUILDDIR:-.}/tests/without
image=${BUILDDIR:-.}/guest.img
[ -x "$without" ] || { echo "no $without"; exit 99; }
[ -f "$image" ] || exit 77
"$without" memfd true || { echo "the lack of something can't be arranged here"; exit 77; }
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT

# misses WHAT TEXT
misses() {
    timeout 60 "$without" "$1" "$btvmm" --world=proc "$image" > "$tmp/out" 2> "$tmp/err" < /dev/null
    got=$?
    [ $got = 1 ] || complain "without $1: status $got, not 1"
    [ "$(wc -l < "$tmp/err")" = 1 ] || complain "without $1: not one line: $(cat "$tmp/err")"
    [ -s "$tmp/out" ] && complain "without $1: wrote to standard output"
    grep -q "^btvmm: .*$2" "$tmp/err" || complain "without $1: '$2' not in: $(cat "$tmp/err")"
}

misses modify_ldt 'lacks modify_ldt'
misses compat 'lacks 32-bit compatibility mode'
misses fsgsbase 'lacks the FSGSBASE'
misses seccomp 'lacks seccomp filters'
misses memfd 'guest RAM of 128 MiB: Function not implemented'
misses fork 'no process can be started'

for mode in auto translate; do
    timeout 120 "$without" cpuid-faulting "$btvmm" --user-exec=$mode "$image" > "$tmp/out" 2> "$tmp/err" < /dev/null ||
        complain "without CPUID faulting, $mode: status $?"
    [ -s "$tmp/err" ] && complain "without CPUID faulting, $mode: $(cat "$tmp/err")"
    grep -q 'hello from ring 3' "$tmp/out" || complain "without CPUID faulting, $mode: no user program ran"
done

# What direct code may find on the processor is then what "auto" tells the guest too, and can be had otherwise.
host=$(awk '$1 == "vendor_id" { print $3; exit }' /proc/cpuinfo)
for shown in "auto $host" "host $host" "btvmm32 GenuineIntel"; do
    timeout 120 "$without" cpuid-faulting "$btvmm" "--cpu=${shown% *}" "$image" > "$tmp/out" 2> "$tmp/err" < /dev/null
    grep -q "^cpu: ${shown#* }," "$tmp/out" || complain "without CPUID faulting, --cpu=${shown% *}: not ${shown#* }"
done

exit $bad
