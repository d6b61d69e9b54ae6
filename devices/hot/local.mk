# SPDX-License-Identifier: GPL-2.0-or-later
libmonitor_a_SOURCES += \
    %reldir%/board.c \
    %reldir%/board.h \
    %reldir%/i8042.c \
    %reldir%/i8042.h \
    %reldir%/i8254.c \
    %reldir%/i8254.h \
    %reldir%/i8259.c \
    %reldir%/i8259.h \
    %reldir%/irq_line.h \
    %reldir%/mc146818.c \
    %reldir%/mc146818.h \
    %reldir%/ns16550.c \
    %reldir%/ns16550.h \
    %reldir%/ports.c \
    %reldir%/ports.h
