/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Into compatibility mode and back.  r15 holds the struct native_ctx all the
 * while: code outside 64-bit mode can neither read nor change it.  Offsets are
 * those of the struct in native.c (static asserts there).  ORDER native_ctx
 */
        .text
        .globl native_enter, native_return, native_leave

/* void native_enter(struct native_ctx *) */
native_enter:
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
        mov %rdi, %r15
        mov %rsp, 56(%r15)
        rdfsbase %rax
        mov %rax, 72(%r15)
        rdgsbase %rax
        mov %rax, 80(%r15)
        fxrstor 128(%r15)
        movzwl 46(%r15), %eax
        mov %eax, %ds
        movzwl 40(%r15), %eax
        mov %eax, %es
        movzwl 48(%r15), %eax
        mov %eax, %fs
        movzwl 50(%r15), %eax
        mov %eax, %gs
        movzwl 44(%r15), %eax
        push %rax
        mov 88(%r15), %rax      /* rsp: esp for guest code, any value for native 64-bit code */
        push %rax
        mov 36(%r15), %eax
        push %rax
        movzwl 42(%r15), %eax
        push %rax
        mov 104(%r15), %rax     /* rip */
        push %rax
        mov 96(%r15), %r8
        mov 0(%r15), %eax
        mov 4(%r15), %ecx
        mov 8(%r15), %edx
        mov 12(%r15), %ebx
        mov 20(%r15), %ebp
        mov 24(%r15), %esi
        mov 28(%r15), %edi
        iretq

/* 64-bit code that was run for the interpreter ends in jmp *64(%r15), which is this. */
native_return:
        mov %eax, 0(%r15)
        mov %ecx, 4(%r15)
        mov %edx, 8(%r15)
        mov %ebx, 12(%r15)
        mov %esp, 16(%r15)
        mov %ebp, 20(%r15)
        mov %esi, 24(%r15)
        mov %edi, 28(%r15)
        mov 56(%r15), %rsp
        pushfq
        pop %rax
        mov %eax, 36(%r15)
        mov %es, 40(%r15)
        mov %ss, 44(%r15)
        mov %ds, 46(%r15)
        mov %fs, 48(%r15)
        mov %gs, 50(%r15)
        fxsave 128(%r15)

/* A signal handler that has filled the context in goes on here. */
native_leave:
        mov 56(%r15), %rsp
        push $0x202
        popfq
        mov $0x2b, %eax
        mov %eax, %ss
        mov %eax, %ds
        mov %eax, %es
        xor %eax, %eax
        mov %eax, %fs
        mov %eax, %gs
        mov 72(%r15), %rax
        wrfsbase %rax
        mov 80(%r15), %rax
        wrgsbase %rax
        fninit
        ldmxcsr default_mxcsr(%rip)
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbp
        pop %rbx
        ret

        .section .rodata
        .align 4
default_mxcsr:
        .long 0x1f80
        .section .note.GNU-stack, "", @progbits
