/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Self-modifying code (SDM volume 3, 11.6): writes are seen by the next
 * instruction, whether in the same stretch of code, on another page, across a
 * page boundary, through another mapping, or made by a string instruction; pages that mix code and
 * data; and the writer may be the handler of an interrupt that comes while the code runs.
 */
#include "rt.h"

static uint8_t area[4 * 4096] __attribute__((aligned(4096)));

/* The next instruction's immediate is changed just before it runs. */
CODE(next_insn, "movl 4(%esp),%edx\n movb %dl,next_insn_imm+1\n next_insn_imm: movb $0,%al\n movzbl %al,%eax");
CODE(later_insn, "movl 4(%esp),%edx\n movb %dl,later_insn_imm+1\n nop\n nop\n nop\n jmp 1f\n 1: nop\n"
     "later_insn_imm: movb $0,%al\n movzbl %al,%eax");
CODE(loop_insn, "xorl %eax,%eax\n movl $100,%ecx\n 1: loop_insn_imm: addl $0,%eax\n incb loop_insn_imm+2\n"
     "decl %ecx\n jnz 1b\n movb $0,loop_insn_imm+2");
CODE(nop_to_inc, "xorl %eax,%eax\n movb $0x40,nop_to_inc_at\n nop_to_inc_at: nop\n movb $0x90,nop_to_inc_at");
CODE(by_rep, "xorl %eax,%eax\n movb $0x40,%al\n movl $by_rep_at,%edi\n movl $8,%ecx\n rep stosb\n by_rep_at:\n"
     ".fill 8,1,0x90\n subl $0x40,%eax");
CODE(by_push, "movl %esp,%ecx\n xorl %eax,%eax\n movl $by_push_at+4,%esp\n pushl $0x40404040\n by_push_at:\n"
     ".fill 4,1,0x90\n movl %ecx,%esp\n movl $0x90909090,by_push_at");
CODE(branch_target, "movl 4(%esp),%edx\n movb %dl,branch_at+1\n branch_at: jmp 1f\n 1: movl $1,%eax\n ret\n"
     "2: movl $2,%eax\n nop");

static void test_same_stretch(void)
{
    uint32_t good = 0;

    for (uint32_t i = 0; i < 50; i++) {
        rt_try(next_insn, (void *)i);
        good += rt_result == i;
        rt_try(later_insn, (void *)(i + 100));
        good += rt_result == i + 100;
    }
    check("next-instruction", good, 100);
    rt_try(loop_insn, 0);
    check("changed-in-loop", rt_result, 99 * 100 / 2);
    rt_try(loop_insn, 0);
    check("changed-in-loop-again", rt_result, 99 * 100 / 2);
    rt_try(nop_to_inc, 0);
    check("opcode-changed", rt_result, 1);
    rt_try(nop_to_inc, 0);
    check("opcode-changed-again", rt_result, 1);
    check_trap("by-rep-stos", rt_try(by_rep, 0), NO_TRAP, 0);
    check("by-rep-stos-value", rt_result, 8);
    check_trap("by-push", rt_try(by_push, 0), NO_TRAP, 0);
    check("by-push-value", rt_result, 4);
    rt_try(branch_target, (void *)0);
    check("branch-1", rt_result, 1);
    rt_try(branch_target, (void *)6);
    check("branch-2", rt_result, 2);
    rt_try(branch_target, (void *)0);
    check("branch-3", rt_result, 1);
}

static void put_code(uint8_t *p, uint32_t value)
{
    p[0] = 0xb8;                        /* movl $value, %eax; ret */
    *(uint32_t *)(p + 1) = value;
    p[5] = 0xc3;
}

static uint32_t call(const void *p)
{
    uint32_t v;

    asm volatile("call *%1" : "=&a"(v) : "r"(p) : "ecx", "edx", "memory", "cc");
    return v;
}

static void test_pages(void)
{
    uint32_t good = 0;

    for (uint32_t i = 0; i < 100; i++) {
        put_code(area, i);
        put_code(area + 4096, i + 1);
        good += call(area) == i && call(area + 4096) == i + 1;
    }
    check("other-page", good, 100);
    good = 0;
    for (uint32_t i = 0; i < 4096 - 16; i += 61) {
        put_code(area + i, i);
        good += call(area + i) == i;
    }
    check("sweep", good, (4096 - 16 + 60) / 61);
    good = 0;
    for (uint32_t at = 4091; at <= 4095; at++)
        for (uint32_t i = 0; i < 10; i++) {
            put_code(area + at, i * 0x01030507);
            good += call(area + at) == i * 0x01030507;
        }
    check("across-boundary", good, 50);
    good = 0;
    put_code(area + 4093, 0);
    for (uint32_t i = 0; i < 50; i++) {
        area[4096] = i;                 /* only what lies on the second page */
        good += call(area + 4093) == i << 16;
        area[4094] = i;                 /* and only the first */
        good += call(area + 4093) == (i << 16 | i);
        area[4094] = 0;
    }
    check("one-side-of-boundary", good, 100);
}

/* Data right beside code that runs: counters in the page of the routine. */
static void test_mixed(void)
{
    volatile uint32_t *data = (volatile uint32_t *)(area + 8192 + 256);
    uint8_t *code = area + 8192;
    uint32_t good = 0;

    memset(code, 0x90, 128);
    code[0] = 0xff, code[1] = 0x05;     /* incl data */
    *(uint32_t *)(code + 2) = (uint32_t)data;
    code[6] = 0xa1;                     /* movl data, %eax */
    *(uint32_t *)(code + 7) = (uint32_t)data;
    code[11] = 0xc3;
    *data = 0;
    for (uint32_t i = 1; i <= 2000; i++)
        good += call(code) == i;
    check("code-with-data", good, 2000);
    data[1] = 5;
    put_code(code, 1234);
    check("code-with-data-changed", call(code), 1234);
    good = 0;
    for (uint32_t i = 0; i < 300; i++) {
        data[i % 16] = i;
        *(uint32_t *)(code + 1) = i;
        good += call(code) == i;
    }
    check("code-and-data-changed", good, 300);
}

static uint32_t on_stack(uint32_t i)
{
    uint8_t trampoline[16];

    put_code(trampoline, i ^ 0xabcdef);
    return call(trampoline);
}

static void test_stack_code(void)
{
    uint32_t good = 0;

    for (uint32_t i = 0; i < 200; i++)
        good += on_stack(i) == (i ^ 0xabcdef);
    check("code-on-stack", good, 200);
}

static void test_alias(void)
{
    uint8_t *alias = area + 3 * 4096;
    uint32_t good = 0;

    paging_on();
    *pte_of(alias) = (uint32_t)area | PTE_P | PTE_W | PTE_U;
    invlpg(alias);
    for (uint32_t i = 0; i < 100; i++) {
        put_code(alias + 64, i);
        good += call(area + 64) == i;
        put_code(area + 64, i + 7);
        good += call(alias + 64) == i + 7;
    }
    check("through-alias", good, 200);
    good = 0;
    put_code(area, 1);
    put_code(area + 4096, 2);
    for (uint32_t i = 0; i < 60; i++) {
        *pte_of(alias) = (uint32_t)(area + (i & 1) * 4096) | PTE_P | PTE_W | PTE_U;
        invlpg(alias);
        good += call(alias) == 1 + (i & 1);
    }
    check("remapped-code", good, 60);
    paging_off();
}

/* Ring 3 changes its own code. */
CODE(user_loop, "xorl %eax,%eax\n movl $200,%ecx\n 1: user_loop_imm: addl $0,%eax\n incb user_loop_imm+2\n"
     "decl %ecx\n jnz 1b\n movb $0,user_loop_imm+2\n int $0x90");

static void test_user(void)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < 200; i++)
        sum += (uint32_t)(int8_t)i;
    check_trap("user-changed-in-loop", rt_try_user(user_loop, 0), 0x90, 0);
    check("user-changed-in-loop-value", rt_last.eax, sum);
}

/* --- the timer's handler changes the code that it has interrupted --- */

#define RACES 60u

static volatile uint32_t patches, rounds, patched_at, patched_round, hits, wrong;
static uint8_t patched_byte;

/* EAX counts values older than the handler's last one before, or newer than its last one after the changed instruction. */
#define RACE_VALUE(name, begin, end) \
    CODE(name, "movl 4(%esp),%edx\n xorl %eax,%eax\n pushl %ebx\n " begin "\n 1: movl patches,%ecx\n" \
         #name "_at: movl $0,%ebx\n cmpl %ecx,%ebx\n jae 2f\n incl %eax\n 2: cmpl patches,%ebx\n jbe 3f\n" \
         "incl %eax\n 3: cmpl %edx,patches\n jb 1b\n " end "\n popl %ebx"); \
    extern uint8_t name##_at[]
RACE_VALUE(race_value, "sti", "cli");
RACE_VALUE(race_user, "", "");
CODE(race_next, "movl 4(%esp),%edx\n sti\n race_next_from: incl rounds\n .fill 64,1,0x90\n cmpl %edx,patches\n"
     "jb race_next_from\n race_next_to: cli");
extern uint8_t race_next_from[], race_next_to[];

static void change_value(struct frame *f)
{
    (void)f;
    patches++;
    *(uint32_t *)(race_value_at + 1) = *(uint32_t *)(race_user_at + 1) = patches;
    pic_eoi();
}

/* The instruction to which the handler returns becomes INT3 ... */
static void change_next(struct frame *f)
{
    if (!patched_at && f->eip >= (uint32_t)race_next_from && f->eip < (uint32_t)race_next_to) {
        patches++;
        patched_at = f->eip;
        patched_round = rounds;
        patched_byte = *(uint8_t *)patched_at;
        *(uint8_t *)patched_at = 0xcc;
    }
    pic_eoi();
}

/* ... which must come at once, and is taken back. */
static void on_int3(struct frame *f)
{
    if (f->eip == patched_at + 1 && rounds == patched_round)
        hits++;
    else
        wrong++;
    f->eip--;
    *(uint8_t *)f->eip = patched_byte;
    patched_at = 0;
}

static void race_begin(rt_handler *handler)
{
    patches = 0;
    *(uint32_t *)(race_value_at + 1) = *(uint32_t *)(race_user_at + 1) = 0;
    rt_handlers[IRQ_BASE] = handler;
    pic_setup(0xfe, 0xff);
    pit_periodic(1500);
}

static void test_races(void)
{
    race_begin(change_value);
    check_trap("changed-by-interrupt", rt_try(race_value, (void *)RACES), NO_TRAP, 0);
    check("changed-by-interrupt-value", rt_result, 0);
    paging_on();
    race_begin(change_value);
    check_trap("user-changed-by-interrupt", rt_try_user_flags(race_user, (void *)RACES, IF), NO_TRAP, 0);
    check("user-changed-by-interrupt-value", rt_last.eax, 0);
    paging_off();
    race_begin(change_next);
    rt_handlers[BP] = on_int3;
    check_trap("next-changed-by-interrupt", rt_try(race_next, (void *)RACES), NO_TRAP, 0);
    check("next-changed-by-interrupt-hits", hits + (patched_at != 0), patches);
    check("next-changed-by-interrupt-wrong", wrong, 0);
    pic_setup(0xff, 0xff);
}

void test_main(void)
{
    rt_handlers[IRQ_BASE + 7] = rt_spurious;
    test_same_stretch();
    test_pages();
    test_mixed();
    test_stack_code();
    test_alias();
    test_user();
    test_races();
}
