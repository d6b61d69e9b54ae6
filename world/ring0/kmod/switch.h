/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The world switch.
 *
 * World: host, CPL 0.  Calls: cross_init() once for a VM, cross_arrive() when it runs on another CPU than before,
 * world_switch() with interrupts off inside kernel_fpu_begin().  Nothing here allocates, sleeps or fails.
 */
#ifndef BTMON_SWITCH_H
#define BTMON_SWITCH_H

#include "crosspage.h"

void switch_setup(void); /* at load */
void cross_init(struct crosspage *x);
void cross_arrive(struct crosspage *x);
void world_switch(struct crosspage *x);

#endif
