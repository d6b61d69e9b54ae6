#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Files that are not there, images that are none or are damaged, RAM that can't be had: one line
# on standard error each, and status 1.
set -u
# shellcheck source=tests/lib.sh
. "${SRCDIR:-.}/tests/lib.sh"
need_process_world
begin_in_tmp

bytes() { # FILE OFFSET ESCAPES
    printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2> /dev/null
}

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

# Where there is no ring-0 world the other one is taken.
[ -e /dev/btmon ] || refuses 1 'not a guest image' --world=auto text

# RAM that can't be had: address space, size of files.
for limit in "-v 400000" "-f 1000"; do
    # shellcheck disable=SC2086
    ( ulimit $limit && exec timeout 20 "$btvmm" -m 3G text ) > out 2> err < /dev/null
    [ $? = 1 ] && [ "$(wc -l < err)" = 1 ] && grep -q '^btvmm: guest RAM of 3072 MiB: ' err ||
        complain "ulimit $limit: $(cat err)"
done

# A name with odd characters can't forge a second line.
refuses 1 'No such file' "$(printf 'a\nbtvmm: b')"

exit $bad
