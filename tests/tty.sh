#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# btvmm on a terminal (a pseudo-terminal that Python holds): raw mode, escapes,
# and the terminal's settings afterwards, however the VM ends.
# shellcheck source=tests/lib.sh
. "${SRCDIR:-.}/tests/lib.sh"
need_process_world
command -v python3 > /dev/null || exit 77
[ -f "${BUILDDIR:-.}/guest.img" ] || exit 77
exec python3 - "$btvmm" "${BUILDDIR:-.}/guest.img" <<'PYTHON'
import os, pty, select, signal, sys, termios, time

btvmm, image = sys.argv[1:3]
bad = 0


class Session:
    def __init__(self, *args):
        self.output = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(btvmm, [btvmm, *args])

    def wait(self, text, seconds=20):
        """Read until text appears; False if it does not."""
        end = time.time() + seconds
        while text not in self.output and time.time() < end:
            if not select.select([self.fd], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(self.fd, 4096)
            except OSError:
                break
            if not piece:
                break
            self.output += piece
        return text in self.output

    def type(self, text):
        os.write(self.fd, text)

    def mode(self):
        return "cooked" if termios.tcgetattr(self.fd)[3] & termios.ICANON else "raw"

    def end(self, seconds=20):
        """Exit status (negative: signal), None if it does not end."""
        end = time.time() + seconds
        while time.time() < end:
            self.wait(b"\0never", 0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return None


def expect(what, got, want):
    global bad
    if got != want:
        print(f"tty: {what}: {got!r}, not {want!r}")
        bad = 1


def started(*args):
    s = Session(image, "-append", "prompt nodemo", *args)
    expect("banner", s.wait(b"demonstration guest"), True)
    return s


s = started()
expect("mode", s.mode(), "raw")
s.type(b"\x01h")
expect("Ctrl-A h", s.wait(b"Ctrl-A x ends the VM"), True)
s.type(b"\x01s")
expect("Ctrl-A s", s.wait(b"world_switches"), True)
s.type(b"\x03")  # goes to the guest
time.sleep(0.3)
expect("Ctrl-C ends nothing", os.waitpid(s.pid, os.WNOHANG)[0], 0)
s.type(b"\x01x")
expect("Ctrl-A x", s.end(), 0)
expect("mode after Ctrl-A x", s.mode(), "cooked")

for sig, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
    s = started()
    os.kill(s.pid, sig)
    expect(f"signal {sig}", s.end(), status)
    expect(f"mode after signal {sig}", s.mode(), "cooked")

# Even a crash of ours gives the terminal back.
s = started()
os.kill(s.pid, signal.SIGSEGV)
expect("SIGSEGV", s.end(), -signal.SIGSEGV)
expect("mode after SIGSEGV", s.mode(), "cooked")

# The terminal vanishes.
s = started()
os.close(s.fd)
end = time.time() + 20
status = None
while status is None and time.time() < end:
    pid, st = os.waitpid(s.pid, os.WNOHANG)
    if pid:
        status = os.waitstatus_to_exitcode(st)
    time.sleep(0.1)
expect("hang-up", status, 128 + signal.SIGHUP)

# With the serial line elsewhere the terminal stays as it was and Ctrl-C is SIGINT.
s = Session(image, "--serial=null", "-append", "prompt nodemo")
time.sleep(1)
expect("mode with --serial=null", s.mode(), "cooked")
s.type(b"\x03")
expect("Ctrl-C with --serial=null", s.end(), 130)

sys.exit(bad)
PYTHON
