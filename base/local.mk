# SPDX-License-Identifier: GPL-2.0-or-later
libmonitor_a_SOURCES += \
    %reldir%/assert.h \
    %reldir%/bits.h \
    %reldir%/fmt.c \
    %reldir%/fmt.h \
    %reldir%/mem.c \
    %reldir%/mem.h \
    %reldir%/stats.def \
    %reldir%/stats.h \
    %reldir%/trace.c \
    %reldir%/trace.def \
    %reldir%/trace.h \
    %reldir%/types.h \
    %reldir%/undo.c \
    %reldir%/undo.h \
    %reldir%/vm.c \
    %reldir%/vm.h
