# SPDX-License-Identifier: GPL-2.0-or-later
#
# Golden listings of translations: the test compares, `make golden` writes new
# ones into the source tree, to be reviewed as a difference.
golden_listings = \
    %reldir%/direct.txt \
    %reldir%/flags.txt \
    %reldir%/ident.txt \
    %reldir%/indirect.txt \
    %reldir%/interp.txt \
    %reldir%/segments.txt \
    %reldir%/system.txt
EXTRA_DIST += $(golden_listings)

check_PROGRAMS += %reldir%/golden
%canon_reldir%_golden_SOURCES = %reldir%/golden.c tests/fake/world_bt.h tests/fake/world_bt.c
%canon_reldir%_golden_CPPFLAGS = $(AM_CPPFLAGS) -DHOSTED_TEST
%canon_reldir%_golden_CFLAGS = $(AM_CFLAGS) $(SAN_CFLAGS)
%canon_reldir%_golden_LDFLAGS = $(SAN_LDFLAGS)
%canon_reldir%_golden_LDADD = libmonhosted.a $(CAPSTONE_LIBS) $(ZYDIS_LIBS)
TESTS += %reldir%/golden

golden: %reldir%/golden
	%reldir%/golden --write $(top_srcdir)/%reldir%
.PHONY: golden
