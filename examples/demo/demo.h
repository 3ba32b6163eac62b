/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the programs of the demo have in common. */
#ifndef DEMO_H
#define DEMO_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define DEMO_PORT "7475"      /* of the session */
#define DEMO_DATA_PORT "7476" /* of the data */

/* ---- records: a file is an array of them, a slot is an index ------------ */

#define RECORD_SIZE 4096
#define RECORD_WORDS (RECORD_SIZE / 8 - 3)
#define RECORD_MAGIC 0x64726f6365722d64ULL

/* Every byte follows from slot and seq; no two writes have the same seq. */
struct record {
	uint64_t magic;
	uint64_t slot;
	uint64_t seq;
	uint64_t payload[RECORD_WORDS];
};

void record_make(struct record *record, uint64_t slot, uint64_t seq);
bool record_valid(const struct record *record, uint64_t slot);

/*
 * The first message on the connection that the data takes: whose it is, by the number
 * that the client has said when it asked for its session.
 */
struct token {
	uint64_t number;
};

/* ---- the client's log: what it knows to be in the file ------------------- */

enum log_what {
	LOG_WRITTEN = 1, /* about to be written */
	LOG_ACKED,	 /* acknowledged as durable */
};

/* @count records, seq rising with the slot */
struct log_entry {
	uint64_t what;
	uint64_t first;
	uint64_t count;
	uint64_t seq;
	uint64_t generation;
	uint64_t stamp;
};

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

#endif
