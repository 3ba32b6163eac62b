// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Each call of the system, of verbs and of the allocator fails once, in a whole
 * life of a context: the first that can, then the second, until the scenario
 * comes to its end without a failure. What is to come of it: fault_steps.h.
 */

#include <stdio.h>

#include "fake_dax.h"
#include "fault.h"
#include "fault_scenarios.h"
#include "fault_steps.h"

static void each_call(void (*scenario)(void), enum fault_kind kind, unsigned int at_least)
{
	unsigned int failed = CU_get_number_of_failures();
	unsigned int losses = 0;
	bool fired = true;
	int fds = fixture_count_fds();
	unsigned int n = 0;

	while (fired) {
		scenario_prepare();
		fault_arm(++n, kind);
		scenario();
		fired = fault_fired();
		scenario_check_rest();
		CU_ASSERT_EQUAL(fixture_count_fds(), fds);
		if (CU_get_number_of_failures() > failed)
			printf("\n    call %u, %s ", n, fault_fired() ?: "none");
		failed = CU_get_number_of_failures();
		losses += steps.lost;
	}
	fault_disarm();
	printf("\n    %u failures, %u lost maps ", n - 1, losses);
	CU_ASSERT(n > at_least);
}

/* Once in a process fork(2) is prepared for; tried twice in a call. */
static void open__first_of_process_fails__works_again(void)
{
	scenario_prepare();
	fault_force("pthread_atfork", 2, ENOMEM);
	CU_ASSERT_PTR_NULL(md_open(NULL));
	ASSERT_FAILED(ENOMEM, "cannot prepare for fork()");
	ctx = md_open(NULL);
	CU_ASSERT_PTR_NOT_NULL(ctx);
	CU_ASSERT_EQUAL(md_close(ctx), 0);
	scenario_check_rest();
}

static void open_to_close__each_call_fails__says_so_and_works_again(void)
{
	each_call(scenario_live, FAULT_ERROR, 40);
}

static void open_to_close__each_call_interrupted__goes_on(void)
{
	each_call(scenario_live, FAULT_EINTR, 10);
}

static void break__each_call_fails__restored_or_lost(void)
{
	each_call(scenario_broken, FAULT_ERROR, 60);
}

static void break__each_call_interrupted__restored(void)
{
	each_call(scenario_broken, FAULT_EINTR, 10);
}

static void release__each_call_fails__restored_or_lost(void)
{
	each_call(scenario_released, FAULT_ERROR, 60);
}

static void fcntl_lease__each_call_fails__restored_or_lost(void)
{
	each_call(scenario_leased_by_fcntl, FAULT_ERROR, 60);
}

static void query__each_call_fails__says_so(void)
{
	each_call(scenario_asked, FAULT_ERROR, 20);
}

static void fork__each_call_fails__parent_goes_on(void)
{
	each_call(scenario_forked, FAULT_ERROR, 40);
}

static void release__each_call_interrupted__restored(void)
{
	each_call(scenario_released, FAULT_EINTR, 10);
}

static void fcntl_lease__each_call_interrupted__restored(void)
{
	each_call(scenario_leased_by_fcntl, FAULT_EINTR, 10);
}

/* Which of all the calls this thread's is, or whether it comes to it, is chance. */
static void fcntl_lease__watch_interrupted__restored(void)
{
	bool fired = false;

	for (int i = 0; i < 100 && !fired; i++) {
		scenario_prepare();
		fault_arm_call("sigtimedwait", FAULT_EINTR);
		scenario_leased_by_fcntl();
		fired = fault_fired();
		scenario_check_rest();
	}
	fault_disarm();
	CU_ASSERT(fired);
}

static void query__each_call_interrupted__answers(void)
{
	each_call(scenario_asked, FAULT_EINTR, 2);
}

static void fork__each_call_interrupted__goes_on(void)
{
	each_call(scenario_forked, FAULT_EINTR, 5);
}

static void devdax__each_call_fails__restored_or_lost(void)
{
	fake_dax_setup();
	each_call(scenario_leased_by_devdax, FAULT_ERROR, 60);
	fake_dax_teardown();
}

static void revoked__each_call_fails__restored_or_lost(void)
{
	each_call(scenario_revoked, FAULT_ERROR, 60);
}

static void late__each_call_fails__restored_or_lost(void)
{
	each_call(scenario_late, FAULT_ERROR, 60);
}

static void populate__each_call_fails__restored_or_lost(void)
{
	each_call(scenario_populated, FAULT_ERROR, 60);
}

static void cancel__each_call_fails__says_so(void)
{
	each_call(scenario_cancelled, FAULT_ERROR, 20);
}

static void full__each_call_fails__says_so(void)
{
	each_call(scenario_full, FAULT_ERROR, 20);
}

static void two_maps__each_call_fails__restored_or_lost(void)
{
	each_call(scenario_two, FAULT_ERROR, 60);
}

static void session__each_call_fails__granted_again(void)
{
	each_call(scenario_granted, FAULT_ERROR, 60);
}

static void session__each_call_interrupted__granted_again(void)
{
	each_call(scenario_granted, FAULT_EINTR, 10);
}

static void connections__each_call_fails__told_or_tried_again(void)
{
	each_call(scenario_carrier, FAULT_ERROR, 100);
}

/* After all cases, in both runs. */
static void lists__each_entry__was_seen(void)
{
	if (threaded)
		check_lists();
}

static const struct unit_case cases[] = {
	UNIT_CASE(open__first_of_process_fails__works_again),
	UNIT_CASE(open_to_close__each_call_fails__says_so_and_works_again),
	UNIT_CASE(open_to_close__each_call_interrupted__goes_on),
	UNIT_CASE(break__each_call_fails__restored_or_lost),
	UNIT_CASE(break__each_call_interrupted__restored),
	UNIT_CASE(release__each_call_fails__restored_or_lost),
	UNIT_CASE(fcntl_lease__each_call_fails__restored_or_lost),
	UNIT_CASE(query__each_call_fails__says_so),
	UNIT_CASE(fork__each_call_fails__parent_goes_on),
	UNIT_CASE(release__each_call_interrupted__restored),
	UNIT_CASE(fcntl_lease__each_call_interrupted__restored),
	UNIT_CASE(fcntl_lease__watch_interrupted__restored),
	UNIT_CASE(query__each_call_interrupted__answers),
	UNIT_CASE(fork__each_call_interrupted__goes_on),
	UNIT_CASE(devdax__each_call_fails__restored_or_lost),
	UNIT_CASE(revoked__each_call_fails__restored_or_lost),
	UNIT_CASE(late__each_call_fails__restored_or_lost),
	UNIT_CASE(populate__each_call_fails__restored_or_lost),
	UNIT_CASE(cancel__each_call_fails__says_so),
	UNIT_CASE(full__each_call_fails__says_so),
	UNIT_CASE(two_maps__each_call_fails__restored_or_lost),
	UNIT_CASE(session__each_call_fails__granted_again),
	UNIT_CASE(session__each_call_interrupted__granted_again),
	UNIT_CASE(connections__each_call_fails__told_or_tried_again),
	UNIT_CASE(lists__each_entry__was_seen),
	{ 0 },
};

int main(int argc, char **argv)
{
	int failed;

	failed = unit_main("faults (md_process)", cases, NULL, NULL, argc, argv);
	threaded = true;
	return unit_main("faults (thread)", cases + 1, NULL, NULL, argc, argv) | failed;
}
