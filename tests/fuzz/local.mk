# SPDX-License-Identifier: GPL-2.0-or-later
#
# Decoder and translator under random bytes, for a bounded time.
check_PROGRAMS += %reldir%/fuzz_translate
%canon_reldir%_fuzz_translate_SOURCES = %reldir%/fuzz_translate.c %reldir%/translate_cases.h \
	%reldir%/translate_cases.c tests/fake/world_bt.h tests/fake/world_bt.c
%canon_reldir%_fuzz_translate_CPPFLAGS = $(AM_CPPFLAGS) -DHOSTED_TEST
%canon_reldir%_fuzz_translate_CFLAGS = $(AM_CFLAGS) $(SAN_CFLAGS)
%canon_reldir%_fuzz_translate_LDFLAGS = $(SAN_LDFLAGS)
%canon_reldir%_fuzz_translate_LDADD = libmonhosted.a $(CAPSTONE_LIBS) $(ZYDIS_LIBS)
TESTS += %reldir%/fuzz_translate
