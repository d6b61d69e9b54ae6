/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A triple fault at the end of a chain of blocks that has run before, for what the monitor then prints (tests/dump.sh). */
#include "rt.h"

CODE(last_words, "movl $0x600df00d,%esi\n movl $2000,%ecx\n block_one: decl %ecx\n jnz block_two\n jmp block_end\n block_two: jmp block_three\n"
     "block_three: jmp block_one\n block_end: testl %edi,%edi\n jz 1f\n int3\n 1: nop");
CODE(call_with, "pushl %edi\n movl 8(%esp),%edi\n call last_words\n call_with_back: popl %edi");

void test_main(void)
{
    rt_try(call_with, 0);
    lidt_limit(0);
    rt_try(call_with, (void *)1);
}
