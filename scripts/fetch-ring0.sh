#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# fetch-ring0.sh [--offline] [--backports] OUTDIR
#
# Fetches what `configure --enable-ring0=OUTDIR` and its tests need beyond the packages
# of ./bootstrap, into OUTDIR; nothing is installed:
#
#   the headers of Debian's current amd64 kernel, to build the module against
#   that kernel itself, and busybox, to boot under QEMU (--backports: the newer
#   kernel of the release's backports)
#   the source of Zydis, to be linked into the monitor image
#   DKMS and udev, for the tests of what `make install` leaves for them
#   the Xen hypervisor, for the test that the module is not used under it
#
# OUTDIR/paths then holds shell assignments (headers, zydis, vmlinuz, busybox, dkms, udevadm, xen).
# With --backports into DIR/backports, where DIR is what --enable-ring0 names, the tests run that kernel too.
# Whatever is already there is kept, so a second run takes no network; delete OUTDIR
# to begin afresh.

set -eu
LC_ALL=C
export LC_ALL
umask 022

here=$(cd "$(dirname "$0")" && pwd)
me=fetch-ring0.sh apt_arches=amd64 apt_types="deb deb-src"
. "$here/apt-private.sh"

offline=0
while [ $# -gt 0 ]; do
    case $1 in
    --offline) offline=1; shift ;;
    --backports) apt_backports=1; shift ;;
    -h|--help) sed -n '3,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --) shift; break ;;
    -*) die "unknown option '$1'" ;;
    *) break ;;
    esac
done
[ $# -eq 1 ] || die "usage: fetch-ring0.sh [--offline] [--backports] OUTDIR"

mkdir -p "$1" || die "cannot make the directory '$1'"
out=$(cd "$1" && pwd)
root=$out/root
need_tools apt-get apt-cache dpkg-deb sed tar
apt_lock

done_already() # NAME
{
    [ -e "$out/done-$1" ]
}

fetch() # PACKAGE
{
    update_lists "$1"
    download "$1" amd64
    unpack "$deb" "$root"
    rm "$deb"
}

# The packages refer to each other by links below /usr/src, which hold in any root, and by one absolute name.
fetch_headers()
{
    done_already headers && return
    update_lists linux-headers-amd64
    must_resolve linux-headers-amd64 'linux-headers-[0-9].*-amd64'
    headers=$pkg
    for pattern in 'linux-headers-[0-9].*-common' 'linux-kbuild-[0-9].*'; do
        must_resolve "$headers" "$pattern"
        fetch "$pkg"
    done
    fetch "$headers"
    sed -i "s#\([ \t=]\)/usr/src/#\1$root/usr/src/#" "$root/usr/src/$headers/Makefile"
    grep -q "$root/usr/src/" "$root/usr/src/$headers/Makefile" || die "$headers has a Makefile of an unknown kind"
    fetch "linux-image-${headers#linux-headers-}"
    fetch busybox-static
    {
        echo "headers='$root/usr/src/$headers'"
        echo "vmlinuz='$root/boot/vmlinuz-${headers#linux-headers-}'"
        echo "busybox='$(ls -d "$root/bin/busybox" "$root/usr/bin/busybox" 2>/dev/null | head -n 1)'"
    } >"$out/done-headers.new"
    mv "$out/done-headers.new" "$out/done-headers"
}

fetch_zydis()
{
    done_already zydis && return
    update_lists zydis
    say "fetching the source of zydis"
    (cd "$out/deb" && apt_run apt-get -q source --download-only zydis) >"$out/apt/source.log" 2>&1 ||
        die "cannot download the source of zydis; see $out/apt/source.log"
    rm -rf "$out/zydis"
    mkdir -p "$out/zydis"
    tar -xf "$(ls "$out"/deb/zydis_*.orig.tar.* | head -n 1)" -C "$out/zydis" --strip-components=1
    [ -f "$out/zydis/src/Decoder.c" ] || die "the source of zydis has no src/Decoder.c"
    echo "zydis='$out/zydis'" >"$out/done-zydis"
}

# The tests that need these are skipped without them.
fetch_tools()
{
    done_already tools && return
    for package in dkms libkmod2 udev; do
        (fetch $package) || return 0
    done
    {
        echo "dkms='$root/usr/sbin/dkms'"
        echo "udevadm='$(ls -d "$root/bin/udevadm" "$root/usr/bin/udevadm" 2>/dev/null | head -n 1)'"
    } >"$out/done-tools.new"
    mv "$out/done-tools.new" "$out/done-tools"
}

fetch_xen()
{
    done_already xen && return
    (
        update_lists xen-system-amd64
        must_resolve xen-system-amd64 'xen-hypervisor-[0-9].*-amd64'
        fetch "$pkg"
    ) || return 0
    echo "xen='$(ls "$root"/boot/xen-*-amd64.gz | head -n 1)'" >"$out/done-xen"
}

fetch_headers
fetch_zydis
fetch_tools
fetch_xen
{
    cat "$out/done-headers" "$out/done-zydis"
    for optional in tools xen; do
        ! done_already $optional || cat "$out/done-$optional"
    done
} >"$out/paths"
. "$out/paths"
for f in "$headers/Makefile" "$vmlinuz" "$busybox" "$zydis/src/Decoder.c"; do
    [ -f "$f" ] || die "$f is missing; delete $out and try again"
done
say "configure with --enable-ring0=$out"
echo "   which is --with-linux-headers=$headers --with-zydis-source=$zydis"
