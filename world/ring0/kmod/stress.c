// SPDX-License-Identifier: GPL-2.0-or-later
/* Self-test: how many instructions have been stepped, and behind how many of them an NMI was held. */
#include <linux/moduleparam.h>
#include "stress.h"

static unsigned long stress_steps, stress_nmis;
module_param(stress_steps, ulong, 0444);
module_param(stress_nmis, ulong, 0444);

void stress_count(struct crosspage *x)
{
	stress_steps += x->stress_steps;
	stress_nmis += x->stress_nmis;
	x->stress_steps = x->stress_nmis = 0;
}
