# SPDX-License-Identifier: GPL-2.0-or-later
#
# Sourced by the tests of the module itself (kmod-*.tap): they run btmon-test inside, on the module that holds
# the self-test's monitor.  In the environment, besides what lib.sh wants:
#
#   BTMON_SELFTEST   that module; btmon-test is beside it in selftest/
#
# shellcheck source=tests/ring0/lib.sh
. "$SRCDIR/tests/ring0/lib.sh"
[ -n "${BTMON_SELFTEST:-}" ] || skip_all "configured without --enable-ring0"
BTMON=$BTMON_SELFTEST
ring0_begin
btmon_test=$(dirname "$BTMON_SELFTEST")/selftest/btmon-test

# kmod_run TEXT "TEST..." OPTION...: one boot; its checks are the lines "ok - ..." and "not ok - ..." of its console.
kmod_run() {
    text=$1 tests=$2
    shift 2
    # shellcheck disable=SC2086
    ring0_boot --add "$BTMON_SELFTEST" --add "$btmon_test" "$@" "$RING0_PACKAGES" "$here/inside/kmod.sh" $tests
    grep -a '^# ' "$tmp/log"
    sed -n 's/^ok - /0 /p; s/^not ok - /1 /p' "$tmp/log" > "$tmp/checks"
    while read -r bad check; do
        result "$bad" "$text: $check"
    done < "$tmp/checks"
    result "$status" "$text: ends well"
    [ "$status" = 0 ] || tail -n 30 "$tmp/log" "$tmp/err" | sed 's/^/# /'
}

kmod_end() {
    echo "1..$n"
}
