#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The command line from outside: help, versions, every error path.  An error is
# one line on standard error that begins "btvmm: ", and status 1 or 2.
set -u
btvmm=${BTVMM:-./btvmm}
[ -x "$btvmm" ] || { echo "no $btvmm"; exit 99; }
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 99
bad=0

complain() {
    echo "cli: $*"
    bad=1
}

# refuses STATUS TEXT ARGUMENT...
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

# says TEXT ARGUMENT...
says() {
    text=$1
    shift
    timeout 20 "$btvmm" "$@" > out 2> err < /dev/null || complain "btvmm $*: status $?"
    [ -s err ] && complain "btvmm $*: wrote to standard error: $(cat err)"
    grep -q -e "$text" out || complain "btvmm $*: '$text' not in its output"
}

bytes() { # FILE OFFSET ESCAPES
    printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2> /dev/null
}

says 'Usage: btvmm' --help
says 'Usage: btvmm' -h
says '--user-exec auto|direct|translate' -help
says '^btvmm [0-9]' --version
says 'mmu  *truefault' --trace=help
says 'listing' --trace=help
"$btvmm" --help | awk 'length > 110 { exit 1 }' || complain "--help has a very long line"

# Wrong usage: status 2.
refuses 2 'no image'
refuses 2 "unknown option '--foo'" --foo
refuses 2 "did you mean '--append'" --apend x
refuses 2 "did you mean '-initrd'" -intrd x
refuses 2 'needs an argument' image -m
refuses 2 'not a size' -m huge image
refuses 2 '16M to 3G' -m 1M image
refuses 2 '16M to 3G' -m 4G image
refuses 2 'auto|direct|translate' --user-exec=slow image
refuses 2 'auto|btvmm32|host' --cpu=486 image
refuses 2 'proc|ring0|auto' --world=kvm image
refuses 2 "did you mean '-d interpuser'" -d interpusr image
refuses 2 'no event or group' --trace=nonsense image
refuses 2 'text|json' --stats=yaml image
refuses 2 'more than one image' one two
refuses 2 'both' -kernel one two
refuses 2 'file:PATH' --serial=pty image

# Files that are not there or can't be used: status 1.
refuses 1 'No such file' nowhere
refuses 1 'directory' .
: > empty
refuses 1 'empty file' empty
printf 'just some text that is no image at all\n' > text
refuses 1 'not a guest image' text
refuses 1 'No such file' -kernel text -initrd nowhere
refuses 1 'No such file' --symbols nowhere text
refuses 1 'no symbols' --symbols text text
refuses 1 'No such file' --stats --stats-file nowhere/stats text
refuses 1 'No such file' --trace=all --trace-file=nowhere/trace text

dd if=/dev/zero of=disk bs=512 count=8 2> /dev/null
bytes disk 510 '\125\252'
refuses 1 'not supported yet: booting disk images' disk

# Damaged images of each kind.
dd if=/dev/zero of=elf bs=512 count=8 2> /dev/null
bytes elf 0 '\177ELF\001\001\001'
refuses 1 'ELF' elf
bytes elf 4 '\002'
refuses 1 '64-bit' elf
printf '\177ELF\001\001\001' > short
refuses 1 'truncated' short
dd if=/dev/zero of=bz bs=512 count=8 2> /dev/null
bytes bz 510 '\125\252'
bytes bz 514 'HdrS'
refuses 1 'too old' bz
bytes bz 518 '\017\002'
bytes bz 529 '\001'
bytes bz 497 '\100'
refuses 1 'truncated' bz
dd if=/dev/zero of=mb bs=512 count=8 2> /dev/null
bytes mb 0 '\002\260\255\033'
bytes mb 4 '\010\000\000\000\366\117\122\344'
refuses 1 'flags' mb

# The ring-0 world, where its module is not loaded.
if [ ! -e /dev/btmon ]; then
    refuses 1 'kernel module btmon' --world=ring0 text
    refuses 1 'not a guest image' --world=auto text
fi

# RAM that can't be had: address space, size of files.
for limit in "-v 400000" "-f 1000"; do
    # shellcheck disable=SC2086
    ( ulimit $limit && exec timeout 20 "$btvmm" -m 3G text ) > out 2> err < /dev/null
    [ $? = 1 ] && [ "$(wc -l < err)" = 1 ] && grep -q '^btvmm: guest RAM of 3072 MiB: ' err ||
        complain "ulimit $limit: $(cat err)"
done

# A name with odd characters can't forge a second line.
refuses 1 'No such file' "$(printf 'a\nbtvmm: b')"

# Whole runs, where the demonstration guest was built: translations listed, no record of a long trace lost,
# as many records as the counters say.
guest=${BUILDDIR:-}/guest.img
if [ -f "$guest" ]; then
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
fi

exit $bad
