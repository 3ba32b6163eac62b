// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Deregistration of many regions at once, by a break. */

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "context.h"
#include "fixture.h"

#define FEW 511 /* the most that are left to one thread */
#define MANY 1500

static struct md_map *map;
static struct md_mr *mr[MANY];

static void reg_all(unsigned int n)
{
	unsigned int bad = 0;

	map = fixture_map(MD_MAP_RESTORE);
	for (unsigned int i = 0; i < n; i++) {
		mr[i] = md_reg_mr(&fake_pd, map, 0, PAGE, RW);
		bad += !mr[i];
	}
	CU_ASSERT_EQUAL_FATAL(bad, 0);
	CU_ASSERT_EQUAL(fake_verbs_live(), n);
}

/* After a break and a restore each is there again. */
static void check_and_end(unsigned int n)
{
	unsigned int dead = 0, stuck = 0;

	for (unsigned int i = 0; i < n; i++)
		dead += !fake_verbs_write(mr[i]->rkey, 0, 1);
	CU_ASSERT_EQUAL(dead, 0);
	CU_ASSERT_EQUAL(fake_verbs_live(), n);
	for (unsigned int i = 0; i < n; i++)
		stuck += md_dereg_mr(mr[i]) != 0;
	CU_ASSERT_EQUAL(stuck, 0);
	fixture_unmap(map);
}

/* ---- who does it ----------------------------------------------------------- */

static atomic_uint deregs, elsewhere;
static pthread_t service; /* who runs the break */
static bool waited;	  /* the service has */

/*
 * The service waits until another thread is at it, too, but not for ever; and that one
 * then takes so long that it comes late where it is not waited for.
 */
static void count_threads(void)
{
	struct timespec nap = { .tv_nsec = 1000000 };

	atomic_fetch_add(&deregs, 1);
	if (!pthread_equal(service, pthread_self())) {
		if (!atomic_fetch_add(&elsewhere, 1))
			usleep(100000);
		return;
	}
	for (int naps = 0; !waited && !atomic_load(&elsewhere) && naps < 200; naps++)
		nanosleep(&nap, NULL);
	waited = true;
}

/* How many regions were deregistered by other threads than the service. */
static unsigned int break_and_count(unsigned int n)
{
	reg_all(n);
	atomic_store(&deregs, 0);
	atomic_store(&elsewhere, 0);
	service = threaded ? ctx->thread : pthread_self();
	waited = false;
	fake_verbs_at_dereg(count_threads);
	break_and_release();
	fake_verbs_at_dereg(NULL);
	CU_ASSERT_EQUAL(atomic_load(&deregs), n);
	pass_event(MD_EVENT_RESTORED);
	check_and_end(n);
	return atomic_load(&elsewhere);
}

static void break__few_regions__one_thread(void)
{
	CU_ASSERT_EQUAL(break_and_count(FEW), 0);
}

static void break__many_regions__several_threads_if_there_may_be(void)
{
	bool several = threaded && unit_cpus() > 1;
	unsigned int others = break_and_count(MANY);

	CU_ASSERT_EQUAL(others > 0, several);
	CU_ASSERT(others <= MANY - MANY / 8);
}

/* ---- failures ---------------------------------------------------------------- */

/* Whichever thread has it, it holds the release up until it is gone. */
static void one_stays(unsigned int which)
{
	reg_all(MANY);
	fake_verbs_fail_dereg_of(mr[which]->rkey, 3, EBUSY);
	break_and_release();
	pass_event(MD_EVENT_RESTORED);
	check_and_end(MANY);
}

static void break__first_of_many_stays__tried_again(void)
{
	one_stays(0);
}

static void break__last_of_many_stays__tried_again(void)
{
	one_stays(MANY - 1);
}

static const struct unit_case cases[] = {
	UNIT_CASE(break__few_regions__one_thread),
	UNIT_CASE(break__many_regions__several_threads_if_there_may_be),
	UNIT_CASE(break__first_of_many_stays__tried_again),
	UNIT_CASE(break__last_of_many_stays__tried_again),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("dereg", cases, argc, argv);
}
