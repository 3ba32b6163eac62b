// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* One thread's barrier for all threads; barrier.h says what for. */

#include <errno.h>
#include <linux/membarrier.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "barrier.h"

static _Atomic bool prepared;

/* The C library has none. Returns 0, or -1 with errno. */
static long membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0);
}

bool md__barrier_prepare(void)
{
	if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED))
		return false;
	atomic_store(&prepared, true);
	return true;
}

/*
 * The fast command can be short of memory (membarrier_private_expedited() in
 * kernel/sched/membarrier.c, v6.1), the slow one is not to be had with nohz_full;
 * and a filter of system calls may have come since. A processor's store buffer
 * drains of its own accord, in far less than a millisecond.
 */
void md__barrier_all(void)
{
	struct timespec left = { .tv_nsec = 1000000 };
	int saved = errno;

	if (!atomic_load(&prepared))
		return;
	if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) && membarrier(MEMBARRIER_CMD_GLOBAL))
		while (nanosleep(&left, &left) && errno == EINTR)
			;
	errno = saved;
}
