/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The replay guest's assembly: from multiboot to PAE paging with the kernel at
 * 0xC0000000, into user mode, and back by whatever trap the sequence meets.
 */
#define KERNEL_BASE 0xc0000000

        .section .multiboot, "a"
        .balign 4
        .long 0x1BADB002, 0x00000003, -(0x1BADB002 + 0x00000003)

        .section .boot, "ax"
        .globl start
start:
        cli
        cld
        movl $(kernel_directory - KERNEL_BASE), %edi    /* 256 MiB in pages of 2 MiB */
        movl $0x83, %eax
1:      movl %eax, (%edi)
        movl $0, 4(%edi)
        addl $8, %edi
        addl $0x200000, %eax
        cmpl $0x10000083, %eax
        jne 1b
        movl $(kernel_directory - KERNEL_BASE + 1), %eax
        movl %eax, kernel_pdpt - KERNEL_BASE            /* until the jump upwards is done */
        movl %eax, kernel_pdpt - KERNEL_BASE + 24
        movl %cr4, %eax
        orl $0x620, %eax                                /* PAE OSFXSR OSXMMEXCPT */
        movl %eax, %cr4
        movl $(kernel_pdpt - KERNEL_BASE), %eax
        movl %eax, %cr3
        movl %cr0, %eax
        andl $~0xe, %eax                                /* MP EM TS */
        orl $0x80050022, %eax                           /* PG AM WP NE MP */
        movl %eax, %cr0
        movl $high, %eax
        jmp *%eax

        .text
high:
        movl $stack_top, %esp
        pushl %ebx
        call replay_main
1:      cli
        hlt
        jmp 1b

/* void tables_load(gdtr, idtr) */
        .globl tables_load
tables_load:
        movl 4(%esp), %eax
        lgdt (%eax)
        movl 8(%esp), %eax
        lidt (%eax)
        ljmp $0x10, $1f
1:      movl $0x18, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %ss
        movl $0x40, %eax
        ltr %ax
        movl $0x50, %eax
        lldt %ax
        ret

/* void user_run(const struct cpu_state *): to user mode; returns after a trap, its frame in `trapped`.
 * ORDER cpu_state */
        .globl user_run
user_run:
        movl 4(%esp), %eax
        pushal
        movl %esp, kernel_esp
        movzwl 44(%eax), %ecx
        pushl %ecx
        pushl 16(%eax)
        pushl 36(%eax)
        movzwl 42(%eax), %ecx
        pushl %ecx
        pushl 32(%eax)
        pushl 0(%eax)
        pushl 4(%eax)
        pushl 8(%eax)
        pushl 12(%eax)
        pushl $0
        pushl 20(%eax)
        pushl 24(%eax)
        pushl 28(%eax)
        movzwl 46(%eax), %ecx
        pushl %ecx
        movw 48(%eax), %fs
        movw 50(%eax), %gs
        movw 40(%eax), %es
        popl %ds
        popal
        iret

        .altmacro
        .macro stub vector
        .balign 16
stub_\vector:
        .if !(\vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17)
        pushl $0
        .endif
        pushl $\vector
        jmp trap
        .endm
        .macro stub_entry vector
        .long stub_\vector
        .endm
        .set vec, 0
        .rept 256
        stub %vec
        .set vec, vec + 1
        .endr

/* ORDER struct frame */
trap:
        pushal
        pushl %ds
        pushl %es
        pushl %fs
        pushl %gs
        movl $0x18, %eax
        movl %eax, %ds
        movl %eax, %es
        cld
        testb $3, 60(%esp)
        jz 1f
        movl %esp, %esi
        movl $trapped, %edi
        movl $19, %ecx
        rep movsl
        movl kernel_esp, %esp
        popal
        ret
1:      pushl %esp
        call replay_panic

        .section .rodata
        .globl trap_stubs
        .balign 4
trap_stubs:
        .set vec, 0
        .rept 256
        stub_entry %vec
        .set vec, vec + 1
        .endr

        .bss
        .balign 4096
        .globl kernel_pdpt, kernel_directory, trap_stack_top
kernel_directory:
        .skip 4096
kernel_pdpt:
        .skip 32
kernel_esp:
        .skip 4
        .balign 16
        .skip 8192
stack_top:
        .skip 4096
trap_stack_top:
        .section .note.GNU-stack, "", @progbits
