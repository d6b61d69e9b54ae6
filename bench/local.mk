# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += %reldir%/run.sh %reldir%/steady.sh %reldir%/guest/bench %reldir%/guest/bench.h \
    %reldir%/guest/forkwait.c %reldir%/guest/fploop.c %reldir%/guest/getppid.c %reldir%/guest/intloop.c \
    %reldir%/guest/pgtouch.c %reldir%/guest/pipepp.c %reldir%/guest/sieve.c
