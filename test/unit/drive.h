/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Drives one engine by hand, with a clock that the test sets. */
#ifndef MD_TEST_DRIVE_H
#define MD_TEST_DRIVE_H

#include "engine.h"
#include "unit.h"

#define MSEC UINT64_C(1000000)
#define SEC (1000 * MSEC)
#define BUDGET (250 * MSEC)
#define FIT_LIMIT (5 * SEC)
#define ALL (MD__PARTY_USES | MD__PARTY_APP | MD__PARTY_PEERS)

static struct md__engine eng;
static uint64_t now;

static inline unsigned int feed_in(struct md__input in)
{
	in.now = now;
	return md__engine_step(&eng, &in);
}

static inline unsigned int feed(enum md__in what)
{
	return feed_in((struct md__input){ .what = what });
}

static inline unsigned int feed_break(uint64_t broken, uint64_t deadline)
{
	return feed_in(
		(struct md__input){ .what = MD__IN_BREAK, .broken = broken, .deadline = deadline });
}

static inline unsigned int feed_done(unsigned int parties)
{
	return feed_in((struct md__input){ .what = MD__IN_DONE, .parties = parties });
}

/* Goes to the time of the running timer and feeds it. */
static inline unsigned int feed_timer(void)
{
	if (eng.timer > now)
		now = eng.timer;
	return feed(MD__IN_TIMER);
}

static inline void start(bool restore)
{
	now = 1000 * SEC;
	CU_ASSERT_EQUAL(md__engine_start(&eng, restore, false, BUDGET, FIT_LIMIT), MD__DO_ACQUIRE);
}

/* Brings a map that was live before into a state; with MD_MAP_RESTORE. */
static inline void reach(enum md__state state)
{
	start(true);
	feed(MD__IN_LEASED);
	feed(MD__IN_REGISTERED);
	if (state == MD__LIVE)
		return;
	feed_break(now, now + 45 * SEC);
	if (state == MD__RECALLING)
		return;
	feed_done(ALL);
	if (state == MD__DEREG)
		return;
	feed(MD__IN_DEREGISTERED);
	if (state == MD__RELEASING)
		return;
	if (state == MD__RELEASED)
		feed(MD__IN_RELEASE);
	feed(MD__IN_RELEASED);
	if (state == MD__RELEASED || state == MD__BACKOFF)
		return;
	feed_timer();
	if (state == MD__REGISTERING)
		feed(MD__IN_LEASED);
	if (state == MD__LOST)
		feed(MD__IN_LEASE_REFUSED);
}

#endif
