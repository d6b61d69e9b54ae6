#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Debian's i386 kernels, with and without PAE, boot to user space and run the
# self-checking smoke script.  The guest is made by scripts/debian-guest.sh in
# $BTVMM_DEBIAN (default: debian/ in the build directory); without it: skipped.
set -u
btvmm=${BTVMM:-./btvmm}
guest=${BTVMM_DEBIAN:-${BUILDDIR:-.}/debian}
[ -f "$guest/initrd.gz" ] || { echo "no Debian guest in $guest"; exit 77; }
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
bad=0

boot() { # KERNEL OPTION...
    kernel=$1
    shift
    [ -f "$guest/$kernel" ] || return
    timeout 300 "$btvmm" -m 256M -kernel "$guest/$kernel" -initrd "$guest/initrd.gz" "$@" \
        -append 'console=ttyS0 btscript=smoke' < /dev/null > "$tmp/out" 2> "$tmp/err"
    status=$?
    if [ "$status" = 0 ] && grep -q '^SMOKE OK' "$tmp/out"; then
        echo "$kernel $*: $(grep '^SMOKE OK' "$tmp/out" | tr -d '\r')"
        return
    fi
    echo "linux: $kernel $*: status $status"
    tail -n 40 "$tmp/out"
    cat "$tmp/err"
    bad=1
}

boot vmlinuz-686
boot vmlinuz-686-pae
boot vmlinuz-686 --user-exec=translate
boot vmlinuz-686-pae --user-exec=direct
exit $bad
