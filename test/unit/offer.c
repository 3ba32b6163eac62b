// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The holder's side of a grant: every state and input, and what happens in a row. */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "offer.h"
#include "unit.h"

#define MSEC UINT64_C(1000000)

static struct md__offer o;
static uint64_t now;

static void feed_in(struct md__offer_input in)
{
	in.now = now;
	md__offer_step(&o, &in);
}

static void feed(enum md__offer_in what)
{
	feed_in((struct md__offer_input){ .what = what });
}

/* An answer to what was sent last. */
static void answer(enum md__offer_in what)
{
	feed_in((struct md__offer_input){
		.what = what,
		.generation = o.generation,
		.id = what == MD__OFFER_IN_GRANT_ACK ? 0 : o.id,
	});
}

static void offer(uint64_t generation)
{
	feed_in((struct md__offer_input){ .what = MD__OFFER_IN_OFFER, .generation = generation });
}

static void recall(bool final)
{
	feed_in((struct md__offer_input){ .what = MD__OFFER_IN_RECALL, .final = final });
}

static void sent(void)
{
	now += MSEC;
	feed(MD__OFFER_IN_SENT);
}

/* Brings a new offer into a state, with nothing due but in DUE. */
static void reach(enum md__offer_state state)
{
	o = (struct md__offer){ 0 };
	now = 1000 * MSEC;
	if (state == MD__OFFER_IDLE)
		return;
	offer(1);
	if (state == MD__OFFER_DUE)
		return;
	sent();
	if (state == MD__OFFER_GRANTED)
		return;
	recall(false);
	sent();
	if (state == MD__OFFER_RECALLED)
		return;
	feed(MD__OFFER_IN_FENCE);
	sent();
}

/* ---- every pair of state and input -------------------------------------- */

enum kind {
	MISSING,
	SAME,
	CHANGES
};

static const struct cell {
	enum kind kind;
	enum md__offer_state next;
	unsigned int due;
} expected[MD__OFFER_STATES][MD__OFFER_INS] = {
#define NOTHING                                                                                    \
	{                                                                                          \
		SAME, 0, 0                                                                         \
	}
#define TO(state, due)                                                                             \
	{                                                                                          \
		CHANGES, MD__OFFER_##state, due                                                    \
	}
	[MD__OFFER_IDLE] = {
		[MD__OFFER_IN_OFFER] = TO(DUE, MD__OFFER_SEND_GRANT),
		[MD__OFFER_IN_RECALL] = NOTHING,
		[MD__OFFER_IN_FENCE] = NOTHING,
		[MD__OFFER_IN_SENT] = NOTHING,
		[MD__OFFER_IN_GRANT_ACK] = NOTHING,
		[MD__OFFER_IN_ACK] = NOTHING,
		[MD__OFFER_IN_DONE] = NOTHING,
		[MD__OFFER_IN_FENCED_ACK] = NOTHING,
		[MD__OFFER_IN_GONE] = NOTHING,
		[MD__OFFER_IN_OPEN] = NOTHING,
		[MD__OFFER_IN_TIMER] = NOTHING,
	},
	[MD__OFFER_DUE] = {
		[MD__OFFER_IN_OFFER] = TO(DUE, MD__OFFER_SEND_GRANT),
		[MD__OFFER_IN_RECALL] = TO(IDLE, 0),
		[MD__OFFER_IN_FENCE] = NOTHING,
		[MD__OFFER_IN_SENT] = TO(GRANTED, 0),
		[MD__OFFER_IN_GRANT_ACK] = NOTHING,
		[MD__OFFER_IN_ACK] = NOTHING,
		[MD__OFFER_IN_DONE] = NOTHING,
		[MD__OFFER_IN_FENCED_ACK] = NOTHING,
		[MD__OFFER_IN_GONE] = TO(IDLE, 0),
		[MD__OFFER_IN_OPEN] = NOTHING,
		[MD__OFFER_IN_TIMER] = NOTHING,
	},
	[MD__OFFER_GRANTED] = {
		[MD__OFFER_IN_OFFER] = NOTHING,
		[MD__OFFER_IN_RECALL] = TO(RECALLED, MD__OFFER_SEND_RECALL),
		[MD__OFFER_IN_FENCE] = TO(FENCED, MD__OFFER_SEND_FENCED),
		[MD__OFFER_IN_SENT] = TO(GRANTED, 0),
		[MD__OFFER_IN_GRANT_ACK] = TO(GRANTED, 0),
		[MD__OFFER_IN_ACK] = NOTHING,
		[MD__OFFER_IN_DONE] = NOTHING,
		[MD__OFFER_IN_FENCED_ACK] = NOTHING,
		[MD__OFFER_IN_GONE] = TO(IDLE, 0),
		[MD__OFFER_IN_OPEN] = TO(GRANTED, MD__OFFER_SEND_GRANT),
		[MD__OFFER_IN_TIMER] = TO(GRANTED, MD__OFFER_SEND_GRANT),
	},
	[MD__OFFER_RECALLED] = {
		[MD__OFFER_IN_OFFER] = NOTHING,
		[MD__OFFER_IN_RECALL] = NOTHING,
		[MD__OFFER_IN_FENCE] = TO(FENCED, MD__OFFER_SEND_FENCED),
		[MD__OFFER_IN_SENT] = TO(RECALLED, 0),
		[MD__OFFER_IN_GRANT_ACK] = NOTHING,
		[MD__OFFER_IN_ACK] = TO(RECALLED, 0),
		[MD__OFFER_IN_DONE] = TO(IDLE, 0),
		[MD__OFFER_IN_FENCED_ACK] = NOTHING,
		[MD__OFFER_IN_GONE] = TO(IDLE, 0),
		[MD__OFFER_IN_OPEN] = TO(RECALLED, MD__OFFER_SEND_RECALL),
		[MD__OFFER_IN_TIMER] = TO(RECALLED, MD__OFFER_SEND_RECALL),
	},
	[MD__OFFER_FENCED] = {
		[MD__OFFER_IN_OFFER] = TO(FENCED, 0),
		[MD__OFFER_IN_RECALL] = NOTHING,
		[MD__OFFER_IN_FENCE] = NOTHING,
		[MD__OFFER_IN_SENT] = TO(FENCED, 0),
		[MD__OFFER_IN_GRANT_ACK] = NOTHING,
		[MD__OFFER_IN_ACK] = NOTHING,
		[MD__OFFER_IN_DONE] = NOTHING,
		[MD__OFFER_IN_FENCED_ACK] = TO(IDLE, 0),
		[MD__OFFER_IN_GONE] = TO(IDLE, 0),
		[MD__OFFER_IN_OPEN] = TO(FENCED, MD__OFFER_SEND_FENCED),
		[MD__OFFER_IN_TIMER] = TO(FENCED, MD__OFFER_SEND_FENCED),
	},
#undef NOTHING
#undef TO
};

static void input(enum md__offer_in what)
{
	switch (what) {
	case MD__OFFER_IN_OFFER:
		offer(2);
		break;
	case MD__OFFER_IN_GRANT_ACK:
	case MD__OFFER_IN_ACK:
	case MD__OFFER_IN_DONE:
	case MD__OFFER_IN_FENCED_ACK:
		answer(what);
		break;
	case MD__OFFER_IN_TIMER:
		now = o.again_at ?: now;
		feed(what);
		break;
	default:
		feed(what);
	}
}

static void check_cell(enum md__offer_state state, enum md__offer_in what)
{
	const struct cell *want = &expected[state][what];
	struct md__offer before;
	bool same;

	reach(state);
	CU_ASSERT_EQUAL_FATAL(o.state, state);
	memcpy(&before, &o, sizeof(o));
	now += MSEC;
	input(what);
	same = !memcmp(&before, &o, sizeof(o));
	if (want->kind == SAME ?
		    same :
		    want->kind == CHANGES && !same && o.state == want->next && o.due == want->due)
		return;
	printf("\n    %s + %d: %s, due %#x ", md__offer_state_str(state), what,
	       md__offer_state_str(o.state), o.due);
	CU_FAIL("cell");
}

static void step__every_state_and_input__as_decided(void)
{
	for (enum md__offer_state s = 0; s < MD__OFFER_STATES; s++) {
		for (enum md__offer_in i = 0; i < MD__OFFER_INS; i++)
			check_cell(s, i);
	}
}

/* Nobody but the last recall, of the last generation, is answered. */
static void step__answers_of_others__change_nothing(void)
{
	for (enum md__offer_state s = 0; s < MD__OFFER_STATES; s++) {
		for (enum md__offer_in i = MD__OFFER_IN_GRANT_ACK; i <= MD__OFFER_IN_FENCED_ACK;
		     i++) {
			for (int off = -1; off <= 1; off += 2) {
				struct md__offer before;

				reach(s);
				memcpy(&before, &o, sizeof(o));
				feed_in((struct md__offer_input){
					i, .generation = o.generation + off, .id = o.id });
				CU_ASSERT_EQUAL(memcmp(&before, &o, sizeof(o)), 0);
				if (i == MD__OFFER_IN_GRANT_ACK)
					continue;
				feed_in((struct md__offer_input){ i, .generation = o.generation,
								  .id = o.id + off });
				CU_ASSERT_EQUAL(memcmp(&before, &o, sizeof(o)), 0);
			}
		}
	}
}

static void is_over__every_state__idle_or_fenced(void)
{
	const bool want[MD__OFFER_STATES] = { [MD__OFFER_IDLE] = true, [MD__OFFER_FENCED] = true };

	for (enum md__offer_state s = 0; s < MD__OFFER_STATES; s++) {
		reach(s);
		CU_ASSERT_EQUAL(md__offer_is_over(&o), want[s]);
	}
}

/* ---- in a row ----------------------------------------------------------- */

static void recall__grant_not_sent_yet__peer_hears_nothing(void)
{
	reach(MD__OFFER_DUE);
	recall(false);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_IDLE);
	CU_ASSERT_EQUAL(o.due, 0);
	recall(true);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_IDLE);
	CU_ASSERT(o.final);
}

static void recall__grant_under_way__waits_for_done(void)
{
	reach(MD__OFFER_GRANTED);
	recall(false);
	CU_ASSERT_EQUAL(o.id, 1);
	sent();
	answer(MD__OFFER_IN_GRANT_ACK); /* that crossed it */
	CU_ASSERT_EQUAL(o.state, MD__OFFER_RECALLED);
	CU_ASSERT_FALSE(md__offer_is_over(&o));
	answer(MD__OFFER_IN_DONE);
	CU_ASSERT(md__offer_is_over(&o));
}

static void recall__grant_due_again__only_recall_is_sent(void)
{
	reach(MD__OFFER_GRANTED);
	feed(MD__OFFER_IN_OPEN);
	CU_ASSERT_EQUAL(o.due, MD__OFFER_SEND_GRANT);
	recall(false);
	CU_ASSERT_EQUAL(o.due, MD__OFFER_SEND_RECALL);
}

static void done__twice__second_changes_nothing(void)
{
	uint64_t done;

	reach(MD__OFFER_RECALLED);
	answer(MD__OFFER_IN_DONE);
	done = o.done;
	CU_ASSERT_NOT_EQUAL(done, 0);
	now += MSEC;
	answer(MD__OFFER_IN_DONE);
	CU_ASSERT_EQUAL(o.done, done);
	offer(2);
	sent();
	answer(MD__OFFER_IN_DONE); /* even with the number of the new generation */
	CU_ASSERT_EQUAL(o.state, MD__OFFER_GRANTED);
}

static void done__of_an_older_recall__still_waited_for(void)
{
	struct md__offer_input old = { .what = MD__OFFER_IN_DONE };

	reach(MD__OFFER_RECALLED);
	old.generation = o.generation;
	old.id = o.id;
	answer(MD__OFFER_IN_DONE);
	offer(2);
	sent();
	recall(false);
	sent();
	feed_in(old);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_RECALLED);
	old.generation = o.generation;
	feed_in(old);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_RECALLED);
	answer(MD__OFFER_IN_DONE);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_IDLE);
}

static void fence__done_comes_late__waits_for_fenced_ack(void)
{
	reach(MD__OFFER_FENCED);
	CU_ASSERT(md__offer_is_over(&o));
	answer(MD__OFFER_IN_DONE);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_FENCED);
	CU_ASSERT_EQUAL(o.done, 0);
	answer(MD__OFFER_IN_FENCED_ACK);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_IDLE);
}

static void offer__while_fenced__only_after_fenced_ack(void)
{
	reach(MD__OFFER_FENCED);
	offer(2);
	CU_ASSERT_EQUAL(o.generation, 1);
	CU_ASSERT_EQUAL(o.due, 0);
	offer(3);
	answer(MD__OFFER_IN_FENCED_ACK);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_DUE);
	CU_ASSERT_EQUAL(o.generation, 3);
	CU_ASSERT_EQUAL(o.due, MD__OFFER_SEND_GRANT);
	CU_ASSERT_EQUAL(o.next, 0);
}

static void offer__while_fenced_and_recalled_again__not_after_fenced_ack(void)
{
	reach(MD__OFFER_FENCED);
	offer(2);
	recall(false);
	answer(MD__OFFER_IN_FENCED_ACK);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_IDLE);
}

static void fence__unasked__peer_gets_fenced_only(void)
{
	reach(MD__OFFER_GRANTED);
	now += MSEC;
	feed(MD__OFFER_IN_FENCE);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_FENCED);
	CU_ASSERT_EQUAL(o.id, 1);
	CU_ASSERT_EQUAL(o.fenced, now);
	CU_ASSERT_EQUAL(o.told, 0);
	CU_ASSERT_EQUAL(o.due, MD__OFFER_SEND_FENCED);
}

static void release__crosses_a_grant__last_recall_of_it(void)
{
	reach(MD__OFFER_RECALLED);
	answer(MD__OFFER_IN_DONE);
	offer(2);
	sent();
	recall(true); /* what a RELEASE means */
	CU_ASSERT_EQUAL(o.state, MD__OFFER_RECALLED);
	CU_ASSERT_EQUAL(o.generation, 2);
	answer(MD__OFFER_IN_DONE);
	offer(3);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_IDLE);
	CU_ASSERT_EQUAL(o.due, 0);
}

/* ---- final -------------------------------------------------------------- */

static void final__idle_and_known__peer_is_told(void)
{
	reach(MD__OFFER_RECALLED);
	answer(MD__OFFER_IN_DONE);
	recall(true);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_RECALLED);
	CU_ASSERT_EQUAL(o.due, MD__OFFER_SEND_RECALL);
	CU_ASSERT_EQUAL(o.id, 2);
}

static void final__due_and_known__peer_is_told(void)
{
	reach(MD__OFFER_RECALLED);
	answer(MD__OFFER_IN_DONE);
	offer(2);
	recall(true);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_RECALLED);
	CU_ASSERT_EQUAL(o.due, MD__OFFER_SEND_RECALL);
}

static void final__recalled__peer_is_told_again(void)
{
	reach(MD__OFFER_RECALLED);
	recall(true);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_RECALLED);
	CU_ASSERT_EQUAL(o.due, MD__OFFER_SEND_RECALL);
	sent();
	recall(true);
	CU_ASSERT_EQUAL(o.due, 0);
}

static void final__any_state__nothing_is_offered_any_more(void)
{
	for (enum md__offer_state s = 0; s < MD__OFFER_STATES; s++) {
		reach(s);
		recall(true);
		for (int i = 0; i < 4; i++) {
			answer(MD__OFFER_IN_FENCED_ACK);
			sent();
			answer(MD__OFFER_IN_DONE);
			offer(10 + i);
			CU_ASSERT_FALSE(o.due & MD__OFFER_SEND_GRANT);
		}
		CU_ASSERT_EQUAL(o.state, MD__OFFER_IDLE);
		CU_ASSERT(o.final);
	}
}

/* Or the peer would wait for the next grant. */
static void final__recalled_and_done_under_way__not_taken_for_the_answer(void)
{
	struct md__offer_input done = { .what = MD__OFFER_IN_DONE };

	reach(MD__OFFER_RECALLED);
	done.generation = o.generation;
	done.id = o.id;
	recall(true);
	feed_in(done);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_RECALLED);
	CU_ASSERT_EQUAL(o.due, MD__OFFER_SEND_RECALL);
	sent();
	feed_in(done);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_RECALLED);
	answer(MD__OFFER_IN_DONE);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_IDLE);
}

static void final__fenced__peer_is_told_once_it_has_answered(void)
{
	reach(MD__OFFER_FENCED);
	recall(true);
	CU_ASSERT(md__offer_is_over(&o));
	answer(MD__OFFER_IN_FENCED_ACK);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_RECALLED);
	CU_ASSERT_EQUAL(o.due, MD__OFFER_SEND_RECALL);
	sent();
	answer(MD__OFFER_IN_DONE);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_IDLE);
}

static void final__fenced_after_it__fenced_ack_is_enough(void)
{
	reach(MD__OFFER_RECALLED);
	recall(true);
	feed(MD__OFFER_IN_FENCE);
	sent();
	recall(true);
	answer(MD__OFFER_IN_FENCED_ACK);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_IDLE);
}

static void final__session_is_gone__nobody_to_wait_for(void)
{
	for (enum md__offer_state s = 0; s < MD__OFFER_STATES; s++) {
		reach(s);
		feed(MD__OFFER_IN_GONE);
		CU_ASSERT_EQUAL(o.state, MD__OFFER_IDLE);
		recall(true);
		CU_ASSERT_EQUAL(o.state, MD__OFFER_IDLE);
		CU_ASSERT_EQUAL(o.due, 0);
	}
	reach(MD__OFFER_RECALLED);
	answer(MD__OFFER_IN_DONE);
	feed(MD__OFFER_IN_GONE);
	recall(true);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_IDLE);
}

static void final__told_before__not_waited_for_again(void)
{
	reach(MD__OFFER_GRANTED);
	recall(true); /* what a RELEASE means */
	sent();
	answer(MD__OFFER_IN_DONE);
	recall(true);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_IDLE);
	CU_ASSERT_EQUAL(o.due, 0);
}

/* It has nothing, and only hears that it gets nothing more. */
static void final__idle_and_known__not_waited_for(void)
{
	reach(MD__OFFER_RECALLED);
	answer(MD__OFFER_IN_DONE);
	recall(true);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_RECALLED);
	CU_ASSERT(md__offer_is_over(&o));
	reach(MD__OFFER_FENCED);
	recall(true);
	answer(MD__OFFER_IN_FENCED_ACK);
	CU_ASSERT_EQUAL(o.state, MD__OFFER_RECALLED);
	CU_ASSERT(md__offer_is_over(&o));
}

/* ---- again -------------------------------------------------------------- */

static void again__not_answered__less_and_less_often(void)
{
	const uint64_t ms[] = { 50, 100, 200, 400, 800, 1000, 1000, 1000 };

	for (enum md__offer_state s = MD__OFFER_GRANTED; s < MD__OFFER_STATES; s++) {
		reach(s);
		for (size_t i = 0; i < sizeof(ms) / sizeof(ms[0]); i++) {
			CU_ASSERT_EQUAL(o.again_at, now + ms[i] * MSEC);
			now = o.again_at - 1;
			feed(MD__OFFER_IN_TIMER);
			CU_ASSERT_EQUAL(o.due, 0);
			now++;
			feed(MD__OFFER_IN_TIMER);
			CU_ASSERT_NOT_EQUAL(o.due, 0);
			CU_ASSERT_EQUAL(o.again_at, 0);
			feed(MD__OFFER_IN_SENT);
		}
	}
}

static void again__grant_answered__not_any_more(void)
{
	reach(MD__OFFER_GRANTED);
	answer(MD__OFFER_IN_GRANT_ACK);
	CU_ASSERT_EQUAL(o.again_at, 0);
	feed(MD__OFFER_IN_OPEN);
	CU_ASSERT_EQUAL(o.due, 0);
}

static void reopened__not_answered__at_once_and_often_again(void)
{
	for (enum md__offer_state s = MD__OFFER_GRANTED; s < MD__OFFER_STATES; s++) {
		reach(s);
		for (int i = 0; i < 5; i++) {
			now = o.again_at;
			feed(MD__OFFER_IN_TIMER);
			feed(MD__OFFER_IN_SENT);
		}
		feed(MD__OFFER_IN_OPEN);
		CU_ASSERT_NOT_EQUAL(o.due, 0);
		feed(MD__OFFER_IN_SENT);
		CU_ASSERT_EQUAL(o.again_at, now + 50 * MSEC);
	}
}

static void times__first_of_each__kept(void)
{
	uint64_t told, acked;

	reach(MD__OFFER_GRANTED);
	recall(false);
	CU_ASSERT_EQUAL(o.told, 0);
	sent();
	told = o.told;
	CU_ASSERT_EQUAL(told, now);
	now += MSEC;
	answer(MD__OFFER_IN_ACK);
	acked = o.acked;
	CU_ASSERT_EQUAL(acked, now);
	now = o.again_at;
	feed(MD__OFFER_IN_TIMER);
	sent();
	answer(MD__OFFER_IN_ACK);
	CU_ASSERT_EQUAL(o.told, told);
	CU_ASSERT_EQUAL(o.acked, acked);
	now += MSEC;
	feed(MD__OFFER_IN_GONE);
	CU_ASSERT_EQUAL(o.done, now);
	CU_ASSERT_EQUAL(o.fenced, 0);
}

static void str__every_state__has_its_own_name(void)
{
	for (enum md__offer_state s = 0; s < MD__OFFER_STATES; s++) {
		for (enum md__offer_state t = 0; t < s; t++)
			CU_ASSERT_STRING_NOT_EQUAL(md__offer_state_str(s), md__offer_state_str(t));
	}
	CU_ASSERT_STRING_EQUAL(md__offer_state_str(MD__OFFER_STATES), "unknown");
}

static const struct unit_case cases[] = {
	UNIT_CASE(step__every_state_and_input__as_decided),
	UNIT_CASE(step__answers_of_others__change_nothing),
	UNIT_CASE(is_over__every_state__idle_or_fenced),
	UNIT_CASE(recall__grant_not_sent_yet__peer_hears_nothing),
	UNIT_CASE(recall__grant_under_way__waits_for_done),
	UNIT_CASE(recall__grant_due_again__only_recall_is_sent),
	UNIT_CASE(done__twice__second_changes_nothing),
	UNIT_CASE(done__of_an_older_recall__still_waited_for),
	UNIT_CASE(fence__done_comes_late__waits_for_fenced_ack),
	UNIT_CASE(offer__while_fenced__only_after_fenced_ack),
	UNIT_CASE(offer__while_fenced_and_recalled_again__not_after_fenced_ack),
	UNIT_CASE(fence__unasked__peer_gets_fenced_only),
	UNIT_CASE(release__crosses_a_grant__last_recall_of_it),
	UNIT_CASE(final__idle_and_known__peer_is_told),
	UNIT_CASE(final__due_and_known__peer_is_told),
	UNIT_CASE(final__recalled__peer_is_told_again),
	UNIT_CASE(final__any_state__nothing_is_offered_any_more),
	UNIT_CASE(final__recalled_and_done_under_way__not_taken_for_the_answer),
	UNIT_CASE(final__fenced__peer_is_told_once_it_has_answered),
	UNIT_CASE(final__fenced_after_it__fenced_ack_is_enough),
	UNIT_CASE(final__session_is_gone__nobody_to_wait_for),
	UNIT_CASE(final__told_before__not_waited_for_again),
	UNIT_CASE(final__idle_and_known__not_waited_for),
	UNIT_CASE(again__not_answered__less_and_less_often),
	UNIT_CASE(again__grant_answered__not_any_more),
	UNIT_CASE(reopened__not_answered__at_once_and_often_again),
	UNIT_CASE(times__first_of_each__kept),
	UNIT_CASE(str__every_state__has_its_own_name),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("offer", cases, NULL, NULL, argc, argv);
}
