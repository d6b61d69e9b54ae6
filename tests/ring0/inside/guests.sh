# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs inside the emulated machine (busybox sh): each guest of /jobs in the ring-0
# world.  A job is a name and btvmm's arguments; $1 is the time for one in seconds.  What comes out goes to the console,
# marked so that the script outside (guests.tap) can take it apart again.
insmod /btmon.ko || exit 1
while read -r name args; do
    echo "@begin $name"
    # shellcheck disable=SC2086
    timeout -s KILL "$1" btvmm --world=ring0 -no-reboot $args </dev/null >/tmp/out 2>/tmp/err
    status=$?
    sed "s|^|@out $name |" /tmp/out
    sed "s|^|@err $name |" /tmp/err
    echo
    echo "@end $name $status"
done </jobs
rmmod btmon
echo "@rmmod $?"
dmesg | grep -E 'BUG|WARNING|Oops|Call Trace|general protection|gave up' | sed 's/^/@dmesg /'
exit 0
