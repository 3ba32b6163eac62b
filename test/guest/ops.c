// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ops.h"
#include "swap.h"

int truncate_inside(const char *path)
{
	return truncate(path, OPS_INSIDE);
}

int truncate_outside(const char *path)
{
	return truncate(path, OPS_OUTSIDE);
}

int truncate_up(const char *path)
{
	return truncate(path, 2 * OPS_FILE_SIZE);
}

int cut_and_extend(const char *path)
{
	return truncate(path, OPS_INSIDE) || truncate(path, OPS_FILE_SIZE) ? -1 : 0;
}

int open_trunc(const char *path)
{
	return open(path, O_WRONLY | O_TRUNC) < 0 ? -1 : 0;
}

static int allocate(const char *path, int mode, off_t offset)
{
	int fd = open(path, O_RDWR);

	return fd < 0 ? -1 : fallocate(fd, mode, offset, OPS_CHANGED);
}

int punch_inside(const char *path)
{
	return allocate(path, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, OPS_INSIDE);
}

int punch_outside(const char *path)
{
	return allocate(path, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, OPS_OUTSIDE);
}

int zero_inside(const char *path)
{
	return allocate(path, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, OPS_INSIDE);
}

int collapse_inside(const char *path)
{
	return allocate(path, FALLOC_FL_COLLAPSE_RANGE, OPS_INSIDE);
}

int insert_inside(const char *path)
{
	return allocate(path, FALLOC_FL_INSERT_RANGE, OPS_INSIDE);
}

int unshare_inside(const char *path)
{
	return allocate(path, FALLOC_FL_UNSHARE_RANGE, OPS_INSIDE);
}

int allocate_beyond(const char *path)
{
	return allocate(path, 0, OPS_FILE_SIZE);
}

static int write_at(const char *path, off_t offset)
{
	static char data[OPS_WRITTEN];
	int fd = open(path, O_RDWR);

	if (fd < 0)
		return -1;
	return pwrite(fd, data, sizeof(data), offset) == (ssize_t)sizeof(data) ? 0 : -1;
}

int write_inside(const char *path)
{
	return write_at(path, OPS_INSIDE);
}

int write_outside(const char *path)
{
	return write_at(path, OPS_OUTSIDE);
}

int write_beyond(const char *path)
{
	return write_at(path, OPS_FILE_SIZE);
}

#define TWIN_MAX 160

/* The other file of a clone: beside the leased one. */
static void twin_of(char *twin, const char *path)
{
	snprintf(twin, TWIN_MAX, "%s.twin", path);
}

static int open_twin(const char *path)
{
	char twin[TWIN_MAX];
	int fd;

	twin_of(twin, path);
	fd = open(twin, O_RDWR | O_CREAT, 0600);
	return fd < 0 || ftruncate(fd, OPS_FILE_SIZE) ? -1 : fd;
}

int reflink_from(const char *path)
{
	int fd = open(path, O_RDONLY), twin = open_twin(path);

	return twin < 0 ? -1 : ioctl(twin, FICLONE, fd);
}

int reflink_onto(const char *path)
{
	int fd = open(path, O_RDWR), twin = open_twin(path);
	struct file_clone_range range = {
		.src_fd = twin,
		.src_length = OPS_CHANGED,
		.dest_offset = OPS_INSIDE,
	};

	if (twin < 0 || fallocate(twin, 0, 0, OPS_CHANGED))
		return -1;
	return ioctl(fd, FICLONERANGE, &range);
}

int copy_onto(const char *path)
{
	int fd = open(path, O_RDWR), twin = open_twin(path);
	off_t from = 0, to = OPS_INSIDE;

	if (twin < 0 || fallocate(twin, 0, 0, OPS_CHANGED))
		return -1;
	return copy_file_range(twin, &from, fd, &to, OPS_CHANGED, 0) == (ssize_t)OPS_CHANGED ? 0 :
											       -1;
}

static char zeroes[OPS_CHANGED];

/* Both have zeroes there, so it is done, if it is not refused. */
static int dedupe(int from, off_t from_at, int to, off_t to_at)
{
	union {
		struct file_dedupe_range range;
		char room[sizeof(struct file_dedupe_range) + sizeof(struct file_dedupe_range_info)];
	} arg = { .range = {
			  .src_offset = from_at,
			  .src_length = OPS_CHANGED,
			  .dest_count = 1,
		  } };
	struct file_dedupe_range_info *info = arg.range.info;

	info->dest_fd = to;
	info->dest_offset = to_at;
	if (ioctl(from, FIDEDUPERANGE, &arg))
		return -1;
	errno = info->status < 0 ? -info->status : 0;
	return info->status == FILE_DEDUPE_RANGE_SAME && info->bytes_deduped == OPS_CHANGED ? 0 :
											      -1;
}

int dedupe_from(const char *path)
{
	int fd = open(path, O_RDONLY), twin = open_twin(path);

	if (twin < 0 || pwrite(twin, zeroes, OPS_CHANGED, 0) != (ssize_t)OPS_CHANGED)
		return -1;
	return dedupe(fd, OPS_INSIDE, twin, 0);
}

int dedupe_onto(const char *path)
{
	int fd = open(path, O_RDWR), twin = open_twin(path);

	if (twin < 0 || pwrite(twin, zeroes, OPS_CHANGED, 0) != (ssize_t)OPS_CHANGED)
		return -1;
	return dedupe(twin, 0, fd, OPS_INSIDE);
}

int swap_with_twin(const char *path)
{
	int twin = open_twin(path);
	char name[TWIN_MAX];

	if (twin < 0 || fallocate(twin, 0, 0, OPS_FILE_SIZE))
		return -1;
	twin_of(name, path);
	errno = swap_extents(path, name);
	return errno ? -1 : 0;
}

/* The layout of struct xfs_exchange_range, since Linux 6.10 (fs/xfs/libxfs/xfs_fs.h). */
struct exchange {
	int32_t file1;
	uint32_t pad;
	uint64_t file1_offset, file2_offset, length, flags;
};

#define IOC_EXCHANGE_RANGE _IOW('X', 129, struct exchange)

static int exchange(int file2, int file1)
{
	struct exchange x = {
		.file1 = file1,
		.file1_offset = OPS_INSIDE,
		.file2_offset = OPS_INSIDE,
		.length = OPS_CHANGED,
	};

	return file1 < 0 || file2 < 0 ? -1 : ioctl(file2, IOC_EXCHANGE_RANGE, &x);
}

int exchange_first(const char *path)
{
	int fd = open(path, O_RDWR), twin = open_twin(path);

	return exchange(twin, fd);
}

int exchange_second(const char *path)
{
	int fd = open(path, O_RDWR), twin = open_twin(path);

	return exchange(fd, twin);
}

int do_unlink(const char *path)
{
	return unlink(path);
}

int do_rename(const char *path)
{
	char to[160];

	snprintf(to, sizeof(to), "%s.renamed", path);
	return rename(path, to) || rename(to, path) ? -1 : 0;
}

int do_chmod(const char *path)
{
	return chmod(path, 0644);
}

int do_fsync(const char *path)
{
	int fd = open(path, O_RDWR);

	return fd < 0 ? -1 : fsync(fd);
}

int do_read(const char *path)
{
	static char data[OPS_CHANGED];
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return -1;
	return pread(fd, data, sizeof(data), OPS_INSIDE) == (ssize_t)sizeof(data) ? 0 : -1;
}

static char *map_file(const char *path)
{
	int fd = open(path, O_RDWR);

	return mmap(NULL, OPS_FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

int do_store(const char *path)
{
	char *p = map_file(path);

	if (p == MAP_FAILED)
		return -1;
	for (size_t i = 0; i < OPS_FILE_SIZE; i += 4096)
		p[i] = 1;
	return munmap(p, OPS_FILE_SIZE);
}

int do_msync(const char *path)
{
	char *p = map_file(path);

	if (p == MAP_FAILED)
		return -1;
	p[OPS_INSIDE] = 2;
	return msync(p, OPS_FILE_SIZE, MS_SYNC);
}

/* Would throw away clean cached pages, if there were any. */
int do_drop_caches(const char *path)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY), file = open(path, O_RDONLY);

	if (posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED))
		return -1;
	return write(fd, "3", 1) == 1 ? 0 : -1;
}

int ops_append(const char *path)
{
	struct stat st;

	return stat(path, &st) ? -1 : truncate(path, st.st_size + 4096);
}

int ops_overwrite(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pwrite(fd, "x", 1, 0);

	if (fd >= 0)
		close(fd);
	return n == 1 ? 0 : -1;
}
