/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The prompt on the serial line: a line editor of one key (backspace) and eight commands. */
#include "kernel.h"

enum { LINE = 80 };

struct command {
    const char *name, *help;
    void (*run)(const char *argument);
};

static void do_help(const char *argument);

static void do_ps(const char *argument)
{
    static const char *const states[] = { "free", "ready", "sleeping", "waiting", "ended" };

    (void)argument;
    say("  pid  parent  state     ticks  faults  name\n");
    for (unsigned i = 0; i < PROCESS_MAX; i++) {
        const struct process *p = &processes[i];

        if (p->state != PROCESS_FREE)
            say("%5u  %6u  %8s  %5u  %6u  %s\n", p->pid, p->parent, states[p->state], p->ticks, p->demand_faults,
                p->name);
    }
}

static void do_mem(const char *argument)
{
    (void)argument;
    memory_report();
    say("page directory at %08x, kernel at %08x\n", read_cr3(), KERNEL_BASE);
}

static void do_ticks(const char *argument)
{
    (void)argument;
    say("%u ticks of 1/%u s\n", ticks, HZ);
}

static void do_run(const char *argument)
{
    int32_t pid = process_spawn(argument, 3);

    if (pid >= 0) {
        say("status %d\n", process_wait(pid));
        return;
    }
    say("no program '%s'; there are:", argument);
    for (unsigned i = 0; program_name(i); i++)
        say(" %s", program_name(i));
    say("\n");
}

static void do_fault(const char *argument)
{
    (void)argument;
    do_run("fault");
}

static void do_halt(const char *argument)
{
    (void)argument;
    power_off();
}

static void do_reboot(const char *argument)
{
    (void)argument;
    reboot();
}

static const struct command commands[] = {
    { "help", "this list", do_help },
    { "ps", "the processes", do_ps },
    { "mem", "memory and paging", do_mem },
    { "ticks", "timer interrupts so far", do_ticks },
    { "fault", "run a program that touches kernel memory", do_fault },
    { "run", "run NAME: a program in ring 3", do_run },
    { "halt", "power off", do_halt },
    { "reboot", "reset the machine", do_reboot },
};

static void do_help(const char *argument)
{
    (void)argument;
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++)
        say("%8s  %s\n", commands[i].name, commands[i].help);
}

static void read_line(char *line)
{
    unsigned n = 0;

    for (;;) {
        int c = console_get();

        if (c < 0) {
            process_wait_input(0);
        } else if (c == '\r' || c == '\n') {
            say("\n");
            line[n] = 0;
            return;
        } else if ((c == '\b' || c == 0x7f) && n > 0) {
            n--;
            say("\b \b");
        } else if (c >= ' ' && c < 0x7f && n < LINE - 1) {
            line[n++] = c;
            console_put(c);
        }
    }
}

static void execute(char *line)
{
    char *argument = line;

    while (*argument && *argument != ' ')
        argument++;
    while (*argument == ' ')
        *argument++ = 0;
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (text_equal(commands[i].name, line)) {
            commands[i].run(argument);
            return;
        }
    if (*line)
        say("unknown command '%s'; 'help' lists them\n", line);
}

void prompt_run(void)
{
    char line[LINE];

    for (;;) {
        say("guest> ");
        read_line(line);
        execute(line);
    }
}
