/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The protections that a test build can switch off one by one, so that a test
 * can show that it would see the damage. In a normal build every test of them
 * is the constant true and nothing of this is left in the object code.
 */
#ifndef MAPDIRECT_PROTECT_H
#define MAPDIRECT_PROTECT_H

#include <linux/types.h>

enum md_protection {
	MD_PROTECT_NRPAGES = 0,	      /* the count that makes swapext refuse */
	MD_PROTECT_NOTIFIER = 1,      /* notice of truncate and hole punch */
	MD_PROTECT_DEFER = 2,	      /* close waits for foreign pins */
	MD_PROTECT_RELEASE_ORDER = 3, /* shut the mapping, then count pins */
	MD_PROTECT_KILL = 4,	      /* kill the holder at the deadline */
	MD_PROTECT_OVERLAP = 5,	      /* refuse overlapping leases */
};

#ifdef MAPDIRECT_TESTING
bool md_protected(enum md_protection p);
#else
static inline bool md_protected(enum md_protection p)
{
	return true;
}
#endif

#endif
