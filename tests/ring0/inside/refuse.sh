# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs inside the emulated machine (busybox sh): what btvmm says where the ring-0 world can't be had. Each case
# leaves its lines, its status, and whether the module was there.
try() { # CASE COMMAND...
    case=$1
    shift
    timeout -s KILL 60 "$@" </dev/null >/tmp/out 2>/tmp/err
    status=$?
    sed "s|^|@err $case |" /tmp/err
    echo
    echo "@end $case $status"
}
vm="btvmm --world=ring0 -no-reboot -m"

echo
try absent $vm 32M /guest.img -append timeout=0
insmod /btmon.ko 2>/tmp/err
echo "@insmod $?"
dmesg | sed -n 's/.*btmon: not loaded/@refused/p; s/.*\(Lockdown: insmod: .*\)/@refused \1/p'
if [ -c /dev/btmon ]; then
    ls -l /dev/btmon | sed 's/^/# /'
    try closed su nobody -s /bin/sh -c "$vm 32M /guest.img -append timeout=0"
    chmod 666 /dev/btmon
    try limit sh -c "ulimit -l 65536; su nobody -s /bin/sh -c '$vm 32M /guest.img -append timeout=0'"
    try allowed sh -c "ulimit -l 1048576; su nobody -s /bin/sh -c '$vm 32M /guest.img -append timeout=0'"
    try memory $vm 2048M /guest.img -append timeout=0
    mv /dev/btmon /dev/kept
    mknod /dev/btmon c 1 3
    try other $vm 32M /guest.img -append timeout=0
    mv /dev/kept /dev/btmon
    try after $vm 32M /guest.img -append timeout=0
    rmmod btmon
    echo "@rmmod $?"
fi
exit 0
