/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The board: which chip sits at which port, and who drives which IRQ line.
 *
 *   IRQ 0  8254 counter 0        000h-00Fh, 0C0h-0DFh  8237s (read zero)
 *   IRQ 1  i8042 keyboard        020h-021h, 0A0h-0A1h  8259 pair
 *   IRQ 4  16550, COM1           040h-043h             8254
 *   IRQ 8  MC146818              060h, 064h            i8042
 *   IRQ 12 i8042 auxiliary       061h, 092h, CF9h      system control
 *                                070h-071h             MC146818
 *                                080h-08Fh             POST code, DMA pages
 *                                3F8h-3FFh             16550
 *                                4D0h-4D1h             ELCR
 *                                CF8h, CFCh            PCI configuration: nobody there
 *
 * The chips are lazy: each computes its state from `now` when it is touched.
 * What must happen by itself is that a timer raises its IRQ line, and this
 * only if somebody can notice: an interrupt that is masked at the 8259
 * can only be noticed by reading a controller's register, and such a read
 * lets time pass first.  So board_deadline() ignores timers behind a masked
 * input, and a guest that has masked its timer sleeps until something else happens.
 * When the timers are due is asked once after each time that they were touched: guests write to the 8259s
 * several times for each tick.
 *
 * Counter 0's periods that were missed are made up for (i8254.c).  While IRQ 0
 * is masked they are kept too, for guests mask it in the handler, where the host may
 * take the CPU away as anywhere else; but if the mask lasts, the guest did without the timer
 * and gets no burst of old ticks. A mask set while the interrupt is in service lasts when the
 * backlog could hold no more anyway, any other one much sooner.
 */
#include "devices/hot/board.h"

#include "base/bits.h"
#include "base/mem.h"
#include "devices/hot/i8042.h"
#include "devices/hot/i8254.h"
#include "devices/hot/i8259.h"
#include "devices/hot/mc146818.h"
#include "devices/hot/ns16550.h"
#include "devices/hot/ports.h"

#define MASK_FORGETS_NS 250000000ull
#define HANDLER_FORGETS_NS (I8254_BACKLOG_SECONDS * 1000000000ull)

#define DUE_UNKNOWN 0

static const uint8_t due_irq[] = { 0, 8, 4 };

struct board {
    /* When the timers next raise these lines by themselves, and the first of that: nothing else happens before. */
    uint64_t due[ARRAY_SIZE(due_irq)], due_first;
    struct i8259 pic;
    struct i8254 pit;
    struct ns16550 uart;
    struct mc146818 rtc;
    struct i8042 kbc;
    struct ports ports;
    struct board_config config;
    uint64_t masked_since;      /* IRQ 0; UINT64_MAX = not masked */
    bool masked_in_service;     /* and that by its handler */
    bool nmi;                   /* raised and not yet through port 70h's mask */
    enum board_event event;
    uint32_t event_code;
};

size_t board_size(void)
{
    return sizeof(struct board);
}

/* --- wires --- */

static void wire_irq(void *opaque, unsigned irq, bool level)
{
    struct board *b = opaque;

    i8259_set_line(&b->pic, irq, level);
}

static void wire_acked(void *opaque, unsigned irq)
{
    struct board *b = opaque;

    if (irq == 0)
        i8254_acked(&b->pit);
}

static void wire_event(void *opaque, enum board_event event, uint32_t code)
{
    struct board *b = opaque;

    if (b->event != BOARD_NONE)
        return; /* the first one is not yet taken */
    b->event = event;
    b->event_code = code;
}

static void wire_reset(void *opaque)
{
    wire_event(opaque, BOARD_RESET, 0);
}

static struct irq_line wire(struct board *b, unsigned irq)
{
    return (struct irq_line){ .set = wire_irq, .opaque = b, .irq = irq };
}

void board_init(struct board *b, const struct board_config *c)
{
    struct irq_line irq0 = wire(b, 0), irq1 = wire(b, 1), irq4 = wire(b, 4);
    struct irq_line irq8 = wire(b, 8), irq12 = wire(b, 12);

    memset(b, 0, sizeof *b);
    b->config = *c;
    i8259_init(&b->pic, wire_acked, b);
    i8254_init(&b->pit, &irq0);
    ns16550_init(&b->uart, &irq4, c->serial_tx, c->opaque);
    mc146818_init(&b->rtc, c->wallclock_ns, c->ram_size, &irq8);
    i8042_init(&b->kbc, &irq1, &irq12, wire_reset, b);
    ports_init(&b->ports, &b->pit, &b->kbc, wire_event, b);
    b->masked_since = 0;
}

/* --- time --- */

static void due_look(struct board *b)
{
    b->due[0] = i8254_deadline(&b->pit);
    b->due[1] = mc146818_deadline(&b->rtc);
    b->due[2] = ns16550_deadline(&b->uart);
    b->due_first = min_u64(b->due[0], min_u64(b->due[1], b->due[2]));
}

void board_advance(struct board *b, uint64_t now)
{
    if (likely(now < b->due_first))
        return;
    i8254_advance(&b->pit, now);
    mc146818_advance(&b->rtc, now);
    ns16550_advance(&b->uart, now);
    due_look(b);
}

uint64_t board_deadline(struct board *b)
{
    uint64_t when = UINT64_MAX;

    if (b->due_first == DUE_UNKNOWN)
        due_look(b);
    for (unsigned i = 0; i < ARRAY_SIZE(due_irq); i++)
        if (b->due[i] < when && !i8259_masked(&b->pic, due_irq[i]))
            when = b->due[i];
    return when;
}

/* --- ports, byte by byte --- */

/* IRQ 0 may have been masked or unmasked. */
static void irq0_mask_written(struct board *b, uint64_t now, bool in_service)
{
    bool masked = i8259_masked(&b->pic, 0), was = b->masked_since != UINT64_MAX;

    if (masked == was)
        return;
    if (masked)
        b->masked_in_service = in_service;
    else if (now - b->masked_since > (b->masked_in_service ? HANDLER_FORGETS_NS : MASK_FORGETS_NS))
        i8254_drop_backlog(&b->pit, false);
    b->masked_since = masked ? now : UINT64_MAX;
}

static void pic_out(struct board *b, uint64_t now, unsigned chip, unsigned a0, uint8_t value)
{
    bool in_service = i8259_in_service(&b->pic, 0);

    board_advance(b, now);
    i8259_out(&b->pic, chip, a0, value);
    if (chip != 0)
        return;
    if (!a0 && value & BIT(4)) /* ICW1 has wiped out the request */
        i8254_drop_backlog(&b->pit, true);
    irq0_mask_written(b, now, in_service);
}

static uint8_t pic_in(struct board *b, uint64_t now, unsigned chip, unsigned a0)
{
    board_advance(b, now);
    return i8259_in(&b->pic, chip, a0);
}

/* Chips with timers. */
static uint8_t timed_in(struct board *b, uint64_t now, uint16_t port)
{
    b->due_first = DUE_UNKNOWN;
    switch (port) {
    case 0x40 ... 0x43:
        return i8254_in(&b->pit, now, port & 3);
    case 0x61:
        return ports_61_in(&b->ports, now);
    case 0x70 ... 0x71:
        return mc146818_in(&b->rtc, now, port & 1);
    default:
        return ns16550_in(&b->uart, now, port & 7);
    }
}

static void timed_out(struct board *b, uint64_t now, uint16_t port, uint8_t value)
{
    b->due_first = DUE_UNKNOWN;
    switch (port) {
    case 0x40 ... 0x43:
        i8254_out(&b->pit, now, port & 3, value);
        break;
    case 0x61:
        ports_61_out(&b->ports, now, value);
        break;
    case 0x70 ... 0x71:
        mc146818_out(&b->rtc, now, port & 1, value);
        break;
    default:
        ns16550_out(&b->uart, now, port & 7, value);
        break;
    }
}

static uint8_t board_in8(struct board *b, uint64_t now, uint16_t port)
{
    switch (port) {
    case 0x40 ... 0x43:
    case 0x61:
    case 0x70 ... 0x71:
    case 0x3f8 ... 0x3ff:
        return timed_in(b, now, port);
    case 0x20 ... 0x21:
        return pic_in(b, now, 0, port & 1);
    case 0xa0 ... 0xa1:
        return pic_in(b, now, 1, port & 1);
    case 0x60:
    case 0x64:
        return i8042_in(&b->kbc, port >> 2 & 1);
    case 0x80 ... 0x8f:
        return b->ports.page[port & 15];
    case 0x92:
        return ports_92_in(&b->ports);
    case 0x00 ... 0x0f:
    case 0xc0 ... 0xdf:
        return 0;
    case 0x4d0 ... 0x4d1:
        return i8259_elcr_in(&b->pic, port & 1);
    case 0xcf9:
        return ports_cf9_in(&b->ports);
    default:
        return 0xff;
    }
}

static void board_out8(struct board *b, uint64_t now, uint16_t port, uint8_t value)
{
    switch (port) {
    case 0x40 ... 0x43:
    case 0x61:
    case 0x70 ... 0x71:
    case 0x3f8 ... 0x3ff:
        timed_out(b, now, port, value);
        break;
    case 0x20 ... 0x21:
        pic_out(b, now, 0, port & 1, value);
        break;
    case 0xa0 ... 0xa1:
        pic_out(b, now, 1, port & 1, value);
        break;
    case 0x60:
    case 0x64:
        i8042_out(&b->kbc, port >> 2 & 1, value);
        break;
    case 0x80 ... 0x8f:
        b->ports.page[port & 15] = value;
        break;
    case 0x92:
        ports_92_out(&b->ports, value);
        break;
    case 0x4d0 ... 0x4d1:
        board_advance(b, now);
        i8259_elcr_out(&b->pic, port & 1, value);
        break;
    case 0xcf9:
        ports_cf9_out(&b->ports, value);
        break;
    }
}

/* The PCI configuration mechanism is 32 bits wide and answers as a whole: there is none. */
static bool pci_config(uint16_t port, unsigned size)
{
    return (port == 0xcf8 && size == 4) || (port >= 0xcfc && port <= 0xcff);
}

uint32_t board_in(struct board *b, uint64_t now, uint16_t port, unsigned size)
{
    uint32_t value = 0;

    if (likely(size == 1))
        return board_in8(b, now, port);
    if (pci_config(port, size))
        return size == 2 ? 0xffff : 0xffffffff;
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)board_in8(b, now, (uint16_t)(port + i)) << i * 8;
    return value;
}

void board_out(struct board *b, uint64_t now, uint16_t port, uint32_t value, unsigned size)
{
    if (unlikely(port == b->config.debug_exit_port && port != 0)) {
        wire_event(b, BOARD_EXIT, size == 1 ? (uint8_t)value : size == 2 ? (uint16_t)value : value);
        return;
    }
    if (likely(size == 1)) {
        board_out8(b, now, port, (uint8_t)value);
        return;
    }
    if (pci_config(port, size))
        return;
    for (unsigned i = 0; i < size; i++)
        board_out8(b, now, (uint16_t)(port + i), (uint8_t)(value >> i * 8));
}

/* --- interrupts, serial line, events --- */

bool board_intr(const struct board *b)
{
    return i8259_intr(&b->pic);
}

uint8_t board_inta(struct board *b)
{
    return i8259_inta(&b->pic);
}

bool board_spurious(const struct board *b, uint8_t *vector)
{
    return i8259_spurious(&b->pic, vector);
}

void board_raise_nmi(struct board *b)
{
    b->nmi = true;
}

bool board_take_nmi(struct board *b)
{
    bool through = b->nmi && !mc146818_nmi_masked(&b->rtc);

    if (through)
        b->nmi = false;
    return through;
}

unsigned board_serial_room(const struct board *b)
{
    return ns16550_room(&b->uart);
}

unsigned board_serial_rx(struct board *b, uint64_t now, const uint8_t *bytes, unsigned n)
{
    unsigned room = ns16550_room(&b->uart);

    if (n > room)
        n = room;
    b->due_first = DUE_UNKNOWN;
    for (unsigned i = 0; i < n; i++)
        ns16550_rx(&b->uart, now, bytes[i]);
    return n;
}

enum board_event board_take_event(struct board *b, uint32_t *code)
{
    enum board_event event = b->event;

    *code = b->event_code;
    b->event = BOARD_NONE;
    b->event_code = 0;
    return event;
}
