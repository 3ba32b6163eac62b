/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "perf.h"

/* When each message of one size was posted and completed, in cycles(). */
struct times {
	uint32_t count;
	uint64_t start;
	uint64_t end;
	uint64_t *posted;    /* NULL: only the average is wanted */
	uint64_t *completed; /* 0 where no completion was asked for */
};

void times_open(struct times *t, const struct plan *plan);
void times_close(struct times *t);

/* What is run, in perftest's words, and the titles of its columns. */
void report_header(const struct perf *p);

/* A line of one size, and its samples. */
void report_bandwidth(const struct perf *p, const struct times *t, uint32_t size);

void report_latency(const struct perf *p, const struct times *t, uint32_t size);

void report_breaks(const struct perf *p);

#endif
