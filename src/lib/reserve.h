/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Address ranges that are kept for a map, whatever is mapped in them. */
#ifndef MD_LIB_RESERVE_H
#define MD_LIB_RESERVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * md__reserve - reserve addresses for a range of a file
 * @offset: where in the file it begins
 * @length: bytes, whole pages
 * @align:  what the file's mappings have to be aligned to, a power of 2
 *
 * The address is congruent to @offset modulo @align and the size of a huge
 * page: only then can the kernel use huge mappings. Returns NULL on failure.
 */
void *md__reserve(uint64_t offset, size_t length, size_t align);

/**
 * md__reserve_again - replace whatever is mapped there by the reservation
 *
 * There is no moment at which the addresses are free. If the kernel has no
 * memory for it, what is mapped there stays.
 */
void md__reserve_again(void *addr, size_t length);

/**
 * md__reserve_fill - map a file over a reservation, for reading and writing
 * @flags: of mmap(2), but MAP_FIXED
 *
 * A child of fork(2) has nothing there. 0, or -1 with errno.
 */
int md__reserve_fill(void *addr, size_t length, int flags, int fd, off_t offset);

/* Give the addresses back. */
void md__unreserve(void *addr, size_t length);

#endif
