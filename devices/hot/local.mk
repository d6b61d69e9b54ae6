# SPDX-License-Identifier: GPL-2.0-or-later
libmonitor_a_SOURCES += \
    %reldir%/board.h \
    %reldir%/i8254.c \
    %reldir%/i8254.h \
    %reldir%/i8259.c \
    %reldir%/i8259.h \
    %reldir%/irq_line.h
