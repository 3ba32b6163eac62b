/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include <stdbool.h>

/* All of md_bw and of md_lat. */
int run_perf(bool latency, int argc, char **argv);

#endif
