// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attr.h"
#include "context.h"
#include "errmsg.h"
#include "fcntl_watch.h"
#include "hole.h"
#include "lease_devdax.h"
#include "lease_fcntl.h"
#include "proc.h"
#include "range.h"

#define LEASE_BREAK_TIME "/proc/sys/fs/lease-break-time"

static void look(struct md_context *ctx, const struct md__range *range,
		 struct md_query_result *result)
{
	int64_t size = md__range_file_size(range);
	struct md__hole hole;

	if (size >= 0)
		result->file_size = (uint64_t)size;
	if (range->device) {
		md__lease_devdax.check(ctx, range, result);
		return;
	}
	/* To look for one the file is opened, which would break its own lease. */
	if (!md__fcntl_watch_taken(range->fd) && !md__hole_find(range, &hole)) {
		result->unallocated_offset = hole.offset;
		result->unallocated_length = hole.length;
	}
	ctx->ops->check(ctx, range, result);
	md__lease_fcntl.check(ctx, range, result);
}

int md_query(struct md_context *ctx, int fd, off_t offset, size_t length,
	     struct md_query_result *result)
{
	struct md_query_result own;
	char kept[MD__ERRMSG_MAX];
	struct md__range range;
	long seconds;

	if (!ctx || !result)
		return md__fail(EINVAL, "md_query: no %s",
				ctx ? "place for the result" : "context");
	if (ctx->forked)
		return md__fail_forked();
	if (md__attr_check(result, "md_query_result"))
		return -1;
	md__errmsg_keep(kept);
	own = (struct md_query_result){ .size = sizeof(own) };
	seconds = md__proc_number(LEASE_BREAK_TIME);
	if (seconds > 0)
		own.lease_break_ms =
			seconds < UINT32_MAX / 1000 ? (uint32_t)seconds * 1000 : UINT32_MAX;
	if (!md__range_init(&range, fd, offset, length)) {
		look(ctx, &range, &own);
	} else if (errno == EBADF) {
		return -1;
	} else {
		own.error = errno;
		snprintf(own.reason, sizeof(own.reason), "%.255s", md_errmsg());
	}
	md__errmsg_restore(kept);
	md__attr_give(result, &own, sizeof(own));
	return 0;
}
