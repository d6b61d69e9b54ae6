#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What whole runs of the demonstration guest leave: translations listed, no record of a long trace lost, as many records
# as the counters say.
set -u
# shellcheck source=tests/lib.sh
. "${SRCDIR:-.}/tests/lib.sh"
need_process_world
guest=${BUILDDIR:-.}/guest.img
[ -f "$guest" ] || exit 77
begin_in_tmp

timeout 120 "$btvmm" --trace=listing,io_out --trace-file=trace --stats=json --stats-file=stats "$guest" \
    < /dev/null > out 2> err || complain "traced guest: status $?: $(cat err)"
grep -q 'lost' trace && complain "trace records were lost"
grep -q '<kernel_main>' trace || complain "no symbols in the trace"
grep -q '= ffc' trace || complain "no IDENT instruction is marked"
grep -q ' cli .*> ffc.*movl .*%gs:<vif>' trace || complain "no CLI is shown as what it became"
grep -q 'callout interp insn [0-9]' trace || complain "no callout is shown"
grep -q 'tu_guest\|tu_host\|tu_map' trace && complain "raw records among the listings"
grep -q '"world": "proc"' stats || complain "the counters don't name the world"
for pair in tu_translated:bt.tu port_out:io.io_out; do
    said=$(sed -n "s/.*\"${pair%:*}\": \([0-9]*\).*/\1/p" stats)
    [ "$said" = "$(grep -c " ${pair#*:} " trace)" ] || complain "$pair: not $said records"
done
timeout 120 "$btvmm" --stats "$guest" < /dev/null > out 2> err || complain "stats: status $?"
grep -q 'in translated code  *[0-9.]*  *[0-9]* *cycles_bt' err || complain "no time split: $(cat err)"

exit $bad
