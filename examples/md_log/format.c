/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "format.h"

#include <string.h>

#define SUPER_MAGIC 0x312d676f6c2d646dULL  /* "md-log-1" */
#define RECORD_MAGIC 0x64726f6365722d6cULL /* "l-record" */
#define VERSION 1
#define SLOT_ALIGN 64
#define CRC64_POLYNOMIAL 0xc96c5795d7870f42ULL

uint64_t log_sum(uint64_t sum, const void *bytes, size_t length)
{
	static uint64_t table[256];
	const unsigned char *p = bytes;

	for (unsigned int i = 0; !table[255] && i < 256; i++) {
		uint64_t x = i;

		for (int bit = 0; bit < 8; bit++)
			x = x >> 1 ^ (x & 1 ? CRC64_POLYNOMIAL : 0);
		table[i] = x;
	}
	sum = ~sum;
	while (length--)
		sum = sum >> 8 ^ table[(sum ^ *p++) & 0xff];
	return ~sum;
}

static uint64_t super_sum(const struct log_super *super)
{
	return log_sum(0, super, offsetof(struct log_super, sum));
}

int log_super_make(struct log_super *super, uint64_t id, size_t payload_max, uint64_t file_size)
{
	size_t slot = sizeof(struct log_record) + payload_max;

	slot = (slot + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;
	*super = (struct log_super){
		.magic = SUPER_MAGIC,
		.version = VERSION,
		.slot_size = slot,
		.id = id,
	};
	if (file_size < LOG_SUPER_SIZE + slot)
		return -1;
	super->slots = (file_size - LOG_SUPER_SIZE) / slot;
	super->sum = super_sum(super);
	return 0;
}

const char *log_super_wrong(const struct log_super *super, uint64_t file_size)
{
	if (super->magic != SUPER_MAGIC)
		return "it is no log";
	if (super->version != VERSION)
		return "it is a log of another version";
	if (super->sum != super_sum(super))
		return "its superblock is damaged";
	if (file_size < log_end(super))
		return "it has been made shorter";
	return NULL;
}

uint64_t log_offset(const struct log_super *super, uint64_t seq)
{
	return LOG_SUPER_SIZE + seq * super->slot_size;
}

uint64_t log_end(const struct log_super *super)
{
	return log_offset(super, super->slots);
}

size_t log_payload_max(const struct log_super *super)
{
	return super->slot_size - sizeof(struct log_record);
}

void log_payload_make(void *payload, size_t length, uint64_t writer, uint64_t number)
{
	uint64_t x = (writer ^ number * 0x9e3779b97f4a7c15ULL) | 1;
	unsigned char *p = payload;

	for (size_t i = 0; i < length; i++) {
		if (i % sizeof(x) == 0) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
		}
		p[i] = x >> i % sizeof(x) * 8;
	}
}

static uint64_t record_sum(const struct log_super *super, const struct log_record *record)
{
	const uint64_t sum = log_sum(0, &super->id, sizeof(super->id));

	return log_sum(sum, record, offsetof(struct log_record, sum));
}

void log_record_seal(const struct log_super *super, struct log_record *record)
{
	record->magic = RECORD_MAGIC;
	record->zero = 0;
	record->payload_sum = log_sum(0, record + 1, record->length);
	record->sum = record_sum(super, record);
}

enum log_slot log_slot_look(const struct log_super *super, const void *slot, uint64_t seq)
{
	const struct log_record *record = slot;

	if (record->magic != RECORD_MAGIC)
		return LOG_NONE;
	if (record->sum != record_sum(super, record) || record->length > log_payload_max(super) ||
	    record->payload_sum != log_sum(0, record + 1, record->length))
		return LOG_TORN;
	return record->seq == seq ? LOG_WHOLE : LOG_OTHER;
}

bool log_walk_next(struct log_walk *walk, const struct log_super *super, const void *slot)
{
	const struct log_record *record = slot;

	if (walk->next == super->slots)
		return false;
	if (log_slot_look(super, slot, walk->next) != LOG_WHOLE || record->epoch < walk->epoch)
		return false;
	walk->next++;
	walk->epoch = record->epoch;
	return true;
}
