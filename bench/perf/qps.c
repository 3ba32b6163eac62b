// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "qps.h"

#include <sys/random.h>

#include "must.h"

/* As perftest's, but for RETRIES: with 7, rxe never gives a peer up that is gone. */
#define RETRIES 6
#define RNR_RETRIES 7
#define TIMEOUT 14 /* 4.096 us * 2^14 */
#define MIN_RNR_TIMER 12
#define HOP_LIMIT 64

#define PSN_MASK 0xffffff

static struct ibv_cq *create_cq(const struct device *dev, uint32_t entries)
{
	struct ibv_cq *cq = ibv_create_cq(dev->verbs, (int)entries, NULL, NULL, 0);

	if (!cq)
		err(1, "cannot create a completion queue of %u entries", entries);
	return cq;
}

static void create_qp(struct qps *q, uint32_t i)
{
	struct ibv_qp_init_attr attr = {
		.send_cq = q->send_cq,
		.recv_cq = q->recv_cq,
		.cap = {
			.max_send_wr = q->sends,
			.max_recv_wr = q->recvs,
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
		.qp_type = IBV_QPT_RC,
	};

	q->qp[i] = ibv_create_qp(q->dev->pd, &attr);
	if (!q->qp[i])
		err(1, "cannot create a queue pair with room for %u sends and %u receives",
		    q->sends, q->recvs);
}

void qps_make(struct qps *q)
{
	for (uint32_t i = 0; i < q->count; i++)
		create_qp(q, i);
}

static void destroy_qps(struct qps *q)
{
	for (uint32_t i = 0; i < q->count; i++)
		ERRNO_MUST(ibv_destroy_qp(q->qp[i]));
}

void qps_drop(struct qps *q)
{
	struct ibv_wc wc;

	destroy_qps(q);
	while (ibv_poll_cq(q->send_cq, 1, &wc) > 0 || ibv_poll_cq(q->recv_cq, 1, &wc) > 0)
		;
}

void qps_create(struct qps *q, const struct device *dev, uint32_t count, uint32_t sends,
		uint32_t recvs)
{
	*q = (struct qps){ .dev = dev, .count = count, .sends = sends, .recvs = recvs };
	q->send_cq = create_cq(dev, sends * count);
	q->recv_cq = create_cq(dev, recvs * count);
	qps_make(q);
}

void qps_destroy(struct qps *q)
{
	destroy_qps(q);
	ERRNO_MUST(ibv_destroy_cq(q->send_cq));
	ERRNO_MUST(ibv_destroy_cq(q->recv_cq));
}

static uint32_t min(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void qps_describe(const struct qps *q, struct qps_info *mine)
{
	*mine = (struct qps_info){
		.gid = q->dev->gid,
		.lid = q->dev->port.lid,
		.mtu = q->dev->port.active_mtu,
		.rd_atomic = min((uint32_t)q->dev->attr.max_qp_rd_atom,
				 (uint32_t)q->dev->attr.max_qp_init_rd_atom),
	};
	for (uint32_t i = 0; i < q->count; i++) {
		uint32_t random;

		MUST(getrandom(&random, sizeof(random), 0) == sizeof(random));
		mine->qpn[i] = q->qp[i]->qp_num;
		mine->psn[i] = random & PSN_MASK;
	}
}

static void to_init(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = DEVICE_PORT,
		.qp_access_flags =
			IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ,
	};

	ERRNO_MUST(ibv_modify_qp(
		qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS));
}

static void to_rtr(const struct qps *q, uint32_t i, const struct qps_info *mine,
		   const struct qps_info *theirs)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = min(mine->mtu, theirs->mtu),
		.dest_qp_num = theirs->qpn[i],
		.rq_psn = theirs->psn[i],
		.max_dest_rd_atomic = min(mine->rd_atomic, theirs->rd_atomic),
		.min_rnr_timer = MIN_RNR_TIMER,
		.ah_attr = {
			.dlid = theirs->lid,
			.port_num = DEVICE_PORT,
			.is_global = 1,
			.grh = {
				.dgid = theirs->gid,
				.sgid_index = q->dev->gid_index,
				.hop_limit = HOP_LIMIT,
			},
		},
	};

	ERRNO_MUST(ibv_modify_qp(q->qp[i], &attr,
				 IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
					 IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
					 IBV_QP_MIN_RNR_TIMER));
}

static void to_rts(const struct qps *q, uint32_t i, const struct qps_info *mine,
		   const struct qps_info *theirs)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.timeout = TIMEOUT,
		.retry_cnt = RETRIES,
		.rnr_retry = RNR_RETRIES,
		.sq_psn = mine->psn[i],
		.max_rd_atomic = min(mine->rd_atomic, theirs->rd_atomic),
	};

	ERRNO_MUST(ibv_modify_qp(q->qp[i], &attr,
				 IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
					 IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
					 IBV_QP_MAX_QP_RD_ATOMIC));
}

void qps_connect(struct qps *q, const struct qps_info *mine, const struct qps_info *theirs)
{
	for (uint32_t i = 0; i < q->count; i++) {
		to_init(q->qp[i]);
		to_rtr(q, i, mine, theirs);
		to_rts(q, i, mine, theirs);
	}
}
