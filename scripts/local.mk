# SPDX-License-Identifier: GPL-2.0-or-later
dist_noinst_SCRIPTS += %reldir%/debian-guest.sh %reldir%/fetch-ring0.sh %reldir%/ring0-host.sh %reldir%/guest/init \
    %reldir%/guest/scripts/smoke %reldir%/guest/scripts/soak
EXTRA_DIST += \
    %reldir%/apt-private.sh \
    %reldir%/guest/dynamic/libc.c \
    %reldir%/guest/forkpipe.c \
    %reldir%/guest/maps.c \
    %reldir%/guest/nolibc.h \
    %reldir%/guest/scripts/lib.sh \
    %reldir%/guest/signals.c \
    %reldir%/guest/threads.c \
    %reldir%/guest/tls.c \
    %reldir%/guest/vectors.c

# Debian's i386 kernels and a small initrd, from Debian's packages, into debian-guest/ (see README.md).
debian-guest:
	$(SHELL) $(top_srcdir)/%reldir%/debian-guest.sh $(abs_builddir)/debian-guest
.PHONY: debian-guest
