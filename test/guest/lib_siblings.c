// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Two maps of one file in one process. A break is one of the whole file: while
 * one map is given back, the other may be in the middle of its restore, and the
 * breaker holds the inode's lock meanwhile.
 */
#include <stdio.h>
#include <unistd.h>

#include "child.h"
#include "knob.h"
#include "lib_holder.h"
#include "lib_vandal.h"
#include "suite.h"

#define FILE_SIZE (8 * MIB)
#define LENGTH (2 * MIB)
#define FIRST 0
#define SECOND (4 * MIB)
#define DEADLINE 5 /* seconds */
#define DRAIN_MS 1000
#define RUN_NS 2000000000ULL
/* Ends anywhere in a restore; without a pause there is no restore at all. */
#define PAUSE_US 100000
#define BREAKS_MIN 2

/* Each is a break; after the last but one, the second map does not fit. */
static const struct vandal_change changes[] = {
	{ ftruncate, FILE_SIZE - MIB },
	{ vandal_punch, FIRST + MIB },
	{ ftruncate, FILE_SIZE },
	{ vandal_punch, SECOND + MIB },
	{ ftruncate, SECOND + MIB },
	{ ftruncate, FILE_SIZE },
	{},
};

struct pair {
	struct md_context *ctx[2];
	struct md_map *map[2];
	struct md_mr *mr[2];
	unsigned int breaks[2];
	double longest_ms;
};

static void on_event(struct pair *p, const struct md_event *ev)
{
	const struct md_timeline *t = &ev->timeline;
	double ms = (t->released - t->broken) / 1e6;

	CHECK(ev->type != MD_EVENT_LATE);
	if (ev->type == MD_EVENT_LOST)
		suite_fail(__FILE__, __LINE__, "%s", ev->message);
	if (ev->type != MD_EVENT_RELEASED)
		return;
	lib_check_timeline(t);
	CHECK(!t->fenced);
	if (ms > p->longest_ms)
		p->longest_ms = ms;
	p->breaks[ev->map == p->map[1]] += ev->count;
}

static void take_events(struct pair *p)
{
	struct md_event *ev;

	for (int i = 0; i < 2; i++) {
		while (!md_get_event(p->ctx[i], &ev, 1)) {
			on_event(p, ev);
			md_ack_event(ev);
		}
	}
}

static bool enough_breaks(const struct pair *p)
{
	return p->breaks[0] >= BREAKS_MIN && p->breaks[1] >= BREAKS_MIN;
}

static bool both_live(void *arg)
{
	struct pair *p = arg;

	take_events(p);
	return md_map_state(p->map[0]) == MD_MAP_LIVE && md_map_state(p->map[1]) == MD_MAP_LIVE;
}

static void survive(struct pair *p, struct vandal *v)
{
	uint64_t begin = now_ns(), end = begin + RUN_NS;

	vandal_go(v);
	/* A busy machine needs longer for a few breaks. */
	while (now_ns() < end ||
	       (!enough_breaks(p) && now_ns() < begin + SUITE_WAIT_MS * 1000000ULL))
		take_events(p);
	end = now_ns() + SUITE_WAIT_MS * 1000000ULL;
	while (!vandal_ended(v)) {
		take_events(p);
		CHECK(now_ns() < end);
	}
	CHECK(wait_until(both_live, p, SUITE_WAIT_MS));
}

static void check_usable(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		CHECK_MD(!md_map_get(p->map[i]));
		for (size_t at = 0; at < LENGTH; at += LIB_PAGE)
			CHECK(touch((char *)md_map_addr(p->map[i]) + at));
		md_map_put(p->map[i]);
	}
}

struct setting {
	uint32_t flags;
	bool contexts; /* one for each map */
};

/*
 * Proves: two maps of one file get out of each other's way: no break lasts for
 * more than a part of the deadline, and both are back in the end.
 */
static void break__two_maps_of_file__both_survive(const void *arg)
{
	const struct setting *s = arg;
	struct pair p = {};
	struct holder file;
	struct vandal *v;
	struct rdma r;

	knob_set(KNOB_LEASE_BREAK_TIME, DEADLINE);
	holder_file(&file, suite_fs[0], "leased", FILE_SIZE);
	v = vandal_start(file.path, changes, PAUSE_US, NULL);
	rdma_open(&r);
	for (int i = 0; i < 2; i++) {
		p.ctx[i] = i && !s->contexts ? p.ctx[0] : lib_context(s->flags, DRAIN_MS, 0);
		p.map[i] = lib_try_map(p.ctx[i], file.fd, i ? SECOND : FIRST, LENGTH,
				       MD_MAP_RESTORE | MD_MAP_ALLOCATE);
		CHECK_MD(p.map[i]);
		p.mr[i] = md_reg_mr(r.pd, p.map[i], 0, LENGTH, RDMA_ACCESS);
		CHECK_MD(p.mr[i]);
	}
	survive(&p, v);
	check_usable(&p);
	fprintf(stderr, "two maps: %u changes, %u and %u breaks, the longest took %.1f ms\n",
		atomic_load(&v->changes), p.breaks[0], p.breaks[1], p.longest_ms);
	CHECK(p.longest_ms < DEADLINE * 1000 / 2);
	CHECK(enough_breaks(&p));
	for (int i = 0; i < 2; i++) {
		CHECK_MD(!md_dereg_mr(p.mr[i]));
		CHECK_MD(!md_unmap(p.map[i]));
	}
	CHECK_MD(!md_close(p.ctx[0]));
	if (s->contexts)
		CHECK_MD(!md_close(p.ctx[1]));
	rdma_close(&r);
}

#define SURVIVE(what, ...)                                                                         \
	{                                                                                          \
		.name = "lib_break__two_maps_" what "__both_survive",                              \
		.run = break__two_maps_of_file__both_survive, .arg = &(const struct setting)       \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static const struct suite_case cases[] = {
	SURVIVE("of_context", .flags = 0),
	SURVIVE("of_two_contexts", .contexts = true),
	SURVIVE("without_thread", .flags = MD_OPEN_NO_THREAD),
	SURVIVE("of_two_without_thread", .flags = MD_OPEN_NO_THREAD, .contexts = true),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
