# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += %reldir%/ring0.sh %reldir%/run.sh %reldir%/steady.sh %reldir%/guest/bench %reldir%/guest/bench.h \
    %reldir%/guest/forkwait.c %reldir%/guest/fploop.c %reldir%/guest/getppid.c %reldir%/guest/intloop.c \
    %reldir%/guest/pgtouch.c %reldir%/guest/pipepp.c %reldir%/guest/sieve.c

# The nanobenchmarks are a guest of their own, on the runtime of tests/guest.
EXTRA_DIST += %reldir%/nano/nano.c
CLEANFILES += %reldir%/nano/nano.elf
%reldir%/nano/nano.elf: %reldir%/nano/nano.c $(rt_sources) $(rt_headers)
	@$(MKDIR_P) $(@D)
	$(AM_V_CCLD)$(CC) $(guest_cflags) -fno-delete-null-pointer-checks -Wno-array-bounds $(guest_ldflags) \
	    -T $(top_srcdir)/tests/guest/rt.ld -o $@ $< $(rt_sources:%=$(top_srcdir)/%)
if GUESTS
noinst_DATA += %reldir%/nano/nano.elf
endif
