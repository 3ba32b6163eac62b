// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The break engine: long random walks in a small world of lease, regions, gate
 * and uses that keeps the driver's part of the contract and checks the
 * engine's after each step.
 */

#include <stdio.h>
#include <string.h>

#include "drive.h"

#define WALKS 2000
#define STEPS 3000

#define QUESTIONS (MD__DO_ACQUIRE | MD__DO_REGISTER | MD__DO_DEREG | MD__DO_RELEASE)
#define EVENTS (MD__DO_TELL | MD__EV_RELEASED | MD__EV_RESTORED | MD__EV_LOST)

static struct {
	uint64_t seed;
	int walk, step;

	bool lease, regions, gate;
	unsigned int question; /* one of QUESTIONS, or 0 */
	unsigned int uses;
	bool uses_told, app_told, peers_told; /* DONE was fed in this break */
	unsigned int last_event;	      /* of EVENTS: they come in turns */
	bool started, revoked;
	uint64_t drain_end, late_at, deadline;
	unsigned int lates;
	bool stuck; /* as the last answer said */ /* of this lease */
} w;

/* What the walks have seen, lest they prove nothing. */
static unsigned int seen_cell[MD__STATES][MD__INS];
static unsigned int seen_late, seen_fence, seen_lost, seen_restored, failures;

static void check(bool good, const char *rule)
{
	if (good)
		return;
	if (!failures++)
		printf("\n    walk %d, step %d, in %s: %s ", w.walk, w.step,
		       md__engine_state_str(eng.state), rule);
}

static bool maybe(unsigned int percent)
{
	return unit_random(&w.seed) % 100 < percent;
}

/* TELL, then RELEASED or LOST, then RESTORED or LOST, and again. */
static void see_event(unsigned int event)
{
	switch (event) {
	case MD__DO_TELL:
		check(w.last_event == 0 || w.last_event == MD__EV_RESTORED,
		      "a generation is told of its break once");
		break;
	case MD__EV_RELEASED:
		check(w.last_event == MD__DO_TELL, "RELEASED follows BREAK");
		break;
	case MD__EV_RESTORED:
		check(w.last_event == MD__EV_RELEASED, "RESTORED follows RELEASED");
		seen_restored++;
		break;
	case MD__EV_LOST:
		check(w.last_event == MD__DO_TELL || w.last_event == MD__EV_RELEASED,
		      "LOST follows BREAK or RELEASED");
		seen_lost++;
		break;
	default:
		check(false, "one event a step");
	}
	w.last_event = event;
}

static void carry_out(unsigned int act, enum md__state from)
{
	unsigned int question = act & QUESTIONS;

	check(!(act & MD__DO_COMPLAIN), "nothing impossible happened");
	if (act & MD__DO_SHUT) {
		check(w.gate, "SHUT shuts an open gate");
		w.gate = false;
		w.uses_told = false;
		w.app_told = false;
		w.peers_told = false;
	}
	if (act & MD__DO_OPEN) {
		check(w.lease && w.regions, "OPEN needs a lease and its regions");
		check(!w.gate && !w.uses, "OPEN finds no use");
		w.gate = true;
		w.started = true;
	}
	if (act & EVENTS)
		see_event(act & EVENTS);
	if (act & MD__EV_LATE) {
		check(w.lease && (now >= w.late_at || w.stuck), "LATE is late, and of a lease");
		check(!w.lates++, "LATE comes once");
		seen_late++;
	}
	if (act & MD__DO_FENCE) {
		check(now >= w.drain_end || w.revoked, "FENCE waits for the budget");
		check(act & MD__DO_DEREG, "after FENCE comes DEREG");
		seen_fence++;
	}
	if (act & MD__DO_ACQUIRE)
		check(!w.lease && !w.regions && !w.gate && !w.uses, "ACQUIRE starts from nothing");
	if (act & MD__DO_REGISTER)
		check(w.lease && !w.regions, "REGISTER needs a lease");
	if (act & MD__DO_DEREG) {
		check(w.lease && !w.gate, "DEREG comes behind a shut gate");
		check(from != MD__RECALLING || act & MD__DO_FENCE ||
			      (w.uses_told && w.app_told && w.peers_told),
		      "DEREG without FENCE waits for all parties");
	}
	if (act & MD__DO_RELEASE)
		check(w.lease && !w.gate && !w.regions, "RELEASE comes after all regions went");
	check(!(act & MD__DO_LOSE) == !(act & MD__EV_LOST), "LOSE and LOST go together");
	if (question) {
		check(!w.question, "one question at a time");
		check(!(question & (question - 1)), "one question a step");
		w.question = question;
	}
}

static void check_rest(void)
{
	check(w.gate == (eng.state == MD__LIVE), "the gate is open while LIVE, and only then");
	check(!w.regions || w.lease, "no region without a lease");
	check((md__engine_public(&eng) == MD_MAP_LIVE) == w.gate, "LIVE is what the gate says");
	check((md__engine_public(&eng) == MD_MAP_BREAKING) == (w.last_event == MD__DO_TELL),
	      "BREAKING from BREAK to RELEASED or LOST");
	switch (eng.state) {
	case MD__RECALLING:
		check(eng.timer == w.drain_end, "the drain ends in time");
		break;
	case MD__REGISTERING:
		check(w.question && !eng.timer, "an answer is awaited");
		break;
	case MD__ACQUIRING:
		check(!w.lease && !w.regions, "nothing is held");
		check(!w.question == !!eng.timer, "either an answer or a timer is awaited");
		break;
	case MD__DEREG:
	case MD__RELEASING:
		check(!w.question == !!eng.timer, "either an answer or a timer is awaited");
		check(!eng.timer || eng.timer <= now + 50 * MSEC, "the next try is soon");
		break;
	case MD__BACKOFF:
		check(!w.lease && !w.question, "nothing is held");
		check(eng.timer || !w.uses_told, "a timer or a use is awaited");
		check(eng.timer <= now + SEC, "the next try is soon");
		break;
	default:
		check(!eng.timer && !w.question, "nothing is awaited");
		check(w.lease == (eng.state == MD__LIVE), "a lease is held while LIVE");
	}
}

static void take(enum md__in what, struct md__input in)
{
	enum md__state from = eng.state;

	in.what = what;
	in.random = unit_random(&w.seed);
	seen_cell[from][what]++;
	carry_out(feed_in(in), from);
	check_rest();
}

static void take_break(void)
{
	uint64_t ago = maybe(10) ? unit_random(&w.seed) % (90 * SEC) : MSEC;
	uint64_t ahead = maybe(30) ? unit_random(&w.seed) % SEC : 45 * SEC;
	struct md__input in = { .broken = now - ago, .deadline = now - ago + ahead };
	uint64_t half = in.deadline > now ? (in.deadline - now) / 2 : 0;
	uint64_t end = now + (half < BUDGET ? half : BUDGET);

	if (in.deadline < w.deadline) {
		w.deadline = in.deadline;
		w.late_at = in.deadline - ahead / 4;
	}
	if (eng.state == MD__LIVE || end < w.drain_end)
		w.drain_end = end;
	if (w.question == MD__DO_REGISTER)
		w.question = 0;
	take(MD__IN_BREAK, in);
}

static void take_revoked(void)
{
	w.revoked = true;
	if (w.question == MD__DO_REGISTER)
		w.question = 0;
	take(MD__IN_REVOKED, (struct md__input){ 0 });
}

static void take_release(void)
{
	if (eng.state == MD__LIVE)
		w.drain_end = now + BUDGET;
	take(MD__IN_RELEASE, (struct md__input){ 0 });
}

static void answer(bool good)
{
	const enum md__in no_lease[] = { MD__IN_LEASE_BUSY, MD__IN_LEASE_UNFIT,
					 MD__IN_LEASE_REFUSED };
	unsigned int question = w.question;
	uint64_t again = 0;
	enum md__in in;

	w.question = 0;
	switch (question) {
	case MD__DO_ACQUIRE:
		w.lease = good;
		w.deadline = UINT64_MAX;
		w.late_at = UINT64_MAX;
		w.lates = 0;
		w.revoked = false;
		in = good ? MD__IN_LEASED : no_lease[maybe(1) ? 2 : maybe(50)];
		if (!good && w.started && maybe(60)) {
			in = MD__IN_LEASE_PAUSED;
			again = now + unit_random(&w.seed) % (2 * MSEC);
		}
		break;
	case MD__DO_REGISTER:
		w.regions = true; /* some of them at least */
		in = good ? MD__IN_REGISTERED : MD__IN_REG_FAILED;
		break;
	case MD__DO_DEREG:
		w.regions = !good;
		in = good ? MD__IN_DEREGISTERED : MD__IN_DEREG_FAILED;
		break;
	default:
		w.lease = !good;
		in = good ? MD__IN_RELEASED : MD__IN_PINNED;
	}
	w.stuck = in == MD__IN_PINNED && maybe(10);
	take(in, (struct md__input){ .stuck = w.stuck, .again = again });
}

/* What the map's user and its driver's duties are, when nothing else happens. */
static void end_uses(void)
{
	w.uses = 0;
	if (!w.gate && w.started && !w.uses_told) {
		w.uses_told = true;
		take(MD__IN_DONE, (struct md__input){ .parties = MD__PARTY_USES });
	}
}

/* May also come late, when the map is live again. */
static void acknowledge(void)
{
	if (w.started && !w.app_told) {
		w.app_told = true;
		take(MD__IN_DONE, (struct md__input){ .parties = MD__PARTY_APP });
	}
}

static void end_peers(void)
{
	if (w.started && !w.peers_told) {
		w.peers_told = true;
		take(MD__IN_DONE, (struct md__input){ .parties = MD__PARTY_PEERS });
	}
}

static void random_step(void)
{
	now += maybe(80) ? unit_random(&w.seed) % MSEC : unit_random(&w.seed) % (300 * MSEC);
	switch (unit_random(&w.seed) % 13) {
	case 0:
		if (w.lease && maybe(50))
			take_break();
		break;
	case 1:
		if (w.lease && maybe(3))
			take_revoked();
		break;
	case 2:
		if (w.started && maybe(10))
			take_release();
		break;
	case 3:
		if (w.started && maybe(30))
			take(MD__IN_RESTORE, (struct md__input){ 0 });
		break;
	case 4:
		w.uses += w.gate;
		break;
	case 5:
		end_uses();
		break;
	case 6:
		acknowledge();
		break;
	case 7:
	case 8:
		if (eng.timer > now && maybe(50))
			now = eng.timer;
		take(MD__IN_TIMER, (struct md__input){ 0 });
		break;
	case 9:
		if (w.started && maybe(30))
			take(MD__IN_WANT, (struct md__input){ 0 });
		end_peers();
		break;
	default:
		if (w.question)
			answer(maybe(70));
	}
}

/* From now on everybody cooperates: the break must end, and quickly. */
static void come_to_rest(void)
{
	uint64_t began = now;

	for (int i = 0; i < 20; i++) {
		if (w.question)
			answer(true);
		end_uses();
		acknowledge();
		end_peers();
		if (!w.question && eng.timer) {
			now = eng.timer > now ? eng.timer : now;
			take(MD__IN_TIMER, (struct md__input){ 0 });
		}
	}
	check(!w.question && !eng.timer, "it comes to rest");
	check(eng.state == MD__LIVE || eng.state == MD__RELEASED || eng.state == MD__LOST,
	      "it rests in a state for good");
	check(now - began <= BUDGET + 50 * MSEC + SEC, "it comes to rest in time");
}

static void walk__random_inputs__rules_hold(void)
{
	for (int i = 0; i < WALKS; i++) {
		memset(&w, 0, sizeof(w));
		w.seed = i;
		w.walk = i;
		start(i % 2);
		eng.on_demand = !(i % 2) && i % 3;
		w.question = MD__DO_ACQUIRE;
		answer(true);
		answer(true);
		for (w.step = 0; w.step < STEPS && eng.state != MD__LOST; w.step++)
			random_step();
		come_to_rest();
	}
	CU_ASSERT_EQUAL(failures, 0);
}

static void walk__afterwards__everything_was_seen(void)
{
	unsigned int cells = 0;

	for (enum md__state s = 0; s < MD__LOST; s++) {
		for (enum md__in i = 0; i < MD__INS; i++)
			cells += !!seen_cell[s][i];
	}
	printf("\n    %u cells, %u restored, %u lost, %u late, %u fenced ", cells, seen_restored,
	       seen_lost, seen_late, seen_fence);
	CU_ASSERT_EQUAL(cells, 61);
	CU_ASSERT(seen_restored > 1000);
	CU_ASSERT(seen_lost > 100);
	CU_ASSERT(seen_late > 1000);
	CU_ASSERT(seen_fence > 1000);
}

static const struct unit_case cases[] = {
	UNIT_CASE(walk__random_inputs__rules_hold),
	UNIT_CASE(walk__afterwards__everything_was_seen),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("engine_walk", cases, NULL, NULL, argc, argv);
}
