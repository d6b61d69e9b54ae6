/*
 * The terminal and the guest's first serial line.
 *
 * World: VMX, main thread (console_restore() is also safe in a signal
 * handler).  Ownership: the terminal's settings are saved at console_open()
 * and put back by console_close(), at exit() and on fatal signals.  Units:
 * bytes.  Errors: console_open() says one line and returns false; a terminal
 * that has gone away shows as CONSOLE_GONE.
 */
#ifndef HOST_CONSOLE_H
#define HOST_CONSOLE_H

#include "base/types.h"
#include "world/cross.h"

enum console_event { CONSOLE_NOTHING, CONSOLE_QUIT, CONSOLE_STATS, CONSOLE_GONE };

struct console {
    int in, out;          /* -1: none */
    bool raw;             /* a terminal in raw mode: escapes are live */
    bool escape;          /* Ctrl-A was the last byte */
    bool out_closed;      /* the reader has gone; output is dropped */
};

/* spec is --serial's argument. */
bool console_open(struct console *c, const char *spec);
void console_close(struct console *c);
bool console_is_raw(void);
/* After SIGCONT: the shell may have changed the terminal. */
void console_resume(struct console *c);

/* Read what has been typed into the rx ring.  *fed says whether the guest has got something. */
enum console_event console_input(struct console *c, struct cross *x, bool *fed);
/* Is there room for input, so that it is worth polling for? */
bool console_wants_input(const struct console *c, const struct cross *x);

/* Write out the tx ring as far as that does not block; `all`: to its end, blocking. */
enum console_event console_output(struct console *c, struct cross *x, bool all);
bool console_has_output(const struct cross *x);

#endif
