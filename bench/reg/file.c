// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fiemap.h>
#include <linux/fs.h>

#include "file.h"
#include "must.h"
#include "reg.h"

#define BLOCK ((size_t)1 << 20)
#define PAGE ((size_t)4096)
#define EXTENTS 256

/* Without its name at once: nothing is left of it, however this process ends. */
static int new_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		err(1, "cannot make %s", path);
	MUST(!unlink(path));
	return fd;
}

/* What fallocate() alone has made is unwritten, and would be converted at the first fault. */
static void write_zeroes(int fd, size_t length)
{
	char *block = calloc(1, BLOCK);
	size_t done = 0;

	MUST(block);
	while (done < length) {
		ssize_t n = pwrite(fd, block, length - done < BLOCK ? length - done : BLOCK,
				   (off_t)done);

		MUST(n > 0);
		done += (size_t)n;
	}
	free(block);
	MUST(!fsync(fd));
}

int file_make(const char *path, size_t length)
{
	int fd = new_file(path);

	if (!fallocate(fd, 0, 0, (off_t)length)) {
		write_zeroes(fd, length);
		return fd;
	}
	MUST(errno == ENOSPC || errno == EFBIG);
	close(fd);
	return -1;
}

/* A page at a time, in turn with another file that is in the way of the next piece. */
int file_make_fragmented(const char *path, size_t length)
{
	int fd = new_file(path), other = new_file(path);
	static const char page[PAGE];

	for (size_t at = 0; at < length; at += PAGE) {
		if (pwrite(fd, page, PAGE, (off_t)at) == PAGE &&
		    pwrite(other, page, PAGE, (off_t)at) == PAGE)
			continue;
		MUST(errno == ENOSPC);
		close(fd);
		fd = -1;
		break;
	}
	close(other);
	MUST(fd < 0 || !fsync(fd));
	return fd;
}

static bool is_huge(const struct fiemap_extent *x)
{
	return x->fe_physical % REG_HUGE == 0 && x->fe_logical % REG_HUGE == 0 &&
	       (x->fe_flags & FIEMAP_EXTENT_LAST || x->fe_length % REG_HUGE == 0);
}

size_t file_extents(int fd, bool *huge)
{
	const size_t room = sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent);
	struct fiemap *map = malloc(room);
	uint64_t at = 0;
	size_t count = 0;

	MUST(map);
	*huge = true;
	do {
		*map = (struct fiemap){
			.fm_start = at,
			.fm_length = FIEMAP_MAX_OFFSET - at,
			.fm_extent_count = EXTENTS,
		};
		MUST(!ioctl(fd, FS_IOC_FIEMAP, map));
		for (uint32_t i = 0; i < map->fm_mapped_extents; i++) {
			const struct fiemap_extent *x = &map->fm_extents[i];

			*huge = *huge && is_huge(x);
			at = x->fe_logical + x->fe_length;
		}
		count += map->fm_mapped_extents;
	} while (map->fm_mapped_extents == EXTENTS);
	free(map);
	return count;
}
