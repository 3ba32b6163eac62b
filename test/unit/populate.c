// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Going through the pages: how far it is, and what ends it. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "context.h"
#include "fixture.h"
#include "map.h"

#define ALL (FILE_PAGES * PAGE)
#define LONG_US 60000 /* longer than from one event to the next */

static int cancel, anything;
static struct md_map *map;
static struct md_event *out; /* fetched in the middle, not acknowledged */
static atomic_uint pages;    /* how many were begun */

static struct md_map *try_map(uint32_t flags)
{
	const struct md_map_attr attr = {
		.size = sizeof(attr),
		.flags = flags,
		.cancel = &cancel,
		.user_data = &anything,
	};

	atomic_store(&pages, 0);
	return md_map(ctx, file, 0, ALL, &attr);
}

static void expect_populate(struct md_map *of, uint64_t done, uint32_t count)
{
	struct md_event *event = expect_event(MD_EVENT_POPULATE);

	CU_ASSERT_PTR_EQUAL(event->map, of);
	CU_ASSERT_PTR_EQUAL(event->user_data, &anything);
	CU_ASSERT_EQUAL(event->done, done);
	CU_ASSERT_EQUAL(event->total, ALL);
	CU_ASSERT_EQUAL(event->count, count);
	md_ack_event(event);
}

/* ---- progress ---------------------------------------------------------- */

static void map__progress_not_asked_for__no_event(void)
{
	cancel = 0;
	map = try_map(0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	expect_no_event();
	fixture_unmap(map);
}

static void map__nobody_looks__one_event_tells_the_end(void)
{
	cancel = 0;
	map = try_map(MD_MAP_PROGRESS);
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	expect_populate(NULL, ALL, 2);
	expect_no_event();
	fixture_unmap(map);
}

/* In the thread that is in md_map(), the main one. */
static void look_on(unsigned int page)
{
	if (page == 0)
		expect_populate(NULL, 0, 1);
	if (page == 2)
		usleep(LONG_US);
	if (page == 3)
		expect_populate(NULL, 3 * PAGE, 1);
}

static void map__somebody_looks_on__sees_how_far_it_is(void)
{
	cancel = 0;
	fake_lease_at_page(look_on);
	map = try_map(MD_MAP_PROGRESS);
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	expect_populate(NULL, ALL, 1);
	expect_no_event();
	fixture_unmap(map);
}

static void restore__progress__tells_which_map(void)
{
	cancel = 0;
	map = try_map(MD_MAP_PROGRESS | MD_MAP_RESTORE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	expect_populate(NULL, ALL, 2);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	out = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_PTR_EQUAL(out->user_data, &anything);
	md_ack_event(out);
	expect_state(map, MD_MAP_LIVE);
	pass_event(MD_EVENT_RELEASED);
	expect_populate(map, ALL, 2);
	pass_event(MD_EVENT_RESTORED);
	fixture_unmap(map);
}

/* ---- cancel ------------------------------------------------------------ */

static void count(unsigned int page)
{
	(void)page;
	atomic_fetch_add(&pages, 1);
}

static void map__cancelled_before__ecanceled_at_once(void)
{
	cancel = 1;
	fake_lease_at_page(count);
	CU_ASSERT_PTR_NULL(try_map(MD_MAP_PROGRESS));
	ASSERT_FAILED(ECANCELED, "cancelled");
	ASSERT_FAILED(ECANCELED, "of /memfd:data");
	CU_ASSERT_EQUAL(atomic_load(&pages), 0);
}

static void cancel_at_2(unsigned int page)
{
	count(page);
	if (page == 2)
		__atomic_store_n(&cancel, 1, __ATOMIC_RELEASE);
}

/* Teardown sees that no descriptor is left. */
static void map__cancelled_midway__nothing_is_left(void)
{
	cancel = 0;
	fake_lease_at_page(cancel_at_2);
	CU_ASSERT_PTR_NULL(try_map(MD_MAP_PROGRESS));
	ASSERT_FAILED(ECANCELED, "cancelled after 12 of 16 KiB");
	CU_ASSERT_EQUAL(atomic_load(&pages), 3);
	CU_ASSERT_EQUAL(fake_lease_tries(), 0);
	expect_no_event();
	fake_lease_at_page(NULL);
	cancel = 0;
	map = try_map(0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	expect_no_event();
	fixture_unmap(map);
}

static void fetch_and_cancel(unsigned int page)
{
	cancel_at_2(page);
	if (page == 0)
		out = expect_event(MD_EVENT_POPULATE);
	if (page == 1)
		usleep(LONG_US); /* there is another, which nobody fetches */
}

/* Who looks on in another thread does not know that the map is gone. */
static void map__cancelled_while_an_event_is_out__it_stays_valid(void)
{
	struct md_event copy;

	cancel = 0;
	fake_lease_at_page(fetch_and_cancel);
	CU_ASSERT_PTR_NULL(try_map(MD_MAP_PROGRESS));
	CU_ASSERT_EQUAL(errno, ECANCELED);
	copy = *out;
	fake_lease_at_page(NULL);
	cancel = 0;
	map = try_map(MD_MAP_PROGRESS);
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	expect_populate(NULL, ALL, 2);
	fixture_unmap(map);
	CU_ASSERT_EQUAL(memcmp(out, &copy, sizeof(copy)), 0);
	CU_ASSERT_EQUAL(md_close(ctx), -1);
	ASSERT_FAILED(EBUSY, "md_ack_event");
	md_ack_event(out);
	expect_no_event();
}

static void restore__cancel_set_later__is_not_looked_at(void)
{
	cancel = 0;
	map = try_map(MD_MAP_RESTORE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	cancel = 1;
	break_and_release();
	pass_event(MD_EVENT_RESTORED);
	fixture_unmap(map);
}

/* ---- a restore gives way ----------------------------------------------- */

static struct md_mr *mr;
static int (*call)(void);
static atomic_int result;
static pthread_t caller;

static void *run_call(void *arg)
{
	(void)arg;
	atomic_store(&result, call());
	return NULL;
}

/*
 * In the thread that restores, once: another one makes a call that needs the
 * map. No more pages may be begun before that call has had it.
 */
static void call_at_1(unsigned int page)
{
	if (atomic_fetch_add(&pages, 1) != 1)
		return;
	if (page != 1 || pthread_create(&caller, NULL, run_call, NULL))
		abort();
	for (int ms = 0; ms < 10000 && !atomic_load(&map->populate.impatient); ms++)
		usleep(1000);
}

static unsigned int pages_when_called;

static int do_unmap(void)
{
	int err = md_unmap(map);

	pages_when_called = atomic_load(&pages);
	return err;
}

static int do_dereg(void)
{
	int err = md_dereg_mr(mr);

	pages_when_called = atomic_load(&pages);
	return err;
}

static int do_detach(void)
{
	return md_detach_qp(map, &fake_qp[0]);
}

static int do_release(void)
{
	return md_release(map);
}

static void call_in_restore(int (*what)(void))
{
	call = what;
	atomic_store(&result, 1);
	atomic_store(&pages, 0);
	fake_lease_at_page(call_at_1);
	break_and_release();
	for (int ms = 0; ms < 10000 && atomic_load(&result) == 1; ms++) {
		pump();
		usleep(1000);
	}
	CU_ASSERT_EQUAL(atomic_load(&result), 0);
	pthread_join(caller, NULL);
}

static void unmap__in_a_long_restore__ends_it(void)
{
	map = fixture_map(MD_MAP_RESTORE);
	call_in_restore(do_unmap);
	CU_ASSERT_EQUAL(pages_when_called, 2);
	CU_ASSERT_EQUAL(fake_lease_held(), 0);
	expect_no_event();
}

static void release__in_a_long_restore__ends_it(void)
{
	map = fixture_map(MD_MAP_RESTORE);
	call_in_restore(do_release);
	expect_no_event();
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_RELEASED);
	CU_ASSERT_EQUAL(atomic_load(&pages), 2);
	fixture_unmap(map);
}

/* It goes on after them. */
static void dereg_and_detach__in_a_long_restore__do_not_wait(void)
{
	map = fixture_map(MD_MAP_RESTORE);
	mr = md_reg_mr(&fake_pd, map, 0, PAGE, RW);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mr);
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], NULL), 0);
	call_in_restore(do_dereg);
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT_EQUAL(atomic_load(&pages), FILE_PAGES);
	call_in_restore(do_detach);
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT_EQUAL(atomic_load(&pages), FILE_PAGES);
	fixture_unmap(map);
}

static void break_at_1(unsigned int page)
{
	(void)page;
	if (atomic_fetch_add(&pages, 1) == 1)
		fake_lease_break(MD_REASON_TRUNCATE, FAR_MS);
}

/* The break of the other one is told before this one is restored. */
static void restore__another_map_breaks__gives_way(void)
{
	struct md_map *other;
	struct md_event *event;

	map = fixture_map(MD_MAP_RESTORE);
	break_and_release();
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT_EQUAL(md_release(map), 0);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	other = fixture_map(0);
	atomic_store(&pages, 0);
	fake_lease_at_page(break_at_1);
	CU_ASSERT_EQUAL(md_restore(map), 0);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_PTR_EQUAL(event->map, other);
	CU_ASSERT_EQUAL(atomic_load(&pages), 2);
	md_ack_event(event);
	pass_event(MD_EVENT_RELEASED);
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT_EQUAL(atomic_load(&pages), FILE_PAGES);
	fixture_unmap(map);
	fixture_unmap(other);
}

static const struct unit_case cases[] = {
	UNIT_CASE(map__progress_not_asked_for__no_event),
	UNIT_CASE(map__nobody_looks__one_event_tells_the_end),
	UNIT_CASE(map__somebody_looks_on__sees_how_far_it_is),
	UNIT_CASE(restore__progress__tells_which_map),
	UNIT_CASE(map__cancelled_before__ecanceled_at_once),
	UNIT_CASE(map__cancelled_midway__nothing_is_left),
	UNIT_CASE(map__cancelled_while_an_event_is_out__it_stays_valid),
	UNIT_CASE(restore__cancel_set_later__is_not_looked_at),
	UNIT_CASE(unmap__in_a_long_restore__ends_it),
	UNIT_CASE(release__in_a_long_restore__ends_it),
	UNIT_CASE(dereg_and_detach__in_a_long_restore__do_not_wait),
	UNIT_CASE(restore__another_map_breaks__gives_way),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("populate", cases, argc, argv);
}
