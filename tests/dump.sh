#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a triple fault leaves: one line that says so, registers, the code at EIP, the translated blocks that ran last,
# the stack with return addresses; all with the guest's symbols.
set -u
btvmm=${BTVMM:-./btvmm}
guest=${BUILDDIR:-.}/tests/guest/triple.elf
[ -f "$guest" ] || exit 77
err=$(mktemp) || exit 99
trap 'rm -f "$err"' EXIT
bad=0

complain() {
    echo "dump: $*"
    bad=1
}

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
exit $bad
