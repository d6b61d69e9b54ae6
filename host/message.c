/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages to the user.  A raw terminal does not turn LF into CR LF, so the
 * console tells (through console_is_raw) whether that has to be done here.
 */
#include "host/message.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/console.h"

/* The whole text in as few writes as may be; what can't be written is lost. */
static void put(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, text, len);
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

void message_text(const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        put(text, n);
        text += n;
        if (*text == '\n') {
            if (console_is_raw())
                put("\r\n", 2);
            else
                put("\n", 1);
            text++;
        }
    }
}

void message(const char *format, ...)
{
    char line[1024];
    va_list ap;
    int n = snprintf(line, sizeof line, "btvmm: ");

    va_start(ap, format);
    vsnprintf(line + n, sizeof line - (size_t)n - 1, format, ap);
    va_end(ap);
    /* One line, whatever names and guests put into it. */
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = '?';
    strcat(line, "\n");
    message_text(line);
}
