/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The floor: what any holder has to do in a break. A lease without the library, which
 * a thread gives back as soon as it hears of a break; and what is done to regions and
 * queue pairs, one after the other, while there is no break.
 */
#ifndef BENCH_BREAK_BARE_H
#define BENCH_BREAK_BARE_H

#include <semaphore.h>
#include <stdint.h>

#include "breaker.h"
#include "echo.h"
#include "qps.h"
#include "row.h"

#define BARE_THREADS_MAX 4

struct bare {
	const struct row *row;
	struct qps qps; /* joined each to itself */
	int device, fd;
	int lease;
	char *anchor, *map; /* of the file, of the lease */
	sem_t leased, over;
	struct echo_end echo;
	struct ibv_mr *mr[REGIONS_MAX];
};

/* CLOCK_MONOTONIC ns. */
struct bare_round {
	struct breaker_report breaker;
	uint64_t dereg;	 /* all regions */
	uint64_t modify; /* so many queue pairs to ERR */
	uint64_t echo;	 /* a message to another process and back; no part of the floor */
	/* On the axis of regions, all of them by 2 and by 4 threads at a time; else 0. */
	uint64_t dereg_parallel[BARE_THREADS_MAX + 1];
};

/* @fd is as long as the row wants the map. @echo has been started. */
void bare_open(struct bare *b, const struct row *row, struct echo *echo, int fd);

void bare_round(struct bare *b, struct breaker *breaker, int which, int fenced,
		struct bare_round *out);

#endif
