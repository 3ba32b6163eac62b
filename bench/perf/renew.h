/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A receive that is posted to memory under a lease is a use without an end of its own,
 * and only the end of its queue pair takes it back. So in a break the side whose
 * receives they are begins, by a word over TCP; the other, which sees it when its sends
 * get nowhere, does the same. Then the connection is made anew, and each learns how
 * much has arrived, and sends the rest again.
 */
#ifndef BENCH_RENEW_H
#define BENCH_RENEW_H

#include "recvs.h"

/* The other side has begun; for loops that wait in vain. Looks after it as wire_idle(). */
bool renew_wanted(struct perf *p);

/*
 * False: the work request has failed because the other side has begun. Any other
 * failure ends the program.
 */
bool renew_check(struct perf *p, const struct ibv_wc *wc);

/*
 * All that was posted is gone, and the uses of our receives are put; those of our sends
 * are to be put before the second step. @r: our receives, or NULL.
 */
void renew_begin(struct perf *p, struct recvs *r);

/*
 * Waits for the lease, and posts receives. @arrived: messages of each queue pair that
 * the other side has got.
 */
void renew_end(struct perf *p, struct recvs *r, uint32_t *arrived);

/* Who has received all says it; who has sent all waits: false, if it is to renew. */
void renew_say_done(struct perf *p);
bool renew_wait_done(struct perf *p);

#endif
