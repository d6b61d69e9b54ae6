#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the real CPU did with random user-mode sequences, replayed in a virtual
# machine: interpreted, translated in several ways, and as the monitor chooses.
# REPLAY_COUNT, REPLAY_SEED and REPLAY_MODES widen it; with --user-exec=direct
# guest selectors are host selectors to the eye, so that mode is not among the
# default ones.
set -u
dir=${BUILDDIR:-.}
btvmm=${BTVMM:-$dir/btvmm}
modes=${REPLAY_MODES:-interp translate plain auto}
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
[ -x "$dir/tests/diff/difftest" ] && [ -f "$dir/tests/diff/replay.elf" ] || exit 77

# Its own verdict is difftest.sh's business; 77: this host can't be the reference.
"$dir/tests/diff/difftest" --seed "${REPLAY_SEED:-1}" --count "${REPLAY_COUNT:-20000}" \
    --emit "$tmp/records" --out "$tmp" > "$tmp/emit"
[ $? -eq 77 ] && exit 77
[ -s "$tmp/records" ] || { cat "$tmp/emit"; exit 1; }

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

failed=0
for mode in $modes; do
    # shellcheck disable=SC2046
    timeout "${REPLAY_TIMEOUT:-300}" "$btvmm" -no-reboot -m 256M $(flags "$mode") \
        -kernel "$dir/tests/diff/replay.elf" -initrd "$tmp/records" < /dev/null > "$tmp/out" 2> "$tmp/err"
    status=$?
    echo "$mode: $(tr -d '\r' < "$tmp/out" | grep '^DONE' || echo 'did not end'), status $status"
    [ $status -eq 1 ] && continue
    failed=1
    grep '^FAIL' "$tmp/out" | head -20
    head -20 "$tmp/err"
done
exit $failed
