// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* md_lat: ib_write_lat(1) and its like, with memory under a lease among others. */
#include "run.h"

int main(int argc, char **argv)
{
	return run_perf(true, argc, argv);
}
