/*
 * One-line messages to standard error: "btvmm: text".
 *
 * World: VMX.  Safe while the terminal is raw (lines end in CR LF then).
 * No errors come back: there is nowhere to report them to.
 */
#ifndef HOST_MESSAGE_H
#define HOST_MESSAGE_H

#include <stdarg.h>

void message(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Text of many lines, as it is (but for CR LF on a raw terminal). */
void message_text(const char *text);

#endif
