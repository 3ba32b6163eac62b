/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "demo.h"

#include <string.h>

void record_make(struct record *record, uint64_t slot, uint64_t seq)
{
	uint64_t x = (seq << 20 ^ slot) * 0x9e3779b97f4a7c15ULL | 1;

	record->magic = RECORD_MAGIC;
	record->slot = slot;
	record->seq = seq;
	for (int i = 0; i < RECORD_WORDS; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		record->payload[i] = x;
	}
}

bool record_valid(const struct record *record, uint64_t slot)
{
	struct record want;

	record_make(&want, slot, record->seq);
	return !memcmp(record, &want, sizeof(want));
}
