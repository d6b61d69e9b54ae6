/*
 * The resident devices of a plain PC, wired together: 8259 pair, 8254, MC146818,
 * 16550, i8042, port 61h, port 92h, POST port 80h, isa-debug-exit, CF9.
 *
 * World: monitor (freestanding: no libc, no floating point, no file-level
 * writable data).  Units: time is nanoseconds of guest time (monotonic, starts
 * near 0); ports and IRQ lines as on the PC.  Owner: struct vm.  The caller
 * passes `now` with every call that can depend on time; it never goes back.
 * Order: board_init() first.  Errors: none; an unclaimed port reads all ones.
 */
#ifndef DEVICES_HOT_BOARD_H
#define DEVICES_HOT_BOARD_H

#include "base/types.h"

struct board;

enum board_event { BOARD_NONE, BOARD_RESET, BOARD_EXIT };

struct board_config {
    uint64_t ram_size;        /* bytes, for CMOS memory size bytes */
    uint64_t wallclock_ns;    /* UTC since 1970 at guest time 0 */
    void (*serial_tx)(void *opaque, uint8_t byte);  /* a byte leaves COM1; never blocks */
    void *opaque;
    uint16_t debug_exit_port; /* isa-debug-exit, 0 = none; default 0xf4 */
};

size_t board_size(void);      /* bytes to allocate for a struct board */
void board_init(struct board *b, const struct board_config *c);

uint32_t board_in(struct board *b, uint64_t now, uint16_t port, unsigned size);
void board_out(struct board *b, uint64_t now, uint16_t port, uint32_t value, unsigned size);

/* Let time pass: fire timers due at or before now (raises IRQ lines). */
void board_advance(struct board *b, uint64_t now);
/* When board_advance() next has something to do that the guest would notice; UINT64_MAX = never.  Timers behind a masked
 * input do not count, so that an idle guest sleeps long. */
uint64_t board_deadline(struct board *b);

/* The 8259's INTR output, and the INTA cycle (returns the vector; a spurious one if INTR dropped). */
bool board_intr(const struct board *b);
uint8_t board_inta(struct board *b);
/* A spurious interrupt is possible now: the vector. */
bool board_spurious(const struct board *b, uint8_t *vector);

/* The NMI line: an edge, latched while port 70h masks it; true once for what has got through. */
void board_raise_nmi(struct board *b);
bool board_take_nmi(struct board *b);

/* Bytes typed on the serial line; returns how many the UART took (0 when its FIFO is full). */
unsigned board_serial_rx(struct board *b, uint64_t now, const uint8_t *bytes, unsigned n);
/* Room in the receive FIFO just now. */
unsigned board_serial_room(const struct board *b);

/* A machine-level event since the last call: reset line, debug exit (code in *code). */
enum board_event board_take_event(struct board *b, uint32_t *code);

#endif
