/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A map: a range of a file, its addresses, its lease when there is one. */
#ifndef MD_LIB_MAP_H
#define MD_LIB_MAP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include <mapdirect/mapdirect.h>

#include "engine.h"
#include "errmsg.h"
#include "event.h"
#include "guard.h"
#include "lease.h"
#include "populate.h"
#include "range.h"

TAILQ_HEAD(md__mrs, md__mr);
TAILQ_HEAD(md__attachments, md__attachment);
TAILQ_HEAD(md__grants, md_grant);

/* Of a map; QP_FENCED has those of the attachments. */
#define MD__SLOTS (MD_EVENT_POPULATE + 1)

/* Why the break under way, or the last one, came. */
struct md__cause {
	enum md_reason reason;
	int breaker_pid;
	char breaker_comm[16];
};

/*
 * A use may end in one thread while another unmaps: the put that ended the
 * last use still looks at the guard. And the service may have just been told
 * that the lease is readable. So the memory of a map stays until md_close(),
 * and these two members stay what they are: md_unmap() retires the map,
 * md_map() takes a retired one first.
 */
struct md_map {
	struct md__guard guard;
	atomic_bool readable; /* the lease may have something to say */

	/* Fixed from md_map() to md_unmap(). */
	struct md_context *ctx;
	const struct md__lease_ops *ops;
	struct md__range range; /* its fd is the library's own */
	bool restore;		/* MD_MAP_RESTORE */
	bool on_demand;		/* MD_MAP_ON_DEMAND */
	void *user_data;

	/* Protected by the context's list_lock; see service.h. */
	TAILQ_ENTRY(md_map) maps;
	bool claimed;
	bool passed_over; /* somebody wanted to drive it while it was claimed */

	/* Read and written by anybody. */
	atomic_bool restore_asked;	   /* md_restore() */
	atomic_bool want_asked;		   /* by a peer */
	_Atomic uint64_t timer;		   /* the engine's, for the service */
	_Atomic int state;		   /* enum md_map_state */
	_Atomic int stage;		   /* enum md__lease_stage */
	_Atomic uint64_t generation;	   /* the last that was live */
	_Atomic uint64_t urgent;	   /* until when, ns, restores give way to its break */
	_Atomic unsigned int open_recalls; /* grants that the break waits for */
	atomic_bool punish;		   /* the peer of a grant broke the rules */
	atomic_bool reconnected;	   /* a peer of a grant has another connection */

	/*
	 * Changed by who claimed the map, and with the lock; read with either. But where
	 * a restore pauses, the lock alone is enough to give up what it has so far.
	 */
	struct md__lease lease;
	struct md__populate populate;

	/* Protected by the lock, as are calls of verbs. */
	pthread_mutex_t lock;
	struct md__engine engine;
	struct md__mrs mrs;
	struct md__attachments attachments;
	struct md__grants grants;
	struct md__roll *roll; /* timelines.c */
	unsigned int pending;  /* MD__PARTY_* bits that are not done yet */
	struct md__cause cause;
	struct md_timeline timeline;
	int stuck;		  /* errno of a dereg or release that is to be repeated */
	int error;		  /* why there is no lease, once it is lost */
	char why[MD__ERRMSG_MAX]; /* the sentence to it */

	pthread_rwlock_t persist_lock;
	bool persistable; /* the pages are the file's: flushing makes sense */

	struct md__slot slot[MD__SLOTS]; /* by enum md_event_type */
	uint64_t last_fetched;		 /* theirs: event.h */
};

/* The failure of a call that needs a lease: EAGAIN or ESTALE. */
int md__map_fail_gone(const struct md_map *map);

/* Is an event of a retired map fetched and not acknowledged? With the list_lock. */
bool md__map_lent(const struct md__maps *retired);

/* Free the memory of maps, and of what hangs on them. */
void md__map_free_all(struct md__maps *maps);

#endif
