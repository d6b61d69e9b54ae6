/*
 * The run loop's parts (world/run.c, world/io.c); monitor_main() is in world/world.h.
 * World: VMM.  Owner: the run loop.
 */
#ifndef WORLD_RUN_H
#define WORLD_RUN_H

#include "base/vm.h"

/* Set the alarm anew: a device's next deadline may have moved. */
void run_arm(struct vm *vm);

void console_tx(void *opaque, uint8_t byte);
void console_rx(struct vm *vm);

#endif
