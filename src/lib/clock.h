/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef MD_LIB_CLOCK_H
#define MD_LIB_CLOCK_H

#include <stdint.h>
#include <time.h>

#define MD__MSEC UINT64_C(1000000)
#define MD__SEC UINT64_C(1000000000)

/* CLOCK_MONOTONIC in nanoseconds, the clock of every time in the library. */
static inline uint64_t md__now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * MD__SEC + (uint64_t)ts.tv_nsec;
}

static inline struct timespec md__timespec(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / MD__SEC),
		.tv_nsec = (long)(ns % MD__SEC),
	};
}

/* Of two times, of which 0 is never. */
static inline uint64_t md__earlier(uint64_t a, uint64_t b)
{
	if (!a || !b)
		return a ?: b;
	return a < b ? a : b;
}

#endif
