# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs inside the emulated machine (busybox sh): a hostile caller, and whether the kernel and a VM are still well
# afterwards.  $1: how many VMs; $2: seed.
insmod /btmon.ko || exit 1
echo
dd if=/dev/urandom of=/tmp/file bs=1M count=32 2>/dev/null
before=$(cat /tmp/file /bin/btvmm | sha256sum)
/scribble "$1" "$2"
echo "@scribble $?"
[ "$before" = "$(cat /tmp/file /bin/btvmm | sha256sum)" ]
echo "@memory $?"
timeout -s KILL 60 btvmm --world=ring0 -no-reboot -m 32M /guest.img -append timeout=0 </dev/null >/tmp/out 2>/tmp/err
echo "@after $?"
rmmod btmon
echo "@rmmod $?"
dmesg | sed -n 's/.*the monitor gave up: /@broke /p'
dmesg | grep -E 'BUG|WARNING|Oops|Call Trace|general protection' | sed 's/^/@dmesg /'
exit 0
