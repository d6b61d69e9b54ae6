# SPDX-License-Identifier: GPL-2.0-or-later
#
# Sourced by the tests that start btvmm (the makefile's BTVMM, SRCDIR, BUILDDIR).
btvmm=${BTVMM:-./btvmm}
[ -x "$btvmm" ] || { echo "no $btvmm"; exit 99; }
bad=0

complain() {
    echo "$(basename "$0" .sh): $*"
    bad=1
}

# host_lacks: why the process world can't run on this host, in btvmm's own words; nothing where it can.
# (tests/probe.sh looks whether they are true.)
host_lacks() {
    timeout 20 "$btvmm" --world=proc /nowhere 2>&1 < /dev/null | sed -n 's/^btvmm: \(this host lacks .*\)/\1/p'
}

# For scripts that speak by exit status, and for those that speak TAP: without the process world there is nothing to test.
need_process_world() {
    lack=$(host_lacks)
    [ -z "$lack" ] || { echo "$lack"; exit 77; }
}

tap_need_process_world() {
    lack=$(host_lacks)
    [ -z "$lack" ] || { echo "1..0 # SKIP $lack"; exit 0; }
}

# An empty directory to be in, gone at the end.
begin_in_tmp() {
    tmp=$(mktemp -d) || exit 99
    trap 'rm -rf "$tmp"' EXIT
    cd "$tmp" || exit 99
}

# refuses STATUS TEXT ARGUMENT...: one line on standard error that begins "btvmm: ", and that status.
refuses() {
    want=$1 text=$2
    shift 2
    timeout 20 "$btvmm" "$@" > out 2> err < /dev/null
    got=$?
    [ "$got" = "$want" ] || complain "btvmm $*: status $got, not $want"
    [ "$(wc -l < err)" = 1 ] || complain "btvmm $*: not one line: $(cat err)"
    [ -s out ] && complain "btvmm $*: wrote to standard output"
    grep -q "^btvmm: .*$text" err || complain "btvmm $*: '$text' not in: $(cat err)"
}
