# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs inside the emulated machine (busybox sh): guests whose end, or whose user code, is out of the ordinary.
run() { # CASE ARGS...
    case=$1
    shift
    timeout -s KILL 60 btvmm --world=ring0 -m 32M "$@" </dev/null >/tmp/out 2>/tmp/err
    status=$?
    report
}

report() {
    sed "s|^|@out $case |" /tmp/out
    sed "s|^|@err $case |" /tmp/err
    echo
    echo "@end $case $status"
}

# The button is pressed once for each line READY.
nmi() { # CASE ARGS...
    case=$1 pressed=0
    shift
    : >/tmp/out
    timeout -s KILL 60 btvmm --world=ring0 -m 32M "$@" </dev/null >/tmp/out 2>/tmp/err &
    timeout=$!
    sleep 1
    pid=$(pidof btvmm | tr ' ' '\n' | sort -n | head -n 1)
    while kill -0 $timeout 2>/dev/null; do
        if [ "$(grep -c READY /tmp/out)" -gt $pressed ]; then
            pressed=$((pressed + 1))
            kill -USR2 "$pid"
        fi
        sleep 0.1
    done
    wait $timeout
    status=$?
    report
}

insmod /btmon.ko || exit 1
echo
for way in nothing fault getpid int80 open mmap mprotect kill spin keys; do
    run $way -no-reboot --user-exec=direct -append $way /escape.elf
done
run triple -no-reboot /triple.elf
case=reset
timeout 10 btvmm --world=ring0 -m 32M /reset.elf </dev/null >/tmp/out 2>/tmp/err
status=$?
sed '$d' /tmp/out | sort | uniq -c | sed 's/^/@starts /' # the last one may have been cut short
: >/tmp/out
report
for mode in auto direct translate; do
    nmi nmi-$mode -no-reboot --user-exec=$mode /nmi.elf
done
rmmod btmon
echo "@rmmod $?"
dmesg | grep -E 'BUG|WARNING|Oops|Call Trace|general protection|gave up' | sed 's/^/@dmesg /'
exit 0
