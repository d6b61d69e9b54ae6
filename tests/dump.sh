#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a triple fault, or a broken monitor, leaves: one line that says so, registers, the code at EIP, the translated blocks that ran last,
# the stack with return addresses; all with the guest's symbols.
set -u
# shellcheck source=tests/lib.sh
. "${SRCDIR:-.}/tests/lib.sh"
need_process_world
guest=${BUILDDIR:-.}/tests/guest/triple.elf
[ -f "$guest" ] || exit 77
err=$(mktemp) || exit 99
trap 'rm -f "$err"' EXIT

ends() { # OPTION...
    timeout 60 "$btvmm" -no-reboot "$@" "$guest" < /dev/null 2> "$err" > /dev/null
    status=$?
    [ $status = 1 ] || complain "$*: status $status"
    [ "$(grep -c '^btvmm: .*triple fault' "$err")" = 1 ] || complain "$*: no single line"
    for want in 'esi=600df00d' '^guest code at .*<block_end' 'int3' '<call_with_back>'; do
        grep -q "$want" "$err" || complain "$*: no $want"
    done
}

ends
grep -q '^translated blocks .*nochain,noindirect shows all' "$err" || complain "no hint"
ends -d nochain,noindirect
grep -q '^translated blocks .*first:$' "$err" || complain "a hint for nothing"
for block in block_one block_two block_three block_end; do
    sed -n '/^translated blocks/,/^guest stack/p' "$err" | grep -q "^  [0-9a-f]* <$block" || complain "no block $block"
done
ends -d interp

breaks() { # BUG TEXT
    timeout 60 "$btvmm" -d monitorbug="$1" "$image" < /dev/null 2> "$err" > /dev/null
    status=$?
    [ $status = 1 ] || complain "monitorbug=$1: status $status"
    [ "$(grep -c '^btvmm: ' "$err")" = 1 ] && head -n 1 "$err" | grep -Eq "^btvmm: internal error: $2" ||
        complain "monitorbug=$1: no single line: $(head -n 1 "$err")"
    grep -q '^ stack' "$err" && grep -q '^eip=' "$err" || complain "monitorbug=$1: no dump"
}

image=${BUILDDIR:-.}/guest.img
if [ -f "$image" ]; then
    breaks assert 'bug: .*monitorbug.c:[0-9]*: '
    breaks wild 'world: signal 11 \(trap 14\) in the monitor'
    breaks stack 'world: signal 11 \(trap 14\) in the monitor'
    breaks lost 'world: signal 4 \(trap 6\) in the monitor'
fi
exit $bad
