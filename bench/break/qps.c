// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <arpa/inet.h>
#include <string.h>

#include "must.h"
#include "qps.h"

#define PORT 1
#define DEPTH 8

static void parse_addr(const char *addr, union ibv_gid *gid)
{
	memset(gid, 0, sizeof(*gid));
	gid->raw[10] = 0xff;
	gid->raw[11] = 0xff;
	if (inet_pton(AF_INET, addr, gid->raw + 12) != 1 &&
	    inet_pton(AF_INET6, addr, gid->raw) != 1)
		errx(EXIT_USAGE, "%s is not an address", addr);
}

/* RoCE v2 has the address in the table; of two entries for it, v2 is the later one. */
static int find_gid(struct ibv_context *ctx, const union ibv_gid *wanted)
{
	union ibv_gid gid;
	int found = -1;

	for (int i = 0; i < 256 && !ibv_query_gid(ctx, PORT, i, &gid); i++) {
		if (!memcmp(gid.raw, wanted->raw, sizeof(gid.raw)))
			found = i;
	}
	return found;
}

static void open_device(struct qps *q, const char *addr)
{
	int n = 0;
	struct ibv_device **list = ibv_get_device_list(&n);

	for (int i = 0; i < n; i++) {
		q->ctx = ibv_open_device(list[i]);
		MUST(q->ctx);
		q->gid_index = find_gid(q->ctx, &q->gid);
		if (q->gid_index >= 0)
			break;
		ibv_close_device(q->ctx);
		q->ctx = NULL;
	}
	if (list)
		ibv_free_device_list(list);
	if (!q->ctx)
		errx(EXIT_CANNOT, "no RDMA device has the address %s", addr);
}

void qps_open(struct qps *q, const char *addr, int count)
{
	struct ibv_qp_init_attr attr = {
		.cap = { .max_send_wr = DEPTH,
			 .max_recv_wr = 1,
			 .max_send_sge = 1,
			 .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};

	*q = (struct qps){ .count = count };
	parse_addr(addr, &q->gid);
	open_device(q, addr);
	MUST(q->pd = ibv_alloc_pd(q->ctx));
	MUST(q->channel = ibv_create_comp_channel(q->ctx));
	MUST(q->cq = ibv_create_cq(q->ctx, DEPTH * (count ?: 1), NULL, q->channel, 0));
	attr.send_cq = q->cq;
	attr.recv_cq = q->cq;
	for (int i = 0; i < count; i++)
		MUST(q->qp[i] = ibv_create_qp(q->pd, &attr));
}

static void to_init(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	ERRNO_MUST(ibv_modify_qp(qp, &attr, IBV_QP_STATE));
	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_INIT,
		.port_num = PORT,
		.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ,
	};
	ERRNO_MUST(ibv_modify_qp(
		qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS));
}

void qps_join(struct qps *q, int i, uint32_t qpn)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = qpn,
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = 12,
		.ah_attr = {
			.is_global = 1,
			.port_num = PORT,
			.grh = {
				.dgid = q->gid,
				.sgid_index = (uint8_t)q->gid_index,
				.hop_limit = 1,
			},
		},
	};

	to_init(q->qp[i]);
	ERRNO_MUST(ibv_modify_qp(q->qp[i], &attr,
				 IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
					 IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
					 IBV_QP_MIN_RNR_TIMER));
	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTS,
		/* Half a second: with less, a machine that is slow sends all the more. */
		.timeout = 17,
		.retry_cnt = 6, /* with 7, rxe retries for ever */
		.rnr_retry = 6,
		.max_rd_atomic = 1,
	};
	ERRNO_MUST(ibv_modify_qp(q->qp[i], &attr,
				 IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
					 IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
					 IBV_QP_MAX_QP_RD_ATOMIC));
}

void qps_fail(struct qps *q, int i)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };

	ERRNO_MUST(ibv_modify_qp(q->qp[i], &attr, IBV_QP_STATE));
}
