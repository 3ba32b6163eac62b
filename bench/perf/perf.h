/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * One side of a run. The buffer is laid out as perftest does it: first a part for each
 * queue pair that its messages are sent from (or read into), then one for each that
 * the other side reaches. In durable runs the latter is a ring of as many slots as
 * messages may be under way.
 */
#ifndef BENCH_PERF_H
#define BENCH_PERF_H

#include "mem.h"
#include "options.h"
#include "qps.h"
#include "session.h"
#include "wire.h"

/* perftest's, too: what a poll takes, and a server's receives at most. */
#define POLL_BATCH 16
#define RECV_DEPTH 512

enum mode {
	MODE_STREAM,   /* one side posts, as many as fit */
	MODE_PINGPONG, /* both post in turn */
	MODE_DURABLE,  /* one side posts, the other settles each and acknowledges */
};

/* What a side tells the other before the first message. */
struct side_info {
	int32_t status; /* 0, or an exit code */
	char text[256]; /* why */
	enum mem_kind kind;
	uint16_t md_port; /* server: of its listener */
	uint64_t token;	  /* server: that our client is to show */
	uint64_t addr;
	uint32_t rkey;
	struct qps_info qps;
};

struct perf {
	const struct options *opt;
	struct plan plan; /* the client's */
	enum mode mode;
	bool server;
	enum mem_kind server_kind;
	enum mem_kind client_kind;
	struct wire wire;
	struct device dev;
	struct qps qps;
	struct mem mem;
	struct session session;
	struct side_info mine;
	struct side_info theirs;
	bool renewable;	 /* see renew.h */
	uint32_t stride; /* bytes of a part, and of a slot */
	uint32_t slots;	 /* of each queue pair's ring; 1 without */
};

/* Until both sides are ready for messages. Ends the program when that fails. */
void perf_open(struct perf *p, const struct options *opt);

/* Once both sides are done. */
void perf_close(struct perf *p);

/* Where in the memory of either side a queue pair's own part is, and its slots. */
size_t perf_own_at(const struct perf *p, uint32_t qp);
size_t perf_slot_at(const struct perf *p, uint32_t qp, uint32_t slot);

/* The key of the other side's memory; read in a use. */
static inline uint32_t perf_rkey(const struct perf *p)
{
	return p->session.remote ? p->session.remote->rkey : p->theirs.rkey;
}

/* As if nothing had been sent yet; for latencies that look at bytes. */
void perf_clear(struct perf *p);

#endif
