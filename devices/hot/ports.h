/*
 * The odd ports of a PC board: system control 61h and 92h, POST code 80h, reset
 * control CF9h, DMA page and controller registers, isa-debug-exit.
 *
 * World: monitor.  Owner: whoever embeds struct ports.  Order: ports_init()
 * first.  Errors: none.  event() gets BOARD_RESET or BOARD_EXIT with a code.
 */
#ifndef DEVICES_HOT_PORTS_H
#define DEVICES_HOT_PORTS_H

#include "devices/hot/board.h"
#include "devices/hot/i8042.h"
#include "devices/hot/i8254.h"

struct ports {
    uint8_t control_b;      /* port 61h as written */
    uint8_t reset_control;  /* port CF9h */
    uint8_t page[16];       /* 80h-8Fh: DMA pages, 80h doubles as the POST code */
    struct i8254 *pit;
    struct i8042 *kbc;      /* has the A20 line */
    void (*event)(void *opaque, enum board_event event, uint32_t code);
    void *opaque;
};

void ports_init(struct ports *s, struct i8254 *pit, struct i8042 *kbc,
                void (*event)(void *opaque, enum board_event event, uint32_t code), void *opaque);
uint8_t ports_61_in(struct ports *s, uint64_t now);
void ports_61_out(struct ports *s, uint64_t now, uint8_t value);
uint8_t ports_92_in(const struct ports *s);
void ports_92_out(struct ports *s, uint8_t value);
uint8_t ports_cf9_in(const struct ports *s);
void ports_cf9_out(struct ports *s, uint8_t value);

#endif
