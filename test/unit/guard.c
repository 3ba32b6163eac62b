// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The guard of a map: its rules in one thread, across threads, and under load. */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "guard.h"
#include "unit.h"

static struct md__guard guard;
static int wake_fd;

static void setup(void)
{
	wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	md__guard_init(&guard, wake_fd);
}

static void teardown(void)
{
	close(wake_fd);
}

static unsigned int wakes(void)
{
	uint64_t n;

	return read(wake_fd, &n, sizeof(n)) == sizeof(n) ? (unsigned int)n : 0;
}

/* Runs a function in a thread of its own, to its end. */
static void in_thread(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, fn, arg), 0);
	pthread_join(t, NULL);
}

static void *put_one(void *arg)
{
	(void)arg;
	md__guard_put(&guard);
	return NULL;
}

static void *get_one(void *arg)
{
	*(int *)arg = md__guard_get(&guard);
	return NULL;
}

static void init__new_guard__is_shut(void)
{
	CU_ASSERT_EQUAL(md__guard_get(&guard), EAGAIN);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 0);
	CU_ASSERT_EQUAL(wakes(), 0);
}

static void get__open__counts(void)
{
	md__guard_open(&guard);
	CU_ASSERT_EQUAL(md__guard_get(&guard), 0);
	CU_ASSERT_EQUAL(md__guard_get(&guard), 0);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 2);
	md__guard_put(&guard);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 1);
	md__guard_put(&guard);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 0);
}

static void get__shut__errno_of_the_gate_and_no_wake(void)
{
	md__guard_open(&guard);
	md__guard_shut(&guard, EAGAIN);
	CU_ASSERT_EQUAL(md__guard_get(&guard), EAGAIN);
	md__guard_shut(&guard, ESTALE);
	CU_ASSERT_EQUAL(md__guard_get(&guard), ESTALE);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 0);
	CU_ASSERT_EQUAL(wakes(), 0);
}

static void get__opened_again__works(void)
{
	md__guard_open(&guard);
	md__guard_shut(&guard, EAGAIN);
	md__guard_open(&guard);
	CU_ASSERT_EQUAL(md__guard_get(&guard), 0);
	md__guard_put(&guard);
}

static void put__gate_open__does_not_wake(void)
{
	md__guard_open(&guard);
	md__guard_get(&guard);
	md__guard_put(&guard);
	CU_ASSERT_EQUAL(wakes(), 0);
}

static void put__gate_shut__wakes_with_the_last_use_only(void)
{
	md__guard_open(&guard);
	md__guard_get(&guard);
	md__guard_get(&guard);
	md__guard_shut(&guard, EAGAIN);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 2);
	md__guard_put(&guard);
	CU_ASSERT_EQUAL(wakes(), 0);
	md__guard_put(&guard);
	CU_ASSERT_EQUAL(wakes(), 1);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 0);
}

static void put__wakes_or_not__errno_is_kept(void)
{
	const uint64_t full = UINT64_MAX - 1;

	md__guard_open(&guard);
	md__guard_get(&guard);
	errno = ENXIO;
	md__guard_put(&guard);
	CU_ASSERT_EQUAL(errno, ENXIO);

	/* An eventfd that cannot take more fails its writer with EAGAIN. */
	CU_ASSERT_EQUAL(write(wake_fd, &full, sizeof(full)), sizeof(full));
	md__guard_get(&guard);
	md__guard_shut(&guard, EAGAIN);
	errno = ENXIO;
	md__guard_put(&guard);
	CU_ASSERT_EQUAL(errno, ENXIO);
}

static void put__in_another_thread__sum_is_right(void)
{
	md__guard_open(&guard);
	for (int i = 0; i < 3; i++)
		md__guard_get(&guard);
	md__guard_shut(&guard, EAGAIN);
	in_thread(put_one, NULL);
	in_thread(put_one, NULL);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 1);
	CU_ASSERT_EQUAL(wakes(), 0);
	in_thread(put_one, NULL);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 0);
	CU_ASSERT_EQUAL(wakes(), 1);
}

/* Slots are shared from here on, and threads that ended leave theirs behind. */
static void get__more_threads_than_slots__sum_is_right(void)
{
	int error;

	md__guard_open(&guard);
	for (int i = 0; i < 3 * MD__GUARD_SLOTS; i++) {
		error = -1;
		in_thread(get_one, &error);
		CU_ASSERT_EQUAL(error, 0);
	}
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 3 * MD__GUARD_SLOTS);
	md__guard_shut(&guard, EAGAIN);
	for (int i = 0; i < 3 * MD__GUARD_SLOTS; i++)
		md__guard_put(&guard);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 0);
	CU_ASSERT_EQUAL(wakes(), 1);
}

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
};

static const struct ways real = { md__guard_get, md__guard_put };

static int naive_get(struct md__guard *g)
{
	int error = atomic_load(&g->gate);

	if (error)
		return error;
	sched_yield();
	atomic_fetch_add(&g->slot[0].uses, 1);
	return 0;
}

static void naive_put(struct md__guard *g)
{
	const uint64_t one = 1;

	if (atomic_fetch_sub(&g->slot[0].uses, 1) != 1 || !atomic_load(&g->gate))
		return;
	while (write(wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static const struct ways naive = { naive_get, naive_put };

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

	md__guard_shut(&guard, EAGAIN);
	while (md__guard_uses(&guard) > 0) {
		for (int naps = 0; !wakes(); naps++) {
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

static const struct unit_case cases[] = {
	UNIT_CASE(init__new_guard__is_shut),
	UNIT_CASE(get__open__counts),
	UNIT_CASE(get__shut__errno_of_the_gate_and_no_wake),
	UNIT_CASE(get__opened_again__works),
	UNIT_CASE(put__gate_open__does_not_wake),
	UNIT_CASE(put__gate_shut__wakes_with_the_last_use_only),
	UNIT_CASE(put__wakes_or_not__errno_is_kept),
	UNIT_CASE(put__in_another_thread__sum_is_right),
	UNIT_CASE(get__more_threads_than_slots__sum_is_right),
	UNIT_CASE(stress__breaks_among_uses__nobody_inside_after_the_drain),
	UNIT_CASE(stress__naive_guard__is_found_out),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("guard", cases, setup, teardown, argc, argv);
}
