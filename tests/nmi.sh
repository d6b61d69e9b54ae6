#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The NMI button (SIGUSR2): the guest says READY when it wants one, and judges what comes.
set -u
# shellcheck source=tests/lib.sh
. "${SRCDIR:-.}/tests/lib.sh"
need_process_world
guest=${BUILDDIR:-.}/tests/guest/nmi.elf
[ -f "$guest" ] || exit 77
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT

# press PID COMMAND...: the command once for each line READY, while the VM lives; 60 s at most.
press() {
    pid=$1 pressed=0 rounds=0
    shift
    while kill -0 "$pid" 2> /dev/null && [ $rounds -lt 600 ]; do
        if [ "$(grep -c READY "$tmp/out")" -gt $pressed ]; then
            pressed=$((pressed + 1))
            "$@"
        fi
        rounds=$((rounds + 1))
        sleep 0.1
    done
    kill "$pid" 2> /dev/null
    wait "$pid"
}

for mode in "" "-d=interp" "-d=tu=1,nochain" "--user-exec=direct"; do
    : > "$tmp/out"
    # shellcheck disable=SC2086
    "$btvmm" -no-reboot $mode "$guest" < /dev/null > "$tmp/out" 2> "$tmp/err" &
    press $! kill -USR2 $!
    status=$?
    if [ $status != 1 ] || ! grep -q '^DONE [1-9][0-9]* ok, 0 failed' "$tmp/out"; then
        echo "nmi: $mode: status $status"
        grep FAIL "$tmp/out"
        cat "$tmp/err"
        bad=1
    fi
done
exit $bad
