/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <rdma/rdma_verbs.h>

#define RECVS 16
#define CLOSE_WAIT_MS 500

/*
 * A requester with a retry count of 7 never completes against a queue pair
 * that is gone; the same number means "for ever" for receiver-not-ready.
 */
#define RETRIES 6

static const struct rdma_conn_param conn_param = {
	.responder_resources = 4,
	.initiator_depth = 4,
	.retry_count = RETRIES,
	.rnr_retry_count = RETRIES,
};

static struct rdma_cm_id *endpoint(const char *addr, const char *port, int flags)
{
	const struct rdma_addrinfo hints = { .ai_flags = flags, .ai_port_space = RDMA_PS_TCP };
	struct ibv_qp_init_attr attr = {
		.cap = {
			.max_send_wr = CONN_POST_MAX,
			.max_recv_wr = RECVS,
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};
	struct rdma_addrinfo *res;
	struct rdma_cm_id *id;
	int err;

	if (rdma_getaddrinfo(addr, port, &hints, &res)) {
		errno = EADDRNOTAVAIL;
		return NULL;
	}
	if (rdma_create_ep(&id, res, NULL, &attr))
		id = NULL;
	err = errno;
	rdma_freeaddrinfo(res);
	errno = err;
	return id;
}

struct rdma_cm_id *conn_listen(const char *addr, const char *port)
{
	struct rdma_cm_id *id = endpoint(addr, port, RAI_PASSIVE);
	int err;

	if (!id)
		return NULL;
	if (!id->pd)
		errno = EADDRNOTAVAIL; /* a wildcard: no device yet */
	else if (!rdma_listen(id, 1))
		return id;
	err = errno;
	rdma_destroy_ep(id);
	errno = err;
	return NULL;
}

static int post_recv(struct conn *c, int slot)
{
	return rdma_post_recv(c->id, (void *)(uintptr_t)slot, c->buf + slot * CONN_MSG_MAX,
			      CONN_MSG_MAX, c->mr);
}

/* Between creation of the queue pair and the handshake. */
static int prepare(struct conn *c)
{
	const size_t size = (RECVS + 1) * CONN_MSG_MAX;

	c->buf = calloc(1, size);
	if (!c->buf)
		return -1;
	c->mr = rdma_reg_msgs(c->id, c->buf, size);
	if (!c->mr)
		return -1;
	for (int slot = 0; slot < RECVS; slot++)
		if (post_recv(c, slot))
			return -1;
	return 0;
}

/*
 * From here on the connection is polled: with an event channel of its own
 * rdma_disconnect(3) does not wait for a peer that may be stopped or gone.
 */
static int connected(struct conn *c)
{
	struct rdma_event_channel *channel = rdma_create_event_channel();

	if (!channel)
		return -1;
	if (rdma_migrate_id(c->id, channel)) {
		rdma_destroy_event_channel(channel);
		return -1;
	}
	c->channel = channel;
	if (fcntl(c->id->recv_cq_channel->fd, F_SETFL, O_NONBLOCK))
		return -1;
	return fcntl(c->id->send_cq_channel->fd, F_SETFL, O_NONBLOCK);
}

int conn_accept(struct conn *c, struct rdma_cm_id *listener)
{
	struct rdma_conn_param param = conn_param;
	int err;

	*c = (struct conn){ 0 };
	if (rdma_get_request(listener, &c->id))
		return -1;
	if (!prepare(c) && !rdma_accept(c->id, &param) && !connected(c))
		return 0;
	err = errno;
	conn_close(c);
	errno = err;
	return -1;
}

int conn_connect(struct conn *c, const char *addr, const char *port)
{
	struct rdma_conn_param param = conn_param;
	int err;

	*c = (struct conn){ .id = endpoint(addr, port, 0) };
	if (!c->id)
		return -1;
	if (!prepare(c) && !rdma_connect(c->id, &param) && !connected(c))
		return 0;
	err = errno;
	conn_close(c);
	errno = err;
	return -1;
}

/* Sets the queue pair to ERR, so what is posted completes with a flush. */
static void hang_up(struct conn *c)
{
	if (c->ended)
		return;
	c->ended = true;
	rdma_disconnect(c->id);
}

static bool cm_event_pending(const struct conn *c, int timeout_ms)
{
	struct pollfd pfd = { .fd = c->channel->fd, .events = POLLIN };

	return poll(&pfd, 1, timeout_ms) > 0;
}

void conn_close(struct conn *c)
{
	if (c->channel) {
		hang_up(c);
		cm_event_pending(c, CLOSE_WAIT_MS);
	}
	if (c->mr)
		rdma_dereg_mr(c->mr);
	if (c->id)
		rdma_destroy_ep(c->id);
	if (c->channel)
		rdma_destroy_event_channel(c->channel);
	free(c->buf);
	*c = (struct conn){ 0 };
}

/* Ask for the next notification; the caller polls the CQ again after it. */
static void arm(struct ibv_comp_channel *channel, struct ibv_cq *cq)
{
	struct ibv_cq *from;
	void *context;

	while (!ibv_get_cq_event(channel, &from, &context))
		ibv_ack_cq_events(from, 1);
	ibv_req_notify_cq(cq, 0);
}

/* Sleep until one of both can have news. */
static void wait_for(struct conn *c, struct ibv_comp_channel *channel)
{
	struct pollfd pfd[] = {
		{ .fd = channel->fd, .events = POLLIN },
		{ .fd = c->ended ? -1 : c->channel->fd, .events = POLLIN },
	};

	if (poll(pfd, 2, -1) > 0 && pfd[1].revents)
		hang_up(c);
}

int conn_reap(struct conn *c, int count)
{
	struct ibv_wc wc;
	bool failed = false;
	bool armed = false;

	while (count) {
		int n = ibv_poll_cq(c->id->send_cq, 1, &wc);

		if (n < 0) {
			errno = EIO;
			return -1;
		}
		if (n > 0) {
			failed |= wc.status != IBV_WC_SUCCESS;
			count--;
		} else if (armed) {
			wait_for(c, c->id->send_cq_channel);
			armed = false;
		} else {
			arm(c->id->send_cq_channel, c->id->send_cq);
			armed = true;
		}
	}
	if (!failed)
		return 0;
	hang_up(c);
	errno = ENOTCONN;
	return -1;
}

int conn_send(struct conn *c, const void *msg, size_t length)
{
	unsigned char *slot = c->buf + RECVS * CONN_MSG_MAX;

	if (c->ended) {
		errno = ENOTCONN;
		return -1;
	}
	memcpy(slot, msg, length);
	if (rdma_post_send(c->id, NULL, slot, length, c->mr, 0))
		return -1;
	return conn_reap(c, 1);
}

int conn_post_rdma(struct conn *c, enum ibv_wr_opcode opcode, const struct ibv_sge *local,
		   uint64_t remote_addr, uint32_t rkey)
{
	struct ibv_sge sge = *local;
	struct ibv_send_wr *bad;
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = opcode,
		.wr.rdma = { .remote_addr = remote_addr, .rkey = rkey },
	};

	errno = ibv_post_send(c->id->qp, &wr, &bad);
	return errno ? -1 : 0;
}

void conn_poll_fds(const struct conn *c, struct pollfd *pfd)
{
	pfd[0] = (struct pollfd){ .fd = c->id->recv_cq_channel->fd, .events = POLLIN };
	pfd[1] = (struct pollfd){ .fd = c->channel->fd, .events = POLLIN };
}

int conn_recv(struct conn *c, void *msg, size_t length)
{
	struct ibv_wc wc;
	int n = ibv_poll_cq(c->id->recv_cq, 1, &wc);

	if (!n) {
		arm(c->id->recv_cq_channel, c->id->recv_cq);
		n = ibv_poll_cq(c->id->recv_cq, 1, &wc);
	}
	if (!n) {
		if (!c->ended && !cm_event_pending(c, 0))
			return 0;
		/* the last words come before the end, and may have come since we looked */
		n = ibv_poll_cq(c->id->recv_cq, 1, &wc);
	}
	if (n <= 0 || wc.status != IBV_WC_SUCCESS) {
		hang_up(c);
		errno = ENOTCONN;
		return -1;
	}
	if (wc.byte_len != length) {
		errno = EPROTO;
		return -1;
	}
	memcpy(msg, c->buf + wc.wr_id * CONN_MSG_MAX, length);
	return post_recv(c, wc.wr_id) ? -1 : 1;
}

int conn_wait(struct conn *c, void *msg, size_t length)
{
	int n;

	while (!(n = conn_recv(c, msg, length)))
		wait_for(c, c->id->recv_cq_channel);
	return n < 0 ? -1 : 0;
}
