// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "conn.h"
#include "fork.h"

static uint8_t *recv_slot(const struct md__conn *c, uint64_t n)
{
	return c->buf + n * MD__WIRE_MAX;
}

static uint8_t *send_slot(const struct md__conn *c, unsigned int n)
{
	return c->buf + (MD__CONN_RECVS + n % MD__CONN_SENDS) * MD__WIRE_MAX;
}

static int post_recv(struct md__conn *c, uint64_t n)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)recv_slot(c, n),
		.length = MD__WIRE_MAX,
		.lkey = c->mr->lkey,
	};
	struct ibv_recv_wr wr = { .wr_id = n, .sg_list = &sge, .num_sge = 1 };
	struct ibv_recv_wr *bad;

	errno = ibv_post_recv(c->id->qp, &wr, &bad);
	return errno ? -1 : 0;
}

static int make_queues(struct md__conn *c)
{
	struct ibv_qp_init_attr attr = {
		.cap = {
			.max_send_wr = MD__CONN_SENDS,
			.max_recv_wr = MD__CONN_RECVS,
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};

	md__fork_hold();
	c->channel = ibv_create_comp_channel(c->id->verbs);
	md__fork_let();
	if (!c->channel)
		return -1;
	if (fcntl(c->channel->fd, F_SETFL, O_NONBLOCK))
		return -1;
	c->recv_cq = ibv_create_cq(c->id->verbs, MD__CONN_RECVS, NULL, c->channel, 0);
	if (!c->recv_cq)
		return -1;
	c->send_cq = ibv_create_cq(c->id->verbs, MD__CONN_SENDS, NULL, c->channel, 0);
	if (!c->send_cq)
		return -1;
	attr.send_cq = c->send_cq;
	attr.recv_cq = c->recv_cq;
	if (rdma_create_qp(c->id, NULL, &attr))
		return -1;
	errno = ibv_req_notify_cq(c->recv_cq, 0);
	return errno ? -1 : 0;
}

int md__conn_prepare(struct md__conn *c)
{
	const size_t size = (MD__CONN_RECVS + MD__CONN_SENDS) * MD__WIRE_MAX;

	c->taken = -1;
	if (make_queues(c))
		return -1;
	c->buf = calloc(1, size);
	if (!c->buf)
		return -1;
	c->mr = ibv_reg_mr(c->id->pd, c->buf, size, IBV_ACCESS_LOCAL_WRITE);
	if (!c->mr)
		return -1;
	for (int n = 0; n < MD__CONN_RECVS; n++) {
		if (post_recv(c, n))
			return -1;
	}
	return 0;
}

void md__conn_destroy(struct md__conn *c)
{
	uint8_t *buf = c->buf;

	if (c->id->qp)
		rdma_destroy_qp(c->id);
	if (c->send_cq)
		ibv_destroy_cq(c->send_cq);
	if (c->recv_cq)
		ibv_destroy_cq(c->recv_cq);
	/* What a child after fork(2) closes and frees. */
	md__fork_hold();
	if (c->channel)
		ibv_destroy_comp_channel(c->channel);
	c->channel = NULL;
	c->buf = NULL;
	md__fork_let();
	if (c->mr)
		ibv_dereg_mr(c->mr);
	free(buf);
	rdma_destroy_id(c->id);
}

/* Count the sends that have ended. -1: one of them has failed. Any thread. */
static int reap(struct md__conn *c)
{
	struct ibv_wc wc;
	int n;

	while ((n = ibv_poll_cq(c->send_cq, 1, &wc)) > 0) {
		if (wc.status != IBV_WC_SUCCESS)
			break;
		atomic_fetch_add(&c->completed, 1);
	}
	if (!n)
		return 0;
	errno = ECONNRESET;
	return -1;
}

int md__conn_send(struct md__conn *c, const void *message, size_t length)
{
	unsigned int n = atomic_load(&c->sent);
	struct ibv_sge sge = {
		.addr = (uintptr_t)send_slot(c, n),
		.length = (uint32_t)length,
		.lkey = c->mr->lkey,
	};
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_SEND,
	};
	struct ibv_send_wr *bad;

	if (reap(c))
		return -1;
	if (n - atomic_load(&c->completed) >= MD__CONN_SENDS) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(send_slot(c, n), message, length);
	atomic_store(&c->sent, n + 1);
	errno = ibv_post_send(c->id->qp, &wr, &bad);
	if (!errno)
		return 0;
	atomic_store(&c->sent, n); /* it will not complete */
	return -1;
}

bool md__conn_is_idle(struct md__conn *c)
{
	ibv_req_notify_cq(c->send_cq, 0);
	return reap(c) || atomic_load(&c->sent) == atomic_load(&c->completed);
}

void md__conn_arm(struct md__conn *c)
{
	struct ibv_cq *cq;
	void *context;

	while (!ibv_get_cq_event(c->channel, &cq, &context))
		ibv_ack_cq_events(cq, 1);
	ibv_req_notify_cq(c->recv_cq, 0);
}

enum md__conn_news md__conn_poll(struct md__conn *c, const void **message, size_t *length)
{
	struct ibv_wc wc;
	int n;

	if (c->taken >= 0 && post_recv(c, c->taken))
		return MD__CONN_BROKEN;
	c->taken = -1;
	n = ibv_poll_cq(c->recv_cq, 1, &wc);
	if (!n)
		return MD__CONN_NOTHING;
	if (n < 0 || wc.status != IBV_WC_SUCCESS)
		return MD__CONN_BROKEN;
	c->taken = (int)wc.wr_id;
	*message = recv_slot(c, wc.wr_id);
	*length = wc.byte_len;
	return MD__CONN_MESSAGE;
}
