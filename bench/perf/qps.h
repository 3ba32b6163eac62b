/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef BENCH_QPS_H
#define BENCH_QPS_H

#include "device.h"
#include "plan.h"

/* What a side tells the other of its queue pairs. */
struct qps_info {
	union ibv_gid gid;
	uint16_t lid;
	uint32_t mtu;	    /* enum ibv_mtu */
	uint32_t rd_atomic; /* reads under way that it takes, and makes */
	uint32_t qpn[PLAN_QPS];
	uint32_t psn[PLAN_QPS];
};

/* The queue pairs of a run, reliable connections all, and their two queues. */
struct qps {
	const struct device *dev;
	uint32_t count;
	uint32_t sends; /* work requests that each may have posted */
	uint32_t recvs;
	struct ibv_cq *send_cq;
	struct ibv_cq *recv_cq;
	struct ibv_qp *qp[PLAN_QPS];
};

void qps_create(struct qps *q, const struct device *dev, uint32_t count, uint32_t sends,
		uint32_t recvs);
void qps_destroy(struct qps *q);

/* With new packet numbers. */
void qps_describe(const struct qps *q, struct qps_info *mine);

/* From RESET to ready to receive and to send. */
void qps_connect(struct qps *q, const struct qps_info *mine, const struct qps_info *theirs);

/*
 * Queue pairs that are new: whatever was posted is gone, completions included. (A mere
 * reset leaves rxe's receives in their queue.)
 */
void qps_drop(struct qps *q);
void qps_make(struct qps *q);

#endif
