# SPDX-License-Identifier: GPL-2.0-or-later
#
# guest.img, the demonstration guest: a multiboot ELF with its ring-3 programs
# inside.  Guest code is freestanding i386: the user's CFLAGS (made for the host)
# stay out of it.

guest_cflags = -m32 -march=i686 -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -fno-stack-protector \
    -fcf-protection=none -fno-asynchronous-unwind-tables -mno-sse -mno-mmx $(WARN_CFLAGS)
guest_ldflags = -m32 -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096 $(GUEST_LINK_QUIET)

guest_headers = %reldir%/kernel.h %reldir%/user/user.h
guest_sources = \
    %reldir%/boot.S \
    %reldir%/console.c \
    %reldir%/cpu.c \
    %reldir%/main.c \
    %reldir%/memory.c \
    %reldir%/process.c \
    %reldir%/programs.S \
    %reldir%/prompt.c \
    %reldir%/syscall.c \
    %reldir%/trap.S \
    %reldir%/trap.c
guest_user_sources = \
    %reldir%/user/clock.c \
    %reldir%/user/family.c \
    %reldir%/user/fault.c \
    %reldir%/user/hello.c \
    %reldir%/user/sieve.c
guest_objects_c = $(guest_sources:.c=.gc.o)
guest_objects = $(guest_objects_c:.S=.gs.o)
guest_programs = $(guest_user_sources:.c=.elf)

EXTRA_DIST += $(guest_sources) $(guest_user_sources) $(guest_headers) \
    %reldir%/kernel.ld %reldir%/user/user.ld

if GUESTS
noinst_DATA += guest.img
endif

%reldir%/user/%.elf: %reldir%/user/%.c %reldir%/user/user.ld $(guest_headers)
	@$(MKDIR_P) $(@D)
	$(AM_V_CCLD)$(CC) $(guest_cflags) $(guest_ldflags) -I$(top_srcdir)/%reldir% \
	    -T $(top_srcdir)/%reldir%/user/user.ld -o $@ $<

%reldir%/%.gc.o: %reldir%/%.c $(guest_headers)
	@$(MKDIR_P) $(@D)
	$(AM_V_CC)$(CC) $(guest_cflags) -I$(top_srcdir)/%reldir% -c -o $@ $<

%reldir%/%.gs.o: %reldir%/%.S $(guest_headers)
	@$(MKDIR_P) $(@D)
	$(AM_V_CC)$(CC) $(guest_cflags) -I$(top_srcdir)/%reldir% -Wa,-I,%reldir%/user -c -o $@ $<

%reldir%/programs.gs.o: $(guest_programs)

guest.img: $(guest_objects) %reldir%/kernel.ld
	$(AM_V_CCLD)$(CC) $(guest_ldflags) -T $(top_srcdir)/%reldir%/kernel.ld -o $@ $(guest_objects)

CLEANFILES += guest.img $(guest_objects) $(guest_programs)
