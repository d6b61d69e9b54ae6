/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sets of pages: the caller's, pinned, or our own.
 *
 * World: host, process context; may sleep.  Units: bytes where named size, else pages.  Owner: whoever has
 * struct pages, until pages_free(), which takes it in any state. Errors: -EFAULT, -ENOMEM, -EINTR.
 */
#ifndef BTMON_MEMORY_H
#define BTMON_MEMORY_H

#include <linux/gfp.h>
#include <linux/types.h>

/* Rather fail than have the OOM killer look for a victim: the caller can do with less. */
#define GFP_OURS (GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

struct pages {
	u32 *pfn;           /* of each page; in whole pages of its own, which a VMM world can map */
	unsigned long held; /* so many are there */
	bool pinned;
};

int pages_pin(struct pages *p, u64 addr, u64 size);
int pages_alloc(struct pages *p, u64 size); /* zeroed */
unsigned long pages_needed(u64 size); /* pages for so much, and for the table of their numbers */
void pages_free(struct pages *p);

#endif
