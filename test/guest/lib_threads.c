// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Many threads use a map in every way while breaks come all the time. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "lib_holder.h"
#include "lib_vandal.h"
#include "suite.h"

#define FILE_SIZE (2 * MIB)
#define LENGTH MIB
/* With less, the map is rarely there to be broken. */
#define PAUSE_US 40000
/* On a busy machine that long a thread may be kept from running; and who changes the file. */
#define DRAIN_MS 5000
#define RESTORE_MS SUITE_WAIT_MS
#define BREAKS_MIN 3

static const struct vandal_change changes[] = {
	{ vandal_punch, 0 },
	{ vandal_zero, 512 * KIB },
	{ ftruncate, LENGTH - 128 * KIB },
	{ ftruncate, FILE_SIZE },
	{ vandal_write, 256 * KIB },
	{ vandal_punch, FILE_SIZE - 64 * KIB },
	{},
};

struct scene {
	struct lib lib;
	atomic_bool stop;
	atomic_uint stores, writes, regions;
	unsigned int breaks;
	double longest_ms;
};

/* Begins a use, unless it is time to stop. */
static bool use(struct scene *s)
{
	while (!atomic_load(&s->stop)) {
		if (!md_map_get(s->lib.map))
			return true;
		usleep(200);
	}
	return false;
}

static void *store(void *arg)
{
	struct scene *s = arg;
	unsigned int seed = (unsigned int)now_ns();

	while (use(s)) {
		size_t at = rand_r(&seed) % (LENGTH / LIB_PAGE) * LIB_PAGE;

		memset((char *)md_map_addr(s->lib.map) + at, 0x11, LIB_PAGE);
		CHECK_MD(!md_persist(s->lib.map, at, LIB_PAGE));
		md_map_put(s->lib.map);
		atomic_fetch_add(&s->stores, 1);
	}
	return NULL;
}

static void *write_by_rdma(void *arg)
{
	struct scene *s = arg;
	unsigned int seed = 1;

	while (use(s)) {
		struct md_mr *mr = s->lib.mr;
		size_t at = rand_r(&seed) % (LENGTH / LIB_PAGE) * LIB_PAGE;

		CHECK_EQ(rdma_write(&s->lib.near, (uintptr_t)mr->addr + at, mr->rkey, 0x22),
			 IBV_WC_SUCCESS);
		md_map_put(s->lib.map);
		atomic_fetch_add(&s->writes, 1);
	}
	return NULL;
}

static void *register_regions(void *arg)
{
	struct scene *s = arg;

	while (!atomic_load(&s->stop)) {
		struct md_mr *mr =
			md_reg_mr(s->lib.far.pd, s->lib.map, LENGTH / 2, LENGTH / 2, RDMA_ACCESS);

		if (mr) {
			usleep(100);
			CHECK_MD(!md_dereg_mr(mr));
			atomic_fetch_add(&s->regions, 1);
		} else {
			if (errno != EAGAIN)
				suite_fail(__FILE__, __LINE__, "%s", md_errmsg());
			usleep(200);
		}
	}
	return NULL;
}

static void on_event(struct scene *s, const struct md_event *ev)
{
	const struct md_timeline *t = &ev->timeline;
	double ms = (t->released - t->broken) / 1e6;

	if (ev->type == MD_EVENT_LOST || ev->type == MD_EVENT_LATE ||
	    ev->type == MD_EVENT_QP_FENCED)
		suite_fail(__FILE__, __LINE__, "%s", ev->message);
	if (ev->type != MD_EVENT_RELEASED)
		return;
	lib_check_timeline(t);
	if (ms > s->longest_ms)
		s->longest_ms = ms;
	s->breaks += ev->count;
}

static void take_events(struct scene *s)
{
	struct md_event *ev;

	while (!md_get_event(s->lib.ctx, &ev, 5)) {
		on_event(s, ev);
		md_ack_event(ev);
	}
	/* Or else it comes back ever more slowly. */
	if (md_map_state(s->lib.map) == MD_MAP_RELEASED)
		CHECK_MD(!md_restore(s->lib.map));
}

static void run_for(struct scene *s, struct vandal *v, unsigned int seconds)
{
	uint64_t begin = now_ns(), end = begin + seconds * 1000000000ULL;

	vandal_go(v);
	/* A busy machine needs longer for a few breaks. */
	while (now_ns() < end ||
	       (s->breaks < BREAKS_MIN && now_ns() < begin + SUITE_WAIT_MS * 1000000ULL))
		take_events(s);
	end = now_ns() + SUITE_WAIT_MS * 1000000ULL;
	while (!vandal_ended(v)) {
		take_events(s);
		CHECK(now_ns() < end);
	}
}

/*
 * Proves: whatever threads do with a map by the rules, a break hurts none of
 * them, none holds it up, and none of what they write gets into another file.
 */
static void break__many_threads__nobody_hurt(const void *arg)
{
	static void *(*const work[])(void *) = { store, store, write_by_rdma, register_regions };
	const unsigned int *seconds = arg;
	pthread_t thread[4];
	struct scene s = {};
	struct vandal *v;

	holder_file(&s.lib.file, suite_fs[0], "leased", FILE_SIZE);
	v = vandal_start(s.lib.file.path, changes, PAUSE_US, suite_fs[0]);
	s.lib.ctx = lib_context(0, DRAIN_MS, RESTORE_MS);
	lib_take(&s.lib, 0, LENGTH, MD_MAP_RESTORE | MD_MAP_ALLOCATE);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, work[i], &s), 0);
	run_for(&s, v, *seconds);
	atomic_store(&s.stop, true);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	fprintf(stderr,
		"threads: %u changes, %u breaks, the longest took %.1f ms; %u stores, %u writes, %u regions\n",
		atomic_load(&v->changes), s.breaks, s.longest_ms, atomic_load(&s.stores),
		atomic_load(&s.writes), atomic_load(&s.regions));
	CHECK_EQ(atomic_load(&v->spoiled), 0);
	CHECK(s.breaks >= BREAKS_MIN);
	CHECK(atomic_load(&s.stores) && atomic_load(&s.writes) && atomic_load(&s.regions));
	lib_drop(&s.lib);
}

static const struct suite_case cases[] = {
	{ .name = "lib_break__many_threads_for_3s__nobody_hurt",
	  .run = break__many_threads__nobody_hurt,
	  .arg = &(const unsigned int){ 3 } },
	{ .name = "lib_break__many_threads_for_10s__nobody_hurt",
	  .run = break__many_threads__nobody_hurt,
	  .arg = &(const unsigned int){ 10 },
	  .flags = SUITE_LONG },
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
