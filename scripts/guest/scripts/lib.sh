# SPDX-License-Identifier: GPL-2.0-or-later
# Shared by the scripts: counting checks, and the checks that several use.

good=0 bad=0 quiet=

# check NAME GOT EXPECTED
check()
{
    if [ "$2" = "$3" ]; then
        good=$((good + 1))
        [ -n "$quiet" ] || echo "ok $1"
    else
        bad=$((bad + 1))
        echo "FAIL $1: expected '$3', got '$2'"
    fi
}

# Digests of generated data.  The expected values are in /scripts/digests, made
# on the host by debian-guest.sh from the same generators.
generate()
{
    case $1 in
    zeros) dd if=/dev/zero bs=4096 count=128 2>/dev/null ;;
    seq) seq 1 20000 ;;
    text) awk 'BEGIN { for (i = 0; i < 4000; i++) printf "%d:%x:%s\n", i, i * 65537, "btvmm" }' ;;
    float) awk 'BEGIN { for (i = 1; i < 4000; i++) { s = (s * 1103 + 12345) % 65536; printf "%d %.4f\n", s, s / 16 } }' ;;
    esac
}

digests()
{
    while read -r kind name value; do
        check "$kind-$name" "$(generate "$name" | "$kind" | cut -d' ' -f1)" "$value"
    done </scripts/digests
}

programs()
{
    for p in /bt/*; do
        [ -x "$p" ] || continue
        out=$("$p" 2>&1)
        st=$?
        [ -n "$quiet" ] || echo "$out"
        [ $st -eq 0 ] || echo "$out" | grep -v '^ok'
        check "program-${p##*/}" $st 0
    done
}

verdict()
{
    if [ $bad -eq 0 ]; then
        echo "$1 OK ($good checks)"
    else
        echo "$1 FAILED ($bad of $((good + bad)) checks)"
        return 1
    fi
}
