# SPDX-License-Identifier: GPL-2.0-or-later
libmonitor_a_SOURCES += \
    %reldir%/config.c \
    %reldir%/config.h \
    %reldir%/cross.h \
    %reldir%/direct.c \
    %reldir%/direct.h \
    %reldir%/inject.c \
    %reldir%/inject.h \
    %reldir%/io.c \
    %reldir%/monitorbug.c \
    %reldir%/monitorbug.h \
    %reldir%/run.c \
    %reldir%/run.h \
    %reldir%/truncate.c \
    %reldir%/truncate.h \
    %reldir%/usercall.def \
    %reldir%/world.h
