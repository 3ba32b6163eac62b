// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * One grant seen from both sides: long random walks of a holder and a peer over a
 * connection that keeps messages in order, loses some, is full at times, and breaks.
 * What must never be is looked for after each step. The same walks, with one side
 * that does not keep to the rules, have to find that out.
 */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "hold.h"
#include "offer.h"
#include "unit.h"
#include "wire.h"

#define WALKS 8000
#define STEPS 1500
#define MSEC UINT64_C(1000000)
#define ROOM 2 /* messages under way each way */

enum mutant {
	NO_MUTANT,
	EARLY_DRAINED, /* the peer is done while uses are open */
	OPEN_GATE,     /* the peer lets uses in until it is done */
	FOREIGN_DONE,  /* the peer answers with another number */
	ANY_DONE,      /* the holder takes any RECALL_DONE for the one it waits for */
	HASTY_OFFER,   /* the holder grants again without waiting for FENCED_ACK */
	SAID_ONCE,     /* the holder says nothing again */
	NOT_FINAL,     /* the holder does not say that it is the last recall */
	MUTANTS,
};

static const char *const mutant_name[MUTANTS] = {
	[NO_MUTANT] = "none",	   [EARLY_DRAINED] = "early drained",
	[OPEN_GATE] = "open gate", [FOREIGN_DONE] = "foreign done",
	[ANY_DONE] = "any done",   [HASTY_OFFER] = "hasty offer",
	[SAID_ONCE] = "said once", [NOT_FINAL] = "not final",
};

struct message {
	uint16_t type;
	uint64_t generation;
	uint64_t id;
	bool final;
};

struct way {
	unsigned int head, tail;
	struct message msg[ROOM];
};

static enum mutant mutant;
static struct md__offer o;
static struct md__hold h;
static struct {
	uint64_t seed, now;
	unsigned int walk, step;
	bool lossy;
	struct way down, up; /* from and to the holder */
	uint64_t generation; /* of the holder's map */
	bool breaking;
	bool gate;
	unsigned int uses;
	bool released;
	unsigned int told; /* the last MD__HOLD_TELL_* but FENCED */
} w;

/* What the walks have seen, lest they prove nothing. */
static struct {
	unsigned int offer[MD__OFFER_STATES][MD__OFFER_INS];
	unsigned int hold[MD__HOLD_STATES][MD__HOLD_INS];
	unsigned int granted, done, fenced, acked, final, released, lost, cut, full, stale;
} seen;
static unsigned int failures;

static void check(bool good, const char *rule)
{
	if (good)
		return;
	if (!failures++ && !mutant)
		printf("\n    walk %u, step %u, %s and %s: %s ", w.walk, w.step,
		       md__offer_state_str(o.state), md__hold_state_str(h.state), rule);
}

static bool maybe(unsigned int percent)
{
	return unit_random(&w.seed) % 100 < percent;
}

/* ---- the connection ----------------------------------------------------- */

static bool is_full(const struct way *way)
{
	return way->tail - way->head == ROOM;
}

static void put(struct way *way, struct message msg)
{
	way->msg[way->tail++ % ROOM] = msg;
}

static bool get(struct way *way, struct message *msg)
{
	if (way->head == way->tail)
		return false;
	*msg = way->msg[way->head++ % ROOM];
	if (w.lossy && maybe(15)) {
		seen.lost++;
		return false;
	}
	return true;
}

/* ---- the holder --------------------------------------------------------- */

static void holder(struct md__offer_input in)
{
	in.now = w.now;
	seen.offer[o.state][in.what]++;
	md__offer_step(&o, &in);
}

static void holder_sends(void)
{
	const unsigned int due = o.due;
	struct message msg = { .generation = o.generation, .id = o.id, .final = o.final };

	check(!(due & (due - 1)), "one message is due at most");
	if (!due)
		return;
	if (is_full(&w.down)) {
		seen.full++;
		return;
	}
	msg.type = due == MD__OFFER_SEND_GRANT	? MD__MSG_GRANT :
		   due == MD__OFFER_SEND_RECALL ? MD__MSG_RECALL :
						  MD__MSG_FENCED;
	msg.final &= mutant != NOT_FINAL;
	put(&w.down, msg);
	holder((struct md__offer_input){ .what = MD__OFFER_IN_SENT });
}

static void holder_hears(void)
{
	struct md__offer_input in = { 0 };
	struct message msg;

	if (!get(&w.up, &msg))
		return;
	in.generation = msg.generation;
	in.id = msg.id;
	switch (msg.type) {
	case MD__MSG_GRANT_ACK:
		in.what = MD__OFFER_IN_GRANT_ACK;
		break;
	case MD__MSG_RECALL_ACK:
		in.what = MD__OFFER_IN_ACK;
		break;
	case MD__MSG_RECALL_DONE:
		in.what = MD__OFFER_IN_DONE;
		seen.stale += in.id != o.id || o.state != MD__OFFER_RECALLED;
		if (mutant == ANY_DONE) {
			in.id = o.id;
			in.generation = o.generation;
		}
		break;
	case MD__MSG_FENCED_ACK:
		in.what = MD__OFFER_IN_FENCED_ACK;
		break;
	default: /* RELEASE */
		in.what = MD__OFFER_IN_RECALL;
		in.final = true;
	}
	holder(in);
}

/* A break ends when it need not wait for the peer; then the map is live again. */
static void holder_goes_on(void)
{
	if (w.breaking && md__offer_is_over(&o)) {
		w.breaking = false;
		return;
	}
	if (w.breaking) {
		if (maybe(3))
			holder((struct md__offer_input){ .what = MD__OFFER_IN_FENCE });
	} else if (w.generation <= o.generation || o.state == MD__OFFER_IDLE) {
		w.generation++;
		if (mutant == HASTY_OFFER && o.state == MD__OFFER_FENCED)
			o.state = MD__OFFER_IDLE;
		if (md__offer_is_over(&o))
			holder((struct md__offer_input){ .what = MD__OFFER_IN_OFFER,
							 .generation = w.generation });
	}
}

static void holder_breaks(bool final)
{
	w.breaking = true;
	seen.final += final && !o.final;
	holder((struct md__offer_input){ .what = MD__OFFER_IN_RECALL, .final = final });
}

static void holder_looks_again(void)
{
	if (mutant != SAID_ONCE)
		holder((struct md__offer_input){ .what = MD__OFFER_IN_TIMER });
}

/* ---- the peer ----------------------------------------------------------- */

/* GRANTED and RECALLED in turn, and nothing after LOST. */
static void see_events(unsigned int act)
{
	const unsigned int turns =
		MD__HOLD_TELL_GRANTED | MD__HOLD_TELL_RECALLED | MD__HOLD_TELL_LOST;
	unsigned int event = act & turns;

	if (act & MD__HOLD_TELL_FENCED)
		seen.fenced++;
	if (!event)
		return;
	check(!(event & (event - 1)), "one of these events a step");
	check(w.told != MD__HOLD_TELL_LOST, "LOST is the last event");
	if (event == MD__HOLD_TELL_GRANTED)
		check(!w.told || w.told == MD__HOLD_TELL_RECALLED, "GRANTED follows RECALLED");
	if (event == MD__HOLD_TELL_RECALLED)
		check(w.told == MD__HOLD_TELL_GRANTED, "RECALLED follows GRANTED");
	seen.granted += event == MD__HOLD_TELL_GRANTED;
	w.told = event;
}

static void peer(struct md__hold_input in)
{
	unsigned int act;

	seen.hold[h.state][in.what]++;
	act = md__hold_step(&h, &in);
	check(!(act & MD__HOLD_WRONG), "the holder keeps to the rules");
	if (act & MD__HOLD_SHUT)
		w.gate = false;
	if (act & MD__HOLD_OPEN) {
		check(!w.gate && !w.uses, "OPEN finds no use");
		check(act & MD__HOLD_TAKE, "OPEN with what was granted");
		w.gate = true;
	}
	see_events(act);
}

static void peer_hears(void)
{
	struct md__hold_input in;
	struct message msg;

	if (!get(&w.down, &msg))
		return;
	in = (struct md__hold_input){
		.what = msg.type == MD__MSG_GRANT  ? MD__HOLD_IN_GRANT :
			msg.type == MD__MSG_RECALL ? MD__HOLD_IN_RECALL :
						     MD__HOLD_IN_FENCED,
		.generation = msg.generation,
		.id = msg.id,
		.final = msg.type != MD__MSG_GRANT && msg.final,
	};
	peer(in);
}

static void peer_sends(void)
{
	static const uint16_t type[] = { MD__MSG_GRANT_ACK, MD__MSG_RECALL_ACK, MD__MSG_RECALL_DONE,
					 MD__MSG_FENCED_ACK, MD__MSG_RELEASE };
	struct message msg = { .generation = h.barrier, .id = h.id };

	if (!h.due)
		return;
	if (is_full(&w.up)) {
		seen.full++;
		return;
	}
	for (unsigned int i = 0; i < sizeof(type) / sizeof(type[0]); i++) {
		if (!(h.due & 1U << i))
			continue;
		h.due &= ~(1U << i);
		msg.type = type[i];
		break;
	}
	if (msg.type == MD__MSG_GRANT_ACK)
		msg.generation = h.generation;
	if (msg.type == MD__MSG_RECALL_DONE || msg.type == MD__MSG_FENCED_ACK)
		check(!w.uses && !w.gate, "no use is open when the peer says so");
	seen.done += msg.type == MD__MSG_RECALL_DONE;
	seen.acked += msg.type == MD__MSG_FENCED_ACK;
	if (mutant == FOREIGN_DONE && msg.type == MD__MSG_RECALL_DONE)
		msg.id++;
	put(&w.up, msg);
}

static void peer_uses(void)
{
	bool gate = w.gate || (mutant == OPEN_GATE && h.due & MD__HOLD_SEND_DONE);

	w.uses += gate && w.uses < 3;
}

static void peer_ends_uses(void)
{
	w.uses -= !!w.uses;
	if (h.state == MD__HOLD_DRAINING && (!w.uses || mutant == EARLY_DRAINED))
		peer((struct md__hold_input){ .what = MD__HOLD_IN_DRAINED });
}

static void peer_releases(void)
{
	if (w.uses || w.released)
		return;
	w.released = true;
	seen.released++;
	peer((struct md__hold_input){ .what = MD__HOLD_IN_RELEASE });
}

/* ---- both --------------------------------------------------------------- */

static void cut(void)
{
	seen.cut++;
	w.down.head = w.down.tail;
	w.up.head = w.up.tail;
	if (mutant != SAID_ONCE)
		holder((struct md__offer_input){ .what = MD__OFFER_IN_OPEN });
	peer((struct md__hold_input){ .what = MD__HOLD_IN_OPEN });
}

static void check_rules(void)
{
	bool over =
		o.state == MD__OFFER_DUE || (o.state != MD__OFFER_FENCED && md__offer_is_over(&o));

	check(h.state != MD__HOLD_VALID || h.generation > h.barrier,
	      "what may be used is above the barrier");
	check(w.gate == (h.state == MD__HOLD_VALID), "the gate is open while VALID, and only then");
	check(!w.uses || h.state == MD__HOLD_VALID || h.state == MD__HOLD_DRAINING,
	      "uses are of a grant");
	check(!over || (h.state != MD__HOLD_VALID && !w.uses),
	      "nothing is used that the holder has back");
	check(o.state != MD__OFFER_RECALLED || h.state != MD__HOLD_VALID ||
		      h.generation <= o.generation,
	      "nothing is valid that was not offered");
	check(!o.due || !o.again_at, "either due or to be looked at");
}

static void random_step(void)
{
	w.now += unit_random(&w.seed) % (20 * MSEC);
	switch (unit_random(&w.seed) % 12) {
	case 0:
		if (maybe(20))
			holder_breaks(maybe(2));
		break;
	case 1:
		holder_goes_on();
		break;
	case 2:
	case 3:
		holder_sends();
		break;
	case 4:
	case 5:
		holder_hears();
		break;
	case 6:
		peer_hears();
		break;
	case 7:
	case 8:
		peer_sends();
		break;
	case 9:
		peer_uses();
		break;
	case 10:
		peer_ends_uses();
		break;
	default:
		holder_looks_again();
		if (maybe(3))
			cut();
		if (maybe(1) && maybe(20))
			peer_releases();
	}
	check_rules();
}

/* From now on all arrives, and both do what is theirs. */
static void cooperate(void)
{
	w.lossy = false;
	for (int i = 0; i < 60; i++) {
		w.now += 100 * MSEC;
		holder_looks_again();
		holder_sends();
		peer_hears();
		w.uses = 0;
		peer_ends_uses();
		while (h.due && !is_full(&w.up))
			peer_sends();
		while (w.up.head != w.up.tail)
			holder_hears();
		check_rules();
	}
}

static void come_to_rest(void)
{
	uint64_t last;

	cooperate();
	check(w.down.head == w.down.tail && !o.due && !h.due, "nothing is left to be said");
	check(!o.again_at, "all is answered");
	if (o.state == MD__OFFER_GRANTED) {
		holder_breaks(false);
		cooperate();
	}
	check(o.state == MD__OFFER_IDLE, "the holder has it back");
	w.breaking = false;
	last = w.generation++;
	holder((struct md__offer_input){ .what = MD__OFFER_IN_OFFER, .generation = w.generation });
	cooperate();
	if (o.final) {
		check(o.state == MD__OFFER_IDLE, "nothing is offered any more");
		check(!o.known || h.state == MD__HOLD_LOST, "the peer knows that nothing comes");
		return;
	}
	check(o.state == MD__OFFER_GRANTED && o.answered, "it is granted again");
	check(h.state == MD__HOLD_VALID && h.generation == last + 1, "it is valid again");
}

static void walk(unsigned int number)
{
	memset(&w, 0, sizeof(w));
	memset(&o, 0, sizeof(o));
	memset(&h, 0, sizeof(h));
	w.seed = number;
	w.walk = number;
	w.lossy = number % 4;
	for (w.step = 0; w.step < STEPS; w.step++)
		random_step();
	come_to_rest();
}

/* ---- cases -------------------------------------------------------------- */

static void walk__random_inputs__rules_hold(void)
{
	mutant = NO_MUTANT;
	failures = 0;
	memset(&seen, 0, sizeof(seen));
	for (unsigned int i = 0; i < WALKS; i++)
		walk(i);
	CU_ASSERT_EQUAL(failures, 0);
}

static void walk__afterwards__everything_was_seen(void)
{
	unsigned int offers = 0, holds = 0;

	for (enum md__offer_state s = 0; s < MD__OFFER_STATES; s++) {
		for (enum md__offer_in i = 0; i < MD__OFFER_INS; i++)
			offers += !!seen.offer[s][i];
	}
	for (enum md__hold_state s = 0; s < MD__HOLD_STATES; s++) {
		for (enum md__hold_in i = 0; i < MD__HOLD_INS; i++)
			holds += !!seen.hold[s][i];
	}
	printf("\n    %u cells of the holder, %u of the peer; %u granted, %u done, %u fenced, "
	       "%u acknowledged, %u final, %u released, %u lost, %u cut, %u full, %u stale ",
	       offers, holds, seen.granted, seen.done, seen.fenced, seen.acked, seen.final,
	       seen.released, seen.lost, seen.cut, seen.full, seen.stale);
	CU_ASSERT_EQUAL(offers, 38);
	CU_ASSERT_EQUAL(holds, 20);
	CU_ASSERT(seen.granted > 10000);
	CU_ASSERT(seen.done > 10000);
	CU_ASSERT(seen.fenced > 1000);
	CU_ASSERT(seen.acked > 1000);
	CU_ASSERT(seen.final > 500);
	CU_ASSERT(seen.released > 300);
	CU_ASSERT(seen.lost > 10000);
	CU_ASSERT(seen.cut > 1000);
	CU_ASSERT(seen.full > 1000);
	CU_ASSERT(seen.stale > 1000);
}

static void walk__mutants__each_is_found(void)
{
	for (mutant = NO_MUTANT + 1; mutant < MUTANTS; mutant++) {
		unsigned int i;

		failures = 0;
		for (i = 0; i < 200 && !failures; i++)
			walk(i);
		printf("\n    %s: found in walk %u ", mutant_name[mutant], i);
		CU_ASSERT(failures > 0);
	}
	mutant = NO_MUTANT;
	failures = 0;
}

static const struct unit_case cases[] = {
	UNIT_CASE(walk__random_inputs__rules_hold),
	UNIT_CASE(walk__afterwards__everything_was_seen),
	UNIT_CASE(walk__mutants__each_is_found),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("recall_walk", cases, NULL, NULL, argc, argv);
}
