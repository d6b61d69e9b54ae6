# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs inside the emulated machine (busybox sh): the module's device before and under systemd-udevd, and who may use it.
node() { # WHEN
    udevadm settle --timeout=30
    stat -c "@node $1 %U:%G %a" /dev/btmon
}

try() { # USER
    su "$1" -s /bin/sh -c 'btvmm --world=ring0 -no-reboot -m 32M /guest.img -append timeout=0' </dev/null >/tmp/out 2>/tmp/err
    status=$?
    sed "s|^|@err $1 |" /tmp/err
    echo
    echo "@end $1 $status"
}

mkdir -p /run
mount -t tmpfs run /run
echo
insmod /btmon.ko || exit 1
node before
systemd-udevd --daemon
echo "@udevd $?"
udevadm trigger --subsystem-match=misc
node trigger
rmmod btmon
insmod /btmon.ko
node load
ulimit -l 1048576
try member
try nobody
rmmod btmon
echo "@rmmod $?"
exit 0
