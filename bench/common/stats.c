// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <math.h>
#include <stdlib.h>

#include "stats.h"

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void stats_sort(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), by_size);
}

double stats_percentile(const double *sorted, size_t count, double percent)
{
	size_t rank = (size_t)ceil((double)count * percent / 100);

	if (rank > count)
		rank = count;
	return sorted[rank ? rank - 1 : 0];
}

double stats_mean(const double *values, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += values[i];
	return count ? sum / (double)count : 0;
}

double stats_deviation(const double *values, size_t count)
{
	double mean = stats_mean(values, count), sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (values[i] - mean) * (values[i] - mean);
	return count > 1 ? sqrt(sum / (double)(count - 1)) : 0;
}
