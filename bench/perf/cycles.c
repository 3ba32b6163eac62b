// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "cycles.h"

static uint64_t start_cycles, start_ns;

void cycles_start(void)
{
	start_cycles = cycles();
	start_ns = clock_ns();
}

double cycles_per_us(void)
{
	return (double)(cycles() - start_cycles) * 1000 / (double)(clock_ns() - start_ns);
}
