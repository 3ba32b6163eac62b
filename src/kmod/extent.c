// SPDX-License-Identifier: GPL-2.0-only
/* Pinning, finding and counting the pages of a lease. */

#include <linux/gfp.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <mapdirect/uapi.h>

#include "dax.h"
#include "extent.h"
#include "protect.h"

#define MD_BATCH (PAGE_SIZE / sizeof(struct page *))
#define MD_UNPIN_BATCH 32768UL /* in one go, without a look at the scheduler */

static int md_extents_grow(struct md_extents *e)
{
	unsigned int max = e->max ? e->max * 2 : 8;
	struct md_extent *v;

	v = md_fault_here() ? NULL :
			      kvmalloc_array(max, sizeof(*v), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!v)
		return -ENOMEM;
	if (e->nr)
		memcpy(v, e->v, e->nr * sizeof(*v));
	kvfree(e->v);
	e->v = v;
	e->max = max;
	return 0;
}

static int md_extents_add(struct md_extents *e, unsigned long index, struct page *page)
{
	struct md_extent *last = e->nr ? &e->v[e->nr - 1] : NULL;
	unsigned long pfn = page_to_pfn(page);
	struct dev_pagemap *pgmap;
	int err;

	if (last && pfn == last->pfn + last->nr && page->pgmap == last->pgmap) {
		last->nr++;
		return 0;
	}
	if (e->nr == e->max) {
		err = md_extents_grow(e);
		if (err)
			return err;
	}
	pgmap = md_fault_here() ? NULL : get_dev_pagemap(pfn, NULL);
	if (!pgmap)
		return -ENODEV;
	if (!md_protected(MD_PROTECT_PGMAP)) {
		put_dev_pagemap(pgmap);
		pgmap = NULL;
	}
	e->v[e->nr++] = (struct md_extent){
		.index = index,
		.pfn = pfn,
		.nr = 1,
		.pgmap = pgmap,
	};
	return 0;
}

static struct page **md_batch_new(void)
{
	return md_fault_here() ? NULL : (struct page **)__get_free_page(GFP_KERNEL);
}

/* A batch ends where a huge page may end. */
static unsigned long md_batch_room(unsigned long addr)
{
	return MD_BATCH - (addr >> PAGE_SHIFT) % MD_BATCH;
}

/* Pins as many of nr pages at addr as go into a batch: how many, or an error. */
static int md_batch_pin(struct page **batch, unsigned long addr, unsigned long nr,
			unsigned int flags)
{
	int got = md_fault_here() ?: pin_user_pages_fast(addr, min(nr, md_batch_room(addr)),
							 FOLL_WRITE | flags, batch);

	return got ? got : -EFAULT;
}

/*
 * Fault nr_pages at addr of current->mm in for writing. Where blocks have to be
 * allocated this takes long; nothing is held from one batch to the next, so any
 * signal may end it, or a break. What was allocated stays, and is quickly passed
 * next time. The first page of a batch comes alone: where a huge page is mapped for
 * it, the others need no look at the page tables each.
 */
int md_extents_prefault(unsigned long addr, unsigned long nr_pages,
			const enum mapdirect_reason *broken)
{
	struct page **batch = md_batch_new();
	unsigned long done = 0;
	int err = 0;

	if (!batch)
		return -ENOMEM;
	while (done < nr_pages && !err) {
		unsigned long at = addr + done * PAGE_SIZE;
		bool first = md_batch_room(at) == MD_BATCH;
		int got = md_batch_pin(batch, at, first ? 1 : nr_pages - done, 0);

		if (got > 0) {
			unpin_user_pages(batch, got);
			done += got;
		} else {
			err = got;
		}
		if (!err && done < nr_pages && signal_pending(current))
			err = -EINTR;
		if (!err && READ_ONCE(*broken))
			err = -EAGAIN;
		cond_resched();
	}
	free_page((unsigned long)batch);
	return err;
}

/*
 * Pin nr_pages at addr of current->mm, which must be the pages of mapping from
 * index on. On failure nothing stays pinned; with FOLL_NOFAULT in flags, -EFAULT may
 * say that a page is not mapped now. Ends early for a fatal signal only: somebody
 * waits for the file's lock meanwhile, and the pages are there.
 */
int md_extents_pin(struct md_extents *e, unsigned long addr, unsigned long nr_pages,
		   struct address_space *mapping, pgoff_t index, unsigned int flags)
{
	struct page **batch = md_batch_new();
	unsigned long done = 0;
	int err = 0;

	if (!batch)
		return -ENOMEM;
	while (done < nr_pages && !err) {
		int i, got = md_batch_pin(batch, addr + done * PAGE_SIZE, nr_pages - done, flags);

		if (got < 0) {
			err = got;
			break;
		}
		for (i = 0; i < got && !err; i++) {
			err = md_dax_check_page(batch[i], mapping, index + done + i);
			if (!err)
				err = md_extents_add(e, done + i, batch[i]);
		}
		if (err) /* page i - 1 failed and is in no extent */
			unpin_user_pages(&batch[i - 1], got - i + 1);
		done += got;
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	free_page((unsigned long)batch);
	if (err)
		md_extents_unpin(e);
	return err;
}

void md_extents_unpin(struct md_extents *e)
{
	unsigned int i;

	for (i = 0; i < e->nr; i++) {
		struct md_extent *x = &e->v[i];
		unsigned long done, nr;

		for (done = 0; done < x->nr; done += nr) {
			nr = min(x->nr - done, MD_UNPIN_BATCH);
			unpin_user_page_range_dirty_lock(pfn_to_page(x->pfn + done), nr, false);
			cond_resched();
		}
		put_dev_pagemap(x->pgmap);
	}
	kvfree(e->v);
	*e = (struct md_extents){};
}

/*
 * How many pages somebody else holds a reference to; stops counting at limit.
 * An idle DAX page of order 0 has one reference (fs/dax.c,
 * dax_layout_busy_page()), and our pin adds GUP_PIN_COUNTING_BIAS.
 */
unsigned long md_extents_foreign(const struct md_extents *e, unsigned long limit)
{
	unsigned long foreign = 0;
	unsigned int i;

	for (i = 0; i < e->nr; i++) {
		unsigned long j;

		for (j = 0; j < e->v[i].nr; j++) {
			struct page *page = pfn_to_page(e->v[i].pfn + j);

			if (page_ref_count(page) > 1 + GUP_PIN_COUNTING_BIAS && ++foreign >= limit)
				return foreign;
			if (j % MD_BATCH == 0)
				cond_resched();
		}
	}
	return foreign;
}

/* The extent that holds page index of the lease; NULL if there is none. */
const struct md_extent *md_extents_find(const struct md_extents *e, unsigned long index)
{
	unsigned int lo = 0, hi = e->nr;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;
		const struct md_extent *x = &e->v[mid];

		if (index < x->index)
			hi = mid;
		else if (index >= x->index + x->nr)
			lo = mid + 1;
		else
			return x;
	}
	return NULL;
}
