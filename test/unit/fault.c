// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Whether a call fails. */

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "fault.h"
#include "fault_calls.h"

#define FORCED 4

struct fault_sys fault_sys;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int countdown; /* calls until one fails; 0: none does */
static enum fault_kind kind;
static const char *fired;
static int fired_error;
static pthread_t fired_in;
static struct {
	const char *name;
	unsigned int times;
	int error;
} forced[FORCED];

atomic_long fault__blocks, fault__bytes, fault__fds;

static void lock_it(void)
{
	pthread_mutex_lock(&lock);
}

static void unlock_it(void)
{
	pthread_mutex_unlock(&lock);
}

/* Before the library does, whose own handlers make calls. */
static void __attribute__((constructor)) prepare_for_fork(void)
{
	pthread_atfork(lock_it, unlock_it, unlock_it);
}

/* ---- the test's side ----------------------------------------------------- */

void fault_arm(unsigned int nth, enum fault_kind which)
{
	pthread_mutex_lock(&lock);
	countdown = nth;
	kind = which;
	fired = NULL;
	fired_error = 0;
	pthread_mutex_unlock(&lock);
}

void fault_disarm(void)
{
	fault_arm(0, FAULT_ERROR);
	pthread_mutex_lock(&lock);
	memset(forced, 0, sizeof(forced));
	pthread_mutex_unlock(&lock);
}

const char *fault_fired(void)
{
	const char *name;

	pthread_mutex_lock(&lock);
	name = fired;
	pthread_mutex_unlock(&lock);
	return name;
}

bool fault_fired_here(void)
{
	bool here;

	pthread_mutex_lock(&lock);
	here = fired && pthread_equal(fired_in, pthread_self());
	pthread_mutex_unlock(&lock);
	return here;
}

int fault_error(void)
{
	int error;

	pthread_mutex_lock(&lock);
	error = fired_error;
	pthread_mutex_unlock(&lock);
	return error;
}

void fault_force(const char *name, unsigned int times, int error)
{
	int i = 0;

	pthread_mutex_lock(&lock);
	while (i < FORCED - 1 && forced[i].times)
		i++;
	forced[i].name = name;
	forced[i].times = times;
	forced[i].error = error;
	pthread_mutex_unlock(&lock);
}

struct fault_balance fault_balance(void)
{
	return (struct fault_balance){ fault__blocks, fault__bytes, fault__fds };
}

void fault_forget_bytes(long left)
{
	fault__bytes -= left;
}

/* ---- whether a call fails ------------------------------------------------ */

static int force(const char *name)
{
	for (int i = 0; i < FORCED; i++) {
		if (forced[i].times && !strcmp(forced[i].name, name)) {
			forced[i].times--;
			return forced[i].error;
		}
	}
	return 0;
}

bool fault__fails(const char *name, int error, bool interrupted)
{
	int failure;

	pthread_mutex_lock(&lock);
	failure = force(name);
	if (kind == FAULT_EINTR)
		error = interrupted ? EINTR : NEVER;
	if (!failure && error && countdown && !--countdown) {
		failure = fired_error = error;
		fired = name;
		fired_in = pthread_self();
	}
	pthread_mutex_unlock(&lock);
	if (failure)
		errno = failure;
	return failure;
}
