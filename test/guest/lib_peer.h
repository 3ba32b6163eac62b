/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Peer processes of a holder that uses the library: each writes what it was granted. */
#ifndef MD_TEST_GUEST_LIB_PEER_H
#define MD_TEST_GUEST_LIB_PEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib_holder.h"

#define LIB_PEERS_MAX 16
#define LIB_PEER_DEPTH 16 /* writes of a page under way */
#define LIB_PEER_PAUSES 256

/* Shared by the peer's process, the holder and the case. */
struct lib_peer {
	int port;
	unsigned int index;
	pid_t pid;
	struct rdma_name peer, holder;
	atomic_bool peer_named, holder_ready, stop, lazy;
	atomic_uint writes;		    /* completed */
	atomic_uint errors;		    /* writes that completed with an error */
	atomic_uint persisted;		    /* MD_EVENT_PERSISTED */
	atomic_uint stale;		    /* of them, with ESTALE */
	atomic_uint fenced;		    /* MD_EVENT_REMOTE_FENCED */
	atomic_uint connections;	    /* MD_EVENT_PEER_UP */
	atomic_uint pauses;		    /* how many of @pause_ns are set */
	uint64_t pause_ns[LIB_PEER_PAUSES]; /* from the last write to the next, over a recall */
};

/* What the holder has of it. */
struct lib_session {
	struct lib_peer *shared;
	struct md_peer *peer;
	struct md_mr *mr; /* all of the map */
	struct md_grant *grant;
	struct rdma rdma;
};

/*
 * Starts a process that connects to a holder of this machine. Lazy: it keeps a use
 * open whatever comes, until @lazy is cleared.
 */
struct lib_peer *lib_peer_start(int port, unsigned int index);

/* By the holder: take all of them, attach their queue pairs, grant all of the map. */
void lib_peers_serve(struct lib *l, struct lib_session *s, struct lib_peer **shared, int count);

/* Until each has completed so many more writes. */
void lib_peers_wait_writes(struct lib_session *s, int count, unsigned int more);

/* Ends the processes, and the sessions. */
void lib_peers_stop(struct lib *l, struct lib_session *s, int count);

/* The median of numbers, which it sorts. */
double lib_median(double *values, int count);

#endif
