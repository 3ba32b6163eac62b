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
 * The first extent behind what is done that has other owners: done up to its
 * beginning, its length left. 0: there is none. Or -1.
 */
static int64_t next_shared(const struct md__range *range, struct md__lease *lease)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + BATCH * sizeof(struct fiemap_extent)];
	} u;
	const struct fiemap_extent *e = NULL;

	do {
		u.map = (struct fiemap){
			.fm_start = lease->done,
			.fm_length = FIEMAP_MAX_OFFSET - lease->done,
			.fm_extent_count = BATCH,
		};
		if (ioctl(range->fd, FS_IOC_FIEMAP, &u.map))
			return fail(range);
		for (uint32_t i = 0; i < u.map.fm_mapped_extents; i++) {
			e = &u.map.fm_extents[i];
			if (e->fe_flags & FIEMAP_EXTENT_SHARED) {
				if (lease->done < e->fe_logical)
					lease->done = e->fe_logical;
				return (int64_t)(e->fe_logical + e->fe_length - lease->done);
			}
			lease->done = e->fe_logical + e->fe_length;
		}
		if (md__populate_step(lease->populate, 0))
			return -1;
	} while (u.map.fm_mapped_extents && !(e->fe_flags & FIEMAP_EXTENT_LAST));
	return 0;
}

/*
 * So many bytes behind what is done. XFS looks in the same call whether the inode has
 * to be called shared any longer.
 */
static int copy(const struct md__range *range, struct md__lease *lease, uint64_t offset,
		uint64_t length)
{
	uint64_t piece;

	md__populate_more(lease->populate, (int64_t)length);
	for (; length; length -= piece) {
		piece = length < CHUNK ? length : CHUNK;
		if (check_lock(range, lease))
			return -1;
		if (fallocate(range->fd, FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE,
			      (off_t)(offset + lease->done), (off_t)piece))
			return fail(range);
		lease->done += piece;
		if (md__populate_step(lease->populate, piece)) {
			/* Counted again when it goes on. */
			md__populate_more(lease->populate, -(int64_t)(length - piece));
			return -1;
		}
	}
	return 0;
}

int md__unshare(const struct md__range *range, struct md__lease *lease)
{
	int64_t length;

	if (check_lock(range, lease))
		return -1;
	while ((length = next_shared(range, lease)) > 0) {
		if (fsync(range->fd))
			return fail(range);
		if (copy(range, lease, 0, (uint64_t)length))
			return -1;
	}
	return (int)length;
}

int md__unmark(const struct md__range *range, struct md__lease *lease)
{
	if (check_lock(range, lease))
		return -1;
	/* Linux 6.12 takes no mark from an inode that has been dirty since it was synced. */
	if (!lease->done && syncfs(range->fd))
		return fail(range);
	return copy(range, lease, range->offset, range->length - lease->done);
}
