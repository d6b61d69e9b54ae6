# SPDX-License-Identifier: GPL-2.0-or-later
libmonitor_a_SOURCES += \
    %reldir%/control.h \
    %reldir%/exception.c \
    %reldir%/exception.h \
    %reldir%/far.c \
    %reldir%/fpnative.h \
    %reldir%/frame.h \
    %reldir%/gmem.h \
    %reldir%/idecode.c \
    %reldir%/interp.c \
    %reldir%/interp.h \
    %reldir%/interp_alu.c \
    %reldir%/interp_bits.c \
    %reldir%/interp_debug.c \
    %reldir%/interp_flow.c \
    %reldir%/interp_fpmem.c \
    %reldir%/interp_fpu.c \
    %reldir%/interp_io.c \
    %reldir%/interp_muldiv.c \
    %reldir%/interp_priv.h \
    %reldir%/interp_shift.c \
    %reldir%/interp_stack.c \
    %reldir%/interp_string.c \
    %reldir%/interp_system.c \
    %reldir%/interp_vecmem.c \
    %reldir%/io.h \
    %reldir%/iret.c \
    %reldir%/segment.c \
    %reldir%/segment.h \
    %reldir%/stack.c \
    %reldir%/taskswitch.c \
    %reldir%/transfer.h \
    %reldir%/vcpu.h \
    %reldir%/x86.h
