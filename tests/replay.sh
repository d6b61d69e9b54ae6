#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the real CPU did with random user-mode sequences, replayed in a virtual
# machine: interpreted, translated in several ways, and as the monitor chooses.
# REPLAY_COUNT, REPLAY_SEED and REPLAY_MODES widen it.  Run directly, user code
# sees host selectors: that mode gets sequences without system instructions.
set -u
dir=${BUILDDIR:-.}
btvmm=${BTVMM:-$dir/btvmm}
modes=${REPLAY_MODES:-interp translate plain direct auto}
RECORD=2064 # bytes: sizeof(struct replay)
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
[ -x "$dir/tests/diff/difftest" ] && [ -f "$dir/tests/diff/replay.elf" ] || exit 77

# Its own verdict is difftest.sh's business; 77: this host can't be the reference.
emit() {
    "$dir/tests/diff/difftest" --seed "${REPLAY_SEED:-1}" --count "${REPLAY_COUNT:-20000}" \
        --emit "$1" --features "$2" --out "$tmp" > "$tmp/emit"
    [ $? -eq 77 ] && exit 77
    [ -s "$1" ] || { cat "$tmp/emit"; exit 1; }
}
emit "$tmp/records" fp,system,code16
emit "$tmp/plain" fp,code16

flags() {
    case $1 in
    interp) echo "-d interp" ;;
    translate) echo "--user-exec=translate" ;;
    plain) echo "-d noindirect,noinlineif,noinlineseg --user-exec=translate" ;;
    direct) echo "--user-exec=direct" ;;
    auto) ;;
    *) echo "--unknown-mode-$1" ;;
    esac
}

# The guest's own loops make up most of the work, and interpreted they take long.
head -c $((RECORD * ${REPLAY_INTERP_COUNT:-500})) "$tmp/records" > "$tmp/few"

failed=0
for mode in $modes; do
    records=$tmp/records
    [ "$mode" = interp ] && records=$tmp/few
    [ "$mode" = direct ] && records=$tmp/plain
    # shellcheck disable=SC2046
    timeout "${REPLAY_TIMEOUT:-300}" "$btvmm" -no-reboot -m 256M $(flags "$mode") \
        -kernel "$dir/tests/diff/replay.elf" -initrd "$records" < /dev/null > "$tmp/out" 2> "$tmp/err"
    status=$?
    echo "$mode: $(tr -d '\r' < "$tmp/out" | grep '^DONE' || echo 'did not end'), status $status"
    [ $status -eq 1 ] && continue
    failed=1
    grep '^FAIL' "$tmp/out" | head -20
    head -20 "$tmp/err"
done
exit $failed
