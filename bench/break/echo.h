/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A process that sends back what it is sent, by plain verbs: what it takes at least to
 * ask somebody something, when both sleep until they hear of it.
 */
#ifndef BENCH_BREAK_ECHO_H
#define BENCH_BREAK_ECHO_H

#include <stdatomic.h>
#include <stdint.h>

#include "qps.h"

/* Shared by both processes. */
struct echo {
	const char *addr;
	atomic_uint near_qpn, far_qpn; /* 0: not known yet */
	atomic_bool joined;
};

struct echo_end {
	struct qps qps;
	char *buf; /* sent from its first half, received in the second */
	struct ibv_mr *mr;
};

/* Before this process uses verbs. */
struct echo *echo_start(const char *addr);

void echo_open(struct echo_end *e, struct echo *shared);

/* There and back, in ns. */
uint64_t echo_once(struct echo_end *e);

#endif
