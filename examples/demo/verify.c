/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * demo_verify FILE LOG REMOVED: reads FILE by read(2) and compares it with the
 * client's log. In every slot there must be the record that was acknowledged
 * last, or a newer one that was under way, unless a breaker removed it: REMOVED
 * has lines "OFFSET LENGTH STAMP", with the time at which the breaker was done.
 *
 * Prints "records=N generations=N slots=N removed=N torn=N lost=N": records
 * acknowledged, leases under which some were, slots that held any, those that
 * breakers emptied, those that a write cut short damaged, those that are wrong.
 */
#include "demo.h"

#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct slot {
	bool acked;
	uint64_t seq; /* acknowledged last */
	uint64_t stamp;
	uint64_t written; /* the newest that can be there */
};

struct result {
	uint64_t records;
	uint64_t generations;
	uint64_t slots;
	uint64_t removed;
	uint64_t torn;
	uint64_t lost;
};

static const struct log_entry *read_log(const char *path, size_t *entries)
{
	const int fd = open(path, O_RDONLY);
	struct stat st;
	void *log;

	if (fd < 0 || fstat(fd, &st))
		err(2, "%s", path);
	*entries = st.st_size / sizeof(struct log_entry);
	if (!*entries)
		errx(2, "%s is empty", path);
	log = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (log == MAP_FAILED)
		err(2, "%s", path);
	close(fd);
	return log;
}

static struct slot *make_slots(const struct log_entry *log, size_t entries, uint64_t *slots)
{
	struct slot *slot;

	*slots = 0;
	for (size_t i = 0; i < entries; i++)
		if (log[i].first + log[i].count > *slots)
			*slots = log[i].first + log[i].count;
	slot = calloc(*slots, sizeof(*slot));
	if (!slot)
		err(2, "%" PRIu64 " slots", *slots);
	return slot;
}

static void apply_log(const struct log_entry *log, size_t entries, struct slot *slot,
		      struct result *result)
{
	uint64_t generation = 0;

	for (size_t i = 0; i < entries; i++) {
		const struct log_entry *e = log + i;

		for (uint64_t n = 0; n < e->count; n++) {
			struct slot *s = slot + e->first + n;

			s->written = e->seq + n;
			if (e->what != LOG_ACKED)
				continue;
			s->acked = true;
			s->seq = e->seq + n;
			s->stamp = e->stamp;
		}
		if (e->what != LOG_ACKED)
			continue;
		result->records += e->count;
		result->generations += e->generation != generation;
		generation = e->generation;
	}
}

static void apply_removed(const char *path, struct slot *slot, uint64_t slots,
			  struct result *result)
{
	uint64_t offset, length, stamp;
	FILE *f = fopen(path, "r");

	if (!f)
		err(2, "%s", path);
	while (fscanf(f, "%" SCNu64 " %" SCNu64 " %" SCNu64, &offset, &length, &stamp) == 3) {
		for (uint64_t i = 0; i < slots; i++) {
			const uint64_t at = i * RECORD_SIZE;

			if (!slot[i].acked || slot[i].stamp > stamp || at >= offset + length ||
			    at + RECORD_SIZE <= offset)
				continue;
			slot[i].acked = false;
			result->removed++;
		}
	}
	fclose(f);
}

static void check_slot(int fd, uint64_t i, const struct slot *slot, struct result *result)
{
	struct record record = { 0 };
	bool whole;

	if (pread(fd, &record, sizeof(record), i * RECORD_SIZE) < 0)
		err(2, "read");
	whole = record_valid(&record, i);
	result->slots++;
	if (whole && record.seq >= slot->seq && record.seq <= slot->written)
		return;
	if (!whole && slot->written > slot->seq)
		result->torn++;
	else
		result->lost++;
}

int main(int argc, char **argv)
{
	struct result result = { 0 };
	const struct log_entry *log;
	struct slot *slot;
	uint64_t slots;
	size_t entries;
	int fd;

	if (argc != 4)
		errx(2, "usage: demo_verify FILE LOG REMOVED");
	fd = open(argv[1], O_RDONLY);
	if (fd < 0)
		err(2, "%s", argv[1]);
	log = read_log(argv[2], &entries);
	slot = make_slots(log, entries, &slots);
	apply_log(log, entries, slot, &result);
	apply_removed(argv[3], slot, slots, &result);
	for (uint64_t i = 0; i < slots; i++)
		if (slot[i].acked)
			check_slot(fd, i, slot + i, &result);
	free(slot);
	printf("records=%" PRIu64 " generations=%" PRIu64 " slots=%" PRIu64 " removed=%" PRIu64
	       " torn=%" PRIu64 " lost=%" PRIu64 "\n",
	       result.records, result.generations, result.slots, result.removed, result.torn,
	       result.lost);
	return 0;
}
