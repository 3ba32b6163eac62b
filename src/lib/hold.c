// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* One handler per kind of transition, and their table. */

#include <stddef.h>

#include "hold.h"

typedef unsigned int (*handler)(struct md__hold *h, const struct md__hold_input *in);

static unsigned int ignore(struct md__hold *h, const struct md__hold_input *in)
{
	(void)h;
	(void)in;
	return 0;
}

/* ---- grants ------------------------------------------------------------- */

static unsigned int take(struct md__hold *h, const struct md__hold_input *in)
{
	if (in->generation <= h->barrier)
		return 0;
	h->state = MD__HOLD_VALID;
	h->generation = in->generation;
	h->fenced = false;
	h->due = MD__HOLD_SEND_GRANT_ACK;
	return MD__HOLD_TAKE | MD__HOLD_OPEN | MD__HOLD_TELL_GRANTED;
}

/* The answer was lost, or it comes twice. A later one has to be recalled first. */
static unsigned int take_again(struct md__hold *h, const struct md__hold_input *in)
{
	if (in->generation > h->generation)
		return MD__HOLD_WRONG;
	if (in->generation == h->generation)
		h->due |= MD__HOLD_SEND_GRANT_ACK;
	return 0;
}

/* We have not said that we are done. */
static unsigned int take_too_early(struct md__hold *h, const struct md__hold_input *in)
{
	return in->generation > h->barrier ? MD__HOLD_WRONG : 0;
}

/* ---- recalls ------------------------------------------------------------ */

static bool is_old(const struct md__hold *h, const struct md__hold_input *in)
{
	return in->id < h->id || in->generation < h->barrier;
}

static void note(struct md__hold *h, const struct md__hold_input *in)
{
	if (in->id > h->id)
		h->fenced = false;
	h->barrier = in->generation;
	h->id = in->id;
	h->final |= in->final;
}

static unsigned int lose(struct md__hold *h)
{
	h->state = MD__HOLD_LOST;
	return MD__HOLD_SHUT | MD__HOLD_LOSE | MD__HOLD_TELL_LOST;
}

/* There is nothing to stop: all that it asks for is true. */
static unsigned int answer(struct md__hold *h, const struct md__hold_input *in)
{
	if (is_old(h, in))
		return 0;
	note(h, in);
	h->due |= MD__HOLD_SEND_DONE;
	return h->final && h->state != MD__HOLD_LOST ? lose(h) : 0;
}

static unsigned int drain(struct md__hold *h, const struct md__hold_input *in)
{
	if (is_old(h, in) || in->generation < h->generation)
		return 0;
	note(h, in);
	h->state = MD__HOLD_DRAINING;
	h->due = MD__HOLD_SEND_ACK;
	return MD__HOLD_SHUT | MD__HOLD_TELL_RECALLED;
}

static unsigned int drain_on(struct md__hold *h, const struct md__hold_input *in)
{
	if (is_old(h, in))
		return 0;
	note(h, in);
	h->due |= MD__HOLD_SEND_ACK;
	return 0;
}

/* ---- fences ------------------------------------------------------------- */

static unsigned int fenced(struct md__hold *h, const struct md__hold_input *in)
{
	if (is_old(h, in))
		return 0;
	note(h, in);
	if (h->fenced)
		return 0;
	h->fenced = true;
	return MD__HOLD_TELL_FENCED;
}

/* The RECALL before it was lost. */
static unsigned int fenced_unasked(struct md__hold *h, const struct md__hold_input *in)
{
	unsigned int shut = drain(h, in);

	if (!shut)
		return 0;
	h->due = 0;
	return shut | fenced(h, in);
}

/* Our DONE came too late, or FENCED comes again: our work has ended. */
static unsigned int fenced_idle(struct md__hold *h, const struct md__hold_input *in)
{
	unsigned int tell;

	if (is_old(h, in))
		return 0;
	tell = fenced(h, in);
	h->due = MD__HOLD_SEND_FENCED_ACK;
	return h->final && h->state != MD__HOLD_LOST ? tell | lose(h) : tell;
}

/* ---- ends --------------------------------------------------------------- */

static unsigned int session_lost(struct md__hold *h, const struct md__hold_input *in)
{
	(void)in;
	h->due = 0;
	return lose(h);
}

/* Not told: the application has asked for it. */
static unsigned int release(struct md__hold *h, const struct md__hold_input *in)
{
	(void)in;
	h->state = MD__HOLD_LOST;
	h->due |= MD__HOLD_SEND_RELEASE;
	return MD__HOLD_SHUT | MD__HOLD_LOSE;
}

/* What the holder said last has to be answered all the same. */
static unsigned int release_draining(struct md__hold *h, const struct md__hold_input *in)
{
	h->due |= h->fenced ? MD__HOLD_SEND_FENCED_ACK : MD__HOLD_SEND_DONE;
	return release(h, in);
}

/* The holder answers with a last RECALL; until then it may not have heard. */
static unsigned int reopened(struct md__hold *h, const struct md__hold_input *in)
{
	(void)in;
	if (!h->final)
		h->due |= MD__HOLD_SEND_RELEASE;
	return 0;
}

/* Whatever the holder says, it may not have heard. */
static unsigned int answer_lost(struct md__hold *h, const struct md__hold_input *in)
{
	return answer(h, in) | reopened(h, in);
}

static unsigned int fenced_lost(struct md__hold *h, const struct md__hold_input *in)
{
	return fenced_idle(h, in) | reopened(h, in);
}

/* Who has stopped posts nothing new either: that needs no message of its own any more. */
static unsigned int drained(struct md__hold *h, const struct md__hold_input *in)
{
	(void)in;
	h->due &= ~MD__HOLD_SEND_ACK;
	h->due |= h->fenced ? MD__HOLD_SEND_FENCED_ACK : MD__HOLD_SEND_DONE;
	if (h->final)
		return lose(h);
	h->state = MD__HOLD_NONE;
	return 0;
}

static const handler table[MD__HOLD_STATES][MD__HOLD_INS] = {
	[MD__HOLD_NONE] = {
		[MD__HOLD_IN_GRANT] = take,
		[MD__HOLD_IN_RECALL] = answer,
		[MD__HOLD_IN_FENCED] = fenced_idle,
		[MD__HOLD_IN_DRAINED] = ignore,
		[MD__HOLD_IN_RELEASE] = release,
		[MD__HOLD_IN_OPEN] = ignore,
		[MD__HOLD_IN_LOST] = session_lost,
	},
	[MD__HOLD_VALID] = {
		[MD__HOLD_IN_GRANT] = take_again,
		[MD__HOLD_IN_RECALL] = drain,
		[MD__HOLD_IN_FENCED] = fenced_unasked,
		[MD__HOLD_IN_DRAINED] = ignore,
		[MD__HOLD_IN_RELEASE] = release,
		[MD__HOLD_IN_OPEN] = ignore,
		[MD__HOLD_IN_LOST] = session_lost,
	},
	[MD__HOLD_DRAINING] = {
		[MD__HOLD_IN_GRANT] = take_too_early,
		[MD__HOLD_IN_RECALL] = drain_on,
		[MD__HOLD_IN_FENCED] = fenced,
		[MD__HOLD_IN_DRAINED] = drained,
		[MD__HOLD_IN_RELEASE] = release_draining,
		[MD__HOLD_IN_OPEN] = ignore,
		[MD__HOLD_IN_LOST] = session_lost,
	},
	/* A holder that has not heard our answer asks again. */
	[MD__HOLD_LOST] = {
		[MD__HOLD_IN_GRANT] = reopened,
		[MD__HOLD_IN_RECALL] = answer_lost,
		[MD__HOLD_IN_FENCED] = fenced_lost,
		[MD__HOLD_IN_DRAINED] = ignore,
		[MD__HOLD_IN_RELEASE] = reopened,
		[MD__HOLD_IN_OPEN] = reopened,
		[MD__HOLD_IN_LOST] = ignore,
	},
};

unsigned int md__hold_step(struct md__hold *h, const struct md__hold_input *in)
{
	return table[h->state][in->what](h, in);
}

const char *md__hold_state_str(enum md__hold_state state)
{
	static const char *const name[MD__HOLD_STATES] = {
		[MD__HOLD_NONE] = "NONE",
		[MD__HOLD_VALID] = "VALID",
		[MD__HOLD_DRAINING] = "DRAINING",
		[MD__HOLD_LOST] = "LOST",
	};

	return state < MD__HOLD_STATES ? name[state] : "unknown";
}
