// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "child.h"
#include "stream.h"
#include "suite.h"

/* How many writes are under way at a time. */
#define DEPTH 8

static void peer(void *arg)
{
	struct stream *s = arg;
	unsigned int posted = 0;
	struct rdma r;

	rdma_open(&r);
	s->peer = rdma_name(&r);
	atomic_store(&s->peer_named, true);
	CHECK(wait_until(is_true, &s->holder_ready, SUITE_WAIT_MS));
	rdma_join(&r, &s->holder);
	while (!atomic_load(&s->status) && !atomic_load(&s->stop)) {
		for (; posted < atomic_load(&s->writes) + DEPTH; posted++)
			rdma_post(&r, s->addr + posted * 4096ULL % s->length, s->rkey, STREAM_BYTE);
		atomic_store(&s->status, rdma_poll(&r, SUITE_WAIT_MS));
		if (!atomic_load(&s->status))
			atomic_fetch_add(&s->writes, 1);
	}
}

struct stream *stream_start(void)
{
	struct stream *s = shared_new(sizeof(*s));

	s->pid = child_start(peer, s);
	return s;
}

void stream_serve(struct stream *s, struct rdma *r, const struct ibv_mr *mr)
{
	CHECK(wait_until(is_true, &s->peer_named, SUITE_WAIT_MS));
	rdma_join(r, &s->peer);
	s->holder = rdma_name(r);
	s->addr = (uintptr_t)mr->addr;
	s->rkey = mr->rkey;
	s->length = mr->length;
	atomic_store(&s->holder_ready, true);
}

struct goal {
	struct stream *s;
	unsigned int writes;
};

static bool reached(void *arg)
{
	const struct goal *g = arg;

	return (int)(atomic_load(&g->s->writes) - g->writes) >= 0;
}

void stream_wait_writes(struct stream *s, unsigned int more)
{
	struct goal g = { s, atomic_load(&s->writes) + more };

	CHECK(wait_until(reached, &g, SUITE_WAIT_MS));
}

void stream_wait_end(struct stream *s)
{
	child_finish(s->pid);
	CHECK(atomic_load(&s->status) != IBV_WC_SUCCESS);
}

static bool failed(void *arg)
{
	struct stream *s = arg;

	return atomic_load(&s->status) != IBV_WC_SUCCESS;
}

void stream_stop(struct stream *s, int more_ms)
{
	wait_until(failed, s, more_ms);
	atomic_store(&s->stop, true);
	child_finish(s->pid);
}
