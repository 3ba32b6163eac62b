// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>

#include "child.h"
#include "must.h"
#include "peer.h"
#include "qps.h"

#define PAGE 4096
#define DEPTH 2 /* writes under way */
#define KEEPALIVE_MS 10000
/* Between two looks for a completion: peers are not to take the holder's CPU. */
#define LOOK_US 50

struct writer {
	struct peer *p;
	struct qps qps;
	struct md_context *ctx;
	struct md_peer *holder;
	struct md_remote *remote;
	char *buf;
	struct ibv_mr *mr;
	unsigned int uses; /* open ones, of which each but the silent peer's is a write */
	unsigned int posted;
};

static void join(struct writer *w)
{
	for (int i = 0; i < w->qps.count; i++)
		qps_join(&w->qps, i, w->p->holder_qpn[i]);
}

static void put_all(struct writer *w)
{
	for (; w->uses; w->uses--)
		md_remote_put(w->remote);
}

/* A queue pair that is reset has nothing under way. */
static void recover(struct writer *w)
{
	struct ibv_wc wc;

	join(w);
	while (ibv_poll_cq(w->qps.cq, 1, &wc) > 0)
		;
	put_all(w);
}

/* Who writes is ready with the first write. */
static void granted(struct writer *w, struct md_remote *remote)
{
	w->remote = remote;
	if (w->p->kind == PEER_COOPERATING || md_remote_get(remote))
		return;
	w->uses++;
	atomic_store(&w->p->ready, remote->rkey);
	if (w->p->kind != PEER_SILENT)
		put_all(w);
}

static void handle_events(struct writer *w, int timeout_ms)
{
	struct md_event *event;

	while (!md_get_event(w->ctx, &event, timeout_ms)) {
		struct md_remote *remote = event->remote;
		enum md_event_type type = event->type;

		if (type == MD_EVENT_PEER_CLOSED || type == MD_EVENT_REMOTE_LOST)
			errx(1, "peer: %s", event->message);
		md_ack_event(event);
		if (type == MD_EVENT_GRANTED)
			granted(w, remote);
		else if (type == MD_EVENT_REMOTE_FENCED)
			recover(w);
		timeout_ms = 0;
	}
}

static void post(struct writer *w)
{
	struct ibv_sge sge = { (uintptr_t)w->buf, PAGE, w->mr->lkey };
	struct ibv_send_wr *bad, wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE,
		.wr.rdma = { .remote_addr = w->remote->addr, .rkey = w->remote->rkey },
		.wr_id = w->remote->rkey,
	};

	ERRNO_MUST(ibv_post_send(w->qps.qp[w->posted++ % (unsigned int)w->qps.count], &wr, &bad));
}

static bool reap(struct writer *w)
{
	struct ibv_wc wc;

	if (ibv_poll_cq(w->qps.cq, 1, &wc) <= 0)
		return false;
	if (wc.status == IBV_WC_SUCCESS)
		atomic_store(&w->p->ready, (uint32_t)wc.wr_id);
	else
		usleep(1000); /* it was fenced: that is heard next */
	if (w->uses) {
		md_remote_put(w->remote);
		w->uses--;
	}
	return true;
}

static void write_on(struct writer *w)
{
	for (;;) {
		handle_events(w, w->uses ? 0 : 1);
		while (w->remote && w->uses < DEPTH && !md_remote_get(w->remote)) {
			w->uses++;
			post(w);
		}
		if (!reap(w) && w->uses)
			usleep(LOOK_US);
	}
}

static bool is_listened_to(const void *p)
{
	return atomic_load(&((const struct peer *)p)->port);
}

static bool is_joined(const void *p)
{
	return atomic_load(&((const struct peer *)p)->joined);
}

static void prepare(struct writer *w)
{
	const struct md_context_attr attr = {
		.size = sizeof(attr),
		.keepalive_ms = KEEPALIVE_MS,
	};

	qps_open(&w->qps, w->p->addr, w->p->n_qps);
	for (int i = 0; i < w->p->n_qps; i++)
		w->p->qpn[i] = w->qps.qp[i]->qp_num;
	MUST(w->buf = aligned_alloc(PAGE, PAGE));
	memset(w->buf, 'w', PAGE);
	MUST(w->mr = ibv_reg_mr(w->qps.pd, w->buf, PAGE, 0));
	MD_MUST(w->ctx = md_open(&attr));
}

static void run(void *arg)
{
	struct writer w = { .p = arg };
	const struct md_connect_attr attr = {
		.size = sizeof(attr),
		.private_data = &w.p->index,
		.private_len = sizeof(w.p->index),
	};
	char port[8];

	wait_until(is_listened_to, w.p, "the holder listens");
	prepare(&w);
	snprintf(port, sizeof(port), "%d", atomic_load(&w.p->port));
	MD_MUST(w.holder = md_connect(w.ctx, w.p->addr, port, &attr));
	atomic_store(&w.p->named, true);
	wait_until(is_joined, w.p, "the holder has joined its queue pairs");
	join(&w);
	if (w.p->kind == PEER_COOPERATING)
		write_on(&w);
	for (;;)
		handle_events(&w, -1);
}

void peer_start(struct peer *p)
{
	p->pid = child_start(run, p);
}
