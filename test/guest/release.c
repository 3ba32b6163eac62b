// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* RELEASE: when it returns 0, no RDMA device has a page, or will get one. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "holder.h"
#include "rdma.h"
#include "signals.h"
#include "suite.h"

#define LENGTH (2 * MIB)
#define THREADS 2

/*
 * Threads that register and deregister without pause. RELEASE must not return
 * 0 while one of them has a region.
 */
struct race {
	int pause_ms; /* with and without a region; 0: none */
	struct holder h;
	struct rdma near, far;
	atomic_bool over; /* RELEASE returned 0 */
	atomic_bool stop;
	atomic_uint registered;
	atomic_bool wrong;
	atomic_uint last_rkey;
};

static void pause_for(const struct race *race)
{
	if (race->pause_ms)
		poll(NULL, 0, race->pause_ms);
}

static void *keep_registering(void *arg)
{
	struct race *race = arg;

	while (!atomic_load(&race->stop)) {
		struct ibv_mr *mr = rdma_reg(&race->far, race->h.map, LENGTH);

		if (!mr)
			continue;
		atomic_store(&race->last_rkey, mr->rkey);
		atomic_fetch_add(&race->registered, 1);
		pause_for(race);
		if (atomic_load(&race->over))
			atomic_store(&race->wrong, true);
		ibv_dereg_mr(mr);
		pause_for(race);
	}
	return NULL;
}

static bool some_registered(void *arg)
{
	return atomic_load(&((struct race *)arg)->registered) >= 5;
}

/* With pauses, RELEASE comes at another point of them in each round. */
static void race_once(const char *fs, int pause_ms, unsigned int round)
{
	struct race race = { .pause_ms = pause_ms };
	pthread_t threads[THREADS];
	struct extents freed;
	unsigned int before;
	struct breaker b;

	rdma_pair(&race.near, &race.far);
	holder_file(&race.h, fs, "leased", LENGTH);
	extents_of(&freed, race.h.path);
	holder_take(&race.h, 0, LENGTH);
	for (unsigned int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, keep_registering, &race), 0);
	CHECK(wait_until(some_registered, &race, SUITE_WAIT_MS));
	if (pause_ms)
		poll(NULL, 0, round * 13 % (2 * pause_ms));
	holder_release_done(&race.h);
	atomic_store(&race.over, true);
	before = atomic_load(&race.registered);
	/* The file is anybody's from here on. */
	CHECK(!munmap(race.h.anchor, LENGTH));
	breaker_start(&b, truncate_to_zero, race.h.path);
	breaker_finish(&b, SUITE_WAIT_MS);
	canary_take(fs, &freed);
	CHECK_NULL_ERRNO(rdma_reg(&race.far, race.h.map, LENGTH), EFAULT);
	CHECK(rdma_write(&race.near, (uintptr_t)race.h.map, atomic_load(&race.last_rkey), 1) !=
	      IBV_WC_SUCCESS);
	atomic_store(&race.stop, true);
	for (unsigned int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK(!atomic_load(&race.wrong));
	CHECK_EQ(atomic_load(&race.registered), before);
	CHECK_EQ(canary_changed(fs), 0);
	canary_drop(fs);
	CHECK(!unlink(race.h.path));
	rdma_close(&race.near);
	rdma_close(&race.far);
}

static void race_rounds(unsigned int rounds)
{
	for (unsigned int i = 0; i < rounds; i++) {
		suite_context("round %u", i);
		race_once(suite_fs[i % 2], i / 2 % 2 * 20, i);
	}
}

/* Proves: no registration slips past a RELEASE that succeeded. */
static void release__against_registering_threads__none_left(const void *unused)
{
	(void)unused;
	race_rounds(8);
}

static void release__against_registering_threads__none_left_often(const void *unused)
{
	(void)unused;
	race_rounds(30);
}

/* Proves: RELEASE may be repeated, and closes the way in for good. */
static void release__twice__stays_released(const void *unused)
{
	struct mapdirect_event ev;
	struct holder h;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", LENGTH);
	holder_take(&h, 0, LENGTH);
	CHECK_EQ(holder_release(&h), 0);
	CHECK_EQ(holder_release(&h), 0);
	CHECK(!touch(h.map));
	CHECK_ERRNO((long)mmap(NULL, LENGTH, PROT_READ, MAP_SHARED, h.lease, 0), EAGAIN);
	CHECK_EQ(read(h.lease, &ev, sizeof(ev)), 0);
	CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_RELEASED);
	CHECK(touch(h.anchor));
}

/* Proves: RELEASE without a break works, and is refused while a region is left. */
static void release__with_region__is_ebusy(const void *unused)
{
	struct ibv_mr *mr;
	struct holder h;
	struct rdma r;

	(void)unused;
	rdma_open(&r);
	holder_file(&h, suite_fs[0], "leased", LENGTH);
	holder_take(&h, 0, LENGTH);
	mr = rdma_reg(&r, h.map + MIB, 4096);
	CHECK(mr);
	CHECK_EQ(holder_status(&h).foreign_pages, 1);
	holder_release_busy(&h);
	holder_release_busy(&h);
	CHECK(!touch(h.map));
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	holder_release_done(&h);
}

/* Proves: whom the application's descriptor signals, and how, is its own affair. */
static void release__descriptor_with_settings__keeps_them(const void *unused)
{
	struct signals before, after;
	struct holder h;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", LENGTH);
	signals_set(h.fd);
	signals_get(h.fd, &before);
	holder_take(&h, 0, LENGTH);
	signals_get(h.fd, &after);
	CHECK(signals_equal(&before, &after));
	CHECK_EQ(holder_release(&h), 0);
	signals_get(h.fd, &after);
	CHECK(signals_equal(&before, &after));
}

static const struct suite_case cases[] = {
	SUITE_CASE(release__twice__stays_released),
	SUITE_CASE(release__with_region__is_ebusy),
	SUITE_CASE(release__descriptor_with_settings__keeps_them),
	SUITE_CASE(release__against_registering_threads__none_left),
	SUITE_CASE_LONG(release__against_registering_threads__none_left_often),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
