/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * On which hosts the module does not work, as a function of what main.c has found out about this one.
 *
 * World: host; also compiled into a unit test, for most of these machines can't be had to try it on.
 */
#ifndef BTMON_REFUSAL_H
#define BTMON_REFUSAL_H

#ifdef __KERNEL__
#include <linux/stddef.h>
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#endif

struct host_facts {
	bool xen_pv; /* the kernel is a paravirtual Xen guest */
	bool mem_encrypt; /* SME, SEV or TDX: addresses in page tables have one more bit */
	bool fred; /* CR4.FRED */
	bool nx;
	bool locked_down; /* can become true at any time */
};

/* Why there is no ring-0 world on such a host; NULL: there is. */
const char *host_refusal(const struct host_facts *host);

#endif
