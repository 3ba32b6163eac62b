/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A context: settings, descriptors, the list of maps, the queue of events.
 *
 * Locks, outermost first (net_lock and map.lock: never both):
 *   map.lock            the map's engine, lease, regions, attachments; verbs
 *   map.persist_lock    whether md_persist() may flush
 *   context.net_lock    connections over rdma_cm
 *   context.list_lock   the lists of maps and peers, who drives which map
 *   peer.lock           the peer's session, its grants and remote ranges
 *   context.dev_lock    opening the device
 *   context.event_lock  all event slots and their queue
 *   the watch's locks   fcntl_watch.c: starting its thread, then its leases
 *   the fork lock       fork.h
 * None is held while an application has an event or runs code of its own.
 */
#ifndef MD_LIB_CONTEXT_H
#define MD_LIB_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include <mapdirect/mapdirect.h>
#include <mapdirect/uapi.h>

#include "carrier.h"
#include "event.h"
#include "peer.h"

struct md__lease_ops;
TAILQ_HEAD(md__maps, md_map);

enum md__fd {
	MD__FD_EPOLL, /* what the service waits for; threadless: events as well */
	MD__FD_LEASE, /* an epoll set in it: the leases, edge-triggered */
	MD__FD_TIMER, /* the earliest timer of all maps */
	MD__FD_WAKE,  /* a use ended, an event was acknowledged, a call was made */
	MD__FD_EVENT, /* there are events to fetch */
	MD__FD_DEV,   /* the provider's device, once it was needed */
	MD__FD_NET,   /* an epoll set: connections, once there was one to be made */
	MD__FDS,
};

struct md_context {
	uint32_t flags;
	uint64_t budget_ns;
	uint64_t fit_limit_ns;
	uint64_t keepalive_ns;
	char *device;
	const struct md__lease_ops *ops; /* what stands for MD_PROVIDER_KMOD */
	bool forked;			 /* set in the child only, when it has one thread */

	int fd[MD__FDS]; /* -1: not open */

	pthread_mutex_t dev_lock;
	struct mapdirect_info info;

	pthread_t thread;
	atomic_bool stop;
	bool again;	/* of who serves: another turn is wanted */
	uint64_t timer; /* of who serves: what MD__FD_TIMER is set to, 0: off */

	pthread_mutex_t list_lock;
	pthread_cond_t idle; /* a map is not driven any more */
	struct md__maps maps;
	struct md__maps retired; /* see map.h */
	unsigned int restoring;	 /* maps that had more to do in the last turn */
	struct md__peers peers;
	struct md__peers retired_peers; /* see peer.h */
	uint64_t turns;			/* of peers to have something flushed */
	uint64_t incarnation;		/* a random number, once there was a peer */

	pthread_mutex_t event_lock;
	struct md__slots events;
	uint64_t events_posted;
	atomic_bool untold; /* MD__FD_EVENT is to be raised yet, see event.h */

	pthread_mutex_t net_lock;
	struct rdma_event_channel *cm; /* NULL: not needed yet */
	struct md__carriers carriers;
	struct md__listeners listeners;

	TAILQ_ENTRY(md_context) contexts; /* fork.c */
};

/* Make an eventfd readable, or not; keeps errno. */
void md__fd_raise(int fd);
void md__fd_lower(int fd);

/* The failure of every call on a context that fork() copied. */
int md__fail_forked(void);

#endif
