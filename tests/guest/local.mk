# SPDX-License-Identifier: GPL-2.0-or-later
#
# The self-checking guests: one C file each, with the runtime rt.*.  Each runs in
# every way of executing it (run-guest), and its own lines are the test results.
rt_headers = \
    %reldir%/rt.h \
    %reldir%/rt.ld
rt_sources = \
    %reldir%/rt.S \
    %reldir%/rt.c
test_guest_sources = \
    %reldir%/bits16.c \
    %reldir%/debug.c \
    %reldir%/direct.c \
    %reldir%/escape.c \
    %reldir%/faults.c \
    %reldir%/flow.c \
    %reldir%/fpu.c \
    %reldir%/gates.c \
    %reldir%/hostile.c \
    %reldir%/i286.c \
    %reldir%/inject.c \
    %reldir%/iret.c \
    %reldir%/looks.c \
    %reldir%/nmi.c \
    %reldir%/pae.c \
    %reldir%/paging.c \
    %reldir%/places.c \
    %reldir%/real.c \
    %reldir%/reload.c \
    %reldir%/reset.c \
    %reldir%/rewrite.c \
    %reldir%/ring3.c \
    %reldir%/segment.c \
    %reldir%/shadow.c \
    %reldir%/siege.c \
    %reldir%/smc.c \
    %reldir%/string.c \
    %reldir%/syscalls.c \
    %reldir%/system.c \
    %reldir%/task.c \
    %reldir%/timer.c \
    %reldir%/triple.c \
    %reldir%/v86.c \
    %reldir%/window.c \
    %reldir%/xsave.c
test_guests = \
    %reldir%/bits16.elf \
    %reldir%/debug.elf \
    %reldir%/direct.elf \
    %reldir%/faults.elf \
    %reldir%/flow.elf \
    %reldir%/fpu.elf \
    %reldir%/gates.elf \
    %reldir%/hostile.elf \
    %reldir%/i286.elf \
    %reldir%/inject.elf \
    %reldir%/iret.elf \
    %reldir%/looks.elf \
    %reldir%/pae.elf \
    %reldir%/paging.elf \
    %reldir%/places.elf \
    %reldir%/real.elf \
    %reldir%/reload.elf \
    %reldir%/rewrite.elf \
    %reldir%/ring3.elf \
    %reldir%/segment.elf \
    %reldir%/shadow.elf \
    %reldir%/siege.elf \
    %reldir%/smc.elf \
    %reldir%/string.elf \
    %reldir%/syscalls.elf \
    %reldir%/system.elf \
    %reldir%/task.elf \
    %reldir%/timer.elf \
    %reldir%/v86.elf \
    %reldir%/window.elf \
    %reldir%/xsave.elf

dist_check_SCRIPTS += %reldir%/run-guest
EXTRA_DIST += $(rt_headers) $(rt_sources) $(test_guest_sources)
# Started by scripts of tests/.
script_guests = \
    %reldir%/escape.elf \
    %reldir%/nmi.elf \
    %reldir%/reset.elf \
    %reldir%/triple.elf
CLEANFILES += $(test_guests) $(script_guests)

%reldir%/%.elf: %reldir%/%.c $(rt_sources) $(rt_headers)
	@$(MKDIR_P) $(@D)
	$(AM_V_CCLD)$(CC) $(guest_cflags) -fno-delete-null-pointer-checks -Wno-array-bounds $(guest_ldflags) -I$(top_srcdir)/%reldir% \
	    -T $(top_srcdir)/%reldir%/rt.ld -o $@ $< $(rt_sources:%=$(top_srcdir)/%)

ELF_LOG_DRIVER = $(LOG_DRIVER)
AM_ELF_LOG_DRIVER_FLAGS = --ignore-exit
ELF_LOG_COMPILER = $(SHELL) $(top_srcdir)/%reldir%/run-guest
if GUESTS
if !SANITIZERS
check_DATA += $(test_guests) $(script_guests)
TESTS += $(test_guests)
endif
endif
