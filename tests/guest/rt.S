/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The assembly half of the runtime: multiboot entry, a stub for each vector,
 * rt_try() and its relatives.  rt_try() remembers where it was called from, as
 * setjmp() would; the trap handler goes back there whatever ring, stack or
 * segments the code under test had.
 */
        .section .multiboot, "a"
        .balign 4
        .long 0x1BADB002, 0x00000003, -(0x1BADB002 + 0x00000003)

        .text
        .globl rt_start
rt_start:
        cli
        cld
        movl %ebx, rt_multiboot
        movl $rt_stack_top, %esp
        lgdt rt_gdt_register
        ljmp $0x08, $1f
1:      call rt_reload_flat
        call rt_setup
        movl $0x28, %eax
        ltr %ax
        xorl %eax, %eax
        lldt %ax                        /* what the loader left there is nobody's */
        call test_main
        call rt_finish

        .globl rt_reload_flat
rt_reload_flat:
        pushl %eax
        movl $0x10, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %fs
        movl %eax, %gs
        popl %eax
        pushl %ecx
        movl $0x10, %ecx
        movl %ecx, %ss
        popl %ecx
        ret

/* Vectors ---------------------------------------------------------------- */
        .altmacro
        .macro stub vector
        .balign 16
stub_\vector:
        .if !(\vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17)
        pushl $0
        .endif
        pushl $\vector
        jmp trap_common
        .endm
        .macro stub_entry vector
        .long stub_\vector
        .endm
        .set vec, 0
        .rept 256
        stub %vec
        .set vec, vec + 1
        .endr

/* ORDER rt.h: struct frame */
trap_common:
        pushal
        pushl %ds
        pushl %es
        pushl %fs
        pushl %gs
        movl $0x10, %eax
        movl %eax, %ds
        movl %eax, %es
        cld
        pushl %esp
        call rt_trap
        addl $4, %esp
        popl %gs
        popl %fs
        popl %es
        popl %ds
        popal
        addl $8, %esp
        iret

/* int rt_try(void (*code)(void *), void *argument) ------------------------ */
        .globl rt_try
rt_try:
        call save_state
        movl $1, rt_armed
        movl 4(%esp), %eax
        pushl 8(%esp)
        call *%eax
        movl $0x10, %ecx                /* the code may have left any segment behind */
        movl %ecx, %ds
        movl %eax, rt_result
        movl $-1, %eax
        jmp rt_recover

/* int rt_try_user_flags(code, argument, eflags) */
        .globl rt_try_user, rt_try_user_flags
rt_try_user:
        pushl $2
        pushl 12(%esp)
        pushl 12(%esp)
        call rt_try_user_flags
        addl $12, %esp
        ret
rt_try_user_flags:
        call save_state
        movl $1, rt_armed
        movl 4(%esp), %eax
        movl 8(%esp), %ecx
        movl 12(%esp), %edx
        movl $rt_user_stack_top - 16, %ebx
        movl $user_return, (%ebx)
        movl %ecx, 4(%ebx)
        pushl $0x23
        pushl %ebx
        pushl %edx
        pushl $0x1b
        pushl %eax
        movl $0x23, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %fs
        movl %eax, %gs
        iret
user_return:
        int $0x81

save_state:                             /* the caller's caller's registers and stack */
        movl %ebx, saved_ebx
        movl %esi, saved_esi
        movl %edi, saved_edi
        movl %ebp, saved_ebp
        leal 4(%esp), %eax
        movl %eax, saved_esp
        ret

/* void rt_recover(int EAX): returns EAX from the rt_try() that is under way */
        .globl rt_recover_with
rt_recover_with:
        movl 4(%esp), %eax
rt_recover:
        movl $0, rt_armed
        movl saved_esp, %esp
        movl $0x10, %ecx
        movl %ecx, %ss
        movl saved_esp, %esp
        movl %ecx, %ds
        movl %ecx, %es
        movl %ecx, %fs
        movl %ecx, %gs
        pushl $2
        popfl
        movl saved_ebx, %ebx
        movl saved_esi, %esi
        movl saved_edi, %edi
        movl saved_ebp, %ebp
        ret

        .section .rodata
        .balign 4
        .globl rt_stubs
rt_stubs:
        .set vec, 0
        .rept 256
        stub_entry %vec
        .set vec, vec + 1
        .endr

        .data
        .balign 8
        .globl rt_gdt, rt_gdt_register
rt_gdt:
        .quad 0
        .quad 0x00cf9b000000ffff
        .quad 0x00cf93000000ffff
        .quad 0x00cffb000000ffff
        .quad 0x00cff3000000ffff
        .skip (64 - 5) * 8
        .word 0
rt_gdt_register:
        .word 64 * 8 - 1
        .long rt_gdt

        .bss
        .balign 16
        .globl rt_armed, rt_multiboot, rt_result, rt_user_stack_top, rt_trap_stack_top
rt_armed:  .skip 4
rt_multiboot: .skip 4
rt_result: .skip 4
saved_ebx: .skip 4
saved_esi: .skip 4
saved_edi: .skip 4
saved_ebp: .skip 4
saved_esp: .skip 4
        .balign 4096
        .skip 16384
rt_stack_top:
        .skip 8192
rt_trap_stack_top:                      /* for traps from outer rings */
        .skip 8192
rt_user_stack_top:
        .skip 16
