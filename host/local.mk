# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libhost.a

btvmm_SOURCES += %reldir%/main.c
btvmm_LDADD = libhost.a libmonproc.a libmonitor.a libmonproc.a \
    $(ZYDIS_LIBS) $(CAPSTONE_LIBS) $(ELF_LIBS)
# Nothing of the program may lie below 4 GiB; the VMM must not have shadow stacks.
btvmm_CFLAGS = $(AM_CFLAGS) -fPIE -fcf-protection=none
btvmm_LDFLAGS = -pie -pthread

libhost_a_SOURCES = \
    %reldir%/bzimage.c \
    %reldir%/clock.c \
    %reldir%/clock.h \
    %reldir%/console.c \
    %reldir%/console.h \
    %reldir%/elf.c \
    %reldir%/features.def \
    %reldir%/guestram.c \
    %reldir%/guestram.h \
    %reldir%/guestend.c \
    %reldir%/image.c \
    %reldir%/image.h \
    %reldir%/listing.c \
    %reldir%/listing.h \
    %reldir%/message.c \
    %reldir%/message.h \
    %reldir%/multiboot.c \
    %reldir%/options.c \
    %reldir%/options.def \
    %reldir%/options.h \
    %reldir%/probe.c \
    %reldir%/probe.h \
    %reldir%/report.c \
    %reldir%/report.h \
    %reldir%/symbols.c \
    %reldir%/symbols.h \
    %reldir%/tracetext.c \
    %reldir%/vmx.c \
    %reldir%/vmx.h \
    %reldir%/vmx_priv.h \
    %reldir%/vmxend.c \
    %reldir%/vmxloop.c \
    %reldir%/worlds.c \
    %reldir%/worlds.h
libhost_a_CFLAGS = $(AM_CFLAGS) $(SAN_CFLAGS) -fPIE -pthread

# The loaders under mutated images, for a bounded time; SEED-FILEs may be given by hand.
check_PROGRAMS += %reldir%/fuzz_loader
%canon_reldir%_fuzz_loader_SOURCES = %reldir%/fuzz_loader.c
%canon_reldir%_fuzz_loader_CFLAGS = $(AM_CFLAGS) $(SAN_CFLAGS)
%canon_reldir%_fuzz_loader_LDFLAGS = $(SAN_LDFLAGS)
%canon_reldir%_fuzz_loader_LDADD = libhost.a $(CAPSTONE_LIBS) $(ELF_LIBS)
TESTS += %reldir%/fuzz_loader
