/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The witness of stray writes: files that own the blocks which a break freed.
 *
 * demo_canary blocks FILE           lists the blocks of FILE
 * demo_canary take FILE BEFORE      fills the file system with files of a known
 *                                   pattern, FILE.canary.N: XFS gives them what
 *                                   is free near FILE first. BEFORE lists FILE's
 *                                   blocks before the break. Prints "taken=BYTES
 *                                   freed=BYTES reused=BYTES": now in canaries,
 *                                   no longer in FILE, both
 * demo_canary check FILE            reads them back; prints "checked=BYTES
 *                                   foreign=BYTES" that are not the pattern, and
 *                                   removes them
 */
#include "extents.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_SIZE (4 << 20)
#define BLOCK 4096
#define WORDS (BLOCK / sizeof(uint64_t))

static const char *name_of(const char *file, unsigned int number)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s.canary.%u", file, number);
	return path;
}

/* Each word says where it belongs. */
static void pattern(uint64_t *block, unsigned int number, uint64_t offset)
{
	for (unsigned int i = 0; i < WORDS; i++)
		block[i] = ((uint64_t)number << 32 | (offset + i * sizeof(uint64_t))) ^
			   0xca9a12ca9a12ca9aULL;
}

/* Bytes written: less than FILE_SIZE when the file system is full. */
static uint64_t fill_file(const char *path, unsigned int number)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	uint64_t block[WORDS];
	uint64_t size = 0;

	if (fd < 0 && errno == ENOSPC)
		return 0;
	if (fd < 0)
		err(2, "%s", path);
	for (; size < FILE_SIZE; size += BLOCK) {
		pattern(block, number, size);
		if (write(fd, block, BLOCK) != BLOCK)
			break;
	}
	if (size < FILE_SIZE && errno != ENOSPC)
		err(2, "%s", path);
	/* a part of a block may have found room */
	if (ftruncate(fd, size) || fsync(fd) || close(fd))
		err(2, "%s", path);
	return size;
}

static void take(const char *file, const char *before_path)
{
	struct extents before = { 0 }, after = { 0 }, mine = { 0 };
	unsigned int number = 0;
	uint64_t size;

	/* what the last transactions freed can be allocated only after them */
	sync();
	do {
		size = fill_file(name_of(file, number), number);
		if (size)
			extents_add_file(&mine, name_of(file, number));
		number++;
	} while (size == FILE_SIZE);
	extents_read(&before, before_path);
	extents_add_file(&after, file);
	printf("taken=%" PRIu64 " freed=%" PRIu64 " reused=%" PRIu64 "\n", extents_total(&mine),
	       extents_total(&before) - extents_common(&before, &after),
	       extents_common(&before, &mine));
}

static uint64_t differing(const void *a, const void *b)
{
	const unsigned char *x = a, *y = b;
	uint64_t n = 0;

	for (unsigned int i = 0; i < BLOCK; i++)
		n += x[i] != y[i];
	return n;
}

static uint64_t check_file(int fd, unsigned int number, uint64_t *foreign)
{
	uint64_t found[WORDS], want[WORDS];
	uint64_t size = 0;

	while (read(fd, found, BLOCK) == BLOCK) {
		pattern(want, number, size);
		if (memcmp(found, want, BLOCK))
			*foreign += differing(found, want);
		size += BLOCK;
	}
	return size;
}

static void check(const char *file)
{
	uint64_t checked = 0, foreign = 0;
	int fd;

	for (unsigned int n = 0; (fd = open(name_of(file, n), O_RDONLY)) >= 0; n++) {
		checked += check_file(fd, n, &foreign);
		close(fd);
		unlink(name_of(file, n));
	}
	printf("checked=%" PRIu64 " foreign=%" PRIu64 "\n", checked, foreign);
}

int main(int argc, char **argv)
{
	struct extents blocks = { 0 };

	if (argc == 3 && !strcmp(argv[1], "blocks")) {
		extents_add_file(&blocks, argv[2]);
		extents_write(&blocks, stdout);
	} else if (argc == 4 && !strcmp(argv[1], "take")) {
		take(argv[2], argv[3]);
	} else if (argc == 3 && !strcmp(argv[1], "check")) {
		check(argv[2]);
	} else {
		errx(2, "usage: demo_canary blocks FILE | take FILE BEFORE | check FILE");
	}
	return 0;
}
