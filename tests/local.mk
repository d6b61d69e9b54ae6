# SPDX-License-Identifier: GPL-2.0-or-later
#
# Unit tests speak TAP (Criterion's own output), scripts answer by exit status
# (77 = skipped).
TEST_EXTENSIONS = .sh .elf
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' CRITERION_OUTPUTS=tap:- ASAN_OPTIONS=detect_leaks=0 \
    $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
AM_LOG_DRIVER_FLAGS = --ignore-exit
# Nothing may hang: a test that does is an error after this long.
LOG_COMPILER = timeout 600
SH_LOG_COMPILER = timeout 1200 $(SHELL)
AM_TESTS_ENVIRONMENT = \
    BTVMM='$(abs_top_builddir)/btvmm'; export BTVMM; \
    SRCDIR='$(abs_top_srcdir)'; export SRCDIR; \
    BUILDDIR='$(abs_top_builddir)'; export BUILDDIR; \
    NM='$(NM)' OBJDUMP='$(OBJDUMP)'; export NM OBJDUMP;

SCRIPT_TESTS = \
    %reldir%/purity.sh \
    %reldir%/includes.sh \
    %reldir%/probe.sh \
    %reldir%/cli.sh \
    %reldir%/images.sh \
    %reldir%/boot.sh \
    %reldir%/records.sh \
    %reldir%/dump.sh \
    %reldir%/escape.sh \
    %reldir%/hosts.sh \
    %reldir%/nmi.sh \
    %reldir%/tty.sh \
    %reldir%/difftest.sh \
    %reldir%/replay.sh
dist_check_SCRIPTS += $(SCRIPT_TESTS)
EXTRA_DIST += %reldir%/lib.sh %reldir%/program32.S
if !SANITIZERS
TESTS += $(SCRIPT_TESTS)
check_PROGRAMS += %reldir%/without
%canon_reldir%_without_SOURCES = %reldir%/without.c
if GUESTS
check_DATA += %reldir%/program32
CLEANFILES += %reldir%/program32

%reldir%/program32: %reldir%/program32.S
	$(AM_V_CCLD)$(CC) -m32 -nostdlib -static -no-pie -o $@ $<
endif
endif
