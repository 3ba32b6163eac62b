// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Leases of fcntl(2) for who has no right to them: only root can try. */

#include <fcntl.h>
#include <unistd.h>

#include "breaker.h"
#include "leased_file.h"

#define NOBODY 65534

/* In all threads, for the time being: rights to the file and CAP_LEASE go, or come back. */
static void become(uid_t uid)
{
	CU_ASSERT_EQUAL_FATAL(seteuid(uid), 0);
}

static void map__not_the_owner__eperm(void)
{
	become(NOBODY);
	CU_ASSERT_PTR_NULL(try_map(leased, 0, LENGTH));
	ASSERT_FAILED(EPERM, "only the owner");
	become(0);
	fixture_unmap(map_leased(0));
}

static void expect_late(struct md_map *map)
{
	struct md_event *event = expect_event(MD_EVENT_LATE);

	CU_ASSERT_EQUAL(event->error, EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "cannot be given back"));
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "close the file"));
	md_ack_event(event);
	expect_no_event();
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_BREAKING);
}

/* The lease stays, and so it is not said to be over; nor is the range accessible. */
static void release__right_lost__told_and_released_when_it_is_back(void)
{
	struct md_map *map = map_leased(MD_MAP_RESTORE);
	struct md_mr *mr = md_reg_mr(&fake_pd, map, 0, PAGE, RW);

	CU_ASSERT_PTR_NOT_NULL_FATAL(mr);
	become(NOBODY);
	CU_ASSERT_EQUAL(md_release(map), 0);
	pass_event(MD_EVENT_BREAK);
	expect_late(map);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_WRLCK);
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	CU_ASSERT_FALSE(accessible(md_map_addr(map), LENGTH));
	become(0);
	pass_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_UNLCK);
	CU_ASSERT_EQUAL(md_restore(map), 0);
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT(fake_verbs_write(mr->rkey, 0, 1));
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	fixture_unmap(map);
}

/* As the sentence says: what ends the lease is md_unmap() and close(2). */
static void break__right_lost__over_when_the_file_is_closed(void)
{
	struct md_map *map = map_leased(MD_MAP_RESTORE);
	struct md_event *event;
	struct breaker b;

	breaker_start(&b, open_to_read);
	event = expect_event(MD_EVENT_BREAK);
	become(NOBODY);
	md_ack_event(event);
	expect_late(map);
	CU_ASSERT_FALSE(breaker_is_through(&b, 0));
	fixture_unmap(map);
	CU_ASSERT_FALSE(breaker_is_through(&b, 50));
	close(leased);
	breaker_finish(&b);
	become(0);
	leased = open_to_write(path);
}

static void unmap__right_lost__leased_until_the_file_is_closed(void)
{
	struct md_map *map = map_leased(0);

	become(NOBODY);
	fixture_unmap(map);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_WRLCK);
	become(0);
	CU_ASSERT_PTR_NULL(try_map(leased, 0, LENGTH));
	ASSERT_FAILED(EEXIST, "has a lease already");
	close(leased);
	leased = open_to_write(path);
	fixture_unmap(map_leased(0));
}

static const struct unit_case cases[] = {
	UNIT_CASE(map__not_the_owner__eperm),
	UNIT_CASE(release__right_lost__told_and_released_when_it_is_back),
	UNIT_CASE(break__right_lost__over_when_the_file_is_closed),
	UNIT_CASE(unmap__right_lost__leased_until_the_file_is_closed),
	{ 0 },
};

int main(int argc, char **argv)
{
	if (geteuid())
		return unit_skip("lease_fcntl_rights", "only root can become somebody else");
	return leased_file_main("lease_fcntl_rights", cases, argc, argv);
}
