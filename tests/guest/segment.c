/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segmentation: limits, types, null selectors, loads that must fail, accessed
 * bits, conforming code, and the instructions that ask about descriptors
 * (SDM volume 3, chapters 3 and 5).
 */
#include "rt.h"

/* Argument: pointer to { selector, offset }. */
struct probe {
    uint32_t selector, offset;
};

#define LOAD_FS "movl 4(%esp),%edx\n movl (%edx),%eax\n movl %eax,%fs\n movl 4(%edx),%ecx\n"
CODE(read8, LOAD_FS "xorl %eax,%eax\n read8_at: movb %fs:(%ecx),%al");
CODE(read32, LOAD_FS "movl %fs:(%ecx),%eax");
CODE(write32, LOAD_FS "movl $0x11223344,%eax\n movl %eax,%fs:(%ecx)");
CODE(load_ds, "movl 4(%esp),%edx\n load_ds_at: movl %edx,%ds");
CODE(load_es, "movl 4(%esp),%edx\n movl %edx,%es");
CODE(load_gs, "movl 4(%esp),%edx\n movl %edx,%gs");
CODE(load_ss, "movl 4(%esp),%edx\n movl %ss,%ecx\n movl %edx,%ss\n movl %ecx,%ss");
CODE(pop_fs, "pushl 4(%esp)\n pop_fs_at: popl %fs\n xorl %eax,%eax\n movl %fs,%eax");
CODE(lfs_read, "movl 4(%esp),%edx\n lfs (%edx),%eax");
CODE(ss_read, "movl 4(%esp),%edx\n movl 4(%edx),%ecx\n movl (%edx),%eax\n movl %eax,%ss\n movl %ss:(%ecx),%eax\n"
     "movl $0x23,%ecx\n movl %ecx,%ss");

static uint8_t buffer[16384] __attribute__((aligned(4096)));

static int probe(void (*code)(void *), uint32_t selector, uint32_t offset)
{
    struct probe p = { selector, offset };

    return rt_try(code, &p);
}

static int probe_user(void (*code)(void *), uint32_t selector, uint32_t offset)
{
    struct probe p = { selector, offset };

    return rt_try_user(code, &p);
}

static void test_limits(void)
{
    uint32_t s = SLOT(0), base = (uint32_t)buffer;

    gdt_set(s, base, 0xfff, A_DATA, F_BYTES);
    check_trap("limit-last-byte", probe(read8, s, 0xfff), NO_TRAP, 0);
    check("limit-last-byte-value", rt_result, 0x5f);
    check_trap("limit-last-dword", probe(read32, s, 0xffc), NO_TRAP, 0);
    check_trap_cpu("limit-dword-over", probe(read32, s, 0xffd), GP, 0);
    check_trap_cpu("limit-byte-over", probe(read8, s, 0x1000), GP, 0);
    check_cpu("limit-eip", rt_last.eip, ADDR(read8_at));
    check_trap_cpu("limit-write-over", probe(write32, s, 0xffe), GP, 0);
    check_cpu("limit-no-partial-write", *(uint32_t *)(buffer + 0xffc), 0x5f5f5f5f);
    memset(buffer + 0xff0, 0x5f, 32);
    check_trap_cpu("limit-wraps", probe(read32, s, 0xfffffffe), GP, 0);
    gdt_set(s, base, 0, A_DATA, F_PAGES);
    check_trap("page-limit-last", probe(read8, s, 0xfff), NO_TRAP, 0);
    check_trap_cpu("page-limit-over", probe(read8, s, 0x1000), GP, 0);
    gdt_set(s, base, 0, A_DATA, F_BYTES);
    check_trap("one-byte-segment", probe(read8, s, 0), NO_TRAP, 0);
    check_trap_cpu("one-byte-over", probe(read8, s, 1), GP, 0);
    gdt_set(s, base - 0x1000, 0xfff, A_DATA_DOWN, F_BYTES);
    check_trap("down-first", probe(read8, s, 0x1000), NO_TRAP, 0);
    check_trap_cpu("down-below", probe(read8, s, 0xfff), GP, 0);
    check_trap_cpu("down-zero", probe(read8, s, 0), GP, 0);
    gdt_set(s, base - 0xf000, 0xefff, A_DATA_DOWN, F_BYTES16);
    check_trap("down16-first", probe(read8, s, 0xf000), NO_TRAP, 0);
    check_trap("down16-last", probe(read8, s, 0xffff), NO_TRAP, 0);
    check_trap_cpu("down16-above", probe(read8, s, 0x10000), GP, 0);
    check_trap_cpu("down16-across", probe(read32, s, 0xfffe), GP, 0);
    gdt_set(s, base + 0x1000, 0xfffff, A_DATA, F_PAGES);
    check_trap("base-wraps", probe(read8, s, 0xfffff000), NO_TRAP, 0);
    check("base-wraps-value", rt_result, 0x5f);
}

CODE(cs_write, "movl %eax,%cs:cs_write_at\n cs_write_at: nop\n nop\n nop\n nop");

static void test_types(void)
{
    uint32_t s = SLOT(1), base = (uint32_t)buffer;

    gdt_set(s, base, 0xfff, A_DATA_RO, F_BYTES);
    check_trap("read-only-read", probe(read8, s, 0), NO_TRAP, 0);
    check_trap_cpu("read-only-write", probe(write32, s, 0), GP, 0);
    gdt_set(s, base, 0xfff, A_CODE, F_BYTES);
    check_trap("code-read", probe(read8, s, 0), NO_TRAP, 0);
    check_trap_cpu("code-write", probe(write32, s, 0), GP, 0);
    gdt_set(s, base, 0xfff, A_CODE_X, F_BYTES);
    check_trap("execute-only-load", probe(read8, s, 0), GP, s);
    for (uint32_t n = 0; n < 4; n++) {
        check_trap("null-load", rt_try(load_ds, (void *)n), NO_TRAP, 0);
        check_trap_cpu("null-read", probe(read8, n, 0), GP, 0);
    }
    check_trap("null-ss", rt_try(load_ss, 0), GP, 0);
    check_trap_cpu("cs-write", rt_try(cs_write, 0), GP, 0);
}

static void test_loads(void)
{
    uint32_t s = SLOT(2);

    check_trap("beyond-gdt", rt_try(load_ds, (void *)0x1000), GP, 0x1000);
    check("beyond-gdt-eip", rt_last.eip, ADDR(load_ds_at));
    check_trap("beyond-gdt-rpl", rt_try(load_es, (void *)0x1003), GP, 0x1000);
    check_trap("no-ldt", rt_try(load_gs, (void *)0x0c), GP, 0x0c);
    gdt_set(s, 0, 0xfff, A_DATA + A_ABSENT, F_BYTES);
    check_trap("not-present", rt_try(load_es, (void *)s), NP, s);
    check_trap("ss-not-present", rt_try(load_ss, (void *)s), SS, s);
    gdt_set(s, 0, 0xfff, A_DATA_RO, F_BYTES);
    check_trap("ss-read-only", rt_try(load_ss, (void *)s), GP, s);
    gdt_set(s, 0, 0xfff, A_CODE, F_BYTES);
    check_trap("ss-code", rt_try(load_ss, (void *)s), GP, s);
    gdt_set(s, 0, 0xfff, A_DATA | A_DPL3, F_BYTES);
    check_trap("ss-dpl", rt_try(load_ss, (void *)s), GP, s);
    check_trap("ss-rpl", rt_try(load_ss, (void *)(SEL_DATA0 | 3)), GP, SEL_DATA0);
    check_trap("system-type", rt_try(load_es, (void *)SEL_TSS), GP, SEL_TSS);
    gdt_set(s, 0, 0xfff, A_DATA, F_BYTES);
    check_trap("user-dpl0", rt_try_user(load_es, (void *)s), GP, s);
    check_trap("user-dpl0-rpl3", rt_try_user(load_es, (void *)(s | 3)), GP, s);
    gdt_set(s, 0, 0xfff, A_DATA | A_DPL3, F_BYTES);
    check_trap("user-dpl3-rpl0", rt_try_user(load_es, (void *)s), NO_TRAP, 0);
    check_trap("ring0-rpl3-dpl3", rt_try(load_es, (void *)(s | 3)), NO_TRAP, 0);
    gdt_set(s, 0, 0xfff, A_DATA, F_BYTES);
    check_trap("ring0-rpl3-dpl0", rt_try(load_es, (void *)(s | 3)), GP, s);
    gdt_set(s, 0, 0xfff, A_CODE_CONFORMING, F_BYTES);
    check_trap("user-conforming-as-data", rt_try_user(load_es, (void *)(s | 3)), NO_TRAP, 0);
    gdt_set(s, 0, 0xfff, A_DATA, F_BYTES);
    check_trap("pop-fs", rt_try(pop_fs, (void *)s), NO_TRAP, 0);
    check("pop-fs-selector", rt_result & 0xffff, s);
    check_trap("pop-fs-bad", rt_try(pop_fs, (void *)0x1000), GP, 0x1000);
    check("pop-fs-bad-eip", rt_last.eip, ADDR(pop_fs_at));
}

static void test_accessed(void)
{
    uint32_t s = SLOT(3);
    uint16_t far[3] = { 0x5678, 0x1234, s };

    gdt_set(s, 0, 0xfff, A_DATA, F_BYTES);
    check("accessed-before", rt_gdt[s / 8] >> 40 & 1, 0);
    rt_try(load_es, (void *)s);
    check("accessed-after", rt_gdt[s / 8] >> 40 & 1, 1);
    gdt_set(s, 0, 0xfff, A_DATA, F_BYTES);
    rt_try(lfs_read, far);
    check("lfs-offset", rt_result, 0x12345678);
    check("lfs-accessed", rt_gdt[s / 8] >> 40 & 1, 1);
    gdt_set(s, 0, 0xfff, A_DATA + A_ABSENT, F_BYTES);
    rt_try(load_es, (void *)s);
    check("failed-not-accessed", rt_gdt[s / 8] >> 40 & 1, 0);
}

/* The hidden part stays what it was when the descriptor changes under it. */
CODE(hidden, "movl 4(%esp),%edx\n movl %edx,%fs\n call change\n xorl %eax,%eax\n movb %fs:0,%al");

void change(void);

void change(void)
{
    gdt_set(SLOT(4), (uint32_t)buffer + 0x1000, 0xfff, A_DATA, F_BYTES);
}

static void test_hidden(void)
{
    gdt_set(SLOT(4), (uint32_t)buffer, 0xfff, A_DATA, F_BYTES);
    buffer[0] = 0x11;
    buffer[0x1000] = 0x22;
    check_trap("hidden-base", rt_try(hidden, (void *)SLOT(4)), NO_TRAP, 0);
    check("hidden-base-value", rt_result, 0x11);
    buffer[0] = buffer[0x1000] = 0x5f;
}

CODE(far_call, "movl 4(%esp),%edx\n lcall *(%edx)");
CODE(far_target, "xorl %eax,%eax\n movl %cs,%eax\n lret");
CODE(far_jump, "movl 4(%esp),%edx\n ljmp *(%edx)\n far_jump_back: ");

static int far_to(void (*code)(void *), bool user, uint32_t selector, uint32_t offset)
{
    struct { uint32_t offset; uint16_t selector; } far = { offset, selector };

    return user ? rt_try_user(code, &far) : rt_try(code, &far);
}

static void test_code(void)
{
    uint32_t s = SLOT(5), target = (uint32_t)far_target;

    gdt_set(s, 0, 0xfffff, A_CODE, F_PAGES);
    check_trap("far-call", far_to(far_call, false, s, target), NO_TRAP, 0);
    check("far-call-cs", rt_result & 0xffff, s);
    check_trap("far-call-rpl3", far_to(far_call, false, s | 3, target), GP, s);
    check_trap("far-call-user-dpl0", far_to(far_call, true, s, target), GP, s);
    gdt_set(s, 0, 0xfffff, A_CODE_CONFORMING, F_PAGES);
    check_trap("conforming-user", far_to(far_call, true, s, target), NO_TRAP, 0);
    check_trap("conforming", far_to(far_call, false, s, target), NO_TRAP, 0);
    gdt_set(s, 0, 0xfffff, A_CODE_CONFORMING | A_DPL3, F_PAGES);
    check_trap("conforming-dpl-over-cpl", far_to(far_call, false, s, target), GP, s);
    gdt_set(s, 0, 0xfffff, A_CODE + A_ABSENT, F_PAGES);
    check_trap("code-not-present", far_to(far_call, false, s, target), NP, s);
    gdt_set(s, 0, 0xfffff, A_DATA, F_PAGES);
    check_trap("far-call-data", far_to(far_call, false, s, target), GP, s);
    check_trap("far-call-null", far_to(far_call, false, 0, target), GP, 0);
    check_trap("far-call-beyond", far_to(far_call, false, 0x1000, target), GP, 0x1000);
    gdt_set(s, 0, 0xfff, A_CODE, F_BYTES);
    check_trap_cpu("far-call-over-limit", far_to(far_call, false, s, 0x1000), GP, 0);
    gdt_set(s, 0x1000, 0xfffff, A_CODE, F_PAGES);
    check_trap("far-call-base", far_to(far_call, false, s, target - 0x1000), NO_TRAP, 0);
}

#define QUERY(name, insn) \
    CODE(name, "movl 4(%esp),%edx\n movl $0x5a5a5a5a,%eax\n cmpl %eax,%edx\n " insn "\n setz %dl\n movzbl %dl,%edx\n" \
         "movl %edx,query_zf")
QUERY(q_lar, "larl %edx,%eax");
QUERY(q_lsl, "lsll %edx,%eax");
QUERY(q_verr, "verr %dx");
QUERY(q_verw, "verw %dx");

uint32_t query_zf;

static uint32_t query(void (*code)(void *), bool user, uint32_t selector)
{
    query_zf = 99;
    if (user)
        rt_try_user(code, (void *)selector);
    else
        rt_try(code, (void *)selector);
    return query_zf;
}

static void test_queries(void)
{
    uint32_t s = SLOT(6);

    gdt_set(s, 0x12345678, 0xabcde, A_DATA, F_PAGES);
    check("lar-data", query(q_lar, false, s), 1);
    check("lar-data-value", rt_result & 0x00f0ff00, 0x00c09200);
    check("lsl-pages", query(q_lsl, false, s), 1);
    check("lsl-pages-value", rt_result, 0xabcdefff);
    check("verr-data", query(q_verr, false, s), 1);
    check("verw-data", query(q_verw, false, s), 1);
    check("user-lar-dpl0", query(q_lar, true, s), 0);
    check("user-lsl-dpl0", query(q_lsl, true, s), 0);
    check("user-verr-dpl0", query(q_verr, true, s), 0);
    gdt_set(s, 0, 0x1234, A_DATA_RO | A_DPL3, F_BYTES);
    check("user-lsl", query(q_lsl, true, s | 3), 1);
    check("verw-read-only", query(q_verw, false, s), 0);
    check("lsl-bytes", query(q_lsl, false, s), 1);
    check("lsl-bytes-value", rt_result, 0x1234);
    gdt_set(s, 0, 0, A_CODE_X, F_BYTES);
    check("verr-execute-only", query(q_verr, false, s), 0);
    check("lar-null", query(q_lar, false, 0), 0);
    check("lar-null-kept", rt_result, 0x5a5a5a5a);
    check("lar-beyond", query(q_lar, false, 0x1000), 0);
    check("lar-tss", query(q_lar, false, SEL_TSS), 1);
    check("lsl-tss", query(q_lsl, false, SEL_TSS), 1);
    check("lsl-tss-value", rt_result, sizeof rt_tss - 1);
    gdt_gate(s, SEL_CODE0, far_target, A_CALL_GATE, 0);
    check("lar-call-gate", query(q_lar, false, s), 1);
    check("lsl-call-gate", query(q_lsl, false, s), 0);
    gdt_gate(s, SEL_CODE0, far_target, A_INT_GATE, 0);
    check("lar-int-gate", query(q_lar, false, s), 0);
}

CODE(ldt_load, "movl 4(%esp),%edx\n lldt %dx\n xorl %eax,%eax\n sldt %eax");
CODE(ldt_read, "movl $0x0f,%edx\n movl %edx,%gs\n xorl %eax,%eax\n movb %gs:3,%al");

static void test_ldt(void)
{
    static uint64_t ldt[2];
    uint32_t s = SLOT(7);

    gdt_set(SLOT(8), (uint32_t)buffer, 0xfff, A_DATA | A_DPL3, F_BYTES);
    ldt[1] = rt_gdt[SLOT(8) / 8];
    gdt_set(s, (uint32_t)ldt, sizeof ldt - 1, A_LDT, F_BYTES16);
    check_trap("lldt", rt_try(ldt_load, (void *)s), NO_TRAP, 0);
    check("sldt", rt_result & 0xffff, s);
    buffer[3] = 0x5f;
    check_trap("ldt-segment", rt_try(ldt_read, 0), NO_TRAP, 0);
    check("ldt-segment-value", rt_result, 0x5f);
    check_trap("ldt-segment-user", rt_try_user(ldt_read, 0), NO_TRAP, 0);
    check_trap("beyond-ldt", rt_try(load_es, (void *)0x17), GP, 0x14);
    gdt_set(s, (uint32_t)ldt, 7, A_LDT, F_BYTES16);
    rt_try(ldt_load, (void *)s);
    check_trap("ldt-limit", rt_try(load_es, (void *)0x0f), GP, 0x0c);
    check_trap("lldt-data", rt_try(ldt_load, (void *)SEL_DATA0), GP, SEL_DATA0);
    gdt_set(s, (uint32_t)ldt, 7, A_LDT + A_ABSENT, F_BYTES16);
    check_trap("lldt-not-present", rt_try(ldt_load, (void *)s), NP, s);
    check_trap("lldt-null", rt_try(ldt_load, 0), NO_TRAP, 0);
    check_trap("ldt-gone", rt_try(load_es, (void *)0x0f), GP, 0x0c);
}

/* The user stack's segment in the way: #SS for accesses through it, by PUSH too. */
CODE(ss_push, "movl 4(%esp),%edx\n movl (%edx),%eax\n movl 4(%edx),%ecx\n movl %eax,%ss\n movl %ecx,%esp\n"
     "ss_push_at: pushl %eax");

CODE(ss_push_ok, "movl 4(%esp),%edx\n movl (%edx),%eax\n movl 4(%edx),%ecx\n movl %eax,%ss\n movl %ecx,%esp\n"
     "pushl %eax\n ud2");

static void test_stack(void)
{
    uint32_t s = SLOT(9) | 3;

    gdt_set(SLOT(9), (uint32_t)buffer, 0xfff, A_DATA | A_DPL3, F_BYTES);
    check_trap("ss-inside", probe_user(ss_read, s, 0xffc), NO_TRAP, 0);
    check_trap_cpu("ss-over", probe_user(ss_read, s, 0xffd), SS, 0);
    check_trap_cpu("push-over", probe_user(ss_push, s, 0x1004), SS, 0);
    check_cpu("push-over-eip", rt_last.eip, ADDR(ss_push_at));
    check_cpu("push-over-esp", rt_last.esp, 0x1004);
    check_trap_cpu("push-wraps", probe_user(ss_push, s, 0), SS, 0);
    check_trap("push-inside", probe_user(ss_push_ok, s, 0x1000), UD, 0);
    check("push-inside-esp", rt_last.esp, 0xffc);
    check("push-inside-value", *(uint32_t *)(buffer + 0xffc), s);
}

CODE(arpl_up, "movl $0x10,%eax\n movl $3,%edx\n arpl %dx,%ax\n setz %dl\n movzbl %dl,%edx\n movl %edx,query_zf");
CODE(arpl_same, "movl $0x13,%eax\n movl $1,%edx\n arpl %dx,%ax\n setz %dl\n movzbl %dl,%edx\n movl %edx,query_zf");
CODE(str_now, "xorl %eax,%eax\n str %eax");
CODE(smsw_now, "smsw %eax");

uint8_t table_register[8] __attribute__((used));
CODE(sgdt_now, "sgdt table_register\n movl table_register+2,%eax");
CODE(sidt_now, "sidt table_register\n movl table_register+2,%eax");

static void test_registers(void)
{
    rt_try(arpl_up, 0);
    check("arpl-up", rt_result & 0xffff, 0x13);
    check("arpl-up-zf", query_zf, 1);
    rt_try(arpl_same, 0);
    check("arpl-same-zf", query_zf, 0);
    rt_try(str_now, 0);
    check("str", rt_result & 0xffff, SEL_TSS);
    rt_try(smsw_now, 0);
    check("smsw", rt_result & 0xffff, READ_CR(0) & 0xffff);
    rt_try(sgdt_now, 0);
    check("sgdt-base", rt_result, (uint32_t)rt_gdt);
    check("sgdt-limit", *(uint16_t *)table_register, sizeof rt_gdt - 1);
    rt_try(sidt_now, 0);
    check("sidt-base", rt_result, (uint32_t)rt_idt);
    check("sidt-limit", *(uint16_t *)table_register, sizeof rt_idt - 1);
}

void test_main(void)
{
    for (unsigned i = 0; i < sizeof buffer; i++)
        buffer[i] = 0x5f;
    test_limits();
    test_types();
    test_loads();
    test_accessed();
    test_hidden();
    test_code();
    test_queries();
    test_ldt();
    test_stack();
    test_registers();
}
