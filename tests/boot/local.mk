# SPDX-License-Identifier: GPL-2.0-or-later
#
# Whole guests, as a user starts them.  The Debian ones are skipped unless
# DEBIAN_GUEST names a directory for the kernels (see debian).
TEST_EXTENSIONS += .tap
TAP_LOG_DRIVER = $(LOG_DRIVER)
BOOT_TESTS = \
    %reldir%/guest.tap \
    %reldir%/debian-686.tap \
    %reldir%/debian-686-pae.tap
dist_check_SCRIPTS += $(BOOT_TESTS) %reldir%/debian
if GUESTS
if !SANITIZERS
TESTS += $(BOOT_TESTS)
endif
endif

# The Debian guests, with their kernels kept in the build directory.
check-debian:
	DEBIAN_GUEST="$${DEBIAN_GUEST:-$(abs_builddir)/debian-guest}" \
	    $(MAKE) $(AM_MAKEFLAGS) check TESTS='%reldir%/debian-686.tap %reldir%/debian-686-pae.tap'
.PHONY: check-debian
