/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The monitor image's first bytes, its entry, and the 256 trap stubs.
 *
 * A stub pushes what the CPU did not (an error code of 0), the vector, and goes where the trap came from: from
 * guest code (CPL 1 or 3) to ring0_trap_from_guest, which returns from ring0_enter(); from the monitor
 * itself, which only NMIs, machine checks, interrupts in a window made for them and our own bugs can do, to
 * ring0_trap_in_monitor, which comes back.
 */
#include "world/ring0/offsets.h"

        .section .mon_header, "a"
        .quad   MON_MAGIC
        .long   BTMON_VERSION, 0
        .quad   mon_entry
        .quad   mon_text_size           /* by monitor.lds */
        .quad   RING0_RAM_MIN, RING0_RAM_MAX, RING0_SHARED_MIN, RING0_PRIVATE_MIN

        .text
        .globl  mon_entry
mon_entry:
        xor     %ebp, %ebp
        push    %rbp                    /* so that calls find the stack as the ABI says */
        and     $-16, %rsp
        call    ring0_main
        ud2

/* Vectors whose error code the CPU pushes (SDM vol. 3A table 6-1; 29 and 30: AMD vol. 2 8.2). */
#define HAS_ERROR(v) ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17 || (v) == 21 || (v) == 29 || (v) == 30)

        .balign 16
        .globl  ring0_stubs
        .hidden ring0_stubs
ring0_stubs:
        vec = 0
        .rept   256
        .balign 16, 0xcc
        .if !HAS_ERROR(vec)
        push    $0
        .endif
        push    $vec
        jmp     ring0_trap
        vec = vec + 1
        .endr

        .balign 16
ring0_trap:
        testb   $3, 24(%rsp)            /* CS */
        jnz     ring0_trap_from_guest
        jmp     ring0_trap_in_monitor

        .section .note.GNU-stack, "", @progbits
