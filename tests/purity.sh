#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The monitor's objects, guarded: no undefined name but each other's, the world
# contract's and the decoder's; no vector register; no writable data.
set -u
cd "${BUILDDIR:-.}" || exit 99
src=${SRCDIR:-$PWD}
nm=${NM:-nm} objdump=${OBJDUMP:-objdump}
bad=0

complain() {
    echo "purity: $*"
    bad=1
}

tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT

# Names that the world provides: the functions declared in world.h, and bug_at.
{
    sed -n 's/^[a-z].*[ *]\(world_[a-z0-9_]*\)(.*/\1/p' "$src/world/world.h"
    echo bug_at
    # Position independent code may name the (never built) global offset table.
    echo _GLOBAL_OFFSET_TABLE_
    # Linker script symbols of the ring-0 image.
    sed -n 's/^ *\(mon_[a-z_]*\) = .*/\1/p' "$src/world/ring0/monitor.lds"
} | sort -u > "$tmp/allowed"

check_names() { # archive extra-archive...
    what=$1
    $nm --defined-only "$@" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u > "$tmp/defined"
    $nm -u "$what" 2>/dev/null | awk '$1 == "U" { print $2 }' | sort -u > "$tmp/undefined"
    sort -u "$tmp/defined" "$tmp/allowed" > "$tmp/known"
    for name in $(comm -23 "$tmp/undefined" "$tmp/known" | grep -v '^Zydis'); do
        where=$($nm -A -u "$what" 2>/dev/null | awk -v n="$name" '$NF == n { print $1 }' | head -1)
        complain "$where needs $name, which is neither the monitor's nor the world's"
    done
}

check_vectors() {
    $objdump -d --no-show-raw-insn "$1" > "$tmp/code" || complain "objdump failed on $1"
    awk '/file format/ { file = $1 } /^[0-9a-f]+ </ { fn = $2 } /%[xyz]mm[0-9]/ { print file " " fn " " $0 }' \
        "$tmp/code" > "$tmp/vector"
    # world/proc/fence.c and stubs may save the guest'\''s vector state by XSAVE, never by name.
    [ -s "$tmp/vector" ] && { head -5 "$tmp/vector"; complain "$1 uses vector registers"; }
    # Nor may the stack protector have got in.
    grep -q '%fs:0x28' "$tmp/code" && complain "$1 uses the stack protector"
}

check_data() {
    $objdump -h "$1" | awk '
        /file format/ { file = $1 }
        $2 ~ /^\.(data|bss|tdata|tbss|sdata|sbss)/ && $2 !~ /^\.data\.rel\.ro/ && $3 !~ /^0+$/ { print file " " $2 " " $3 }
    ' > "$tmp/data"
    [ -s "$tmp/data" ] && { cat "$tmp/data"; complain "$1 has writable data"; }
    $nm "$1" 2>/dev/null | awk '$2 == "C" { print }' > "$tmp/common"
    [ -s "$tmp/common" ] && { cat "$tmp/common"; complain "$1 has common symbols"; }
}

[ -f libmonitor.a ] || { echo "purity: no libmonitor.a here"; exit 99; }
check_names libmonitor.a
check_vectors libmonitor.a
check_data libmonitor.a
check_names libmonproc.a libmonitor.a
check_vectors libmonproc.a
check_data libmonproc.a
# With --enable-ring0: that world's monitor side, and the decoder built for it.
if [ -f libmonring0.a ]; then
    check_names libmonring0.a libmonitor.a
    check_vectors libmonring0.a
    check_data libmonring0.a
    check_names libmonzydis.a libmonitor.a
    check_vectors libmonzydis.a
    check_data libmonzydis.a
fi

# The checks themselves: they must see something.
[ "$(wc -l < "$tmp/allowed")" -gt 10 ] || complain "world.h was not understood"
grep -q '%r[a-d]x' "$tmp/code" || complain "no code was seen"
exit $bad
