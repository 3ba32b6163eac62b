// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "child.h"
#include "rdma.h"
#include "suite.h"

#define PORT 1
#define PAGE 4096

/* RoCE v2 over IPv4: its index depends on what other addresses there are. */
static int gid_index(struct ibv_context *ctx, union ibv_gid *gid)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	for (int i = 0; !ibv_query_gid(ctx, PORT, i, gid); i++)
		if (!memcmp(gid->raw, mapped, sizeof(mapped)))
			return i;
	suite_skip("the RDMA device has no IPv4 address");
}

static void init(struct rdma *r)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = PORT,
		.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ,
	};

	CHECK_EQ(
		ibv_modify_qp(r->qp, &attr,
			      IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS),
		0);
}

void rdma_open(struct rdma *r)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_qp_init_attr attr = {
		.cap = { .max_send_wr = 16,
			 .max_recv_wr = 1,
			 .max_send_sge = 1,
			 .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};

	if (!list || !list[0])
		suite_skip("there is no RDMA device");
	r->ctx = ibv_open_device(list[0]);
	CHECK(r->ctx);
	ibv_free_device_list(list);
	r->pd = ibv_alloc_pd(r->ctx);
	CHECK(r->pd);
	r->cq = ibv_create_cq(r->ctx, 32, NULL, NULL, 0);
	CHECK(r->cq);
	attr.send_cq = r->cq;
	attr.recv_cq = r->cq;
	r->qp = ibv_create_qp(r->pd, &attr);
	CHECK(r->qp);
	init(r);
	r->buf = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(r->buf != MAP_FAILED);
	r->buf_mr = ibv_reg_mr(r->pd, r->buf, PAGE, IBV_ACCESS_LOCAL_WRITE);
	CHECK(r->buf_mr);
}

struct rdma_name rdma_name(struct rdma *r)
{
	struct rdma_name name = { .qpn = r->qp->qp_num };

	gid_index(r->ctx, &name.gid);
	return name;
}

void rdma_join(struct rdma *r, const struct rdma_name *peer)
{
	union ibv_gid gid;
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = peer->qpn,
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = 12,
		.ah_attr = {
			.is_global = 1,
			.port_num = PORT,
			.grh = {
				.dgid = peer->gid,
				.sgid_index = gid_index(r->ctx, &gid),
				.hop_limit = 1,
			},
		},
	};

	CHECK_EQ(ibv_modify_qp(r->qp, &attr,
			       IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
				       IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
				       IBV_QP_MIN_RNR_TIMER),
		 0);
	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTS,
		/* Half a second: with less, a machine that is slow sends all the more. */
		.timeout = 17,
		.retry_cnt = 6, /* with 7, rxe retries for ever */
		.rnr_retry = 6,
		.max_rd_atomic = 1,
	};
	CHECK_EQ(ibv_modify_qp(r->qp, &attr,
			       IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
				       IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC),
		 0);
}

void rdma_reset(struct rdma *r)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	CHECK_EQ(ibv_modify_qp(r->qp, &attr, IBV_QP_STATE), 0);
	init(r);
}

void rdma_pair(struct rdma *a, struct rdma *b)
{
	struct rdma_name name;

	rdma_open(a);
	rdma_open(b);
	name = rdma_name(b);
	rdma_join(a, &name);
	name = rdma_name(a);
	rdma_join(b, &name);
}

void rdma_close(struct rdma *r)
{
	CHECK_EQ(ibv_destroy_qp(r->qp), 0);
	CHECK_EQ(ibv_dereg_mr(r->buf_mr), 0);
	CHECK_EQ(ibv_destroy_cq(r->cq), 0);
	CHECK_EQ(ibv_dealloc_pd(r->pd), 0);
	CHECK_EQ(ibv_close_device(r->ctx), 0);
	munmap(r->buf, PAGE);
}

struct ibv_mr *rdma_reg(struct rdma *r, void *addr, size_t length)
{
	return ibv_reg_mr(r->pd, addr, length, RDMA_ACCESS);
}

struct completion {
	struct ibv_cq *cq;
	struct ibv_wc wc;
};

static bool completed(void *arg)
{
	struct completion *c = arg;

	return ibv_poll_cq(c->cq, 1, &c->wc) != 0;
}

void rdma_post_from(struct rdma *r, const struct ibv_sge *from, uint64_t addr, uint32_t rkey)
{
	struct ibv_sge sge = *from;
	struct ibv_send_wr *bad, wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE,
		.wr.rdma = { .remote_addr = addr, .rkey = rkey },
	};

	CHECK_EQ(ibv_post_send(r->qp, &wr, &bad), 0);
}

void rdma_post(struct rdma *r, uint64_t addr, uint32_t rkey, char value)
{
	const struct ibv_sge sge = {
		.addr = (uintptr_t)r->buf,
		.length = PAGE,
		.lkey = r->buf_mr->lkey,
	};

	memset(r->buf, value, PAGE);
	rdma_post_from(r, &sge, addr, rkey);
}

enum ibv_wc_status rdma_poll(struct rdma *r, int limit_ms)
{
	struct completion c = { .cq = r->cq };

	return wait_until(completed, &c, limit_ms) ? c.wc.status : IBV_WC_GENERAL_ERR;
}

enum ibv_wc_status rdma_write(struct rdma *r, uint64_t addr, uint32_t rkey, char value)
{
	rdma_post(r, addr, rkey, value);
	return rdma_poll(r, SUITE_WAIT_MS);
}
