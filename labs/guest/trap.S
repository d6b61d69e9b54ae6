/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every way into the kernel, and the way from one kernel stack to another.
 *
 * Each vector has a stub that makes all frames alike (a zero where the CPU
 * pushes no error code) and pushes its number; the common part saves the
 * registers in the order of struct trap_frame and calls trap_dispatch().
 * IRET at the end goes back to whatever ring the frame names.
 */
        .text
        .macro stub vector
        .balign 8
stub_\vector:
        /* Vectors for which the CPU pushes an error code itself: SDM volume 3, table 6-1 */
        .if !(\vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17)
        pushl $0
        .endif
        pushl $\vector
        jmp trap_common
        .endm

        .altmacro
        .macro stubs from, to
        .set vec, \from
        .rept \to - \from + 1
        stub %vec
        .set vec, vec + 1
        .endr
        .endm

        stubs 0, 47
        stub 128

        .globl trap_return
trap_common:
        pushl %ds
        pushl %es
        pushl %fs
        pushl %gs
        pushal
        movl $0x10, %eax                /* SEL_KERNEL_DATA */
        movl %eax, %ds
        movl %eax, %es
        cld
        pushl %esp
        call trap_dispatch
        addl $4, %esp
trap_return:
        popal
        popl %gs
        popl %fs
        popl %es
        popl %ds
        addl $8, %esp                   /* vector and error code */
        iret

/*
 * void switch_stack(uint32_t *old_esp, uint32_t new_esp): leaves one process's
 * kernel stack and goes on where another one left its own.
 */
        .globl switch_stack
switch_stack:
        movl 4(%esp), %eax
        movl 8(%esp), %edx
        pushl %ebp
        pushl %ebx
        pushl %esi
        pushl %edi
        movl %esp, (%eax)
        movl %edx, %esp
        popl %edi
        popl %esi
        popl %ebx
        popl %ebp
        ret

        .section .rodata
        .balign 4
        .macro stub_entry vector
        .long stub_\vector
        .endm
        .globl trap_stubs, syscall_stub
trap_stubs:                             /* vectors 0 to 47 */
        .set vec, 0
        .rept 48
        stub_entry %vec
        .set vec, vec + 1
        .endr
syscall_stub:
        .long stub_128
