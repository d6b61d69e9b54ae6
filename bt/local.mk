# SPDX-License-Identifier: GPL-2.0-or-later
libmonitor_a_SOURCES += \
    %reldir%/adapt.c \
    %reldir%/bt.h \
    %reldir%/bt_priv.h \
    %reldir%/callouts.c \
    %reldir%/category.def \
    %reldir%/check.c \
    %reldir%/class.def \
    %reldir%/decode.c \
    %reldir%/decode.h \
    %reldir%/emit.h \
    %reldir%/exec.c \
    %reldir%/insn.def \
    %reldir%/reload.c \
    %reldir%/runonce.c \
    %reldir%/smc.c \
    %reldir%/state.c \
    %reldir%/tc.c \
    %reldir%/tr_adapt.c \
    %reldir%/tr_exit.c \
    %reldir%/tr_flags.c \
    %reldir%/tr_flow.c \
    %reldir%/tr_ident.c \
    %reldir%/tr_segment.c \
    %reldir%/tr_system.c \
    %reldir%/translate.c \
    %reldir%/translate.h \
    %reldir%/windata.h
