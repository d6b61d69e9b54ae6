#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The command line from outside: help, versions, wrong usage.  An error is one line on
# standard error that begins "btvmm: ", and status 2; 1 where the host has no such world.
set -u
# shellcheck source=tests/lib.sh
. "${SRCDIR:-.}/tests/lib.sh"
begin_in_tmp

# says TEXT ARGUMENT...
says() {
    text=$1
    shift
    timeout 20 "$btvmm" "$@" > out 2> err < /dev/null || complain "btvmm $*: status $?"
    [ -s err ] && complain "btvmm $*: wrote to standard error: $(cat err)"
    grep -q -e "$text" out || complain "btvmm $*: '$text' not in its output"
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

# The ring-0 world, where its module is not loaded.
[ -e /dev/btmon ] || refuses 1 'kernel module btmon' --world=ring0 text

exit $bad
