// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Would the demo's verifier see a loss? It is run on files with and without. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../examples/demo/demo.h"
#include "unit.h"

#define SLOTS 8
#define FIRST_SEQ 100 /* of the records that were acknowledged */

static char dir[] = "/tmp/demo_verify.XXXXXX";
static int file, log_file;
static FILE *removed;
static uint64_t now;

static void path_of(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", dir, name);
}

static int create(const char *name)
{
	char path[64];

	path_of(path, sizeof(path), name);
	return open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
}

static void log_it(enum log_what what, uint64_t first, uint64_t count, uint64_t seq)
{
	const struct log_entry e = {
		.what = what,
		.first = first,
		.count = count,
		.seq = seq,
		.generation = 1,
		.stamp = ++now,
	};

	CU_ASSERT_EQUAL(write(log_file, &e, sizeof(e)), (ssize_t)sizeof(e));
}

static void put(uint64_t slot, uint64_t seq)
{
	struct record r;

	record_make(&r, slot, seq);
	CU_ASSERT_EQUAL(pwrite(file, &r, sizeof(r), slot * RECORD_SIZE), (ssize_t)sizeof(r));
}

/* All slots hold what was acknowledged. */
static void set_up(void)
{
	char path[64];

	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	file = create("file");
	log_file = create("log");
	path_of(path, sizeof(path), "removed");
	removed = fopen(path, "w");
	CU_ASSERT_FATAL(file >= 0 && log_file >= 0 && removed);
	log_it(LOG_WRITTEN, 0, SLOTS, FIRST_SEQ);
	log_it(LOG_ACKED, 0, SLOTS, FIRST_SEQ);
	for (uint64_t i = 0; i < SLOTS; i++)
		put(i, FIRST_SEQ + i);
}

static void tear_down(void)
{
	static const char *const names[] = { "file", "log", "removed" };
	char path[64];

	for (int i = 0; i < 3; i++) {
		path_of(path, sizeof(path), names[i]);
		unlink(path);
	}
	close(file);
	close(log_file);
	rmdir(dir);
}

static void expect(unsigned int slots, unsigned int gone, unsigned int torn, unsigned int lost)
{
	char command[512], said[256] = "", wanted[256];
	FILE *out;

	fclose(removed);
	snprintf(command, sizeof(command), DEMO_VERIFY " %s/file %s/log %s/removed", dir, dir, dir);
	snprintf(wanted, sizeof(wanted),
		 "records=%d generations=1 slots=%u removed=%u torn=%u lost=%u\n", SLOTS, slots,
		 gone, torn, lost);
	out = popen(command, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	CU_ASSERT_PTR_NOT_NULL(fgets(said, sizeof(said), out));
	CU_ASSERT_EQUAL(pclose(out), 0);
	CU_ASSERT_STRING_EQUAL(said, wanted);
}

static void flip_bit(off_t at)
{
	char byte;

	CU_ASSERT_EQUAL(pread(file, &byte, 1, at), 1);
	byte ^= 1;
	CU_ASSERT_EQUAL(pwrite(file, &byte, 1, at), 1);
}

static void verify__all_there__nothing_lost(void)
{
	expect(SLOTS, 0, 0, 0);
}

static void verify__one_bit_wrong__lost(void)
{
	flip_bit(3 * RECORD_SIZE + RECORD_SIZE - 1);
	expect(SLOTS, 0, 0, 1);
}

static void verify__older_record__lost(void)
{
	put(2, FIRST_SEQ + 2 - SLOTS);
	expect(SLOTS, 0, 0, 1);
}

static void verify__record_of_another_slot__lost(void)
{
	put(2, FIRST_SEQ + 3);
	put(3, FIRST_SEQ + 2);
	expect(SLOTS, 0, 0, 2);
}

static void verify__short_file__rest_lost(void)
{
	CU_ASSERT_EQUAL(ftruncate(file, 5 * RECORD_SIZE), 0);
	expect(SLOTS, 0, 0, SLOTS - 5);
}

static void verify__newer_record_under_way__not_lost(void)
{
	log_it(LOG_WRITTEN, 4, 2, FIRST_SEQ + SLOTS);
	put(4, FIRST_SEQ + SLOTS);
	expect(SLOTS, 0, 0, 0);
}

static void verify__newer_record_cut_short__torn(void)
{
	log_it(LOG_WRITTEN, 4, 2, FIRST_SEQ + SLOTS);
	flip_bit(5 * RECORD_SIZE + 100);
	expect(SLOTS, 0, 1, 0);
}

static void verify__removed_by_breaker__not_lost(void)
{
	fprintf(removed, "%d %d %d\n", 2 * RECORD_SIZE, 3 * RECORD_SIZE, 1000);
	CU_ASSERT_EQUAL(ftruncate(file, 2 * RECORD_SIZE), 0);
	expect(SLOTS - 3, 3, 0, SLOTS - 5);
}

/* What was acknowledged after the breaker was through must be there. */
static void verify__removed_before__lost(void)
{
	fprintf(removed, "0 %d 1\n", SLOTS * RECORD_SIZE);
	flip_bit(0);
	expect(SLOTS, 0, 0, 1);
}

static const struct unit_case cases[] = {
	UNIT_CASE(verify__all_there__nothing_lost),
	UNIT_CASE(verify__one_bit_wrong__lost),
	UNIT_CASE(verify__older_record__lost),
	UNIT_CASE(verify__record_of_another_slot__lost),
	UNIT_CASE(verify__short_file__rest_lost),
	UNIT_CASE(verify__newer_record_under_way__not_lost),
	UNIT_CASE(verify__newer_record_cut_short__torn),
	UNIT_CASE(verify__removed_by_breaker__not_lost),
	UNIT_CASE(verify__removed_before__lost),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("demo_verify", cases, set_up, tear_down, argc, argv);
}
