// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The break engine: one handler per kind of transition, and their table. */

#include <stddef.h>

#include "engine.h"

#define MSEC UINT64_C(1000000)

/* Between two tries to deregister or release: pins go within milliseconds. */
#define RETRY_MIN (1 * MSEC)
#define RETRY_MAX (50 * MSEC)

/*
 * Between two tries to lease. A file that is broken again and again must not
 * make a storm, so the pause shrinks only after it was live for PAUSE_MAX.
 */
#define PAUSE_MIN (1 * MSEC)
#define PAUSE_MAX (1000 * MSEC)

typedef unsigned int (*handler)(struct md__engine *e, const struct md__input *in);

static uint64_t grow(uint64_t last, uint64_t min, uint64_t max)
{
	if (!last)
		return min;
	return last < max / 2 ? 2 * last : max;
}

/*
 * Handlers take a step and return its actions; each may stand in the table or
 * be part of another.
 */

static unsigned int ignore(struct md__engine *e, const struct md__input *in)
{
	(void)e;
	(void)in;
	return 0;
}

static unsigned int want(struct md__engine *e, const struct md__input *in)
{
	(void)in;
	e->wanted = true;
	e->by_choice = false;
	return 0;
}

static unsigned int unwant(struct md__engine *e, const struct md__input *in)
{
	(void)in;
	e->wanted = false;
	e->by_choice = true;
	return 0;
}

static unsigned int hear_peer(struct md__engine *e, const struct md__input *in)
{
	(void)in;
	if (e->on_demand && !e->by_choice)
		e->wanted = true;
	return 0;
}

static unsigned int done(struct md__engine *e, const struct md__input *in)
{
	e->waiting &= ~in->parties;
	return 0;
}

/* ---- without a lease -------------------------------------------------- */

static unsigned int lose(struct md__engine *e, const struct md__input *in)
{
	(void)in;
	e->state = MD__LOST;
	return e->started ? MD__DO_LOSE | MD__EV_LOST : 0;
}

static unsigned int rest(struct md__engine *e, const struct md__input *in)
{
	(void)in;
	e->state = MD__RELEASED;
	e->wanted = false;
	e->timer = 0;
	if (!e->on_demand) /* peers that ask again and again are paced */
		e->pause = 0;
	e->unfit_since = 0;
	return 0;
}

static unsigned int rest_by_choice(struct md__engine *e, const struct md__input *in)
{
	unwant(e, in);
	return rest(e, in);
}

/* The pause is over, if there was one: only open uses still hold it back. */
static unsigned int acquire_if_idle(struct md__engine *e, const struct md__input *in)
{
	(void)in;
	if (e->waiting & MD__PARTY_USES) {
		e->state = MD__BACKOFF;
		return 0;
	}
	e->state = MD__ACQUIRING;
	return MD__DO_ACQUIRE;
}

/* Half of the pause is jitter: holders of one file do not come in step. */
static unsigned int back_off(struct md__engine *e, const struct md__input *in)
{
	e->pause = grow(e->pause, PAUSE_MIN, PAUSE_MAX);
	e->timer = in->now + e->pause / 2 + in->random % (e->pause / 2 + 1);
	e->state = MD__BACKOFF;
	return 0;
}

static unsigned int backoff_done(struct md__engine *e, const struct md__input *in)
{
	e->waiting &= ~in->parties;
	return e->timer ? 0 : acquire_if_idle(e, in);
}

static unsigned int restore_later(struct md__engine *e, const struct md__input *in)
{
	hear_peer(e, in);
	return e->wanted ? back_off(e, in) : 0;
}

static unsigned int restore_now(struct md__engine *e, const struct md__input *in)
{
	want(e, in);
	e->timer = 0;
	return acquire_if_idle(e, in);
}

static bool unfit_too_long(const struct md__engine *e, const struct md__input *in)
{
	return e->unfit_since && in->now - e->unfit_since >= e->fit_limit;
}

/* No lease now: the first acquire fails, a restore tries again if wanted. */
static unsigned int busy(struct md__engine *e, const struct md__input *in)
{
	if (!e->started)
		return lose(e, in);
	return e->wanted ? back_off(e, in) : rest(e, in);
}

static unsigned int lease_busy(struct md__engine *e, const struct md__input *in)
{
	if (in->fits)
		e->unfit_since = 0;
	return busy(e, in);
}

/* The caller has others to look after meanwhile. */
static unsigned int lease_paused(struct md__engine *e, const struct md__input *in)
{
	if (!e->wanted)
		return rest(e, in);
	e->timer = in->again;
	return 0;
}

static unsigned int acquire_more(struct md__engine *e, const struct md__input *in)
{
	(void)e;
	(void)in;
	return MD__DO_ACQUIRE;
}

/* There is a timer between two parts, and no question that waits for its answer. */
static unsigned int acquiring_release(struct md__engine *e, const struct md__input *in)
{
	return e->timer ? rest_by_choice(e, in) : unwant(e, in);
}

static unsigned int unfit(struct md__engine *e, const struct md__input *in)
{
	if (!e->unfit_since)
		e->unfit_since = in->now;
	return e->wanted && unfit_too_long(e, in) ? lose(e, in) : busy(e, in);
}

static unsigned int refused(struct md__engine *e, const struct md__input *in)
{
	return e->wanted ? lose(e, in) : busy(e, in);
}

/* ---- end of a lease --------------------------------------------------- */

static unsigned int release(struct md__engine *e, const struct md__input *in)
{
	(void)in;
	e->state = MD__RELEASING;
	return MD__DO_RELEASE;
}

static unsigned int deregister(struct md__engine *e, const struct md__input *in)
{
	(void)in;
	e->state = MD__DEREG;
	e->timer = 0;
	return MD__DO_DEREG;
}

/* It did not do: again after a pause, and a warning when time gets short or does not help. */
static unsigned int try_again(struct md__engine *e, const struct md__input *in)
{
	e->retry = grow(e->retry, RETRY_MIN, RETRY_MAX);
	e->timer = in->now + e->retry;
	if (e->late || (in->now < e->late_at && !in->stuck))
		return 0;
	e->late = true;
	return MD__EV_LATE;
}

static unsigned int released(struct md__engine *e, const struct md__input *in)
{
	bool shown = e->shown;
	bool lost = e->wanted ? unfit_too_long(e, in) : shown && e->revoked;

	if (lost)
		return lose(e, in);
	e->shown = false;
	return (shown ? MD__EV_RELEASED : 0) | busy(e, in);
}

/* ---- begin of a lease ------------------------------------------------- */

/* What is known about a break, before there is one. */
static void forget_break(struct md__engine *e)
{
	e->deadline = UINT64_MAX;
	e->late_at = UINT64_MAX;
	e->late = false;
	e->revoked = false;
	e->retry = 0;
}

static unsigned int leased(struct md__engine *e, const struct md__input *in)
{
	forget_break(e);
	if (!e->wanted)
		return release(e, in);
	e->state = MD__REGISTERING;
	return MD__DO_REGISTER;
}

static unsigned int registered(struct md__engine *e, const struct md__input *in)
{
	unsigned int restored = e->started ? MD__EV_RESTORED : 0;

	if (!e->wanted)
		return deregister(e, in);
	e->state = MD__LIVE;
	e->started = true;
	e->shown = true;
	e->wanted = e->restore;
	e->by_choice = false;
	e->live_since = in->now;
	e->unfit_since = 0;
	return MD__DO_OPEN | restored;
}

/* Tried again for as long as a file that does not fit. */
static unsigned int reg_failed(struct md__engine *e, const struct md__input *in)
{
	if (!e->unfit_since)
		e->unfit_since = in->now;
	return deregister(e, in);
}

/* ---- break ------------------------------------------------------------ */

/* Of several deadlines the earliest rules. */
static unsigned int take_deadline(struct md__engine *e, const struct md__input *in)
{
	if (in->deadline < e->deadline) {
		e->deadline = in->deadline;
		e->late_at = in->deadline - (in->deadline - in->broken) / 4;
	}
	return 0;
}

/* Nobody was told of this generation: undo it, and tell nobody. */
static unsigned int undo_break(struct md__engine *e, const struct md__input *in)
{
	take_deadline(e, in);
	e->unfit_since = 0;
	return deregister(e, in);
}

static unsigned int undo_revoked(struct md__engine *e, const struct md__input *in)
{
	e->unfit_since = 0;
	return deregister(e, in);
}

/*
 * The drain may take its budget, but no more than half of the time that is
 * left: the rest is for deregistration, which nobody can hurry.
 */
static void limit_drain(struct md__engine *e, const struct md__input *in)
{
	uint64_t left = e->deadline > in->now ? e->deadline - in->now : 0;
	uint64_t end = in->now + (left / 2 < e->budget ? left / 2 : e->budget);

	if (!e->timer || end < e->timer)
		e->timer = end;
}

static unsigned int recall(struct md__engine *e, const struct md__input *in)
{
	e->state = MD__RECALLING;
	e->waiting = MD__PARTY_USES | MD__PARTY_APP | MD__PARTY_PEERS;
	if (in->now - e->live_since >= PAUSE_MAX)
		e->pause = 0;
	limit_drain(e, in);
	return MD__DO_SHUT | MD__DO_TELL;
}

static unsigned int live_break(struct md__engine *e, const struct md__input *in)
{
	take_deadline(e, in);
	return recall(e, in);
}

static unsigned int live_release(struct md__engine *e, const struct md__input *in)
{
	unwant(e, in);
	return recall(e, in);
}

static unsigned int recall_break(struct md__engine *e, const struct md__input *in)
{
	take_deadline(e, in);
	limit_drain(e, in);
	return 0;
}

static unsigned int recall_done(struct md__engine *e, const struct md__input *in)
{
	e->waiting &= ~in->parties;
	return e->waiting ? 0 : deregister(e, in);
}

static unsigned int recall_timer(struct md__engine *e, const struct md__input *in)
{
	return MD__DO_FENCE | deregister(e, in);
}

static unsigned int note_revoked(struct md__engine *e, const struct md__input *in)
{
	(void)in;
	e->revoked = true;
	return 0;
}

static unsigned int recall_revoked(struct md__engine *e, const struct md__input *in)
{
	e->revoked = true;
	return recall_timer(e, in);
}

static unsigned int live_revoked(struct md__engine *e, const struct md__input *in)
{
	unsigned int tell = recall(e, in);

	return tell | recall_revoked(e, in);
}

/*
 * What is not listed cannot happen, given the driver's part of the contract.
 * TIMER gets here only when a timer was running, and is due.
 */
static const handler table[MD__STATES][MD__INS] = {
	[MD__ACQUIRING] = {
		[MD__IN_WANT] = hear_peer,
		[MD__IN_LEASED] = leased,
		[MD__IN_LEASE_BUSY] = lease_busy,
		[MD__IN_LEASE_UNFIT] = unfit,
		[MD__IN_LEASE_REFUSED] = refused,
		[MD__IN_LEASE_PAUSED] = lease_paused,
		[MD__IN_RELEASE] = acquiring_release,
		[MD__IN_RESTORE] = want,
		[MD__IN_DONE] = done,
		[MD__IN_TIMER] = acquire_more,
	},
	[MD__REGISTERING] = {
		[MD__IN_WANT] = hear_peer,
		[MD__IN_REGISTERED] = registered,
		[MD__IN_REG_FAILED] = reg_failed,
		[MD__IN_BREAK] = undo_break,
		[MD__IN_REVOKED] = undo_revoked,
		[MD__IN_RELEASE] = unwant,
		[MD__IN_RESTORE] = want,
		[MD__IN_DONE] = done,
	},
	[MD__LIVE] = {
		[MD__IN_WANT] = ignore,
		[MD__IN_BREAK] = live_break,
		[MD__IN_REVOKED] = live_revoked,
		[MD__IN_RELEASE] = live_release,
		[MD__IN_RESTORE] = ignore,
		[MD__IN_DONE] = ignore,
	},
	[MD__RECALLING] = {
		[MD__IN_WANT] = hear_peer,
		[MD__IN_BREAK] = recall_break,
		[MD__IN_REVOKED] = recall_revoked,
		[MD__IN_RELEASE] = unwant,
		[MD__IN_RESTORE] = want,
		[MD__IN_DONE] = recall_done,
		[MD__IN_TIMER] = recall_timer,
	},
	[MD__DEREG] = {
		[MD__IN_WANT] = hear_peer,
		[MD__IN_BREAK] = take_deadline,
		[MD__IN_REVOKED] = note_revoked,
		[MD__IN_RELEASE] = unwant,
		[MD__IN_RESTORE] = want,
		[MD__IN_DONE] = done,
		[MD__IN_TIMER] = deregister,
		[MD__IN_DEREGISTERED] = release,
		[MD__IN_DEREG_FAILED] = try_again,
	},
	[MD__RELEASING] = {
		[MD__IN_WANT] = hear_peer,
		[MD__IN_BREAK] = take_deadline,
		[MD__IN_REVOKED] = note_revoked,
		[MD__IN_RELEASE] = unwant,
		[MD__IN_RESTORE] = want,
		[MD__IN_DONE] = done,
		[MD__IN_TIMER] = release,
		[MD__IN_RELEASED] = released,
		[MD__IN_PINNED] = try_again,
	},
	[MD__BACKOFF] = {
		[MD__IN_WANT] = ignore,
		[MD__IN_RELEASE] = rest_by_choice,
		[MD__IN_RESTORE] = restore_now,
		[MD__IN_DONE] = backoff_done,
		[MD__IN_TIMER] = acquire_if_idle,
	},
	[MD__RELEASED] = {
		[MD__IN_RELEASE] = unwant,
		[MD__IN_RESTORE] = restore_now,
		[MD__IN_WANT] = restore_later,
		[MD__IN_DONE] = done,
	},
	[MD__LOST] = {
		[MD__IN_WANT] = ignore,
		[MD__IN_RELEASE] = ignore,
		[MD__IN_RESTORE] = ignore,
		[MD__IN_DONE] = done,
	},
};

unsigned int md__engine_start(struct md__engine *e, bool restore, bool on_demand,
			      uint64_t budget_ns, uint64_t fit_limit_ns)
{
	*e = (struct md__engine){
		.state = MD__ACQUIRING,
		.budget = budget_ns,
		.fit_limit = fit_limit_ns,
		.restore = restore,
		.on_demand = on_demand,
		.wanted = true,
	};
	return MD__DO_ACQUIRE;
}

unsigned int md__engine_step(struct md__engine *e, const struct md__input *in)
{
	handler handle = table[e->state][in->what];

	if (in->what == MD__IN_TIMER) {
		if (!e->timer || in->now < e->timer)
			return 0;
		e->timer = 0;
	}
	return handle ? handle(e, in) : MD__DO_COMPLAIN;
}

enum md_map_state md__engine_public(const struct md__engine *e)
{
	switch (e->state) {
	case MD__LIVE:
		return MD_MAP_LIVE;
	case MD__LOST:
		return MD_MAP_LOST;
	default:
		return e->shown ? MD_MAP_BREAKING : MD_MAP_RELEASED;
	}
}

const char *md__engine_state_str(enum md__state state)
{
	static const char *const name[MD__STATES] = {
		[MD__ACQUIRING] = "ACQUIRING", [MD__REGISTERING] = "REGISTERING",
		[MD__LIVE] = "LIVE",	       [MD__RECALLING] = "RECALLING",
		[MD__DEREG] = "DEREG",	       [MD__RELEASING] = "RELEASING",
		[MD__BACKOFF] = "BACKOFF",     [MD__RELEASED] = "RELEASED",
		[MD__LOST] = "LOST",
	};

	return state < MD__STATES ? name[state] : "unknown";
}

const char *md__engine_in_str(enum md__in in)
{
	static const char *const name[MD__INS] = {
		[MD__IN_LEASED] = "LEASED",
		[MD__IN_LEASE_BUSY] = "LEASE_BUSY",
		[MD__IN_LEASE_UNFIT] = "LEASE_UNFIT",
		[MD__IN_LEASE_REFUSED] = "LEASE_REFUSED",
		[MD__IN_LEASE_PAUSED] = "LEASE_PAUSED",
		[MD__IN_REGISTERED] = "REGISTERED",
		[MD__IN_REG_FAILED] = "REG_FAILED",
		[MD__IN_BREAK] = "BREAK",
		[MD__IN_REVOKED] = "REVOKED",
		[MD__IN_RELEASE] = "RELEASE",
		[MD__IN_RESTORE] = "RESTORE",
		[MD__IN_WANT] = "WANT",
		[MD__IN_DONE] = "DONE",
		[MD__IN_TIMER] = "TIMER",
		[MD__IN_DEREGISTERED] = "DEREGISTERED",
		[MD__IN_DEREG_FAILED] = "DEREG_FAILED",
		[MD__IN_RELEASED] = "RELEASED",
		[MD__IN_PINNED] = "PINNED",
	};

	return in < MD__INS ? name[in] : "unknown";
}
