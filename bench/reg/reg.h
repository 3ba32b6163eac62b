/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How each memory is registered, and how often. */
#ifndef BENCH_REG_REG_H
#define BENCH_REG_REG_H

#include <stddef.h>

#include <infiniband/verbs.h>

#define REG_ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)

#define REG_HUGE ((size_t)2 << 20)

/*
 * A device-dax maps whole huge pages only. A file is mapped in whole ones, too, for what
 * registering takes depends on the size of the pages.
 */
static inline size_t reg_map_length(size_t size)
{
	return (size + REG_HUGE - 1) & ~(REG_HUGE - 1);
}

/*
 * Mappings made in a round, so that a round of a size handles 64 MiB, which takes some
 * ms, and sees 25 of what is too short to be timed well, interrupted as it may be.
 */
static inline unsigned int reg_repeats(size_t size)
{
	size_t n = ((size_t)64 << 20) / size;

	return n < 1 ? 1 : n > 25 ? 25 : (unsigned int)n;
}

/*
 * Registrations in each mapping once its page tables are filled. An even number, for as
 * many begin with the one as with the other of a pair.
 */
static inline unsigned int reg_pairs(size_t size)
{
	return size <= (size_t)1 << 20 ? 4 : 2;
}

#endif
