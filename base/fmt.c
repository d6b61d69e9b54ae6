/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The small formatter for stop messages and dumps (see fmt.h).
 *
 * One pass over the format; every conversion is parsed into a spec and put
 * out digit by digit.  The sink counts what it would have written, so that a
 * short buffer truncates but the length returned is the whole text's.
 */
#include "base/fmt.h"

struct sink {
    char *buf;
    size_t size, len;
};

struct spec {
    bool zero, alt, left, plus;
    unsigned width, longs;
    bool has_precision;
    unsigned precision;
};

static void sink_put(struct sink *s, char c)
{
    if (s->len + 1 < s->size)
        s->buf[s->len] = c;
    s->len++;
}

static void sink_pad(struct sink *s, char c, unsigned have, unsigned want)
{
    for (; have < want; have++)
        sink_put(s, c);
}

static void put_string(struct sink *s, const struct spec *sp, const char *str)
{
    unsigned n = 0;

    if (!str)
        str = "(null)";
    while ((!sp->has_precision || n < sp->precision) && str[n])
        n++;
    if (!sp->left)
        sink_pad(s, ' ', n, sp->width);
    for (unsigned i = 0; i < n; i++)
        sink_put(s, str[i]);
    if (sp->left)
        sink_pad(s, ' ', n, sp->width);
}

static void put_number(struct sink *s, const struct spec *sp, uint64_t x, unsigned radix, const char *prefix)
{
    char digits[20];
    unsigned n = 0, plen = 0;

    do {
        digits[n++] = "0123456789abcdef"[x % radix];
        x /= radix;
    } while (x);
    while (prefix[plen])
        plen++;
    unsigned ndigits = sp->has_precision && sp->precision > n ? sp->precision : n;
    bool zero = sp->zero && !sp->left && !sp->has_precision;
    if (!sp->left && !zero)
        sink_pad(s, ' ', ndigits + plen, sp->width);
    for (unsigned i = 0; i < plen; i++)
        sink_put(s, prefix[i]);
    sink_pad(s, '0', n, ndigits);
    if (zero)
        sink_pad(s, '0', ndigits + plen, sp->width);
    while (n)
        sink_put(s, digits[--n]);
    if (sp->left)
        sink_pad(s, ' ', ndigits + plen, sp->width);
}

/* A run of decimal digits; none is 0. */
static unsigned parse_number(const char **p)
{
    unsigned n = 0;

    while (**p >= '0' && **p <= '9')
        n = n * 10 + (unsigned)(*(*p)++ - '0');
    return n < 4096 ? n : 4096; /* no wider field is meant */
}

static struct spec parse_spec(const char **p)
{
    struct spec sp = {0};

    for (;; (*p)++) {
        if (**p == '0')
            sp.zero = true;
        else if (**p == '#')
            sp.alt = true;
        else if (**p == '-')
            sp.left = true;
        else if (**p == '+')
            sp.plus = true;
        else
            break;
    }
    sp.width = parse_number(p);
    if (**p == '.') {
        (*p)++;
        sp.has_precision = true;
        sp.precision = parse_number(p);
    }
    for (; **p == 'l' || **p == 'z'; (*p)++)
        sp.longs++;
    return sp;
}

/* va_list through a pointer needs a struct around it to be portable across ABIs. */
struct args {
    va_list ap;
};

static uint64_t arg_unsigned(struct args *a, const struct spec *sp)
{
    return sp->longs ? va_arg(a->ap, unsigned long) : va_arg(a->ap, unsigned);
}

static void put_signed(struct sink *s, const struct spec *sp, struct args *a)
{
    int64_t x = sp->longs ? va_arg(a->ap, long) : va_arg(a->ap, int);

    put_number(s, sp, x < 0 ? 0 - (uint64_t)x : (uint64_t)x, 10,
               x < 0 ? "-" : sp->plus ? "+" : "");
}

static void put_hex(struct sink *s, const struct spec *sp, uint64_t x)
{
    put_number(s, sp, x, 16, sp->alt && x ? "0x" : "");
}

static void put_char(struct sink *s, const struct spec *sp, char c)
{
    char str[2] = {c, 0};
    struct spec one = *sp;

    one.has_precision = true;
    one.precision = 1;
    put_string(s, &one, str);
}

static void put_conversion(struct sink *s, const struct spec *sp, char c, struct args *a)
{
    switch (c) {
    case 'd':
    case 'i':
        put_signed(s, sp, a);
        break;
    case 'u':
        put_number(s, sp, arg_unsigned(a, sp), 10, "");
        break;
    case 'x':
        put_hex(s, sp, arg_unsigned(a, sp));
        break;
    case 'p':
        put_number(s, sp, (uintptr_t)va_arg(a->ap, void *), 16, "0x");
        break;
    case 'c':
        put_char(s, sp, (char)va_arg(a->ap, int));
        break;
    case 's':
        put_string(s, sp, va_arg(a->ap, const char *));
        break;
    case '%':
        sink_put(s, '%');
        break;
    default: /* unknown: show it as it stands */
        sink_put(s, '%');
        sink_put(s, c);
        break;
    }
}

int fmt_v(char *buf, size_t size, const char *format, va_list ap)
{
    struct sink s = {buf, size, 0};
    struct args a;

    va_copy(a.ap, ap);
    for (const char *p = format; *p; p++) {
        if (*p != '%') {
            sink_put(&s, *p);
            continue;
        }
        p++;
        struct spec sp = parse_spec(&p);
        if (!*p)
            break;
        put_conversion(&s, &sp, *p, &a);
    }
    va_end(a.ap);
    if (size)
        buf[s.len < size ? s.len : size - 1] = 0;
    return (int)s.len;
}

int fmt(char *buf, size_t size, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    int n = fmt_v(buf, size, format, ap);
    va_end(ap);
    return n;
}
