// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* md_bw: ib_write_bw(1) and its like, with memory under a lease among others. */
#include "run.h"

int main(int argc, char **argv)
{
	return run_perf(false, argc, argv);
}
