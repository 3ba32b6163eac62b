/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A range of a file, checked for all that needs no provider, and its name. */
#ifndef MD_LIB_RANGE_H
#define MD_LIB_RANGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct md__range {
	int fd;
	bool allocate; /* MD_MAP_ALLOCATE */
	bool device;   /* of a device-dax, not of a file */
	size_t align;  /* of offset, length and addresses: pages, or the device's */
	uint64_t offset;
	uint64_t length;
	char text[112]; /* "bytes 0 to 4095 of /mnt/pmem/file" */
};

/**
 * md__range_init - check and name a range
 *
 * @range->fd is @fd itself. 0 or -1, as md_map().
 */
int md__range_init(struct md__range *range, int fd, off_t offset, size_t length);

/* The size of the file or device now, or -1. */
int64_t md__range_file_size(const struct md__range *range);

/* Does the range end within the last page of the file? 0, or -1. */
int md__range_inside(const struct md__range *range);

#endif
