/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef BENCH_RECVS_H
#define BENCH_RECVS_H

#include "perf.h"

/* Receives, as many on each queue pair as fit and as are still to come. */
struct recvs {
	struct perf *p;
	uint32_t size;	/* 0: of words without bytes, which need no memory */
	uint32_t limit; /* messages on each queue pair */
	uint32_t depth;
	uint32_t posted[PLAN_QPS];
	uint32_t got[PLAN_QPS];
};

void recvs_open(struct recvs *r, struct perf *p, uint32_t size, uint32_t limit);

/* Ours are in a lease that is broken: the connection has to be renewed. */
bool recvs_broken(const struct recvs *r);

/* Posts what fits; nothing more in a break. */
void recvs_fill(struct recvs *r);

/*
 * Polls for up to POLL_BATCH; the completions tell the queue pair by their wr_id. The
 * uses of so many go on until recvs_put(): what has come can be made durable meanwhile.
 */
int recvs_poll(struct recvs *r, struct ibv_wc *wc);
void recvs_put(struct recvs *r, int n);

/* After renew_begin(). */
void recvs_drop(struct recvs *r);

#endif
