// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Whole breaks, from the notice to the release. */

#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "fixture.h"

static struct md_map *map;
static struct md_mr *mr[2];

static void map_with_two_regions(uint32_t flags)
{
	map = fixture_map(flags);
	for (int i = 0; i < 2; i++) {
		mr[i] = md_reg_mr(&fake_pd, map, i * PAGE, PAGE, RW);
		CU_ASSERT_PTR_NOT_NULL_FATAL(mr[i]);
	}
}

static void unmap_deregistered(void)
{
	CU_ASSERT_EQUAL(md_dereg_mr(mr[0]), 0);
	CU_ASSERT_EQUAL(md_dereg_mr(mr[1]), 0);
	fixture_unmap(map);
}

static void break__told__event_says_who_why_and_until_when(void)
{
	struct md_event *event;

	map_with_two_regions(0);
	fake_lease_break(MD_REASON_TRUNCATE, FAR_MS);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_PTR_EQUAL(event->map, map);
	CU_ASSERT_EQUAL(event->generation, md_map_generation(map));
	CU_ASSERT_EQUAL(event->count, 1);
	CU_ASSERT_EQUAL(event->reason, MD_REASON_TRUNCATE);
	CU_ASSERT_EQUAL(event->breaker_pid, FAKE_PID);
	CU_ASSERT_STRING_EQUAL(event->breaker_comm, FAKE_COMM);
	CU_ASSERT_PTR_NULL(event->qp);
	CU_ASSERT_EQUAL(event->error, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, FAKE_COMM " (pid 4711)"));
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "bytes 0 to 16383 of /memfd:data"));
	CU_ASSERT_EQUAL(event->timeline.deadline, event->timeline.broken + FAR_MS * MD__MSEC);
	md_ack_event(event);
	pass_event(MD_EVENT_RELEASED);
	unmap_deregistered();
}

static void break__noticed__gate_is_shut_and_regions_still_work(void)
{
	struct md_event *event;

	map_with_two_regions(0);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_BREAKING);
	CU_ASSERT_EQUAL(md_map_get(map), -1);
	ASSERT_FAILED(EAGAIN, "no lease now");
	CU_ASSERT(fake_verbs_write(mr[0]->rkey, 0, 1));
	CU_ASSERT_EQUAL(fake_lease_held(), 1);
	md_ack_event(event);
	md_map_put(map);
	pass_event(MD_EVENT_RELEASED);
	unmap_deregistered();
}

static void break__last_use_put__goes_on_only_then(void)
{
	map_with_two_regions(0);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	md_map_put(map);
	expect_no_event();
	CU_ASSERT_EQUAL(fake_verbs_live(), 2);
	md_map_put(map);
	pass_event(MD_EVENT_RELEASED);
	unmap_deregistered();
}

static void break__event_acknowledged__goes_on_only_then(void)
{
	struct md_event *event;

	map_with_two_regions(0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	event = expect_event(MD_EVENT_BREAK);
	expect_no_event();
	CU_ASSERT_EQUAL(fake_verbs_live(), 2);
	md_ack_event(event);
	pass_event(MD_EVENT_RELEASED);
	unmap_deregistered();
}

static void break__done__nothing_held_and_keys_dead(void)
{
	struct md_event *event;
	const struct md_timeline *t;

	map_with_two_regions(0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	event = expect_event(MD_EVENT_RELEASED);
	t = &event->timeline;
	CU_ASSERT(t->broken && t->broken <= t->noticed && t->noticed <= t->told);
	CU_ASSERT(t->told <= t->drained && t->drained <= t->deregistered);
	CU_ASSERT(t->deregistered <= t->released && t->released <= md__now());
	CU_ASSERT_EQUAL(t->fenced, 0);
	CU_ASSERT_EQUAL(t->restored, 0);
	CU_ASSERT_EQUAL(event->reason, MD_REASON_LAYOUT);
	CU_ASSERT_EQUAL(event->generation, md_map_generation(map));
	md_ack_event(event);
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_RELEASED);
	CU_ASSERT_EQUAL(fake_lease_held(), 0);
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	CU_ASSERT_FALSE(fake_verbs_write(mr[0]->rkey, 0, 1));
	CU_ASSERT_EQUAL(md_map_get(map), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	expect_no_event();
	unmap_deregistered();
}

/* write(2) tells what may be read, msync(2) what is mapped at all. */
static bool readable(const void *addr)
{
	int fds[2];
	bool can;

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	can = write(fds[1], addr, 1) == 1;
	close(fds[0]);
	close(fds[1]);
	return can;
}

static void break__done__addresses_are_kept_and_nothing_is_there(void)
{
	char *last;

	map_with_two_regions(0);
	last = (char *)md_map_addr(map) + FILE_PAGES * PAGE - 1;
	CU_ASSERT(readable(last));
	break_and_release();
	CU_ASSERT_FALSE(readable(md_map_addr(map)));
	CU_ASSERT_FALSE(readable(last));
	CU_ASSERT_EQUAL(msync(md_map_addr(map), FILE_PAGES * PAGE, MS_ASYNC), 0);
	CU_ASSERT_EQUAL(md_restore(map), 0);
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT(readable(last));
	unmap_deregistered();
}

static void break__use_stays_open__over_after_the_budget(void)
{
	struct md_event *event;

	fixture_reopen(40, 0);
	map_with_two_regions(0);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	event = expect_event(MD_EVENT_RELEASED);
	CU_ASSERT(event->timeline.released >= event->timeline.noticed + 40 * MD__MSEC);
	CU_ASSERT(event->timeline.released < event->timeline.noticed + 5 * MD__SEC);
	md_ack_event(event);
	CU_ASSERT_EQUAL(md_unmap(map), -1);
	CU_ASSERT_EQUAL(errno, EBUSY);
	md_map_put(map);
	unmap_deregistered();
}

static void break__no_budget_given__drains_for_a_quarter_of_a_second(void)
{
	struct md_event *event;

	fixture_reopen(0, 0);
	map_with_two_regions(0);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	event = expect_event(MD_EVENT_RELEASED);
	CU_ASSERT(event->timeline.fenced >= event->timeline.noticed + 250 * MD__MSEC);
	md_ack_event(event);
	md_map_put(map);
	unmap_deregistered();
}

static void break__deadline_near__drains_for_half_of_it(void)
{
	struct md_event *event;

	fixture_reopen(60000, 0);
	map_with_two_regions(0);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_lease_break(MD_REASON_LAYOUT, 1000);
	pass_event(MD_EVENT_BREAK);
	event = expect_event(MD_EVENT_RELEASED);
	CU_ASSERT(event->timeline.fenced >= event->timeline.broken + 500 * MD__MSEC);
	CU_ASSERT(event->timeline.released < event->timeline.deadline);
	md_ack_event(event);
	md_map_put(map);
	unmap_deregistered();
}

static void break__dereg_fails__no_release_before_it_works(void)
{
	map_with_two_regions(0);
	fake_verbs_fail_dereg(2, 4, EBUSY);
	break_and_release();
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	unmap_deregistered();
}

static void break__pages_pinned_by_others__released_when_they_go(void)
{
	map_with_two_regions(0);
	fake_lease_pin(FAKE_FOR_EVER);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	expect_no_event();
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_BREAKING);
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	fake_lease_pin(0);
	pass_event(MD_EVENT_RELEASED);
	unmap_deregistered();
}

static void break__pins_and_deadline_near__late_once(void)
{
	struct md_event *event;

	map_with_two_regions(0);
	fake_lease_pin(FAKE_FOR_EVER);
	fake_lease_break(MD_REASON_LAYOUT, 100);
	pass_event(MD_EVENT_BREAK);
	event = expect_event(MD_EVENT_LATE);
	CU_ASSERT_EQUAL(event->error, EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "123 pages"));
	CU_ASSERT(md__now() >= event->timeline.broken + 75 * MD__MSEC);
	md_ack_event(event);
	usleep(120000);
	expect_no_event();
	fake_lease_pin(0);
	pass_event(MD_EVENT_RELEASED);
	unmap_deregistered();
}

static void break__dereg_fails_and_deadline_near__late_with_its_errno(void)
{
	struct md_event *event;

	map_with_two_regions(0);
	fake_verbs_fail_dereg(1, FAKE_FOR_EVER, EINVAL);
	fake_lease_break(MD_REASON_LAYOUT, 100);
	pass_event(MD_EVENT_BREAK);
	event = expect_event(MD_EVENT_LATE);
	CU_ASSERT_EQUAL(event->error, EINVAL);
	md_ack_event(event);
	fake_verbs_fail_dereg(1, 0, 0);
	pass_event(MD_EVENT_RELEASED);
	unmap_deregistered();
}

static void break__second_while_draining__told_once(void)
{
	struct md_event *event;

	map_with_two_regions(0);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	fake_lease_break(MD_REASON_TRUNCATE, FAR_MS);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(event->reason, MD_REASON_LAYOUT);
	md_ack_event(event);
	fake_lease_break(MD_REASON_TRUNCATE, FAR_MS);
	expect_no_event();
	md_map_put(map);
	event = expect_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(event->reason, MD_REASON_LAYOUT);
	md_ack_event(event);
	expect_no_event();
	unmap_deregistered();
}

/* ---- md_release --------------------------------------------------------- */

static void release__live__as_a_break_without_breaker(void)
{
	struct md_event *event;
	uint64_t began;

	map_with_two_regions(MD_MAP_RESTORE);
	break_and_release();
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	began = md__now();
	CU_ASSERT_EQUAL(md_release(map), 0);
	CU_ASSERT_EQUAL(md_map_get(map), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(event->reason, MD_REASON_RELEASE);
	CU_ASSERT_EQUAL(event->breaker_pid, 0);
	CU_ASSERT_STRING_EQUAL(event->breaker_comm, "");
	CU_ASSERT_EQUAL(event->timeline.deadline, 0);
	CU_ASSERT(event->timeline.broken >= began && event->timeline.noticed >= began);
	CU_ASSERT_EQUAL(event->timeline.released, 0);
	md_ack_event(event);
	CU_ASSERT_EQUAL(fake_verbs_live(), 2);
	md_map_put(map);
	event = expect_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(event->reason, MD_REASON_RELEASE);
	md_ack_event(event);
	CU_ASSERT_EQUAL(fake_lease_held(), 0);
	expect_no_event();
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_RELEASED);
	unmap_deregistered();
}

static void release__in_a_break__no_restore_after_it(void)
{
	struct md_event *event;

	map_with_two_regions(MD_MAP_RESTORE);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(md_release(map), 0);
	md_ack_event(event);
	event = expect_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(event->reason, MD_REASON_LAYOUT);
	md_ack_event(event);
	expect_no_event();
	CU_ASSERT_EQUAL(md_release(map), 0);
	expect_no_event();
	unmap_deregistered();
}

static void release__backing_off__stops_it(void)
{
	unsigned int tries;

	map_with_two_regions(MD_MAP_RESTORE);
	fake_lease_fail(FAKE_FOR_EVER, EAGAIN);
	break_and_release();
	CU_ASSERT_EQUAL(md_release(map), 0);
	pump();
	tries = fake_lease_tries();
	expect_no_event();
	CU_ASSERT_EQUAL(fake_lease_tries(), tries);
	unmap_deregistered();
}

static void release__lost_or_null__estale_or_einval(void)
{
	map_with_two_regions(MD_MAP_RESTORE);
	fake_lease_fail(1, EIO);
	break_and_release();
	pass_event(MD_EVENT_LOST);
	CU_ASSERT_EQUAL(md_release(map), -1);
	ASSERT_FAILED(ESTALE, "lost for good");
	CU_ASSERT_EQUAL(md_release(NULL), -1);
	ASSERT_FAILED(EINVAL, "no map");
	unmap_deregistered();
}

/* ---- revoked ------------------------------------------------------------ */

static void revoke__no_restore__lost_with_reason(void)
{
	struct md_event *event;

	map_with_two_regions(0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	event = expect_event(MD_EVENT_BREAK);
	fake_lease_revoke();
	md_ack_event(expect_event(MD_EVENT_LOST));
	md_ack_event(event);
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_LOST);
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	CU_ASSERT_EQUAL(fake_lease_held(), 0);
	CU_ASSERT_EQUAL(md_map_get(map), -1);
	ASSERT_FAILED(ESTALE, "lost for good");
	unmap_deregistered();
}

static void revoke__without_a_break_before__lost_with_reason(void)
{
	struct md_event *event;

	map_with_two_regions(0);
	fake_lease_revoke();
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(event->reason, MD_REASON_REVOKED);
	md_ack_event(event);
	event = expect_event(MD_EVENT_LOST);
	CU_ASSERT_EQUAL(event->reason, MD_REASON_REVOKED);
	CU_ASSERT_EQUAL(event->error, ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "deadline"));
	md_ack_event(event);
	unmap_deregistered();
}

/* Both are read in one go, or the second would wait for a third. */
static void revoke__noticed_together_with_the_break__ends_the_drain(void)
{
	uint64_t began = md__now();

	map_with_two_regions(0);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	fake_lease_revoke();
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_LOST);
	CU_ASSERT(md__now() - began < PATIENT_MS * MD__MSEC);
	md_map_put(map);
	unmap_deregistered();
}

static void revoke__restore__released_and_restored(void)
{
	struct md_event *event;

	map_with_two_regions(MD_MAP_RESTORE);
	fake_lease_revoke();
	pass_event(MD_EVENT_BREAK);
	event = expect_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(event->reason, MD_REASON_REVOKED);
	md_ack_event(event);
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	CU_ASSERT(fake_verbs_write(mr[1]->rkey, 0, 1));
	md_map_put(map);
	unmap_deregistered();
}

static const struct unit_case cases[] = {
	UNIT_CASE(break__told__event_says_who_why_and_until_when),
	UNIT_CASE(break__noticed__gate_is_shut_and_regions_still_work),
	UNIT_CASE(break__last_use_put__goes_on_only_then),
	UNIT_CASE(break__event_acknowledged__goes_on_only_then),
	UNIT_CASE(break__done__nothing_held_and_keys_dead),
	UNIT_CASE(break__done__addresses_are_kept_and_nothing_is_there),
	UNIT_CASE(break__use_stays_open__over_after_the_budget),
	UNIT_CASE(break__no_budget_given__drains_for_a_quarter_of_a_second),
	UNIT_CASE(break__deadline_near__drains_for_half_of_it),
	UNIT_CASE(break__dereg_fails__no_release_before_it_works),
	UNIT_CASE(break__pages_pinned_by_others__released_when_they_go),
	UNIT_CASE(break__pins_and_deadline_near__late_once),
	UNIT_CASE(break__dereg_fails_and_deadline_near__late_with_its_errno),
	UNIT_CASE(break__second_while_draining__told_once),
	UNIT_CASE(release__live__as_a_break_without_breaker),
	UNIT_CASE(release__in_a_break__no_restore_after_it),
	UNIT_CASE(release__backing_off__stops_it),
	UNIT_CASE(release__lost_or_null__estale_or_einval),
	UNIT_CASE(revoke__no_restore__lost_with_reason),
	UNIT_CASE(revoke__without_a_break_before__lost_with_reason),
	UNIT_CASE(revoke__noticed_together_with_the_break__ends_the_drain),
	UNIT_CASE(revoke__restore__released_and_restored),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("break", cases, argc, argv);
}
