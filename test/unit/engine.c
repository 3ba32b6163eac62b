// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The break engine: every cell of its table, and what is seen of its states. */

#include <stdio.h>
#include <string.h>

#include "drive.h"

/* ---- every pair of state and input ------------------------------------ */

struct cell {
	bool possible;
	enum md__state next;
	unsigned int act;
};

#define TO(state, act)                                                                             \
	{                                                                                          \
		true, state, act                                                                   \
	}

static const struct cell expected[MD__STATES][MD__INS] = {
	[MD__ACQUIRING] = {
		[MD__IN_LEASED] = TO(MD__REGISTERING, MD__DO_REGISTER),
		[MD__IN_LEASE_BUSY] = TO(MD__BACKOFF, 0),
		[MD__IN_LEASE_UNFIT] = TO(MD__BACKOFF, 0),
		[MD__IN_LEASE_REFUSED] = TO(MD__LOST, MD__DO_LOSE | MD__EV_LOST),
		[MD__IN_LEASE_PAUSED] = TO(MD__ACQUIRING, 0),
		[MD__IN_RELEASE] = TO(MD__ACQUIRING, 0),
		[MD__IN_RESTORE] = TO(MD__ACQUIRING, 0),
		[MD__IN_WANT] = TO(MD__ACQUIRING, 0),
		[MD__IN_DONE] = TO(MD__ACQUIRING, 0),
		[MD__IN_TIMER] = TO(MD__ACQUIRING, 0),
	},
	[MD__REGISTERING] = {
		[MD__IN_REGISTERED] = TO(MD__LIVE, MD__DO_OPEN | MD__EV_RESTORED),
		[MD__IN_REG_FAILED] = TO(MD__DEREG, MD__DO_DEREG),
		[MD__IN_BREAK] = TO(MD__DEREG, MD__DO_DEREG),
		[MD__IN_REVOKED] = TO(MD__DEREG, MD__DO_DEREG),
		[MD__IN_RELEASE] = TO(MD__REGISTERING, 0),
		[MD__IN_RESTORE] = TO(MD__REGISTERING, 0),
		[MD__IN_WANT] = TO(MD__REGISTERING, 0),
		[MD__IN_DONE] = TO(MD__REGISTERING, 0),
		[MD__IN_TIMER] = TO(MD__REGISTERING, 0),
	},
	[MD__LIVE] = {
		[MD__IN_BREAK] = TO(MD__RECALLING, MD__DO_SHUT | MD__DO_TELL),
		[MD__IN_REVOKED] = TO(MD__DEREG, MD__DO_SHUT | MD__DO_TELL | MD__DO_FENCE |
						MD__DO_DEREG),
		[MD__IN_RELEASE] = TO(MD__RECALLING, MD__DO_SHUT | MD__DO_TELL),
		[MD__IN_RESTORE] = TO(MD__LIVE, 0),
		[MD__IN_WANT] = TO(MD__LIVE, 0),
		[MD__IN_DONE] = TO(MD__LIVE, 0),
		[MD__IN_TIMER] = TO(MD__LIVE, 0),
	},
	[MD__RECALLING] = {
		[MD__IN_BREAK] = TO(MD__RECALLING, 0),
		[MD__IN_REVOKED] = TO(MD__DEREG, MD__DO_FENCE | MD__DO_DEREG),
		[MD__IN_RELEASE] = TO(MD__RECALLING, 0),
		[MD__IN_RESTORE] = TO(MD__RECALLING, 0),
		[MD__IN_WANT] = TO(MD__RECALLING, 0),
		[MD__IN_DONE] = TO(MD__DEREG, MD__DO_DEREG),
		[MD__IN_TIMER] = TO(MD__DEREG, MD__DO_FENCE | MD__DO_DEREG),
	},
	[MD__DEREG] = {
		[MD__IN_BREAK] = TO(MD__DEREG, 0),
		[MD__IN_REVOKED] = TO(MD__DEREG, 0),
		[MD__IN_RELEASE] = TO(MD__DEREG, 0),
		[MD__IN_RESTORE] = TO(MD__DEREG, 0),
		[MD__IN_WANT] = TO(MD__DEREG, 0),
		[MD__IN_DONE] = TO(MD__DEREG, 0),
		[MD__IN_TIMER] = TO(MD__DEREG, 0),
		[MD__IN_DEREGISTERED] = TO(MD__RELEASING, MD__DO_RELEASE),
		[MD__IN_DEREG_FAILED] = TO(MD__DEREG, 0),
	},
	[MD__RELEASING] = {
		[MD__IN_BREAK] = TO(MD__RELEASING, 0),
		[MD__IN_REVOKED] = TO(MD__RELEASING, 0),
		[MD__IN_RELEASE] = TO(MD__RELEASING, 0),
		[MD__IN_RESTORE] = TO(MD__RELEASING, 0),
		[MD__IN_WANT] = TO(MD__RELEASING, 0),
		[MD__IN_DONE] = TO(MD__RELEASING, 0),
		[MD__IN_TIMER] = TO(MD__RELEASING, 0),
		[MD__IN_RELEASED] = TO(MD__BACKOFF, MD__EV_RELEASED),
		[MD__IN_PINNED] = TO(MD__RELEASING, 0),
	},
	[MD__BACKOFF] = {
		[MD__IN_RELEASE] = TO(MD__RELEASED, 0),
		[MD__IN_RESTORE] = TO(MD__ACQUIRING, MD__DO_ACQUIRE),
		[MD__IN_WANT] = TO(MD__BACKOFF, 0),
		[MD__IN_DONE] = TO(MD__BACKOFF, 0),
		[MD__IN_TIMER] = TO(MD__ACQUIRING, MD__DO_ACQUIRE),
	},
	[MD__RELEASED] = {
		[MD__IN_RELEASE] = TO(MD__RELEASED, 0),
		[MD__IN_RESTORE] = TO(MD__ACQUIRING, MD__DO_ACQUIRE),
		[MD__IN_WANT] = TO(MD__RELEASED, 0),
		[MD__IN_DONE] = TO(MD__RELEASED, 0),
		[MD__IN_TIMER] = TO(MD__RELEASED, 0),
	},
	[MD__LOST] = {
		[MD__IN_RELEASE] = TO(MD__LOST, 0),
		[MD__IN_RESTORE] = TO(MD__LOST, 0),
		[MD__IN_WANT] = TO(MD__LOST, 0),
		[MD__IN_DONE] = TO(MD__LOST, 0),
		[MD__IN_TIMER] = TO(MD__LOST, 0),
	},
};

static void check_cell(enum md__state state, enum md__in what)
{
	struct cell want = expected[state][what];
	struct md__engine before;
	unsigned int act;

	reach(state);
	CU_ASSERT_EQUAL_FATAL(eng.state, state);
	memcpy(&before, &eng, sizeof(eng));
	if (what == MD__IN_BREAK)
		act = feed_break(now, now + 45 * SEC);
	else if (what == MD__IN_DONE)
		act = feed_done(ALL);
	else if (what == MD__IN_TIMER)
		act = feed_timer();
	else
		act = feed(what);

	if (!want.possible) {
		want = (struct cell)TO(state, MD__DO_COMPLAIN);
		CU_ASSERT_EQUAL(memcmp(&before, &eng, sizeof(eng)), 0);
	}
	if (eng.state != want.next || act != want.act) {
		printf("\n    %s + %s: %s, actions %#x; expected %s, %#x ",
		       md__engine_state_str(state), md__engine_in_str(what),
		       md__engine_state_str(eng.state), act, md__engine_state_str(want.next),
		       want.act);
		CU_FAIL("cell");
	}
}

static void step__every_state_and_input__as_decided(void)
{
	for (enum md__state s = 0; s < MD__STATES; s++) {
		for (enum md__in i = 0; i < MD__INS; i++)
			check_cell(s, i);
	}
}

/* ---- names and the public state --------------------------------------- */

static void public__every_state__as_documented(void)
{
	const enum md_map_state want[MD__STATES] = {
		[MD__ACQUIRING] = MD_MAP_RELEASED, [MD__REGISTERING] = MD_MAP_RELEASED,
		[MD__LIVE] = MD_MAP_LIVE,	   [MD__RECALLING] = MD_MAP_BREAKING,
		[MD__DEREG] = MD_MAP_BREAKING,	   [MD__RELEASING] = MD_MAP_BREAKING,
		[MD__BACKOFF] = MD_MAP_RELEASED,   [MD__RELEASED] = MD_MAP_RELEASED,
		[MD__LOST] = MD_MAP_LOST,
	};

	for (enum md__state s = 0; s < MD__STATES; s++) {
		reach(s);
		CU_ASSERT_EQUAL(md__engine_public(&eng), want[s]);
	}
}

static void str__every_value__has_its_own_name(void)
{
	for (enum md__state s = 0; s < MD__STATES; s++) {
		for (enum md__state t = 0; t < s; t++)
			CU_ASSERT_STRING_NOT_EQUAL(md__engine_state_str(s),
						   md__engine_state_str(t));
	}
	for (enum md__in i = 0; i < MD__INS; i++) {
		for (enum md__in j = 0; j < i; j++)
			CU_ASSERT_STRING_NOT_EQUAL(md__engine_in_str(i), md__engine_in_str(j));
	}
	CU_ASSERT_STRING_EQUAL(md__engine_state_str(MD__STATES), "unknown");
	CU_ASSERT_STRING_EQUAL(md__engine_in_str(MD__INS), "unknown");
}

static const struct unit_case cases[] = {
	UNIT_CASE(step__every_state_and_input__as_decided),
	UNIT_CASE(public__every_state__as_documented),
	UNIT_CASE(str__every_value__has_its_own_name),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("engine", cases, NULL, NULL, argc, argv);
}
