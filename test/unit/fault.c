// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Whether a call fails. */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "fault_calls.h"

#define FORCED 4

/* How a call can fail. */
#define ERROR (1U << FAULT_ERROR)
#define INTERRUPT (1U << FAULT_EINTR)

struct fault_sys fault_sys;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int countdown; /* calls until one fails; 0: none does */
static enum fault_kind kind;
static const char *only; /* NULL: any call */
static const char *fired;
static int fired_error;
static pthread_t fired_in;
static struct {
	const char *name;
	unsigned int times;
	int error;
} forced[FORCED];

static struct {
	const char *name;
	unsigned int can;
	unsigned int did; /* having been armed */
} calls[] = {
	{ "aligned_alloc", ERROR, 0 },
	{ "calloc", ERROR, 0 },
	{ "capget", ERROR, 0 },
	{ "epoll_create1", ERROR, 0 },
	{ "epoll_ctl ADD", ERROR, 0 },
	{ "epoll_ctl DEL", ERROR, 0 },
	{ "eventfd", ERROR, 0 },
	{ "fallocate", ERROR, 0 },
	{ "fcntl DUPFD", ERROR, 0 },
	{ "fcntl GETFL", ERROR, 0 },
	{ "fcntl GETSIG", ERROR, 0 },
	{ "fcntl OWN_EX", ERROR, 0 },
	{ "fcntl SETFL", ERROR, 0 },
	{ "fcntl SETLEASE", ERROR, 0 },
	{ "fcntl SETSIG", ERROR, 0 },
	{ "fcntl UNLCK", ERROR, 0 },
	{ "fstat", ERROR, 0 },
	{ "fstatfs", ERROR, 0 },
	{ "fstatvfs", ERROR, 0 },
	{ "fsync", ERROR, 0 },
	{ "getaddrinfo", ERROR, 0 },
	{ "getnameinfo", ERROR, 0 },
	{ "ibv_create_comp_channel", ERROR, 0 },
	{ "ibv_create_cq", ERROR, 0 },
	{ "ibv_dereg_mr", ERROR, 0 },
	{ "ibv_modify_qp", ERROR, 0 },
	{ "ibv_reg_mr", ERROR, 0 },
	{ "ioctl FIEMAP", ERROR, 0 },
	{ "ioctl INFO", ERROR, 0 },
	{ "ioctl STATUS", ERROR, 0 },
	{ "lseek", ERROR, 0 },
	{ "madvise DONTFORK", ERROR, 0 },
	{ "madvise POPULATE_WRITE", ERROR, 0 },
	{ "membarrier", ERROR, 0 },
	{ "mincore", ERROR, 0 },
	{ "mmap SYNC", ERROR, 0 },
	{ "mmap file", ERROR, 0 },
	{ "mmap reserve again", ERROR, 0 },
	{ "mmap reserve", ERROR, 0 },
	{ "msync", ERROR, 0 },
	{ "munmap", ERROR, 0 },
	{ "open file again", ERROR, 0 },
	{ "open sysctl", ERROR, 0 },
	{ "open sysfs", ERROR, 0 },
	{ "preadv2", ERROR, 0 },
	{ "pthread_atfork", ERROR, 0 },
	{ "pthread_create", ERROR, 0 },
	{ "pthread_setname_np", ERROR, 0 },
	{ "rdma_accept", ERROR, 0 },
	{ "rdma_bind_addr", ERROR, 0 },
	{ "rdma_connect", ERROR, 0 },
	{ "rdma_create_event_channel", ERROR, 0 },
	{ "rdma_create_id", ERROR, 0 },
	{ "rdma_create_qp", ERROR, 0 },
	{ "rdma_disconnect", ERROR, 0 },
	{ "rdma_listen", ERROR, 0 },
	{ "rdma_reject", ERROR, 0 },
	{ "rdma_resolve_addr", ERROR, 0 },
	{ "rdma_resolve_route", ERROR, 0 },
	{ "readlink", ERROR, 0 },
	{ "realpath", ERROR, 0 },
	{ "statx", ERROR, 0 },
	{ "strdup", ERROR, 0 },
	{ "syncfs", ERROR, 0 },
	{ "timerfd_create", ERROR, 0 },
	{ "close", ERROR | INTERRUPT, 0 },
	{ "ioctl LEASE", ERROR | INTERRUPT, 0 },
	{ "ioctl RELEASE", ERROR | INTERRUPT, 0 },
	{ "open device", ERROR | INTERRUPT, 0 },
	{ "poll", ERROR | INTERRUPT, 0 },
	{ "read", ERROR | INTERRUPT, 0 },
	{ "epoll_wait", INTERRUPT, 0 },
	{ "sem_wait", INTERRUPT, 0 },
	{ "sigtimedwait", INTERRUPT, 0 },
	{ "write", INTERRUPT, 0 },
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

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

static void arm(unsigned int nth, enum fault_kind which, const char *name)
{
	pthread_mutex_lock(&lock);
	countdown = nth;
	kind = which;
	only = name;
	fired = NULL;
	fired_error = 0;
	pthread_mutex_unlock(&lock);
}

void fault_arm(unsigned int nth, enum fault_kind which)
{
	arm(nth, which, NULL);
}

void fault_arm_call(const char *name, enum fault_kind which)
{
	arm(1, which, name);
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

const char *fault_untried(enum fault_kind which, size_t *at)
{
	while (*at < CALLS) {
		unsigned int open = calls[*at].can & ~calls[*at].did;

		++*at;
		if (open & 1U << which)
			return calls[*at - 1].name;
	}
	return NULL;
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

/* A call that is not listed, or listed otherwise, would not be missed. */
static size_t find(const char *name, int error, bool interrupted)
{
	size_t i = 0;

	while (i < CALLS && strcmp(calls[i].name, name))
		i++;
	if (i == CALLS || (error && !(calls[i].can & ERROR)) ||
	    interrupted != !!(calls[i].can & INTERRUPT)) {
		fprintf(stderr, "fault: %s is not in calls[] as it should be\n", name);
		abort();
	}
	return i;
}

bool fault__fails(const char *name, int error, bool interrupted)
{
	size_t call = find(name, error, interrupted);
	int failure;

	pthread_mutex_lock(&lock);
	failure = force(name);
	if (kind == FAULT_EINTR)
		error = interrupted ? EINTR : NEVER;
	if (only && strcmp(only, name))
		error = NEVER;
	if (!failure && error && countdown && !--countdown) {
		failure = fired_error = error;
		fired = name;
		calls[call].did |= 1U << kind;
		fired_in = pthread_self();
	}
	pthread_mutex_unlock(&lock);
	if (failure)
		errno = failure;
	return failure;
}
