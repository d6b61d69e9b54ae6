/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code rewritten by all that can write memory (SDM volume 3, 8.1.3): each kind of instruction changes the very next
 * one, in both rings; strings run over themselves; faults whose handler changes the instruction; code across two
 * pages; user code that writes to the kernel's through a mapping of its own, or to its own; and what the processor
 * writes by itself: accessed and dirty bits, accessed segments, the frame of an interrupt.
 */
#include "rt.h"

#define V "0x40302010"
#define VALUE 0x40302010u
#define ROUNDS 20u
#define NOPS 32u

enum { ANY = 0, KERNEL = 1, SSE = 2 };

/* --- one instruction changes the next: the code writes to 9f+1, the immediate that then goes to EAX --- */

#define WRITERS(W)                                                                                                \
    W(mov, "movl $" V ",9f+1", VALUE, ANY)                                                                        \
    W(mov_pieces, "movb $0x10,9f+1\n movw $0x3020,9f+2\n movb $0x40,9f+4", VALUE, ANY)                            \
    W(mov_moffs, "movl $" V ",%eax\n movl %eax,9f+1", VALUE, ANY)                                                 \
    W(then_jump, "movl $" V ",9f+1\n jmp 9f\n nop", VALUE, ANY)                                                   \
    W(then_jcc, "stc\n movl $" V ",9f+1\n jc 9f\n nop", VALUE, ANY)                                               \
    W(then_call, "call 8f\n jmp 9f\n 8: movl $" V ",9f+1\n ret", VALUE, ANY)                                      \
    W(then_indirect, "movl $9f,%edx\n movl $" V ",9f+1\n jmp *%edx", VALUE, ANY)                                  \
    W(xchg, "movl $" V ",%edx\n xchgl %edx,9f+1", VALUE, ANY)                                                     \
    W(add, "lock addl $" V ",9f+1", VALUE, ANY)                                                                   \
    W(xadd, "movl $" V ",%edx\n lock xaddl %edx,9f+1", VALUE, ANY)                                                \
    W(cmpxchg, "xorl %eax,%eax\n movl $" V ",%edx\n lock cmpxchgl %edx,9f+1", VALUE, ANY)                         \
    W(cmpxchg8b, "xorl %eax,%eax\n movl $0x90909090,%edx\n movl $" V ",%ebx\n movl $0x90909090,%ecx\n"            \
      "lock cmpxchg8b 9f+1", VALUE, ANY)                                                                          \
    W(bts, "lock btsl $5,9f+1", 0x20, ANY)                                                                        \
    W(bts_far, "movl $0x105,%edx\n btsl %edx,9f+1-0x20", 0x20, ANY)                                               \
    W(setc, "stc\n setc 9f+2", 0x100, ANY)                                                                        \
    W(not, "notl 9f+1", 0xffffffff, ANY)                                                                          \
    W(incb, "incb 9f+3", 0x10000, ANY)                                                                            \
    W(rol, "movb $0x81,9f+1\n rolb 9f+1", 3, ANY)                                                                 \
    W(shld, "movl $0xf0000000,%edx\n shldl $4,%edx,9f+1", 0xf, ANY)                                               \
    W(push, "movl $9f+5,%esp\n pushl $" V, VALUE, ANY)                                                            \
    W(push_memory, "movl $9f+5,%esp\n pushl rewrite_data", VALUE, ANY)                                            \
    W(push_ds, "movl $9f+5,%esp\n pushl %ds", 0, ANY)                                                             \
    W(mov_ds, "movw %ds,9f+1", 0, ANY)                                                                            \
    W(pop, "pushl $" V "\n popl 9f+1", VALUE, ANY)                                                                \
    W(pusha, "movl $" V ",%edi\n movl $0x90901aeb,%esi\n movl $9f+33,%esp\n pushal", VALUE, ANY)                  \
    W(call, "movl $9f+5,%esp\n call 9f", 1, ANY)                                                                  \
    W(call_indirect, "movl $9f+5,%esp\n movl $9f,%edx\n call *%edx", 1, ANY)                                      \
    W(enter, "movl $9f+5,%esp\n movl $" V ",%ebp\n enter $0,$0", VALUE, ANY)                                      \
    W(pushf, "movl $9f+5,%esp\n xorl %eax,%eax\n pushfl", 0x46, ANY)                                              \
    W(stosl, "movl $9f+1,%edi\n movl $" V ",%eax\n stosl", VALUE, ANY)                                            \
    W(movsl, "movl $9f+1,%edi\n movl $rewrite_data,%esi\n movsl", VALUE, ANY)                                     \
    W(rep_movsb, "movl $9f+1,%edi\n movl $rewrite_data,%esi\n movl $4,%ecx\n rep movsb", VALUE, ANY)              \
    W(rep_movsl_back, "std\n movl $9f+1+4,%edi\n movl $rewrite_data+4,%esi\n movl $2,%ecx\n rep movsl\n cld",     \
      VALUE, ANY)                                                                                                 \
    W(rep_stosb, "movl $9f+1,%edi\n movb $0x11,%al\n movl $4,%ecx\n rep stosb", 0x11111111, ANY)                  \
    W(fistp, "fildl rewrite_data\n fistpl 9f+1", VALUE, ANY)                                                      \
    W(fstp, "flds rewrite_data\n fstps 9f+1", VALUE, ANY)                                                         \
    W(fnstcw, "fninit\n fnstcw 9f+1", 0x37f, ANY)                                                                 \
    W(movd, "movd rewrite_data,%xmm0\n movd %xmm0,9f+1", VALUE, SSE)                                              \
    W(movups, "movups rewrite_data,%xmm0\n movups %xmm0,9f+1", VALUE, SSE)                                        \
    W(movnti, "movl $" V ",%edx\n movnti %edx,9f+1", VALUE, SSE)                                                  \
    W(maskmovdqu, "movups rewrite_data,%xmm0\n movups rewrite_mask,%xmm1\n movl $9f+1,%edi\n"                     \
      "maskmovdqu %xmm1,%xmm0", VALUE, SSE)                                                                       \
    W(arpl, "movl $3,%edx\n arpl %dx,9f+1", 3, ANY)                                                               \
    W(str, "str 9f+1", SEL_TSS, ANY)                                                                              \
    W(smsw, "smsw 9f+1", 2, ANY)                                                                                  \
    W(insb, "movl $0x3ff,%edx\n movb $0x5c,%al\n outb %al,%dx\n movl $9f+1,%edi\n insb", 0x5c, KERNEL)

uint32_t rewrite_data[4] = { VALUE, 0x90909090, 0x90909090, 0x90909090 };
uint32_t rewrite_mask[4] = { 0xffffffff, 0, 0, 0 };
uint32_t rewrite_esp;

#define WRITER_CODE(name, code, value, how)                                                              \
    CODE(w_##name, "movl %esp,rewrite_esp\n" code "\n w_" #name "_at: 9: movl $0,%eax\n .fill 32,1,0x90\n" \
         "movl rewrite_esp,%esp\n cld\n ret\n w_" #name "_unchanged: movl %esp,rewrite_esp\n jmp 9b");    \
    extern uint8_t w_##name##_at[], w_##name##_unchanged[];
WRITERS(WRITER_CODE)

static const struct writer {
    const char *name, *user_name;
    void (*code)(void *);
    uint8_t *at, *unchanged;
    uint32_t value, how;
} writers[] = {
#define WRITER_ROW(name, code, value, how) { #name, "user-" #name, w_##name, w_##name##_at, w_##name##_unchanged, value, how },
    WRITERS(WRITER_ROW)
};

static int run(bool user, const void *code, void *argument)
{
    void (*f)(void *) = (void (*)(void *))code;

    return user ? rt_try_user(f, argument) : rt_try(f, argument);
}

static uint32_t result(bool user) { return user ? rt_last.eax : rt_result; }

/* What the table can't say: selectors, addresses and CR0 are where they are. */
static uint32_t expected(const struct writer *w, bool user)
{
    if (w->at == w_push_ds_at || w->at == w_mov_ds_at)
        return user ? SEL_DATA3 : SEL_DATA0;
    if (w->at == w_call_at || w->at == w_call_indirect_at)
        return (uint32_t)w->at;
    return w->at == w_smsw_at ? READ_CR(0) & 0xffff : w->value;
}

static void test_writer(const struct writer *w, bool user)
{
    uint32_t good = 0;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        w->at[0] = 0xb8;
        *(uint32_t *)(w->at + 1) = 0;
        memset(w->at + 5, 0x90, NOPS);
        good += run(user, w->unchanged, 0) == NO_TRAP && result(user) == 0;
        good += run(user, w->code, 0) == NO_TRAP && result(user) == expected(w, user);
    }
    check(user ? w->user_name : w->name, good, 2 * ROUNDS);
}

static void test_writers(void)
{
    uint32_t r[4];
    bool sse;

    cpuid(1, r);
    sse = r[3] & 1 << 26;
    if (sse)
        WRITE_CR(4, READ_CR(4) | CR4_OSFXSR);
    for (unsigned i = 0; i < sizeof writers / sizeof writers[0]; i++)
        for (int user = 0; user < 2; user++) {
            if (writers[i].how == SSE && !sse)
                skip(writers[i].name, "(no SSE2)");
            else if (!user || writers[i].how != KERNEL)
                test_writer(&writers[i], user);
        }
}

/* --- a string over itself --- */

static uint8_t area[6 * 4096] __attribute__((aligned(4096)));
static uint8_t incs[64];

#define MOVL_EAX 0xb8
#define MOVL_ECX 0xb9
#define MOVL_ESI 0xbe
#define MOVL_EDI 0xbf
#define RET 0xc3
#define NOP 0x90
#define INC_EAX 0x40
#define INC_EBX 0x43

static uint8_t *put_insn(uint8_t *p, uint8_t opcode, uint32_t value)
{
    *p = opcode;
    *(uint32_t *)(p + 1) = value;
    return p + 5;
}

/*
 * EAX = 0x40; ten bytes, two of them before the string instruction, become INC EAX.  What comes to be executed: the rest
 * of the REP, as far as the processor goes on with it (it may stop after any iteration, by an interrupt at the latest, and
 * then fetches the instruction anew), and what it has written.
 */
static uint8_t *put_string(uint8_t *at, uint8_t opcode)
{
    uint8_t *p = at - 2 - 20;

    p = put_insn(p, MOVL_EAX, 0x40);
    p = put_insn(p, MOVL_ECX, 10);
    p = put_insn(p, MOVL_ESI, (uint32_t)incs);
    p = put_insn(p, MOVL_EDI, (uint32_t)(at - 2));
    p[0] = p[1] = NOP;
    at[0] = 0xf3;
    at[1] = opcode;
    memset(at + 2, NOP, 14);
    at[16] = RET;
    return at - 22;
}

/* After k iterations the instruction was fetched again; 10: it was not.  The bytes show which k it was. */
static bool string_result_fits(const uint8_t *at, uint8_t opcode, uint32_t eax)
{
    unsigned k = 0;

    while (k < 10 && at[k - 2] == INC_EAX)
        k++;
    if (k == 10)
        return eax == 0x40 + 6;
    if (at[1] == INC_EAX + 1) /* the first byte is INC, the second one is a string instruction that stores once */
        return opcode == 0xaa && k == 3 && eax == 0x41;
    if (opcode == 0xa4 && k == 4 && eax == 0x41)
        return true;
    return k >= 4 && eax == 0x40 + k - 2;
}

static void test_string(const char *name, bool user, uint8_t opcode)
{
    uint8_t *at = area + 256;
    uint32_t good = 0;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        int trap = run(user, put_string(at, opcode), 0);

        good += trap == NO_TRAP && string_result_fits(at, opcode, result(user));
    }
    check(name, good, ROUNDS);
}

/* The same, and the string runs into a page that is not there before its tenth byte. */
static uint32_t string_faults;

static void string_fault(struct frame *f)
{
    (void)f;
    string_faults++;
    *pte_of((void *)rt_last_cr2) |= PTE_P;
}

static void test_string_fault(const char *name, bool user, uint8_t opcode)
{
    uint8_t *end = area + 4096, *at = end - 6;
    uint32_t good = 0;

    rt_handlers[PF] = string_fault;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint8_t *entry = put_string(at, opcode);
        bool by_string;
        int trap;

        string_faults = 0;
        *pte_of(end) &= ~PTE_P;
        invlpg(end);
        trap = run(user, entry, 0);
        /* The fault was the string's, with two bytes to do: what it is restarted as are the INCs before the page's end. */
        by_string = rt_last_cr2 == (uint32_t)end && at[0] == INC_EAX && at[5] == INC_EAX && end[0] == NOP;
        if (by_string)
            good += trap == NO_TRAP && string_faults == 1 && result(user) == 0x40 + 6;
        else
            good += trap == NO_TRAP && string_faults == 1 && string_result_fits(at, opcode, result(user));
    }
    rt_handlers[PF] = NULL;
    check(name, good, ROUNDS);
}

static void test_strings(void)
{
    memset(incs, INC_EAX, sizeof incs);
    test_string("stosb-over-itself", false, 0xaa);
    test_string("movsb-over-itself", false, 0xa4);
    test_string("user-stosb-over-itself", true, 0xaa);
    test_string("user-movsb-over-itself", true, 0xa4);
    test_string_fault("stosb-over-itself-faults", false, 0xaa);
    test_string_fault("movsb-over-itself-faults", false, 0xa4);
    test_string_fault("user-stosb-over-itself-faults", true, 0xaa);
    test_string_fault("user-movsb-over-itself-faults", true, 0xa4);
}

/* --- the handler of a fault changes the instruction that faulted --- */

CODE(faulting, "movl 4(%esp),%edx\n xorl %eax,%eax\n faulting_at: movl 0x12345(%edx),%eax\n negl %eax");
CODE(faulting_string, "movl $64,%ecx\n movl 4(%esp),%edi\n movl $0x5a,%eax\n faulting_string_at: rep stosb\n .fill 4,1,0x90\n movl %ecx,%eax");
extern uint8_t faulting_at[], faulting_string_at[];

#define PATCH 6u

static const uint8_t *patch;

static void change_faulting(struct frame *f)
{
    memcpy((void *)f->eip, patch, PATCH);
}

/* The argument leads to a hole, where the handler's two patches come to these values; a page below there is no fault, and zero. */
static void test_handler(const char *name, bool user, void (*code)(void *), uint8_t *at, uint32_t argument,
                         const uint8_t patches[2][PATCH], const uint32_t values[2])
{
    uint8_t old[PATCH];
    uint32_t good = 0;

    memcpy(old, at, PATCH);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        patch = patches[i & 1];
        good += run(user, code, (void *)argument) == NO_TRAP && result(user) == values[i & 1];
        memcpy(at, old, PATCH);
        good += run(user, code, (void *)(argument - 4096)) == NO_TRAP && result(user) == 0;
    }
    check(name, good, 2 * ROUNDS);
}

static void test_handlers(void)
{
    static const uint8_t loads[2][PATCH] = { { MOVL_EAX, 0x10, 0x20, 0x30, 0x40, NOP }, { MOVL_EAX, 1, 0, 0, 0, NOP } },
                         counts[2][PATCH] = { { 0x41, NOP, NOP, NOP, NOP, NOP }, { 0x49, NOP, NOP, NOP, NOP, NOP } };
    static const uint32_t load_values[2] = { -VALUE, -1u }, count_values[2] = { 64 - 16 + 1, 64 - 16 - 1 };
    uint8_t *hole = area + 5 * 4096;

    *pte_of(hole) &= ~PTE_P;
    invlpg(hole);
    rt_handlers[PF] = change_faulting;
    for (int user = 0; user < 2; user++) {
        memset(hole - 4096, 0, 4096);
        test_handler(user ? "user-handler-changes-load" : "handler-changes-load", user, faulting, faulting_at,
                     (uint32_t)hole - 0x12345, loads, load_values);
        test_handler(user ? "user-handler-changes-string" : "handler-changes-string", user, faulting_string,
                     faulting_string_at, (uint32_t)hole - 16, counts, count_values);
    }
    rt_handlers[PF] = NULL;
    *pte_of(hole) |= PTE_P;
    invlpg(hole);
}

/* --- an instruction across two pages --- */

/* 10 bytes that write VALUE + i over the last two bytes of the immediate behind them, then that MOV across the boundary. */
static void test_crossing(bool user)
{
    uint8_t *second = area + 4096, *at = second - 3, *alias = area + 3 * 4096, *other = area + 4 * 4096;
    uint32_t good = 0, mapped = *pte_of(second);

    memset(area, NOP, 2 * 4096);
    memset(other, NOP, 4096);
    *pte_of(alias) = mapped;
    invlpg(alias);
    put_insn(at, MOVL_EAX, 0);
    second[2] = other[2] = RET;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint8_t *patch = at - 10;

        second[0] = other[0] = 0;
        second[1] = i;
        good += run(user, at, 0) == NO_TRAP && result(user) == i << 24;
        alias[1] = i + 1;
        good += run(user, at, 0) == NO_TRAP && result(user) == (i + 1) << 24;
        other[1] = i + 2;
        *pte_of(second) = (uint32_t)other | PTE_P | PTE_W | PTE_U;
        invlpg(second);
        good += run(user, at, 0) == NO_TRAP && result(user) == (i + 2) << 24;
        other[1] = i + 3;
        good += run(user, at, 0) == NO_TRAP && result(user) == (i + 3) << 24;
        *pte_of(second) = 0;
        invlpg(second);
        good += run(user, at, 0) == PF && rt_last.eip == (uint32_t)at && rt_last_cr2 == (uint32_t)second;
        *pte_of(second) = mapped;
        WRITE_CR(3, rt_directory);
        good += run(user, at, 0) == NO_TRAP && result(user) == (i + 1) << 24;
        patch[0] = 0xc6, patch[1] = 0x05; /* movb $i + 4, second + 1 */
        *(uint32_t *)(patch + 2) = (uint32_t)(i & 1 ? alias : second) + 1;
        patch[6] = i + 4;
        good += run(user, patch, 0) == NO_TRAP && result(user) == (i + 4) << 24;
    }
    check(user ? "user-across-pages" : "across-pages", good, 7 * ROUNDS);
}

/* --- through other mappings --- */

/* Arguments in a block: where, what, how many bytes. */
#define ARGUMENTS "movl 4(%esp),%edx\n movl (%edx),%edi\n leal 4(%edx),%esi\n movl 8(%edx),%ecx\n"
CODE(poke, ARGUMENTS "movl (%esi),%eax\n movl %eax,(%edi)");
CODE(poke_string, ARGUMENTS "rep movsb");
CODE(poke_push, ARGUMENTS "movl %esp,%edx\n leal 4(%edi),%esp\n pushl (%esi)\n movl %edx,%esp");

static uint32_t call(const void *p)
{
    uint32_t v;

    asm volatile("call *%1" : "=&a"(v) : "r"(p) : "ecx", "edx", "memory", "cc");
    return v;
}

static void test_user_pokes(void)
{
    static void (*const pokes[])(void *) = { poke, poke_string, poke_push };
    uint8_t *kernel = area, *alias = area + 3 * 4096;
    uint32_t good = 0, mapped = *pte_of(kernel);

    put_insn(kernel + 77, MOVL_EAX, 1)[0] = RET;
    *pte_of(alias) = mapped;
    *pte_of(kernel) = mapped & ~PTE_U;
    invlpg(alias);
    invlpg(kernel);
    for (uint32_t i = 0; i < 3 * ROUNDS; i++) {
        uint32_t block[3] = { (uint32_t)alias + 78, 1000 + i, 4 };

        good += run(true, pokes[i % 3], block) == NO_TRAP && call(kernel + 77) == 1000 + i;
        block[0] = (uint32_t)kernel + 78;
        good += run(true, pokes[i % 3], block) == PF && rt_last_cr2 == block[0] && call(kernel + 77) == 1000 + i;
    }
    check("user-writes-kernel-code", good, 6 * ROUNDS);
    *pte_of(kernel) = mapped;
    invlpg(kernel);
}

/* User code changes its next instruction through another mapping of its own page; the kernel changes it through either. */
static void test_user_alias(void)
{
    uint8_t *code = area, *alias = area + 3 * 4096;
    uint32_t good = 0;

    *pte_of(alias) = *pte_of(code);
    invlpg(alias);
    code[0] = 0xc7, code[1] = 0x05;  /* movl $i, alias + 11 */
    *(uint32_t *)(code + 2) = (uint32_t)alias + 11;
    put_insn(code + 10, MOVL_EAX, 0)[0] = RET;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        *(uint32_t *)((i & 1 ? code : alias) + 6) = i + 5;
        good += run(true, code, 0) == NO_TRAP && rt_last.eax == i + 5;
        *(uint32_t *)((i & 1 ? alias : code) + 11) = i + 9;
        good += run(true, alias + 10, 0) == NO_TRAP && rt_last.eax == i + 9;
        good += run(true, code + 10, 0) == NO_TRAP && rt_last.eax == i + 9;
    }
    check("user-through-alias", good, 3 * ROUNDS);
}

/* One address space writes what another one executes. */
static volatile uint32_t directory[1024] __attribute__((aligned(4096))), table[1024] __attribute__((aligned(4096)));

static void test_other_space(void)
{
    uint8_t *code = area, *other = area + 4096;
    uint32_t good = 0, slot = (uint32_t)area >> 22;

    for (uint32_t i = 0; i < 1024; i++) {
        directory[i] = rt_directory[i];
        table[i] = rt_tables[slot][i];
    }
    directory[slot] = (uint32_t)table | PTE_P | PTE_W | PTE_U; /* there the two pages change places */
    table[(uint32_t)code >> 12 & 1023] = (uint32_t)other | PTE_P | PTE_W | PTE_U;
    table[(uint32_t)other >> 12 & 1023] = (uint32_t)code | PTE_P | PTE_W | PTE_U;
    put_insn(code, MOVL_EAX, 0)[0] = RET;
    put_insn(other, MOVL_EAX, 0)[0] = RET;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t block[3] = { (uint32_t)other + 1, 100 + i, 4 };

        good += call(other) == (i ? 99 + i : 0);
        WRITE_CR(3, directory);
        good += run(true, poke, block) == NO_TRAP;
        good += run(true, other, 0) == NO_TRAP && rt_last.eax == 100 + i;
        WRITE_CR(3, rt_directory);
        good += run(true, code, 0) == NO_TRAP && rt_last.eax == 100 + i;
        good += call(code) == 100 + i;
        block[1] = 200 + i;
        good += call(other) == (i ? 199 + i : 0);
        good += run(true, poke_string, block) == NO_TRAP && call(other) == 200 + i;
        WRITE_CR(3, directory);
        good += run(true, code, 0) == NO_TRAP && rt_last.eax == 200 + i;
    }
    WRITE_CR(3, rt_directory);
    check("other-space", good, 8 * ROUNDS);
}

/* --- what the processor writes by itself is the immediate of an instruction --- */

static void test_page_table_code(void)
{
    volatile uint32_t *entry = &rt_tables[15][500];
    volatile uint8_t *page = (uint8_t *)((15u << 10 | 500) << 12);
    const uint32_t plain = (uint32_t)page | PTE_P | PTE_W | PTE_U;
    uint32_t good = 0, entry_before = entry[-1], entry_behind = entry[1];

    entry[-1] = (uint32_t)MOVL_EAX << 24;
    entry[1] = (entry_behind & ~0xffu) | RET;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        *entry = plain;
        invlpg(page);
        good += call((uint8_t *)entry - 1) == plain;
        (void)*page;
        good += call((uint8_t *)entry - 1) == (plain | PTE_A);
        *page = i;
        good += call((uint8_t *)entry - 1) == (plain | PTE_A | PTE_D);
    }
    check_cpu("accessed-and-dirty-bits", good, 3 * ROUNDS);
    entry[-1] = entry_before;
    entry[1] = entry_behind;
    WRITE_CR(3, rt_directory);
}

CODE(load_es, "movl 4(%esp),%eax\n movl %eax,%es\n movl $0x10,%eax\n movl %eax,%es");

static void test_descriptor_code(void)
{
    uint8_t *code = (uint8_t *)&rt_gdt[SLOT(3) / 8] + 3; /* the byte before the upper half */
    uint32_t good = 0;

    gdt_set(SLOT(4), 0, RET, A_DATA, F_BYTES);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t high = (i & 0xff) << 24 | 0x4f9200;

        gdt_set(SLOT(3), (i & 0xff) << 24 | MOVL_EAX << 8, 0xfffff, A_DATA, F_BYTES);
        good += call(code) == high;
        good += rt_try(load_es, (void *)SLOT(3)) == NO_TRAP && call(code) == (high | 1 << 8);
    }
    check("accessed-segment", good, 2 * ROUNDS);
}

/* User code's ESP becomes two instructions at the top of the kernel's stack. */
CODE(user_esp, "movl 4(%esp),%esp\n int $0x90");

static void test_frame_code(void)
{
    uint8_t *slot = area + 4096 - 8; /* SS and ESP of a frame are pushed first */
    uint32_t good = 0, esp0 = rt_tss.esp0;

    rt_tss.esp0 = (uint32_t)slot + 8;
    for (uint32_t i = 0; i < 3 * ROUNDS; i++) {
        put_insn(slot - 64, MOVL_EAX, i)[0] = RET;
        slot[0] = 0xb0, slot[1] = 0xff, slot[2] = RET; /* movb $-1, %al */
        good += (uint8_t)call(slot) == 0xff;
        good += run(true, user_esp, (void *)(0x90c300b0 | (i & 0xff) << 8)) == 0x90 && (uint8_t)call(slot) == (uint8_t)i;
    }
    rt_tss.esp0 = esp0;
    check("frame-of-interrupt", good, 6 * ROUNDS);
}

void test_main(void)
{
    pic_setup(0xff, 0xff);
    test_writers();
    paging_on();
    test_strings();
    test_handlers();
    test_crossing(false);
    test_crossing(true);
    test_user_pokes();
    test_user_alias();
    test_other_space();
    test_page_table_code();
    test_descriptor_code();
    test_frame_code();
    paging_off();
}
