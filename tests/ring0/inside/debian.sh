# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs inside the emulated machine (busybox sh): a Debian kernel and the smoke script in
# one of the worlds.  Arguments: world, user-exec mode, time limit in seconds.
[ "$1" = proc ] || insmod /btmon.ko || exit 1
timeout -s KILL "$3" btvmm --world="$1" --user-exec="$2" -m 256M -kernel /vmlinuz -initrd /guest.gz \
    -append "console=ttyS0 btscript=smoke" </dev/null
echo "@end $?"
[ "$1" = proc ] || rmmod btmon
echo "@rmmod $?"
dmesg | grep -E 'BUG|WARNING|Oops|Call Trace|general protection|gave up' | sed 's/^/@dmesg /'
exit 0
