/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef BENCH_BREAK_OPTIONS_H
#define BENCH_BREAK_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define REGIONS_MAX 4096
#define QPS_MAX 128
#define PEERS_MAX 16
#define VALUES_MAX 32

/* What may be varied, one at a time. */
enum axis {
	AXIS_REGIONS,
	AXIS_QPS,
	AXIS_PEERS,
	AXIS_BYTES,
	AXES
};

enum peer_kind {
	PEER_COOPERATING, /* writes all the time, and is done when recalled */
	PEER_IDLE,	  /* has nothing under way when recalled */
	PEER_SILENT,	  /* has a use open that it does not put */
	PEER_DEAD,	  /* is stopped, and hears of nothing */
};

enum breaker_kind {
	BREAKER_PUNCH,
	BREAKER_WRITE,
	BREAKER_TRUNCATE
};

struct axis_values {
	uint64_t value[VALUES_MAX];
	int count;
	bool named; /* on the command line */
};

struct options {
	const char *file;
	const char *addr;
	struct axis_values axis[AXES];
	enum peer_kind peer;
	enum breaker_kind breaker;
	unsigned int count;	/* breaks of a row */
	unsigned int budget_ms; /* 0: the library's */
	unsigned int apart_ms;	/* the map is live for that long before each break */
};

const char *axis_str(enum axis axis);
const char *peer_kind_str(enum peer_kind kind);

/* Ends the program if they make no sense; opens the file for samples. */
void options_parse(struct options *o, int argc, char **argv);

#endif
