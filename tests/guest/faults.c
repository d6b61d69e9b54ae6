/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exceptions: vector, error code, EIP of faults (the instruction) and traps
 * (the next one), pushed flags, and double faults (SDM volume 3, chapter 6).
 */
#include "rt.h"

CODE(de_div, "xorl %ecx,%ecx\n xorl %edx,%edx\n de_div_at: divl %ecx");
CODE(de_overflow, "movl $1,%edx\n xorl %eax,%eax\n movl $1,%ecx\n de_overflow_at: divl %ecx");
CODE(de_idiv, "movl $0x80000000,%eax\n cltd\n movl $-1,%ecx\n de_idiv_at: idivl %ecx");
CODE(de_aam, "movb $5,%al\n de_aam_at: aam $0");
CODE(bp_int3, "bp_int3_at: int3\n bp_int3_after: nop");
CODE(bp_int_3, "int $3\n bp_int_3_after: nop");
CODE(of_into, "movb $127,%al\n addb $1,%al\n into\n of_into_after: nop");
CODE(of_not, "xorl %eax,%eax\n into");
CODE(br_bound, "movl $5,%eax\n br_bound_at: bound %eax,bounds");
CODE(br_inside, "movl $3,%eax\n bound %eax,bounds");
CODE(ud_ud2, "ud_ud2_at: ud2");
CODE(ud_lock, "ud_lock_at: .byte 0xf0,0x90");
CODE(ud_lock_reg, ".byte 0xf0,0x01,0xc0");
CODE(ud_mov_cs, ".byte 0x8e,0xc8");
CODE(ud_les_reg, ".byte 0xc4,0xc0,0x00,0x00\n nop\n nop");
CODE(ud_lea_reg, ".byte 0x8d,0xc0");
CODE(gp_long, "gp_long_at: .rept 15\n .byte 0x3e\n .endr\n nop");
CODE(ok_14_prefixes, ".rept 14\n .byte 0x3e\n .endr\n nop");
CODE(gp_cr0, "movl $0x80000000,%eax\n gp_cr0_at: movl %eax,%cr0");
CODE(ud_cr1, ".byte 0x0f,0x20,0xc8");
CODE(gp_msr, "movl $0x12345678,%ecx\n gp_msr_at: rdmsr");
CODE(gp_wrmsr, "movl $0x12345678,%ecx\n wrmsr");
CODE(gp_cr4, "movl %cr4,%eax\n orl $0x80000000,%eax\n movl %eax,%cr4");
CODE(db_int1, ".byte 0xf1\n db_int1_after: nop");

static const int32_t bounds[2] __attribute__((used)) = { 1, 4 };

static void try(const char *name, void (*code)(void *), int vector, uint32_t error)
{
    check_trap(name, rt_try(code, 0), vector, error);
}

static void test_vectors(void)
{
    try("divide-by-zero", de_div, DE, 0);
    check("divide-eip", rt_last.eip, ADDR(de_div_at));
    try("divide-overflow", de_overflow, DE, 0);
    check("divide-overflow-eip", rt_last.eip, ADDR(de_overflow_at));
    try("idiv-overflow", de_idiv, DE, 0);
    check("idiv-eip", rt_last.eip, ADDR(de_idiv_at));
    try("aam-zero", de_aam, DE, 0);
    check("aam-eip", rt_last.eip, ADDR(de_aam_at));
    try("int3", bp_int3, BP, 0);
    check("int3-eip", rt_last.eip, ADDR(bp_int3_after));
    try("int-3", bp_int_3, BP, 0);
    check("int-3-eip", rt_last.eip, ADDR(bp_int_3_after));
    try("into", of_into, OF, 0);
    check("into-eip", rt_last.eip, ADDR(of_into_after));
    try("into-not", of_not, NO_TRAP, 0);
    try("bound", br_bound, BR, 0);
    check("bound-eip", rt_last.eip, ADDR(br_bound_at));
    try("bound-inside", br_inside, NO_TRAP, 0);
    try("ud2", ud_ud2, UD, 0);
    check("ud2-eip", rt_last.eip, ADDR(ud_ud2_at));
    try("lock-nop", ud_lock, UD, 0);
    check("lock-nop-eip", rt_last.eip, ADDR(ud_lock_at));
    try("lock-add-register", ud_lock_reg, UD, 0);
    try("mov-to-cs", ud_mov_cs, UD, 0);
    try("lea-register", ud_lea_reg, UD, 0);
    try("15-byte-instruction", ok_14_prefixes, NO_TRAP, 0);
    try("16-byte-instruction", gp_long, GP, 0);
    check("16-byte-eip", rt_last.eip, ADDR(gp_long_at));
    if (rt_on_qemu) {
        skip("cr0-pg-without-pe", "(TCG does it and crashes the guest)");
        skip("cr4-reserved", "(TCG hangs)");
    } else {
        try("cr0-pg-without-pe", gp_cr0, GP, 0);
        try("cr4-reserved", gp_cr4, GP, 0);
    }
    try("cr1", ud_cr1, UD, 0);
    check_trap_cpu("rdmsr-unknown", rt_try(gp_msr, 0), GP, 0);
    check_trap_cpu("wrmsr-unknown", rt_try(gp_wrmsr, 0), GP, 0);
    check_trap_cpu("int1", rt_try(db_int1, 0), DB, 0);
    check_cpu("int1-eip", rt_last.eip, ADDR(db_int1_after));
}

CODE(flags_fault, "pushl $0x8d7\n popfl\n ud2");
CODE(flags_trap, "pushl $0x8d7\n popfl\n int3");

static void test_frames(void)
{
    rt_try(flags_fault, 0);
    check("flags-at-fault", rt_last.eflags & ~(uint32_t)RF, 0x8d7);
    check_cpu("rf-at-fault", rt_last.eflags & RF, RF);
    check("cs-at-fault", rt_last.cs & 0xffff, SEL_CODE0);
    rt_try(flags_trap, 0);
    check("flags-at-trap", rt_last.eflags, 0x8d7);
    rt_try_user(flags_fault, 0);
    check("user-flags-at-fault", rt_last.eflags & ~(uint32_t)RF, 0x8d7);
    check("user-cs-at-fault", rt_last.cs & 0xffff, SEL_CODE3);
    check("user-ss-at-fault", rt_last.ss & 0xffff, SEL_DATA3);
    check("user-esp-at-fault", rt_last.esp, (uint32_t)rt_user_stack_top - 16);
}

CODE(p_cli, "p_cli_at: cli");
CODE(p_sti, "sti");
CODE(p_hlt, "hlt");
CODE(p_in, "inb $0x80,%al");
CODE(p_out, "outb %al,$0x80");
CODE(p_insb, "movl $0x80,%edx\n movl $scratch,%edi\n insb");
CODE(p_outsb, "movl $0x80,%edx\n movl $scratch,%esi\n outsb");
CODE(p_lgdt, "lgdt scratch");
CODE(p_lidt, "lidt scratch");
CODE(p_lldt, "xorl %eax,%eax\n lldt %ax");
CODE(p_ltr, "movl $0x28,%eax\n ltr %ax");
CODE(p_cr0, "movl %cr0,%eax");
CODE(p_to_cr3, "xorl %eax,%eax\n movl %eax,%cr3");
CODE(p_cr4, "movl %cr4,%eax");
CODE(p_dr, "movl %db0,%eax");
CODE(p_to_dr, "movl %eax,%db7");
CODE(p_lmsw, "movl $1,%eax\n lmsw %ax");
CODE(p_clts, "clts");
CODE(p_invlpg, "invlpg scratch");
CODE(p_rdmsr, "movl $0x10,%ecx\n rdmsr");
CODE(p_wrmsr, "movl $0x10,%ecx\n wrmsr");
CODE(p_wbinvd, "wbinvd");
CODE(p_invd, "invd");
CODE(p_int, "int $0x40");
CODE(p_int1, ".byte 0xf1\n p_int1_after: nop");
CODE(p_int1_next, "jmp 1f\n .byte 0xf1\n 1: .byte 0xf1\n p_int1_next_after: nop");
CODE(p_int3, "int3\n p_int3_after: nop");
CODE(p_into, "movb $127,%al\n addb $1,%al\n into");
CODE(p_bound, "movl $5,%eax\n bound %eax,bounds");
CODE(p_ud2, "ud2");
CODE(p_div, "xorl %ecx,%ecx\n xorl %edx,%edx\n divl %ecx");

uint8_t scratch[64];

static void test_user(void)
{
    static const struct { const char *name; void (*code)(void *); int vector; uint32_t error; } rows[] = {
        { "user-cli", p_cli, GP, 0 }, { "user-sti", p_sti, GP, 0 }, { "user-hlt", p_hlt, GP, 0 },
        { "user-in", p_in, GP, 0 }, { "user-out", p_out, GP, 0 }, { "user-insb", p_insb, GP, 0 },
        { "user-outsb", p_outsb, GP, 0 }, { "user-lgdt", p_lgdt, GP, 0 }, { "user-lidt", p_lidt, GP, 0 },
        { "user-lldt", p_lldt, GP, 0 }, { "user-ltr", p_ltr, GP, 0 }, { "user-read-cr0", p_cr0, GP, 0 },
        { "user-write-cr3", p_to_cr3, GP, 0 }, { "user-read-cr4", p_cr4, GP, 0 }, { "user-read-dr", p_dr, GP, 0 },
        { "user-write-dr", p_to_dr, GP, 0 }, { "user-lmsw", p_lmsw, GP, 0 }, { "user-clts", p_clts, GP, 0 },
        { "user-invlpg", p_invlpg, GP, 0 }, { "user-rdmsr", p_rdmsr, GP, 0 }, { "user-wrmsr", p_wrmsr, GP, 0 },
        { "user-wbinvd", p_wbinvd, GP, 0 }, { "user-invd", p_invd, GP, 0 },
        { "user-int-dpl0", p_int, GP, 0x40 * 8 + 2 }, { "user-int3", p_int3, BP, 0 },
        { "user-into", p_into, OF, 0 }, { "user-bound", p_bound, BR, 0 }, { "user-ud2", p_ud2, UD, 0 },
        { "user-divide", p_div, DE, 0 },
    };

    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_trap(rows[i].name, rt_try_user(rows[i].code, 0), rows[i].vector, rows[i].error);
    check_trap_cpu("user-int1", rt_try_user(p_int1, 0), DB, 0);
    check_trap_cpu("user-int1-next", rt_try_user(p_int1_next, 0), DB, 0);
    check_cpu("user-int1-next-eip", rt_last.eip, ADDR(p_int1_next_after));
    rt_try_user(p_cli, 0);
    check("user-cli-eip", rt_last.eip, ADDR(p_cli_at));
    rt_try_user(p_int3, 0);
    check("user-int3-eip", rt_last.eip, ADDR(p_int3_after));
}

CODE(ac_read, "movl scratch+1,%eax");
CODE(ac_aligned, "movl scratch+4,%eax");

static void test_alignment(void)
{
    check_trap_cpu("no-ac-without-am", rt_try_user_flags(ac_read, 0, 2 | ACFLAG), NO_TRAP, 0);
    WRITE_CR(0, READ_CR(0) | CR0_AM);
    check_trap_cpu("alignment-check", rt_try_user_flags(ac_read, 0, 2 | ACFLAG), AC, 0);
    check_trap("aligned", rt_try_user_flags(ac_aligned, 0, 2 | ACFLAG), NO_TRAP, 0);
    check_trap("no-ac-without-flag", rt_try_user_flags(ac_read, 0, 2), NO_TRAP, 0);
    WRITE_CR(0, READ_CR(0) & ~CR0_AM);
}

CODE(df_gp, "movl $0xfff8,%eax\n movl %eax,%fs");

static void test_double(void)
{
    idt_set(GP, SEL_CODE0, (void *)rt_stubs[GP], A_INT_GATE + A_ABSENT);
    check_trap("double-fault", rt_try(df_gp, 0), DF, 0);
    idt_reset();
    idt_set(UD, SEL_CODE0, (void *)rt_stubs[UD], A_INT_GATE + A_ABSENT);
    /* #UD is benign: the #NP is delivered on its own, EXT set. */
    check_trap_cpu("benign-then-np", rt_try(ud_ud2, 0), NP, UD * 8 + 3);
    idt_reset();
    idt_set(DE, SEL_CODE0, (void *)rt_stubs[DE], A_INT_GATE + A_ABSENT);
    check_trap("divide-then-np", rt_try(de_div, 0), DF, 0);
    idt_reset();
}

void test_main(void)
{
    test_vectors();
    test_frames();
    test_user();
    test_alignment();
    test_double();
}
