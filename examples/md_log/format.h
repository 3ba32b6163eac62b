/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What is in the file: a page with the superblock, then slots of one size. The
 * record with sequence number N is in slot N, counted from 0, or nowhere. All
 * numbers have the byte order of the machine.
 *
 * Every writer has an epoch: the server counts it up in the superblock, durably,
 * before it lets the next one write, and after it has ended the access of the one
 * before. The log is the longest run of slots from the first on in which each has
 * the record of its number, whole, with an epoch not lower than that of the record
 * before. So what an earlier writer left beyond the end is no record: not behind a
 * hole, and when the hole is filled its epoch is too low.
 */
#ifndef MD_LOG_FORMAT_H
#define MD_LOG_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_SUPER_SIZE 4096
#define LOG_PAYLOAD_MAX (1U << 20)

struct log_super {
	uint64_t magic;
	uint32_t version;
	uint32_t slot_size; /* multiple of 64 */
	uint64_t slots;
	uint64_t id; /* random; part of each record's checksum */
	uint64_t sum;
	uint64_t epoch; /* of the last writer; not part of the sum: it alone changes */
};

/* Begins a slot; the payload follows. */
struct log_record {
	uint64_t magic;
	uint64_t seq;
	uint64_t epoch;
	uint64_t writer; /* random, of a client */
	uint64_t number; /* of this writer's records, from 0; the same if it is written again */
	uint32_t length; /* of the payload */
	uint32_t zero;
	uint64_t payload_sum;
	uint64_t sum; /* of the log's id and all before */
};

enum log_slot {
	LOG_NONE,  /* no record, or of another log */
	LOG_TORN,  /* the beginning of a record, but not a whole one */
	LOG_OTHER, /* a whole record with the number of another slot */
	LOG_WHOLE, /* a whole record with the number of this slot */
};

/* CRC-64 (ECMA-182), to be continued with what it returned. */
uint64_t log_sum(uint64_t sum, const void *bytes, size_t length);

/* -1 if not one record fits. */
int log_super_make(struct log_super *super, uint64_t id, size_t payload_max, uint64_t file_size);

/* NULL, or what is wrong with it. */
const char *log_super_wrong(const struct log_super *super, uint64_t file_size);

uint64_t log_offset(const struct log_super *super, uint64_t seq);
uint64_t log_end(const struct log_super *super);
size_t log_payload_max(const struct log_super *super);

/* The payload of a writer's record: every byte follows from both numbers. */
void log_payload_make(void *payload, size_t length, uint64_t writer, uint64_t number);

/* Completes the header in a slot that has its payload: both sums and the magic. */
void log_record_seal(const struct log_super *super, struct log_record *record);

/* What is in a slot. */
enum log_slot log_slot_look(const struct log_super *super, const void *slot, uint64_t seq);

/* Walks the log: all zeroes at its beginning. */
struct log_walk {
	uint64_t next;	/* the number of the record that comes next; after the walk: the end */
	uint64_t epoch; /* of the record before */
};

/* The next slot: true if it has a record of the log; false: the log ends before it. */
bool log_walk_next(struct log_walk *walk, const struct log_super *super, const void *slot);

#endif
