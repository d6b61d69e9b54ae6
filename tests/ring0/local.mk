# SPDX-License-Identifier: GPL-2.0-or-later
#
# The ring-0 world, in a machine that QEMU emulates: Debian's amd64 kernel with the module.  Not part of `make
# check`, because they take minutes; `make check-ring0` says why it skips what it can't run.
RING0_TESTS = \
    %reldir%/backports.tap \
    %reldir%/broken.tap \
    %reldir%/debian.tap \
    %reldir%/dkms.tap \
    %reldir%/ends.tap \
    %reldir%/guests.tap \
    %reldir%/kmod-backports.tap \
    %reldir%/kmod-count.tap \
    %reldir%/kmod-models.tap \
    %reldir%/kmod-nmi.tap \
    %reldir%/kmod-requests.tap \
    %reldir%/kmod-stress.tap \
    %reldir%/proc.tap \
    %reldir%/proc-debian.tap \
    %reldir%/refuse.tap \
    %reldir%/scribble.tap \
    %reldir%/trace.tap \
    %reldir%/udev.tap
dist_check_SCRIPTS += $(RING0_TESTS)
EXTRA_DIST += \
    %reldir%/inside/debian.sh \
    %reldir%/inside/ends.sh \
    %reldir%/inside/guests.sh \
    %reldir%/inside/kmod.sh \
    %reldir%/inside/refuse.sh \
    %reldir%/inside/scribble.sh \
    %reldir%/inside/trace.sh \
    %reldir%/inside/udev.sh \
    %reldir%/kmod-lib.sh \
    %reldir%/lib.sh

# A hostile caller.
check_PROGRAMS += %reldir%/scribble
%canon_reldir%_scribble_SOURCES = %reldir%/scribble.c

ring0_modules =
if RING0
ring0_modules += world/ring0/btmon.ko world/ring0/btmon_next.ko world/ring0/btmon_selftest.ko
endif
ring0_test_files =
ring0_guests =
if GUESTS
ring0_guests += $(basename $(notdir $(test_guests))) demo
ring0_test_files += guest.img $(test_guests) $(script_guests) bench/nano/nano.elf
endif

check-ring0: btvmm %reldir%/scribble $(ring0_modules) $(ring0_test_files)
	RING0_PACKAGES="$${RING0_PACKAGES:-$(RING0_PACKAGES)}" \
	RING0_GUESTS="$${RING0_GUESTS:-$(ring0_guests)}" \
	BTMON='$(filter %/btmon.ko,$(ring0_modules:%=$(abs_builddir)/%))' \
	BTMON_NEXT='$(filter %_next.ko,$(ring0_modules:%=$(abs_builddir)/%))' \
	BTMON_SELFTEST='$(filter %_selftest.ko,$(ring0_modules:%=$(abs_builddir)/%))' \
	    $(MAKE) $(AM_MAKEFLAGS) check TESTS='$(RING0_TESTS)'
.PHONY: check-ring0
