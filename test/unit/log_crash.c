// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * md_log's format and rules in a file of which a crash keeps any part: what is not
 * yet durable is kept or lost cache line by cache line, and of a write that is cut
 * short, or fenced, any words may have arrived.
 */
#include <stdlib.h>
#include <string.h>

#include "../../examples/md_log/format.h"
#include "unit.h"

#define SLOTS 48
#define PAYLOAD 40
#define SLOT 128
#define DEPTH 6
#define LIVES 40 /* of writers, in one file */
#define FILES 400
#define LINE 64

static struct log_super super;
static uint64_t epoch; /* durable */

/* What all see, and what of it outlives the power. */
static char seen[SLOTS][SLOT], durable[SLOTS][SLOT];

static uint64_t acked; /* sequence numbers below this are */
static uint64_t sums[SLOTS];

struct writer {
	uint64_t id;
	uint64_t number; /* of its next record */
};

static void make(char *slot, const struct writer *w, uint64_t seq, uint64_t number)
{
	struct log_record *r = (struct log_record *)slot;

	memset(slot, 0, SLOT);
	*r = (struct log_record){
		.seq = seq,
		.epoch = epoch,
		.writer = w->id,
		.number = number,
		.length = PAYLOAD,
	};
	log_payload_make(r + 1, PAYLOAD, w->id, number);
	log_record_seal(&super, r);
}

static struct log_walk walk(void)
{
	struct log_walk w = { 0 };

	while (w.next < SLOTS && log_walk_next(&w, &super, seen[w.next]))
		;
	return w;
}

/* Some words of a write have arrived, all, or none. */
static void arrive_in_part(char *to, const char *from)
{
	const int chance = rand() % 5;

	for (size_t i = 0; i < SLOT; i += 8)
		if (rand() % 4 < chance)
			memcpy(to + i, from + i, 8);
}

static void make_durable(uint64_t from, uint64_t to)
{
	for (; from < to; from++)
		memcpy(durable[from], seen[from], SLOT);
}

static void lose_power(void)
{
	for (uint64_t i = 0; i < SLOTS; i++)
		for (size_t at = 0; at < SLOT; at += LINE)
			if (rand() % 2)
				memcpy(seen[i] + at, durable[i] + at, LINE);
	memcpy(durable, seen, sizeof(seen));
}

static void acknowledge(uint64_t to)
{
	for (; acked < to; acked++)
		sums[acked] = ((struct log_record *)seen[acked])->payload_sum;
}

/* A writer that comes, or comes back: its end of the log. */
static uint64_t begin(struct writer *w)
{
	uint64_t end;

	epoch++;
	end = walk().next;
	for (uint64_t i = 0; i < end; i++) {
		const struct log_record *r = (const struct log_record *)seen[i];

		if (r->writer == w->id)
			w->number = r->number + 1;
	}
	return end;
}

/* Until it ends somewhere. */
static void live(struct writer *w)
{
	uint64_t end = begin(w), asked, written;
	char record[SLOT];

	if (rand() % 8 == 0)
		return; /* before what it has found is durable */
	make_durable(0, end);
	acknowledge(end);
	asked = written = end;
	while (rand() % 6) {
		const uint64_t from = asked;

		/* Some complete, and some of these are asked for and answered. */
		while (written < SLOTS && written < acked + DEPTH && rand() % 3) {
			make(seen[written], w, written, w->number + written - end);
			written++;
		}
		if (written > asked)
			asked += rand() % (written - asked + 1);
		make_durable(from, asked);
		if (rand() % 4)
			acknowledge(asked);
	}
	/* Under way: in any order, in any part. */
	for (; written < SLOTS && written < acked + DEPTH; written++) {
		make(record, w, written, w->number + written - end);
		arrive_in_part(seen[written], record);
	}
}

/* Each writer's records: whole, from its first on, in their order, no gap, and once. */
static bool is_in_order(uint64_t end)
{
	uint64_t next[LIVES + 2] = { 0 };
	char payload[PAYLOAD];

	for (uint64_t i = 0; i < end; i++) {
		const struct log_record *r = (const struct log_record *)seen[i];

		log_payload_make(payload, PAYLOAD, r->writer, r->number);
		if (memcmp(r + 1, payload, PAYLOAD) || r->number != next[r->writer]++)
			return false;
	}
	return true;
}

/* Every acknowledged record is there, in its place, once. */
static bool is_right(void)
{
	const uint64_t end = walk().next;

	if (end < acked || !is_in_order(end))
		return false;
	for (uint64_t i = 0; i < acked; i++)
		if (((const struct log_record *)seen[i])->payload_sum != sums[i])
			return false;
	return true;
}

static bool run_file(void)
{
	struct writer w = { .id = 1 };

	memset(seen, 0, sizeof(seen));
	memset(durable, 0, sizeof(durable));
	epoch = acked = 0;
	for (int i = 0; i < LIVES; i++) {
		live(&w);
		switch (rand() % 3) {
		case 0: /* fenced: it comes back */
			break;
		case 1: /* killed */
			w = (struct writer){ .id = w.id + 1 };
			break;
		default:
			lose_power();
			w = (struct writer){ .id = w.id + 1 };
		}
		if (!is_right())
			return false;
	}
	return true;
}

static void set_up(void)
{
	srand(1);
	CU_ASSERT_EQUAL(log_super_make(&super, 42, PAYLOAD, LOG_SUPER_SIZE + SLOTS * SLOT), 0);
	CU_ASSERT_EQUAL_FATAL(super.slot_size, SLOT);
}

static void tear_down(void)
{
}

static void crash__any_part_of_any_write_kept__acknowledged_is_there_once(void)
{
	int wrong = 0;

	for (int i = 0; i < FILES; i++)
		wrong += !run_file();
	CU_ASSERT_EQUAL(wrong, 0);
}

static const struct unit_case cases[] = {
	UNIT_CASE(crash__any_part_of_any_write_kept__acknowledged_is_there_once),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("log_crash", cases, set_up, tear_down, argc, argv);
}
