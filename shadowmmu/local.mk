# SPDX-License-Identifier: GPL-2.0-or-later
libmonitor_a_SOURCES += \
    %reldir%/exec.c \
    %reldir%/fill.c \
    %reldir%/flush.c \
    %reldir%/gmem.c \
    %reldir%/mmu.h \
    %reldir%/mmu_priv.h \
    %reldir%/phys.c \
    %reldir%/runs.c \
    %reldir%/scan.c \
    %reldir%/tables.c \
    %reldir%/trace.c \
    %reldir%/verify.c \
    %reldir%/views.c \
    %reldir%/walk.c
