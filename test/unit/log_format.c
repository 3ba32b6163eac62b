// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What md_log takes for a record, and would its verifier see that one is not there? */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../examples/md_log/acked.h"
#include "../../examples/md_log/format.h"
#include "unit.h"

#define RECORDS 8
#define SLOTS 12
#define PAYLOAD 192
#define SLOT 256
#define WRITER 0x1234
#define EPOCH 7

static char dir[] = "/tmp/log_format.XXXXXX";
static int file, acked;
static struct log_super super;
static union {
	struct log_record record;
	char bytes[SLOT];
} slot[SLOTS];

static void path_of(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", dir, name);
}

static void put(uint64_t at, uint64_t seq, uint64_t epoch, uint64_t number)
{
	struct log_record *r = &slot[at].record;

	*r = (struct log_record){
		.seq = seq,
		.epoch = epoch,
		.writer = WRITER,
		.number = number,
		.length = PAYLOAD,
	};
	log_payload_make(r + 1, PAYLOAD, WRITER, number);
	log_record_seal(&super, r);
}

static void acknowledge(uint64_t seq)
{
	CU_ASSERT_EQUAL(acked_add(acked, seq, slot[seq].record.payload_sum), 0);
}

/* Eight records, all acknowledged, and four slots without any. */
static void set_up(void)
{
	char path[64];

	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	path_of(path, sizeof(path), "file");
	file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	path_of(path, sizeof(path), "acked");
	acked = acked_open(path);
	CU_ASSERT_FATAL(file >= 0 && acked >= 0);
	CU_ASSERT_EQUAL(log_super_make(&super, 42, PAYLOAD, LOG_SUPER_SIZE + SLOTS * SLOT), 0);
	CU_ASSERT_EQUAL(super.slots, SLOTS);
	CU_ASSERT_EQUAL(super.slot_size, SLOT);
	memset(slot, 0, sizeof(slot));
	for (uint64_t i = 0; i < RECORDS; i++) {
		put(i, i, EPOCH, i);
		acknowledge(i);
	}
}

static void tear_down(void)
{
	static const char *const names[] = { "file", "acked" };
	char path[64];

	for (int i = 0; i < 2; i++) {
		path_of(path, sizeof(path), names[i]);
		unlink(path);
	}
	close(file);
	close(acked);
	rmdir(dir);
}

/* ---- the format ------------------------------------------------------------ */

static uint64_t records(void)
{
	struct log_walk walk = { 0 };

	while (walk.next < SLOTS && log_walk_next(&walk, &super, &slot[walk.next]))
		;
	return walk.next;
}

static void walk__whole_records__to_the_first_slot_without(void)
{
	CU_ASSERT_EQUAL(records(), RECORDS);
	for (uint64_t i = RECORDS; i < SLOTS; i++)
		put(i, i, EPOCH, i);
	CU_ASSERT_EQUAL(records(), SLOTS);
	memset(slot, 0, sizeof(slot));
	CU_ASSERT_EQUAL(records(), 0);
}

static void walk__gap__ends_before_it(void)
{
	memset(&slot[3], 0, SLOT);
	CU_ASSERT_EQUAL(records(), 3);
}

/* An earlier writer has left 5 to 7 behind a hole; the next one fills it. */
static void walk__older_tail_behind_a_filled_hole__is_none(void)
{
	memset(&slot[4], 0, SLOT);
	CU_ASSERT_EQUAL(records(), 4);
	put(4, 4, EPOCH + 1, 100);
	CU_ASSERT_EQUAL(records(), 5);
	put(5, 5, EPOCH + 1, 101);
	CU_ASSERT_EQUAL(records(), 6);
	put(6, 6, EPOCH + 3, 0);
	CU_ASSERT_EQUAL(records(), 7);
}

static void walk__record_of_another_slot__ends_before_it(void)
{
	put(5, 4, EPOCH, 4);
	CU_ASSERT_EQUAL(records(), 5);
	CU_ASSERT_EQUAL(log_slot_look(&super, &slot[5], 5), LOG_OTHER);
}

static void look__any_bit_wrong__not_whole(void)
{
	for (unsigned int bit = 0; bit < 8 * (sizeof(struct log_record) + PAYLOAD); bit++) {
		slot[2].bytes[bit / 8] ^= 1 << bit % 8;
		CU_ASSERT_NOT_EQUAL(log_slot_look(&super, &slot[2], 2), LOG_WHOLE);
		slot[2].bytes[bit / 8] ^= 1 << bit % 8;
	}
	CU_ASSERT_EQUAL(log_slot_look(&super, &slot[2], 2), LOG_WHOLE);
}

/* A write that was cut short, over what an earlier writer had put there. */
static void look__part_of_a_record_over_an_older_one__not_whole(void)
{
	char older[SLOT], newer[SLOT];

	memcpy(older, &slot[2], SLOT);
	put(2, 2, EPOCH + 1, 100);
	memcpy(newer, &slot[2], SLOT);
	for (unsigned int cut = 8; cut < sizeof(struct log_record) + PAYLOAD; cut++) {
		memcpy(&slot[2], newer, cut);
		memcpy(slot[2].bytes + cut, older + cut, SLOT - cut);
		if (memcmp(&slot[2], older, SLOT))
			CU_ASSERT_NOT_EQUAL(log_slot_look(&super, &slot[2], 2), LOG_WHOLE);
	}
}

static void look__record_of_another_log__not_whole(void)
{
	struct log_super other;

	CU_ASSERT_EQUAL(log_super_make(&other, 43, PAYLOAD, LOG_SUPER_SIZE + SLOT), 0);
	CU_ASSERT_NOT_EQUAL(log_slot_look(&other, &slot[2], 2), LOG_WHOLE);
}

static void look__length_beyond_the_slot__not_whole(void)
{
	struct log_super wide;

	CU_ASSERT_EQUAL(log_super_make(&wide, 42, 2 * SLOT, LOG_SUPER_SIZE + 4 * SLOT), 0);
	slot[2].record.length = PAYLOAD + 1;
	log_record_seal(&wide, &slot[2].record);
	CU_ASSERT_EQUAL(log_slot_look(&super, &slot[2], 2), LOG_TORN);
}

static void super__any_bit_wrong_but_the_epoch__refused(void)
{
	const uint64_t size = log_end(&super);
	char *bytes = (char *)&super;

	CU_ASSERT_PTR_NULL(log_super_wrong(&super, size));
	for (unsigned int bit = 0; bit < 8 * offsetof(struct log_super, epoch); bit++) {
		bytes[bit / 8] ^= 1 << bit % 8;
		CU_ASSERT_PTR_NOT_NULL(log_super_wrong(&super, size));
		bytes[bit / 8] ^= 1 << bit % 8;
	}
	super.epoch++;
	CU_ASSERT_PTR_NULL(log_super_wrong(&super, size));
	CU_ASSERT_PTR_NOT_NULL(log_super_wrong(&super, size - 1));
}

static void super__no_room_for_a_record__not_made(void)
{
	CU_ASSERT_EQUAL(log_super_make(&super, 42, PAYLOAD, LOG_SUPER_SIZE + SLOT - 1), -1);
	CU_ASSERT_EQUAL(log_super_make(&super, 42, PAYLOAD, 0), -1);
}

/* ---- the verifier ---------------------------------------------------------- */

struct expected {
	unsigned int records, acked, lost, duplicate, torn;
};

static int run(char *said, size_t size)
{
	char command[512];
	FILE *out;
	int status;

	CU_ASSERT_EQUAL(pwrite(file, &super, sizeof(super), 0), (ssize_t)sizeof(super));
	CU_ASSERT_EQUAL(pwrite(file, slot, sizeof(slot), LOG_SUPER_SIZE), (ssize_t)sizeof(slot));
	snprintf(command, sizeof(command), MD_LOG " --verify %s/file %s/acked 2>/dev/null", dir,
		 dir);
	out = popen(command, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	if (!fgets(said, size, out))
		*said = '\0';
	status = pclose(out);
	CU_ASSERT(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void expect(struct expected e)
{
	char said[256], wanted[256];
	int status = run(said, sizeof(said));

	snprintf(wanted, sizeof(wanted),
		 "md_log: records=%u acked=%u lost=%u duplicate=%u torn=%u\n", e.records, e.acked,
		 e.lost, e.duplicate, e.torn);
	CU_ASSERT_STRING_EQUAL(said, wanted);
	CU_ASSERT_EQUAL(status, e.lost || e.duplicate || e.torn);
}

static void verify__all_there__fine(void)
{
	expect((struct expected){ .records = RECORDS, .acked = RECORDS });
}

static void verify__last_record_gone__lost(void)
{
	memset(&slot[RECORDS - 1], 0, SLOT);
	expect((struct expected){ .records = RECORDS - 1, .acked = RECORDS, .lost = 1 });
}

static void verify__gap__all_behind_it_lost(void)
{
	memset(&slot[5], 0, SLOT);
	expect((struct expected){ .records = 5, .acked = RECORDS, .lost = RECORDS - 5 });
}

static void verify__wrong_payload__lost(void)
{
	slot[2].bytes[SLOT - 1] ^= 1;
	log_record_seal(&super, &slot[2].record);
	expect((struct expected){ .records = RECORDS, .acked = RECORDS, .lost = 1 });
}

static void verify__acknowledged_record_damaged__torn(void)
{
	slot[RECORDS - 1].bytes[SLOT - 1] ^= 1;
	expect((struct expected){ .records = RECORDS - 1, .acked = RECORDS, .torn = 1 });
}

static void verify__torn_tail_not_acknowledged__fine(void)
{
	put(RECORDS, RECORDS, EPOCH, RECORDS);
	memset(slot[RECORDS].bytes + 100, 0, SLOT - 100);
	expect((struct expected){ .records = RECORDS, .acked = RECORDS });
}

static void verify__tail_not_acknowledged__fine(void)
{
	put(RECORDS, RECORDS, EPOCH, RECORDS);
	put(RECORDS + 2, RECORDS + 2, EPOCH, RECORDS + 2);
	expect((struct expected){ .records = RECORDS + 1, .acked = RECORDS });
}

static void verify__acknowledged_behind_the_end__lost(void)
{
	put(RECORDS + 1, RECORDS + 1, EPOCH, RECORDS + 1);
	acknowledge(RECORDS + 1);
	expect((struct expected){ .records = RECORDS, .acked = RECORDS + 1, .lost = 1 });
}

/* An older writer's record was acknowledged, and a newer one has filled a hole before it. */
static void verify__acknowledged_with_too_low_an_epoch__lost(void)
{
	put(RECORDS - 2, RECORDS - 2, EPOCH + 1, RECORDS - 2);
	expect((struct expected){ .records = RECORDS - 1, .acked = RECORDS, .lost = 1 });
}

static void verify__copy_in_another_slot__duplicate(void)
{
	slot[RECORDS + 2] = slot[3];
	expect((struct expected){ .records = RECORDS, .acked = RECORDS, .duplicate = 1 });
}

static void verify__copy_over_a_record__duplicate_and_lost(void)
{
	slot[RECORDS - 1] = slot[3];
	expect((struct expected){
		.records = RECORDS - 1, .acked = RECORDS, .lost = 1, .duplicate = 1 });
}

static void verify__appended_twice__duplicate(void)
{
	put(RECORDS, RECORDS, EPOCH + 1, 3);
	expect((struct expected){ .records = RECORDS + 1, .acked = RECORDS, .duplicate = 1 });
}

static void verify__gap_among_a_writers_records__lost(void)
{
	put(RECORDS, RECORDS, EPOCH + 1, RECORDS + 1);
	expect((struct expected){ .records = RECORDS + 1, .acked = RECORDS, .lost = 1 });
}

/* Both are whole, and were swapped when they were appended. */
static void verify__writers_records_out_of_order__lost(void)
{
	put(RECORDS, RECORDS, EPOCH + 1, RECORDS + 1);
	put(RECORDS + 1, RECORDS + 1, EPOCH + 1, RECORDS);
	expect((struct expected){ .records = RECORDS + 2, .acked = RECORDS, .lost = 1 });
}

static void verify__acknowledged_twice__duplicate(void)
{
	acknowledge(3);
	expect((struct expected){ .records = RECORDS, .acked = RECORDS + 1, .duplicate = 1 });
}

static void verify__acknowledged_beyond_the_slots__lost(void)
{
	CU_ASSERT_EQUAL(acked_add(acked, SLOTS, 1), 0);
	expect((struct expected){ .records = RECORDS, .acked = RECORDS + 1, .lost = 1 });
}

static void verify__not_readable__is_2(void)
{
	char said[256];

	CU_ASSERT_EQUAL(write(acked, "nonsense\n", 9), 9);
	CU_ASSERT_EQUAL(run(said, sizeof(said)), 2);
	CU_ASSERT_STRING_EQUAL(said, "");
	CU_ASSERT_EQUAL(ftruncate(acked, 0), 0);
	CU_ASSERT_EQUAL(run(said, sizeof(said)), 0);
	super.magic++;
	CU_ASSERT_EQUAL(run(said, sizeof(said)), 2);
}

static const struct unit_case cases[] = {
	UNIT_CASE(walk__whole_records__to_the_first_slot_without),
	UNIT_CASE(walk__gap__ends_before_it),
	UNIT_CASE(walk__older_tail_behind_a_filled_hole__is_none),
	UNIT_CASE(walk__record_of_another_slot__ends_before_it),
	UNIT_CASE(look__any_bit_wrong__not_whole),
	UNIT_CASE(look__part_of_a_record_over_an_older_one__not_whole),
	UNIT_CASE(look__record_of_another_log__not_whole),
	UNIT_CASE(look__length_beyond_the_slot__not_whole),
	UNIT_CASE(super__any_bit_wrong_but_the_epoch__refused),
	UNIT_CASE(super__no_room_for_a_record__not_made),
	UNIT_CASE(verify__all_there__fine),
	UNIT_CASE(verify__last_record_gone__lost),
	UNIT_CASE(verify__gap__all_behind_it_lost),
	UNIT_CASE(verify__wrong_payload__lost),
	UNIT_CASE(verify__acknowledged_record_damaged__torn),
	UNIT_CASE(verify__torn_tail_not_acknowledged__fine),
	UNIT_CASE(verify__tail_not_acknowledged__fine),
	UNIT_CASE(verify__acknowledged_behind_the_end__lost),
	UNIT_CASE(verify__acknowledged_with_too_low_an_epoch__lost),
	UNIT_CASE(verify__copy_in_another_slot__duplicate),
	UNIT_CASE(verify__copy_over_a_record__duplicate_and_lost),
	UNIT_CASE(verify__appended_twice__duplicate),
	UNIT_CASE(verify__gap_among_a_writers_records__lost),
	UNIT_CASE(verify__writers_records_out_of_order__lost),
	UNIT_CASE(verify__acknowledged_twice__duplicate),
	UNIT_CASE(verify__acknowledged_beyond_the_slots__lost),
	UNIT_CASE(verify__not_readable__is_2),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("log_format", cases, set_up, tear_down, argc, argv);
}
