#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The bundled guest as a user starts it: boots, runs its demonstration, powers
# off with status 0; and the faces around it: serial to a file, counters, traces,
# signals, a reader that goes away.
set -u
# shellcheck source=tests/lib.sh
. "${SRCDIR:-.}/tests/lib.sh"
need_process_world
image=${BUILDDIR:-.}/guest.img
[ -f "$image" ] || exit 77
image=$(cd "$(dirname "$image")" && pwd)/guest.img
begin_in_tmp

# ends STATUS ARGUMENT...
ends() {
    want=$1
    shift
    timeout 120 "$btvmm" "$@" < /dev/null > out 2> err
    got=$?
    [ "$got" = "$want" ] && return
    complain "btvmm $*: status $got, not $want"
    tail -n 5 out
    cat err
}

ends 0 "$image"
grep -q 'btvmm demonstration guest' out || complain "no banner"
grep -q 'hello from ring 3' out || complain "no user program ran"
[ -s err ] && complain "standard error: $(cat err)"
cp out reference

for flags in -d=interp -d=nochain,noretcache,noindirect,noinlineif,noinlineseg,noinlinesys -d=adaptall -d=tu=1 -d=injectirq --user-exec=translate \
    --user-exec=direct; do
    ends 0 "$flags" "$image"
    grep -q 'hello from ring 3' out || complain "$flags: no user program ran"
done

ends 0 --serial=file:serial --stats=json --stats-file=stats --trace=interrupt,cr --trace-file=trace "$image"
[ -s out ] && complain "--serial=file: wrote to standard output"
grep -q 'hello from ring 3' serial || complain "--serial=file: no output there"
grep -q '"interrupts": [1-9]' stats || complain "--stats: no interrupts counted"
grep -q 'cpu.interrupt vector' trace || complain "--trace: no interrupt"
if command -v python3 > /dev/null; then
    python3 -m json.tool stats > /dev/null || complain "--stats=json is no JSON"
fi

# The reader goes away: the VM ends by itself, without complaint.
( timeout 60 "$btvmm" "$image" -append prompt < /dev/zero 2> err; echo $? > status ) | head -1 > /dev/null
[ "$(cat status)" = 0 ] || complain "reader gone: status $(cat status): $(cat err)"

# Signals: 128 + n, and live counters.
signalled() { # SIGNAL STATUS
    mkfifo "in$1" && { sleep 60 > "in$1" & }
    sleeper=$!
    "$btvmm" "$image" -append prompt < "in$1" > out 2> err &
    pid=$!
    sleep 2
    kill -USR1 $pid
    sleep 0.5
    kill "-$1" $pid
    wait $pid
    got=$?
    kill $sleeper 2> /dev/null
    [ "$got" = "$2" ] || complain "SIG$1: status $got, not $2"
    grep -q 'world_switches' err || complain "SIGUSR1: no counters"
}
signalled TERM 143
# (A shell starts background jobs with SIGINT ignored, and so it stays.)
signalled HUP 129

exit $bad
