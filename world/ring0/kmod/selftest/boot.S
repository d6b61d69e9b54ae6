/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The self-test's monitor: entry and trap stubs. */
        .text
        .globl  mon_entry
mon_entry:
        xor     %ebp, %ebp
        jmp     selftest_main           /* RSP is as a call leaves it */

/* uint64_t probe(uint64_t address, int how): 0, or what trap() puts into RAX when it goes on at probe_fixup. */
        .globl  probe, probe_fixup
probe:
        push    %rbp                    /* trap() restores RSP from RBP */
        mov     %rsp, %rbp
        xor     %eax, %eax
        cmp     $1, %esi
        je      1f
        ja      2f
        mov     (%rdi), %cl
        jmp     probe_fixup
1:      mov     (%rdi), %cl             /* a write that changes nothing */
        mov     %cl, (%rdi)
        jmp     probe_fixup
2:      call    *%rdi                   /* a page that can be executed holds RET there */
        xor     %eax, %eax
probe_fixup:
        mov     %rbp, %rsp
        pop     %rbp
        ret

        .balign 16
        .globl  stubs
stubs:
        vec = 0
        .rept   256
        .balign 16, 0xcc
        .if !(vec == 8 || (vec >= 10 && vec <= 14) || vec == 17)
        push    $0
        .endif
        push    $vec
        jmp     trap_entry
        vec = vec + 1
        .endr

trap_entry:                             /* ORDER struct frame */
        push    %rax
        push    %rcx
        push    %rdx
        push    %rsi
        push    %rdi
        push    %r8
        push    %r9
        push    %r10
        push    %r11
        mov     %rsp, %rdi
        push    %rbx
        mov     %rsp, %rbx
        and     $-16, %rsp
        call    trap
        mov     %rbx, %rsp
        pop     %rbx
        pop     %r11
        pop     %r10
        pop     %r9
        pop     %r8
        pop     %rdi
        pop     %rsi
        pop     %rdx
        pop     %rcx
        pop     %rax
        add     $16, %rsp
        iretq

        .section .note.GNU-stack, "", @progbits
