// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "errmsg.h"
#include "range.h"

/* Longer paths lose their beginning: the end tells files apart. */
#define NAME_MAX_SHOWN 52

/* "..." and NUL */
#define NAME_SIZE (NAME_MAX_SHOWN + 4)

static void name_file(int fd, char name[NAME_SIZE])
{
	char link[32], path[4096];
	const char *shown = path, *cut = "";
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		n = snprintf(path, sizeof(path), "file descriptor %d", fd);
	path[n] = '\0';
	if (n > NAME_MAX_SHOWN) {
		shown += n - NAME_MAX_SHOWN;
		cut = "...";
	}
	snprintf(name, NAME_SIZE, "%s%.*s", cut, NAME_MAX_SHOWN, shown);
}

static int check_file(const struct md__range *range)
{
	struct stat st;
	int mode;

	if (fstat(range->fd, &st) < 0)
		return md__fail(EBADF, "%d is not an open file descriptor", range->fd);
	if (!S_ISREG(st.st_mode))
		return md__fail(EBADFD, "%s: not a regular file, so there are no blocks to lease",
				range->text);
	mode = fcntl(range->fd, F_GETFL);
	if (mode < 0 || mode & O_PATH || (mode & O_ACCMODE) != O_RDWR)
		return md__fail(EACCES,
				"%s: the file is not open for reading and writing: open it O_RDWR",
				range->text);
	return 0;
}

int md__range_init(struct md__range *range, int fd, off_t offset, size_t length)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t start = (uint64_t)offset;
	char name[NAME_SIZE];

	name_file(fd, name);
	if (offset < 0 || start % page)
		return md__fail(
			EINVAL,
			"%s: offset %lld is not a multiple of the page size, %llu: round it", name,
			(long long)offset, (unsigned long long)page);
	if (!length)
		return md__fail(EINVAL, "%s: the length of the range is 0: give 1 or more", name);
	if (start > INT64_MAX - page || length > INT64_MAX - page - start)
		return md__fail(EOVERFLOW,
				"%s: offset %lld and length %zu go beyond any file: give less",
				name, (long long)offset, length);
	*range = (struct md__range){
		.fd = fd,
		.offset = start,
		.length = (length + page - 1) / page * page,
	};
	snprintf(range->text, sizeof(range->text), "bytes %llu to %llu of %s",
		 (unsigned long long)start, (unsigned long long)(start + range->length - 1), name);
	return check_file(range);
}

int64_t md__range_file_size(const struct md__range *range)
{
	struct stat st;

	if (fstat(range->fd, &st) < 0)
		return md__fail(errno, "%s: cannot ask for the file's size: %s", range->text,
				strerror(errno));
	return st.st_size;
}
