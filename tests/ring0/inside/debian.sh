# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs inside the emulated machine (busybox sh): a Debian kernel and the smoke script in
# the ring-0 world.  Arguments: user-exec mode, time limit in seconds.
insmod /btmon.ko || exit 1
timeout -s KILL "$2" btvmm --world=ring0 --user-exec="$1" -m 256M -kernel /vmlinuz -initrd /guest.gz \
    -append "console=ttyS0 btscript=smoke" </dev/null
echo "@end $?"
rmmod btmon
echo "@rmmod $?"
dmesg | grep -E 'BUG|WARNING|Oops|Call Trace|general protection|gave up' | sed 's/^/@dmesg /'
exit 0
