// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "canary.h"
#include "suite.h"

#define CANARY_BYTE 0x5a
#define CANARY_MAX 256
#define CANARY_LARGEST (8UL << 20)
#define CANARY_SMALLEST (64UL << 10)

void extents_of(struct extents *e, const char *path)
{
	struct fiemap *map = calloc(1, sizeof(*map) + EXTENTS_MAX * sizeof(struct fiemap_extent));
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	CHECK(map && fd >= 0);
	map->fm_length = FIEMAP_MAX_OFFSET;
	map->fm_flags = FIEMAP_FLAG_SYNC;
	map->fm_extent_count = EXTENTS_MAX;
	CHECK(!ioctl(fd, FS_IOC_FIEMAP, map));
	CHECK(map->fm_mapped_extents < EXTENTS_MAX);
	e->count = map->fm_mapped_extents;
	for (unsigned int i = 0; i < e->count; i++) {
		e->v[i].logical = map->fm_extents[i].fe_logical;
		e->v[i].physical = map->fm_extents[i].fe_physical;
		e->v[i].length = map->fm_extents[i].fe_length;
	}
	free(map);
	close(fd);
}

int extents_equal(const struct extents *a, const struct extents *b)
{
	return a->count == b->count && !memcmp(a->v, b->v, a->count * sizeof(a->v[0]));
}

uint64_t extents_common(const struct extents *a, const struct extents *b)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < a->count; i++) {
		for (unsigned int j = 0; j < b->count; j++) {
			uint64_t a0 = a->v[i].physical, a1 = a0 + a->v[i].length;
			uint64_t b0 = b->v[j].physical, b1 = b0 + b->v[j].length;
			uint64_t from = a0 > b0 ? a0 : b0, to = a1 < b1 ? a1 : b1;

			if (from < to)
				sum += to - from;
		}
	}
	return sum;
}

static void add_block(struct extents *e, uint64_t physical, uint64_t size)
{
	unsigned int last = e->count - 1;

	if (e->count && e->v[last].physical + e->v[last].length == physical) {
		e->v[last].length += size;
		return;
	}
	CHECK(e->count < EXTENTS_MAX);
	e->v[e->count].physical = physical;
	e->v[e->count++].length = size;
}

void extents_minus(struct extents *left, const struct extents *a, const struct extents *b)
{
	const uint64_t block = 4096;

	*left = (struct extents){};
	for (unsigned int i = 0; i < a->count; i++) {
		for (uint64_t at = 0; at < a->v[i].length; at += block) {
			struct extents one = {};

			add_block(&one, a->v[i].physical + at, block);
			if (!extents_common(&one, b))
				add_block(left, one.v[0].physical, block);
		}
	}
}

/* Blocks can be had again when the transaction that freed them is in the log. */
static void commit(const char *fs)
{
	int fd = open(fs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(!syncfs(fd));
	close(fd);
}

static void canary_path(char *path, size_t size, const char *fs, unsigned int i)
{
	char name[32];

	snprintf(name, sizeof(name), "canary.%u", i);
	suite_path(path, size, fs, name);
}

static void fill(int fd, size_t size)
{
	static char data[64 << 10];

	memset(data, CANARY_BYTE, sizeof(data));
	for (size_t i = 0; i < size; i += sizeof(data))
		CHECK_EQ(pwrite(fd, data, sizeof(data), i), (ssize_t)sizeof(data));
}

/* As the freed extents are: the allocator then puts them to the same places. */
static size_t canary_size(const struct extents *freed)
{
	uint64_t largest = 0;

	for (unsigned int i = 0; i < freed->count; i++)
		if (freed->v[i].length > largest)
			largest = freed->v[i].length;
	return largest < CANARY_LARGEST ? largest : CANARY_LARGEST;
}

/* A file of this size in the space that is left, if it will go in. */
static int canary_new(const char *fs, unsigned int i, size_t size)
{
	char path[128];
	int fd;

	canary_path(path, sizeof(path), fs, i);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0 && posix_fallocate(fd, 0, size)) {
		close(fd);
		CHECK(!unlink(path));
		fd = -1;
	}
	return fd;
}

uint64_t canary_try(const char *fs, const struct extents *freed)
{
	uint64_t want = extents_common(freed, freed), got = 0;
	unsigned int useless[CANARY_MAX], dropped = 0;
	size_t size = canary_size(freed);
	char path[128];

	commit(fs);
	for (unsigned int i = 0; got < want && i < CANARY_MAX; i++) {
		struct extents e;
		uint64_t shared;
		int fd;

		canary_path(path, sizeof(path), fs, i);
		if (!access(path, F_OK))
			continue;
		fd = canary_new(fs, i, size);
		for (; fd < 0 && size > CANARY_SMALLEST; fd = canary_new(fs, i, size))
			size /= 2;
		if (fd < 0)
			break;
		extents_of(&e, path);
		shared = extents_common(&e, freed);
		if (shared)
			fill(fd, size);
		else
			useless[dropped++] = i;
		got += shared;
		close(fd);
	}
	while (dropped) {
		canary_path(path, sizeof(path), fs, useless[--dropped]);
		CHECK(!unlink(path));
	}
	return got;
}

void canary_take(const char *fs, const struct extents *freed)
{
	uint64_t want = extents_common(freed, freed), got = canary_try(fs, freed);

	if (got < want)
		suite_fail(__FILE__, __LINE__, "%llu of %llu freed bytes not found",
			   (unsigned long long)(want - got), (unsigned long long)want);
}

void canary_owner(const char *fs, const struct extents *freed, char *path, size_t size)
{
	struct extents has;
	struct stat st;

	for (unsigned int i = 0; i < CANARY_MAX; i++) {
		canary_path(path, size, fs, i);
		if (stat(path, &st))
			continue;
		extents_of(&has, path);
		if (extents_common(&has, freed))
			return;
	}
	suite_fail(__FILE__, __LINE__, "no canary owns any of the blocks");
}

uint64_t bytes_not(const char *path, off_t offset, size_t length, unsigned char byte)
{
	static unsigned char data[1 << 20];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t other = 0;

	CHECK(fd >= 0);
	while (length) {
		ssize_t n = pread(fd, data, length < sizeof(data) ? length : sizeof(data), offset);

		CHECK(n > 0);
		for (ssize_t i = 0; i < n; i++)
			other += data[i] != byte;
		offset += n;
		length -= n;
	}
	close(fd);
	return other;
}

uint64_t canary_changed(const char *fs)
{
	uint64_t changed = 0;
	struct stat st;
	char path[128];

	for (unsigned int i = 0; i < CANARY_MAX; i++) {
		canary_path(path, sizeof(path), fs, i);
		if (!stat(path, &st))
			changed += bytes_not(path, 0, st.st_size, CANARY_BYTE);
	}
	return changed;
}

void canary_drop(const char *fs)
{
	char path[128];

	for (unsigned int i = 0; i < CANARY_MAX; i++) {
		canary_path(path, sizeof(path), fs, i);
		unlink(path);
	}
}
