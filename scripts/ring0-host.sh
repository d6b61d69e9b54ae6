#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ring0-host.sh [OPTION]... DIR SCRIPT [ARG]...
#
# Boots Debian's own amd64 kernel, as fetched by fetch-ring0.sh into DIR, under QEMU's
# TCG and runs SCRIPT there, as root, in an initramfs of busybox and the files named.
# The console goes to standard output.  Nothing of the machine it runs on is changed.
#
#   --add FILE[:PATH]   put FILE (or a directory) into the initramfs, as /NAME or PATH;
#                       programs bring the shared libraries they need
#   --cpu MODEL         processor, as QEMU names it (default: max)
#   --smp N             number of processors (1)
#   --memory MIB        (512)
#   --append WORDS      more kernel parameters, e.g. "pti=on no5lvl"
#   --icount            one instruction a nanosecond: RDTSC then counts instructions
#   --xen               under the Xen hypervisor, as its first domain, paravirtualized (takes half a minute more)
#   --nmi SECONDS       while SCRIPT has said "nmi: on" (and not yet "nmi: off"), send all
#                       processors an NMI every so many seconds
#   --qemu WORDS        more options for QEMU, e.g. "-d exec -D trace.log"
#   --timeout SECONDS   of this machine's time, for all of it (120)
#   --log FILE          the console goes to FILE instead
#
# In SCRIPT (busybox sh), the current directory is /, and /dev, /proc, /sys and a tmpfs on
# /tmp are there; `insmod /btmon.ko` makes /dev/btmon.  Example:
#
#   ring0-host.sh --add btvmm:/bin/btvmm --add world/ring0/kmod/btmon.ko ring0 run.sh
#
# Exit status: SCRIPT's own up to 100; 101 if that was greater; 124 timeout; 125 the
# kernel died; 126 this script could not set it up; 77 what it takes is not there (skip).

set -eu
LC_ALL=C
export LC_ALL

die()
{
    echo "ring0-host.sh: $*" >&2
    exit 126
}

skip()
{
    echo "ring0-host.sh: $*" >&2
    exit 77
}

usage="usage: ring0-host.sh [OPTION]... DIR SCRIPT [ARG]... (see its head)"
adds= qemu= cpu= smp=1 memory=512 append= icount= nmi= limit=120 log= under_xen=
while [ $# -gt 0 ]; do
    case $1 in
    --icount) icount="-icount shift=0"; shift; continue ;;
    --xen) under_xen=1; shift; continue ;;
    -h|--help) sed -n '3,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --) shift; break ;;
    -*) [ $# -ge 2 ] || die "$usage" ;;
    *) break ;;
    esac
    case $1 in
    --add) adds="$adds$2
" ;;
    --cpu) cpu=$2 ;;
    --smp) smp=$2 ;;
    --memory) memory=$2 ;;
    --qemu) qemu=$2 ;;
    --append) append=$2 ;;
    --nmi) nmi=$2 append="$append apic_extnmi=all" ;;
    --timeout) limit=$2 ;;
    --log) log=$2 ;;
    *) die "unknown option '$1'" ;;
    esac
    shift 2
done
[ $# -ge 2 ] || die "$usage"
dir=$1 script=$2
shift 2

for tool in qemu-system-x86_64 cpio gzip ldd timeout mkfifo; do
    command -v "$tool" >/dev/null 2>&1 || skip "the program '$tool' is missing"
done
[ -f "$dir/paths" ] || skip "no kernel in '$dir' (fetch-ring0.sh puts one there)"
. "$dir/paths"
for f in "$vmlinuz" "$busybox"; do
    [ -f "$f" ] || skip "'$f' is missing"
done
[ -z "$under_xen" ] || [ -f "${xen:-}" ] || skip "no Xen hypervisor in '$dir' (fetch-ring0.sh puts one there where it can)"
[ -f "$script" ] || die "no script '$script'"

work=$(mktemp -d)
children=
trap 'for p in $children; do kill "$p" 2>/dev/null || :; done; rm -rf "$work"' EXIT
trap 'exit 126' HUP INT TERM
root=$work/root

# ---------------------------------------------------------------- initramfs --

# copy FILE PATH: into the initramfs, with the shared libraries it is linked with.
copy()
{
    mkdir -p "$root/$(dirname "$2")"
    cp -RL "$1" "$root/$2" || die "cannot copy '$1'"
    [ -f "$1" ] && [ -x "$1" ] || return 0
    { ldd "$1" 2>/dev/null || :; } | sed -n 's/.*=> *//; s/^[ \t]*\(\/[^ ]*\) (.*/\1/p' | while read -r so; do
        [ -e "$root/$so" ] || { mkdir -p "$root/$(dirname "$so")"; cp -L "$so" "$root/$so"; }
    done
}

mkdir -p "$root/bin" "$root/sbin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/etc"
cp "$busybox" "$root/bin/busybox"
cp "$script" "$root/script"
printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$root/etc/passwd"
printf '%s' "$adds" | while IFS= read -r add; do
    file=${add%%:*}
    path=$(basename "$file")
    case $add in *:*) path=${add#*:} ;; esac
    [ -e "$file" ] || die "--add: no such file '$file'"
    copy "$file" "$path"
done

# The exit status leaves through QEMU's isa-debug-exit, which makes 2N+1 of it.
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
export PATH=/bin:/sbin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
ln -s /proc/self/fd /dev/fd
eval "sh /script $(cat /args)"
rc=$?
[ $rc -le 100 ] || rc=101
sync
printf "\\$(printf %o $rc)" | dd of=/dev/port bs=1 seek=244 count=1 2>/dev/null
poweroff -f
INIT
chmod 755 "$root/init"
for arg in "$@"; do
    printf "'%s' " "$(printf '%s' "$arg" | sed "s/'/'\\\\''/g")"
done >"$root/args"
(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$work/initrd.gz" ||
    die "cannot make the initramfs"

# --------------------------------------------------------------------- boot --

# Sends NMIs while the console says so.
nmi_sender()
{
    exec 3>"$work/monitor.in"
    while sleep "$nmi"; do
        case $(grep -a '^nmi: o' "$work/console" 2>/dev/null | tail -n 1) in
        'nmi: on'*) echo nmi >&3 ;;
        esac
    done
}

: >"$work/console"
monitor="-monitor none"
if [ -n "$nmi" ]; then
    mkfifo "$work/monitor.in" "$work/monitor.out"
    cat "$work/monitor.out" >/dev/null &
    children=$!
    nmi_sender &
    children="$children $!"
    monitor="-chardev pipe,id=mon,path=$work/monitor -mon chardev=mon,mode=readline"
fi
thread=multi
[ -z "$icount" ] || thread=single
if [ -z "$log" ]; then
    tail -n +1 -f "$work/console" &
    tail=$!
    children="$children $tail"
fi
rc=0
words="panic=-1 loglevel=4 edd=off $append"
if [ -n "$under_xen" ]; then
    # Xen is a multiboot kernel, Linux and the initramfs its modules. With SMAP, TCG's IRET can't read a guest's stack in ring 3.
    gzip -dc "$xen" >"$work/xen"
    set -- -kernel "$work/xen" -append "console=com1 com1=115200,8n1 loglvl=none noreboot" \
        -initrd "$vmlinuz console=hvc0 $(echo "$words" | sed 's/,/,,/g'),$work/initrd.gz"
    cpu=${cpu:-max,-smap,-smep}
else
    set -- -kernel "$vmlinuz" -append "console=ttyS0 $words" -initrd "$work/initrd.gz"
fi
# shellcheck disable=SC2086
timeout -k 5 "$limit" qemu-system-x86_64 -accel "tcg,thread=$thread" -cpu "${cpu:-max}" -m "$memory" \
    -smp "$smp" $icount $qemu -nodefaults -nographic -no-reboot "$@" \
    -device isa-debug-exit,iobase=0xf4,iosize=4 \
    -chardev "file,id=con,path=$work/console" -serial chardev:con $monitor \
    </dev/null >"$work/qemu" 2>&1 || rc=$?
if [ -z "$log" ]; then
    sleep 0.3
else
    tr -d '\r' <"$work/console" >"$log"
fi
cat "$work/qemu" >&2
case $rc in
0) echo "ring0-host.sh: the kernel died" >&2; exit 125 ;;
124|137) echo "ring0-host.sh: timeout after $limit s" >&2; exit 124 ;;
esac
[ $((rc % 2)) = 1 ] || die "QEMU failed (status $rc)"
exit $((rc / 2))
