/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real mode (SDM volume 3, 9.9 and chapter 20): down from protected mode, 16-bit
 * code with interrupts through the vector table at 0, faults there, and back.
 */
#include "rt.h"

#define LOW 0x7000                      /* where the 16-bit code lives: segment 0x700 */
#define CODE16SEL SLOT(0)
#define DATA16SEL SLOT(1)

/* Everything from real_start to real_end is copied to LOW. */
asm(".text\n.balign 16\n"
    "real_start:\n"
    ".code16\n"
    "movw $0x48,%ax\n movw %ax,%ds\n movw %ax,%es\n movw %ax,%ss\n movw %ax,%fs\n movw %ax,%gs\n"
    "movl %cr0,%eax\n andl $0x7ffffffe,%eax\n movl %eax,%cr0\n"
    "ljmp $0x700,$(1f - real_start)\n"
    "1: xorw %ax,%ax\n movw %ax,%ss\n movl $0x6f00,%esp\n movw $0x700,%ax\n movw %ax,%ds\n movw %ax,%es\n"
    "lidt %ds:real_idt - real_start\n"
    "movw $0,%ax\n movw %ax,%gs\n"
    "call *%bx\n"
    "cli\n"
    "lidt %cs:flat_idt - real_start\n"
    "movl %cr0,%eax\n orl $1,%eax\n movl %eax,%cr0\n"
    "ljmpl $0x08,$real_back\n"

    "r_basic:\n movw $0x1234,%gs:0x5000\n movw %cs,%ax\n movw %ax,%gs:0x5002\n movl %cr0,%eax\n movl %eax,%gs:0x5004\n"
    "movl $0xdeadbeef,%gs:0x5008\n smsw %ax\n movw %ax,%gs:0x500c\n pushfw\n popw %gs:0x500e\n ret\n"
    "r_int:\n movw $0,%gs:0x5010\n stc\n int $0x60\n movw %ax,%gs:0x5012\n pushfw\n popw %gs:0x5014\n ret\n"
    "r_int_handler:\n movw %sp,%bp\n movw (%bp),%ax\n movw %ax,%gs:0x5010\n movw 2(%bp),%ax\n movw %ax,%gs:0x5016\n"
    "movw 4(%bp),%ax\n movw %ax,%gs:0x5018\n pushfw\n popw %gs:0x501a\n movw $0x4321,%ax\n iretw\n"
    "r_divide:\n xorw %cx,%cx\n movw %cx,%gs:0x5020\n movw $r_divide_on - real_start,%si\n"
    "r_divide_at: divw %cx\n r_divide_on: movw $1,%gs:0x5022\n ret\n"
    "r_divide_handler:\n movw %sp,%bp\n movw (%bp),%ax\n movw %ax,%gs:0x5020\n movw %si,(%bp)\n iretw\n"
    "r_ud:\n movw $0,%gs:0x5024\n movw $r_ud_on - real_start,%si\n sldt %ax\n r_ud_on: ret\n"
    "r_ud_handler:\n movw %sp,%bp\n movw $6,%gs:0x5024\n movw %si,(%bp)\n iretw\n"
    "r_gp:\n movw $0,%gs:0x5026\n movw $r_gp_on - real_start,%si\n movw %gs:0xffff,%ax\n r_gp_on: ret\n"
    "r_gp_handler:\n movw %sp,%bp\n movw $13,%gs:0x5026\n movw %si,(%bp)\n iretw\n"
    "r_far:\n lcall $0x710,$(r_far_target - real_start - 0x100)\n movw %ax,%gs:0x5028\n ret\n"
    "r_far_target:\n movw %cs,%ax\n lret\n"
    "r_seg:\n movw $0x1ff0,%ax\n movw %ax,%es\n movl $0x600df00d,%es:0x10\n movw %es,%ax\n movw %ax,%gs:0x502a\n"
    "movw $0x700,%ax\n movw %ax,%es\n movl $0x20,%eax\n addr32 movb $7,%es:(%eax,%eax)\n ret\n"
    "r_loop:\n xorl %eax,%eax\n movw $5000,%cx\n 2: addl %ecx,%eax\n movzwl %cx,%edx\n loop 2b\n movl %eax,%gs:0x502c\n ret\n"
    "r_timer:\n movw $0,%gs:0x5030\n sti\n 3: cmpw $3,%gs:0x5030\n jb 3b\n cli\n ret\n"
    "r_timer_handler:\n incw %gs:0x5030\n pushw %ax\n movb $0x20,%al\n outb %al,$0x20\n popw %ax\n iretw\n"
    "r_spurious_handler:\n iretw\n"
    "r_hlt:\n movw $0,%gs:0x5030\n 4: sti\n hlt\n cli\n cmpw $2,%gs:0x5030\n jb 4b\n ret\n"
    "r_string:\n xorw %ax,%ax\n movw %ax,%es\n movw $0x5040,%di\n movw $8,%cx\n movw $0xa5a5,%ax\n cld\n rep stosw\n"
    "movw %di,%gs:0x5038\n movw $0x700,%ax\n movw %ax,%es\n ret\n"
    ".balign 4\n"
    "real_idt: .word 0x3ff\n .long 0\n"
    "flat_idt: .word 0x7ff\n .long rt_idt\n"
    "real_end:\n"
    ".code32\n"
    ".globl real_call\n"
    "real_call:\n"                       /* void real_call(void *offset) */
    "pushal\n movl 36(%esp),%ebx\n movl %esp,real_esp\n ljmp $0x40,$0\n"
    "real_back:\n"
    "movl $0x10,%eax\n movl %eax,%ds\n movl %eax,%es\n movl %eax,%ss\n movl %eax,%fs\n movl %eax,%gs\n"
    "movl real_esp,%esp\n popal\n ret\n"
    ".data\nreal_esp: .long 0\n.text");

extern char real_start[], real_end[], real_back[];
void real_call(void *offset);

#define ENTRY(label) ((void *)(ADDR(label) - (uint32_t)real_start))
#define LOW16(address) (*(volatile uint16_t *)(address))
#define LOW32(address) (*(volatile uint32_t *)(address))

static void vector(unsigned n, uint32_t label)
{
    LOW16(n * 4) = label - (uint32_t)real_start;
    LOW16(n * 4 + 2) = LOW >> 4;
}

static void test_basic(void)
{
    check_trap("down-and-up", rt_try(real_call, ENTRY(r_basic)), NO_TRAP, 0);
    check("memory", LOW16(0x5000), 0x1234);
    check("cs", LOW16(0x5002), LOW >> 4);
    check("cr0", LOW32(0x5004) & (CR0_PG | CR0_PE), 0);
    check("dword", LOW32(0x5008), 0xdeadbeef);
    check("smsw", LOW16(0x500c) & 1, 0);
    check("flags", LOW16(0x500e) & IF, 0);
    check("protected-again", READ_CR(0) & CR0_PE, CR0_PE);
}

static void test_traps(void)
{
    vector(0x60, ADDR(r_int_handler));
    vector(0, ADDR(r_divide_handler));
    vector(6, ADDR(r_ud_handler));
    vector(13, ADDR(r_gp_handler));
    check_trap("int", rt_try(real_call, ENTRY(r_int)), NO_TRAP, 0);
    check("int-cs", LOW16(0x5016), LOW >> 4);
    check("int-flags-pushed", LOW16(0x5018) & (CF | 2), CF | 2);
    check("int-flags-inside", LOW16(0x501a) & (IF | TF), 0);
    check("int-returned", LOW16(0x5012), 0x4321);
    check("int-flags-restored", LOW16(0x5014) & CF, CF);
    check_trap("divide", rt_try(real_call, ENTRY(r_divide)), NO_TRAP, 0);
    check("divide-ip", LOW16(0x5020), ADDR(r_divide_at) - (uint32_t)real_start);
    check("divide-resumed", LOW16(0x5022), 1);
    check_trap("sldt", rt_try(real_call, ENTRY(r_ud)), NO_TRAP, 0);
    check("sldt-ud", LOW16(0x5024), 6);
    rt_try(real_call, ENTRY(r_gp));
    check_cpu("limit-gp", LOW16(0x5026), 13);
}

static void test_code(void)
{
    check_trap("far", rt_try(real_call, ENTRY(r_far)), NO_TRAP, 0);
    check("far-cs", LOW16(0x5028), 0x710);
    check_trap("segments", rt_try(real_call, ENTRY(r_seg)), NO_TRAP, 0);
    check("segments-memory", LOW32(0x1ff10), 0x600df00d);
    check("segments-selector", LOW16(0x502a), 0x1ff0);
    check("addr32", *(volatile uint8_t *)(LOW + 0x40), 7);
    memcpy((void *)LOW, real_start, real_end - real_start);
    check_trap("loop", rt_try(real_call, ENTRY(r_loop)), NO_TRAP, 0);
    check("loop-value", LOW32(0x502c), 12502500);
    check_trap("string", rt_try(real_call, ENTRY(r_string)), NO_TRAP, 0);
    check("string-di", LOW16(0x5038), 0x5050);
    check("string-memory", LOW32(0x504c), 0xa5a5a5a5);
}

/* The PIC goes on with its protected-mode vectors: 32 on. */
static void test_interrupts(void)
{
    vector(IRQ_BASE, ADDR(r_timer_handler));
    vector(IRQ_BASE + 7, ADDR(r_spurious_handler));
    pic_setup(0xfe, 0xff);
    pit_periodic(3000);
    check_trap("timer", rt_try(real_call, ENTRY(r_timer)), NO_TRAP, 0);
    check("timer-count", LOW16(0x5030) >= 3 && LOW16(0x5030) < 20, 1);
    check_trap("hlt", rt_try(real_call, ENTRY(r_hlt)), NO_TRAP, 0);
    check("hlt-count", LOW16(0x5030) >= 2 && LOW16(0x5030) < 20, 1);
    pic_setup(0xff, 0xff);
    pit_one_shot(1);
}

static void test_many(void)
{
    uint32_t good = 0;

    for (uint32_t i = 0; i < 200; i++) {
        LOW16(0x5000) = 0;
        good += rt_try(real_call, ENTRY(r_basic)) == NO_TRAP && LOW16(0x5000) == 0x1234;
    }
    check("many", good, 200);
}

void test_main(void)
{
    memcpy((void *)LOW, real_start, real_end - real_start);
    gdt_set(CODE16SEL, LOW, 0xffff, A_CODE, F_BYTES16);
    gdt_set(DATA16SEL, LOW, 0xffff, A_DATA, F_BYTES16);
    test_basic();
    test_traps();
    test_code();
    test_interrupts();
    test_many();
}
