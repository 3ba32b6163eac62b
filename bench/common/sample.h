/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a benchmark hands to report.pl: one JSON object a line,
 *   {"name": "reg/lease/65536", "value": 28.25, "unit": "us"}
 * A name is a path of what was measured, without quotes. The same name comes once
 * in each round, so the k-th value of two names makes a pair.
 */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

/* From now on, samples are appended to this file; before, they go nowhere. */
void sample_open(const char *path);

void sample(double value, const char *unit, const char *name, ...)
	__attribute__((format(printf, 3, 4)));

#endif
