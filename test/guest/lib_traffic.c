// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Breaks under RDMA traffic: of a holder that stops it, and of one that does not. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "knob.h"
#include "lib_crowd.h"
#include "lib_holder.h"
#include "ops.h"
#include "stream.h"
#include "suite.h"

#define BREAKS 10

/* ---- a holder that brackets each write by a use -------------------------- */

#define LIVE_LENGTH (16 * MIB)

struct traffic {
	struct lib *lib;
	pthread_t thread;
	atomic_uint writes;
	atomic_bool stop;
};

static void *write_without_end(void *arg)
{
	struct traffic *t = arg;
	struct lib *l = t->lib;

	while (!atomic_load(&t->stop)) {
		size_t at = atomic_load(&t->writes) * LIB_PAGE % LIVE_LENGTH;

		if (md_map_get(l->map)) {
			usleep(100);
			continue;
		}
		CHECK_EQ(
			rdma_write(&l->near, (uintptr_t)l->mr->addr + at, l->mr->rkey, STREAM_BYTE),
			IBV_WC_SUCCESS);
		md_map_put(l->map);
		atomic_fetch_add(&t->writes, 1);
	}
	return NULL;
}

struct progress {
	struct traffic *t;
	unsigned int writes;
};

static bool went_on(void *arg)
{
	const struct progress *p = arg;

	return atomic_load(&p->t->writes) - p->writes >= 20;
}

/* Returns how long the lease took to go, in ms. */
static double break_under_traffic(struct traffic *t)
{
	struct progress p = { t, atomic_load(&t->writes) };
	double longest = 0, quarter;
	struct lib *l = t->lib;
	struct breaker b;

	CHECK(wait_until(went_on, &p, SUITE_WAIT_MS));
	breaker_start(&b, ops_append, l->file.path);
	do {
		struct md_timeline v;

		lib_next(l, MD_EVENT_BREAK);
		v = lib_next(l, MD_EVENT_RELEASED).timeline;
		lib_next(l, MD_EVENT_RESTORED);
		lib_check_timeline(&v);
		CHECK(!v.fenced);
		quarter = (v.deadline - v.broken) / 4e6;
		if ((v.released - v.broken) / 1e6 > longest)
			longest = (v.released - v.broken) / 1e6;
	} while (lib_broken_again(l, &b));
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(longest < quarter);
	return longest;
}

/*
 * Proves: breaks of 16 MiB that is written to all the time take a small part of
 * the deadline, and the connection lives through all of them.
 */
static void break__under_cooperating_traffic__is_quick(const void *arg)
{
	const unsigned int *deadline = arg;
	struct lib l = { .ctx = lib_context(0, 0, 0) };
	struct traffic t = { .lib = &l };
	double ms[BREAKS], median;

	knob_set(KNOB_LEASE_BREAK_TIME, *deadline);
	holder_file(&l.file, suite_fs[0], "leased", LIVE_LENGTH);
	lib_take(&l, 0, LIVE_LENGTH, MD_MAP_RESTORE | MD_MAP_ALLOCATE);
	CHECK_EQ(pthread_create(&t.thread, NULL, write_without_end, &t), 0);
	for (int i = 0; i < BREAKS; i++)
		ms[i] = break_under_traffic(&t);
	atomic_store(&t.stop, true);
	CHECK_EQ(pthread_join(t.thread, NULL), 0);
	lib_drop(&l);
	median = lib_median(ms, BREAKS);
	fprintf(stderr, "breaks ms: %.1f/%.1f/%.1f min/median/max, lease-break-time %u s\n", ms[0],
		median, ms[BREAKS - 1], *deadline);
}

/* ---- a holder that leaves its peer alone --------------------------------- */

#define LENGTH (4 * MIB)
#define DRAIN_MS 50
/* retry_cnt 6 gives up within 3 s; the rest is for a busy machine. */
#define PEER_END_MS 10000

struct fence {
	bool attach;
	int breaks;
};

static void take_stream(struct lib *l, struct stream *s, bool attach)
{
	struct ibv_mr mr;

	rdma_open(&l->far);
	l->mr = md_reg_mr(l->far.pd, l->map, 0, LENGTH, RDMA_ACCESS);
	CHECK_MD(l->mr);
	if (attach)
		CHECK_MD(!md_attach_qp(l->map, l->far.qp, NULL));
	mr = (struct ibv_mr){ .addr = l->mr->addr, .rkey = l->mr->rkey, .length = LENGTH };
	stream_serve(s, &l->far, &mr);
	stream_wait_writes(s, 50);
}

static void drop_stream(struct lib *l, bool attach)
{
	CHECK_MD(!md_dereg_mr(l->mr));
	if (attach)
		CHECK_MD(!md_detach_qp(l->map, l->far.qp));
	rdma_close(&l->far);
}

/* Nobody acknowledges the break, nobody tells the peer. Returns when it ended. */
static uint64_t lose_to_break(struct lib *l, bool attach)
{
	struct md_event *told = lib_fetch(l, MD_EVENT_BREAK), ev;

	if (attach) {
		ev = lib_next(l, MD_EVENT_QP_FENCED);
		CHECK_EQ(ev.reason, MD_REASON_BUDGET);
		CHECK_EQ(ev.error, 0);
		CHECK(ev.qp == l->far.qp && !ev.peer);
	}
	ev = lib_next(l, MD_EVENT_RELEASED);
	lib_check_timeline(&ev.timeline);
	CHECK(ev.timeline.fenced);
	CHECK(ev.timeline.fenced - ev.timeline.broken >= DRAIN_MS * 1000000ULL);
	md_ack_event(told);
	return ev.timeline.deregistered;
}

static void break_stream(struct lib *l, bool attach)
{
	struct stream *s = stream_start();
	struct extents freed;
	struct breaker b;
	uint64_t end;

	take_stream(l, s, attach);
	extents_of(&freed, l->file.path);
	breaker_start(&b, truncate_to_zero, l->file.path);
	end = lose_to_break(l, attach);
	breaker_finish(&b, SUITE_WAIT_MS);
	canary_take(suite_fs[0], &freed);
	stream_wait_end(s);
	CHECK(now_ns() - end < PEER_END_MS * 1000000ULL);
	CHECK_EQ(canary_changed(suite_fs[0]), 0);
	canary_drop(suite_fs[0]);
	drop_stream(l, attach);
}

/*
 * Proves: a peer that writes on and on over a break, with its queue pair fenced
 * or only its key gone, reaches no byte of who gets the blocks, and learns of it.
 */
static void break__peer_not_told__no_stray_byte(const void *arg)
{
	const struct fence *f = arg;
	struct lib l = { .ctx = lib_context(0, DRAIN_MS, 0) };

	holder_file(&l.file, suite_fs[0], "leased", LENGTH);
	l.map = lib_try_map(l.ctx, l.file.fd, 0, LENGTH, MD_MAP_ALLOCATE);
	CHECK_MD(l.map);
	for (int i = 0; i < f->breaks; i++) {
		suite_context("break %d", i);
		break_stream(&l, f->attach);
		CHECK(!ftruncate(l.file.fd, LENGTH));
		CHECK_MD(!md_restore(l.map));
		lib_next(&l, MD_EVENT_RESTORED);
	}
	CHECK_MD(!md_unmap(l.map));
	CHECK_MD(!md_close(l.ctx));
}

#define BREAK_QUICK(seconds)                                                                       \
	{                                                                                          \
		.name = "lib_break_" #seconds "s__under_cooperating_traffic__is_quick",            \
		.run = break__under_cooperating_traffic__is_quick, .arg = &(const unsigned int)    \
		{                                                                                  \
			seconds                                                                    \
		}                                                                                  \
	}

static const struct suite_case cases[] = {
	BREAK_QUICK(45),
	BREAK_QUICK(5),
	{ .name = "lib_break__peer_fenced__no_stray_byte",
	  .run = break__peer_not_told__no_stray_byte,
	  .arg = &(const struct fence){ .attach = true, .breaks = BREAKS },
	  .flags = SUITE_LONG },
	{ .name = "lib_break__peer_not_attached__no_stray_byte",
	  .run = break__peer_not_told__no_stray_byte,
	  .arg = &(const struct fence){ .breaks = 5 } },
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
