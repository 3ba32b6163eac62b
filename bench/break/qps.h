/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Queue pairs of one process, to others on the same device. */
#ifndef BENCH_BREAK_QPS_H
#define BENCH_BREAK_QPS_H

#include <infiniband/verbs.h>

#include "options.h"

struct qps {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel; /* of the queue, should somebody ask it to notify */
	struct ibv_cq *cq;
	union ibv_gid gid;
	int gid_index;
	int count;
	struct ibv_qp *qp[QPS_MAX];
};

/* Of the device that has this address. Ends the program if there is none. */
void qps_open(struct qps *q, const char *addr, int count);

/* To the other end, or to itself; from whatever state it is in. */
void qps_join(struct qps *q, int i, uint32_t qpn);

/* The queue pair's traffic ends, as when it is fenced. */
void qps_fail(struct qps *q, int i);

#endif
