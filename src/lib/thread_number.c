// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Small numbers for threads. */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "barrier.h"
#include "thread_number.h"

/* The last one is for those that come too late for one of their own. */
#define OWN (MD__THREAD_NUMBERS - 1)

_Thread_local int md__thread_number_here;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* its destructor gives the number back */
static bool own;
static atomic_bool gone;       /* the key */
static _Atomic uint64_t taken; /* bit n - 1: n is somebody's own */
static _Atomic unsigned int sharers;

static uint64_t bit(int number)
{
	return UINT64_C(1) << (number - 1);
}

static void give_back(void *number)
{
	/* Destructors that run after this one can still ask. */
	md__thread_number_here = -MD__THREAD_NUMBERS;
	atomic_fetch_and(&taken, ~bit((int)(intptr_t)number));
}

static void prepare(void)
{
	own = md__barrier_prepare() && !pthread_key_create(&key, give_back);
}

/* Else the destructor of the key would be called when it is not there any more. */
__attribute__((destructor)) static void forget(void)
{
	if (!own)
		return;
	atomic_store(&gone, true);
	pthread_key_delete(key);
}

/* Returns 0 if there is none left. */
static int take_own(void)
{
	uint64_t seen = atomic_load(&taken);
	int n;

	do {
		n = __builtin_ffsll((long long)~seen);
		if (!n || n > OWN || atomic_load(&gone))
			return 0;
	} while (!atomic_compare_exchange_weak(&taken, &seen, seen | bit(n)));
	/* Short of memory. */
	if (pthread_setspecific(key, (void *)(intptr_t)n)) {
		atomic_fetch_and(&taken, ~bit(n));
		return 0;
	}
	return n;
}

void md__thread_numbers_prepare(void)
{
	pthread_once(&once, prepare);
}

int md__thread_number_take(void)
{
	int saved = errno;
	int n;

	if (own)
		n = take_own() ?: -MD__THREAD_NUMBERS;
	else
		n = -1 - (int)(atomic_fetch_add(&sharers, 1) % MD__THREAD_NUMBERS);
	md__thread_number_here = n;
	errno = saved;
	return n;
}

void md__thread_numbers_forked(void)
{
	atomic_store(&taken, md__thread_number_here > 0 ? bit(md__thread_number_here) : 0);
}
