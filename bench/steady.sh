#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A Debian guest at its shell prompt, idle and then computing, watched from the host:
#
#   drift   how far the guest's clock went from the host's
#   irqs    timer interrupts that the guest took (250 a second, and those of other timers)
#   cpu     what all processes of the VM used of one host CPU
#
#   bench/steady.sh [OPTION]...
#
#   --guest DIR      made by scripts/debian-guest.sh (default: debian-guest)
#   --flavour NAME   686 or 686-pae (default: 686)
#   --btvmm FILE     the program to measure (default: ./btvmm)
#   --option OPT     passed on to btvmm; may be repeated
#   --seconds N      how long each phase is watched (default: 60)
#   --phases LIST    of idle,busy (default: both)
#   --ticks          the guest tells time by counting timer interrupts instead of reading the TSC: one that is
#                    lost or invented shows as drift
#   --out DIR        logs (default: steady-out)
#
# The status is 1 if the clock drifts by 0.1 % or more, or the idle guest uses 2 % or more of a CPU.

set -eu
LC_ALL=C
export LC_ALL

guest=debian-guest flavour=686 btvmm=./btvmm options='' seconds=60 phases=idle,busy out=steady-out append=''

die()
{
    echo "steady.sh: $*" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --guest|--flavour|--btvmm|--option|--seconds|--phases|--out)
        [ $# -ge 2 ] || die "$1 needs an argument"
        case $1 in
        --option) options="$options $2" ;;
        *) eval "${1#--}=\$2" ;;
        esac
        shift 2 ;;
    --ticks) append='highres=off clocksource=jiffies'; shift ;;
    -h|--help) sed -n '3,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) die "unknown argument '$1'" ;;
    esac
done
case $seconds in ''|*[!0-9]*) die "--seconds takes a number" ;; esac
for f in "vmlinuz-$flavour" initrd.gz; do
    [ -f "$guest/$f" ] || die "$guest/$f is missing; make it with scripts/debian-guest.sh $guest"
done
mkdir -p "$out"

now() { date +%s%N; }

# All processes of the VM.
family()
{
    echo "$1"
    for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
        family "$child"
    done
}

# Nanoseconds on a CPU, of all of them.
run_time()
{
    for pid in $(family "$vm"); do
        cat "/proc/$pid/task/"*/schedstat 2>/dev/null || :
    done | awk '{ sum += $1 } END { printf "%.0f\n", sum }'
}

# Lines of the guest's console, each with the host's time of its coming.
stamp()
{
    while IFS= read -r line; do
        echo "$(now) $line"
    done
}

# In the guest: a line with its clock and the timer's interrupts so far.
# shellcheck disable=SC2016 # for the guest's shell
ask='read up rest </proc/uptime; while read irq n rest; do [ $irq = 0: ] && break; done </proc/interrupts; echo AT $up $n'

# sample PHASE END: asks the guest, and adds "PHASE END HOST-NS GUEST-SECONDS IRQS CPU-NS" to the file.
sample()
{
    before=$(grep -c ' AT [0-9]' "$out/log" || :)
    echo "$ask" >&3
    tries=0
    while [ "$(grep -c ' AT [0-9]' "$out/log" || :)" = "$before" ]; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || die "the guest does not answer; see $out/log"
        sleep 0.1
    done
    grep ' AT [0-9]' "$out/log" | tail -n 1 | awk -v key="$1 $2" -v cpu="$(run_time)" \
        '{ print key, $1, $3, $4, cpu }' >>"$out/samples"
}

# Answers take time to come; of several, the quickest counts.
watch()
{
    sleep 5
    for _ in 1 2 3 4 5 6 7 8 9 10; do sample "$1" begin; done
    sleep "$seconds"
    for _ in 1 2 3 4 5 6 7 8 9 10; do sample "$1" end; done
}

table()
{
    awk '
        function bad(x, limit) { return x >= limit || x <= -limit }
        {
            late = $3 / 1e9 - $4
            if (!(($1, $2) in least) || late < least[$1, $2]) {
                least[$1, $2] = late
                host[$1, $2] = $3 / 1e9
                irqs[$1, $2] = $5
                cpu[$1, $2] = $6 / 1e9
            }
            if (!($1 in seen)) {
                seen[$1] = 1
                phase[++n] = $1
            }
        }
        END {
            printf "%-6s %9s %9s %9s %8s %8s\n", "phase", "host s", "guest s", "drift %", "irqs", "cpu %"
            for (i = 1; i <= n; i++) {
                p = phase[i]
                h = host[p, "end"] - host[p, "begin"]
                drift = (least[p, "begin"] - least[p, "end"]) / h * 100
                use = (cpu[p, "end"] - cpu[p, "begin"]) / h * 100
                wrong = bad(drift, 0.1) || (p == "idle" && use >= 2)
                printf "%-6s %9.3f %9.3f %9.3f %8d %8.2f%s\n", p, h, h * (1 + drift / 100), drift,
                    irqs[p, "end"] - irqs[p, "begin"], use, wrong ? "  BAD" : ""
                status = status || wrong
            }
            exit status
        }' "$out/samples"
}

rm -f "$out/in" "$out/console"
mkfifo "$out/in" "$out/console"
: >"$out/samples"
stdbuf -oL tr -d '\r' <"$out/console" | stamp >"$out/log" &
# shellcheck disable=SC2086 # options are words
"$btvmm" $options -m 256M -kernel "$guest/vmlinuz-$flavour" -initrd "$guest/initrd.gz" -append "console=ttyS0 quiet $append" \
    <"$out/in" >"$out/console" 2>"$out/err" &
vm=$!
exec 3>"$out/in"
trap 'exec 3>&-; kill $vm 2>/dev/null || :; wait' EXIT

tries=0
until grep -q 'busybox shell' "$out/log"; do
    tries=$((tries + 1))
    [ $tries -lt 120 ] && kill -0 $vm 2>/dev/null || die "the guest does not come up; see $out/log and $out/err"
    sleep 1
done
for phase in $(echo "$phases" | tr , ' '); do
    case $phase in
    idle) ;;
    busy) echo 'while :; do i=$((i + 1)); done &' >&3 ;;
    *) die "unknown phase '$phase'" ;;
    esac
    watch "$phase"
done
echo 'poweroff -f' >&3
wait $vm || die "the VM ended with an error; see $out/err"
table
