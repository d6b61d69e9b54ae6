#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# debian-guest.sh [--add FILE:PATH]... [--offline] OUTDIR
#
# Makes a Debian i386 guest in OUTDIR: the distribution's own 686 and 686-pae
# kernels, and a small initramfs with a shell and self-checking scripts:
#
#   vmlinuz-686  System.map-686  config-686              kernel without PAE
#   vmlinuz-686-pae  System.map-686-pae  config-686-pae  kernel with PAE
#   initrd.gz                                            initramfs for both
#   root/                                                what is in it
#
# The packages come through apt with a configuration of its own, below
# OUTDIR/apt: neither the system's package set nor its list of architectures
# is touched, and no privileges are needed.  Whatever is already there is kept,
# so a second run takes no network; delete OUTDIR to begin afresh.
#
# In the guest, the kernel command line selects what happens:
#
#   (nothing)        a shell with job control on /dev/console
#   btscript=NAME    run /scripts/NAME, then power off
#   btsoak=SECONDS   how long /scripts/soak shall run (default 60)
#
# The initramfs is reproducible: the same packages and files give the same
# bytes (fixed owners, times and order).

set -eu
LC_ALL=C
export LC_ALL
umask 022

here=$(cd "$(dirname "$0")" && pwd)
epoch=${SOURCE_DATE_EPOCH:-1700000000}

me=debian-guest.sh apt_arches="amd64 i386" apt_types=deb
. "$here/apt-private.sh"

offline=0
adds=
while [ $# -gt 0 ]; do
    case $1 in
    --add)
        [ $# -ge 2 ] || die "--add needs FILE:PATH"
        adds="$adds$2
"
        shift 2 ;;
    --add=*) adds="$adds${1#--add=}
"
        shift ;;
    --offline) offline=1; shift ;;
    -h|--help) sed -n '3,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --) shift; break ;;
    -*) die "unknown option '$1'" ;;
    *) break ;;
    esac
done
[ $# -eq 1 ] || die "usage: debian-guest.sh [--add FILE:PATH]... [--offline] OUTDIR"

mkdir -p "$1" || die "cannot make the directory '$1'"
out=$(cd "$1" && pwd)
need_tools apt-get apt-cache dpkg-deb cpio gzip find sort
apt_lock

# ---------------------------------------------------------------- packages --

# fetch NAME PACKAGE-OR-META [PATTERN]: unpacks the package into OUTDIR/pkg/NAME.
fetch()
{
    [ ! -e "$out/pkg/$1/.done" ] || return 0
    update_lists "$2"
    pkg=$2
    [ $# -lt 3 ] || must_resolve "$2:i386" "$3"
    download "$pkg" i386
    rm -rf "$out/pkg/$1"
    unpack "$deb" "$out/pkg/$1"
    basename "$deb" >"$out/pkg/$1/.done"
}

# kernel FLAVOUR: OUTDIR/vmlinuz-FLAVOUR and friends.
kernel()
{
    fetch "linux-$1" "linux-image-$1" "linux-image-[0-9].*-$1"
    for f in vmlinuz System.map config; do
        [ ! -s "$out/$f-$1" ] || continue
        set -- "$1" "$out/pkg/linux-$1/boot/$f"-*
        [ -f "$2" ] || die "the kernel package of flavour $1 has no $f"
        cp "$2" "$out/$f-$1.new"
        mv "$out/$f-$1.new" "$out/$f-$1"
    done
}

kernel 686
kernel 686-pae
fetch busybox busybox-static
fetch libc libc6

# --------------------------------------------------------------- initramfs --

root=$out/root.new
busybox=$out/pkg/busybox/bin/busybox
[ -x "$busybox" ] || busybox=$out/pkg/busybox/usr/bin/busybox
[ -x "$busybox" ] || die "the busybox package holds no busybox"

# The applets' names are in the program itself; where it cannot be run here
# (no 32-bit support in the host's kernel) a list of the usual ones serves.
applets()
{
    "$busybox" --list 2>/dev/null && return
    echo "[ ash awk basename cat chmod chown clear cmp cp cpio cut cttyhack date dd df diff dirname dmesg
          du echo egrep env expr false fgrep find free grep gunzip gzip halt head hostname id init kill
          ln ls md5sum mkdir mknod more mount mv nice od pidof poweroff printf ps pwd reboot rm rmdir
          sed seq setsid sh sha256sum sleep sort stat stty sync tail tar tee test time timeout top
          touch tr true tty umount uname uniq uptime vi wc which xargs yes zcat" | tr -s ' ' '\n'
}

copy()
{
    mkdir -p "$(dirname "$root/$2")"
    cp "$1" "$root/$2" || die "cannot copy '$1'"
    [ -z "${3:-}" ] || chmod "$3" "$root/$2"
}

# The digests that the guest's scripts compare with, of the same generators run here.
build_digests()
{
    (
        . "$here/guest/scripts/lib.sh"
        for kind in md5sum sha256sum; do
            for name in zeros seq text float; do
                echo "$kind $name $(generate $name | $kind | cut -d' ' -f1)"
            done
        done
    )
}

build_programs()
{
    mkdir -p "$root/bt"
    cc=${CC_GUEST:-gcc}
    if ! command -v "$cc" >/dev/null 2>&1; then
        say "no C compiler ($cc): the initramfs gets no test programs"
        return
    fi
    for src in "$here"/guest/*.c; do
        [ -f "$src" ] || continue
        name=$(basename "$src" .c)
        "$cc" -m32 -march=i686 -Os -std=gnu11 -Wall -Wextra -ffreestanding -fno-pic -fno-pie \
            -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -mno-sse \
            -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -s \
            -o "$root/bt/$name" "$src" 2>"$out/cc.log" || {
            cat "$out/cc.log" >&2
            die "cannot build the guest program $name"
        }
    done
}

# so NAME: the file of libc6's package.
so()
{
    file=$(find "$out/pkg/libc" -name "$1" | sort | head -n 1)
    [ -n "$file" ] || die "the libc6 package holds no $1"
    echo "$file"
}

# Programs linked to the guest's own C library.
build_dynamic()
{
    command -v "$cc" >/dev/null 2>&1 || return 0
    for src in "$here"/guest/dynamic/*.c; do
        name=$(basename "$src" .c)
        "$cc" -m32 -march=i686 -Os -std=gnu11 -Wall -Wextra -fno-builtin -fno-pic -fno-pie -fno-stack-protector \
            -fcf-protection=none -nostartfiles -nodefaultlibs -no-pie -Wl,-z,lazy -Wl,--build-id=none -Wl,-z,noexecstack \
            -Wl,-dynamic-linker,/lib/ld-linux.so.2 -s -o "$root/bt/$name" "$src" "$(so libc.so.6)" \
            "$(so ld-linux.so.2)" 2>"$out/cc.log" || {
            cat "$out/cc.log" >&2
            die "cannot build the guest program $name"
        }
    done
}

rm -rf "$root"
mkdir -p "$root/bin" "$root/sbin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/etc" \
         "$root/scripts" "$root/lib"
copy "$busybox" bin/busybox 755
applets | tr -d ' ' | while read -r a; do
    [ -n "$a" ] && [ "$a" != busybox ] || continue
    ln -sf busybox "$root/bin/$a"
done
ln -sf ../bin/busybox "$root/sbin/init"
copy "$here/guest/init" init 755
for f in "$here"/guest/scripts/*; do
    copy "$f" "scripts/$(basename "$f")" 755
done
build_digests >"$root/scripts/digests"
build_programs
build_dynamic
for f in ld-linux.so.2 libc.so.6; do
    copy "$(so $f)" "lib/$f" 755
done
printf 'root::0:0:root:/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
printf '%s' "$adds" | while IFS= read -r add; do
    case $add in
    *:*) ;;
    *) die "--add needs FILE:PATH, not '$add'" ;;
    esac
    [ -f "${add%:*}" ] || die "--add: no such file '${add%:*}'"
    copy "${add%:*}" "${add##*:}"
done

find "$root" -exec touch -h -d "@$epoch" {} +
# The list is sorted and owners are fixed; cpio numbers inodes itself with
# --reproducible (and leaves out devices), gzip -n writes no time.
(cd "$root" && find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible) |
    gzip -n -9 >"$out/initrd.gz.new" || die "cannot make the initramfs"
if cmp -s "$out/initrd.gz.new" "$out/initrd.gz" 2>/dev/null; then
    rm -f "$out/initrd.gz.new"
else
    mv "$out/initrd.gz.new" "$out/initrd.gz"
fi
rm -rf "$out/root"
mv "$root" "$out/root"

for k in 686 686-pae; do
    say "$out/vmlinuz-$k ($(sed 's/_.*//; s/linux-image-//' "$out/pkg/linux-$k/.done"))"
done
say "$out/initrd.gz ($(wc -c <"$out/initrd.gz") bytes)"
