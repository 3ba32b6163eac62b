// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Restore: when it starts, what it brings back, when it is given up. */

#include <unistd.h>

#include "clock.h"
#include "fixture.h"

static struct md_map *map;
static struct md_mr *mr[3];

static void map_with_three_regions(uint32_t flags)
{
	map = fixture_map(flags);
	for (int i = 0; i < 3; i++) {
		mr[i] = md_reg_mr(&fake_pd, map, i * PAGE, PAGE, RW);
		CU_ASSERT_PTR_NOT_NULL_FATAL(mr[i]);
	}
}

static void unmap_deregistered(void)
{
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(md_dereg_mr(mr[i]), 0);
	fixture_unmap(map);
}

/* ---- what comes back ---------------------------------------------------- */

static void restore__policy__same_handles_with_new_keys(void)
{
	struct md_mr before[3];
	struct md_event *event;
	uint64_t generation;
	void *addr;

	map_with_three_regions(MD_MAP_RESTORE);
	addr = md_map_addr(map);
	generation = md_map_generation(map);
	for (int i = 0; i < 3; i++)
		before[i] = *mr[i];
	break_and_release();
	event = expect_event(MD_EVENT_RESTORED);
	CU_ASSERT(event->generation > generation);
	CU_ASSERT_EQUAL(event->generation, md_map_generation(map));
	CU_ASSERT(event->timeline.restored >= event->timeline.released);
	CU_ASSERT(event->timeline.released > 0);
	md_ack_event(event);
	CU_ASSERT_PTR_EQUAL(md_map_addr(map), addr);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_PTR_EQUAL(mr[i]->addr, before[i].addr);
		CU_ASSERT_EQUAL(mr[i]->length, before[i].length);
		CU_ASSERT_EQUAL(mr[i]->access, before[i].access);
		CU_ASSERT_NOT_EQUAL(mr[i]->lkey, before[i].lkey);
		CU_ASSERT_NOT_EQUAL(mr[i]->rkey, before[i].rkey);
		CU_ASSERT_FALSE(fake_verbs_write(before[i].rkey, 0, 1));
		CU_ASSERT(fake_verbs_write(mr[i]->rkey, 0, 1));
	}
	md_map_put(map);
	expect_no_event();
	unmap_deregistered();
}

static void restore__no_policy__only_when_asked(void)
{
	map_with_three_regions(0);
	CU_ASSERT_EQUAL(md_restore(map), 0);
	break_and_release();
	expect_no_event();
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_RELEASED);
	CU_ASSERT_EQUAL(md_restore(map), 0);
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT_EQUAL(fake_verbs_live(), 3);
	break_and_release();
	expect_no_event();
	unmap_deregistered();
}

static void restore__keys_before_it__do_not_change_in_a_use(void)
{
	uint32_t rkey;

	fixture_reopen(20, 0);
	map_with_three_regions(MD_MAP_RESTORE);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	rkey = mr[0]->rkey;
	break_and_release();
	expect_no_event();
	CU_ASSERT_EQUAL(mr[0]->rkey, rkey);
	CU_ASSERT_EQUAL(fake_lease_held(), 0);
	md_map_put(map);
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT_NOT_EQUAL(mr[0]->rkey, rkey);
	unmap_deregistered();
}

static void restore__asked_with_open_use__waits_for_it(void)
{
	fixture_reopen(20, 0);
	map_with_three_regions(0);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	break_and_release();
	CU_ASSERT_EQUAL(md_restore(map), 0);
	expect_no_event();
	md_map_put(map);
	pass_event(MD_EVENT_RESTORED);
	unmap_deregistered();
}

static void restore__live_lost_or_null__nothing_estale_or_einval(void)
{
	map_with_three_regions(0);
	CU_ASSERT_EQUAL(md_restore(map), 0);
	expect_no_event();
	CU_ASSERT_EQUAL(fake_lease_tries(), 1);
	break_and_release();
	fake_lease_fail(1, EIO);
	CU_ASSERT_EQUAL(md_restore(map), 0);
	pass_event(MD_EVENT_LOST);
	CU_ASSERT_EQUAL(md_restore(map), -1);
	ASSERT_FAILED(ESTALE, "lost for good");
	CU_ASSERT_EQUAL(md_restore(NULL), -1);
	ASSERT_FAILED(EINVAL, "no map");
	unmap_deregistered();
}

static void restore__many_times__nothing_is_used_up(void)
{
	map_with_three_regions(MD_MAP_RESTORE);
	for (int i = 0; i < 6; i++) {
		break_and_release();
		pass_event(MD_EVENT_RESTORED);
		CU_ASSERT_EQUAL(fake_lease_held(), 1);
		CU_ASSERT_EQUAL(fake_verbs_live(), 3);
	}
	unmap_deregistered();
}

/* ---- tries that fail ---------------------------------------------------- */

static void restore__busy__tried_until_it_works(void)
{
	const int error[] = { EAGAIN, EBUSY, EEXIST };

	fixture_reopen(PATIENT_MS, 1); /* the limit is not for these */
	map_with_three_regions(MD_MAP_RESTORE);
	for (int i = 0; i < 3; i++) {
		fake_lease_fail(2, error[i]);
		break_and_release();
		pass_event(MD_EVENT_RESTORED);
	}
	CU_ASSERT_EQUAL(fake_lease_tries(), 1 + 3 * 3);
	unmap_deregistered();
}

static void restore__asked_while_backing_off__cuts_the_pause_short(void)
{
	uint64_t began;

	map_with_three_regions(MD_MAP_RESTORE);
	fake_lease_fail(FAKE_FOR_EVER, EAGAIN);
	break_and_release();
	while (fake_lease_tries() < 11) { /* pauses are 500 ms and more by now */
		pump();
		usleep(500);
	}
	fake_lease_fail(0, 0);
	began = md__now();
	CU_ASSERT_EQUAL(md_restore(map), 0);
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT(md__now() - began < 400 * MD__MSEC);
	unmap_deregistered();
}

static void restore__does_not_fit_or_is_short__lost_after_the_limit(void)
{
	const int error[] = { ENXIO, ENODATA, EMFILE, ENFILE, ENOMEM, ENOSPC };

	fixture_reopen(PATIENT_MS, 100);
	for (int i = 0; i < 6; i++) {
		struct md_event *event;
		uint64_t began;

		map_with_three_regions(MD_MAP_RESTORE);
		fake_lease_fail(FAKE_FOR_EVER, error[i]);
		break_and_release();
		began = md__now();
		event = expect_event(MD_EVENT_LOST);
		CU_ASSERT(md__now() - began >= 90 * MD__MSEC);
		CU_ASSERT_EQUAL(event->error, error[i]);
		CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "/memfd:data"));
		md_ack_event(event);
		CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_LOST);
		CU_ASSERT(fake_lease_tries() > 3);
		fake_lease_fail(0, 0);
		unmap_deregistered();
	}
}

static void restore__fits_before_the_limit__restored(void)
{
	map_with_three_regions(MD_MAP_RESTORE);
	fake_lease_fail(4, ENXIO);
	break_and_release();
	pass_event(MD_EVENT_RESTORED);
	unmap_deregistered();
}

/* Another thread had the last descriptor, another process the last blocks. */
static void restore__short_of_something__tried_until_it_works(void)
{
	const int error[] = { EMFILE, ENFILE, ENOMEM, ENOSPC };

	map_with_three_regions(MD_MAP_RESTORE);
	for (int i = 0; i < 4; i++) {
		fake_lease_fail(2, error[i]);
		break_and_release();
		pass_event(MD_EVENT_RESTORED);
	}
	unmap_deregistered();
}

static void wait_for_try(void)
{
	const unsigned int before = fake_lease_tries();

	while (fake_lease_tries() == before) {
		pump();
		usleep(500);
	}
}

/* Fits, then does not, then is busy until the limit is over, then does not fit. */
static void restore_with_busy_between(int error)
{
	const uint32_t limit_ms = 100;
	uint64_t began;

	fixture_reopen(PATIENT_MS, limit_ms);
	map_with_three_regions(MD_MAP_RESTORE);
	fake_lease_fail(FAKE_FOR_EVER, EAGAIN);
	break_and_release();
	wait_for_try();
	fake_lease_fail(FAKE_FOR_EVER, ENXIO);
	wait_for_try();
	began = md__now();
	fake_lease_fail(FAKE_FOR_EVER, error);
	do
		wait_for_try();
	while (md__now() - began <= limit_ms * MD__MSEC);
	fake_lease_fail(1, ENXIO);
}

static void restore__seen_to_fit_between__limit_starts_anew(void)
{
	restore_with_busy_between(EAGAIN);
	pass_event(MD_EVENT_RESTORED);
	unmap_deregistered();
}

static void restore__not_seen_to_fit_between__lost_after_the_limit(void)
{
	restore_with_busy_between(EBUSY);
	pass_event(MD_EVENT_LOST);
	unmap_deregistered();
}

static void restore__refused__lost_at_once(void)
{
	struct md_event *event;

	map_with_three_regions(MD_MAP_RESTORE);
	fake_lease_fail(1, EPERM);
	break_and_release();
	event = expect_event(MD_EVENT_LOST);
	CU_ASSERT_EQUAL(event->error, EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, strerror(EPERM)));
	md_ack_event(event);
	CU_ASSERT_EQUAL(md_map_get(map), -1);
	ASSERT_FAILED(ESTALE, "lost for good");
	CU_ASSERT_EQUAL(fake_lease_tries(), 2);
	expect_no_event();
	unmap_deregistered();
}

/* The nth of the regions fails: none may stay, and the lease goes back. */
static void restore__region_fails__all_or_none(void)
{
	map_with_three_regions(MD_MAP_RESTORE);
	for (unsigned int nth = 1; nth <= 3; nth++) {
		fake_verbs_fail_reg(nth, FAKE_FOR_EVER, ENOMEM);
		break_and_release();
		expect_no_event();
		pump();
		CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_RELEASED);
		CU_ASSERT_EQUAL(md_map_get(map), -1);
		fake_verbs_fail_reg(1, 0, 0);
		pass_event(MD_EVENT_RESTORED);
		CU_ASSERT_EQUAL(fake_verbs_live(), 3);
	}
	unmap_deregistered();
}

static void restore__region_fails_for_long__lost_with_its_errno(void)
{
	struct md_event *event;

	fixture_reopen(PATIENT_MS, 100);
	map_with_three_regions(MD_MAP_RESTORE);
	fake_verbs_fail_reg(2, FAKE_FOR_EVER, ENOMEM);
	break_and_release();
	event = expect_event(MD_EVENT_LOST);
	CU_ASSERT_EQUAL(event->error, ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "ibv_reg_mr"));
	md_ack_event(event);
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	CU_ASSERT_EQUAL(fake_lease_held(), 0);
	unmap_deregistered();
}

static void restore__broken_at_once__nothing_told_twice(void)
{
	uint64_t generation;

	map_with_three_regions(MD_MAP_RESTORE);
	generation = md_map_generation(map);
	fake_lease_break_next(3);
	break_and_release();
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT_EQUAL(md_map_generation(map), generation + 4);
	expect_no_event();
	CU_ASSERT_EQUAL(fake_verbs_live(), 3);
	unmap_deregistered();
}

/* The one thing that is told of a lease which was never shown: it cannot be given back. */
static void restore__broken_at_once_and_pinned__late_tells_of_this_break(void)
{
	struct md_event *event;
	uint64_t began;

	map_with_three_regions(0);
	fake_lease_break(MD_REASON_TRUNCATE, 50);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	usleep(60000);
	fake_lease_break_next(1);
	fake_lease_pin(FAKE_FOR_EVER);
	began = md__now();
	CU_ASSERT_EQUAL(md_restore(map), 0);
	event = expect_event(MD_EVENT_LATE);
	CU_ASSERT(event->timeline.deadline > began);
	CU_ASSERT_EQUAL(event->reason, MD_REASON_LAYOUT);
	CU_ASSERT(event->generation > md_map_generation(map));
	md_ack_event(event);
	fake_lease_pin(0);
	pass_event(MD_EVENT_RESTORED);
	unmap_deregistered();
}

/* A writer that breaks the lease whenever it is back must not make a storm. */
static void restore__break_after_break__pauses_grow(void)
{
	uint64_t began = md__now();

	map_with_three_regions(MD_MAP_RESTORE);
	for (int i = 0; i < 8; i++) {
		break_and_release();
		pass_event(MD_EVENT_RESTORED);
	}
	/* 1 + 2 + 4 + ... + 128 ms, at least half of each */
	CU_ASSERT(md__now() - began >= 127 * MD__MSEC);
	unmap_deregistered();
}

/* Pages that somebody else pins keep one map, not the others of the context. */
static void restore__another_map_is_stuck_in_its_release__does_not_wait(void)
{
	struct md_map *other;

	fixture_reopen(20, 0);
	other = fixture_map(0);
	map_with_three_regions(MD_MAP_RESTORE);
	CU_ASSERT_EQUAL(md_release(map), 0);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	fake_lease_pin(FAKE_FOR_EVER);
	CU_ASSERT_EQUAL(md_release(other), 0);
	pass_event(MD_EVENT_BREAK);
	expect_no_event();
	CU_ASSERT_EQUAL(md_map_state(other), MD_MAP_BREAKING);
	CU_ASSERT_EQUAL(md_restore(map), 0);
	pass_event(MD_EVENT_RESTORED);
	fake_lease_pin(0);
	pass_event(MD_EVENT_RELEASED);
	unmap_deregistered();
	fixture_unmap(other);
}

static const struct unit_case cases[] = {
	UNIT_CASE(restore__policy__same_handles_with_new_keys),
	UNIT_CASE(restore__no_policy__only_when_asked),
	UNIT_CASE(restore__keys_before_it__do_not_change_in_a_use),
	UNIT_CASE(restore__asked_with_open_use__waits_for_it),
	UNIT_CASE(restore__live_lost_or_null__nothing_estale_or_einval),
	UNIT_CASE(restore__many_times__nothing_is_used_up),
	UNIT_CASE(restore__busy__tried_until_it_works),
	UNIT_CASE(restore__asked_while_backing_off__cuts_the_pause_short),
	UNIT_CASE(restore__does_not_fit_or_is_short__lost_after_the_limit),
	UNIT_CASE(restore__fits_before_the_limit__restored),
	UNIT_CASE(restore__short_of_something__tried_until_it_works),
	UNIT_CASE(restore__seen_to_fit_between__limit_starts_anew),
	UNIT_CASE(restore__not_seen_to_fit_between__lost_after_the_limit),
	UNIT_CASE(restore__refused__lost_at_once),
	UNIT_CASE(restore__region_fails__all_or_none),
	UNIT_CASE(restore__region_fails_for_long__lost_with_its_errno),
	UNIT_CASE(restore__broken_at_once__nothing_told_twice),
	UNIT_CASE(restore__broken_at_once_and_pinned__late_tells_of_this_break),
	UNIT_CASE(restore__break_after_break__pauses_grow),
	UNIT_CASE(restore__another_map_is_stuck_in_its_release__does_not_wait),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("restore", cases, argc, argv);
}
