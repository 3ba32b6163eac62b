// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "errmsg.h"
#include "hole.h"

#define BATCH 32
#define NOT_WRITTEN (FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_UNKNOWN)

union request {
	struct fiemap map;
	char room[sizeof(struct fiemap) + BATCH * sizeof(struct fiemap_extent)];
};

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * Look at a batch of extents. Returns how far the range is written, and sets
 * @hole when that is where one begins.
 */
static uint64_t walk(const struct fiemap *map, uint64_t pos, uint64_t end, struct md__hole *hole)
{
	for (uint32_t i = 0; i < map->fm_mapped_extents; i++) {
		const struct fiemap_extent *ext = &map->fm_extents[i];
		uint64_t next = ext->fe_logical + ext->fe_length;

		if (ext->fe_logical > pos)
			next = ext->fe_logical;
		else if (!(ext->fe_flags & NOT_WRITTEN)) {
			pos = next;
			continue;
		}
		*hole = (struct md__hole){ pos, min(next, end) - pos };
		return pos;
	}
	if (!map->fm_mapped_extents)
		*hole = (struct md__hole){ pos, end - pos };
	return pos;
}

/*
 * Not SEEK_HOLE: for DAX, a page that was only read counts as data there, be
 * its extent written or not (iomap_seek_hole, mapping_seek_hole_data).
 */
int md__hole_find(const struct md__range *range, struct md__hole *hole)
{
	uint64_t pos = range->offset, end = pos + range->length;
	union request req;

	*hole = (struct md__hole){ 0 };
	while (pos < end && !hole->length) {
		memset(&req.map, 0, sizeof(req.map));
		req.map.fm_start = pos;
		req.map.fm_length = end - pos;
		req.map.fm_extent_count = BATCH;
		if (ioctl(range->fd, FS_IOC_FIEMAP, &req.map) < 0)
			return md__fail(errno, "cannot ask which of %s are allocated: %s",
					range->text, strerror(errno));
		pos = walk(&req.map, pos, end, hole);
	}
	return 0;
}
