/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "extents.h"

#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CHUNK 64

static void add(struct extents *e, uint64_t start, uint64_t length)
{
	e->list = realloc(e->list, (e->count + 1) * sizeof(*e->list));
	if (!e->list)
		err(2, "extents");
	e->list[e->count++] = (struct extent){ .start = start, .length = length };
}

void extents_add_file(struct extents *e, const char *path)
{
	struct fiemap *map = calloc(1, sizeof(*map) + CHUNK * sizeof(struct fiemap_extent));
	const int fd = open(path, O_RDONLY);

	if (!map || fd < 0)
		err(2, "%s", path);
	do {
		map->fm_length = FIEMAP_MAX_OFFSET - map->fm_start;
		map->fm_flags = FIEMAP_FLAG_SYNC;
		map->fm_extent_count = CHUNK;
		if (ioctl(fd, FS_IOC_FIEMAP, map))
			err(2, "fiemap of %s", path);
		for (unsigned int i = 0; i < map->fm_mapped_extents; i++) {
			const struct fiemap_extent *x = map->fm_extents + i;

			add(e, x->fe_physical, x->fe_length);
			map->fm_start = x->fe_logical + x->fe_length;
		}
	} while (map->fm_mapped_extents == CHUNK);
	close(fd);
	free(map);
}

void extents_write(const struct extents *e, FILE *f)
{
	for (unsigned int i = 0; i < e->count; i++)
		fprintf(f, "%" PRIu64 " %" PRIu64 "\n", e->list[i].start, e->list[i].length);
}

void extents_read(struct extents *e, const char *path)
{
	uint64_t start, length;
	FILE *f = fopen(path, "r");

	if (!f)
		err(2, "%s", path);
	while (fscanf(f, "%" SCNu64 " %" SCNu64, &start, &length) == 2)
		add(e, start, length);
	fclose(f);
}

uint64_t extents_common(const struct extents *a, const struct extents *b)
{
	uint64_t common = 0;

	for (unsigned int i = 0; i < a->count; i++) {
		const struct extent *x = a->list + i;

		for (unsigned int j = 0; j < b->count; j++) {
			const struct extent *y = b->list + j;
			const uint64_t start = x->start > y->start ? x->start : y->start;
			const uint64_t x_end = x->start + x->length;
			const uint64_t y_end = y->start + y->length;
			const uint64_t end = x_end < y_end ? x_end : y_end;

			common += end > start ? end - start : 0;
		}
	}
	return common;
}

uint64_t extents_total(const struct extents *e)
{
	return extents_common(e, e);
}
