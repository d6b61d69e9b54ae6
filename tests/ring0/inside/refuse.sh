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

load() { # CASE MODULE: leaves its status, and what the kernel's log says why
    dmesg -c >/dev/null
    insmod "$2" 2>/dev/null
    echo "@insmod $1 $?"
    dmesg | sed -n "s/.*btmon: not loaded/@refused $1/p; s/.*\\(Lockdown: insmod: .*\\)/@refused $1 \\1/p"
}

unload() { # CASE
    rmmod btmon
    echo "@rmmod $1 $?"
}

# A module of another version; one whose monitor has another version than the module.
versions() {
    load next /btmon_next.ko
    try next $vm 32M /guest.img -append timeout=0
    unload next
    load mixed /btmon_mixed.ko
    try mixed $vm 32M /guest.img -append timeout=0
}

# Linux has memory enough, but not for this group of processes.
starved() {
    mkdir /tmp/cgroup && mount -t cgroup2 none /tmp/cgroup && echo +memory >/tmp/cgroup/cgroup.subtree_control &&
        mkdir /tmp/cgroup/small && echo 64M >/tmp/cgroup/small/memory.max
    try starved sh -c "echo \$\$ >/tmp/cgroup/small/cgroup.procs && exec $vm 32M /guest.img -append timeout=0"
    echo "@killed $(sed -n 's/^oom_kill //p' /tmp/cgroup/small/memory.events)"
    echo 512M >/tmp/cgroup/small/memory.max
    try fed sh -c "echo \$\$ >/tmp/cgroup/small/cgroup.procs && exec $vm 32M /guest.img -append timeout=0"
}

# While a VM runs, which runs on; nothing undoes this.
lock_down() {
    $vm 32M /guest.img -append timeout=8 </dev/null >/tmp/running 2>&1 &
    pid=$!
    sleep 2
    mount -t securityfs none /sys/kernel/security
    echo integrity >/sys/kernel/security/lockdown
    try locked $vm 32M /guest.img -append timeout=0
    dmesg | sed -n 's/.*btmon: no VM/@locked/p'
    wait $pid
    echo "@end running $?"
}

echo
try absent $vm 32M /guest.img -append timeout=0
[ ! -f /btmon_next.ko ] || versions
load btmon /btmon.ko
if [ -c /dev/btmon ]; then
    ls -l /dev/btmon | sed 's/^/# /'
    try closed su nobody -s /bin/sh -c "$vm 32M /guest.img -append timeout=0"
    chmod 666 /dev/btmon
    try limit sh -c "ulimit -l 65536; su nobody -s /bin/sh -c '$vm 32M /guest.img -append timeout=0'"
    try allowed sh -c "ulimit -l $(sed -n 's/.*`ulimit -l \([0-9]*\)` first$/\1/p' /tmp/err); su nobody -s /bin/sh -c '$vm 32M /guest.img -append timeout=0'"
    try memory $vm 2048M /guest.img -append timeout=0
    mv /dev/btmon /dev/kept
    mknod /dev/btmon c 1 3
    try other $vm 32M /guest.img -append timeout=0
    mv /dev/kept /dev/btmon
    try after $vm 32M /guest.img -append timeout=0
    starved
    try after-all $vm 32M /guest.img -append timeout=0
    lock_down
    unload btmon
fi
dmesg | grep -E 'BUG|WARNING|Oops|Call Trace|general protection|gave up' | sed 's/^/@dmesg /'
exit 0
