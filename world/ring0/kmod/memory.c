// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sets of pages. The table of page frame numbers is all the record there is: the monitor reads the same one.
 * A number has 32 bits: 16 TiB of machine memory; pages above are refused.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/vmalloc.h>
#include "memory.h"

#define BATCH 64

static unsigned long table_size(u64 size)
{
	return PAGE_ALIGN(size / PAGE_SIZE * sizeof(u32));
}

unsigned long pages_needed(u64 size)
{
	return (size + table_size(size)) / PAGE_SIZE;
}

static int new_table(struct pages *p, u64 size, bool pinned)
{
	p->held = 0;
	p->pinned = pinned;
	p->pfn = __vmalloc(table_size(size), GFP_OURS);
	return p->pfn ? 0 : -ENOMEM;
}

static void give_back(const struct pages *p, struct page *page)
{
	if (p->pinned)
		unpin_user_pages_dirty_lock(&page, 1, true);
	else
		__free_page(page);
}

/* The page belongs to the set from here on, or has been given back. */
static int append(struct pages *p, struct page *page)
{
	unsigned long pfn = page_to_pfn(page);

	if (pfn > U32_MAX) {
		give_back(p, page);
		return -ENOMEM;
	}
	p->pfn[p->held++] = pfn;
	if (p->held % BATCH)
		return 0;
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

int pages_pin(struct pages *p, u64 addr, u64 size)
{
	unsigned long n = size / PAGE_SIZE;
	int rc = new_table(p, size, true);

	while (!rc && p->held < n) {
		struct page *batch[BATCH];
		int i, got = pin_user_pages_fast(addr + p->held * PAGE_SIZE, min_t(unsigned long, n - p->held, BATCH),
						 FOLL_WRITE | FOLL_LONGTERM, batch);

		if (got <= 0)
			return got ?: -EFAULT;
		for (i = 0; i < got && !rc; i++)
			rc = append(p, batch[i]);
		for (; i < got; i++)
			give_back(p, batch[i]);
	}
	return rc;
}

int pages_alloc(struct pages *p, u64 size)
{
	int rc = new_table(p, size, false);

	while (!rc && p->held < size / PAGE_SIZE) {
		struct page *page = alloc_page(GFP_OURS);

		rc = page ? append(p, page) : -ENOMEM;
	}
	return rc;
}

void pages_free(struct pages *p)
{
	while (p->held) {
		give_back(p, pfn_to_page(p->pfn[--p->held]));
		if (p->held % BATCH == 0)
			cond_resched();
	}
	vfree(p->pfn);
	p->pfn = NULL;
}
