/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The values of all rounds, by what was measured and by size. Within a round each
 * may be measured several times: the median of these is the round's value, a sample.
 */
#ifndef BENCH_REG_TABLE_H
#define BENCH_REG_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "options.h"

enum column {
	MAP,
	MAP_REG,
	LEASE,
	DEREG_LEASE,
	LEASE_AGAIN,
	LEASE_RAW,
	UNMAP,
	DEVDAX_COLD,
	DEVDAX,
	DEREG_DEVDAX,
	TMPFS_COLD,
	TMPFS,
	DEREG_TMPFS,
	COLUMNS
};

struct series {
	double *values;
	size_t count, max;
};

struct table {
	struct series now[COLUMNS]; /* of this round and size */
	struct series rounds[COLUMNS][SIZES_MAX];
};

void table_add(struct table *t, enum column column, uint64_t ns);

/* The round is over for the size of this index: makes the samples. */
void table_round(struct table *t, size_t index, size_t size);

/* Medians in us; columns without any value are left out. */
void table_print(struct table *t, const struct options *opt);
void table_free(struct table *t);

void series_add(struct series *s, double value);
double series_median(struct series *s);
void series_free(struct series *s);

/* "64 MiB" */
const char *size_text(size_t size, char text[static 32]);

#endif
