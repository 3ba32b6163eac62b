// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Events: their order, what is folded into one, waiting for them. */

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "clock.h"
#include "context.h"
#include "fixture.h"
#include "map.h"

static struct md_map *map;

static void get_event__none__eagain_in_time(void)
{
	struct md_event *event;
	uint64_t began = md__now();

	CU_ASSERT_EQUAL(md_get_event(ctx, &event, 0), -1);
	ASSERT_FAILED(EAGAIN, "no event");
	CU_ASSERT(md__now() - began < 5 * MD__SEC);
	began = md__now();
	CU_ASSERT_EQUAL(md_get_event(ctx, &event, 20), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	CU_ASSERT(md__now() - began >= 20 * MD__MSEC);
}

static void get_event__bad_arguments__einval(void)
{
	struct md_event *event;

	CU_ASSERT_EQUAL(md_get_event(NULL, &event, 0), -1);
	ASSERT_FAILED(EINVAL, "no context");
	CU_ASSERT_EQUAL(md_get_event(ctx, NULL, 0), -1);
	ASSERT_FAILED(EINVAL, "no place");
}

static void ack_event__null_or_not__errno_is_kept(void)
{
	struct md_event *event;

	map = fixture_map(0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	event = expect_event(MD_EVENT_BREAK);
	errno = ENXIO;
	md_ack_event(NULL);
	md_ack_event(event);
	CU_ASSERT_EQUAL(errno, ENXIO);
	pass_event(MD_EVENT_RELEASED);
	fixture_unmap(map);
}

static void *break_later(void *arg)
{
	(void)arg;
	usleep(20000);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	return NULL;
}

static void get_event__waiting_for_ever__wakes_for_a_break(void)
{
	struct md_event *event = NULL;
	pthread_t t;

	map = fixture_map(0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, break_later, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(md_get_event(ctx, &event, -1), 0);
	CU_ASSERT_EQUAL(event->type, MD_EVENT_BREAK);
	md_ack_event(event);
	pthread_join(t, NULL);
	pass_event(MD_EVENT_RELEASED);
	fixture_unmap(map);
}

static void on_signal(int sig)
{
	(void)sig;
}

static atomic_bool interrupted;

/* Again and again: the first may come before the wait has begun. */
static void *interrupt(void *arg)
{
	while (!atomic_load(&interrupted)) {
		usleep(20000);
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
	}
	return NULL;
}

static void get_event__signal__eintr(void)
{
	const struct sigaction sa = { .sa_handler = on_signal };
	pthread_t t, self = pthread_self();
	struct md_event *event;

	sigaction(SIGUSR1, &sa, NULL);
	atomic_store(&interrupted, false);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, interrupt, &self), 0);
	CU_ASSERT_EQUAL(md_get_event(ctx, &event, -1), -1);
	CU_ASSERT_EQUAL(errno, EINTR);
	atomic_store(&interrupted, true);
	pthread_join(t, NULL);
}

/* ---- folding ----------------------------------------------------------- */

/* A restored map that tells nobody: nothing is fetched meanwhile. */
static void break_silently(void)
{
	uint64_t generation = md_map_generation(map);

	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	for (int ms = 0; ms < 10000 && md_map_generation(map) == generation; ms++) {
		pump();
		usleep(1000);
	}
	CU_ASSERT_NOT_EQUAL(md_map_generation(map), generation);
	/* The step that restored has the lock until all its events are queued. */
	pthread_mutex_lock(&map->lock);
	pthread_mutex_unlock(&map->lock);
}

static void events__not_fetched_through_three_breaks__one_of_each_kind(void)
{
	const enum md_event_type type[] = { MD_EVENT_BREAK, MD_EVENT_RELEASED, MD_EVENT_RESTORED };
	uint64_t last;

	fixture_reopen(10, 0);
	map = fixture_map(MD_MAP_RESTORE);
	for (int i = 0; i < 3; i++)
		break_silently();
	last = md_map_generation(map);
	for (int i = 0; i < 3; i++) {
		struct md_event *event = expect_event(type[i]);

		CU_ASSERT_EQUAL(event->count, 3);
		CU_ASSERT_EQUAL(event->generation, type[i] == MD_EVENT_RESTORED ? last : last - 1);
		md_ack_event(event);
	}
	expect_no_event();
	fixture_unmap(map);
}

/* The one that is lent does not change; the next waits for its return. */
static void events__lent_while_it_happens_again__stay_as_they_are(void)
{
	struct md_event *event, copy;

	fixture_reopen(10, 0);
	map = fixture_map(MD_MAP_RESTORE);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	event = expect_event(MD_EVENT_BREAK);
	copy = *event;
	pass_event(MD_EVENT_RELEASED);
	pass_event(MD_EVENT_RESTORED);
	break_silently();
	break_silently();
	CU_ASSERT_EQUAL(memcmp(event, &copy, sizeof(copy)), 0);
	md_ack_event(event);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(event->count, 2);
	CU_ASSERT_EQUAL(event->generation, copy.generation + 2);
	md_ack_event(event);
	pass_event(MD_EVENT_RELEASED);
	pass_event(MD_EVENT_RESTORED);
	expect_no_event();
	fixture_unmap(map);
}

/* Who has heard that a map is live again is not told to stop for what is over. */
static void events__lent_until_the_next_break_is_over__not_told_late(void)
{
	struct md_event *old;

	fixture_reopen(10, 0);
	map = fixture_map(MD_MAP_RESTORE);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	old = expect_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	pass_event(MD_EVENT_RESTORED);
	break_silently();
	pass_event(MD_EVENT_RELEASED);
	md_ack_event(old);
	pass_event(MD_EVENT_RESTORED);
	expect_no_event();

	/* The slot is as good as new. */
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	old = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(old->count, 1);
	md_ack_event(old);
	pass_event(MD_EVENT_RELEASED);
	pass_event(MD_EVENT_RESTORED);
	fixture_unmap(map);
}

/* That a break drags on does not say that it is over. */
static void events__late_while_an_older_break_is_lent__break_is_still_told(void)
{
	struct md_event *old, *event;

	fixture_reopen(10, 0);
	map = fixture_map(MD_MAP_RESTORE);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	old = expect_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	pass_event(MD_EVENT_RESTORED);
	fake_lease_pin(FAKE_FOR_EVER);
	fake_lease_break(MD_REASON_LAYOUT, 200);
	event = expect_event(MD_EVENT_LATE);
	md_ack_event(event);
	md_ack_event(old);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(event->count, 1);
	md_ack_event(event);
	fake_lease_pin(0);
	pass_event(MD_EVENT_RELEASED);
	pass_event(MD_EVENT_RESTORED);
	fixture_unmap(map);
}

/* An acknowledgement of the last break is none of this one. */
static void ack_event__of_an_older_break__does_not_end_this_one(void)
{
	struct md_event *old, *event;

	fixture_reopen(1000, 0);
	map = fixture_map(MD_MAP_RESTORE);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	old = expect_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	pass_event(MD_EVENT_RESTORED);

	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	expect_state(map, MD_MAP_BREAKING);
	md_ack_event(old);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(event->count, 1);
	expect_no_event();
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_BREAKING);
	md_ack_event(event);
	pass_event(MD_EVENT_RELEASED);
	pass_event(MD_EVENT_RESTORED);
	fixture_unmap(map);
}

static void events__of_several_maps__in_the_order_they_came(void)
{
	struct md_map *map2;
	struct md_event *event;

	map = fixture_map(0);
	map2 = fixture_map(0);
	CU_ASSERT_EQUAL(md_release(map2), 0);
	CU_ASSERT_EQUAL(md_release(map), 0);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_PTR_EQUAL(event->map, map2);
	md_ack_event(event);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_PTR_EQUAL(event->map, map);
	md_ack_event(event);
	pass_event(MD_EVENT_RELEASED);
	pass_event(MD_EVENT_RELEASED);
	expect_no_event();
	fixture_unmap(map);
	fixture_unmap(map2);
}

static const struct unit_case cases[] = {
	UNIT_CASE(get_event__none__eagain_in_time),
	UNIT_CASE(get_event__bad_arguments__einval),
	UNIT_CASE(ack_event__null_or_not__errno_is_kept),
	UNIT_CASE(get_event__waiting_for_ever__wakes_for_a_break),
	UNIT_CASE(get_event__signal__eintr),
	UNIT_CASE(events__not_fetched_through_three_breaks__one_of_each_kind),
	UNIT_CASE(events__lent_while_it_happens_again__stay_as_they_are),
	UNIT_CASE(events__lent_until_the_next_break_is_over__not_told_late),
	UNIT_CASE(events__late_while_an_older_break_is_lent__break_is_still_told),
	UNIT_CASE(ack_event__of_an_older_break__does_not_end_this_one),
	UNIT_CASE(events__of_several_maps__in_the_order_they_came),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("event", cases, argc, argv);
}
