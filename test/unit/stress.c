// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Many threads use, register, persist and release one map while it is broken
 * at random; a peer keeps writing by the keys. For the race detector, and for
 * the rules that the fakes watch over.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fixture.h"

#define SECONDS 2

static struct md_map *map;
static struct md_mr *shared_mr;
static atomic_bool stop;

/* What happened, lest the walk be an idle one. */
static atomic_uint uses, registered, persisted, written, refused, breaks, restores;
static atomic_uint wrong;

static void note(bool good)
{
	if (!good)
		atomic_fetch_add(&wrong, 1);
}

static void nap(uint64_t *seed, unsigned int max_us)
{
	usleep(unit_random(seed) % max_us);
}

static void *use(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (!atomic_load(&stop)) {
		if (md_map_get(map)) {
			note(errno == EAGAIN);
			atomic_fetch_add(&refused, 1);
			nap(&seed, 300);
			continue;
		}
		/* Inside a use the key stays, and works unless the budget is over. */
		if (fake_verbs_write(shared_mr->rkey, unit_random(&seed) % PAGE, 1))
			atomic_fetch_add(&written, 1);
		if (unit_random(&seed) % 64 == 0)
			nap(&seed, 8000); /* longer than the budget, at times */
		if (!md_persist(map, 0, PAGE))
			atomic_fetch_add(&persisted, 1);
		else
			note(errno == EAGAIN);
		md_map_put(map);
		atomic_fetch_add(&uses, 1);
		nap(&seed, 100);
	}
	return NULL;
}

static void *reg(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (!atomic_load(&stop)) {
		struct md_mr *mr = md_reg_mr(&fake_pd, map, PAGE, PAGE, RW);

		if (mr) {
			atomic_fetch_add(&registered, 1);
			nap(&seed, 500);
			note(!md_dereg_mr(mr));
		} else {
			note(errno == EAGAIN);
			nap(&seed, 300);
		}
	}
	return NULL;
}

static void *attach(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (!atomic_load(&stop)) {
		note(!md_attach_qp(map, &fake_qp[0], NULL));
		nap(&seed, 500);
		if (unit_random(&seed) % 8 == 0)
			note(!md_fence_qp(map, &fake_qp[0]));
		while (md_detach_qp(map, &fake_qp[0]))
			note(errno == EBUSY); /* its event is out */
		nap(&seed, 500);
	}
	return NULL;
}

static void *disturb(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (!atomic_load(&stop)) {
		switch (unit_random(&seed) % 8) {
		case 0:
			note(!md_release(map));
			nap(&seed, 2000);
			note(!md_restore(map));
			break;
		case 1:
			fake_lease_fail(2, EAGAIN);
			break;
		case 2:
			fake_lease_break_next(1);
			break;
		case 3:
			fake_lease_pin(2);
			break;
		default:
			fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
			atomic_fetch_add(&breaks, 1);
		}
		nap(&seed, 10000);
		note(!md_restore(map));
	}
	return NULL;
}

static void take_event(struct md_event *event, uint64_t *seed)
{
	note(event->type != MD_EVENT_LOST && event->map == map && event->count > 0);
	if (event->type == MD_EVENT_RESTORED)
		atomic_fetch_add(&restores, 1);
	if (unit_random(seed) % 4 == 0)
		nap(seed, 3000);
	md_ack_event(event);
}

/* In a context without a thread, this one does the work. */
static void *listen(void *arg)
{
	uint64_t seed = (uintptr_t)arg;
	struct md_event *event;

	while (!atomic_load(&stop)) {
		if (!md_get_event(ctx, &event, 1))
			take_event(event, &seed);
		else
			note(errno == EAGAIN);
	}
	return NULL;
}

static void come_to_rest(void)
{
	uint64_t seed = 1, end = md__now() + 10 * MD__SEC;
	struct md_event *event;

	fake_lease_fail(0, 0);
	fake_lease_break_next(0);
	fake_lease_pin(0);
	while (md__now() < end) {
		if (!md_get_event(ctx, &event, 50))
			take_event(event, &seed);
		else if (md_map_state(map) == MD_MAP_LIVE)
			break;
		else
			md_restore(map);
	}
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_LIVE);
}

static void stress__everything_at_once__rules_hold(void)
{
	void *(*const work[])(void *) = { use, use, use, reg, reg, attach, disturb, listen };
	pthread_t thread[sizeof(work) / sizeof(work[0])];
	const uintptr_t n = sizeof(work) / sizeof(work[0]);

	fixture_reopen(5, 0);
	map = fixture_map(MD_MAP_RESTORE);
	shared_mr = md_reg_mr(&fake_pd, map, 0, PAGE, RW);
	CU_ASSERT_PTR_NOT_NULL_FATAL(shared_mr);
	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < n; i++)
		CU_ASSERT_EQUAL(pthread_create(&thread[i], NULL, work[i], (void *)(i + 1)), 0);
	sleep(SECONDS);
	atomic_store(&stop, true);
	for (uintptr_t i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	come_to_rest();
	CU_ASSERT_EQUAL(fake_verbs_live(), 1);
	CU_ASSERT(fake_verbs_write(shared_mr->rkey, 0, 1));
	CU_ASSERT_EQUAL(md_dereg_mr(shared_mr), 0);
	fixture_unmap(map);
	CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
	printf("\n    %u uses, %u refused, %u written, %u persisted, %u registered, %u breaks, %u restored ",
	       uses, refused, written, persisted, registered, breaks, restores);
	CU_ASSERT(uses > 200 && refused > 50 && written > 200 && persisted > 200);
	CU_ASSERT(registered > 50 && breaks > 50 && restores > 20);
}

/* ---- maps that come and go --------------------------------------------- */

static void *map_and_unmap(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (!atomic_load(&stop)) {
		struct md_map *own = md_map(ctx, file, 0, PAGE, NULL);

		if (!own) {
			note(errno == EAGAIN);
			continue;
		}
		nap(&seed, 1000);
		if (!md_map_get(own))
			md_map_put(own);
		/* An event of it may just be out. */
		while (md_unmap(own))
			note(errno == EBUSY);
		atomic_fetch_add(&uses, 1);
	}
	return NULL;
}

static void *break_all(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (!atomic_load(&stop)) {
		fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
		nap(&seed, 3000);
	}
	return NULL;
}

static void *acknowledge_all(void *arg)
{
	struct md_event *event;

	(void)arg;
	while (!atomic_load(&stop)) {
		if (!md_get_event(ctx, &event, 1))
			md_ack_event(event);
	}
	return NULL;
}

static void stress__maps_come_and_go_in_breaks__nothing_is_left(void)
{
	void *(*const work[])(void *) = { map_and_unmap, map_and_unmap, map_and_unmap, break_all,
					  acknowledge_all };
	pthread_t thread[5];
	struct md_event *event;

	atomic_store(&stop, false);
	atomic_store(&uses, 0);
	atomic_store(&wrong, 0);
	for (uintptr_t i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(pthread_create(&thread[i], NULL, work[i], (void *)(i + 1)), 0);
	sleep(SECONDS);
	atomic_store(&stop, true);
	pthread_join(thread[4], NULL); /* one thread at a time processes */
	for (int i = 0; i < 3; i++) {
		while (pthread_tryjoin_np(thread[i], NULL)) {
			if (!md_get_event(ctx, &event, 1))
				md_ack_event(event);
		}
	}
	pthread_join(thread[3], NULL);
	CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
	CU_ASSERT(uses > 100);
	CU_ASSERT_EQUAL(fake_lease_held(), 0);
	printf("\n    %u maps ", uses);
}

static const struct unit_case cases[] = {
	UNIT_CASE(stress__everything_at_once__rules_hold),
	UNIT_CASE(stress__maps_come_and_go_in_breaks__nothing_is_left),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("stress", cases, argc, argv);
}
