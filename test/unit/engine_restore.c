// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The break engine: the first acquire, and restore with its pauses and limits. */

#include "drive.h"

/* ---- md_map(), the first acquire -------------------------------------- */

static void start__leased_and_registered__live_without_event(void)
{
	start(false);
	CU_ASSERT_EQUAL(feed(MD__IN_LEASED), MD__DO_REGISTER);
	CU_ASSERT_EQUAL(feed(MD__IN_REGISTERED), MD__DO_OPEN);
	CU_ASSERT_EQUAL(eng.state, MD__LIVE);
	CU_ASSERT_EQUAL(eng.timer, 0);
}

static void start__no_lease__fails_at_once(void)
{
	const enum md__in answer[] = { MD__IN_LEASE_BUSY, MD__IN_LEASE_UNFIT,
				       MD__IN_LEASE_REFUSED };

	for (int i = 0; i < 3; i++) {
		start(true);
		CU_ASSERT_EQUAL(feed(answer[i]), 0);
		CU_ASSERT_EQUAL(eng.state, MD__LOST);
		CU_ASSERT_EQUAL(eng.timer, 0);
	}
}

static void start__break_before_live__undone_in_silence(void)
{
	start(true);
	feed(MD__IN_LEASED);
	CU_ASSERT_EQUAL(feed_break(now, now + SEC), MD__DO_DEREG);
	CU_ASSERT_EQUAL(feed(MD__IN_DEREGISTERED), MD__DO_RELEASE);
	CU_ASSERT_EQUAL(feed(MD__IN_RELEASED), 0);
	CU_ASSERT_EQUAL(eng.state, MD__LOST);
}

/* ---- restore ---------------------------------------------------------- */

static void restore__without_policy__only_when_asked(void)
{
	start(false);
	feed(MD__IN_LEASED);
	feed(MD__IN_REGISTERED);
	feed_break(now, now + SEC);
	feed_done(ALL);
	feed(MD__IN_DEREGISTERED);
	feed(MD__IN_RELEASED);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
	feed(MD__IN_RESTORE);
	feed(MD__IN_LEASED);
	feed(MD__IN_REGISTERED);
	feed_break(now, now + SEC);
	feed_done(ALL);
	feed(MD__IN_DEREGISTERED);
	feed(MD__IN_RELEASED);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
}

static void restore__asked_in_a_break__follows_the_release(void)
{
	start(false);
	feed(MD__IN_LEASED);
	feed(MD__IN_REGISTERED);
	feed_break(now, now + SEC);
	CU_ASSERT_EQUAL(feed(MD__IN_RESTORE), 0);
	feed_done(ALL);
	feed(MD__IN_DEREGISTERED);
	CU_ASSERT_EQUAL(feed(MD__IN_RELEASED), MD__EV_RELEASED);
	CU_ASSERT_EQUAL(eng.state, MD__BACKOFF);
}

/* From LIVE to what follows the release, as quickly as can be. */
static void break_at_once(void)
{
	feed_break(now, now + SEC);
	feed_done(ALL);
	feed(MD__IN_DEREGISTERED);
	feed(MD__IN_RELEASED);
}

static void start_on_demand(void)
{
	now = 1000 * SEC;
	md__engine_start(&eng, false, true, BUDGET, FIT_LIMIT);
	feed(MD__IN_LEASED);
	feed(MD__IN_REGISTERED);
}

static void want__on_demand__restored_after_a_pause(void)
{
	start_on_demand();
	break_at_once();
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
	CU_ASSERT_EQUAL(feed(MD__IN_WANT), 0);
	CU_ASSERT_EQUAL(eng.state, MD__BACKOFF);
	CU_ASSERT(eng.timer > now);
	CU_ASSERT_EQUAL(feed_timer(), MD__DO_ACQUIRE);
}

static void want__in_the_break__restored_after_it(void)
{
	start_on_demand();
	feed_break(now, now + SEC);
	feed(MD__IN_WANT);
	feed_done(ALL);
	feed(MD__IN_DEREGISTERED);
	CU_ASSERT_EQUAL(feed(MD__IN_RELEASED), MD__EV_RELEASED);
	CU_ASSERT_EQUAL(eng.state, MD__BACKOFF);
}

/* A peer that wants it back each time at once is paced like any other storm. */
static void want__again_and_again__pauses_grow(void)
{
	uint64_t pause = 0;

	start_on_demand();
	for (int i = 0; i < 10; i++) {
		break_at_once();
		feed_in((struct md__input){ .what = MD__IN_WANT });
		CU_ASSERT(eng.timer - now >= pause);
		pause = eng.timer - now;
		feed_timer();
		feed(MD__IN_LEASED);
		feed(MD__IN_REGISTERED);
	}
	CU_ASSERT(pause > 100 * MSEC);
}

static void want__released_by_choice__is_not_heard(void)
{
	start_on_demand();
	feed(MD__IN_RELEASE);
	feed(MD__IN_WANT);
	feed_done(ALL);
	feed(MD__IN_DEREGISTERED);
	feed(MD__IN_RELEASED);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
	CU_ASSERT_EQUAL(feed(MD__IN_WANT), 0);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
	/* What was a break becomes a choice, too. */
	feed(MD__IN_RESTORE);
	feed(MD__IN_LEASED);
	feed(MD__IN_REGISTERED);
	break_at_once();
	feed(MD__IN_RELEASE);
	feed(MD__IN_WANT);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
}

static void want__not_on_demand__is_not_heard(void)
{
	start(false);
	feed(MD__IN_LEASED);
	feed(MD__IN_REGISTERED);
	break_at_once();
	feed(MD__IN_WANT);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
}

/* Budget over, a use is open: the break goes on, the restore does not. */
static void reach_released_with_open_use(void)
{
	reach(MD__RECALLING);
	feed_done(MD__PARTY_APP);
	feed_timer();
	feed(MD__IN_DEREGISTERED);
	feed(MD__IN_RELEASED);
	CU_ASSERT_EQUAL(eng.state, MD__BACKOFF);
}

static void restore__use_open_past_the_pause__waits_for_it(void)
{
	reach_released_with_open_use();
	CU_ASSERT_EQUAL(feed_timer(), 0);
	CU_ASSERT_EQUAL(eng.state, MD__BACKOFF);
	CU_ASSERT_EQUAL(feed_done(MD__PARTY_APP), 0);
	CU_ASSERT_EQUAL(feed_done(MD__PARTY_USES), MD__DO_ACQUIRE);
}

static void restore__use_ends_in_the_pause__pause_goes_on(void)
{
	reach_released_with_open_use();
	CU_ASSERT_EQUAL(feed_done(MD__PARTY_USES), 0);
	CU_ASSERT_EQUAL(feed_timer(), MD__DO_ACQUIRE);
}

static void restore__asked_with_open_use__starts_when_it_ends(void)
{
	reach_released_with_open_use();
	CU_ASSERT_EQUAL(feed(MD__IN_RESTORE), 0);
	CU_ASSERT_EQUAL(eng.timer, 0);
	CU_ASSERT_EQUAL(feed_done(MD__PARTY_USES), MD__DO_ACQUIRE);

	reach_released_with_open_use();
	feed(MD__IN_RELEASE);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
	CU_ASSERT_EQUAL(feed(MD__IN_RESTORE), 0);
	CU_ASSERT_EQUAL(eng.state, MD__BACKOFF);
	CU_ASSERT_EQUAL(feed_done(MD__PARTY_USES), MD__DO_ACQUIRE);
}

/* The acknowledgement is waited for in the drain only. */
static void restore__event_not_acknowledged__does_not_wait(void)
{
	reach(MD__RECALLING);
	feed_done(MD__PARTY_USES);
	feed_timer();
	feed(MD__IN_DEREGISTERED);
	feed(MD__IN_RELEASED);
	CU_ASSERT_EQUAL(feed_timer(), MD__DO_ACQUIRE);
}

static void restore__busy_again_and_again__pauses_double_to_a_second(void)
{
	uint64_t pause = 2 * MSEC; /* the first went before the first try */
	uint32_t low = 0, high = UINT32_MAX;

	reach(MD__ACQUIRING);
	for (int i = 0; i < 100; i++) {
		feed_in((struct md__input){ .what = MD__IN_LEASE_BUSY,
					    .random = i % 2 ? low : high });
		CU_ASSERT(eng.timer >= now + pause / 2 && eng.timer <= now + pause);
		CU_ASSERT_EQUAL(feed_timer(), MD__DO_ACQUIRE);
		pause = pause < 500 * MSEC ? 2 * pause : SEC;
	}
	CU_ASSERT_EQUAL(pause, SEC);
}

static unsigned int feed_paused(uint64_t again)
{
	return feed_in((struct md__input){ .what = MD__IN_LEASE_PAUSED, .again = again });
}

static void restore__paused__goes_on_at_that_time(void)
{
	uint64_t pause;

	reach(MD__ACQUIRING);
	pause = eng.pause;
	for (int i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(feed_paused(now + MSEC), 0);
		CU_ASSERT_EQUAL(eng.state, MD__ACQUIRING);
		CU_ASSERT_EQUAL(feed(MD__IN_TIMER), 0);
		CU_ASSERT_EQUAL(feed_timer(), MD__DO_ACQUIRE);
	}
	CU_ASSERT_EQUAL(eng.pause, pause);
	CU_ASSERT_EQUAL(feed(MD__IN_LEASED), MD__DO_REGISTER);
}

static void restore__released_in_a_pause__ends_at_once(void)
{
	reach(MD__ACQUIRING);
	feed_paused(now + MSEC);
	CU_ASSERT_EQUAL(feed(MD__IN_RELEASE), 0);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
	CU_ASSERT_EQUAL(feed_timer(), 0);
	CU_ASSERT_EQUAL(feed(MD__IN_WANT), 0);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
}

/* What is short may be short in each of its parts. */
static void restore__paused__limit_goes_on(void)
{
	unsigned int act = 0;

	reach(MD__ACQUIRING);
	for (int i = 0; i < 100 && !act; i++) {
		feed_in((struct md__input){
			.what = MD__IN_LEASE_PAUSED, .again = now + MSEC, .fits = true });
		feed_timer();
		act = feed(MD__IN_LEASE_UNFIT);
		feed_timer();
	}
	CU_ASSERT_EQUAL(act, MD__DO_LOSE | MD__EV_LOST);
}

/* The release came while the question was open: its answer ends it. */
static void restore__released_before_a_pause__ends_with_it(void)
{
	reach(MD__ACQUIRING);
	CU_ASSERT_EQUAL(feed(MD__IN_RELEASE), 0);
	CU_ASSERT_EQUAL(feed_paused(now + MSEC), 0);
	CU_ASSERT_EQUAL(eng.state, MD__RELEASED);
	CU_ASSERT_EQUAL(eng.timer, 0);
}

static void restore__other_random_numbers__other_pauses(void)
{
	uint64_t timer[3];

	for (uint32_t i = 0; i < 3; i++) {
		reach(MD__ACQUIRING);
		feed_in((struct md__input){ .what = MD__IN_LEASE_BUSY, .random = 1000 * i });
		timer[i] = eng.timer;
	}
	CU_ASSERT_EQUAL(timer[1], timer[0] + 1000);
	CU_ASSERT_EQUAL(timer[2], timer[0] + 2000);
}

static void break_and_restore(uint64_t live_for)
{
	now += live_for;
	feed_break(now, now + 45 * SEC);
	feed_done(ALL);
	feed(MD__IN_DEREGISTERED);
	feed(MD__IN_RELEASED);
	feed_timer();
	feed(MD__IN_LEASED);
	feed(MD__IN_REGISTERED);
}

static void restore__broken_every_millisecond__pauses_grow(void)
{
	uint64_t began;

	reach(MD__LIVE);
	for (int i = 0; i < 10; i++)
		break_and_restore(MSEC);
	began = now;
	break_and_restore(MSEC);
	CU_ASSERT(now - began >= 500 * MSEC);
	began = now;
	break_and_restore(SEC);
	CU_ASSERT(now - began < SEC + 2 * MSEC);
}

static void restore__does_not_fit__lost_at_the_limit(void)
{
	uint64_t began;
	unsigned int act;

	reach(MD__ACQUIRING);
	began = now;
	for (act = 0; !act && now < began + 2 * FIT_LIMIT;) {
		act = feed(MD__IN_LEASE_UNFIT);
		if (!act)
			CU_ASSERT_EQUAL(feed_timer(), MD__DO_ACQUIRE);
	}
	CU_ASSERT_EQUAL(act, MD__DO_LOSE | MD__EV_LOST);
	CU_ASSERT_EQUAL(eng.state, MD__LOST);
	CU_ASSERT(now >= began + FIT_LIMIT && now <= began + FIT_LIMIT + SEC);
}

static void restore__busy_for_long__is_never_lost(void)
{
	reach(MD__ACQUIRING);
	for (int i = 0; i < 1000; i++) {
		CU_ASSERT_EQUAL(feed(MD__IN_LEASE_BUSY), 0);
		feed_timer();
	}
	CU_ASSERT(now > 1000 * SEC + 50 * FIT_LIMIT);
}

static void restore__fits_again__limit_starts_anew(void)
{
	reach(MD__ACQUIRING);
	feed(MD__IN_LEASE_UNFIT);
	feed_timer();
	feed(MD__IN_LEASED);
	feed(MD__IN_REGISTERED);
	now += 2 * FIT_LIMIT;
	feed_break(now, now + SEC);
	feed_done(ALL);
	feed(MD__IN_DEREGISTERED);
	feed(MD__IN_RELEASED);
	feed_timer();
	CU_ASSERT_EQUAL(feed(MD__IN_LEASE_UNFIT), 0);
	CU_ASSERT_EQUAL(eng.state, MD__BACKOFF);
}

static void be_busy_past_the_limit(bool fits)
{
	reach(MD__ACQUIRING);
	feed(MD__IN_LEASE_UNFIT);
	now += FIT_LIMIT;
	feed_timer();
	feed_in((struct md__input){ .what = MD__IN_LEASE_BUSY, .fits = fits });
	feed_timer();
}

static void restore__busy_and_fits__limit_starts_anew(void)
{
	be_busy_past_the_limit(true);
	CU_ASSERT_EQUAL(feed(MD__IN_LEASE_UNFIT), 0);
	CU_ASSERT_EQUAL(eng.state, MD__BACKOFF);
}

static void restore__busy_and_not_seen_to_fit__limit_goes_on(void)
{
	be_busy_past_the_limit(false);
	CU_ASSERT_EQUAL(feed(MD__IN_LEASE_UNFIT), MD__DO_LOSE | MD__EV_LOST);
}

static void restore__broken_while_registering__limit_starts_anew(void)
{
	reach(MD__ACQUIRING);
	feed(MD__IN_LEASE_UNFIT);
	feed_timer();
	feed(MD__IN_LEASED);
	now += FIT_LIMIT;
	CU_ASSERT_EQUAL(feed_break(now, now + SEC), MD__DO_DEREG);
	feed(MD__IN_DEREGISTERED);
	CU_ASSERT_EQUAL(feed(MD__IN_RELEASED), 0);
	CU_ASSERT_EQUAL(eng.state, MD__BACKOFF);
}

static void restore__register_fails__tried_again_until_the_limit(void)
{
	unsigned int act;
	uint64_t began;

	reach(MD__REGISTERING);
	began = now;
	for (act = 0; !act && now < began + 2 * FIT_LIMIT;) {
		CU_ASSERT_EQUAL(feed(MD__IN_REG_FAILED), MD__DO_DEREG);
		CU_ASSERT_EQUAL(feed(MD__IN_DEREGISTERED), MD__DO_RELEASE);
		act = feed(MD__IN_RELEASED);
		if (!act) {
			CU_ASSERT_EQUAL(feed_timer(), MD__DO_ACQUIRE);
			feed(MD__IN_LEASED);
		}
	}
	CU_ASSERT_EQUAL(act, MD__DO_LOSE | MD__EV_LOST);
	CU_ASSERT(now >= began + FIT_LIMIT && now <= began + FIT_LIMIT + SEC);
}

static void restore__broken_while_registering__nothing_told_twice(void)
{
	reach(MD__REGISTERING);
	CU_ASSERT_EQUAL(feed_break(now, now + SEC), MD__DO_DEREG);
	CU_ASSERT_EQUAL(md__engine_public(&eng), MD_MAP_RELEASED);
	feed(MD__IN_DEREGISTERED);
	CU_ASSERT_EQUAL(feed(MD__IN_RELEASED), 0);
	CU_ASSERT_EQUAL(eng.state, MD__BACKOFF);
}

static const struct unit_case cases[] = {
	UNIT_CASE(start__leased_and_registered__live_without_event),
	UNIT_CASE(start__no_lease__fails_at_once),
	UNIT_CASE(start__break_before_live__undone_in_silence),
	UNIT_CASE(restore__without_policy__only_when_asked),
	UNIT_CASE(restore__asked_in_a_break__follows_the_release),
	UNIT_CASE(want__on_demand__restored_after_a_pause),
	UNIT_CASE(want__in_the_break__restored_after_it),
	UNIT_CASE(want__again_and_again__pauses_grow),
	UNIT_CASE(want__released_by_choice__is_not_heard),
	UNIT_CASE(want__not_on_demand__is_not_heard),
	UNIT_CASE(restore__use_open_past_the_pause__waits_for_it),
	UNIT_CASE(restore__use_ends_in_the_pause__pause_goes_on),
	UNIT_CASE(restore__asked_with_open_use__starts_when_it_ends),
	UNIT_CASE(restore__event_not_acknowledged__does_not_wait),
	UNIT_CASE(restore__busy_again_and_again__pauses_double_to_a_second),
	UNIT_CASE(restore__paused__goes_on_at_that_time),
	UNIT_CASE(restore__released_in_a_pause__ends_at_once),
	UNIT_CASE(restore__paused__limit_goes_on),
	UNIT_CASE(restore__released_before_a_pause__ends_with_it),
	UNIT_CASE(restore__other_random_numbers__other_pauses),
	UNIT_CASE(restore__broken_every_millisecond__pauses_grow),
	UNIT_CASE(restore__does_not_fit__lost_at_the_limit),
	UNIT_CASE(restore__busy_for_long__is_never_lost),
	UNIT_CASE(restore__fits_again__limit_starts_anew),
	UNIT_CASE(restore__busy_and_fits__limit_starts_anew),
	UNIT_CASE(restore__busy_and_not_seen_to_fit__limit_goes_on),
	UNIT_CASE(restore__broken_while_registering__limit_starts_anew),
	UNIT_CASE(restore__register_fails__tried_again_until_the_limit),
	UNIT_CASE(restore__broken_while_registering__nothing_told_twice),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("engine_restore", cases, NULL, NULL, argc, argv);
}
