// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The guard of a map; guard.h says why it is right. */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "barrier.h"
#include "guard.h"

static struct md__guard_slot *my_slot(struct md__guard *g)
{
	int n = md__thread_number_here ?: md__thread_number_take();

	return &g->slot[abs(n) - 1];
}

/* Other threads may be here at the same time: the addition of 0 is the barrier. */
void md__guard_wake(struct md__guard *g)
{
	const uint64_t one = 1;
	int saved = errno;

	/* A child after fork(2) has closed the descriptor. */
	if (atomic_load(&g->gate) == ECHILD)
		return;
	atomic_fetch_add(&my_slot(g)->puts, 0);
	if (md__guard_uses(g))
		return;
	/* A full eventfd counter (EAGAIN) is readable already. */
	while (write(g->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	errno = saved;
}

/* Locked instructions are right in a slot of the thread's own, too. */
void md__guard_hold(struct md__guard *g)
{
	atomic_fetch_add(&my_slot(g)->gets, 1);
}

int md__guard_get(struct md__guard *g)
{
	int error;

	if (md__guard_try(g))
		return 0;
	error = atomic_load_explicit(&g->gate, memory_order_relaxed);
	if (error)
		return error;
	md__guard_hold(g);
	error = atomic_load(&g->gate);
	if (error)
		md__guard_put(g);
	return error;
}

void md__guard_put_shared(struct md__guard *g)
{
	atomic_fetch_add(&my_slot(g)->puts, 1);
	if (atomic_load(&g->gate))
		md__guard_wake(g);
}

void md__guard_init(struct md__guard *g, int wake_fd)
{
	md__thread_numbers_prepare();
	atomic_init(&g->gate, EAGAIN);
	g->wake_fd = wake_fd;
	for (int i = 0; i < MD__THREAD_NUMBERS; i++) {
		atomic_init(&g->slot[i].gets, 0);
		atomic_init(&g->slot[i].puts, 0);
	}
}

void md__guard_open(struct md__guard *g)
{
	atomic_store(&g->gate, 0);
}

void md__guard_shut(struct md__guard *g, int error)
{
	atomic_store(&g->gate, error);
	md__barrier_all();
}

int64_t md__guard_uses(struct md__guard *g)
{
	uint64_t gets = 0, puts = 0;

	for (int i = 0; i < MD__THREAD_NUMBERS; i++)
		puts += atomic_load(&g->slot[i].puts);
	for (int i = 0; i < MD__THREAD_NUMBERS; i++)
		gets += atomic_load(&g->slot[i].gets);
	return (int64_t)(gets - puts);
}
