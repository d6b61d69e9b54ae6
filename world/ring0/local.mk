# SPDX-License-Identifier: GPL-2.0-or-later
#
# The ring-0 world: a monitor image made of libmonitor.a's objects, this folder's
# monitor side and the decoder, embedded in a kernel module.
#
# The VMX's side belongs to btvmm whether or not the rest is built.
btvmm_SOURCES += \
    %reldir%/runner.c \
    %reldir%/runner.h \
    %reldir%/start.c \
    %reldir%/vmx.h

# The monitor's side is compiled like the monitor core.
ring0_monitor_sources = \
    %reldir%/abi.h \
    %reldir%/boot.S \
    %reldir%/clock.c \
    %reldir%/direct.c \
    %reldir%/enter.c \
    %reldir%/fence.c \
    %reldir%/fpu.c \
    %reldir%/main.c \
    %reldir%/memory.c \
    %reldir%/ring0.h \
    %reldir%/segments.c \
    %reldir%/shadowdesc.c \
    %reldir%/switch.c \
    %reldir%/tables.c \
    %reldir%/traps.c

EXTRA_DIST += %reldir%/monitor.lds %reldir%/offsets.c %reldir%/zydis-libc.h
CLEANFILES += %reldir%/offsets.h %reldir%/offsets.s

# Numbers for assembly and linker, from the C headers.
%reldir%/offsets.h: %reldir%/offsets.c %reldir%/abi.h
	@$(MKDIR_P) $(@D)
	$(AM_V_GEN)$(CC) $(AM_CPPFLAGS) $(AM_CFLAGS) -O1 -fno-lto -S -o %reldir%/offsets.s $(top_srcdir)/%reldir%/offsets.c && \
	    $(SED) -n 's/^[^@]*@define \([A-Z0-9_]*\) [$$]*/#define \1 /p' %reldir%/offsets.s > $@.new && mv $@.new $@

EXTRA_LIBRARIES += libmonring0.a
libmonring0_a_SOURCES = $(ring0_monitor_sources)
$(libmonring0_a_OBJECTS): %reldir%/offsets.h

# The decoder, freestanding, from its source package: only what bt/decode.c can reach.
zydis_objects = \
    %reldir%/zydis/Decoder.o \
    %reldir%/zydis/DecoderData.o \
    %reldir%/zydis/Mnemonic.o \
    %reldir%/zydis/Register.o \
    %reldir%/zydis/SharedData.o
zydis_cppflags = -I$(ZYDIS_SOURCE)/include -I$(ZYDIS_SOURCE)/src $(AM_CPPFLAGS) \
    -DNDEBUG -DZYDIS_STATIC_BUILD -DZYAN_NO_LIBC -DZYAN_CUSTOM_LIBC -include $(top_srcdir)/%reldir%/zydis-libc.h
CLEANFILES += $(zydis_objects) libmonzydis.a

%reldir%/zydis/%.o: $(ZYDIS_SOURCE)/src/%.c $(top_srcdir)/%reldir%/zydis-libc.h
	@$(MKDIR_P) $(@D)
	$(AM_V_CC)$(CC) $(zydis_cppflags) -std=gnu11 $(CFLAGS) $(MON_CFLAGS) -c -o $@ $<

libmonzydis.a: $(zydis_objects)
	$(AM_V_AR)rm -f $@ && $(AR) $(ARFLAGS) $@ $(zydis_objects) && $(RANLIB) $@

# The image: no relocation, nothing writable, or the link fails.  The ELF file is kept for its symbols.
# --no-relax: what the linker would turn an address in the GOT into has 32 bits only.
ring0_image_archives = libmonring0.a libmonitor.a libmonzydis.a
CLEANFILES += %reldir%/monitor.elf %reldir%/monitor.bin
%reldir%/monitor.elf: $(ring0_image_archives) %reldir%/monitor.lds %reldir%/offsets.h
	$(AM_V_CCLD)$(CC) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096 \
	    -Wl,--no-relax -Wl,--orphan-handling=error \
	    -Wl,--defsym,MON_IMAGE=$$($(SED) -n 's/^#define MON_IMAGE //p' %reldir%/offsets.h) \
	    -Wl,-T,$(top_srcdir)/%reldir%/monitor.lds -Wl,-u,mon_entry \
	    -Wl,--start-group $(ring0_image_archives) -Wl,--end-group -o $@

%reldir%/monitor.bin: %reldir%/monitor.elf
	$(AM_V_GEN)$(OBJCOPY) -O binary $< $@

if RING0
noinst_DATA += %reldir%/monitor.bin
endif
