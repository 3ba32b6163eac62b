/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Time as perftest takes it, by the CPU's counter: twice in each message, a system
 * call would count where the kernel does not trust that counter for its own clock.
 */
#ifndef BENCH_CYCLES_H
#define BENCH_CYCLES_H

#include "clock.h"

static inline uint64_t cycles(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return clock_ns();
#endif
}

/* How many of them there are in a microsecond, over the time since cycles_start(). */
void cycles_start(void);
double cycles_per_us(void);

#endif
