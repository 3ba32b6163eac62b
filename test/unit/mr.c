// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Regions: what md_reg_mr() refuses, and md_dereg_mr() in every state. */

#include "fixture.h"

static struct md_map *map;

static struct md_mr *try_reg(size_t offset, size_t length, int access)
{
	errno = 0;
	return md_reg_mr(&fake_pd, map, offset, length, access);
}

/* ---- md_reg_mr -------------------------------------------------------- */

static void reg__part_of_the_map__as_asked_for(void)
{
	struct md_mr *mr;

	map = fixture_map(0);
	mr = try_reg(PAGE + 7, 100, RW);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mr);
	CU_ASSERT_PTR_EQUAL(mr->pd, &fake_pd);
	CU_ASSERT_PTR_EQUAL(mr->map, map);
	CU_ASSERT_PTR_EQUAL(mr->addr, (char *)md_map_addr(map) + PAGE + 7);
	CU_ASSERT_EQUAL(mr->length, 100);
	CU_ASSERT_EQUAL(mr->access, RW);
	CU_ASSERT(mr->lkey && mr->rkey);
	CU_ASSERT_EQUAL(fake_verbs_live_in(mr->addr, 100), 1);
	CU_ASSERT_EQUAL(fake_verbs_live_in((char *)mr->addr + 100, 1), 0);
	CU_ASSERT(fake_verbs_write(mr->rkey, 3, 'x'));
	CU_ASSERT_EQUAL(((char *)md_map_addr(map))[PAGE + 10], 'x');
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	fixture_unmap(map);
}

static void reg__edges_of_the_map__in_is_in_and_out_is_out(void)
{
	const size_t all = FILE_PAGES * PAGE;
	struct md_mr *mr;

	map = fixture_map(0);
	mr = try_reg(0, all, 0);
	CU_ASSERT_PTR_NOT_NULL(mr);
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	mr = try_reg(all - 1, 1, 0);
	CU_ASSERT_PTR_NOT_NULL(mr);
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);

	CU_ASSERT_PTR_NULL(try_reg(0, 0, 0));
	ASSERT_FAILED(EINVAL, "0 bytes");
	CU_ASSERT_PTR_NULL(try_reg(0, all + 1, 0));
	ASSERT_FAILED(EINVAL, "not inside the 16384 bytes");
	ASSERT_FAILED(EINVAL, "bytes 0 to 16383 of ");
	CU_ASSERT_PTR_NULL(try_reg(all, 1, 0));
	ASSERT_FAILED(EINVAL, "not inside");
	CU_ASSERT_PTR_NULL(try_reg(1, SIZE_MAX, 0));
	ASSERT_FAILED(EINVAL, "not inside");
	CU_ASSERT_PTR_NULL(try_reg(SIZE_MAX, 1, 0));
	ASSERT_FAILED(EINVAL, "not inside");
	fixture_unmap(map);
}

static void reg__access__what_dies_with_the_region_is_refused(void)
{
	const int refused[] = { IBV_ACCESS_ON_DEMAND, IBV_ACCESS_MW_BIND, IBV_ACCESS_ZERO_BASED,
				IBV_ACCESS_HUGETLB };
	struct md_mr *mr;

	map = fixture_map(0);
	mr = try_reg(0, PAGE, RW | IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_RELAXED_ORDERING);
	CU_ASSERT_PTR_NOT_NULL(mr);
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	for (int i = 0; i < 4; i++) {
		CU_ASSERT_PTR_NULL(try_reg(0, PAGE, RW | refused[i]));
		ASSERT_FAILED(EOPNOTSUPP, "access 0x");
		ASSERT_FAILED(EOPNOTSUPP, "bytes 0 to 16383 of ");
	}
	CU_ASSERT_PTR_NULL(try_reg(0, PAGE, 1 << 30));
	ASSERT_FAILED(EINVAL, "unknown bits");
	ASSERT_FAILED(EINVAL, "bytes 0 to 16383 of ");
	CU_ASSERT_PTR_NULL(try_reg(0, PAGE, IBV_ACCESS_REMOTE_WRITE));
	ASSERT_FAILED(EINVAL, "LOCAL_WRITE");
	CU_ASSERT_PTR_NULL(try_reg(0, PAGE, IBV_ACCESS_REMOTE_ATOMIC));
	ASSERT_FAILED(EINVAL, "LOCAL_WRITE");
	ASSERT_FAILED(EINVAL, "bytes 0 to 16383 of ");
	fixture_unmap(map);
}

static void reg__no_pd_or_no_map__einval(void)
{
	map = fixture_map(0);
	CU_ASSERT_PTR_NULL(md_reg_mr(NULL, map, 0, PAGE, 0));
	ASSERT_FAILED(EINVAL, "no protection domain");
	CU_ASSERT_PTR_NULL(md_reg_mr(&fake_pd, NULL, 0, PAGE, 0));
	ASSERT_FAILED(EINVAL, "no map");
	fixture_unmap(map);
}

static void reg__verbs_refuse__their_errno_and_nothing_left(void)
{
	struct md_mr *mr;

	map = fixture_map(0);
	fake_verbs_fail_reg(2, 1, ENOMEM);
	mr = try_reg(0, PAGE, RW);
	CU_ASSERT_PTR_NOT_NULL(mr);
	CU_ASSERT_PTR_NULL(try_reg(PAGE, 100, RW));
	ASSERT_FAILED(ENOMEM, "100 bytes at 4096 in the map of bytes 0 to 16383 of /memfd:data");
	ASSERT_FAILED(ENOMEM, "RLIMIT_MEMLOCK");
	CU_ASSERT_EQUAL(fake_verbs_live(), 1);
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	fixture_unmap(map);
}

static void reg__no_lease__eagain_and_verbs_not_asked(void)
{
	map = fixture_map(0);
	CU_ASSERT_EQUAL(md_release(map), 0);
	CU_ASSERT_PTR_NULL(try_reg(0, PAGE, RW));
	ASSERT_FAILED(EAGAIN, "MD_EVENT_RESTORED");
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_RELEASED);
	CU_ASSERT_PTR_NULL(try_reg(0, PAGE, RW));
	ASSERT_FAILED(EAGAIN, "/memfd:data");
	fixture_unmap(map);
}

static void reg__lost__estale(void)
{
	map = fixture_map(MD_MAP_RESTORE);
	fake_lease_fail(1, EIO);
	break_and_release();
	pass_event(MD_EVENT_LOST);
	CU_ASSERT_PTR_NULL(try_reg(0, PAGE, RW));
	ASSERT_FAILED(ESTALE, "lost for good");
	fixture_unmap(map);
}

static void reg__many__each_with_keys_of_its_own(void)
{
	struct md_mr *mr[50];

	map = fixture_map(0);
	for (int i = 0; i < 50; i++) {
		mr[i] = try_reg(i * 100, 200, RW);
		CU_ASSERT_PTR_NOT_NULL_FATAL(mr[i]);
		for (int j = 0; j < i; j++)
			CU_ASSERT_NOT_EQUAL(mr[i]->rkey, mr[j]->rkey);
	}
	for (int i = 0; i < 50; i += 2)
		CU_ASSERT_EQUAL(md_dereg_mr(mr[i]), 0);
	CU_ASSERT_EQUAL(fake_verbs_live(), 25);
	break_and_release();
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	for (int i = 1; i < 50; i += 2)
		CU_ASSERT_EQUAL(md_dereg_mr(mr[i]), 0);
	fixture_unmap(map);
}

/* ---- md_dereg_mr ------------------------------------------------------ */

static void dereg__null__nothing_happens(void)
{
	CU_ASSERT_EQUAL(md_dereg_mr(NULL), 0);
}

static void dereg__verbs_refuse__handle_stays_valid(void)
{
	struct md_mr *mr;
	uint32_t rkey;

	map = fixture_map(0);
	mr = try_reg(0, PAGE, RW);
	rkey = mr->rkey;
	fake_verbs_fail_dereg(1, 1, EINVAL);
	CU_ASSERT_EQUAL(md_dereg_mr(mr), -1);
	ASSERT_FAILED(EINVAL, "ibv_dereg_mr");
	CU_ASSERT_EQUAL(mr->rkey, rkey);
	CU_ASSERT(fake_verbs_write(rkey, 0, 1));
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	fixture_unmap(map);
}

static void dereg__breaking__works_and_the_break_goes_on(void)
{
	struct md_event *event;
	struct md_mr *mr;

	map = fixture_map(0);
	mr = try_reg(0, PAGE, RW);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	md_ack_event(event);
	pass_event(MD_EVENT_RELEASED);
	fixture_unmap(map);
}

static void dereg__while_the_break_cannot__works(void)
{
	struct md_mr *mr;

	map = fixture_map(0);
	mr = try_reg(0, PAGE, RW);
	fake_verbs_fail_dereg(1, 3, EBUSY);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	for (int tries = 0; md_dereg_mr(mr) && tries < 4; tries++)
		ASSERT_FAILED(EBUSY, "ibv_dereg_mr");
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	pass_event(MD_EVENT_RELEASED);
	fixture_unmap(map);
}

static void dereg__released__not_registered_again(void)
{
	struct md_mr *mr[2];

	map = fixture_map(0);
	mr[0] = try_reg(0, PAGE, RW);
	mr[1] = try_reg(PAGE, PAGE, RW);
	break_and_release();
	CU_ASSERT_EQUAL(md_dereg_mr(mr[0]), 0);
	CU_ASSERT_EQUAL(md_restore(map), 0);
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT_EQUAL(fake_verbs_live(), 1);
	CU_ASSERT_EQUAL(fake_verbs_live_in(mr[1]->addr, PAGE), 1);
	CU_ASSERT_EQUAL(md_dereg_mr(mr[1]), 0);
	fixture_unmap(map);
}

static void dereg__backing_off__works(void)
{
	struct md_mr *mr;

	map = fixture_map(MD_MAP_RESTORE);
	mr = try_reg(0, PAGE, RW);
	fake_lease_fail(FAKE_FOR_EVER, EAGAIN);
	break_and_release();
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	fixture_unmap(map);
}

static void dereg__lost__works(void)
{
	struct md_mr *mr;

	map = fixture_map(MD_MAP_RESTORE);
	mr = try_reg(0, PAGE, RW);
	fake_lease_fail(1, EIO);
	break_and_release();
	pass_event(MD_EVENT_LOST);
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	fixture_unmap(map);
}

static const struct unit_case cases[] = {
	UNIT_CASE(reg__part_of_the_map__as_asked_for),
	UNIT_CASE(reg__edges_of_the_map__in_is_in_and_out_is_out),
	UNIT_CASE(reg__access__what_dies_with_the_region_is_refused),
	UNIT_CASE(reg__no_pd_or_no_map__einval),
	UNIT_CASE(reg__verbs_refuse__their_errno_and_nothing_left),
	UNIT_CASE(reg__no_lease__eagain_and_verbs_not_asked),
	UNIT_CASE(reg__lost__estale),
	UNIT_CASE(reg__many__each_with_keys_of_its_own),
	UNIT_CASE(dereg__null__nothing_happens),
	UNIT_CASE(dereg__verbs_refuse__handle_stays_valid),
	UNIT_CASE(dereg__breaking__works_and_the_break_goes_on),
	UNIT_CASE(dereg__while_the_break_cannot__works),
	UNIT_CASE(dereg__released__not_registered_again),
	UNIT_CASE(dereg__backing_off__works),
	UNIT_CASE(dereg__lost__works),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("mr", cases, argc, argv);
}
