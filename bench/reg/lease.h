/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef BENCH_REG_LEASE_H
#define BENCH_REG_LEASE_H

#include "table.h"

struct ibv_pd;
struct md_context;

/* A written file for each size, or -1 where there was no room. */
struct lease {
	struct md_context *ctx;
	int fds[SIZES_MAX];
};

void lease_open(struct lease *l, const struct options *opt);
void lease_close(struct lease *l, const struct options *opt);

/* One round of the size of this index. @odd: does this round begin with the other of a pair? */
void lease_measure(struct lease *l, struct ibv_pd *pd, struct table *t, size_t index, size_t size,
		   bool odd);

#endif
