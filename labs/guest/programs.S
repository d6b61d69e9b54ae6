/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ring-3 programs, embedded as ELF files.  ORDER process.c: struct program */
        .macro program name
        .section .rodata.images, "a"
        .balign 4
image_\name:
        .incbin "\name\().elf"
image_end_\name:
        .balign 4
        .section .rodata.str, "a"
name_\name:
        .asciz "\name"
        .section .rodata.programs, "a"
        .long name_\name, image_\name, image_end_\name
        .endm

        .section .rodata.programs, "a"
        .balign 4
        .globl programs, programs_count
programs:
        program hello
        program sieve
        program family
        program fault
        program clock
        .section .rodata.programs, "a"
programs_end:
programs_count:
        .long (programs_end - programs) / 12
