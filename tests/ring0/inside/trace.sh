# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs inside the emulated machine (busybox sh): a guest that computes in user mode, with the steps of the host's
# interrupts traced.  What its console gets to read makes the VMX kick the runner.
insmod /btmon.ko || exit 1
echo
mkfifo /tmp/in
btvmm --world=ring0 -m 16M --trace='irq_*' --trace-file=/tmp/trace /nano.elf -append "only system-call forever" \
    </tmp/in >/tmp/out 2>/tmp/err &
pid=$!
for i in $(seq 100); do
    [ -s /tmp/trace ] && [ "$i" -gt 20 ] && break
    sleep 0.1
    echo
done >/tmp/in
sleep 1
kill $pid
wait $pid
echo "@end $?"
sed 's/^/@err /' /tmp/err
sed 's/^/@trace /' /tmp/trace
rmmod btmon
echo "@rmmod $?"
exit 0
