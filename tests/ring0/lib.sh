# SPDX-License-Identifier: GPL-2.0-or-later
#
# Sourced by the tests of the ring-0 world.  They answer in TAP.  From the makefile:
# BTVMM, SRCDIR, BUILDDIR; RING0_PACKAGES, what scripts/fetch-ring0.sh fetched; BTMON,
# BTMON_NEXT and BTMON_SELFTEST, the modules (empty where they are not built).
n=0
here=$SRCDIR/tests/ring0

skip_all() {
    echo "1..0 # SKIP $*"
    exit 0
}

result() { # CONDITION-STATUS TEXT
    n=$((n + 1))
    [ "$1" = 0 ] || printf 'not '
    echo "ok $n - $2"
}

# Makes $tmp, or skips all where there is nothing to test with.
ring0_begin() {
    [ -n "${BTMON:-}" ] || skip_all "configured without --enable-ring0"
    [ -n "${RING0_PACKAGES:-}" ] || skip_all "no kernel to boot (--enable-ring0=DIR names one)"
    command -v qemu-system-x86_64 > /dev/null || skip_all "the program 'qemu-system-x86_64' is missing"
    tmp=$(mktemp -d) || exit 99
    trap 'rm -rf "$tmp"' EXIT
}

# kernel_release HEADERS: the release that modules built with these headers are for.
kernel_release() {
    sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' "$1/include/generated/utsrelease.h"
}

# ring0_tool FILE NAME: the program that was fetched, or the system's.
ring0_tool() {
    if [ -x "$1" ]; then
        echo "$1"
    else
        PATH=$PATH:/usr/sbin:/sbin command -v "$2"
    fi
}

# ring0_boot OPTION... "$RING0_PACKAGES" SCRIPT [ARG]...: sets status; the console goes to $tmp/log, complaints to $tmp/err.
ring0_boot() {
    "$SRCDIR/scripts/ring0-host.sh" --log "$tmp/log" "$@" 2> "$tmp/err" < /dev/null
    status=$?
    [ $status != 77 ] || skip_all "$(tail -n 1 "$tmp/err")"
    tr -d '\r' < "$tmp/log" > "$tmp/log.lines"
    mv "$tmp/log.lines" "$tmp/log"
}

# From here on the tests are for the newer kernel of Debian's backports: in RING0_BACKPORTS, or in backports/ of
# RING0_PACKAGES (scripts/fetch-ring0.sh --backports).  Sets headers and kernel, its release.
ring0_backports() {
    RING0_PACKAGES=${RING0_BACKPORTS:-$RING0_PACKAGES/backports}
    [ -f "$RING0_PACKAGES/paths" ] || skip_all "no kernel in '$RING0_PACKAGES' (scripts/fetch-ring0.sh --backports puts one there)"
    . "$RING0_PACKAGES/paths"
    kernel=$(kernel_release "$headers")
    unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
    export RING0_PACKAGES
}

# ring0_build NAME IMAGE [VARIABLE=VALUE]...: builds the module for $headers; module is the file, and whether that went well is a result.
ring0_build() {
    module=$tmp/build/$1.ko image=$2
    name=$1
    shift 2
    make -s -f "$SRCDIR/world/ring0/kmod/Makefile" LINUX_HEADERS="$headers" OUT="$tmp/build" MONITOR_IMAGE="$image" "$@" \
        > "$tmp/make" 2>&1 && grep -aq "vermagic=$kernel " "$module"
    good=$?
    result $good "$name builds for $kernel"
    [ $good = 0 ] || sed 's/^/# /' "$tmp/make"
    return $good
}
