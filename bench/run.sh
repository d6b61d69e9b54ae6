#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run.sh [OPTION]... [PROGRAM]...
#
# Runs the programs of bench/guest natively, in a Debian i386 guest under QEMU's
# TCG, and in the same guest under btvmm, and prints one table: times, and ratios
# to native.  The row "boot" is the time from starting the VMM to the guest's
# first process running its script.
#
#   --guest DIR      what scripts/debian-guest.sh made (default: debian-guest)
#   --memory SIZE    the guests' RAM (default: 768M: with less than 512M a 686-pae kernel does without huge pages, with
#                    more than about 880M some of it is high memory, which a 32-bit kernel has to map before use)
#   --flavour NAME   686 or 686-pae (default: 686-pae)
#   --btvmm FILE     the program to measure (default: ./btvmm)
#   --option OPT     passed on to btvmm; may be repeated
#   --on LIST        which of native,tcg,btvmm to run (default: all)
#   --divide N       do one Nth of the iterations (default: 1)
#   --repeat N       run everything N times and keep each program's best (default: 1)
#   --out DIR        logs and built programs (default: bench-out)
#
# Times inside a guest come from its own clock.  The host takes the time of the
# same stretch; where the two differ by more than a tenth the table says so.
# A result that differs from the native one is reported as WRONG.

set -eu
LC_ALL=C
export LC_ALL

top=$(cd "$(dirname "$0")/.." && pwd)
guest=debian-guest flavour=686-pae memory=768M btvmm=./btvmm options='' on=native,tcg,btvmm divide=1 repeat=1 out=bench-out
all="intloop sieve fploop getppid forkwait pipepp pgtouch"

die()
{
    echo "run.sh: $*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
    --guest|--memory|--flavour|--btvmm|--option|--on|--divide|--repeat|--out)
        [ $# -ge 2 ] || die "$1 needs an argument"
        case $1 in
        --option) options="$options $2" ;;
        *) eval "${1#--}=\$2" ;;
        esac
        shift 2 ;;
    -h|--help) sed -n '3,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) die "unknown option '$1'" ;;
    *) break ;;
    esac
done
names=${*:-$all}
case $divide$repeat in *[!0-9]*) die "--divide and --repeat take numbers" ;; esac
wanted() { case ,$on, in *,"$1",*) return 0 ;; *) return 1 ;; esac; }

mkdir -p "$out/root/bench" "$out/root/scripts"
out=$(cd "$out" && pwd)
: >"$out/results"   # WHERE PROGRAM NANOSECONDS ITERATIONS RESULT HOST-NANOSECONDS

build()
{
    for name in $names; do
        [ -f "$top/bench/guest/$name.c" ] || die "no such program: $name"
        "${CC_GUEST:-gcc}" -m32 -march=i686 -O2 -std=gnu11 -Wall -Wextra -I"$top" -ffreestanding \
            -fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
            -fno-math-errno -mno-sse -nostdlib -static -no-pie -Wl,--build-id=none \
            -Wl,-z,noexecstack -s -o "$out/root/bench/$name" "$top/bench/guest/$name.c" ||
            die "cannot build $name (is 32-bit support of the compiler installed?)"
    done
    cp "$top/bench/guest/bench" "$out/root/scripts/bench"
    chmod 755 "$out/root/scripts/bench"
}

# The kernel unpacks archives that stand one after the other.
make_initrd()
{
    for f in "vmlinuz-$flavour" initrd.gz; do
        [ -f "$guest/$f" ] || die "$guest/$f is missing; make it with scripts/debian-guest.sh $guest"
    done
    (cd "$out/root" && find . | sort | cpio --quiet -o -H newc -R 0:0 | gzip -n) >"$out/bench.cpio.gz"
    cat "$guest/initrd.gz" "$out/bench.cpio.gz" >"$out/initrd.gz"
}

# On one CPU, as in the guests.
run_native()
{
    one_cpu=
    if command -v taskset >/dev/null 2>&1; then
        one_cpu="taskset -c $(taskset -cp $$ | sed 's/.*[^0-9]//')"
    fi
    for name in $names; do
        echo "native $($one_cpu "$out/root/bench/$name" "$divide") 0"
    done >>"$out/results"
}

now() { date +%s%N; }

# Reads the serial console of a guest: results go to the file, each with the host's time of it.
watch_guest()
{
    where=$1 begin=$2 result=
    while IFS= read -r line; do
        case $line in
        *"SCRIPT bench status"*) return ;;
        *"SCRIPT bench"*) echo "$where boot $(($(now) - begin)) 1 0 0" >>"$out/results" ;;
        "BEGIN "*) started=$(now) ;;
        "RESULT "*) result=${line#RESULT } ;;
        "END "*)
            # shellcheck disable=SC2086 # the words of a result
            set -- $result
            [ $# -eq 4 ] && echo "$where $* $(($(now) - started))" >>"$out/results" ;;
        esac
    done
    echo "run.sh: the guest under $where ended early; see $out/$where.log" >&2
}

# run_guest WHERE COMMAND...: the command line of the guest's kernel is added as the last argument.
run_guest()
{
    where=$1
    shift
    rm -f "$out/fifo"
    mkfifo "$out/fifo"
    begin=$(now)
    list=$(echo "$names" | tr ' ' ,)
    timeout 1800 "$@" "console=ttyS0 quiet btscript=bench btdivide=$divide btbench=$list" \
        </dev/null >"$out/fifo" 2>"$out/$where.err" &
    pid=$!
    stdbuf -oL tr -d '\r' <"$out/fifo" | stdbuf -oL tee "$out/$where.log" | watch_guest "$where" "$begin"
    kill "$pid" 2>/dev/null || :
    wait "$pid" 2>/dev/null || :
}

table()
{
    awk -v names="boot $names" '
        function time(ns) {
            if (ns >= 1e9)
                return sprintf("%.2f s", ns / 1e9)
            return ns >= 1e6 ? sprintf("%.1f ms", ns / 1e6) : sprintf("%.1f us", ns / 1e3)
        }
        function ratio(where, to, name) {
            if (!((to, name) in best) || !((where, name) in best))
                return "-"
            return sprintf("%.2f", best[where, name] / best[to, name])
        }
        function shown(where, name) {
            if (!((where, name) in best))
                return "-"
            return time(best[where, name])
        }
        {
            if (!(($1, $2) in best) || $3 < best[$1, $2]) {
                best[$1, $2] = $3
                host[$1, $2] = $6
            }
            value[$1, $2] = $5
        }
        END {
            printf "%-10s %12s %12s %12s %8s %8s %10s\n", "program", "native", "tcg", "btvmm",
                "tcg/nat", "bt/nat", "btvmm/tcg"
            n = split(names, order, " ")
            for (i = 1; i <= n; i++) {
                p = order[i]
                printf "%-10s %12s %12s %12s %8s %8s %10s", p, shown("native", p), shown("tcg", p),
                    shown("btvmm", p), ratio("tcg", "native", p), ratio("btvmm", "native", p),
                    ratio("btvmm", "tcg", p)
                for (k = 1; k <= 2; k++) {
                    w = k == 1 ? "tcg" : "btvmm"
                    if (!((w, p) in best) || p == "boot")
                        continue
                    if (("native", p) in value && value[w, p] != value["native", p])
                        printf "  WRONG result on %s", w
                    d = host[w, p] - best[w, p]
                    if (d > best[w, p] / 10 + 5e7 || d < -best[w, p] / 10)
                        printf "  clock of %s is off: host says %s", w, time(host[w, p])
                }
                printf "\n"
            }
        }' "$out/results"
}

build
if wanted tcg && ! command -v qemu-system-i386 >/dev/null 2>&1; then
    echo "run.sh: qemu-system-i386 is missing: no runs under TCG" >&2
    on=$(echo "$on" | sed 's/tcg//')
fi
if wanted tcg || wanted btvmm; then
    make_initrd
fi
round=0
while [ $round -lt "$repeat" ]; do
    round=$((round + 1))
    wanted native && run_native
    wanted tcg && run_guest tcg qemu-system-i386 -accel tcg -m "$memory" -display none -monitor none \
        -serial stdio -net none -no-reboot -kernel "$guest/vmlinuz-$flavour" -initrd "$out/initrd.gz" -append
    # shellcheck disable=SC2086 # options are words
    wanted btvmm && run_guest btvmm "$btvmm" $options -m "$memory" \
        -kernel "$guest/vmlinuz-$flavour" -initrd "$out/initrd.gz" -append
    :
done
table
