/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code that tries to get out: far transfers and segment loads with the selectors that a 64-bit host offers to
 * 32-bit code (0x23, 0x2b, 0x33, 0x7b) or that the monitor might use (the LDT's first ones), every way of
 * making a system call, and accesses to the top of linear space through segments of all kinds.  The guest's
 * own tables decide what happens: its 0x20 is data, 0x28 and 0x30 are task state segments, 0x78 is empty, and
 * there is no LDT.
 */
#include "rt.h"

#define FAR(name, insn) \
    CODE(name##_23, insn(0x23)); CODE(name##_2b, insn(0x2b)); CODE(name##_33, insn(0x33)); CODE(name##_7b, insn(0x7b)); \
    CODE(name##_07, insn(0x07)); CODE(name##_0f, insn(0x0f)); \
    static void (*const name[])(void *) = { name##_23, name##_2b, name##_33, name##_7b, name##_07, name##_0f }
#define STR(x) #x
#define H_JMP(sel) "ljmp $" STR(sel) ",$1f\n 1: movl $0xbad,%eax\n int $0x90"
#define H_CALL(sel) "lcall $" STR(sel) ",$1f\n 1: movl $0xbad,%eax\n int $0x90"
#define H_JMP_MEM(sel) "pushl $" STR(sel) "\n pushl $1f\n ljmp *(%esp)\n 1: movl $0xbad,%eax\n int $0x90"
#define H_RET(sel) "pushl $" STR(sel) "\n pushl $1f\n lret\n 1: movl $0xbad,%eax\n int $0x90"
#define H_IRET(sel) "pushfl\n pushl $" STR(sel) "\n pushl $1f\n iret\n 1: movl $0xbad,%eax\n int $0x90"
#define H_DS(sel) "movl $" STR(sel) ",%eax\n movl %eax,%ds\n int $0x90"
#define H_SS(sel) "movl $" STR(sel) ",%eax\n movl %eax,%ss\n int $0x90"
#define H_GS(sel) "pushl $" STR(sel) "\n popl %gs\n int $0x90"
#define H_LFS(sel) "pushl $" STR(sel) "\n pushl $0\n lfs (%esp),%eax\n int $0x90"

FAR(h_jmp, H_JMP);
FAR(h_call, H_CALL);
FAR(h_jmp_mem, H_JMP_MEM);
FAR(h_ret, H_RET);
FAR(h_iret, H_IRET);
FAR(h_ds, H_DS);
FAR(h_ss, H_SS);
FAR(h_gs, H_GS);
FAR(h_lfs, H_LFS);

static const uint32_t errors[] = { 0x20, 0x28, 0x30, 0x78, 0x04, 0x0c };

/* first: 0x23 is data that ring 3 may load. */
static void selectors(const char *name, void (*const code[])(void *), unsigned first)
{
    for (unsigned i = 0; i < 6; i++) {
        bool ring0_stack = code == h_ss && i == 0; /* loads in ring 3 only */

        if (i >= first || ring0_stack)
            check_trap(name, rt_try(code[i], 0), GP, errors[i]);
        if (i >= first)
            check_trap(name, rt_try_user(code[i], 0), GP, errors[i]);
        else
            check_trap(name, rt_try_user(code[i], 0), 0x90, 0);
    }
}

CODE(h_int80, "movl $20,%eax\n int $0x80");
CODE(h_syscall, "movl $39,%eax\n syscall\n int $0x90");
CODE(h_sysenter, "movl $20,%eax\n sysenter\n int $0x90");

static void test_system_calls(void)
{
    uint32_t r[4];
    bool sep;

    cpuid(1, r);
    sep = r[3] & 1 << 11;
    check_trap("int80", rt_try(h_int80, 0), 0x80, 0);
    check("int80-eax", rt_last.eax, 20);
    check_trap("int80-user", rt_try_user(h_int80, 0), 0x80, 0);
    check("int80-user-eax", rt_last.eax, 20);
    check_trap("syscall", rt_try(h_syscall, 0), UD, 0);
    check_trap("syscall-user", rt_try_user(h_syscall, 0), UD, 0);
    check_trap("sysenter", rt_try(h_sysenter, 0), sep ? GP : UD, 0);
    check_trap("sysenter-user", rt_try_user(h_sysenter, 0), sep ? GP : UD, 0);
}

/* A word on every page of the top 4 MiB, through each data register; the argument is the selector, and the
 * segment's base is such that offset EDX is linear 0xFFC00000. */
#define SCRIBBLE(reg)                                                                              \
    "pushl %ebx\n movl 8(%esp),%eax\n movl (%eax),%ebx\n movl 4(%eax),%edx\n pushl %" #reg "\n movl %ebx,%" #reg "\n" \
    "movl $1024,%ecx\n 1: notl %" #reg ":0x40(%edx)\n movl $0x5a5a5a5a,%" #reg ":(%edx)\n"           \
    "movl %" #reg ":0xffc(%edx),%eax\n addl $0x1000,%edx\n decl %ecx\n jnz 1b\n popl %" #reg "\n popl %ebx\n"
CODE(h_ds_scribble, SCRIBBLE(ds));
CODE(h_es_scribble, SCRIBBLE(es));
CODE(h_fs_scribble, SCRIBBLE(fs));
CODE(h_gs_scribble, SCRIBBLE(gs));
CODE(h_after, "movl $1000,%ecx\n xorl %eax,%eax\n 1: call 2f\n loop 1b\n int $0x90\n 2: incl %eax\n ret");

static void scribble(const char *name, uint32_t base, uint32_t limit, uint32_t access, uint32_t flags)
{
    static void (*const code[])(void *) = { h_ds_scribble, h_es_scribble, h_fs_scribble, h_gs_scribble };
    uint32_t argument[2] = { SLOT(8), 0xffc00000u - base };

    gdt_set(SLOT(8), base, limit, access, flags);
    for (unsigned i = 0; i < 4; i++) {
        check_trap(name, rt_try(code[i], argument), NO_TRAP, 0);
        check_trap(name, rt_try(h_after, 0), 0x90, 0);
        check(name, rt_last.eax, 1000);
    }
}

static void test_top(void)
{
    scribble("top-flat", 0, 0xfffff, A_DATA, F_PAGES);
    scribble("top-based", 0xff800000, 0x7ff, A_DATA, F_PAGES);
    scribble("top-wrapped", 0x10000000, 0xfffff, A_DATA, F_PAGES);
    scribble("top-down", 0, 0xff000, A_DATA_DOWN, F_PAGES);
    scribble("top-down-based", 0x10000, 0x100, A_DATA_DOWN, F_PAGES);
}

void test_main(void)
{
    selectors("jmp", h_jmp, 0);
    selectors("call", h_call, 0);
    selectors("jmp-memory", h_jmp_mem, 0);
    selectors("ret", h_ret, 0);
    selectors("iret", h_iret, 0);
    selectors("mov-ds", h_ds, 1);
    selectors("mov-ss", h_ss, 1);
    selectors("pop-gs", h_gs, 1);
    selectors("lfs", h_lfs, 1);
    test_system_calls();
    test_top();
}
