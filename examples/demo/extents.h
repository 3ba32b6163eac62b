/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which blocks of the device a file owns, by FIEMAP. */
#ifndef DEMO_EXTENTS_H
#define DEMO_EXTENTS_H

#include <stdint.h>
#include <stdio.h>

struct extent {
	uint64_t start; /* bytes, on the device */
	uint64_t length;
};

struct extents {
	struct extent *list;
	unsigned int count;
};

/* Adds what the file owns to the list; exits on failure, as all here. */
void extents_add_file(struct extents *e, const char *path);

void extents_write(const struct extents *e, FILE *f);
void extents_read(struct extents *e, const char *path);

/* Bytes that both have; within one list no two extents overlap. */
uint64_t extents_common(const struct extents *a, const struct extents *b);

uint64_t extents_total(const struct extents *e);

#endif
