// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* One handler per kind of transition, and their table. */

#include <stddef.h>

#include "clock.h"
#include "offer.h"

/* Between two times of sending the same. */
#define AGAIN_MIN (50 * MD__MSEC)
#define AGAIN_MAX (1000 * MD__MSEC)

typedef void (*handler)(struct md__offer *o, const struct md__offer_input *in);

static void send(struct md__offer *o, unsigned int what)
{
	o->due = what;
	o->again_at = 0;
	o->pause = 0;
	o->answered = false;
}

static void send_nothing(struct md__offer *o)
{
	send(o, 0);
}

static void offer(struct md__offer *o, const struct md__offer_input *in)
{
	if (o->final)
		return;
	o->state = MD__OFFER_DUE;
	o->generation = in->generation;
	send(o, MD__OFFER_SEND_GRANT);
}

/* The peer may have it from the moment when it was handed to the connection. */
static void grant_sent(struct md__offer *o, const struct md__offer_input *in)
{
	o->state = MD__OFFER_GRANTED;
	o->known = true;
	o->held = true;
	o->due = 0;
	o->pause = AGAIN_MIN;
	o->again_at = in->now + o->pause;
}

static void withdraw(struct md__offer *o, const struct md__offer_input *in)
{
	(void)in;
	o->state = MD__OFFER_IDLE;
	send_nothing(o);
}

static void grant_acked(struct md__offer *o, const struct md__offer_input *in)
{
	if (in->generation != o->generation)
		return;
	o->due = 0;
	o->again_at = 0;
	o->answered = true;
}

static void recall(struct md__offer *o, const struct md__offer_input *in)
{
	o->final |= in->final;
	o->state = MD__OFFER_RECALLED;
	o->id++;
	o->told = 0;
	o->acked = 0;
	o->done = 0;
	o->fenced = 0;
	send(o, MD__OFFER_SEND_RECALL);
}

/* A peer that has it from before waits for the next: it is told once that there is none. */
static void recall_unsent(struct md__offer *o, const struct md__offer_input *in)
{
	if (in->final && !o->final && o->known)
		recall(o, in);
	else
		withdraw(o, in);
	o->final |= in->final;
}

/* The answer under way is of one who does not know yet that it was the last. */
static void recall_again(struct md__offer *o, const struct md__offer_input *in)
{
	if (in->final && !o->final) {
		o->final = true;
		o->id++;
		send(o, MD__OFFER_SEND_RECALL);
	}
}

/* Sent once more, a while after the last time. */
static void sent(struct md__offer *o, const struct md__offer_input *in)
{
	if (o->due & MD__OFFER_SEND_RECALL && !o->told)
		o->told = in->now;
	o->due = 0;
	if (!o->pause)
		o->pause = AGAIN_MIN;
	else if (o->pause < AGAIN_MAX / 2)
		o->pause *= 2;
	else
		o->pause = AGAIN_MAX;
	o->again_at = in->now + o->pause;
}

static bool is_answer(const struct md__offer *o, const struct md__offer_input *in)
{
	return in->id == o->id && in->generation == o->generation;
}

static void acked(struct md__offer *o, const struct md__offer_input *in)
{
	if (!is_answer(o, in) || o->acked)
		return;
	o->acked = in->now;
}

static void done(struct md__offer *o, const struct md__offer_input *in)
{
	if (!is_answer(o, in))
		return;
	o->state = MD__OFFER_IDLE;
	o->held = false;
	o->done = in->now;
	if (!o->acked) /* both at once */
		o->acked = in->now;
	send_nothing(o);
}

static void fence(struct md__offer *o, const struct md__offer_input *in)
{
	o->state = MD__OFFER_FENCED;
	o->fenced = in->now;
	o->next = 0;
	o->unsaid = false;
	send(o, MD__OFFER_SEND_FENCED);
}

/* The peer broke the rules: it is not asked first. */
static void fence_unasked(struct md__offer *o, const struct md__offer_input *in)
{
	recall(o, in);
	fence(o, in);
}

static void offer_later(struct md__offer *o, const struct md__offer_input *in)
{
	o->next = in->generation;
}

static void offer_no_more(struct md__offer *o, const struct md__offer_input *in)
{
	o->unsaid |= in->final && !o->final;
	o->final |= in->final;
	o->next = 0;
}

static void fenced_acked(struct md__offer *o, const struct md__offer_input *in)
{
	if (!is_answer(o, in))
		return;
	o->held = false;
	if (o->unsaid) {
		recall(o, in);
		return;
	}
	withdraw(o, in);
	if (o->next)
		offer(o, &(struct md__offer_input){ .generation = o->next });
	o->next = 0;
}

static void gone(struct md__offer *o, const struct md__offer_input *in)
{
	if (o->state == MD__OFFER_RECALLED)
		o->done = in->now;
	o->next = 0;
	o->held = false;
	o->known = false; /* nobody is there to be told */
	withdraw(o, in);
}

static void again(struct md__offer *o)
{
	static const unsigned int what[MD__OFFER_STATES] = {
		[MD__OFFER_GRANTED] = MD__OFFER_SEND_GRANT,
		[MD__OFFER_RECALLED] = MD__OFFER_SEND_RECALL,
		[MD__OFFER_FENCED] = MD__OFFER_SEND_FENCED,
	};

	o->due = what[o->state];
	o->again_at = 0;
}

/* A new connection: what was not answered may be lost, and need not wait. */
static void reopened(struct md__offer *o, const struct md__offer_input *in)
{
	(void)in;
	if (o->state == MD__OFFER_GRANTED && o->answered)
		return;
	o->pause = 0;
	again(o);
}

static void timer(struct md__offer *o, const struct md__offer_input *in)
{
	if (o->again_at && in->now >= o->again_at)
		again(o);
}

/* What is not listed changes nothing: an answer that comes twice, or too late. */
static const handler table[MD__OFFER_STATES][MD__OFFER_INS] = {
	[MD__OFFER_IDLE] = {
		[MD__OFFER_IN_OFFER] = offer,
		[MD__OFFER_IN_RECALL] = recall_unsent,
		[MD__OFFER_IN_GONE] = gone,
	},
	[MD__OFFER_DUE] = {
		[MD__OFFER_IN_OFFER] = offer,
		[MD__OFFER_IN_RECALL] = recall_unsent,
		[MD__OFFER_IN_SENT] = grant_sent,
		[MD__OFFER_IN_GONE] = gone,
	},
	[MD__OFFER_GRANTED] = {
		[MD__OFFER_IN_RECALL] = recall,
		[MD__OFFER_IN_FENCE] = fence_unasked,
		[MD__OFFER_IN_SENT] = sent,
		[MD__OFFER_IN_GRANT_ACK] = grant_acked,
		[MD__OFFER_IN_GONE] = gone,
		[MD__OFFER_IN_OPEN] = reopened,
		[MD__OFFER_IN_TIMER] = timer,
	},
	[MD__OFFER_RECALLED] = {
		[MD__OFFER_IN_RECALL] = recall_again,
		[MD__OFFER_IN_FENCE] = fence,
		[MD__OFFER_IN_SENT] = sent,
		[MD__OFFER_IN_ACK] = acked,
		[MD__OFFER_IN_DONE] = done,
		[MD__OFFER_IN_GONE] = gone,
		[MD__OFFER_IN_OPEN] = reopened,
		[MD__OFFER_IN_TIMER] = timer,
	},
	[MD__OFFER_FENCED] = {
		[MD__OFFER_IN_OFFER] = offer_later,
		[MD__OFFER_IN_RECALL] = offer_no_more,
		[MD__OFFER_IN_SENT] = sent,
		[MD__OFFER_IN_FENCED_ACK] = fenced_acked,
		[MD__OFFER_IN_GONE] = gone,
		[MD__OFFER_IN_OPEN] = reopened,
		[MD__OFFER_IN_TIMER] = timer,
	},
};

void md__offer_step(struct md__offer *o, const struct md__offer_input *in)
{
	handler handle = table[o->state][in->what];

	if (handle)
		handle(o, in);
}

bool md__offer_is_over(const struct md__offer *o)
{
	return o->state == MD__OFFER_IDLE || o->state == MD__OFFER_FENCED ||
	       (o->state == MD__OFFER_RECALLED && !o->held);
}

bool md__offer_is_held(const struct md__offer *o, uint64_t generation)
{
	return o->generation == generation &&
	       (o->state == MD__OFFER_GRANTED || o->state == MD__OFFER_RECALLED);
}

const char *md__offer_state_str(enum md__offer_state state)
{
	static const char *const name[MD__OFFER_STATES] = {
		[MD__OFFER_IDLE] = "IDLE",	 [MD__OFFER_DUE] = "DUE",
		[MD__OFFER_GRANTED] = "GRANTED", [MD__OFFER_RECALLED] = "RECALLED",
		[MD__OFFER_FENCED] = "FENCED",
	};

	return state < MD__OFFER_STATES ? name[state] : "unknown";
}
