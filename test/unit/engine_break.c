// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The break engine: a break and a release by choice, step by step and in time. */

#include <string.h>

#include "drive.h"

/* ---- a break ---------------------------------------------------------- */

static void break__parties_one_by_one__goes_on_after_the_last(void)
{
	reach(MD__RECALLING);
	CU_ASSERT_EQUAL(feed_done(MD__PARTY_APP), 0);
	CU_ASSERT_EQUAL(feed_done(MD__PARTY_APP), 0);
	CU_ASSERT_EQUAL(feed_done(MD__PARTY_USES), 0);
	CU_ASSERT_EQUAL(eng.state, MD__RECALLING);
	CU_ASSERT_EQUAL(feed_done(MD__PARTY_PEERS), MD__DO_DEREG);
	CU_ASSERT_EQUAL(eng.state, MD__DEREG);
	CU_ASSERT_EQUAL(eng.timer, 0);
}

static void break__again_after_restore__waits_for_all_again(void)
{
	reach(MD__REGISTERING);
	feed(MD__IN_REGISTERED);
	feed_break(now, now + SEC);
	CU_ASSERT_EQUAL(feed_done(MD__PARTY_PEERS), 0);
	CU_ASSERT_EQUAL(feed_done(MD__PARTY_USES), 0);
	CU_ASSERT_EQUAL(feed_done(MD__PARTY_APP), MD__DO_DEREG);
}

static void break__far_deadline__drains_for_the_budget(void)
{
	reach(MD__LIVE);
	now += 7 * MSEC;
	feed_break(now - 3 * MSEC, now + 45 * SEC);
	CU_ASSERT_EQUAL(eng.timer, now + BUDGET);
	now += BUDGET - 1;
	CU_ASSERT_EQUAL(feed(MD__IN_TIMER), 0);
	CU_ASSERT_EQUAL(eng.state, MD__RECALLING);
	now++;
	CU_ASSERT_EQUAL(feed(MD__IN_TIMER), MD__DO_FENCE | MD__DO_DEREG);
}

static void break__near_deadline__drains_for_half_of_what_is_left(void)
{
	reach(MD__LIVE);
	feed_break(now - 100 * MSEC, now + 200 * MSEC);
	CU_ASSERT_EQUAL(eng.timer, now + 100 * MSEC);
}

static void break__deadline_passed__does_not_drain(void)
{
	reach(MD__LIVE);
	feed_break(now - 2 * SEC, now - SEC);
	CU_ASSERT_EQUAL(eng.timer, now);
	CU_ASSERT_EQUAL(feed(MD__IN_TIMER), MD__DO_FENCE | MD__DO_DEREG);
}

static void break__during_release_by_choice__deadline_rules(void)
{
	reach(MD__LIVE);
	feed(MD__IN_RELEASE);
	CU_ASSERT_EQUAL(eng.timer, now + BUDGET);
	now += 10 * MSEC;
	CU_ASSERT_EQUAL(feed_break(now, now + 100 * MSEC), 0);
	CU_ASSERT_EQUAL(eng.timer, now + 50 * MSEC);
}

static void break__second_with_later_deadline__changes_nothing(void)
{
	struct md__engine before;

	reach(MD__RECALLING);
	memcpy(&before, &eng, sizeof(eng));
	now += 100 * MSEC;
	CU_ASSERT_EQUAL(feed_break(now, now + 90 * SEC), 0);
	CU_ASSERT_EQUAL(memcmp(&before, &eng, sizeof(eng)), 0);
}

static void break__second_with_earlier_deadline__only_shortens(void)
{
	uint64_t budget_end;

	reach(MD__RECALLING);
	budget_end = eng.timer;
	feed_break(now, now + 40 * MSEC);
	CU_ASSERT_EQUAL(eng.timer, now + 20 * MSEC);
	now += 10 * MSEC;
	feed_break(now, now + 2 * BUDGET);
	CU_ASSERT_EQUAL(eng.timer, now + 10 * MSEC);
	CU_ASSERT(eng.timer < budget_end);
}

static void break__dereg_fails__no_release_until_it_works(void)
{
	uint64_t pause = MSEC;

	reach(MD__DEREG);
	for (int i = 0; i < 20; i++) {
		CU_ASSERT_EQUAL(feed(MD__IN_DEREG_FAILED), 0);
		CU_ASSERT_EQUAL(eng.timer, now + pause);
		CU_ASSERT_EQUAL(feed_timer(), MD__DO_DEREG);
		pause = pause < 25 * MSEC ? 2 * pause : 50 * MSEC;
	}
	CU_ASSERT_EQUAL(pause, 50 * MSEC);
	CU_ASSERT_EQUAL(feed(MD__IN_DEREGISTERED), MD__DO_RELEASE);
}

static void break__pins_remain__release_again_with_pauses(void)
{
	reach(MD__RELEASING);
	CU_ASSERT_EQUAL(feed(MD__IN_PINNED), 0);
	CU_ASSERT_EQUAL(eng.timer, now + MSEC);
	CU_ASSERT_EQUAL(feed_timer(), MD__DO_RELEASE);
	feed(MD__IN_PINNED);
	CU_ASSERT_EQUAL(eng.timer, now + 2 * MSEC);
	CU_ASSERT_EQUAL(feed_timer(), MD__DO_RELEASE);
	CU_ASSERT_EQUAL(feed(MD__IN_RELEASED), MD__EV_RELEASED);
}

static void break__after_one_with_many_retries__pauses_start_anew(void)
{
	reach(MD__RELEASING);
	for (int i = 0; i < 8; i++) {
		feed(MD__IN_PINNED);
		feed_timer();
	}
	feed(MD__IN_RELEASED);
	feed_timer();
	feed(MD__IN_LEASED);
	CU_ASSERT_EQUAL(feed(MD__IN_REG_FAILED), MD__DO_DEREG);
	feed(MD__IN_DEREG_FAILED);
	CU_ASSERT_EQUAL(eng.timer, now + MSEC);
}

/* 45 s from the kernel's notice: late from 33.75 s on. */
static void late__quarter_left_and_pins__told_once(void)
{
	uint64_t broken;

	reach(MD__RELEASING);
	broken = now;
	now = broken + 33750 * MSEC - 1;
	CU_ASSERT_EQUAL(feed(MD__IN_PINNED), 0);
	feed_timer();
	CU_ASSERT_EQUAL(feed(MD__IN_PINNED), MD__EV_LATE);
	feed_timer();
	CU_ASSERT_EQUAL(feed(MD__IN_PINNED), 0);
	now = broken + 100 * SEC;
	feed_timer();
	CU_ASSERT_EQUAL(feed(MD__IN_PINNED), 0);
}

static void late__dereg_keeps_failing__told_once(void)
{
	reach(MD__DEREG);
	now += 34 * SEC;
	CU_ASSERT_EQUAL(feed(MD__IN_DEREG_FAILED), MD__EV_LATE);
	feed_timer();
	feed(MD__IN_DEREGISTERED);
	CU_ASSERT_EQUAL(feed(MD__IN_PINNED), 0);
}

static void late__next_break__told_again(void)
{
	reach(MD__RELEASING);
	now += 40 * SEC;
	CU_ASSERT_EQUAL(feed(MD__IN_PINNED), MD__EV_LATE);
	feed_timer();
	feed(MD__IN_RELEASED);
	feed_timer();
	feed(MD__IN_LEASED);
	feed(MD__IN_REGISTERED);
	feed_break(now, now + SEC);
	feed_done(ALL);
	feed(MD__IN_DEREGISTERED);
	CU_ASSERT_EQUAL(feed(MD__IN_PINNED), 0);
	now += SEC;
	feed_timer();
	CU_ASSERT_EQUAL(feed(MD__IN_PINNED), MD__EV_LATE);
}

static void late__release_by_choice__only_once_a_break_comes(void)
{
	reach(MD__LIVE);
	feed(MD__IN_RELEASE);
	feed_done(ALL);
	feed(MD__IN_DEREGISTERED);
	now += 3600 * SEC;
	CU_ASSERT_EQUAL(feed(MD__IN_PINNED), 0);
	feed_break(now, now + SEC);
	now += SEC;
	feed_timer();
	CU_ASSERT_EQUAL(feed(MD__IN_PINNED), MD__EV_LATE);
}

/* There may be no deadline, and nobody else who would tell. */
static void late__stuck__told_at_once_and_once(void)
{
	reach(MD__LIVE);
	feed(MD__IN_RELEASE);
	feed_done(ALL);
	feed(MD__IN_DEREGISTERED);
	CU_ASSERT_EQUAL(feed(MD__IN_PINNED), 0);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(feed_timer(), MD__DO_RELEASE);
		CU_ASSERT_EQUAL(feed_in((struct md__input){ .what = MD__IN_PINNED, .stuck = true }),
				i ? 0 : MD__EV_LATE);
		CU_ASSERT_EQUAL(md__engine_public(&eng), MD_MAP_BREAKING);
	}
	feed_timer();
	CU_ASSERT_EQUAL(feed(MD__IN_RELEASED), MD__EV_RELEASED);
}

/* ---- release by choice ------------------------------------------------ */

static void release__with_restore_policy__stays_released(void)
{
	reach(MD__LIVE);
	feed(MD__IN_RELEASE);
	feed_done(ALL);
	feed(MD__IN_DEREGISTERED);
	CU_ASSERT_EQUAL(feed(MD__IN_RELEASED), MD__EV_RELEASED);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
	CU_ASSERT_EQUAL(eng.timer, 0);
}

static void release__in_any_step_of_a_break__stays_released(void)
{
	const enum md__state step[] = { MD__RECALLING, MD__DEREG, MD__RELEASING };

	for (int i = 0; i < 3; i++) {
		reach(step[i]);
		CU_ASSERT_EQUAL(feed(MD__IN_RELEASE), 0);
		if (step[i] == MD__RECALLING)
			feed_done(ALL);
		if (step[i] != MD__RELEASING)
			feed(MD__IN_DEREGISTERED);
		CU_ASSERT_EQUAL(feed(MD__IN_RELEASED), MD__EV_RELEASED);
		CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
	}
}

static void release__then_restored__policy_is_back(void)
{
	reach(MD__RELEASED);
	CU_ASSERT_EQUAL(feed(MD__IN_RESTORE), MD__DO_ACQUIRE);
	feed(MD__IN_LEASED);
	CU_ASSERT_EQUAL(feed(MD__IN_REGISTERED), MD__DO_OPEN | MD__EV_RESTORED);
	feed_break(now, now + SEC);
	feed_done(ALL);
	feed(MD__IN_DEREGISTERED);
	feed(MD__IN_RELEASED);
	CU_ASSERT_EQUAL(eng.state, MD__BACKOFF);
}

static void release__while_acquiring__lease_goes_back(void)
{
	reach(MD__ACQUIRING);
	feed(MD__IN_RELEASE);
	CU_ASSERT_EQUAL(feed(MD__IN_LEASED), MD__DO_RELEASE);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASING);
	CU_ASSERT_EQUAL(feed(MD__IN_RELEASED), 0);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
}

static void release__while_acquiring_fails__rests(void)
{
	const enum md__in answer[] = { MD__IN_LEASE_BUSY, MD__IN_LEASE_UNFIT,
				       MD__IN_LEASE_REFUSED };

	for (int i = 0; i < 3; i++) {
		reach(MD__ACQUIRING);
		feed(MD__IN_RELEASE);
		CU_ASSERT_EQUAL(feed(answer[i]), 0);
		CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
		CU_ASSERT_EQUAL(eng.timer, 0);
	}
}

static void release__while_acquiring_unfit_past_limit__rests(void)
{
	reach(MD__ACQUIRING);
	feed(MD__IN_LEASE_UNFIT);
	feed_timer();
	feed(MD__IN_RELEASE);
	now += FIT_LIMIT;
	CU_ASSERT_EQUAL(feed(MD__IN_LEASE_UNFIT), 0);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
}

static void release__while_registering__undone_in_silence(void)
{
	reach(MD__REGISTERING);
	feed(MD__IN_RELEASE);
	CU_ASSERT_EQUAL(feed(MD__IN_REGISTERED), MD__DO_DEREG);
	feed(MD__IN_DEREGISTERED);
	CU_ASSERT_EQUAL(feed(MD__IN_RELEASED), 0);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
}

static void release__taken_back_by_restore__lives(void)
{
	reach(MD__REGISTERING);
	feed(MD__IN_RELEASE);
	feed(MD__IN_RESTORE);
	CU_ASSERT_EQUAL(feed(MD__IN_REGISTERED), MD__DO_OPEN | MD__EV_RESTORED);
}

/* ---- revoked ---------------------------------------------------------- */

static void finish_revoked(bool restore, unsigned int act, enum md__state state)
{
	const enum md__state step[] = { MD__LIVE, MD__RECALLING, MD__DEREG, MD__RELEASING };

	for (int i = 0; i < 4; i++) {
		reach(step[i]);
		feed(MD__IN_REVOKED);
		if (!restore)
			feed(MD__IN_RELEASE);
		if (step[i] != MD__RELEASING)
			feed(MD__IN_DEREGISTERED);
		CU_ASSERT_EQUAL(feed(MD__IN_RELEASED), act);
		CU_ASSERT_EQUAL(eng.state, state);
	}
}

static void revoked__restore_wanted__released_and_on(void)
{
	finish_revoked(true, MD__EV_RELEASED, MD__BACKOFF);
}

static void revoked__no_restore__lost(void)
{
	finish_revoked(false, MD__DO_LOSE | MD__EV_LOST, MD__LOST);
}

static void revoked__before_it_was_shown__not_lost(void)
{
	reach(MD__REGISTERING);
	feed_break(now, now + SEC);
	feed(MD__IN_REVOKED);
	feed(MD__IN_RELEASE);
	feed(MD__IN_DEREGISTERED);
	CU_ASSERT_EQUAL(feed(MD__IN_RELEASED), 0);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
}

static const struct unit_case cases[] = {
	UNIT_CASE(break__parties_one_by_one__goes_on_after_the_last),
	UNIT_CASE(break__again_after_restore__waits_for_all_again),
	UNIT_CASE(break__far_deadline__drains_for_the_budget),
	UNIT_CASE(break__near_deadline__drains_for_half_of_what_is_left),
	UNIT_CASE(break__deadline_passed__does_not_drain),
	UNIT_CASE(break__during_release_by_choice__deadline_rules),
	UNIT_CASE(break__second_with_later_deadline__changes_nothing),
	UNIT_CASE(break__second_with_earlier_deadline__only_shortens),
	UNIT_CASE(break__dereg_fails__no_release_until_it_works),
	UNIT_CASE(break__pins_remain__release_again_with_pauses),
	UNIT_CASE(break__after_one_with_many_retries__pauses_start_anew),
	UNIT_CASE(late__quarter_left_and_pins__told_once),
	UNIT_CASE(late__dereg_keeps_failing__told_once),
	UNIT_CASE(late__next_break__told_again),
	UNIT_CASE(late__release_by_choice__only_once_a_break_comes),
	UNIT_CASE(late__stuck__told_at_once_and_once),
	UNIT_CASE(release__with_restore_policy__stays_released),
	UNIT_CASE(release__in_any_step_of_a_break__stays_released),
	UNIT_CASE(release__then_restored__policy_is_back),
	UNIT_CASE(release__while_acquiring__lease_goes_back),
	UNIT_CASE(release__while_acquiring_fails__rests),
	UNIT_CASE(release__while_acquiring_unfit_past_limit__rests),
	UNIT_CASE(release__while_registering__undone_in_silence),
	UNIT_CASE(release__taken_back_by_restore__lives),
	UNIT_CASE(revoked__restore_wanted__released_and_on),
	UNIT_CASE(revoked__no_restore__lost),
	UNIT_CASE(revoked__before_it_was_shown__not_lost),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("engine_break", cases, NULL, NULL, argc, argv);
}
