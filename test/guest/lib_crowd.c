// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "lib_crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "suite.h"

void lib_crowd_new(struct lib_crowd *c, int count)
{
	*c = (struct lib_crowd){ .count = count };
	for (int i = 0; i < count; i++)
		c->s[i].shared = lib_peer_new(i);
}

static void accept_one(struct lib_crowd *c, struct md_event *request)
{
	unsigned int index;

	CHECK_EQ(request->private_len, sizeof(index));
	memcpy(&index, request->private_data, sizeof(index));
	CHECK(index < (unsigned int)c->count && !c->s[index].peer);
	c->s[index].peer = request->peer;
	md_ack_event(request);
	CHECK_MD(!md_accept(c->s[index].peer, NULL));
}

/* So many connect; one may be there before the next one asks. */
static void welcome(struct lib_crowd *c, int count)
{
	while (count) {
		struct md_event *event;

		CHECK(lib_has_event(&c->l, SUITE_WAIT_MS));
		event = c->l.ahead;
		c->l.ahead = NULL;
		if (event->type == MD_EVENT_PEER_REQUEST) {
			accept_one(c, event);
			continue;
		}
		/* A busy guest may need more than one try. */
		if (event->type != MD_EVENT_PEER_DOWN) {
			CHECK_EQ(event->type, MD_EVENT_PEER_UP);
			count--;
		}
		md_ack_event(event);
	}
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

struct goal {
	struct lib_peer *p;
	unsigned int writes;
};

static bool reached(void *arg)
{
	const struct goal *g = arg;

	return (int)(atomic_load(&g->p->writes) - g->writes) >= 0;
}

static void wait_for(struct lib_peer *p, unsigned int writes)
{
	struct goal g = { p, writes };

	if (!wait_until(reached, &g, SUITE_WAIT_MS))
		suite_fail(__FILE__, __LINE__,
			   "peer %u does not go on: connections %u, grants %u, fenced %u, "
			   "posted %u, completed %u, failed %u",
			   p->index, atomic_load(&p->connections), atomic_load(&p->grants),
			   atomic_load(&p->fenced), atomic_load(&p->posted),
			   atomic_load(&p->writes), atomic_load(&p->errors));
}

void lib_crowd_wait_writes(struct lib_crowd *c, int first, unsigned int more)
{
	unsigned int goals[LIB_PEERS_MAX];

	for (int i = first; i < c->count; i++)
		goals[i] = atomic_load(&c->s[i].shared->writes) + more;
	for (int i = first; i < c->count; i++)
		wait_for(c->s[i].shared, goals[i]);
}

/* The peers start first: their processes are not to have the holder's device. */
void lib_crowd_begin(struct lib_crowd *c, size_t length, uint32_t map_flags, uint32_t budget_ms)
{
	const char *addr = getenv("MD_ADDR");
	char port[8];

	if (!addr)
		suite_skip("MD_ADDR does not say which address the RDMA device has");
	snprintf(port, sizeof(port), "%d", LIB_PORT);
	for (int i = 0; i < c->count; i++)
		lib_peer_start(c->s[i].shared);
	c->l.ctx = lib_context(0, budget_ms, 0);
	CHECK_MD(c->listener = md_listen(c->l.ctx, addr, port, NULL));
	holder_file(&c->l.file, suite_fs[0], "leased", length);
	lib_take(&c->l, 0, length, map_flags);
	welcome(c, c->count);
	for (int i = 0; i < c->count; i++)
		serve_one(&c->l, &c->s[i]);
	for (int i = 0; i < c->count; i++)
		wait_for(c->s[i].shared, 1);
}

void lib_crowd_replace(struct lib_crowd *c, int i, struct lib_peer *p)
{
	c->s[i] = (struct lib_session){ .shared = p };
	atomic_store(&p->waits, false);
	welcome(c, 1);
	serve_one(&c->l, &c->s[i]);
}

void lib_crowd_check(struct lib_crowd *c, int first)
{
	for (int i = first; i < c->count; i++) {
		struct lib_peer *p = c->s[i].shared;

		suite_context("peer %d", i);
		CHECK_EQ(atomic_load(&p->errors), 0);
		CHECK_EQ(atomic_load(&p->fenced), 0);
		CHECK_EQ(atomic_load(&p->stale), 0);
		CHECK_EQ(atomic_load(&p->connections), 1);
	}
	suite_context("all peers");
}

void lib_crowd_dismiss(struct lib_crowd *c, int i)
{
	struct lib_session *s = &c->s[i];

	CHECK_MD(!md_recall(s->grant));
	CHECK_MD(!md_dereg_mr(s->mr));
	CHECK_MD(!md_detach_qp(c->l.map, s->rdma.qp));
	rdma_close(&s->rdma);
	CHECK_MD(!md_peer_close(s->peer));
}

void lib_crowd_end(struct lib_crowd *c)
{
	for (int i = 0; i < c->count; i++)
		atomic_store(&c->s[i].shared->stop, true);
	for (int i = 0; i < c->count; i++) {
		child_finish(c->s[i].shared->pid);
		lib_crowd_dismiss(c, i);
	}
	CHECK_MD(!md_listener_close(c->listener));
	lib_drop(&c->l);
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
