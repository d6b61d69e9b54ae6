/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The serial console on a terminal, pipe or file.
 *
 * A terminal goes raw, so that every key but the escape Ctrl-A reaches the
 * guest.  The descriptor stays blocking, because its O_NONBLOCK would be shared
 * with the shell: output asks poll() first and writes small pieces.
 * A VM in the background of its terminal leaves the settings alone and does
 * not read (either would stop it).
 *
 * Ring indices are free running; the other side can put anything there, so
 * they are masked before use and lengths are clamped.
 */
#include "host/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/message.h"

#define CTRL_A 1
#define PIECE 1024u /* less than PIPE_BUF, so a pipe that polls writable takes it whole */

static struct termios saved_settings;
static volatile sig_atomic_t raw_fd = -1; /* the terminal to restore, -1 none */

bool console_is_raw(void)
{
    return raw_fd >= 0;
}

/* Async-signal-safe. */
static void restore(void)
{
    int fd = raw_fd;

    if (fd >= 0) {
        raw_fd = -1;
        tcsetattr(fd, TCSANOW, &saved_settings);
    }
}

static void fatal_signal(int sig)
{
    restore();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void guard_terminal(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT, SIGSYS};

    atexit(restore);
    for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
        signal(fatal[i], fatal_signal);
}

static void set_raw(int fd)
{
    struct termios t = saved_settings;

    cfmakeraw(&t);
    if (tcsetattr(fd, TCSANOW, &t) == 0)
        raw_fd = fd;
}

static bool is_foreground(int fd)
{
    return tcgetpgrp(fd) == getpgrp();
}

bool console_open(struct console *c, const char *spec)
{
    *c = (struct console){.in = -1, .out = -1};
    if (!strncmp(spec, "file:", 5)) {
        c->out = open(spec + 5, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
        if (c->out < 0)
            message("%s: %s", spec + 5, strerror(errno));
        return c->out >= 0;
    }
    if (strcmp(spec, "stdio"))
        return true;
    c->out = STDOUT_FILENO;
    if (!isatty(STDIN_FILENO)) {
        c->in = STDIN_FILENO;
    } else if (is_foreground(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &saved_settings) == 0) {
        c->in = STDIN_FILENO;
        guard_terminal();
        set_raw(c->in);
        c->raw = console_is_raw();
    }
    return true;
}

void console_close(struct console *c)
{
    restore();
    if (c->out > STDERR_FILENO)
        close(c->out);
    c->in = c->out = -1;
    c->raw = false;
}

void console_resume(struct console *c)
{
    if (c->raw && c->in >= 0 && is_foreground(c->in))
        set_raw(c->in);
}

static unsigned rx_room(const struct cross *x)
{
    uint32_t used = x->rx_head - x->rx_tail;
    return used < CROSS_RX_SIZE ? CROSS_RX_SIZE - used : 0;
}

bool console_wants_input(const struct console *c, const struct cross *x)
{
    return c->in >= 0 && (c->raw || rx_room(x) > 0);
}

static void rx_put(struct cross *x, uint8_t byte)
{
    uint32_t head = x->rx_head;

    if (rx_room(x) == 0)
        return; /* typed faster than the guest reads for 4096 bytes: lost, as on a real line */
    x->rx[head % CROSS_RX_SIZE] = byte;
    __atomic_store_n(&x->rx_head, head + 1, __ATOMIC_RELEASE);
}

static enum console_event escape_key(struct cross *x, uint8_t key, bool *fed)
{
    switch (key) {
    case 'x': case 'X':
        return CONSOLE_QUIT;
    case 's': case 'S':
        return CONSOLE_STATS;
    case CTRL_A:
        rx_put(x, CTRL_A);
        *fed = true;
        return CONSOLE_NOTHING;
    default:
        message_text("\nCtrl-A x ends the VM, Ctrl-A s prints counters, Ctrl-A h this, "
                     "Ctrl-A Ctrl-A sends Ctrl-A.\n");
        return CONSOLE_NOTHING;
    }
}

enum console_event console_input(struct console *c, struct cross *x, bool *fed)
{
    uint8_t buf[256];
    unsigned room = rx_room(x);
    size_t want = c->raw ? sizeof buf : min_u64(room, sizeof buf);
    enum console_event event = CONSOLE_NOTHING;

    *fed = false;
    ssize_t n = c->in >= 0 && want ? read(c->in, buf, want) : 0;
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return CONSOLE_NOTHING;
    if (n <= 0) {
        bool gone = c->raw;
        c->in = -1; /* end of input: the guest runs on without */
        return gone ? CONSOLE_GONE : CONSOLE_NOTHING;
    }
    for (ssize_t i = 0; i < n && event == CONSOLE_NOTHING; i++) {
        if (c->escape) {
            c->escape = false;
            event = escape_key(x, buf[i], fed);
        } else if (c->raw && buf[i] == CTRL_A) {
            c->escape = true;
        } else {
            rx_put(x, buf[i]);
            *fed = true;
        }
    }
    return event;
}

bool console_has_output(const struct cross *x)
{
    return __atomic_load_n(&x->tx_head, __ATOMIC_SEQ_CST) != x->tx_tail;
}

/* Write one piece; false when that is all for now (*event says if the reader has gone). */
static bool output_piece(struct console *c, struct cross *x, bool block, enum console_event *event)
{
    uint32_t tail = x->tx_tail, n = __atomic_load_n(&x->tx_head, __ATOMIC_ACQUIRE) - tail;
    uint32_t at = tail % CROSS_TX_SIZE;

    if (n > CROSS_TX_SIZE)
        n = CROSS_TX_SIZE; /* the writer went astray: keep to the ring */
    n = (uint32_t)min_u64(min_u64(n, PIECE), CROSS_TX_SIZE - at);
    if (n == 0)
        return false;
    if (c->out >= 0 && !c->out_closed) {
        struct pollfd p = {.fd = c->out, .events = POLLOUT};
        if (poll(&p, 1, block ? 1000 : 0) <= 0)
            return false;
        ssize_t done = write(c->out, x->tx + at, n);
        if (done < 0 && (errno == EINTR || errno == EAGAIN))
            return errno == EINTR;
        if (done < 0) {
            *event = CONSOLE_GONE;
            if (errno != EPIPE && errno != EIO)
                message("serial output: %s", strerror(errno));
            c->out_closed = true;
            done = n;
        }
        n = (uint32_t)done;
    }
    /* A full barrier before tx_head is looked at again: the writer stores its head, then looks at the tail
     * to see whether to ring, and one of the two must see the other. */
    __atomic_store_n(&x->tx_tail, tail + n, __ATOMIC_SEQ_CST);
    return true;
}

enum console_event console_output(struct console *c, struct cross *x, bool all)
{
    enum console_event event = CONSOLE_NOTHING;
    /* A guest that prints without end must not keep us from the rest: one ring's worth a call. */
    unsigned pieces = CROSS_TX_SIZE / PIECE + 1;

    while (pieces-- > 0 && output_piece(c, x, all, &event))
        ;
    return event;
}
