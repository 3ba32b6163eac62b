/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Who has the file, by the library. */
#ifndef BENCH_BREAK_HOLDER_H
#define BENCH_BREAK_HOLDER_H

#include <mapdirect/mapdirect.h>

#include "breaker.h"
#include "peer.h"
#include "qps.h"
#include "row.h"

struct holder {
	const struct row *row;
	struct peer *peers; /* row->peers of them */
	struct qps qps;
	struct md_context *ctx;
	struct md_map *map;
	struct md_mr *mr[REGIONS_MAX];
	struct md_peer *session[PEERS_MAX];
	bool fenced[QPS_MAX]; /* since the last restore */

	/* Of the break under way. */
	struct md_timeline timeline;
	uint64_t peers_told, peers_acked, peers_done; /* the last of them; 0: no peer */
	bool released, restored;
};

/* A broken lease, as it went. CLOCK_MONOTONIC ns; 0: there was no such thing. */
struct holder_break {
	struct breaker_report breaker;
	struct md_timeline timeline;
	uint64_t peers_told, peers_acked, peers_done;
	int fenced; /* queue pairs */
};

/* The peers have been started. @fd is as long as the row wants the map. */
void holder_open(struct holder *h, const struct row *row, struct peer *peers, int fd);

/* Has the lease broken, and restores it. All peers are again as their kind is before. */
void holder_break(struct holder *h, struct breaker *b, int which, struct holder_break *out);

#endif
