/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define PLAN_SIZES 64
#define PLAN_QPS 64
#define PLAN_SIZE_MAX (1U << 23)

enum perf_op {
	OP_WRITE,
	OP_READ,
	OP_SEND,
};

/* What is measured. The client's options say it; it goes to the server as it is. */
struct plan {
	bool latency; /* md_lat */
	bool persist;
	enum perf_op op;
	uint32_t iters; /* of each queue pair */
	uint32_t qps;
	uint32_t depth; /* of the send queue */
	uint32_t n_sizes;
	uint32_t sizes[PLAN_SIZES];
};

#endif
