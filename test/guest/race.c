// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "child.h"
#include "knob.h"
#include "race.h"
#include "suite.h"

void race_needs_pause(void)
{
	if (!knob_exists(KNOB_PAUSE_STEP))
		suite_skip("the module is no test build");
}

static void *take_lease(void *arg)
{
	struct race *r = arg;

	r->h->lease = holder_try_lease(r->h, 0);
	r->err = r->h->lease < 0 ? errno : 0;
	atomic_store(&r->ended, true);
	return NULL;
}

bool race_is_paused(void *unused)
{
	(void)unused;
	return (int)knob_get(KNOB_PAUSE_STEP) < 0;
}

void race_go_on(void)
{
	knob_set(KNOB_PAUSE_STEP, 0);
}

static bool is_paused_or_ended(void *arg)
{
	return race_is_paused(NULL) || atomic_load(&((struct race *)arg)->ended);
}

bool race_start(struct race *r, struct holder *h, unsigned int step)
{
	*r = (struct race){ .h = h };
	knob_set(KNOB_PAUSE_STEP, step);
	CHECK_EQ(pthread_create(&r->thread, NULL, take_lease, r), 0);
	CHECK(wait_until(is_paused_or_ended, r, SUITE_WAIT_MS));
	return !atomic_load(&r->ended);
}

int race_finish(struct race *r)
{
	race_go_on();
	CHECK_EQ(pthread_join(r->thread, NULL), 0);
	return r->err;
}
