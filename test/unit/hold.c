// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The peer's side of a grant: every state and input, and what happens in a row. */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "hold.h"
#include "unit.h"

#define TAKEN (MD__HOLD_TAKE | MD__HOLD_OPEN | MD__HOLD_TELL_GRANTED)
#define STOPPED (MD__HOLD_SHUT | MD__HOLD_TELL_RECALLED)
#define GONE (MD__HOLD_SHUT | MD__HOLD_LOSE | MD__HOLD_TELL_LOST)

static struct md__hold h;

static unsigned int feed(enum md__hold_in what)
{
	return md__hold_step(&h, &(struct md__hold_input){ .what = what });
}

static unsigned int grant(uint64_t generation)
{
	return md__hold_step(&h, &(struct md__hold_input){ .what = MD__HOLD_IN_GRANT,
							   .generation = generation });
}

static unsigned int recall(uint64_t barrier, uint64_t id, bool final)
{
	return md__hold_step(&h, &(struct md__hold_input){
					 MD__HOLD_IN_RECALL,
					 .generation = barrier,
					 .id = id,
					 .final = final,
				 });
}

static unsigned int fenced(uint64_t barrier, uint64_t id, bool final)
{
	return md__hold_step(&h, &(struct md__hold_input){
					 MD__HOLD_IN_FENCED,
					 .generation = barrier,
					 .id = id,
					 .final = final,
				 });
}

/* What is due now; it is sent. */
static unsigned int sent(void)
{
	unsigned int due = h.due;

	h.due = 0;
	return due;
}

/* Brings a new one into a state in which generation 6 is the last; nothing is due. */
static void reach(enum md__hold_state state)
{
	h = (struct md__hold){ 0 };
	grant(5);
	recall(5, 1, false);
	feed(MD__HOLD_IN_DRAINED);
	grant(6);
	if (state == MD__HOLD_LOST)
		feed(MD__HOLD_IN_RELEASE);
	if (state == MD__HOLD_DRAINING || state == MD__HOLD_NONE)
		recall(6, 2, false);
	if (state == MD__HOLD_NONE)
		feed(MD__HOLD_IN_DRAINED);
	sent();
}

/* ---- every pair of state and input -------------------------------------- */

/* Messages new and old, as far as a state can tell them apart. */
enum in {
	GRANT_NEW,
	GRANT_SAME, /* generation 6 */
	GRANT_OLD,
	RECALL_NEW,
	RECALL_SAME,
	RECALL_OLD,
	RECALL_LAST, /* new and final */
	FENCED_NEW,
	FENCED_SAME,
	FENCED_OLD,
	FENCED_LAST,
	DRAINED,
	RELEASE,
	OPENED,
	LOST,
	INS,
};

static unsigned int input(enum in what)
{
	switch (what) {
	case GRANT_NEW:
		return grant(7);
	case GRANT_SAME:
		return grant(6);
	case GRANT_OLD:
		return grant(5);
	case RECALL_NEW:
		return recall(6, 3, false);
	case RECALL_SAME:
		return recall(6, 2, false);
	case RECALL_OLD:
		return recall(5, 1, false);
	case RECALL_LAST:
		return recall(6, 3, true);
	case FENCED_NEW:
		return fenced(6, 3, false);
	case FENCED_SAME:
		return fenced(6, 2, false);
	case FENCED_OLD:
		return fenced(5, 1, false);
	case FENCED_LAST:
		return fenced(6, 3, true);
	case DRAINED:
		return feed(MD__HOLD_IN_DRAINED);
	case RELEASE:
		return feed(MD__HOLD_IN_RELEASE);
	case OPENED:
		return feed(MD__HOLD_IN_OPEN);
	default:
		return feed(MD__HOLD_IN_LOST);
	}
}

enum kind {
	MISSING,
	SAME,
	CHANGES
};

static const struct cell {
	enum kind kind;
	unsigned int act;
	enum md__hold_state next;
	unsigned int due;
} expected[MD__HOLD_STATES][INS] = {
#define NOTHING                                                                                    \
	{                                                                                          \
		SAME, 0, 0, 0                                                                      \
	}
#define WRONG                                                                                      \
	{                                                                                          \
		SAME, MD__HOLD_WRONG, 0, 0                                                         \
	}
#define TO(state, act, due)                                                                        \
	{                                                                                          \
		CHANGES, act, MD__HOLD_##state, due                                                \
	}
	[MD__HOLD_NONE] = {
		[GRANT_NEW] = TO(VALID, TAKEN, MD__HOLD_SEND_GRANT_ACK),
		[GRANT_SAME] = NOTHING,
		[GRANT_OLD] = NOTHING,
		[RECALL_NEW] = TO(NONE, 0, MD__HOLD_SEND_DONE),
		[RECALL_SAME] = TO(NONE, 0, MD__HOLD_SEND_DONE),
		[RECALL_OLD] = NOTHING,
		[RECALL_LAST] = TO(LOST, GONE, MD__HOLD_SEND_DONE),
		[FENCED_NEW] = TO(NONE, MD__HOLD_TELL_FENCED, MD__HOLD_SEND_FENCED_ACK),
		[FENCED_SAME] = TO(NONE, MD__HOLD_TELL_FENCED, MD__HOLD_SEND_FENCED_ACK),
		[FENCED_OLD] = NOTHING,
		[FENCED_LAST] = TO(LOST, GONE | MD__HOLD_TELL_FENCED, MD__HOLD_SEND_FENCED_ACK),
		[DRAINED] = NOTHING,
		[RELEASE] = TO(LOST, MD__HOLD_SHUT | MD__HOLD_LOSE, MD__HOLD_SEND_RELEASE),
		[OPENED] = NOTHING,
		[LOST] = TO(LOST, GONE, 0),
	},
	[MD__HOLD_VALID] = {
		[GRANT_NEW] = WRONG,
		[GRANT_SAME] = TO(VALID, 0, MD__HOLD_SEND_GRANT_ACK),
		[GRANT_OLD] = NOTHING,
		[RECALL_NEW] = TO(DRAINING, STOPPED, MD__HOLD_SEND_ACK),
		[RECALL_SAME] = TO(DRAINING, STOPPED, MD__HOLD_SEND_ACK),
		[RECALL_OLD] = NOTHING,
		[RECALL_LAST] = TO(DRAINING, STOPPED, MD__HOLD_SEND_ACK),
		[FENCED_NEW] = TO(DRAINING, STOPPED | MD__HOLD_TELL_FENCED, 0),
		[FENCED_SAME] = TO(DRAINING, STOPPED | MD__HOLD_TELL_FENCED, 0),
		[FENCED_OLD] = NOTHING,
		[FENCED_LAST] = TO(DRAINING, STOPPED | MD__HOLD_TELL_FENCED, 0),
		[DRAINED] = NOTHING,
		[RELEASE] = TO(LOST, MD__HOLD_SHUT | MD__HOLD_LOSE, MD__HOLD_SEND_RELEASE),
		[OPENED] = NOTHING,
		[LOST] = TO(LOST, GONE, 0),
	},
	[MD__HOLD_DRAINING] = {
		[GRANT_NEW] = WRONG,
		[GRANT_SAME] = NOTHING,
		[GRANT_OLD] = NOTHING,
		[RECALL_NEW] = TO(DRAINING, 0, MD__HOLD_SEND_ACK),
		[RECALL_SAME] = TO(DRAINING, 0, MD__HOLD_SEND_ACK),
		[RECALL_OLD] = NOTHING,
		[RECALL_LAST] = TO(DRAINING, 0, MD__HOLD_SEND_ACK),
		[FENCED_NEW] = TO(DRAINING, MD__HOLD_TELL_FENCED, 0),
		[FENCED_SAME] = TO(DRAINING, MD__HOLD_TELL_FENCED, 0),
		[FENCED_OLD] = NOTHING,
		[FENCED_LAST] = TO(DRAINING, MD__HOLD_TELL_FENCED, 0),
		[DRAINED] = TO(NONE, 0, MD__HOLD_SEND_DONE),
		[RELEASE] = TO(LOST, MD__HOLD_SHUT | MD__HOLD_LOSE,
			       MD__HOLD_SEND_DONE | MD__HOLD_SEND_RELEASE),
		[OPENED] = NOTHING,
		[LOST] = TO(LOST, GONE, 0),
	},
	/* By a RELEASE that the holder has not answered. */
	[MD__HOLD_LOST] = {
		[GRANT_NEW] = TO(LOST, 0, MD__HOLD_SEND_RELEASE),
		[GRANT_SAME] = TO(LOST, 0, MD__HOLD_SEND_RELEASE),
		[GRANT_OLD] = TO(LOST, 0, MD__HOLD_SEND_RELEASE),
		[RECALL_NEW] = TO(LOST, 0, MD__HOLD_SEND_DONE | MD__HOLD_SEND_RELEASE),
		[RECALL_SAME] = TO(LOST, 0, MD__HOLD_SEND_DONE | MD__HOLD_SEND_RELEASE),
		[RECALL_OLD] = TO(LOST, 0, MD__HOLD_SEND_DONE | MD__HOLD_SEND_RELEASE),
		[RECALL_LAST] = TO(LOST, 0, MD__HOLD_SEND_DONE),
		[FENCED_NEW] = TO(LOST, MD__HOLD_TELL_FENCED, MD__HOLD_SEND_FENCED_ACK | MD__HOLD_SEND_RELEASE),
		[FENCED_SAME] = TO(LOST, MD__HOLD_TELL_FENCED, MD__HOLD_SEND_FENCED_ACK | MD__HOLD_SEND_RELEASE),
		[FENCED_OLD] = TO(LOST, MD__HOLD_TELL_FENCED, MD__HOLD_SEND_FENCED_ACK | MD__HOLD_SEND_RELEASE),
		[FENCED_LAST] = TO(LOST, MD__HOLD_TELL_FENCED, MD__HOLD_SEND_FENCED_ACK),
		[DRAINED] = NOTHING,
		[RELEASE] = TO(LOST, 0, MD__HOLD_SEND_RELEASE),
		[OPENED] = TO(LOST, 0, MD__HOLD_SEND_RELEASE),
		[LOST] = NOTHING,
	},
#undef NOTHING
#undef WRONG
#undef TO
};

static void check_cell(enum md__hold_state state, enum in what)
{
	const struct cell *want = &expected[state][what];
	struct md__hold before;
	unsigned int act;
	bool same;

	reach(state);
	CU_ASSERT_EQUAL_FATAL(h.state, state);
	memcpy(&before, &h, sizeof(h));
	act = input(what);
	same = !memcmp(&before, &h, sizeof(h));
	if (act == want->act &&
	    (want->kind == SAME ?
		     same :
		     want->kind == CHANGES && !same && h.state == want->next && h.due == want->due))
		return;
	printf("\n    %s + %d: %s, actions %#x, due %#x ", md__hold_state_str(state), what,
	       md__hold_state_str(h.state), act, h.due);
	CU_FAIL("cell");
}

static void step__every_state_and_input__as_decided(void)
{
	for (enum md__hold_state s = 0; s < MD__HOLD_STATES; s++) {
		for (enum in i = 0; i < INS; i++)
			check_cell(s, i);
	}
}

/* ---- in a row ----------------------------------------------------------- */

static void recall__before_its_grant__grant_is_dead(void)
{
	h = (struct md__hold){ 0 };
	CU_ASSERT_EQUAL(recall(3, 1, false), 0);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_DONE);
	for (uint64_t generation = 0; generation <= 3; generation++)
		CU_ASSERT_EQUAL(grant(generation), 0);
	CU_ASSERT_EQUAL(sent(), 0);
	CU_ASSERT_EQUAL(grant(4), TAKEN);
}

static void recall__drained__done_once_for_each_time_it_is_asked(void)
{
	reach(MD__HOLD_VALID);
	recall(6, 2, false);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_ACK);
	recall(6, 2, false);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_ACK);
	feed(MD__HOLD_IN_DRAINED);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_DONE);
	feed(MD__HOLD_IN_DRAINED);
	feed(MD__HOLD_IN_OPEN);
	CU_ASSERT_EQUAL(sent(), 0);
	recall(6, 2, false);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_DONE);
}

static void recall__drained_at_once__done_alone(void)
{
	reach(MD__HOLD_VALID);
	recall(6, 2, false);
	feed(MD__HOLD_IN_DRAINED);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_DONE);
}

static void fenced__done_is_due__fenced_ack_instead(void)
{
	reach(MD__HOLD_VALID);
	recall(6, 2, false);
	feed(MD__HOLD_IN_DRAINED);
	CU_ASSERT_EQUAL(fenced(6, 2, false), MD__HOLD_TELL_FENCED);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_FENCED_ACK);
	CU_ASSERT_EQUAL(fenced(6, 2, false), 0); /* told once */
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_FENCED_ACK);
}

static void fenced__uses_open__acknowledged_when_drained(void)
{
	reach(MD__HOLD_DRAINING);
	CU_ASSERT_EQUAL(fenced(6, 2, false), MD__HOLD_TELL_FENCED);
	CU_ASSERT_EQUAL(sent(), 0);
	CU_ASSERT_EQUAL(fenced(6, 2, false), 0);
	CU_ASSERT_EQUAL(sent(), 0);
	feed(MD__HOLD_IN_DRAINED);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_FENCED_ACK);
	CU_ASSERT_EQUAL(grant(7), TAKEN);
}

static void fenced__then_next_recall__done_again(void)
{
	reach(MD__HOLD_DRAINING);
	fenced(6, 2, false);
	feed(MD__HOLD_IN_DRAINED);
	grant(7);
	sent();
	recall(7, 3, false);
	feed(MD__HOLD_IN_DRAINED);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_DONE);
}

static void grant__while_draining__only_what_is_dead(void)
{
	reach(MD__HOLD_DRAINING);
	CU_ASSERT_EQUAL(grant(6), 0);
	CU_ASSERT_EQUAL(grant(7), MD__HOLD_WRONG);
	CU_ASSERT_EQUAL(h.state, MD__HOLD_DRAINING);
}

static void final__in_each_state__lost_once(void)
{
	for (enum md__hold_state s = 0; s < MD__HOLD_LOST; s++) {
		unsigned int told = 0;

		reach(s);
		told += !!(recall(6, 3, true) & MD__HOLD_TELL_LOST);
		told += !!(feed(MD__HOLD_IN_DRAINED) & MD__HOLD_TELL_LOST);
		told += !!(recall(6, 3, true) & MD__HOLD_TELL_LOST);
		told += !!(feed(MD__HOLD_IN_LOST) & MD__HOLD_TELL_LOST);
		CU_ASSERT_EQUAL(told, 1);
		CU_ASSERT_EQUAL(h.state, MD__HOLD_LOST);
		CU_ASSERT(h.final);
		CU_ASSERT(h.due & MD__HOLD_SEND_DONE);
	}
}

static void release__answered_by_last_recall__nothing_more_to_say(void)
{
	reach(MD__HOLD_VALID);
	feed(MD__HOLD_IN_RELEASE);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_RELEASE);
	CU_ASSERT_EQUAL(recall(6, 2, true), 0);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_DONE);
	feed(MD__HOLD_IN_OPEN);
	CU_ASSERT_EQUAL(sent(), 0);
	CU_ASSERT_EQUAL(recall(6, 2, true), 0);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_DONE);
}

static void release__crosses_a_grant__stays_released(void)
{
	reach(MD__HOLD_NONE);
	feed(MD__HOLD_IN_RELEASE);
	CU_ASSERT_EQUAL(grant(7), 0);
	CU_ASSERT_EQUAL(h.state, MD__HOLD_LOST);
	CU_ASSERT(h.due & MD__HOLD_SEND_RELEASE);
	CU_ASSERT_FALSE(h.due & MD__HOLD_SEND_GRANT_ACK);
}

static void release__fenced_before__fenced_ack_is_due(void)
{
	reach(MD__HOLD_DRAINING);
	fenced(6, 2, false);
	feed(MD__HOLD_IN_RELEASE);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_FENCED_ACK | MD__HOLD_SEND_RELEASE);
}

static void session_lost__any_state__nothing_is_due(void)
{
	for (enum md__hold_state s = 0; s < MD__HOLD_LOST; s++) {
		reach(s);
		recall(6, 2, false);
		CU_ASSERT_EQUAL(feed(MD__HOLD_IN_LOST), GONE);
		CU_ASSERT_EQUAL(sent(), 0);
	}
}

/* The last RECALL did not arrive: the application must not wait for a grant. */
static void fenced__final_and_nothing_granted__lost(void)
{
	reach(MD__HOLD_NONE);
	CU_ASSERT_EQUAL(fenced(6, 3, true), GONE | MD__HOLD_TELL_FENCED);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_FENCED_ACK);
	CU_ASSERT_EQUAL(fenced(6, 3, true), 0);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_FENCED_ACK);
}

static void release__lost_on_its_way__said_again_when_the_holder_speaks(void)
{
	reach(MD__HOLD_VALID);
	feed(MD__HOLD_IN_RELEASE);
	sent();
	grant(6);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_RELEASE);
	recall(6, 2, false);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_DONE | MD__HOLD_SEND_RELEASE);
	recall(6, 3, true);
	CU_ASSERT_EQUAL(sent(), MD__HOLD_SEND_DONE);
	CU_ASSERT_EQUAL(grant(7), 0);
	CU_ASSERT_EQUAL(sent(), 0);
}

static void str__every_state__has_its_own_name(void)
{
	for (enum md__hold_state s = 0; s < MD__HOLD_STATES; s++) {
		for (enum md__hold_state t = 0; t < s; t++)
			CU_ASSERT_STRING_NOT_EQUAL(md__hold_state_str(s), md__hold_state_str(t));
	}
	CU_ASSERT_STRING_EQUAL(md__hold_state_str(MD__HOLD_STATES), "unknown");
}

static const struct unit_case cases[] = {
	UNIT_CASE(step__every_state_and_input__as_decided),
	UNIT_CASE(recall__before_its_grant__grant_is_dead),
	UNIT_CASE(recall__drained__done_once_for_each_time_it_is_asked),
	UNIT_CASE(recall__drained_at_once__done_alone),
	UNIT_CASE(fenced__done_is_due__fenced_ack_instead),
	UNIT_CASE(fenced__uses_open__acknowledged_when_drained),
	UNIT_CASE(fenced__then_next_recall__done_again),
	UNIT_CASE(grant__while_draining__only_what_is_dead),
	UNIT_CASE(final__in_each_state__lost_once),
	UNIT_CASE(release__answered_by_last_recall__nothing_more_to_say),
	UNIT_CASE(release__crosses_a_grant__stays_released),
	UNIT_CASE(release__fenced_before__fenced_ack_is_due),
	UNIT_CASE(session_lost__any_state__nothing_is_due),
	UNIT_CASE(fenced__final_and_nothing_granted__lost),
	UNIT_CASE(release__lost_on_its_way__said_again_when_the_holder_speaks),
	UNIT_CASE(str__every_state__has_its_own_name),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("hold", cases, NULL, NULL, argc, argv);
}
