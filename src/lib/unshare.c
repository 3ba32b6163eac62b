// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "errmsg.h"
#include "populate.h"
#include "unshare.h"

#define BATCH 32
#define CHUNK ((uint64_t)16 << 20)

/* FIEMAP and fallocate sleep on the inode's lock; this read does not. */
static bool is_locked(const struct md__range *range)
{
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = sizeof(byte) };

	return preadv2(range->fd, &iov, 1, (off_t)range->offset, RWF_NOWAIT) < 0 && errno == EAGAIN;
}

/* The first extent from @start on that has other owners. 1, or 0: none has; or -1. */
static int next_shared(int fd, uint64_t start, struct fiemap_extent *found)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + BATCH * sizeof(struct fiemap_extent)];
	} u;
	const struct fiemap_extent *e = NULL;

	do {
		u.map = (struct fiemap){
			.fm_start = start,
			.fm_length = FIEMAP_MAX_OFFSET - start,
			.fm_extent_count = BATCH,
		};
		if (ioctl(fd, FS_IOC_FIEMAP, &u.map))
			return -1;
		for (uint32_t i = 0; i < u.map.fm_mapped_extents; i++) {
			e = &u.map.fm_extents[i];
			start = e->fe_logical + e->fe_length;
			if (e->fe_flags & FIEMAP_EXTENT_SHARED) {
				*found = *e;
				return 1;
			}
		}
	} while (u.map.fm_mapped_extents && !(e->fe_flags & FIEMAP_EXTENT_LAST));
	return 0;
}

static int fail(const struct md__range *range)
{
	return md__fail(errno, "cannot copy what the file shares with others: %s: %s",
			strerror(errno), range->text);
}

static int check_lock(const struct md__range *range, const struct md__lease *lease)
{
	if (lease->restored && is_locked(range))
		return md__fail(EAGAIN, "somebody is just changing the file: %s", range->text);
	return 0;
}

/*
 * XFS looks then, too, whether the inode has to be called shared any longer.
 * @done: how many bytes of it are copied
 */
static int copy(const struct md__range *range, const struct md__lease *lease,
		const struct fiemap_extent *e, size_t *done)
{
	md__populate_more(lease->populate, (int64_t)(e->fe_length - *done));
	while (*done < e->fe_length) {
		uint64_t left = e->fe_length - *done;
		uint64_t length = left < CHUNK ? left : CHUNK;

		if (check_lock(range, lease))
			return -1;
		if (fallocate(range->fd, FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE,
			      (off_t)(e->fe_logical + *done), (off_t)length))
			return fail(range);
		*done += length;
		if (md__populate_step(lease->populate, length)) {
			/* Counted again when it goes on. */
			md__populate_more(lease->populate, -(int64_t)(left - length));
			return -1;
		}
	}
	return 0;
}

static int copy_shared(const struct md__range *range, const struct md__lease *lease,
		       const struct fiemap_extent *e)
{
	size_t done = 0;

	if (fsync(range->fd))
		return fail(range);
	return copy(range, lease, e, &done);
}

int md__unshare(const struct md__range *range, struct md__lease *lease, bool marked)
{
	const struct fiemap_extent all = {
		.fe_logical = range->offset,
		.fe_length = range->length,
	};
	struct fiemap_extent e = { 0 };
	int found;

	if (check_lock(range, lease))
		return -1;
	while ((found = next_shared(range->fd, e.fe_logical + e.fe_length, &e)) > 0) {
		marked = false;
		if (copy_shared(range, lease, &e))
			return -1;
	}
	if (found < 0)
		return fail(range);
	if (!marked)
		return 0;
	/* Linux 6.12 takes no mark from an inode that has been dirty since it was synced. */
	if (!lease->done && syncfs(range->fd))
		return fail(range);
	return copy(range, lease, &all, &lease->done);
}
