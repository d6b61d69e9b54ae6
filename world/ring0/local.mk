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
    %reldir%/measure.c \
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
CLEANFILES += $(zydis_objects) libmonzydis.a libmonring0.a

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

# The module, built by the kernel's own build system.  And one for tests/ring0, with a monitor that tests the module
# itself, in which the switch can be single-stepped.  Kernel makefiles want none of our flags, so they don't get
# this make's variables.
kmod_sources = \
    %reldir%/kmod/Kbuild \
    %reldir%/kmod/Makefile \
    %reldir%/kmod/aspace.c \
    %reldir%/kmod/aspace.h \
    %reldir%/kmod/crosspage.S \
    %reldir%/kmod/crosspage.h \
    %reldir%/kmod/image.S \
    %reldir%/kmod/main.c \
    %reldir%/kmod/memory.c \
    %reldir%/kmod/memory.h \
    %reldir%/kmod/offsets.c \
    %reldir%/kmod/raw.h \
    %reldir%/kmod/refusal.c \
    %reldir%/kmod/refusal.h \
    %reldir%/kmod/reraise.S \
    %reldir%/kmod/run.c \
    %reldir%/kmod/stress.h \
    %reldir%/kmod/switch.c \
    %reldir%/kmod/switch.h \
    %reldir%/kmod/vm.c \
    %reldir%/kmod/vm.h

kmod_selftest_sources = \
    %reldir%/kmod/selftest/Makefile \
    %reldir%/kmod/selftest/boot.S \
    %reldir%/kmod/selftest/monitor.c \
    %reldir%/kmod/selftest/monitor.lds \
    %reldir%/kmod/selftest/selftest.h \
    %reldir%/kmod/selftest/test.c \
    %reldir%/kmod/selftest/test.h \
    %reldir%/kmod/selftest/test_requests.c \
    %reldir%/kmod/selftest/test_vm.c

EXTRA_DIST += $(kmod_sources) $(kmod_selftest_sources) %reldir%/kmod/60-btmon.rules %reldir%/kmod/dkms.conf
CLEANFILES += %reldir%/btmon.ko %reldir%/btmon_next.ko %reldir%/btmon_selftest.ko %reldir%/dkms.conf

kmod_make = env -u MAKEFLAGS -u MFLAGS -u MAKEOVERRIDES -u MAKELEVEL $(MAKE) -s
kmod_build = $(kmod_make) -f '$(abs_top_srcdir)/%reldir%/kmod/Makefile' LINUX_HEADERS='$(LINUX_HEADERS)'

%reldir%/btmon.ko: $(kmod_sources) %reldir%/abi.h %reldir%/monitor.bin
	$(AM_V_GEN)rm -rf %reldir%/btmon && \
	    $(kmod_build) MONITOR_IMAGE='$(abs_builddir)/%reldir%/monitor.bin' OUT='$(abs_builddir)/%reldir%/btmon'
	@cp %reldir%/btmon/btmon.ko $@

%reldir%/selftest/selftest.bin: $(kmod_selftest_sources) %reldir%/abi.h
	$(AM_V_GEN)$(kmod_make) -f '$(abs_top_srcdir)/%reldir%/kmod/selftest/Makefile' CC='$(CC)' OBJCOPY='$(OBJCOPY)' OUT=%reldir%/selftest

%reldir%/btmon_selftest.ko: $(kmod_sources) %reldir%/abi.h %reldir%/selftest/selftest.bin
	$(AM_V_GEN)rm -rf %reldir%/btmon_selftest && \
	    $(kmod_build) MONITOR_IMAGE='$(abs_builddir)/%reldir%/selftest/selftest.bin' \
	    OUT='$(abs_builddir)/%reldir%/btmon_selftest' SELFTEST=1
	@cp %reldir%/btmon_selftest/btmon_selftest.ko $@

# And what the next version would be, image and all, but for its number: for the test that it is told from this one.
%reldir%/btmon_next.ko: $(kmod_sources) %reldir%/abi.h %reldir%/monitor.bin
	$(AM_V_GEN)rm -rf %reldir%/next && $(MKDIR_P) %reldir%/next && \
	    next=$$(($$($(SED) -n 's/^#define BTMON_VERSION \([0-9]*\)u .*/\1/p' $(top_srcdir)/%reldir%/abi.h) + 1)) && \
	    $(SED) "s/^\(#define BTMON_VERSION \)[0-9]*u/\1$${next}u/" $(top_srcdir)/%reldir%/abi.h > %reldir%/next/abi.h && \
	    { head -c 8 %reldir%/monitor.bin && printf "\\$$(printf %o $$next)\\0\\0\\0" && tail -c +13 %reldir%/monitor.bin; } \
	        > %reldir%/next/monitor.bin && \
	    $(kmod_build) MONITOR_IMAGE='$(abs_builddir)/%reldir%/next/monitor.bin' OUT='$(abs_builddir)/%reldir%/next/btmon' \
	        abi='$(abs_builddir)/%reldir%/next/abi.h'
	@cp %reldir%/next/btmon/btmon.ko $@

clean-local-btmon:
	rm -rf %reldir%/btmon %reldir%/btmon_selftest %reldir%/next %reldir%/selftest
.PHONY: clean-local-btmon

# Installed: the sources for DKMS (dkms add DIR), and who may use the device.  ([@]: config.status replaces a whole name here.)
%reldir%/dkms.conf: %reldir%/kmod/dkms.conf
	$(AM_V_GEN)$(SED) 's/[@]VERSION[@]/$(VERSION)/' $(top_srcdir)/%reldir%/kmod/dkms.conf > $@

if RING0
btmondir = $(prefix)/src/btmon-$(VERSION)
udevdir = $(prefix)/lib/udev/rules.d
btmon_DATA = $(kmod_sources) %reldir%/abi.h %reldir%/dkms.conf %reldir%/monitor.bin
udev_DATA = %reldir%/kmod/60-btmon.rules
noinst_DATA += %reldir%/btmon.ko
AM_DISTCHECK_CONFIGURE_FLAGS = --enable-ring0 \
    --with-linux-headers='$(LINUX_HEADERS)' --with-zydis-source='$(ZYDIS_SOURCE)'
endif
