/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A peer of the holder, in a process of its own. */
#ifndef BENCH_BREAK_PEER_H
#define BENCH_BREAK_PEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "options.h"

/* Shared by both processes. */
struct peer {
	pid_t pid;

	/* What the holder says. */
	int index;
	int n_qps;
	enum peer_kind kind;
	const char *addr;
	atomic_int port;	      /* 0: it does not listen yet */
	uint32_t holder_qpn[QPS_MAX]; /* with @joined */
	atomic_bool joined;

	/* What the peer says. */
	uint32_t qpn[QPS_MAX]; /* with @named */
	atomic_bool named;
	atomic_uint ready; /* the key with which it does what its kind does */
};

/*
 * Before this process uses verbs: librdmacm keeps open what a child must not have.
 * The peer does what its kind says from each grant on. When it was fenced it makes its
 * queue pairs anew, as the holder has to.
 */
void peer_start(struct peer *p);

#endif
