/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control flow and the instructions that a translator has to think about:
 * return addresses that the guest reads and writes, mismatched calls and
 * returns, indirect jumps, all conditions, flags across block ends, loops,
 * pushes of ESP, far pointers, the guest's own use of FS and GS.
 */
#include "rt.h"

CODE(call_pop, "call 1f\n call_pop_back: 1: popl %eax");
CODE(ret_changed, "call 1f\n movl $1,%eax\n jmp 2f\n ret_changed_to: movl $2,%eax\n jmp 2f\n"
     "1: movl $ret_changed_to,(%esp)\n ret\n 2:");
CODE(ret_pushed, "pushl $ret_pushed_to\n ret\n ud2\n ret_pushed_to: movl $3,%eax");
CODE(ret_deep, "movl %esp,%ecx\n call 1f\n jmp 3f\n 1: call 2f\n ud2\n 2: addl $4,%esp\n ret\n 3: movl %ecx,%eax\n subl %esp,%eax");
CODE(ret_imm, "movl %esp,%ecx\n pushl $1\n pushl $2\n pushl $3\n call 1f\n movl %ecx,%eax\n subl %esp,%eax\n jmp 2f\n"
     "1: ret $12\n 2:");
CODE(recursion, "movl 4(%esp),%ecx\n xorl %eax,%eax\n call 1f\n jmp 2f\n 1: incl %eax\n decl %ecx\n jz 3f\n call 1b\n"
     "3: ret\n 2:");
CODE(jump_register, "movl $1f,%eax\n jmp *%eax\n ud2\n 1: movl $4,%eax");
CODE(jump_memory, "movl $flow_table,%edx\n movl $2,%ecx\n jmp *(%edx,%ecx,4)\n ft_0: movl $10,%eax\n jmp 9f\n"
     "ft_1: movl $11,%eax\n jmp 9f\n ft_2: movl $12,%eax\n jmp 9f\n 9:");
CODE(call_memory, "movl $flow_calls,%edx\n call *4(%edx)\n addl $1,%eax\n jmp 9f\n fc_0: movl $20,%eax\n ret\n"
     "fc_1: movl $21,%eax\n ret\n 9:");
CODE(call_esp, "pushl $1f\n call *(%esp)\n addl $4,%esp\n jmp 2f\n 1: movl $31,%eax\n ret\n 2:");
CODE(jump_esp_pop, "pushl $1f\n popl %edx\n jmp *%edx\n ud2\n 1: movl $32,%eax");
CODE(loop_l, "xorl %eax,%eax\n movl $10,%ecx\n 1: incl %eax\n loop 1b\n shll $8,%eax\n orl %ecx,%eax");
CODE(loop_e, "xorl %eax,%eax\n movl $10,%ecx\n 1: incl %eax\n cmpl $4,%eax\n loopne 1b\n shll $8,%eax\n orl %ecx,%eax");
CODE(loop_flags, "movl $3,%ecx\n stc\n 1: loop 1b\n setc %al\n movzbl %al,%eax");
CODE(jecxz_l, "xorl %ecx,%ecx\n movl $1,%eax\n jecxz 1f\n movl $2,%eax\n 1:");
CODE(jcxz_a16, "movl $0x10000,%ecx\n movl $1,%eax\n jcxz 1f\n movl $2,%eax\n 1:");
CODE(flags_over_jump, "movl $5,%eax\n cmpl $5,%eax\n jmp 1f\n nop\n 1: nop\n jmp 2f\n 2: jne 3f\n movl $51,%eax\n jmp 4f\n"
     "3: movl $52,%eax\n 4:");
CODE(flags_over_call, "stc\n call 1f\n setc %al\n movzbl %al,%eax\n jmp 2f\n 1: ret\n 2:");
CODE(flags_over_indirect, "movl $0x7fffffff,%eax\n addl $1,%eax\n movl $1f,%edx\n jmp *%edx\n 1: pushfl\n popl %eax\n andl $0x8d5,%eax");
CODE(flags_over_cli, "stc\n cli\n pushfl\n popl %eax\n andl $0x201,%eax");
CODE(flags_over_seg, "movl %ds,%edx\n stc\n movl %edx,%es\n setc %al\n movzbl %al,%eax");
CODE(flags_over_in, "stc\n inb $0x80,%al\n setc %al\n movzbl %al,%eax");
CODE(push_esp, "movl %esp,%ecx\n pushl %esp\n popl %eax\n subl %ecx,%eax");
CODE(pop_esp, "movl %esp,%ecx\n pushl $0x1234\n popl %esp\n movl %esp,%eax\n movl %ecx,%esp");
CODE(pop_mem_esp, "pushl $0\n pushl $0x77\n popl (%esp)\n popl %eax");
CODE(push_mem_esp, "pushl $0x88\n pushl (%esp)\n popl %eax\n popl %ecx\n subl %ecx,%eax");
CODE(pop_fs_esp, "pushl %fs\n movl %esp,%eax\n popl %fs\n subl %esp,%eax");
CODE(leave_enter, "movl %esp,%ecx\n enter $32,$0\n movl %ecx,%eax\n subl %esp,%eax\n leave\n cmpl %esp,%ecx\n je 1f\n ud2\n 1:");
CODE(enter_nested, "pushl %ebp\n movl $flow_frame,%ebp\n enter $8,$2\n movl 12(%esp),%eax\n leave\n popl %ebp");
CODE(pusha_popa, "movl $1,%eax\n movl $2,%ecx\n pushal\n xorl %eax,%eax\n xorl %ecx,%ecx\n popal\n shll $8,%ecx\n orl %ecx,%eax");
CODE(lds_les, "lesl flow_far,%eax\n movl %es,%ecx\n pushl %ecx\n movl $0x10,%edx\n movl %edx,%es\n popl %ecx\n shll $16,%ecx\n orl %ecx,%eax");
CODE(far_ret_same, "pushl %cs\n pushl $1f\n lret\n ud2\n 1: movl $61,%eax");
CODE(far_call_direct, "lcall $0x08,$1f\n jmp 2f\n 1: movl $62,%eax\n lret\n 2:");
CODE(far_jump_direct, "ljmp $0x08,$1f\n ud2\n 1: movl $63,%eax");
CODE(lret_imm, "movl %esp,%ecx\n pushl $0\n pushl $0\n pushl %cs\n call 1f\n movl %ecx,%eax\n subl %esp,%eax\n jmp 2f\n 1: lret $8\n 2:");
CODE(xlat_fs, "movl $0x40,%edx\n movl %edx,%fs\n movl $0,%ebx\n movl $3,%eax\n xlatb %fs:(%ebx)\n movzbl %al,%eax");
CODE(gs_base, "movl $0x40,%edx\n movl %edx,%gs\n movl %gs:4,%eax\n addl %gs:8,%eax\n movl %eax,%gs:12\n movl %gs,%ecx\n"
     "shll $16,%ecx\n orl %ecx,%eax");
CODE(gs_push, "movl $0x40,%edx\n movl %edx,%gs\n pushl %gs:4\n popl %eax\n call *%gs:16\n jmp 1f\n gs_push_target: incl %eax\n ret\n 1:");
CODE(gs_string, "movl $0x40,%edx\n movl %edx,%gs\n xorl %esi,%esi\n movl $flow_out,%edi\n movl $5,%ecx\n rep movsl %gs:(%esi),%es:(%edi)\n"
     "movl flow_out+4,%eax");
CODE(gs_lock, "movl $0x40,%edx\n movl %edx,%gs\n movl $5,%eax\n lock xaddl %eax,%gs:4\n movl $0,%eax\n lock btsl $3,%gs:0\n"
     "movl %gs:0,%eax");
CODE(cmpxchg8, "movl $1,%eax\n movl $2,%edx\n movl $3,%ebx\n movl $4,%ecx\n movl $1,flow_out\n movl $2,flow_out+4\n"
     "lock cmpxchg8b flow_out\n movl flow_out,%eax\n shll $8,%eax\n orl flow_out+4,%eax");
CODE(bt_memory, "movl $0,flow_out+16\n movl $130,%eax\n btsl %eax,flow_out\n movl flow_out+16,%eax");
CODE(cmov_faults, "xorl %eax,%eax\n cmpl $1,%eax\n cmovel flow_out,%eax\n movl $71,%eax");
CODE(str_memory, "movl $0x5a5a5a5a,flow_out\n str flow_out\n movl flow_out,%eax");
CODE(mov_ds_memory, "movl $0x5a5a5a5a,flow_out\n movw %ds,flow_out\n movl flow_out,%eax");
CODE(mov_ds_word, "movl $0x5a5a5a5a,%eax\n movw %ds,%ax");
CODE(push_ds_word, "movl %esp,%ecx\n pushw %ds\n movl %ecx,%eax\n subl %esp,%eax\n movl %ecx,%esp");
CODE(push_ds_long, "pushl $0x12345678\n popl %eax\n pushl %ds\n movzwl (%esp),%eax\n addl $4,%esp");
CODE(long_block, "xorl %eax,%eax\n .rept 200\n incl %eax\n .endr\n subl $199,%eax");
CODE(prefetch, "prefetcht0 flow_out\n movl $81,%eax");
CODE(rdtsc_twice, "rdtsc\n movl %eax,%ecx\n movl %edx,%ebx\n rdtsc\n subl %ecx,%eax\n sbbl %ebx,%edx\n shrl $31,%edx\n movl %edx,%eax");

uint32_t flow_table[3], flow_calls[2], flow_out[16], flow_data[8];

asm(".data\n.long 0x91\nflow_frame: .long 0x90\n.text");
struct { uint32_t offset; uint16_t selector; } __attribute__((packed)) flow_far = { 0x1111, SEL_DATA0 };

static void value(const char *name, void (*code)(void *), void *argument, uint32_t expected)
{
    check_trap(name, rt_try(code, argument), NO_TRAP, 0);
    check(name, rt_result, expected);
}
#define VALUE(code, expected) value(#code, code, 0, expected)

static void test_flow(void)
{
    flow_table[0] = ADDR(ft_0), flow_table[1] = ADDR(ft_1), flow_table[2] = ADDR(ft_2);
    flow_calls[0] = ADDR(fc_0), flow_calls[1] = ADDR(fc_1);
    VALUE(call_pop, ADDR(call_pop_back));
    VALUE(ret_changed, 2);
    VALUE(ret_pushed, 3);
    VALUE(ret_deep, 0);
    VALUE(ret_imm, 0);
    value("recursion", recursion, (void *)500, 500);
    VALUE(jump_register, 4);
    VALUE(jump_memory, 12);
    VALUE(call_memory, 22);
    VALUE(call_esp, 31);
    VALUE(jump_esp_pop, 32);
    VALUE(loop_l, 10 << 8);
    VALUE(loop_e, 4 << 8 | 6);
    VALUE(loop_flags, 1);
    VALUE(jecxz_l, 1);
    VALUE(jcxz_a16, 1);
    VALUE(flags_over_jump, 51);
    VALUE(flags_over_call, 1);
    VALUE(flags_over_indirect, 0x894);
    VALUE(flags_over_cli, 1);
    VALUE(flags_over_seg, 1);
    VALUE(flags_over_in, 1);
    VALUE(long_block, 1);
}

static void test_stack(void)
{
    VALUE(push_esp, 0);
    VALUE(pop_esp, 0x1234);
    VALUE(pop_mem_esp, 0x77);
    VALUE(push_mem_esp, 0);
    VALUE(pop_fs_esp, -4u);
    VALUE(leave_enter, 36);
    VALUE(enter_nested, 0x91);
    VALUE(pusha_popa, 0x201);
    VALUE(push_ds_word, 2);
    VALUE(push_ds_long, SEL_DATA0);
}

static void test_segments(void)
{
    gdt_set(SLOT(0), (uint32_t)flow_data, 0xfffff, A_DATA, F_PAGES);
    flow_data[0] = 0x44332211, flow_data[1] = 5, flow_data[2] = 7, flow_data[4] = ADDR(gs_push_target);
    VALUE(lds_les, SEL_DATA0 << 16 | 0x1111);
    VALUE(far_ret_same, 61);
    VALUE(far_call_direct, 62);
    VALUE(far_jump_direct, 63);
    VALUE(lret_imm, 0);
    VALUE(xlat_fs, 0x44);
    VALUE(gs_base, SLOT(0) << 16 | 12);
    check("gs-write", flow_data[3], 12);
    VALUE(gs_push, 6);
    VALUE(gs_string, 5);
    VALUE(gs_lock, 0x44332219);
    check("gs-xadd", flow_data[1], 10);
    VALUE(str_memory, 0x5a5a0000 | SEL_TSS);
    VALUE(mov_ds_memory, 0x5a5a0000 | SEL_DATA0);
    VALUE(mov_ds_word, 0x5a5a0000 | SEL_DATA0);
}

static void test_memory(void)
{
    VALUE(cmpxchg8, 0x304);
    VALUE(bt_memory, 4);
    VALUE(cmov_faults, 71);
    VALUE(prefetch, 81);
    VALUE(rdtsc_twice, 0);
}

/* Every condition with every setting of the flags it looks at. */
#define CONDITION(cc) \
    asm(".text\ncond_" #cc ":\n movl 4(%esp),%eax\n pushl %eax\n popfl\n movl $1,%eax\n j" #cc " 1f\n xorl %eax,%eax\n" \
        "1: set" #cc " %cl\n movzbl %cl,%ecx\n leal (%eax,%ecx,2),%eax\n movl $5,%edx\n movl $9,%ecx\n cmov" #cc " %ecx,%edx\n" \
        "shll $8,%edx\n orl %edx,%eax\n ret\n"); \
    void cond_##cc(void *)
CONDITION(o);
CONDITION(no);
CONDITION(b);
CONDITION(ae);
CONDITION(e);
CONDITION(ne);
CONDITION(be);
CONDITION(a);
CONDITION(s);
CONDITION(ns);
CONDITION(p);
CONDITION(np);
CONDITION(l);
CONDITION(ge);
CONDITION(le);
CONDITION(g);

static uint32_t holds(unsigned cc, uint32_t f)
{
    uint32_t c = f & 1, p = f >> 2 & 1, z = f >> 6 & 1, s = f >> 7 & 1, o = f >> 11 & 1;
    uint32_t base[8] = { o, c, z, c | z, s, p, s ^ o, z | (s ^ o) };

    return base[cc / 2] ^ (cc & 1);
}

static void test_conditions(void)
{
    static void (*const codes[16])(void *) = { cond_o, cond_no, cond_b, cond_ae, cond_e, cond_ne, cond_be, cond_a,
                                              cond_s, cond_ns, cond_p, cond_np, cond_l, cond_ge, cond_le, cond_g };
    uint32_t good = 0, tried = 0;

    for (unsigned cc = 0; cc < 16; cc++)
        for (uint32_t bits = 0; bits < 32; bits++) {
            uint32_t f = (bits & 1) | (bits & 2) << 1 | (bits & 4) << 4 | (bits & 8) << 4 | (bits & 16) << 7 | 2;
            uint32_t h = holds(cc, f);

            rt_try(codes[cc], (void *)f);
            /* XOR in the not-taken way sets flags of its own: ZF and PF, so SETcc and CMOVcc see those. */
            if (h)
                good += rt_result == (1 | 2 | 9 << 8);
            else
                good += rt_result == (holds(cc, 0x46) ? 2 | 9 << 8 : 5 << 8);
            tried++;
        }
    check("conditions", good, tried);
}

void test_main(void)
{
    pic_setup(0xff, 0xff);
    test_flow();
    test_stack();
    test_segments();
    test_memory();
    test_conditions();
}
