// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The guard of a map under load, and of one use and one break at the same moment. */

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "guard_fixture.h"

/* ---- stress ----------------------------------------------------------- */

#define WORKERS 4
#define BREAKS 2000

/*
 * Another way to guard, to show that the check below sees a guard that does
 * not: it looks at the gate before it counts itself in, and not after.
 */
struct ways {
	int (*get)(struct md__guard *g);
	void (*put)(struct md__guard *g);
	void (*shut)(struct md__guard *g, int error);
};

static const struct ways real = { md__guard_get, md__guard_put, md__guard_shut };

static int naive_get(struct md__guard *g)
{
	int error = atomic_load(&g->gate);

	if (error)
		return error;
	sched_yield();
	atomic_fetch_add(&g->slot[0].gets, 1);
	return 0;
}

static void naive_put(struct md__guard *g)
{
	const uint64_t one = 1;

	atomic_fetch_add(&g->slot[0].puts, 1);
	if (!atomic_load(&g->gate) || md__guard_uses(g))
		return;
	while (write(guard_wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void shut_without_barrier(struct md__guard *g, int error)
{
	atomic_store(&g->gate, error);
}

static const struct ways naive = { naive_get, naive_put, shut_without_barrier };

static struct {
	const struct ways *ways;
	_Atomic int leased;	 /* what the guard protects */
	_Atomic int strays;	 /* uses that found it gone */
	_Atomic uint64_t inside; /* uses that got in, in all */
	_Atomic int handed_over; /* uses that wait for a put elsewhere */
	_Atomic bool stop;
	uint64_t plain; /* for the race detector: written without a lease */
} s;

/* A use that belongs to nobody is put by whoever finds it. */
static bool take_over(void)
{
	int n = atomic_load(&s.handed_over);

	return n > 0 && atomic_compare_exchange_strong(&s.handed_over, &n, n - 1);
}

static void *worker(void *arg)
{
	uint64_t seed = (uintptr_t)arg, sum = 0;

	while (!atomic_load(&s.stop)) {
		if (take_over())
			s.ways->put(&guard);
		if (s.ways->get(&guard)) {
			sched_yield();
			continue;
		}
		atomic_fetch_add_explicit(&s.inside, 1, memory_order_relaxed);
		if (s.ways == &real)
			sum += *(volatile uint64_t *)&s.plain;
		if (!(unit_random(&seed) % 16))
			sched_yield();
		if (!atomic_load_explicit(&s.leased, memory_order_relaxed))
			atomic_fetch_add(&s.strays, 1);
		if (unit_random(&seed) % 8)
			s.ways->put(&guard);
		else
			atomic_fetch_add(&s.handed_over, 1);
	}
	while (take_over())
		s.ways->put(&guard);
	return (void *)(uintptr_t)sum;
}

/* Shuts and opens; returns false if a wake-up that was due did not come. */
static bool drain(void)
{
	struct timespec nap = { .tv_nsec = 20000 };

	s.ways->shut(&guard, EAGAIN);
	while (md__guard_uses(&guard) > 0) {
		for (int naps = 0; !guard_wakes(); naps++) {
			if (naps > 500000)
				return false;
			nanosleep(&nap, NULL);
		}
	}
	return true;
}

/* Whatever the scheduler does, there is a use for each break. False: none came. */
static bool used_since(uint64_t before)
{
	struct timespec nap = { .tv_nsec = 20000 };

	for (int naps = 0; atomic_load(&s.inside) == before; naps++) {
		if (naps > 500000)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

static bool stress(const struct ways *ways)
{
	pthread_t thread[WORKERS];
	bool woken = true;

	s.ways = ways;
	atomic_store(&s.leased, 1);
	atomic_store(&s.strays, 0);
	atomic_store(&s.inside, 0);
	atomic_store(&s.stop, false);
	md__guard_open(&guard);
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&thread[i], NULL, worker, (void *)(uintptr_t)(i + 1));
	for (int i = 0; i < BREAKS && woken; i++) {
		uint64_t before;

		woken = drain();
		before = atomic_load(&s.inside);
		atomic_store_explicit(&s.leased, 0, memory_order_relaxed);
		if (ways == &real)
			s.plain++;
		sched_yield();
		atomic_store_explicit(&s.leased, 1, memory_order_relaxed);
		md__guard_open(&guard);
		woken &= used_since(before);
	}
	atomic_store(&s.stop, true);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	return woken;
}

static void stress__breaks_among_uses__nobody_inside_after_the_drain(void)
{
	CU_ASSERT(stress(&real));
	CU_ASSERT_EQUAL(atomic_load(&s.strays), 0);
	CU_ASSERT(atomic_load(&s.inside) >= BREAKS);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 0);
	printf("\n    %lu uses, %d breaks ", (unsigned long)atomic_load(&s.inside), BREAKS);
}

/* It takes a thread that is put off at the wrong place: on a busy machine, some time. */
static void stress__naive_guard__is_found_out(void)
{
	for (int tries = 0; tries < 100; tries++) {
		stress(&naive);
		if (atomic_load(&s.strays))
			break;
	}
	CU_ASSERT(atomic_load(&s.strays) > 0);
	printf("\n    %d strays ", atomic_load(&s.strays));
}

/* ---- one use and one break at the same moment ----------------------------- */

#if defined(LOCKED_INSTRUCTIONS) || !defined(__x86_64__)
#define NEEDS_BARRIER false
#else
#define NEEDS_BARRIER true
#endif
#define SECONDS 5 /* some 100000 moments, where two threads have a processor each */
#define MOMENTS_MIN 10000
#define OVER UINT_MAX

static struct {
	_Alignas(MD__GUARD_LINE) atomic_uint begun; /* the number of the moment */
	_Alignas(MD__GUARD_LINE) atomic_uint ended;
	int error; /* of get() */
} moment;

static unsigned int wait_for_change(atomic_uint *a, unsigned int from)
{
	unsigned int is;

	for (unsigned int looks = 1; (is = atomic_load(a)) == from; looks++) {
		if (!(looks % 10000))
			sched_yield();
	}
	return is;
}

/* One comes a little later than the other, by this much or that. */
static void dawdle(unsigned int turns)
{
	for (volatile unsigned int i = 0; i < turns; i++)
		;
}

static void *get_at_each_moment(void *arg)
{
	unsigned int i = 0;

	while ((i = wait_for_change(&moment.begun, i)) != OVER) {
		dawdle(i % 16);
		moment.error = md__guard_get(&guard);
		atomic_store(&moment.ended, i);
	}
	return arg;
}

static void *put_at_each_moment(void *arg)
{
	unsigned int i = 0;

	while ((i = wait_for_change(&moment.begun, i)) != OVER) {
		dawdle(i % 16);
		md__guard_put(&guard);
		atomic_store(&moment.ended, i);
	}
	return arg;
}

static pthread_t begin_moments(void *(*other)(void *))
{
	pthread_t thread;

	atomic_store(&moment.begun, 0);
	atomic_store(&moment.ended, 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, other, NULL), 0);
	return thread;
}

/* Takes the slots' cache lines from the other, which then has to wait for its stores. */
static void begin_moment(unsigned int i)
{
	atomic_store(&moment.begun, i);
	for (unsigned int looks = 0; looks < i / 16 % 16; looks++)
		md__guard_uses(&guard);
}

static uint64_t seconds_from_now(unsigned int seconds)
{
	return md__now() + seconds * UINT64_C(1000000000);
}

static void end_moments(pthread_t thread)
{
	atomic_store(&moment.begun, OVER);
	pthread_join(thread, NULL);
}

/* A use that gets in and that the break does not see: at which moment; 0: at none. */
static unsigned int first_unseen(void (*shut)(struct md__guard *g, int error), unsigned int seconds)
{
	const uint64_t end = seconds_from_now(seconds);
	pthread_t user = begin_moments(get_at_each_moment);
	unsigned int found = 0;

	for (unsigned int i = 1; !found && (i <= MOMENTS_MIN || md__now() < end); i++) {
		bool seen;

		md__guard_open(&guard);
		begin_moment(i);
		shut(&guard, EAGAIN);
		seen = md__guard_uses(&guard) > 0;
		wait_for_change(&moment.ended, i - 1);
		if (moment.error)
			continue;
		if (!seen)
			found = i;
		md__guard_put(&guard);
	}
	end_moments(user);
	return found;
}

static void get__while_it_is_shut__not_in_or_seen(void)
{
	CU_ASSERT_EQUAL(first_unseen(md__guard_shut, SECONDS), 0);
}

/*
 * There is none where uses are counted by locked instructions, on one processor, and on
 * those that keep a store-release before a later load-acquire, as arm64 does.
 */
static void get__while_it_is_shut_without_barrier__unseen_use_is_found_out(void)
{
	unsigned int at;

	md__guard_open(&guard);
	CU_ASSERT_EQUAL(md__guard_get(&guard), 0);
	md__guard_put(&guard);
	if (!NEEDS_BARRIER || md__thread_number_here < 0 || unit_cpus() < 2)
		return;
	at = first_unseen(shut_without_barrier, 40 * SECONDS);
	CU_ASSERT(at > 0);
	printf("\n    at moment %u ", at);
}

static void put__while_another_is_put__one_wakes(void)
{
	const uint64_t end = seconds_from_now(SECONDS);
	pthread_t user = begin_moments(put_at_each_moment);
	unsigned int lost = 0;

	for (unsigned int i = 1; i <= MOMENTS_MIN || md__now() < end; i++) {
		md__guard_open(&guard);
		md__guard_get(&guard);
		md__guard_get(&guard);
		md__guard_shut(&guard, EAGAIN);
		begin_moment(i);
		md__guard_put(&guard);
		wait_for_change(&moment.ended, i - 1);
		lost += !guard_wakes();
	}
	end_moments(user);
	CU_ASSERT_EQUAL(lost, 0);
}

static const struct unit_case cases[] = {
	UNIT_CASE(stress__breaks_among_uses__nobody_inside_after_the_drain),
	UNIT_CASE(stress__naive_guard__is_found_out),
	UNIT_CASE(get__while_it_is_shut__not_in_or_seen),
	UNIT_CASE(get__while_it_is_shut_without_barrier__unseen_use_is_found_out),
	UNIT_CASE(put__while_another_is_put__one_wakes),
	{ 0 },
};

int main(int argc, char **argv)
{
	return guard_main("guard_race", cases, argc, argv);
}
