// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <stdbool.h>
#include <stdlib.h>

#include "child.h"
#include "clock.h"
#include "echo.h"
#include "must.h"

#define LENGTH 64 /* as short as what a peer and its holder say in a break */

static void open_end(struct echo_end *e, const char *addr)
{
	qps_open(&e->qps, addr, 1);
	MUST(e->buf = aligned_alloc(4096, 4096));
	MUST(e->mr = ibv_reg_mr(e->qps.pd, e->buf, 4096, IBV_ACCESS_LOCAL_WRITE));
	ERRNO_MUST(ibv_req_notify_cq(e->qps.cq, 1));
}

static void listen_once(struct echo_end *e)
{
	struct ibv_sge sge = { (uintptr_t)e->buf + LENGTH, LENGTH, e->mr->lkey };
	struct ibv_recv_wr *bad, wr = { .sg_list = &sge, .num_sge = 1 };

	ERRNO_MUST(ibv_post_recv(e->qps.qp[0], &wr, &bad));
}

static void say(struct echo_end *e)
{
	struct ibv_sge sge = { (uintptr_t)e->buf, LENGTH, e->mr->lkey };
	struct ibv_send_wr *bad, wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SOLICITED, /* only that wakes, not its completion here */
	};

	ERRNO_MUST(ibv_post_send(e->qps.qp[0], &wr, &bad));
}

static bool has_heard(struct echo_end *e)
{
	struct ibv_wc wc;
	bool heard = false;

	while (ibv_poll_cq(e->qps.cq, 1, &wc) > 0) {
		if (wc.status != IBV_WC_SUCCESS)
			errx(1, "echo: %s", ibv_wc_status_str(wc.status));
		heard |= wc.opcode == IBV_WC_RECV;
	}
	return heard;
}

static void hear(struct echo_end *e)
{
	while (!has_heard(e)) {
		struct ibv_cq *cq;
		void *arg;

		MUST(!ibv_get_cq_event(e->qps.channel, &cq, &arg));
		ibv_ack_cq_events(cq, 1);
		ERRNO_MUST(ibv_req_notify_cq(cq, 1));
	}
}

static bool is_known(const void *qpn)
{
	return atomic_load((const atomic_uint *)qpn);
}

static bool is_joined(const void *joined)
{
	return atomic_load((const atomic_bool *)joined);
}

static void run(void *arg)
{
	struct echo *shared = arg;
	struct echo_end e;

	wait_until(is_known, &shared->near_qpn, "the holder has a queue pair");
	open_end(&e, shared->addr);
	qps_join(&e.qps, 0, atomic_load(&shared->near_qpn));
	listen_once(&e);
	atomic_store(&shared->far_qpn, e.qps.qp[0]->qp_num);
	wait_until(is_joined, &shared->joined, "the holder has joined it");
	for (;;) {
		hear(&e);
		listen_once(&e);
		say(&e);
	}
}

struct echo *echo_start(const char *addr)
{
	struct echo *shared = shared_new(sizeof(*shared));

	shared->addr = addr;
	child_start(run, shared);
	return shared;
}

void echo_open(struct echo_end *e, struct echo *shared)
{
	open_end(e, shared->addr);
	atomic_store(&shared->near_qpn, e->qps.qp[0]->qp_num);
	wait_until(is_known, &shared->far_qpn, "the other end has a queue pair");
	qps_join(&e->qps, 0, atomic_load(&shared->far_qpn));
	atomic_store(&shared->joined, true);
}

uint64_t echo_once(struct echo_end *e)
{
	uint64_t begin;

	listen_once(e);
	begin = clock_ns();
	say(e);
	hear(e);
	return clock_ns() - begin;
}
