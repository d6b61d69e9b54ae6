/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a ring-3 program of the demonstration guest has: system calls by INT 0x80, and a little text output. */
#ifndef GUEST_USER_H
#define GUEST_USER_H

#include <stdint.h>

#define HEAP ((volatile uint8_t *)0x40000000)   /* zero pages that appear at the first touch */

/* ORDER ../syscall.c */
enum { CALL_EXIT, CALL_WRITE, CALL_GETPID, CALL_SLEEP, CALL_YIELD, CALL_SPAWN, CALL_WAIT, CALL_TIME, CALL_GETC };

static inline int32_t call(uint32_t number, uint32_t a, uint32_t b)
{
    int32_t result;

    asm volatile("int $0x80" : "=a"(result) : "0"(number), "b"(a), "c"(b) : "memory");
    return result;
}

/* A line is built in a buffer and written with one call, so that programs' lines don't mix. */
struct line {
    char text[100];
    uint32_t length;
};

static inline void line_char(struct line *l, char c)
{
    if (l->length < sizeof l->text)
        l->text[l->length++] = c;
}

static inline void line_text(struct line *l, const char *s)
{
    while (*s)
        line_char(l, *s++);
}

static inline void line_number(struct line *l, uint32_t v)
{
    char digits[10];
    uint32_t n = 0;

    do
        digits[n++] = '0' + v % 10;
    while (v /= 10);
    while (n)
        line_char(l, digits[--n]);
}

static inline void line_end(struct line *l)
{
    line_char(l, '\n');
    call(CALL_WRITE, (uint32_t)l->text, l->length);
    l->length = 0;
}

/* Every program defines this; what it returns is its exit status. */
int program(uint32_t argument);

__attribute__((section(".text.start"), noreturn, used)) void start(void);

/* The kernel starts a program with its argument in EAX. */
void start(void)
{
    uint32_t argument;

    asm volatile("" : "=a"(argument));
    for (;;)
        call(CALL_EXIT, program(argument), 0);
}

#endif
