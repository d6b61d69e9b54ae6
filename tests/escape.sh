#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# User code that gets out of direct execution: by the host's 64-bit code selector, there to a system call of any
# kind or nowhere. The VM ends at once with one clear line and status 1.
set -u
# shellcheck source=tests/lib.sh
. "${SRCDIR:-.}/tests/lib.sh"
need_process_world
guest=${BUILDDIR:-.}/tests/guest/escape.elf
[ -f "$guest" ] || exit 77
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT

run() { # WORD
    timeout 30 "$btvmm" --user-exec=direct -no-reboot -append "$1" "$guest" < /dev/null > "$tmp/out" 2> "$tmp/err"
}

ends() { # WORD TEXT
    run "$1"
    got=$?
    [ $got = 1 ] || complain "$1: status $got"
    [ -s "$tmp/out" ] && complain "$1: $(cat "$tmp/out")"
    said=$(grep '^btvmm: ' "$tmp/err" | grep -v 'warning:')
    echo "$said" | grep -q "left its sandbox's rules ($2)" || complain "$1: '$2' is not what it says: $said"
    [ "$(echo "$said" | wc -l)" = 1 ] || complain "$1: more than one line: $said"
}

# The guest itself: nothing asked for, it goes on and its status is its own.
run nothing
[ $? = 1 ] && grep -q '^went on' "$tmp/out" || complain "the guest does not run: $(cat "$tmp/err")"

for way in fault getpid int80 open mmap mprotect kill spin; do
    ends $way 'code segment'
done

# Protection keys are the one thing that is not seen: what they deny lasts to the first trap.
run keys
[ $? = 1 ] || complain "keys: status is not the guest's own: $(cat "$tmp/err")"
grep -Eq '^went on, trap 000000(06|90)' "$tmp/out" || complain "keys: $(cat "$tmp/out")"
exit $bad
