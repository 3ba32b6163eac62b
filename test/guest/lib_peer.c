// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "lib_peer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "stream.h"
#include "suite.h"

static bool is_true(void *flag)
{
	return atomic_load((atomic_bool *)flag);
}

/* ---- the peer's process --------------------------------------------------- */

struct writer {
	struct lib_peer *p;
	struct md_context *ctx;
	struct md_peer *holder;
	struct md_remote *remote;
	struct rdma rdma;
	unsigned int posted, completed, asked;
	uint64_t last; /* when a write completed last */
	bool paused;   /* the next to complete is the first after a recall */
};

static void handle(struct writer *w, struct md_event *event)
{
	switch (event->type) {
	case MD_EVENT_PEER_UP:
		atomic_fetch_add(&w->p->connections, 1);
		break;
	case MD_EVENT_GRANTED:
		w->paused = w->remote;
		w->remote = event->remote;
		break;
	case MD_EVENT_REMOTE_FENCED:
		atomic_fetch_add(&w->p->fenced, 1);
		break;
	case MD_EVENT_PERSISTED:
		if (event->error)
			CHECK_EQ(event->error, ESTALE);
		if (event->error)
			atomic_fetch_add(&w->p->stale, 1);
		CHECK_EQ(event->wr_id, atomic_load(&w->p->persisted));
		atomic_fetch_add(&w->p->persisted, 1);
		break;
	default:
		break;
	}
	md_ack_event(event);
}

static void handle_events(struct writer *w, int timeout_ms)
{
	struct md_event *event;

	while (!md_get_event(w->ctx, &event, timeout_ms)) {
		handle(w, event);
		timeout_ms = 0;
	}
}

static void note_completion(struct writer *w)
{
	uint64_t now = now_ns();
	unsigned int n = atomic_load(&w->p->pauses);

	if (w->paused && n < LIB_PEER_PAUSES) {
		w->p->pause_ns[n] = now - w->last;
		atomic_store(&w->p->pauses, n + 1);
	}
	w->paused = false;
	w->last = now;
}

static void reap(struct writer *w)
{
	enum ibv_wc_status status = rdma_poll(&w->rdma, SUITE_WAIT_MS);

	w->completed++;
	md_remote_put(w->remote);
	if (status == IBV_WC_SUCCESS) {
		atomic_fetch_add(&w->p->writes, 1);
		note_completion(w);
	} else {
		atomic_fetch_add(&w->p->errors, 1);
	}
}

/* Posts until the queue is full, or there is no grant. */
static void post(struct writer *w)
{
	const struct md_remote *r = w->remote;

	while (w->posted - w->completed < LIB_PEER_DEPTH && !md_remote_get(w->remote)) {
		uint64_t at = w->posted * LIB_PAGE % r->length;

		rdma_post(&w->rdma, r->addr + at, r->rkey, STREAM_BYTE);
		w->posted++;
	}
}

/* Have what was written last made durable; several requests are under way. */
static void ask(struct writer *w)
{
	const struct md_remote *r = w->remote;

	if (!w->completed || w->asked - atomic_load(&w->p->persisted) >= LIB_PEER_DEPTH)
		return;
	if (!md_persist_remote(w->remote, (w->completed - 1) * LIB_PAGE % r->length, LIB_PAGE,
			       w->asked))
		w->asked++;
	else if (errno != EAGAIN && errno != ESTALE) /* recalled, or fenced */
		suite_fail(__FILE__, __LINE__, "md_persist_remote: %s", md_errmsg());
}

static void be_lazy(struct writer *w)
{
	if (!atomic_load(&w->p->lazy) || md_remote_get(w->remote))
		return;
	while (atomic_load(&w->p->lazy))
		usleep(1000);
	md_remote_put(w->remote);
}

static void write_on(struct writer *w)
{
	while (!atomic_load(&w->p->stop)) {
		be_lazy(w);
		post(w);
		ask(w);
		handle_events(w, 0);
		if (w->posted != w->completed)
			reap(w);
		else if (atomic_load(&w->p->errors))
			usleep(1000); /* its queue pair is gone */
		else
			md_remote_wait(w->remote, 100);
	}
	while (w->posted != w->completed)
		reap(w);
	while (w->asked != atomic_load(&w->p->persisted))
		handle_events(w, SUITE_WAIT_MS);
}

static void run_peer(void *arg)
{
	struct lib_peer *p = arg;
	const struct md_connect_attr attr = {
		.size = sizeof(attr),
		.private_data = &p->index,
		.private_len = sizeof(p->index),
	};
	struct writer w = { .p = p };
	char port[8];

	snprintf(port, sizeof(port), "%d", p->port);
	rdma_open(&w.rdma);
	p->peer = rdma_name(&w.rdma);
	w.ctx = lib_context(0, 0, 0);
	CHECK_MD(w.holder = md_connect(w.ctx, getenv("MD_ADDR"), port, &attr));
	atomic_store(&p->peer_named, true);
	CHECK(wait_until(is_true, &p->holder_ready, SUITE_WAIT_MS));
	rdma_join(&w.rdma, &p->holder);
	while (!w.remote)
		handle_events(&w, 100);
	write_on(&w);
	handle_events(&w, 0);
	CHECK_MD(!md_peer_close(w.holder));
	CHECK_MD(!md_close(w.ctx));
	rdma_close(&w.rdma);
}

struct lib_peer *lib_peer_start(int port, unsigned int index)
{
	struct lib_peer *p = shared_new(sizeof(*p));

	p->port = port;
	p->index = index;
	p->pid = child_start(run_peer, p);
	return p;
}

/* ---- the holder ----------------------------------------------------------- */

static void accept_one(struct lib *l, struct lib_session *s, int count)
{
	struct md_event *event = lib_fetch(l, MD_EVENT_PEER_REQUEST);
	unsigned int index;

	CHECK_EQ(event->private_len, sizeof(index));
	memcpy(&index, event->private_data, sizeof(index));
	CHECK(index < (unsigned int)count && !s[index].peer);
	s[index].peer = event->peer;
	md_ack_event(event);
	CHECK_MD(!md_accept(s[index].peer, &s[index]));
}

static void serve_one(struct lib *l, struct lib_session *s)
{
	struct lib_peer *p = s->shared;

	CHECK(wait_until(is_true, &p->peer_named, SUITE_WAIT_MS));
	rdma_open(&s->rdma);
	rdma_join(&s->rdma, &p->peer);
	p->holder = rdma_name(&s->rdma);
	CHECK_MD(!md_attach_qp(l->map, s->rdma.qp, s->peer));
	/* Region and queue pair have to be of one protection domain. */
	CHECK_MD(s->mr = md_reg_mr(s->rdma.pd, l->map, 0, md_map_length(l->map), RDMA_ACCESS));
	CHECK_MD(s->grant = md_grant(s->peer, s->mr, "leased"));
	atomic_store(&p->holder_ready, true);
}

void lib_peers_serve(struct lib *l, struct lib_session *s, struct lib_peer **shared, int count)
{
	for (int i = 0; i < count; i++)
		s[i] = (struct lib_session){ .shared = shared[i] };
	for (int i = 0; i < count; i++)
		accept_one(l, s, count);
	for (int i = 0; i < count; i++)
		lib_next(l, MD_EVENT_PEER_UP);
	for (int i = 0; i < count; i++)
		serve_one(l, &s[i]);
}

struct goal {
	struct lib_peer *p;
	unsigned int writes;
};

static bool reached(void *arg)
{
	const struct goal *g = arg;

	return (int)(atomic_load(&g->p->writes) - g->writes) >= 0;
}

void lib_peers_wait_writes(struct lib_session *s, int count, unsigned int more)
{
	struct goal g[LIB_PEERS_MAX];

	for (int i = 0; i < count; i++)
		g[i] = (struct goal){ s[i].shared, atomic_load(&s[i].shared->writes) + more };
	for (int i = 0; i < count; i++) {
		suite_context("peer %d", i);
		CHECK(wait_until(reached, &g[i], SUITE_WAIT_MS));
	}
	suite_context("all peers");
}

void lib_peers_stop(struct lib *l, struct lib_session *s, int count)
{
	for (int i = 0; i < count; i++)
		atomic_store(&s[i].shared->stop, true);
	for (int i = 0; i < count; i++) {
		child_finish(s[i].shared->pid);
		CHECK_MD(!md_recall(s[i].grant));
		CHECK_MD(!md_dereg_mr(s[i].mr));
		CHECK_MD(!md_detach_qp(l->map, s[i].rdma.qp));
		rdma_close(&s[i].rdma);
		CHECK_MD(!md_peer_close(s[i].peer));
	}
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double lib_median(double *values, int count)
{
	qsort(values, count, sizeof(*values), by_size);
	return values[count / 2];
}
