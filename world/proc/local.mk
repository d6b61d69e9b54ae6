# SPDX-License-Identifier: GPL-2.0-or-later
#
# The monitor's side is compiled like the monitor core; the hosted part belongs to btvmm.
libmonproc_a_SOURCES += \
    %reldir%/clock.c \
    %reldir%/enter.c \
    %reldir%/fence.c \
    %reldir%/filter.h \
    %reldir%/kview.h \
    %reldir%/main.c \
    %reldir%/memory.c \
    %reldir%/proc.h \
    %reldir%/reserve.c \
    %reldir%/segments.c \
    %reldir%/sigframe.h \
    %reldir%/signal.c \
    %reldir%/sys.h \
    %reldir%/ustub.c \
    %reldir%/uview.c \
    %reldir%/uview.h

btvmm_SOURCES += \
    %reldir%/child.c \
    %reldir%/child.h \
    %reldir%/filter.c \
    %reldir%/start.c \
    %reldir%/ustart.c
