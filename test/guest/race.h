/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The module, stopped on its way while somebody else comes; needs a test build. */
#ifndef MD_TEST_GUEST_RACE_H
#define MD_TEST_GUEST_RACE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "holder.h"

/* A thread that asks for the lease of a holder that has its anchor. */
struct race {
	struct holder *h;
	pthread_t thread;
	atomic_bool ended;
	int err; /* of LEASE; 0: h has the lease */
};

/* Skips the case when the module is no test build. */
void race_needs_pause(void);

/* Until the thread is at this step of taking the lease. False: it ended, there is none. */
bool race_start(struct race *r, struct holder *h, unsigned int step);

/* Lets it go on, to its end: 0 or an errno. */
int race_finish(struct race *r);

/* The place is reached; and its end. Of RELEASE there is one, number 1. */
bool race_is_paused(void *unused);
void race_go_on(void);

#endif
