/* SPDX-License-Identifier: GPL-2.0-only */
/* The pinned pages of a lease, as runs of adjacent page frames. */
#ifndef MAPDIRECT_EXTENT_H
#define MAPDIRECT_EXTENT_H

#include <linux/types.h>

struct address_space;
struct dev_pagemap;

/*
 * @index: first page, counted from the start of the lease
 * @pgmap: held, so that unbinding the driver waits for us
 */
struct md_extent {
	unsigned long index;
	unsigned long pfn;
	unsigned long nr;
	struct dev_pagemap *pgmap;
};

struct md_extents {
	struct md_extent *v;
	unsigned int nr;
	unsigned int max;
};

int md_extents_prefault(unsigned long addr, unsigned long nr_pages,
			const enum mapdirect_reason *broken);
int md_extents_pin(struct md_extents *e, unsigned long addr, unsigned long nr_pages,
		   struct address_space *mapping, pgoff_t index, unsigned int flags);
void md_extents_unpin(struct md_extents *e);
unsigned long md_extents_foreign(const struct md_extents *e, unsigned long limit);
const struct md_extent *md_extents_find(const struct md_extents *e, unsigned long index);

#endif
