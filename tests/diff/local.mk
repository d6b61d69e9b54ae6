# SPDX-License-Identifier: GPL-2.0-or-later
#
# difftest: random instructions on the real CPU and on our engines.  Runs the
# host's CPU in compatibility mode at fixed low addresses: not under sanitizers.
if !SANITIZERS
check_PROGRAMS += %reldir%/difftest
%canon_reldir%_difftest_SOURCES = \
    %reldir%/compare.c \
    %reldir%/diff.h \
    %reldir%/emit.c \
    %reldir%/engine_interp.c \
    %reldir%/forms.def \
    %reldir%/gen.c \
    %reldir%/gen.h \
    %reldir%/gen_flow.c \
    %reldir%/gen_fp.c \
    %reldir%/gen_insn.c \
    %reldir%/gen_system.c \
    %reldir%/main.c \
    %reldir%/model.c \
    %reldir%/model.h \
    %reldir%/native.c \
    %reldir%/native.h \
    %reldir%/native_entry.S \
    %reldir%/report.c \
    %reldir%/undefined.c
%canon_reldir%_difftest_CPPFLAGS = $(AM_CPPFLAGS) -DHOSTED_TEST
%canon_reldir%_difftest_CFLAGS = $(AM_CFLAGS) -fPIE -fcf-protection=none
%canon_reldir%_difftest_LDFLAGS = -pie
%canon_reldir%_difftest_LDADD = libmonhosted.a libhost.a $(CAPSTONE_LIBS) $(ZYDIS_LIBS)
endif

# The replay guest: the same sequences inside a virtual machine (tests/replay.sh).
replay_sources = \
    %reldir%/replay/entry.S \
    %reldir%/replay/replay.c
replay_shared = \
    %reldir%/model.c \
    base/mem.c
replay_headers = \
    %reldir%/model.h \
    %reldir%/replay/replay.ld
EXTRA_DIST += $(replay_sources) $(replay_headers)
CLEANFILES += %reldir%/replay.elf

%reldir%/replay.elf: $(replay_sources) $(replay_shared) $(replay_headers)
	@$(MKDIR_P) $(@D)
	$(AM_V_CCLD)$(CC) $(guest_cflags) -mgeneral-regs-only $(guest_ldflags) -I$(top_srcdir) \
	    -T $(top_srcdir)/%reldir%/replay/replay.ld -o $@ $(replay_sources:%=$(top_srcdir)/%) \
	    $(replay_shared:%=$(top_srcdir)/%)

if GUESTS
if !SANITIZERS
check_DATA += %reldir%/replay.elf
endif
endif
