// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The guard of a map; guard.h says why it is right. */

#include <errno.h>
#include <unistd.h>

#include "guard.h"

static _Atomic int64_t *my_slot(struct md__guard *g)
{
	static _Atomic unsigned int threads;
	static _Thread_local unsigned int mine;

	if (!mine)
		mine = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) %
			       MD__GUARD_SLOTS +
		       1;
	return &g->slot[mine - 1].uses;
}

static void leave(struct md__guard *g)
{
	const uint64_t one = 1;
	int saved = errno;

	atomic_fetch_sub(my_slot(g), 1);
	if (!atomic_load(&g->gate) || md__guard_uses(g))
		return;
	/* A full eventfd counter (EAGAIN) is readable already. */
	while (write(g->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	errno = saved;
}

void md__guard_init(struct md__guard *g, int wake_fd)
{
	atomic_init(&g->gate, EAGAIN);
	g->wake_fd = wake_fd;
	for (int i = 0; i < MD__GUARD_SLOTS; i++)
		atomic_init(&g->slot[i].uses, 0);
}

void md__guard_open(struct md__guard *g)
{
	atomic_store(&g->gate, 0);
}

void md__guard_shut(struct md__guard *g, int error)
{
	atomic_store(&g->gate, error);
}

int md__guard_get(struct md__guard *g)
{
	/* Without this look, callers that retry would keep the sum moving. */
	int error = atomic_load_explicit(&g->gate, memory_order_relaxed);

	if (error)
		return error;
	atomic_fetch_add(my_slot(g), 1);
	error = atomic_load(&g->gate);
	if (error)
		leave(g);
	return error;
}

void md__guard_hold(struct md__guard *g)
{
	atomic_fetch_add(my_slot(g), 1);
}

void md__guard_put(struct md__guard *g)
{
	leave(g);
}

int64_t md__guard_uses(struct md__guard *g)
{
	int64_t sum = 0;

	for (int i = 0; i < MD__GUARD_SLOTS; i++)
		sum += atomic_load(&g->slot[i].uses);
	return sum;
}
