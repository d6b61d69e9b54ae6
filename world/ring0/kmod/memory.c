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

static int new_table(struct pages *p, u64 size)
{
	p->held = 0;
	p->pfn = __vmalloc(PAGE_ALIGN(size / PAGE_SIZE * sizeof(p->pfn[0])), GFP_OURS);
	return p->pfn ? 0 : -ENOMEM;
}

/* Between two batches. */
static int breathe(void)
{
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

static int append(struct pages *p, struct page *page)
{
	unsigned long pfn = page_to_pfn(page);

	if (pfn > U32_MAX)
		return -ENOMEM;
	p->pfn[p->held++] = pfn;
	return 0;
}

int pages_pin(struct pages *p, u64 addr, u64 size)
{
	unsigned long n = size / PAGE_SIZE;
	int rc = new_table(p, size);

	p->pinned = true;
	while (!rc && p->held < n) {
		struct page *batch[BATCH];
		int i, got = pin_user_pages_fast(addr + p->held * PAGE_SIZE, min_t(unsigned long, n - p->held, BATCH),
						 FOLL_WRITE | FOLL_LONGTERM, batch);

		if (got <= 0)
			return got ? got : -EFAULT;
		for (i = 0; i < got && !rc; i++)
			rc = append(p, batch[i]);
		if (rc)
			unpin_user_pages(batch + i - 1, got - i + 1);
		else
			rc = breathe();
	}
	return rc;
}

int pages_alloc(struct pages *p, u64 size)
{
	unsigned long n = size / PAGE_SIZE;
	int rc = new_table(p, size);

	p->pinned = false;
	while (!rc && p->held < n) {
		struct page *page = alloc_page(GFP_OURS);

		if (!page)
			return -ENOMEM;
		rc = append(p, page);
		if (rc)
			__free_page(page);
		else if (p->held % BATCH == 0)
			rc = breathe();
	}
	return rc;
}

void pages_free(struct pages *p)
{
	while (p->held) {
		struct page *page = pfn_to_page(p->pfn[--p->held]);

		if (p->pinned)
			unpin_user_pages_dirty_lock(&page, 1, true);
		else
			__free_page(page);
		if (p->held % BATCH == 0)
			cond_resched();
	}
	vfree(p->pfn);
	p->pfn = NULL;
}

void *pages_address(const struct pages *p, unsigned long n)
{
	return page_address(pfn_to_page(p->pfn[n]));
}
