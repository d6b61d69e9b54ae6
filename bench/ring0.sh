#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ring0.sh [OPTION]...
#
# What the ring-0 world costs, in instructions: Debian's kernel with the module under QEMU, where the time-stamp
# counter advances by one an instruction (-icount shift=0).  Prints one table: each figure as measured, its bar, and whether it is met.
#
#   --packages DIR   what scripts/fetch-ring0.sh fetched (default: ring0-packages)
#   --build DIR      where btvmm and the modules were built (default: .)
#   --seconds N      how long the idle guest is watched, in the machine's time (default: 20)
#   --out DIR        the machine's console (default: ring0-out)
#
# The status is 0 if all bars are met, 1 if not, 77 if it can't be measured here.

set -eu
LC_ALL=C
export LC_ALL

top=$(cd "$(dirname "$0")/.." && pwd)
packages=ring0-packages build=. seconds=20 out=ring0-out

die()
{
    echo "ring0.sh: $*" >&2
    exit "${status:-2}"
}

while [ $# -gt 0 ]; do
    case $1 in
    --packages|--build|--seconds|--out)
        [ $# -ge 2 ] || die "$1 needs an argument"
        eval "${1#--}=\$2"
        shift 2 ;;
    -h|--help) sed -n '3,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) die "unknown argument '$1'" ;;
    esac
done
case $seconds in ''|*[!0-9]*|0) die "--seconds takes a number" ;; esac
for f in btvmm guest.img bench/nano/nano.elf world/ring0/btmon.ko world/ring0/btmon_selftest.ko world/ring0/selftest/btmon-test; do
    [ -f "$build/$f" ] || die "$build/$f is missing (configure with --enable-ring0; make; make world/ring0/btmon_selftest.ko)"
done
mkdir -p "$out"

# What runs inside, and says "figure NAME VALUE" (nano's own lines are "nano NAME VALUE").
cat > "$out/inside.sh" << 'INSIDE'
# $1: seconds
loc() { awk '$1 == "LOC:" { print $2 }' /proc/interrupts; }
switches() { sed -n 's/.* \([0-9]*\)  host_switches$/\1/p' /tmp/err | tail -n 1; }
counted() { # WANT: ask for the counters, which come WANT times
    kill -USR1 "$pid"
    while [ "$(grep -c ' host_switches$' /tmp/err)" -lt "$1" ]; do
        usleep 1000
    done
}

insmod /btmon.ko || exit 1
echo
btvmm --world=ring0 -m 64M /nano.elf </dev/null
btvmm --world=ring0 -m 16M --stats /nano.elf -append "only cli-sti-cli" </dev/null 2>&1 |
    sed -n 's/.* \([0-9]*\)  cycles_trap$/figure trap \1/p'

mkfifo /tmp/in
sleep 10000 >/tmp/in &
btvmm --world=ring0 -m 64M /guest.img -append "nodemo prompt" </tmp/in >/tmp/out 2>/tmp/err &
pid=$!
while ! grep -q '^guest>' /tmp/out; do
    sleep 1
done
sleep 2
counted 1
a=$(switches) ta=$(loc)
sleep "$1"
tb=$(loc)
counted 2
b=$(switches)
kill $pid
wait $pid
echo "figure idle-switches $(((b - a) / $1))"
echo "figure host-timer $(((tb - ta) / $1))"
rmmod btmon

insmod /btmon_selftest.ko || exit 1
/btmon-test count | sed -n 's/^# switch round trip: \([0-9]*\) .*/figure switch \1/p; s/^# run call: \([0-9]*\) .*/figure call \1/p'
exit 0
INSIDE

rc=0
"$top/scripts/ring0-host.sh" --icount --timeout $((seconds * 10 + 600)) --log "$out/log" \
    --add "$build/btvmm:/bin/btvmm" --add "$build/guest.img" --add "$build/bench/nano/nano.elf" \
    --add "$build/world/ring0/btmon.ko" --add "$build/world/ring0/btmon_selftest.ko" \
    --add "$build/world/ring0/selftest/btmon-test" "$packages" "$out/inside.sh" "$seconds" 2> "$out/err" || rc=$?
[ $rc != 77 ] || { status=77; die "$(tail -n 1 "$out/err")"; }
[ $rc = 0 ] || die "the machine ended with status $rc; see $out/log and $out/err"

# A figure that is missing is not met.
awk '
    $1 == "figure" || $1 == "nano" { value[$2] = $3; have[$2] = 1 }
    function row(text, name, part, bar,   x, fine) {
        x = value[name] / part
        fine = have[name] && x <= bar
        missed += !fine
        printf "%-44s %10s %10s  %s\n", text, have[name] ? sprintf("%d", x) : "-", sprintf("%d", bar), fine ? "met" : "NOT MET"
    }
    END {
        printf "%-44s %10s %10s\n", "instructions", "measured", "bar"
        row("world switch, there and back", "switch", 1, 320)
        row("BTMON_RUN that does nothing", "call", 1, 1300)
        row("guest trap to monitor C and back", "trap", 1, 120)
        row("hidden page fault", "hidden-fault", 1, 1200)
        row("system call and return", "system-call", 1, 700)
        row("true page fault and return", "true-fault", 1, 1500)
        row("CR3 load to a cached space", "cr3-load-two-spaces", 2, 600) # there and back again
        printf "\n%-44s %10s %10s\n", "a second", "measured", "bar"
        row("world switches of an idle guest", "idle-switches", 1, have["host-timer"] ? value["host-timer"] * 1.2 : -1)
        printf "%-44s %10s\n", "  (timer interrupts of the host meanwhile)", have["host-timer"] ? value["host-timer"] : "-"
        exit missed > 0
    }' "$out/log"
