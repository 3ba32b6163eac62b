// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dax_device.h"
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

static int fail_kind(const char *name)
{
	if (errno == ENODEV)
		return md__fail(
			EBADFD,
			"%s: not a regular file and not a device-dax: there is nothing to map",
			name);
	return md__fail(errno, "%s: sysfs does not tell what device this is: %s", name,
			strerror(errno));
}

/* What kind of file it is decides how the range has to be aligned. */
static int look_at_file(struct md__range *range, const char *name)
{
	struct md__dax_device dax;
	struct stat st;

	range->align = (size_t)sysconf(_SC_PAGESIZE);
	if (fstat(range->fd, &st) < 0)
		return md__fail(EBADF, "%d is not an open file descriptor", range->fd);
	if (S_ISREG(st.st_mode))
		return 0;
	errno = ENODEV;
	if (!S_ISCHR(st.st_mode) || md__dax_device_look(st.st_rdev, &dax))
		return fail_kind(name);
	range->device = true;
	range->align = dax.align;
	return 0;
}

static int check_mode(const struct md__range *range)
{
	int mode = fcntl(range->fd, F_GETFL);

	if (mode < 0 || mode & O_PATH || (mode & O_ACCMODE) != O_RDWR)
		return md__fail(EACCES,
				"%s: the file is not open for reading and writing: open it O_RDWR",
				range->text);
	return 0;
}

static const char *unit(const struct md__range *range)
{
	return range->device ? "device's alignment" : "page size";
}

int md__range_init(struct md__range *range, int fd, off_t offset, size_t length)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t start = (uint64_t)offset;
	char name[NAME_SIZE];

	name_file(fd, name);
	*range = (struct md__range){ .fd = fd };
	if (look_at_file(range, name))
		return -1;
	if (offset < 0 || start % range->align)
		return md__fail(EINVAL,
				"%s: offset %lld is not a multiple of the %s, %zu: round it", name,
				(long long)offset, unit(range), range->align);
	if (!length)
		return md__fail(EINVAL, "%s: the length of the range is 0: give 1 or more", name);
	if (start > INT64_MAX - page || length > INT64_MAX - page - start)
		return md__fail(EOVERFLOW,
				"%s: offset %lld and length %zu go beyond any file: give less",
				name, (long long)offset, length);
	range->offset = start;
	range->length = (length + page - 1) / page * page;
	if (range->length % range->align)
		return md__fail(EINVAL, "%s: length %zu is not a multiple of the %s, %zu: round it",
				name, length, unit(range), range->align);
	snprintf(range->text, sizeof(range->text), "bytes %llu to %llu of %s",
		 (unsigned long long)start, (unsigned long long)(start + range->length - 1), name);
	return check_mode(range);
}

int64_t md__range_file_size(const struct md__range *range)
{
	struct md__dax_device dax;
	struct stat st;

	if (fstat(range->fd, &st) < 0 || (range->device && md__dax_device_look(st.st_rdev, &dax)))
		return md__fail(errno, "%s: cannot ask for the file's size: %s", range->text,
				strerror(errno));
	return range->device ? (int64_t)dax.size : st.st_size;
}

int md__range_inside(const struct md__range *range)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int64_t size = md__range_file_size(range);

	if (size < 0)
		return -1;
	if (range->offset + range->length <= ((uint64_t)size + page - 1) / page * page)
		return 0;
	if (range->device)
		return md__fail(ENXIO, "the device ends at %llu: take less: %s",
				(unsigned long long)size, range->text);
	return md__fail(ENXIO, "the file ends at %llu: make it longer (ftruncate): %s",
			(unsigned long long)size, range->text);
}
