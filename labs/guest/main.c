/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The demonstration, step by step, and a few routines that everybody needs.
 *
 * Command line words: "prompt" gives the prompt without a time limit, "timeout=N"
 * sets how many seconds the prompt waits for a first key (3), "nodemo" leaves the
 * programs out.
 */
#include "kernel.h"

enum { MULTIBOOT_MAGIC = 0x2badb002, INFO_MEMORY = 1, INFO_COMMAND_LINE = 4, LEAST_MEMORY = 8 << 20 };

struct multiboot_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
};

static char command_line[256];

void *memset(void *to, int c, size_t n)
{
    void *p = to;

    asm volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(c) : "memory");
    return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
    void *p = to;

    asm volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(n) : : "memory");
    return to;
}

bool text_equal(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* Where the word begins that starts with `word` ("timeout=", "prompt"); NULL if there is none. */
const char *text_find_word(const char *text, const char *word)
{
    for (const char *p = text; *p; p++) {
        unsigned n = 0;

        if (p != text && p[-1] != ' ')
            continue;
        while (word[n] && p[n] == word[n])
            n++;
        if (word[n] == 0)
            return p + n;
    }
    return NULL;
}

/* The boot information lies in low memory; boot.S mapped the first 4 MiB at KERNEL_BASE too. */
static uint32_t read_boot_info(uint32_t magic, uint32_t address)
{
    const struct multiboot_info *info = physical_pointer(address);
    uint32_t bytes = LEAST_MEMORY;

    if (magic != MULTIBOOT_MAGIC || address > (4u << 20) - sizeof *info)
        return bytes;
    if (info->flags & INFO_MEMORY)
        bytes = info->mem_upper < 1u << 21 ? (info->mem_upper + 1024) << 10 : 1u << 31;
    if ((info->flags & INFO_COMMAND_LINE) && info->cmdline < (4u << 20) - sizeof command_line)
        memcpy(command_line, physical_pointer(info->cmdline), sizeof command_line - 1);
    return bytes;
}

static void greet(uint32_t memory_bytes)
{
    char vendor[13] = { 0 };
    uint32_t a = 0, b, c, d;

    asm volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    memcpy(vendor, &b, 4);
    memcpy(vendor + 4, &d, 4);
    memcpy(vendor + 8, &c, 4);
    say("\nbtvmm demonstration guest\ncpu: %s, protected mode; %u MiB of memory; command line '%s'\n", vendor,
        memory_bytes >> 20, command_line);
}

static uint32_t demo_start(const char *name, uint32_t argument)
{
    int32_t pid = process_spawn(name, argument);

    say("demo: started %s as pid %d\n", name, pid);
    return pid;
}

static void demo_run(void)
{
    uint32_t pids[4];

    say("demo: three programs share the CPU\n");
    pids[0] = demo_start("hello", 3);
    pids[1] = demo_start("sieve", 20000);
    pids[2] = demo_start("hello", 2);
    for (unsigned i = 0; i < 3; i++)
        say("demo: pid %u ended with status %d\n", pids[i], process_wait(pids[i]));
    say("demo: a program that starts others\n");
    say("demo: family ended with status %d\n", process_wait(demo_start("family", 3)));
    say("demo: a program that reads kernel memory, which must be stopped\n");
    say("demo: fault ended with status %d\n", process_wait(demo_start("fault", 0)));
    memory_report();
    say("demo: done after %u ticks\n", ticks);
}

static void prompt_unless_idle(void)
{
    const char *p = text_find_word(command_line, "timeout=");
    uint32_t seconds = 3;

    if (text_find_word(command_line, "prompt") || console_has_input())
        prompt_run();
    if (p)
        for (seconds = 0; *p >= '0' && *p <= '9' && seconds < 100000; p++)
            seconds = seconds * 10 + (*p - '0');
    say("press a key within %u s for a prompt\n", seconds);
    if (seconds)
        process_wait_input((ticks + seconds * HZ) | 1);
    if (console_has_input())
        prompt_run();
}

void kernel_main(uint32_t magic, uint32_t info);

void kernel_main(uint32_t magic, uint32_t info)
{
    uint32_t bytes = read_boot_info(magic, info);

    console_init();
    greet(bytes);
    cpu_init();
    memory_init(bytes);
    memory_report();
    process_init();
    pic_init();
    pit_init();
    pic_unmask(IRQ_COM1);
    console_interrupt();                      /* the edge of what came before pic_init() is lost: look once */
    process_sleep_until(ticks + 2);
    say("timer interrupt running\n");
    if (!text_find_word(command_line, "nodemo"))
        demo_run();
    prompt_unless_idle();
    power_off();
}
