/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Who owns which blocks, and files that take over the freed ones. */
#ifndef MD_TEST_GUEST_CANARY_H
#define MD_TEST_GUEST_CANARY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define EXTENTS_MAX 64

/* The blocks of a file, in bytes of the device. */
struct extents {
	unsigned int count;
	struct {
		uint64_t logical, physical, length;
	} v[EXTENTS_MAX];
};

void extents_of(struct extents *e, const char *path);
int extents_equal(const struct extents *a, const struct extents *b);

/* How many bytes both own. */
uint64_t extents_common(const struct extents *a, const struct extents *b);

/* Of what a owns, that which b does not. */
void extents_minus(struct extents *left, const struct extents *a, const struct extents *b);

/*
 * Makes files until they own all of the freed blocks, and fills those with one
 * byte. Only the files that own some of these blocks stay, and those of earlier
 * calls.
 */
void canary_take(const char *fs, const struct extents *freed);

/*
 * The same with as many of them as can be had, and how many bytes that is: XFS
 * keeps up to 16 MiB of an allocation group to itself, which may be these.
 */
uint64_t canary_try(const char *fs, const struct extents *freed);

/* The path of the first of them that owns some of these blocks. */
void canary_owner(const char *fs, const struct extents *freed, char *path, size_t size);

/* How many bytes of the canaries on fs are not what they were. */
uint64_t canary_changed(const char *fs);

/* Removes them. */
void canary_drop(const char *fs);

/* How many bytes of a file are not "byte"; length from offset on. */
uint64_t bytes_not(const char *path, off_t offset, size_t length, unsigned char byte);

#endif
