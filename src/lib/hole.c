// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "errmsg.h"
#include "fork.h"
#include "hole.h"

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The descriptor of the range shares its file position with the caller's. */
static int open_again(const struct md__range *range)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", range->fd);
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static int find(int fd, uint64_t offset, uint64_t end, struct md__hole *hole)
{
	off_t size = lseek(fd, 0, SEEK_END), start, next;

	if (size < 0)
		return -1;
	end = min(end, (uint64_t)size);
	if (offset >= end)
		return 0;
	start = lseek(fd, (off_t)offset, SEEK_HOLE);
	if (start < 0)
		return -1;
	if ((uint64_t)start >= end)
		return 0;
	next = lseek(fd, start, SEEK_DATA);
	if (next < 0 && errno != ENXIO)
		return -1;
	hole->offset = (uint64_t)start;
	hole->length = (next < 0 ? end : min((uint64_t)next, end)) - hole->offset;
	return 0;
}

/*
 * By SEEK_HOLE, although it takes an unwritten page that was read through DAX
 * for data (mapping_seek_hole_data() in mm/filemap.c). FIEMAP does not, but
 * waits for the inode's lock, which a truncate may hold until another map of
 * this very process has given way.
 */
int md__hole_find(const struct md__range *range, struct md__hole *hole)
{
	int fd, err = -1, saved;

	*hole = (struct md__hole){ 0 };
	md__fork_hold();
	fd = open_again(range);
	if (fd >= 0) {
		err = find(fd, range->offset, range->offset + range->length, hole);
		saved = errno;
		close(fd);
		errno = saved;
	}
	md__fork_let();
	if (err)
		return md__fail(errno, "cannot ask which of %s were written: %s", range->text,
				strerror(errno));
	return 0;
}
