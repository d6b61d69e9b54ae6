#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the real CPU did with random user-mode sequences, replayed in a virtual
# machine: interpreted, translated in several ways, and as the monitor chooses.
# Translation, plain, gets all REPLAY_COUNT of them (over 200,000 agree on the real CPU and in
# the interpreter), the other ways the first REPLAY_OTHER_COUNT.  Run directly, user code
# sees host selectors: that mode gets sequences without system instructions.
# The guest is told of the host's processor: the records are that one's, and what vendors do
# differently the interpreter does as the model's does.
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
    "$dir/tests/diff/difftest" --seed "${REPLAY_SEED:-1}" --count "$3" \
        --emit "$1" --features "$2" --out "$tmp" > "$tmp/emit"
    [ $? -eq 77 ] && exit 77
    [ -s "$1" ] || { cat "$tmp/emit"; exit 1; }
}
others=${REPLAY_OTHER_COUNT:-20000}
emit "$tmp/records" fp,system,code16 "${REPLAY_COUNT:-208000}"
emit "$tmp/plain" fp,code16 "$others"

flags() {
    case $1 in
    interp) echo "-d interp" ;;
    translate) echo "--user-exec=translate" ;;
    plain) echo "-d noindirect,noinlineif,noinlineseg,noinlinesys,adaptall --user-exec=translate" ;;
    direct) echo "--user-exec=direct" ;;
    auto) ;;
    *) echo "--unknown-mode-$1" ;;
    esac
}

# The guest's own loops make up most of the work, and interpreted they take long.
head -c $((RECORD * ${REPLAY_INTERP_COUNT:-500})) "$tmp/records" > "$tmp/few"
head -c $((RECORD * others)) "$tmp/records" > "$tmp/some"

failed=0
replay() { # MODE RECORDS
    # shellcheck disable=SC2046
    timeout "${REPLAY_TIMEOUT:-300}" "$btvmm" -no-reboot --cpu=host -m 512M $(flags "$1") \
        -kernel "$dir/tests/diff/replay.elf" -initrd "$2" < /dev/null > "$tmp/out" 2> "$tmp/err"
    status=$?
    echo "$1: $(tr -d '\r' < "$tmp/out" | grep '^DONE' || echo 'did not end'), status $status"
    [ $status -eq 1 ] && return
    failed=1
    grep '^FAIL' "$tmp/out" | head -20
    head -20 "$tmp/err"
}

for mode in $modes; do
    case $mode in
    interp) replay "$mode" "$tmp/few" ;;
    direct) replay "$mode" "$tmp/plain" ;;
    translate) # in pieces: the guest maps 256 MiB
        split -b $((RECORD * 70000)) "$tmp/records" "$tmp/piece."
        for piece in "$tmp"/piece.*; do
            replay "$mode" "$piece"
        done ;;
    *) replay "$mode" "$tmp/some" ;;
    esac
done
exit $failed
