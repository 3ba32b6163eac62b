/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A holder with all of its peers. */
#ifndef MD_TEST_GUEST_LIB_CROWD_H
#define MD_TEST_GUEST_LIB_CROWD_H

#include "lib_holder.h"
#include "lib_peer.h"

/* What the holder has of a peer. */
struct lib_session {
	struct lib_peer *shared;
	struct md_peer *peer;
	struct md_mr *mr; /* all of the map */
	struct md_grant *grant;
	struct rdma rdma;
};

struct lib_crowd {
	struct lib l;
	struct lib_session s[LIB_PEERS_MAX];
	int count;
	struct md_listener *listener;
};

/* Makes the peers, whose settings can be changed now. */
void lib_crowd_new(struct lib_crowd *c, int count);

/* Starts them, maps a new file, grants all of it to each; they write. */
void lib_crowd_begin(struct lib_crowd *c, size_t length, uint32_t map_flags, uint32_t budget_ms);

/* Another peer for one that has left; it is started already, and may wait. */
void lib_crowd_replace(struct lib_crowd *c, int i, struct lib_peer *p);

/* Until each from @first on has completed so many more writes. */
void lib_crowd_wait_writes(struct lib_crowd *c, int first, unsigned int more);

/* None from @first on has lost a write, a queue pair or a request. */
void lib_crowd_check(struct lib_crowd *c, int first);

/* Gives back what is a peer's. */
void lib_crowd_dismiss(struct lib_crowd *c, int i);

/* Ends the processes, the sessions and the map; the file stays. */
void lib_crowd_end(struct lib_crowd *c);

/* The median of numbers, which it sorts. */
double lib_median(double *values, int count);

#endif
