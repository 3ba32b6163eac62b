/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* One row: breaks under the same conditions, the library's and bare ones in turn. */
#ifndef BENCH_BREAK_ROW_H
#define BENCH_BREAK_ROW_H

#include "options.h"

struct row {
	const struct options *options;
	enum axis axis;
	uint64_t value; /* on it */
	uint64_t regions, qps, peers, bytes;
};

void row_header(void);

/* Ends the program if it cannot. To be called in a process that has not used verbs. */
void row_run(const struct row *row);

#endif
