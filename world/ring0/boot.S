/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The head of the monitor image, and an entry that knows nothing but how to say so.
 */
#include "world/ring0/offsets.h"

    .section .mon_header, "a"
    .quad MON_MAGIC
    .long BTMON_VERSION
    .long 0
    .quad mon_entry
    .quad mon_text_size
    .quad mon_image_size

    .text
    .globl mon_entry
mon_entry:
    and $-16, %rsp
    mov %rdi, %rbx
1:  movl $BTMON_OP_DEAD, CROSS_OP(%rbx)
    mov %rbx, %rdi
    call *CROSS_TO_HOST(%rbx)
    jmp 1b

    .section .note.GNU-stack, "", @progbits
