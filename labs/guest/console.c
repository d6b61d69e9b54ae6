/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The serial line COM1 (a 16550), 115200 bits a second, 8 data bits.  Output
 * waits for the transmitter; input is taken at interrupts into a ring buffer.
 */
#include "kernel.h"

enum { COM1 = 0x3f8, REG_DATA = 0, REG_IER = 1, REG_FCR = 2, REG_LCR = 3, REG_MCR = 4, REG_LSR = 5,
       LSR_DATA_READY = 1, LSR_TX_EMPTY = 0x20, RING = 256 };

static char ring[RING];
static unsigned ring_in, ring_out;

void console_init(void)
{
    outb(COM1 + REG_IER, 0);
    outb(COM1 + REG_LCR, 0x80);               /* divisor latch */
    outb(COM1 + REG_DATA, 1);
    outb(COM1 + REG_IER, 0);
    outb(COM1 + REG_LCR, 0x03);               /* 8 bits, no parity */
    outb(COM1 + REG_FCR, 0x07);               /* FIFOs on and empty */
    outb(COM1 + REG_MCR, 0x0b);               /* DTR, RTS, OUT2: lets the interrupt through */
    outb(COM1 + REG_IER, 0x01);               /* interrupt on received data */
}

void console_interrupt(void)
{
    while (inb(COM1 + REG_LSR) & LSR_DATA_READY) {
        char c = inb(COM1 + REG_DATA);

        if (ring_in - ring_out < RING)
            ring[ring_in++ % RING] = c;
    }
}

bool console_has_input(void)
{
    return ring_in != ring_out;
}

int console_get(void)
{
    return console_has_input() ? (unsigned char)ring[ring_out++ % RING] : -1;
}

static void put_raw(char c)
{
    while (!(inb(COM1 + REG_LSR) & LSR_TX_EMPTY))
        ;
    outb(COM1 + REG_DATA, c);
}

void console_put(char c)
{
    if (c == '\n')
        put_raw('\r');
    put_raw(c);
}

static void put_number(uint32_t v, unsigned base, unsigned width, char fill)
{
    char digits[12];
    unsigned n = 0;

    do {
        digits[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    for (unsigned i = n; i < width; i++)
        console_put(fill);
    while (n)
        console_put(digits[--n]);
}

static void put_text(const char *s, unsigned width)
{
    unsigned n = 0;

    for (; s[n]; n++)
        console_put(s[n]);
    for (; n < width; n++)
        console_put(' ');
}

static void put_argument(char kind, unsigned width, char fill, uint32_t v)
{
    if (kind == 's') {
        put_text((const char *)v, width);
    } else if (kind == 'c') {
        console_put((char)v);
    } else if (kind == 'x') {
        put_number(v, 16, width, fill);
    } else {
        if (kind == 'd' && (int32_t)v < 0) {
            console_put('-');
            v = -v;
        }
        put_number(v, 10, width, fill);
    }
}

/* A printf of %s %c %d %u %x with width, leading zeros and '#'. */
void say(const char *p, ...)
{
    va_list arguments;

    va_start(arguments, p);
    for (; *p; p++) {
        unsigned width = 0;
        char fill = ' ';

        if (*p != '%') {
            console_put(*p);
            continue;
        }
        p++;
        if (*p == '#') {
            put_text("0x", 0);
            p++;
        }
        if (*p == '0')
            fill = *p++;
        while (*p >= '0' && *p <= '9')
            width = width * 10 + (*p++ - '0');
        if (*p == '%')
            console_put('%');
        else
            put_argument(*p, width, fill, va_arg(arguments, uint32_t));
    }
    va_end(arguments);
}
