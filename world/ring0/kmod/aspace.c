// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Page tables of a VMM world: 4 KiB pages below four or five levels, as the host has it (LA57 can't be changed in
 * long mode).  SDM vol. 3A 4.5.
 *
 * Entries that lead to tables allow everything, user accesses too: with five levels the guest's 4 GiB and the
 * monitor share the root's first one. Only the last entry of a walk restricts.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include "aspace.h"
#include "memory.h"

#define TABLE_BITS (_PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED)
#define PAGE_BITS (_PAGE_PRESENT | _PAGE_ACCESSED | _PAGE_DIRTY)

static u64 *new_table(struct aspace *as)
{
	struct page *page = alloc_page(GFP_OURS);

	if (!page)
		return NULL;
	list_add(&page->lru, &as->tables);
	as->count++;
	return page_address(page);
}

int aspace_init(struct aspace *as)
{
	INIT_LIST_HEAD(&as->tables);
	as->count = 0;
	as->root = new_table(as);
	return as->root ? 0 : -ENOMEM;
}

void aspace_free(struct aspace *as)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &as->tables, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
	as->root = NULL;
}

u64 aspace_cr3(const struct aspace *as)
{
	return __pa(as->root);
}

/* The entry for la in a table of the given level (1: of pages); NULL: no memory. */
static u64 *find_entry(struct aspace *as, u64 la, int level)
{
	u64 *table = as->root;
	int l;

	for (l = pgtable_l5_enabled() ? 5 : 4; ; l--) {
		u64 *entry = &table[la >> (PAGE_SHIFT + 9 * (l - 1)) & 511];

		if (l == level)
			return entry;
		if (*entry & _PAGE_PRESENT) {
			table = __va(*entry & PTE_PFN_MASK);
			continue;
		}
		table = new_table(as);
		if (!table)
			return NULL;
		*entry = __pa(table) | TABLE_BITS;
	}
}

int aspace_map(struct aspace *as, u64 la, u64 pfn, enum aspace_use use)
{
	static const u64 bits[] = {
		[ASPACE_R] = PAGE_BITS | _PAGE_NX,
		[ASPACE_RW] = PAGE_BITS | _PAGE_RW | _PAGE_NX,
		[ASPACE_RX] = PAGE_BITS,
		[ASPACE_PDPT] = TABLE_BITS,
	};
	u64 *entry = find_entry(as, la, use == ASPACE_PDPT ? 4 : 1);

	if (!entry)
		return -ENOMEM;
	*entry = pfn << PAGE_SHIFT | bits[use];
	return 0;
}
