/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>

/* Sorts them, smallest first. */
void stats_sort(double *values, size_t count);

/*
 * Of values that are sorted, the smallest that @percent of them do not exceed (the
 * nearest rank): 50 is the lower median, 100 the largest. @count is 1 or more.
 */
double stats_percentile(const double *sorted, size_t count, double percent);

double stats_mean(const double *values, size_t count);

/* The sample's standard deviation; 0 of fewer than two. */
double stats_deviation(const double *values, size_t count);

#endif
