/*
 * A small formatter for stop messages and dumps.
 *
 * World: monitor and host.  Knows %d %u %x %c %s %% with l/ll, zero padding
 * and width, '-', '+' and '#'.  Output is always terminated; returns the length that
 * the whole text would have (like C99 snprintf).  No errors.
 */
#ifndef BASE_FMT_H
#define BASE_FMT_H

#include <stdarg.h>
#include "base/types.h"

int fmt_v(char *buf, size_t size, const char *format, va_list ap);
int fmt(char *buf, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
