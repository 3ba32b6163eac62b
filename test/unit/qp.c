// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Attached queue pairs: who is fenced when, and how it is told. */

#include "fixture.h"

static struct md_map *map;

/* ---- attach and detach ------------------------------------------------- */

static void attach__bad_arguments__errno_of_each(void)
{
	map = fixture_map(0);
	CU_ASSERT_EQUAL(md_attach_qp(NULL, &fake_qp[0], NULL), -1);
	ASSERT_FAILED(EINVAL, "no map");
	CU_ASSERT_EQUAL(md_attach_qp(map, NULL, NULL), -1);
	ASSERT_FAILED(EINVAL, "no queue pair");
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], (struct md_peer *)map), -1);
	ASSERT_FAILED(EINVAL, "peer");
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], NULL), 0);
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], NULL), -1);
	ASSERT_FAILED(EEXIST, "queue pair 0x11");
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), 0);
	fixture_unmap(map);
}

static void detach__not_attached__enoent(void)
{
	map = fixture_map(0);
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), -1);
	ASSERT_FAILED(ENOENT, "0x11 is not attached");
	CU_ASSERT_EQUAL(md_detach_qp(NULL, &fake_qp[0]), -1);
	ASSERT_FAILED(EINVAL, "no map");
	CU_ASSERT_EQUAL(md_detach_qp(map, NULL), -1);
	ASSERT_FAILED(EINVAL, "no queue pair");
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], NULL), 0);
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), 0);
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), -1);
	ASSERT_FAILED(ENOENT, "not attached");
	fixture_unmap(map);
}

static void attach__several_maps_and_pairs__each_on_its_own(void)
{
	struct md_map *other;

	map = fixture_map(0);
	other = fixture_map(0);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[i], NULL), 0);
		CU_ASSERT_EQUAL(md_attach_qp(other, &fake_qp[i], NULL), 0);
	}
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), 0);
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[1]), 0);
	fixture_unmap(map);
	CU_ASSERT_EQUAL(md_detach_qp(other, &fake_qp[0]), 0);
	CU_ASSERT_EQUAL(md_detach_qp(other, &fake_qp[1]), 0);
	fixture_unmap(other);
}

static void attach__released_or_lost__works(void)
{
	map = fixture_map(0);
	break_and_release();
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], NULL), 0);
	fake_lease_fail(1, EIO);
	CU_ASSERT_EQUAL(md_restore(map), 0);
	pass_event(MD_EVENT_LOST);
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[1], NULL), 0);
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), 0);
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[1]), 0);
	fixture_unmap(map);
}

/* ---- fencing ----------------------------------------------------------- */

static void map_with_two_attached(uint32_t flags, uint32_t budget_ms)
{
	fixture_reopen(budget_ms, 0);
	map = fixture_map(flags);
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], NULL), 0);
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[1], NULL), 0);
}

static void unmap_detached(void)
{
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), 0);
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[1]), 0);
	fixture_unmap(map);
}

static void expect_fenced(struct ibv_qp *qp, enum md_reason reason)
{
	struct md_event *event = expect_event(MD_EVENT_QP_FENCED);

	CU_ASSERT_PTR_EQUAL(event->qp, qp);
	CU_ASSERT_PTR_NULL(event->peer);
	CU_ASSERT_PTR_EQUAL(event->map, map);
	CU_ASSERT_EQUAL(event->reason, reason);
	CU_ASSERT_EQUAL(event->error, 0);
	CU_ASSERT_EQUAL(event->count, 1);
	CU_ASSERT(fake_qp_fenced(qp));
	md_ack_event(event);
}

static void break__all_in_time__nobody_is_fenced(void)
{
	map_with_two_attached(0, PATIENT_MS);
	break_and_release();
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[1]));
	expect_no_event();
	unmap_detached();
}

static void break__use_stays_open__attached_pairs_are_fenced(void)
{
	struct md_event *event;

	map_with_two_attached(0, 30);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	expect_fenced(&fake_qp[0], MD_REASON_BUDGET);
	expect_fenced(&fake_qp[1], MD_REASON_BUDGET);
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[2]));
	event = expect_event(MD_EVENT_RELEASED);
	CU_ASSERT(event->timeline.fenced >= event->timeline.told + 30 * UINT64_C(1000000));
	CU_ASSERT(event->timeline.deregistered >= event->timeline.fenced);
	md_ack_event(event);
	md_map_put(map);
	unmap_detached();
}

static void break__event_not_acknowledged__attached_pairs_are_fenced(void)
{
	struct md_event *event;

	map_with_two_attached(0, 30);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	event = expect_event(MD_EVENT_BREAK);
	expect_fenced(&fake_qp[0], MD_REASON_BUDGET);
	expect_fenced(&fake_qp[1], MD_REASON_BUDGET);
	pass_event(MD_EVENT_RELEASED);
	md_ack_event(event);
	unmap_detached();
}

static void break__pair_cannot_be_fenced__told_and_goes_on(void)
{
	struct md_event *event;
	struct md_mr *mr;

	map_with_two_attached(0, 30);
	mr = md_reg_mr(&fake_pd, map, 0, PAGE, RW);
	fake_verbs_fail_modify(EIO);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	for (int i = 0; i < 2; i++) {
		event = expect_event(MD_EVENT_QP_FENCED);
		CU_ASSERT_EQUAL(event->error, EIO);
		CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "not fenced"));
		md_ack_event(event);
	}
	pass_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	md_map_put(map);
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	unmap_detached();
}

static void fence__bad_arguments__errno_of_each(void)
{
	map_with_two_attached(0, 30);
	CU_ASSERT_EQUAL(md_fence_qp(NULL, &fake_qp[0]), -1);
	ASSERT_FAILED(EINVAL, "no map");
	CU_ASSERT_EQUAL(md_fence_qp(map, NULL), -1);
	ASSERT_FAILED(EINVAL, "no queue pair");
	CU_ASSERT_EQUAL(md_fence_qp(map, &fake_qp[2]), -1);
	ASSERT_FAILED(ENOENT, "0x13 is not attached");
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[2]));
	fake_verbs_fail_modify(EIO);
	CU_ASSERT_EQUAL(md_fence_qp(map, &fake_qp[0]), -1);
	ASSERT_FAILED(EIO, "0x11");
	expect_no_event();
	unmap_detached();
}

static void fence__in_a_break__told_once_and_budget_fences_the_rest(void)
{
	struct md_event *event;

	map_with_two_attached(0, 30);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(md_fence_qp(map, &fake_qp[1]), 0);
	CU_ASSERT_EQUAL(md_fence_qp(map, &fake_qp[1]), 0);
	expect_fenced(&fake_qp[1], MD_REASON_REQUEST);
	md_ack_event(event);
	expect_fenced(&fake_qp[0], MD_REASON_BUDGET);
	pass_event(MD_EVENT_RELEASED);
	md_map_put(map);
	unmap_detached();
}

static void fence__after_restore__fenced_and_told_again(void)
{
	map_with_two_attached(MD_MAP_RESTORE, 30);
	for (int i = 0; i < 3; i++) {
		fake_verbs_reset();
		CU_ASSERT_EQUAL(md_map_get(map), 0);
		fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
		pass_event(MD_EVENT_BREAK);
		expect_fenced(&fake_qp[0], MD_REASON_BUDGET);
		expect_fenced(&fake_qp[1], MD_REASON_BUDGET);
		pass_event(MD_EVENT_RELEASED);
		expect_no_event();
		md_map_put(map);
		pass_event(MD_EVENT_RESTORED);
	}
	unmap_detached();
}

/* Told already, and that is how it comes to its end, but it must not go on. */
static void break__fenced_pair_was_taken_into_use_again__fenced_again(void)
{
	map_with_two_attached(0, 30);
	CU_ASSERT_EQUAL(md_fence_qp(map, &fake_qp[0]), 0);
	expect_fenced(&fake_qp[0], MD_REASON_REQUEST);
	fake_qp[0].state = IBV_QPS_RTS;
	CU_ASSERT_EQUAL(md_fence_qp(map, &fake_qp[0]), 0);
	CU_ASSERT(fake_qp_fenced(&fake_qp[0]));
	fake_qp[0].state = IBV_QPS_RTS;
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	expect_fenced(&fake_qp[1], MD_REASON_BUDGET);
	CU_ASSERT(fake_qp_fenced(&fake_qp[0]));
	pass_event(MD_EVENT_RELEASED);
	expect_no_event();
	md_map_put(map);
	unmap_detached();
}

/* ---- MD_EVENT_QP_FENCED and detach --------------------------------------- */

static void detach__event_not_fetched__is_dropped(void)
{
	map_with_two_attached(0, 30);
	CU_ASSERT_EQUAL(md_fence_qp(map, &fake_qp[0]), 0);
	CU_ASSERT_EQUAL(md_fence_qp(map, &fake_qp[1]), 0);
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), 0);
	expect_fenced(&fake_qp[1], MD_REASON_REQUEST);
	expect_no_event();
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[1]), 0);
	fixture_unmap(map);
}

static void detach__event_not_acknowledged__ebusy(void)
{
	struct md_event *event;

	map_with_two_attached(0, 30);
	CU_ASSERT_EQUAL(md_fence_qp(map, &fake_qp[0]), 0);
	event = expect_event(MD_EVENT_QP_FENCED);
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), -1);
	ASSERT_FAILED(EBUSY, "acknowledge");
	CU_ASSERT_PTR_EQUAL(event->qp, &fake_qp[0]);
	md_ack_event(event);
	unmap_detached();
}

static void detach__in_a_break__not_fenced_any_more(void)
{
	map_with_two_attached(0, 30);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), 0);
	expect_fenced(&fake_qp[1], MD_REASON_BUDGET);
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
	pass_event(MD_EVENT_RELEASED);
	md_map_put(map);
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[1]), 0);
	fixture_unmap(map);
}

static const struct unit_case cases[] = {
	UNIT_CASE(attach__bad_arguments__errno_of_each),
	UNIT_CASE(detach__not_attached__enoent),
	UNIT_CASE(attach__several_maps_and_pairs__each_on_its_own),
	UNIT_CASE(attach__released_or_lost__works),
	UNIT_CASE(break__all_in_time__nobody_is_fenced),
	UNIT_CASE(break__use_stays_open__attached_pairs_are_fenced),
	UNIT_CASE(break__event_not_acknowledged__attached_pairs_are_fenced),
	UNIT_CASE(break__pair_cannot_be_fenced__told_and_goes_on),
	UNIT_CASE(fence__bad_arguments__errno_of_each),
	UNIT_CASE(fence__in_a_break__told_once_and_budget_fences_the_rest),
	UNIT_CASE(fence__after_restore__fenced_and_told_again),
	UNIT_CASE(break__fenced_pair_was_taken_into_use_again__fenced_again),
	UNIT_CASE(detach__event_not_fetched__is_dropped),
	UNIT_CASE(detach__event_not_acknowledged__ebusy),
	UNIT_CASE(detach__in_a_break__not_fenced_any_more),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("qp", cases, argc, argv);
}
