/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first instructions.  A multiboot loader (specification 0.6.96, section 3)
 * enters here in protected mode with flat segments, paging off, interrupts off,
 * EAX = 0x2BADB002 and EBX = the physical address of the boot information.
 *
 * The kernel is linked at 0xC0100000 but loaded at 0x00100000, so until paging
 * is on every address has to be taken down by KERNEL_BASE.  A first page
 * directory maps the same 4 MiB page (CR4.PSE, SDM volume 3, 4.3) twice: where
 * the CPU is now, and where it wants to be.
 */
#define KERNEL_BASE 0xC0000000
#define PHYS(x) ((x) - KERNEL_BASE)

        .section .multiboot, "a"
        .balign 4
        .long 0x1BADB002                /* magic */
        .long 0x00000003                /* modules on page boundaries, memory size wanted */
        .long -(0x1BADB002 + 0x00000003)

        .text
        .globl start
start:
        cli
        cld
        movl $PHYS(boot_stack_top), %esp
        movl %eax, %esi                 /* keep the loader's two values */

        movl $PHYS(boot_directory), %edi
        movl $0x00000083, (%edi)                        /* linear 0: present, writable, 4 MiB */
        movl $0x00000083, (KERNEL_BASE >> 22) * 4(%edi) /* the same at KERNEL_BASE */
        movl %cr4, %eax
        orl $0x10, %eax                 /* CR4.PSE */
        movl %eax, %cr4
        movl %edi, %cr3
        movl %cr0, %eax
        orl $0x80010000, %eax           /* CR0.PG, and WP: ring 0 respects read-only pages */
        movl %eax, %cr0
        movl $1f, %eax
        jmp *%eax                       /* from 0x001xxxxx to 0xC01xxxxx */
1:
        movl $boot_stack_top, %esp
        pushl %ebx
        pushl %esi
        call kernel_main
        cli
2:      hlt
        jmp 2b

        .bss
        .balign 4096
boot_directory:
        .skip 4096
        .skip 8192
        .globl boot_stack_top
boot_stack_top:
