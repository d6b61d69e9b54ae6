/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User code that gets out of what direct execution allows, by the way that the command line names (tests/escape.sh).
 * The monitor must end the VM; a guest that gets past says "went on", and the exit status tells.
 */
#include "rt.h"

/* A page of its own, where nothing is to be found that must not run directly: what is, lies inside another instruction. */
#define PAGE ".text\n.balign 4096, 0xcc\n"
#define OWN(name, body) asm(PAGE ".globl " #name "\n" #name ":\n" body "\n" PAGE); void name(void *)
#define HIDDEN(bytes) "jmp 9f+1\n .rept 80\n nop\n .endr\n 9: movl $" #bytes ",%ebx\n"
#define SYSCALL HIDDEN(0x0b0f050f) /* and UD2 */

/* Into 64-bit code by the host's selector. */
#define TO64(name, body) OWN(name, "ljmp $0x33,$1f\n .code64\n 1: " body "\n ud2\n .code32")

TO64(e_fault, "movq (%rsp),%rax");
TO64(e_getpid, "movl $39,%eax\n" SYSCALL);
TO64(e_int80, "movl $20,%eax\n int $0x80");
TO64(e_open, "movl $2,%eax\n leaq 1b(%rip),%rdi\n xorl %esi,%esi\n" SYSCALL);
TO64(e_mmap, "movl $9,%eax\n movl $0x3000000,%edi\n movl $4096,%esi\n movl $3,%edx\n movl $0x11,%r10d\n movl $3,%r8d\n"
     "xorl %r9d,%r9d\n" SYSCALL);
TO64(e_mprotect, "movl $10,%eax\n movl $0x100000,%edi\n movl $4096,%esi\n movl $7,%edx\n" SYSCALL);
TO64(e_kill, "movl $62,%eax\n xorl %edi,%edi\n movl $9,%esi\n" SYSCALL);
TO64(e_spin, "2: jmp 2b");
/* WRPKRU: all keys denied; then a read. */
OWN(e_keys, "movl e_word,%eax\n movl $-1,%eax\n xorl %ecx,%ecx\n xorl %edx,%edx\n" HIDDEN(0x90ef010f) "movl e_word,%eax\n int $0x90");
OWN(e_touch, "movl e_word,%eax\n int $0x90");
uint32_t e_word;

static const struct { const char *name; void (*code)(void *); } ways[] = {
    { "fault", e_fault }, { "getpid", e_getpid }, { "int80", e_int80 }, { "open", e_open }, { "mmap", e_mmap },
    { "mprotect", e_mprotect }, { "kill", e_kill }, { "spin", e_spin }, { "keys", e_keys },
};

/* A tick may come before the first instruction. */
static int try_way(void (*code)(void *))
{
    int vector;

    while ((vector = rt_try_user_flags(code, 0, IF | 2)) == IRQ_BASE && rt_last.eip == (uint32_t)code)
        pic_eoi();
    return vector;
}

void test_main(void)
{
    int vector = NO_TRAP;

    e_word = 1; /* present in every table, so that a key can deny it */
    pic_setup(0xfe, 0xff);
    pit_periodic(20000);
    paging_on();
    rt_try_user_flags(e_touch, 0, 2);
    for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (rt_argument(ways[i].name))
            vector = try_way(ways[i].code);
    put("went on, trap ");
    put_hex((uint32_t)vector);
    put(" error ");
    put_hex(rt_last.error);
    put("\n");
}
