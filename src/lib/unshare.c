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

/* 1: a block of the range has other owners as well; 0: none has; or -1. */
static int is_shared(const struct md__range *range)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + BATCH * sizeof(struct fiemap_extent)];
	} u;
	const uint64_t end = range->offset + range->length;
	const struct fiemap_extent *last;

	for (uint64_t start = range->offset; start < end;
	     start = last->fe_logical + last->fe_length) {
		u.map = (struct fiemap){
			.fm_start = start,
			.fm_length = end - start,
			.fm_extent_count = BATCH,
		};
		if (ioctl(range->fd, FS_IOC_FIEMAP, &u.map))
			return -1;
		if (!u.map.fm_mapped_extents)
			break;
		for (uint32_t i = 0; i < u.map.fm_mapped_extents; i++)
			if (u.map.fm_extents[i].fe_flags & FIEMAP_EXTENT_SHARED)
				return 1;
		last = &u.map.fm_extents[u.map.fm_mapped_extents - 1];
	}
	return 0;
}

static int fail(const struct md__range *range)
{
	return md__fail(errno, "cannot copy what the file shares with others: %s: %s",
			strerror(errno), range->text);
}

static int copy(const struct md__range *range, uint64_t offset, uint64_t length)
{
	if (fallocate(range->fd, FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		      (off_t)length))
		return fail(range);
	return 0;
}

static int check_lock(const struct md__range *range, const struct md__lease *lease)
{
	if (lease->restored && is_locked(range))
		return md__fail(EAGAIN, "somebody is just changing the file: %s", range->text);
	return 0;
}

int md__unshare(const struct md__range *range, const struct md__lease *lease)
{
	int shared;

	if (check_lock(range, lease))
		return -1;
	shared = is_shared(range);
	if (!shared)
		return 0;
	if (shared < 0 || fsync(range->fd))
		return fail(range);
	md__populate_more(lease->populate, range->length);
	for (uint64_t done = 0, length; done < range->length; done += length) {
		length = range->length - done < CHUNK ? range->length - done : CHUNK;
		if (check_lock(range, lease) || copy(range, range->offset + done, length) ||
		    md__populate_step(lease->populate, length))
			return -1;
	}
	return 0;
}
