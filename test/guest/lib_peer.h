/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A peer in a process of its own: it writes records where the holder lets it. */
#ifndef MD_TEST_GUEST_LIB_PEER_H
#define MD_TEST_GUEST_LIB_PEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib_holder.h"

#define LIB_PORT 7300
#define LIB_PEERS_MAX 16
#define LIB_PEER_DEPTH 16 /* writes under way, at most */
#define LIB_PEER_SLOTS 64 /* pages that are a peer's own, at most */
#define LIB_PEER_PAUSES 256

/*
 * Shared by the peer's process, the holder and the case.
 *
 * A record is a page full of one number, which says whose it is and which. Each peer
 * has each sixteenth page to itself, and writes its records there in turn, from 1 on.
 */
struct lib_peer {
	pid_t pid;

	/* What the holder says. */
	unsigned int index;
	unsigned int depth;	/* writes under way */
	unsigned int large;	/* bytes of each write, which is then no record */
	unsigned int per_grant; /* writes in each grant; 0: without end */
	unsigned int leaks;	/* so many of the smallest pieces of its heap in each grant */
	struct rdma_name holder;
	atomic_bool started, holder_ready, waits, stop, lazy;
	atomic_int signal; /* to its process */

	/* What the peer says. */
	struct rdma_name peer;
	atomic_bool peer_named, is_lazy, ended;
	atomic_int signalled;		     /* which @signal has been sent */
	atomic_uint posted;		     /* writes, counted before they are posted */
	atomic_uint writes;		     /* completed */
	atomic_uint errors;		     /* writes that completed with an error */
	atomic_uint asked;		     /* to make a write durable */
	atomic_uint persisted;		     /* MD_EVENT_PERSISTED */
	atomic_uint stale;		     /* of them, with ESTALE */
	atomic_uint grants;		     /* MD_EVENT_GRANTED */
	atomic_uint fenced;		     /* MD_EVENT_REMOTE_FENCED */
	atomic_uint connections;	     /* MD_EVENT_PEER_UP */
	atomic_ulong heap;		     /* bytes allocated when it was granted last */
	atomic_uint durable[LIB_PEER_SLOTS]; /* the record of a page, acknowledged as such */
	atomic_uint pauses;		     /* how many of @pause_ns are set */
	uint64_t pause_ns[LIB_PEER_PAUSES];  /* from the last write to the next, over a recall */
};

struct lib_peer *lib_peer_new(unsigned int index);

/*
 * Starts a process that connects to the holder, on the other machine if there is one
 * (lib_far.h). Lazy: it keeps a use open whatever comes, until @lazy is cleared. With
 * @waits it does not begin before that is cleared: to be started by a process that has
 * a holder's devices is no good, as librdmacm has some open for all of the process.
 */
void lib_peer_start(struct lib_peer *p);

/* Stops it, lets it go on, or kills it; it has been done on return. */
void lib_peer_signal(struct lib_peer *p, int signal);

/*
 * How many of the peer's pages are not as they must be: with the record that is known
 * to be durable, or a later one. From offset @gone on, somebody has emptied those that
 * have none later than @since.
 */
unsigned int lib_peer_lost(const struct lib_peer *p, const char *path, size_t length, size_t gone,
			   unsigned int since);

#endif
