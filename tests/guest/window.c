/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions that go to the top of the address space again and again, as a kernel's do that maps its high memory a
 * page at a time there: a monitor may find a short way for those that have come to its window before. Whatever that
 * is, each must do what it does elsewhere, in the window and below it by turns; with the faults, the accessed and
 * dirty bits, and the flushes of any other page; interrupted anywhere; and after its bytes have become another instruction.
 *
 * Each check counts in bits what went wrong: bit n is the nth try of its function.
 */
#include "rt.h"

#define BELOW 0xffbff000u               /* the last page that is not in the window; the next is */
#define SLOTS slots
#define FRAMES 0x03000000u              /* 16 pages, at their own linear addresses too */
#define ALL (PTE_P | PTE_W | PTE_U)
#define PAGE(n) ((n) * 4096u)

static volatile uint32_t top_tables[2][1024] __attribute__((aligned(4096)));
static uint32_t slots;                  /* 16 pages under test */
static uint32_t argument[4], value;
static uint32_t wrong, tries, seed = 1;

static void expect(bool good)
{
    wrong |= (uint32_t)!good << (tries++ & 31);
}

/* Ends a check, or says why it was not made. */
static void report(const char *place, const char *what, bool user, const char *left_out)
{
    const char *parts[] = { place, "-", what, user ? "-user" : "" };
    char name[48];
    char *p = name;

    for (unsigned i = 0; i < 4; i++)
        for (const char *s = parts[i]; *s; s++)
            *p++ = *s;
    *p = 0;
    if (left_out)
        skip(name, left_out);
    else
        check(name, tries ? wrong : ~0u, 0);
    wrong = tries = 0;
}

static uint32_t rnd(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

static volatile uint32_t *entry(uint32_t gla) { return &top_tables[gla >> 22 & 1][gla >> 12 & 1023]; }

static void map(uint32_t gla, uint32_t frame, uint32_t flags)
{
    *entry(gla) = frame | flags;
    invlpg((void *)gla);
}

static int run(bool user, uint32_t code, uint32_t arg)
{
    int trap = user ? rt_try_user_flags((void (*)(void *))code, (void *)arg, IF | 2) :
                      rt_try((void (*)(void *))code, (void *)arg);

    value = user ? rt_last.eax : rt_result;
    return trap;
}
#define RUN(user, code, arg) run(user, (uint32_t)(code), (uint32_t)(arg))

static bool faulted(int trap, uint32_t error, uint32_t cr2)
{
    return trap == PF && rt_last.error == error && rt_last_cr2 == cr2;
}

static uint32_t *words(uint32_t frame) { return (uint32_t *)(FRAMES + PAGE(frame)); }

/* --- the same here and there --- */

CODE(w_integer, "movl 4(%esp),%esi\n movl (%esi),%eax\n movl 4(%esi),%edx\n addl %eax,8(%esi)\n adcl %edx,12(%esi)\n"
     " lock xaddl %edx,16(%esi)\n setz 28(%esi)\n stc\n pushl 32(%esi)\n popl 36(%esi)\n movzbl 41(%esi),%ecx\n incw 42(%esi)\n"
     " notb 45(%esi)\n rcll 48(%esi)\n pushfl\n popl 52(%esi)\n andl $0xcd5,52(%esi)\n btsl $3,56(%esi)\n sbbl %eax,%eax\n"
     " xorl %edx,%eax\n movl $3,%edx\n imull -4(%esi,%edx,4),%ecx\n xchgb %cl,60(%esi)\n xorl %ecx,%eax\n"
     " movb %al,61(%esi)\n cmpl $5,62(%esi)\n cmovbl 24(%esi),%eax\n movw $0x1234,70(%esi)\n decb 72(%esi)");
CODE(w_exchange8, "movl 4(%esp),%esi\n movl 20(%esi),%eax\n movl $0x5000,%edx\n movl $7,%ebx\n movl $9,%ecx\n"
     " cmpxchg8b 20(%esi)\n setz 28(%esi)\n xorl %edx,%eax");
CODE(w_x87, "movl 4(%esp),%edx\n fninit\n fildll (%edx)\n fld1\n faddp\n fistpll 8(%edx)\n fnstcw 16(%edx)\n movl 8(%edx),%eax");

static void try_same(bool user, void (*code)(void *), uint32_t mask)
{
    for (uint32_t i = 0; i < 60; i++) {
        uint32_t slot = SLOTS + PAGE(i % 5), frame = 1 + i % 7, offset = rnd() & 0xf80, low;

        for (uint32_t j = 0; j < 20; j++)
            words(0)[offset / 4 + j] = words(frame)[offset / 4 + j] = rnd() & mask;
        map(slot, FRAMES + PAGE(frame), ALL);
        expect(RUN(user, code, FRAMES + offset) == NO_TRAP);
        low = value;
        expect(RUN(user, code, slot + offset) == NO_TRAP && value == low);
        for (uint32_t j = 0; j < 1024; j++)
            wrong |= j >= offset / 4 && j < offset / 4 + 20 && words(0)[j] != words(frame)[j];
    }
}

/* --- strings --- */

CODE(w_string, "movl 4(%esp),%edx\n movl (%edx),%edi\n movl 4(%edx),%esi\n movl 8(%edx),%ecx\n movl $0x11223344,%eax\n"
     " jmp *12(%edx)\n"
     " w_stosl: rep stosl\n jmp 1f\n w_stosw: rep stosw\n jmp 1f\n w_stosb: rep stosb\n jmp 1f\n"
     " w_movsl: rep movsl\n jmp 1f\n w_movsb: rep movsb\n jmp 1f\n"
     " w_down: std\n rep movsl\n cld\n jmp 1f\n"
     " w_cmps: repe cmpsl\n movl %ecx,%eax\n ret\n w_scas: repne scasl\n movl %ecx,%eax\n ret\n w_lods: rep lodsl\n ret\n"
     " 1: movl %edi,%eax");

static int string(bool user, uint32_t how, uint32_t edi, uint32_t esi, uint32_t ecx)
{
    argument[0] = edi, argument[1] = esi, argument[2] = ecx, argument[3] = how;
    return RUN(user, w_string, argument);
}
#define STRING(user, how, edi, esi, ecx) string(user, ADDR(how), edi, esi, ecx)

static bool all_are(uint32_t frame, uint32_t from, uint32_t to, uint32_t word)
{
    for (uint32_t i = from / 4; i < to / 4; i++)
        if (words(frame)[i] != word)
            return false;
    return true;
}

static bool equal(uint32_t a, uint32_t b, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        if (((uint8_t *)words(a))[i] != ((uint8_t *)words(b))[i])
            return false;
    return true;
}

static void scramble(uint32_t frame)
{
    for (uint32_t i = 0; i < 1024; i++)
        words(frame)[i] = rnd();
}

static void try_fill(bool user)
{
    for (uint32_t i = 0; i < 5; i++) {
        scramble(i);
        map(SLOTS, FRAMES + PAGE(i), ALL);
        expect(STRING(user, w_stosl, SLOTS, 0, 1024) == NO_TRAP && value == SLOTS + 4096);
        expect(all_are(i, 0, 4096, 0x11223344));
        expect(STRING(user, w_stosw, SLOTS + 2, 0, 7) == NO_TRAP && words(i)[0] == 0x33443344 && all_are(i, 4, 16, 0x33443344));
        expect(all_are(i, 16, 4096, 0x11223344));
        expect(STRING(user, w_stosb, SLOTS + 4001, 0, 93) == NO_TRAP && value == SLOTS + 4094);
        expect(all_are(i, 4000, 4092, 0x44444444) && words(i)[1023] == 0x11224444);
        map(SLOTS + PAGE(1), FRAMES + PAGE(i + 1), ALL);
        words(i + 1)[1] = 5;
        expect(STRING(user, w_stosl, SLOTS + 4092, 0, 2) == NO_TRAP && words(i)[1023] == 0x11223344);
        expect(words(i + 1)[0] == 0x11223344 && words(i + 1)[1] == 5);
    }
}

static void try_copy(bool user)
{
    for (uint32_t i = 0; i < 5; i++) {
        scramble(0);
        scramble(1);
        map(SLOTS, FRAMES, ALL);
        map(SLOTS + PAGE(1), FRAMES + PAGE(1), ALL);
        map(SLOTS + PAGE(2), FRAMES, ALL);
        expect(STRING(user, w_movsl, SLOTS + PAGE(1), SLOTS, 1024) == NO_TRAP && equal(0, 1, 4096));
        expect(STRING(user, w_movsl, FRAMES + PAGE(2), SLOTS, 1024) == NO_TRAP && equal(0, 2, 4096));
        scramble(2);
        expect(STRING(user, w_movsb, SLOTS + PAGE(1), FRAMES + PAGE(2), 4095) == NO_TRAP && equal(1, 2, 4095));
        words(0)[8] = 0xabcdef01;       /* each element is the one before, which this has written */
        expect(STRING(user, w_movsl, SLOTS + 36, SLOTS + 32, 500) == NO_TRAP && all_are(0, 32, 2036, 0xabcdef01));
        words(0)[8] = 0x1badb002;       /* so it is if the same page is at two addresses */
        expect(STRING(user, w_movsl, SLOTS + PAGE(2) + 40, SLOTS + 32, 500) == NO_TRAP);
        expect(words(0)[10] == 0x1badb002 && words(0)[11] == 0xabcdef01 && words(0)[508] == 0x1badb002);
        scramble(0);
        expect(STRING(user, w_down, SLOTS + PAGE(1) + 4092, SLOTS + 4092, 1024) == NO_TRAP && equal(0, 1, 4096));
        words(1)[700] ^= 1;
        expect(STRING(user, w_cmps, SLOTS + PAGE(1), SLOTS, 1024) == NO_TRAP && value == 1024 - 701);
        words(1)[600] = 0x11223344;
        expect(STRING(user, w_scas, SLOTS + PAGE(1), 0, 1024) == NO_TRAP && value == 1024 - 601);
        expect(STRING(user, w_lods, 0, SLOTS, 9) == NO_TRAP && value == words(0)[8]);
    }
}

CODE(w_then, "movl 4(%esp),%edx\n movl %edx,%edi\n movl $6000,%ecx\n movb $0x21,%al\n rep stosb\n movl %edi,(%edx)\n movl (%edx),%eax");

/* More than is done at a time, and then others. */
static void try_then(bool user)
{
    map(SLOTS, FRAMES, ALL);
    map(SLOTS + PAGE(1), FRAMES + PAGE(1), ALL);
    for (uint32_t i = 0; i < 5; i++) {
        scramble(0);
        scramble(1);
        expect(RUN(user, w_then, SLOTS) == NO_TRAP && value == SLOTS + 6000 && words(0)[0] == SLOTS + 6000);
        expect(all_are(0, 4, 4096, 0x21212121) && all_are(1, 0, 6000 - 4096, 0x21212121));
    }
}

/* Into the window from below, by an instruction that has only been below before. */
static void try_enter(bool user)
{
    for (uint32_t i = 0; i < 5; i++) {
        scramble(0);
        scramble(1);
        map(BELOW, FRAMES, ALL);
        map(BELOW + PAGE(1), FRAMES + PAGE(1), ALL);
        expect(STRING(user, w_stosl, BELOW + 4, 0, 2046) == NO_TRAP && value == BELOW + 8188);
        expect(all_are(0, 4, 4096, 0x11223344) && all_are(1, 0, 4092, 0x11223344) && words(1)[1023] != 0x11223344);
    }
}

/* --- faults --- */

CODE(w_read, "movl 4(%esp),%edx\n .globl w_read_at\n w_read_at: movl (%edx),%eax");
CODE(w_write, "movl 4(%esp),%edx\n movl $0x55667788,(%edx)");
CODE(w_pair, "movl 4(%esp),%edx\n movl $0x51,4092(%edx)\n .globl w_pair_at\n w_pair_at: movl $0x52,4096(%edx)");

static void try_faults(bool user)
{
    uint32_t u = user ? 4 : 0;

    for (uint32_t i = 0; i < 5; i++) {
        uint32_t slot = SLOTS + PAGE(i & 1);

        words(i)[2] = i;
        map(slot, FRAMES + PAGE(i), ALL);
        expect(RUN(user, w_read, slot + 8) == NO_TRAP && value == i && (*entry(slot) & (PTE_A | PTE_D)) == PTE_A);
        expect(RUN(user, w_write, slot + 8) == NO_TRAP && words(i)[2] == 0x55667788 && (*entry(slot) & PTE_D));
        map(slot, FRAMES + PAGE(i), PTE_P | PTE_U);
        expect(RUN(user, w_read, slot + 8) == NO_TRAP && value == 0x55667788);
        expect(faulted(RUN(user, w_write, slot + 8), u | 3, slot + 8) && !(*entry(slot) & PTE_D));
        map(slot, FRAMES + PAGE(i), 0);
        expect(faulted(RUN(user, w_read, slot + 8), u, slot + 8) && rt_last.eip == ADDR(w_read_at) && rt_last.edx == slot + 8);
        expect(faulted(RUN(user, w_write, slot + 8), u | 2, slot + 8));
        map(slot, FRAMES + PAGE(i), PTE_P | PTE_W);
        expect(user ? faulted(RUN(user, w_read, slot + 8), 5, slot + 8) : RUN(user, w_read, slot + 8) == NO_TRAP);
    }
}

/* The second of two, and in the middle of many. */
static void try_faults_behind(bool user)
{
    uint32_t u = user ? 4 : 0;

    for (uint32_t i = 0; i < 5; i++) {
        map(SLOTS, FRAMES, ALL);
        map(SLOTS + PAGE(1), FRAMES + PAGE(1), ALL);
        words(0)[1023] = words(1)[0] = 0;
        expect(RUN(user, w_pair, SLOTS) == NO_TRAP && words(0)[1023] == 0x51 && words(1)[0] == 0x52);
        map(SLOTS + PAGE(1), FRAMES + PAGE(1), 0);
        words(0)[1023] = words(1)[0] = 0;
        expect(faulted(RUN(user, w_pair, SLOTS), u | 2, SLOTS + PAGE(1)) && rt_last.eip == ADDR(w_pair_at));
        expect(words(0)[1023] == 0x51 && words(1)[0] == 0);
        expect(faulted(STRING(user, w_stosl, SLOTS + 96, 0, 1100), u | 2, SLOTS + PAGE(1)));
        expect(rt_last.eip == ADDR(w_stosl) && rt_last.edi == SLOTS + PAGE(1) && rt_last.ecx == 100);
        expect(all_are(0, 96, 4096, 0x11223344));
    }
}

/* --- code that changes --- */

/* movl 4(%esp),%esi; xorl %eax,%eax; movl (%esi),%ecx; two bytes; ret */
static void try_rewritten(bool user)
{
    static const struct { uint8_t bytes[2]; uint32_t result; } forms[] = {
        { { 0x8b, 0x06 }, 0x1357 },     /* movl (%esi),%eax */
        { { 0x2b, 0x06 }, -0x1357u },   /* subl (%esi),%eax */
        { { 0xf7, 0xd0 }, ~0u },        /* notl %eax */
        { { 0x8b, 0x06 }, 0x1357 },
        { { 0x89, 0xc8 }, 0x1357 },     /* movl %ecx,%eax */
        { { 0x8c, 0xd0 }, 0 },          /* movl %ss,%eax */
        { { 0x0b, 0x06 }, 0x1357 },     /* orl (%esi),%eax */
        { { 0x31, 0x06 }, 0 },          /* xorl %eax,(%esi) */
        { { 0x9b, 0x90 }, 0 },          /* fwait; nop */
        { { 0xeb, 0x00 }, 0 },          /* jmp behind it */
    };
    uint8_t *code = (uint8_t *)words(8);

    memcpy(code, "\x8b\x74\x24\x04\x31\xc0\x8b\x0e\x90\x90\xc3", 11);
    map(SLOTS, FRAMES + PAGE(9), ALL);
    words(9)[0] = 0x1357;
    for (uint32_t i = 0; i < 3 * sizeof forms / sizeof forms[0]; i++) {
        uint32_t n = i % (sizeof forms / sizeof forms[0]), want = n == 5 ? (user ? SEL_DATA3 : SEL_DATA0) : forms[n].result;

        memcpy(code + 8, forms[n].bytes, 2);
        for (uint32_t k = 0; k < 4; k++)
            expect(RUN(user, code, SLOTS) == NO_TRAP && value == want);
    }
}

/* movl 4(%esp),%esi; xorl %eax,%eax; movl 64(%esi),%ecx; movw %cx,13(%esi): the next instruction; that; ret */
static void try_rewriting(bool user)
{
    uint8_t *code = (uint8_t *)words(8);

    memcpy(code, "\x8b\x74\x24\x04\x31\xc0\x8b\x4e\x40\x66\x89\x4e\x0d\x90\x90\xc3", 16);
    map(SLOTS, FRAMES + PAGE(8), ALL);
    for (uint32_t i = 0; i < 12; i++) {
        words(8)[16] = i % 3 == 0 ? 0x068b : i % 3 == 1 ? 0x062b : 0xc889; /* movl (%esi),%eax; subl (%esi),%eax; movl %ecx,%eax */
        expect(RUN(user, code, SLOTS) == NO_TRAP);
        expect(value == (i % 3 == 0 ? words(8)[0] : i % 3 == 1 ? -words(8)[0] : 0xc889));
    }
}

CODE(w_byte, "movl 4(%esp),%edx\n movb 8(%edx),%cl\n movb %cl,1(%edx)\n movl (%edx),%eax");

/* Written through the window where it is mapped as well. */
static void try_code_written(bool user)
{
    uint8_t *code = (uint8_t *)words(8);

    memcpy(code, "\xb8\0\0\0\0\xc3", 6); /* movl $0,%eax; ret */
    map(SLOTS, FRAMES + PAGE(8), ALL);
    for (uint32_t i = 0; i < 12; i++) {
        code[8] = (uint8_t)(i * 3);
        expect(RUN(user, w_byte, SLOTS) == NO_TRAP && (value >> 8 & 0xff) == i * 3);
        expect(RUN(user, code, 0) == NO_TRAP && value == i * 3);
    }
}

/* --- interrupts --- */

static volatile uint32_t ticks;

static void on_timer(struct frame *f)
{
    (void)f;
    ticks++;
    words(12)[0] = 0x77;                /* whatever it uses, it leaves the others alone */
    pic_eoi();
}

CODE(w_loop, "movl 4(%esp),%edx\n movl $60000,%ecx\n movl $1,%ebx\n 1: addl %ebx,(%edx)\n adcl $0,4(%edx)\n lock incl 8(%edx)\n"
     " cmpl %ecx,12(%edx)\n movl $1,%eax\n xaddl %eax,16(%edx)\n decl %ecx\n jnz 1b\n movl 16(%edx),%eax");
CODE(w_loop_sti, "sti\n movl 4(%esp),%eax\n pushl %eax\n call w_loop\n popl %edx\n cli");
CODE(w_string_sti, "sti\n movl 4(%esp),%eax\n pushl %eax\n call w_string\n popl %edx\n cli");

static void try_interrupts(bool user)
{
    ticks = 0;
    rt_handlers[IRQ_BASE] = on_timer;
    pic_setup(0xfe, 0xff);
    pit_periodic(1500);
    for (uint32_t i = 0; i < 3; i++) {
        memset(words(3), 0, 20);
        map(SLOTS, FRAMES + PAGE(3), ALL);
        expect((user ? RUN(true, w_loop, SLOTS) : RUN(false, w_loop_sti, SLOTS)) == NO_TRAP && value == 60000);
        expect(words(3)[0] == 60000 && words(3)[1] == 0 && words(3)[2] == 60000 && words(3)[4] == 60000);
    }
    for (uint32_t i = 0; i < 16; i++)
        map(SLOTS + PAGE(i), FRAMES + PAGE(i & 3), ALL);
    for (uint32_t i = 0; i < 3000 && ticks < 5; i++) {
        scramble(i & 3);
        argument[0] = SLOTS, argument[1] = 0, argument[2] = 16384, argument[3] = ADDR(w_stosl);
        expect((user ? RUN(true, w_string, argument) : RUN(false, w_string_sti, argument)) == NO_TRAP && value == SLOTS + PAGE(16));
        expect(all_are(i & 3, 0, 4096, 0x11223344));
    }
    pic_setup(0xff, 0xff);
    expect(ticks >= 5);
}

static void try_integer(bool user) { try_same(user, w_integer, ~0u); }
static void try_exchange8(bool user) { try_same(user, w_exchange8, ~0u); }
static void try_x87(bool user) { try_same(user, w_x87, 0x3fffffff); }

/*
 * Goes to the window from below; user code on a page just written may be translated; QEMU's TCG (7.2) works out the
 * flags behind it by what the code before had left, and an exit there makes DF and others of that.
 */
enum { ENTERS = 1, NEW_CODE = 2, GARBLED = 4 };
static const struct { const char *name; void (*run)(bool user); unsigned how; } all[] = {
    { "integer", try_integer, 0 }, { "exchange8", try_exchange8, GARBLED },
    { "x87", try_x87, 0 }, { "fill", try_fill, 0 }, { "copy", try_copy, 0 },
    { "fill-then", try_then, 0 }, { "enter", try_enter, ENTERS }, { "faults", try_faults, 0 },
    { "faults-behind", try_faults_behind, 0 }, { "rewritten", try_rewritten, NEW_CODE },
    { "rewriting", try_rewriting, NEW_CODE }, { "code-written", try_code_written, NEW_CODE },
    { "interrupts", try_interrupts, 0 },
};

static const char *why_not(unsigned how, bool below, bool user)
{
    if (how & GARBLED && rt_over_tcg && !rt_on_qemu)
        return "(TCG leaves wrong flags behind CMPXCHG8B)";
    if (!below && !rt_limits_checked(user && !(how & NEW_CODE)))
        return "(TCG checks no segment limits)";
    return NULL;
}

static void test_place(const char *name, uint32_t gla, bool user)
{
    bool below = gla < BELOW;

    slots = gla;
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (below && (all[i].how & ENTERS))
            continue;
        const char *left_out = why_not(all[i].how, below, user);
        if (!left_out)
            all[i].run(user);
        report(name, all[i].name, user, left_out);
    }
}

void test_main(void)
{
    paging_on();
    rt_directory[1022] = (uint32_t)top_tables[0] | ALL;
    rt_directory[1023] = (uint32_t)top_tables[1] | ALL;
    WRITE_CR(0, READ_CR(0) | CR0_WP);
    WRITE_CR(3, rt_directory);
    for (unsigned user = 0; user < 2; user++) {
        test_place("window", 0xfffb0000u, user);
        test_place("below", 0xffbd0000u, user);
    }
    paging_off();
}
