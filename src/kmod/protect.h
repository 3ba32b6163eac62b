/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a test build can do to itself: switch protections off one by one, so that
 * a test can show that it would see the damage, and have one step of taking a
 * lease fail, or wait for somebody to come in between. In a normal build each
 * answer is a constant and nothing of this is left in the object code.
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
	MD_PROTECT_ANCHOR = 6,	      /* the anchor shows the leased range */
	MD_PROTECT_BREAK_TIME = 7,    /* the lock core never drops the lease */
	MD_PROTECT_HOLDER = 8,	      /* only the holder's mm has the lease's use */
	MD_PROTECT_UNMAP = 9,	      /* unmapping the anchor is a break */
	MD_PROTECT_EXIT = 10,	      /* unmapping by exit is none */
	MD_PROTECT_CAP = 11,	      /* a deadline where lease-break-time is 0 */
	MD_PROTECT_NEXT_LEASE = 12,   /* see who waits for it without a notice */
	MD_PROTECT_ACQUIRE_ORDER = 13, /* i_rwsem, lease, notifier, then pin */
	MD_PROTECT_COW = 14,	      /* no file whose blocks a store could move */
	MD_PROTECT_NO_WAIT = 15,      /* the notifier does not wait */
	MD_PROTECT_FILE_SYSTEM = 16,  /* refuse those that do not break leases */
	MD_PROTECT_TRY_LOCK = 17,     /* never sleep on i_rwsem */
	MD_PROTECT_CREDENTIALS = 18,  /* give back whatever rights are left */
	MD_PROTECT_OWN_INODE = 19,    /* shut the mapping of one lease alone */
	MD_PROTECT_GONE = 20,	      /* kill nobody after exit or exec */
	MD_PROTECT_OWN_FILE = 21,     /* lease by an open of our own */
	MD_PROTECT_PGMAP = 22,	      /* unbinding the driver waits */
	MD_PROTECT_RETRY = 23,	      /* no lease that broke as it was taken */
};

#ifdef MAPDIRECT_TESTING
bool md_protected(enum md_protection p);

/* Sleeps for a while if it is the place that a test has chosen, by its number. */
void md_pause_here(void);

/*
 * At each step of taking a lease that can fail, and where a break is passed on;
 * a place to pause as well: -ENOMEM if it is the one that a test has chosen.
 */
int md_fault_here(void);
#else
static inline bool md_protected(enum md_protection p)
{
	return true;
}

static inline void md_pause_here(void)
{
}

static inline int md_fault_here(void)
{
	return 0;
}
#endif

#endif
