// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <unistd.h>

#include "fork.h"
#include "lease.h"
#include "reserve.h"

int md__lease_init(struct md__lease *lease, const struct md__range *range)
{
	*lease = (struct md__lease){ .fd = -1, .length = range->length };
	lease->addr = md__reserve(range->offset, range->length);
	if (!lease->addr)
		return -1;
	lease->anchor = md__reserve(range->offset, range->length);
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
	if (lease->fd >= 0)
		close(lease->fd);
	lease->fd = -1;
	md__fork_let();
	md__reserve_again(lease->addr, lease->length);
	if (lease->anchor)
		md__reserve_again(lease->anchor, lease->length);
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
