# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs inside (see lib.sh), by busybox sh: kmod-inside.sh TEST...
#
# A TEST is one of btmon-test's ("NAME" or "NAME=NUMBER") or one of the functions here.
bad=0

check()
{
    if [ "$1" = 0 ]; then
        echo "ok - $2"
    else
        echo "not ok - $2"
        bad=1
    fi
}

load()
{
    insmod /btmon_selftest.ko
}

# rmmod's message is lost, its status is not.
is_loaded()
{
    grep -q '^btmon_selftest ' /proc/modules
}

reload()
{
    for i in 1 2 3 4 5; do
        rmmod btmon_selftest && ! is_loaded && load && /btmon-test basic >/dev/null
        check $? "unload and load ($i)"
    done
}

# spin_start N: so many callers inside BTMON_RUN; their numbers in $pids.
spin_start()
{
    pids=
    for i in $(seq "$1"); do
        /btmon-test spin &
        pids="$pids $!"
    done
    sleep 1
}

kill_callers()
{
    for round in 1 2 3; do
        spin_start 3
        rmmod btmon_selftest 2>/dev/null
        is_loaded
        check $? "no unloading while files are open"
        kill -9 $pids
        wait $pids 2>/dev/null
        /btmon-test pinned
        check $? "nothing stays pinned after kill -9"
        rmmod btmon_selftest && load
        check $? "unloads after kill -9"
    done
}

# In a memory cgroup that btmon-test makes too small.
starve()
{
    mkdir /tmp/cgroup && mount -t cgroup2 none /tmp/cgroup && echo +memory >/tmp/cgroup/cgroup.subtree_control &&
        mkdir /tmp/cgroup/btmon
    check $? "there is a memory cgroup"
    sh -c 'echo $$ >/tmp/cgroup/btmon/cgroup.procs && exec /btmon-test starve'
    check $? starve
    grep -q '^oom_kill 0$' /tmp/cgroup/btmon/memory.events
    check $? "nobody was killed for memory"
}

# On all CPUs, while three VMs run.
nmi()
{
    before=$(nmi_count)
    echo "nmi: on"
    /btmon-test many 15 | tee /tmp/many
    echo "nmi: off"
    ! grep -q '^not ok' /tmp/many && grep -q '^ok' /tmp/many
    check $? "three VMs and NMIs"
    sleep 1
    after=$(nmi_count)
    taken=$(sed -n 's/.*interrupts and \([0-9]*\) NMIs taken, \([0-9]*\) NMIs held/\1 \2/p' /tmp/many |
        awk '{ n += $1 + $2 } END { print n }')
    echo "# NMIs: $((after - before)) counted by the host, $taken met the VMM world or a switch"
    [ "$taken" -gt 0 ] && [ $((after - before)) -ge "$taken" ]
    check $? "the host gets the NMIs that the VMM world took"
}

nmi_count()
{
    awk '$1 == "NMI:" { for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i } END { print n }' /proc/interrupts
}

echo "# $(uname -r), $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $(cat /proc/cmdline)"
dmesg -c >/dev/null # what the kernel says of itself is not ours
load || { dmesg | tail; exit 1; }
for t in "$@"; do
    echo "# -- $t"
    case $t in
    reload|kill_callers|nmi|starve) $t ;;
    *=*) /btmon-test "${t%=*}" "${t#*=}"; check $? "$t" ;;
    *) /btmon-test "$t"; check $? "$t" ;;
    esac
done
rmmod btmon_selftest
check $? "unloads"
dmesg | grep -E 'BUG|WARNING|Oops|general protection|Call Trace|stall|lockup'
[ $? = 1 ]
check $? "no complaint in the kernel's log"
[ $bad = 0 ] || dmesg | grep btmon: | tail -n 5
exit $bad
