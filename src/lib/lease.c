// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "fork.h"
#include "lease.h"
#include "reserve.h"

/* The clock makes it rise from one process to the next, too. */
uint64_t md__lease_number(void)
{
	static _Atomic uint64_t last;
	uint64_t before = atomic_load(&last), now = md__now(), number;

	do {
		number = now > before ? now : before + 1;
	} while (!atomic_compare_exchange_weak(&last, &before, number));
	return number;
}

int md__lease_init(struct md__lease *lease, const struct md__range *range)
{
	*lease = (struct md__lease){ .fd = -1, .length = range->length };
	lease->addr = md__reserve(range->offset, range->length, range->align);
	if (!lease->addr)
		return -1;
	lease->anchor = md__reserve(range->offset, range->length, range->align);
	if (lease->anchor)
		return 0;
	md__unreserve(lease->addr, lease->length);
	return -1;
}

/*
 * The anchor goes last: as long as the descriptor is open, losing the anchor
 * is a break of its own (uapi.h).
 */
void md__lease_drop(struct md__lease *lease)
{
	md__fork_hold();
	/* Between two parts of a restore there is none, and others may look. */
	if (lease->fd >= 0) {
		close(lease->fd);
		lease->fd = -1;
	}
	free(lease->data);
	lease->data = NULL;
	md__fork_let();
	lease->step = 0;
	lease->done = 0;
	md__reserve_again(lease->addr, lease->length);
	if (lease->anchor)
		md__reserve_again(lease->anchor, lease->length);
	atomic_store(lease->stage, MD__NO_LEASE);
}

void md__lease_keep_anchor(struct md__lease *lease)
{
	lease->anchor = NULL;
}

void md__lease_fini(struct md__lease *lease)
{
	md__unreserve(lease->addr, lease->length);
	if (lease->anchor)
		md__unreserve(lease->anchor, lease->length);
}
