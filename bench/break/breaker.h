/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The process that breaks leases, by changing the last page of a file. */
#ifndef BENCH_BREAK_BREAKER_H
#define BENCH_BREAK_BREAKER_H

#include <stdint.h>
#include <sys/types.h>

#include "options.h"

struct breaker {
	enum breaker_kind kind;
	uint64_t bytes; /* of each file */
	const char *path[2];
	pid_t pid;
	int commands[2], reports[2]; /* pipes */
};

/* CLOCK_MONOTONIC ns: before its system call, and after it. */
struct breaker_report {
	uint64_t called;
	uint64_t returned;
};

/* The rest is filled in, and the files are there. */
void breaker_start(struct breaker *b);

/* It breaks path[which]. */
void breaker_go(struct breaker *b, int which);

/* To be polled for the report. */
int breaker_fd(const struct breaker *b);

/* Waits for it. The file is then as long as before. */
void breaker_report(struct breaker *b, struct breaker_report *report);

#endif
