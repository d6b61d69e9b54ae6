# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs inside the emulated machine (busybox sh): each guest of /jobs in the world $1.
# A job is a name and btvmm's arguments; $2 is the time for one in seconds.  What comes out goes to the console,
# marked so that the script outside (guests.tap) can take it apart again.
[ "$1" = proc ] || insmod /btmon.ko || exit 1
while read -r name args; do
    echo "@begin $name"
    # shellcheck disable=SC2086
    timeout -s KILL "$2" btvmm --world="$1" -no-reboot $args </dev/null >/tmp/out 2>/tmp/err
    status=$?
    sed "s|^|@out $name |" /tmp/out
    sed "s|^|@err $name |" /tmp/err
    echo
    echo "@end $name $status"
done </jobs
[ "$1" = proc ] || rmmod btmon
echo "@rmmod $?"
dmesg | grep -E 'BUG|WARNING|Oops|Call Trace|general protection|gave up' | sed 's/^/@dmesg /'
exit 0
