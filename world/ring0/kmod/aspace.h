/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page tables of a VMM world.
 *
 * World: host.  Units: linear addresses of the VMM world, page frame numbers.  Owner: struct vm; the tables are
 * the address space's, what they map is not.  Errors: -ENOMEM.  Order: aspace_init() first, aspace_free()
 * in any state after.  May sleep.
 */
#ifndef BTMON_ASPACE_H
#define BTMON_ASPACE_H

#include <linux/list.h>
#include <linux/types.h>

struct aspace {
	u64 *root;
	struct list_head tables;
	unsigned long count; /* of tables */
};

/* Pages; and a table of somebody else's for 512 GiB (a page-directory-pointer table). */
enum aspace_use { ASPACE_R, ASPACE_RW, ASPACE_RX, ASPACE_PDPT };

int aspace_init(struct aspace *as);
void aspace_free(struct aspace *as);
u64 aspace_cr3(const struct aspace *as);
int aspace_map(struct aspace *as, u64 la, u64 pfn, enum aspace_use use);

#endif
