// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The guard of a map: its rules in one thread, and across threads. */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "guard_fixture.h"

#define THREADS (3 * MD__THREAD_NUMBERS)

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
	CU_ASSERT_EQUAL(guard_wakes(), 0);
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
	CU_ASSERT_EQUAL(guard_wakes(), 0);
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
	CU_ASSERT_EQUAL(guard_wakes(), 0);
}

static void put__gate_shut__wakes_with_the_last_use_only(void)
{
	md__guard_open(&guard);
	md__guard_get(&guard);
	md__guard_get(&guard);
	md__guard_shut(&guard, EAGAIN);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 2);
	md__guard_put(&guard);
	CU_ASSERT_EQUAL(guard_wakes(), 0);
	md__guard_put(&guard);
	CU_ASSERT_EQUAL(guard_wakes(), 1);
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
	CU_ASSERT_EQUAL(write(guard_wake_fd, &full, sizeof(full)), sizeof(full));
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
	CU_ASSERT_EQUAL(guard_wakes(), 0);
	in_thread(put_one, NULL);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 0);
	CU_ASSERT_EQUAL(guard_wakes(), 1);
}

/* Each of them finds the slot as the one before has left it. */
static void get__threads_one_after_the_other__sum_is_right(void)
{
	int error;

	md__guard_open(&guard);
	for (int i = 0; i < THREADS; i++) {
		error = -1;
		in_thread(get_one, &error);
		CU_ASSERT_EQUAL(error, 0);
	}
	CU_ASSERT_EQUAL(md__guard_uses(&guard), THREADS);
	md__guard_shut(&guard, EAGAIN);
	for (int i = 0; i < THREADS; i++)
		md__guard_put(&guard);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 0);
	CU_ASSERT_EQUAL(guard_wakes(), 1);
}

static pthread_barrier_t all_are_here;

static void *get_and_put(void *arg)
{
	int error = 0;

	pthread_barrier_wait(&all_are_here);
	for (int i = 0; i < 1000 && !error; i++) {
		error = md__guard_get(&guard) ?: md__guard_get(&guard);
		md__guard_put(&guard);
	}
	pthread_barrier_wait(&all_are_here);
	*(int *)arg = error;
	return NULL;
}

/* Those that find no slot of their own share one, and none of their uses gets lost. */
static void get__more_threads_than_slots__sum_is_right(void)
{
	pthread_t thread[THREADS];
	int error[THREADS];

	md__guard_open(&guard);
	pthread_barrier_init(&all_are_here, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thread[i], NULL, get_and_put, &error[i]), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		CU_ASSERT_EQUAL(error[i], 0);
	}
	pthread_barrier_destroy(&all_are_here);
	md__guard_shut(&guard, EAGAIN);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 1000 * THREADS);
}

/* ---- without a barrier ---------------------------------------------------- */

static void *shut_denied(void *arg)
{
	int *error = arg;

	if (!guard_deny_barriers())
		printf("\n    no filters of system calls here ");
	errno = ENXIO;
	md__guard_shut(&guard, ESTALE);
	*error = errno;
	return NULL;
}

static void shut__barrier_denied_since__shut_all_the_same(void)
{
	int error = 0;

	md__guard_open(&guard);
	md__guard_get(&guard);
	in_thread(shut_denied, &error);
	CU_ASSERT_EQUAL(error, ENXIO);
	CU_ASSERT_EQUAL(md__guard_get(&guard), ESTALE);
	CU_ASSERT_EQUAL(md__guard_uses(&guard), 1);
	md__guard_put(&guard);
	CU_ASSERT_EQUAL(guard_wakes(), 1);
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
	UNIT_CASE(get__threads_one_after_the_other__sum_is_right),
	UNIT_CASE(get__more_threads_than_slots__sum_is_right),
	UNIT_CASE(shut__barrier_denied_since__shut_all_the_same),
	{ 0 },
};

int main(int argc, char **argv)
{
	return guard_main("guard", cases, argc, argv);
}
