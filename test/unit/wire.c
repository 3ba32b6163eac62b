// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The codec: every message there and back, its bytes, and what is no message. */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "recorded.h"
#include "unit.h"

static uint8_t bytes[2 * MD__WIRE_MAX];
static size_t length;

static void set(size_t at, unsigned int size, uint64_t value)
{
	for (unsigned int i = 0; i < size; i++)
		bytes[at + i] = (uint8_t)(value >> 8 * i);
}

static void use_recorded(uint16_t type)
{
	for (size_t i = 0; i < RECORDED; i++) {
		if (recorded[i].msg.type == type) {
			memset(bytes, 0, sizeof(bytes));
			length = recorded_bytes(recorded[i].hex, bytes);
			return;
		}
	}
	CU_FAIL_FATAL("not recorded");
}

static enum md__wire_error decode(struct md__msg *msg)
{
	return md__wire_decode(bytes, length, msg);
}

static void expect(enum md__wire_error err)
{
	struct md__msg msg;
	enum md__wire_error got = decode(&msg);

	if (got != err)
		printf("\n    %s: %s, expected %s ", md__msg_str(msg.type), md__wire_error_str(got),
		       md__wire_error_str(err));
	CU_ASSERT_EQUAL(got, err);
}

/* What decode fills in, so that whole messages can be compared. */
static struct md__msg decoded(const struct md__msg *msg, size_t size)
{
	struct md__msg full = *msg;

	full.major = MD__WIRE_MAJOR;
	full.minor = MD__WIRE_MINOR;
	full.length = (uint32_t)size;
	return full;
}

/* ---- recorded ----------------------------------------------------------- */

static void encode__recorded__same_bytes(void)
{
	uint8_t out[MD__WIRE_MAX];

	for (size_t i = 0; i < RECORDED; i++) {
		length = recorded_bytes(recorded[i].hex, bytes);
		CU_ASSERT_EQUAL(md__wire_encode(&recorded[i].msg, out), length);
		CU_ASSERT_EQUAL(memcmp(out, bytes, length), 0);
		CU_ASSERT_EQUAL(md__wire_length(out, length), length);
	}
}

static void decode__recorded__same_message(void)
{
	unsigned int seen = 0;
	struct md__msg msg, want;

	for (size_t i = 0; i < RECORDED; i++) {
		length = recorded_bytes(recorded[i].hex, bytes);
		CU_ASSERT_EQUAL(decode(&msg), MD__ERR_NONE);
		want = decoded(&recorded[i].msg, length);
		CU_ASSERT_EQUAL(memcmp(&msg, &want, sizeof(msg)), 0);
		seen |= 1U << msg.type;
	}
	CU_ASSERT_EQUAL(seen, (1U << MD__MSG_TYPES) - 2);
}

/* ---- there and back ----------------------------------------------------- */

/* Each byte of the bodies is @fill, where any value may be. */
static void fill_body(struct md__msg *msg, uint16_t type, uint8_t fill)
{
	memset(msg, fill, sizeof(*msg));
	msg->type = type;
	switch (type) {
	case MD__MSG_GRANT:
		msg->grant.addr = fill ? UINT64_MAX : 0;
		msg->grant.length = 1;
		msg->grant.name[MD_NAME_MAX - 1] = 0;
		break;
	case MD__MSG_PERSIST_REQ:
		msg->persist_req.count = fill ? MD__WIRE_RANGES : 1;
		for (int i = 0; i < MD__WIRE_RANGES; i++)
			msg->persist_req.range[i].length = 1;
		break;
	case MD__MSG_ERROR:
	case MD__MSG_BYE:
		msg->error.text[MD__WIRE_TEXT - 1] = 0;
		break;
	default:
		break;
	}
}

/* What may not be 0 is 1. */
static void make_least(struct md__msg *msg)
{
	msg->number = 1;
	msg->session = 1;
	switch (msg->type) {
	case MD__MSG_HELLO:
		msg->hello = (struct md__hello){ 1, 0, 1, 1 };
		break;
	case MD__MSG_HELLO_ACK:
		msg->hello_ack.session = 1;
		break;
	case MD__MSG_GRANT:
		msg->grant.region = 1;
		msg->grant.generation = 1;
		break;
	case MD__MSG_RECALL:
	case MD__MSG_FENCED:
		msg->recall.region = 1;
		msg->recall.barrier = 1;
		msg->recall.id = 1;
		break;
	case MD__MSG_GRANT_ACK:
	case MD__MSG_RECALL_ACK:
	case MD__MSG_RECALL_DONE:
	case MD__MSG_FENCED_ACK:
		msg->answer.region = 1;
		msg->answer.generation = 1;
		break;
	case MD__MSG_PERSIST_REQ:
		msg->persist_req.region = 1;
		break;
	case MD__MSG_WANT:
	case MD__MSG_RELEASE:
		msg->region.region = 1;
		break;
	case MD__MSG_ERROR:
		msg->error.code = 1;
		break;
	default:
		break;
	}
}

/* Encoded, decoded and encoded once more: nothing is lost, and all that is set is used. */
static void there_and_back(const struct md__msg *msg)
{
	uint8_t again[MD__WIRE_MAX];
	struct md__msg got;

	length = md__wire_encode(msg, bytes);
	CU_ASSERT(length <= MD__WIRE_MAX);
	CU_ASSERT_EQUAL(length % 8, 0);
	CU_ASSERT_EQUAL(md__wire_length(bytes, length), length);
	expect(MD__ERR_NONE);
	CU_ASSERT_EQUAL(decode(&got), MD__ERR_NONE);
	CU_ASSERT_EQUAL(got.type, msg->type);
	CU_ASSERT_EQUAL(got.seen, msg->seen);
	CU_ASSERT_EQUAL(got.number, msg->number);
	CU_ASSERT_EQUAL(got.session, msg->session);
	CU_ASSERT_EQUAL(md__wire_encode(&got, again), length);
	CU_ASSERT_EQUAL(memcmp(again, bytes, length), 0);
}

static void round_trip__all_members_at_their_extremes__nothing_lost(void)
{
	struct md__msg msg;

	for (uint16_t type = 1; type < MD__MSG_TYPES; type++) {
		fill_body(&msg, type, 0xff);
		there_and_back(&msg);
		fill_body(&msg, type, 0);
		make_least(&msg);
		there_and_back(&msg);
	}
}

/* Each byte of a message is in it for something: another byte, another message. */
static void round_trip__each_byte_of_a_body__is_a_member(void)
{
	uint8_t again[MD__WIRE_MAX];
	struct md__msg msg;

	for (uint16_t type = 1; type < MD__MSG_TYPES; type++) {
		use_recorded(type);
		for (size_t at = MD__WIRE_HEADER; at < length; at++) {
			bytes[at] ^= 1;
			decode(&msg);
			if (msg.type < MD__MSG_TYPES) {
				CU_ASSERT_EQUAL(md__wire_encode(&msg, again), length);
				CU_ASSERT_EQUAL(memcmp(again, bytes, length), 0);
			}
			bytes[at] ^= 1;
		}
	}
}

/* ---- length ------------------------------------------------------------- */

static void length__each_prefix__more_or_all(void)
{
	for (size_t i = 0; i < RECORDED; i++) {
		length = recorded_bytes(recorded[i].hex, bytes);
		for (size_t n = 0; n <= length; n++)
			CU_ASSERT_EQUAL(md__wire_length(bytes, n), n < 32 ? 0 : length);
	}
}

static void length__no_message__a_header(void)
{
	const uint32_t wrong[] = { 0, 31, 24, 33, 36, 257, 264, 0x80000000, UINT32_MAX };

	use_recorded(MD__MSG_GRANT);
	bytes[0] ^= 1;
	CU_ASSERT_EQUAL(md__wire_length(bytes, length), MD__WIRE_HEADER);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		use_recorded(MD__MSG_GRANT);
		set(8, 4, wrong[i]);
		CU_ASSERT_EQUAL(md__wire_length(bytes, length), MD__WIRE_HEADER);
	}
}

/* ---- what is no message ------------------------------------------------- */

static void decode__magic_or_version__refused(void)
{
	struct md__msg msg;

	for (int at = 0; at < 4; at++) {
		use_recorded(MD__MSG_PING);
		bytes[at] ^= 0x20;
		expect(MD__ERR_MAGIC);
	}
	use_recorded(MD__MSG_PING);
	bytes[4] = MD__WIRE_MAJOR + 1;
	bytes[5] = 7;
	set(16, 8, 0); /* nothing is known of what follows the first 12 bytes */
	CU_ASSERT_EQUAL(decode(&msg), MD__ERR_VERSION);
	CU_ASSERT_EQUAL(msg.major, MD__WIRE_MAJOR + 1);
	CU_ASSERT_EQUAL(msg.minor, 7);
	CU_ASSERT_EQUAL(msg.type, MD__MSG_PING);
	CU_ASSERT_EQUAL(msg.length, length);
	bytes[4] = 0;
	expect(MD__ERR_VERSION);
}

static void decode__length__refused(void)
{
	size_t whole;

	for (uint16_t type = 1; type < MD__MSG_TYPES; type++) {
		use_recorded(type);
		whole = length;
		for (length = 0; length < whole; length++)
			expect(MD__ERR_LENGTH);
		length = whole;
		for (uint32_t claimed = 0; claimed < 2 * MD__WIRE_MAX; claimed++) {
			set(8, 4, claimed);
			expect(claimed == whole ? MD__ERR_NONE : MD__ERR_LENGTH);
		}
		set(8, 4, UINT32_MAX - 7);
		expect(MD__ERR_LENGTH);
	}
	use_recorded(MD__MSG_PING);
	length = sizeof(bytes);
	set(8, 4, MD__WIRE_MAX + 8);
	expect(MD__ERR_LENGTH);
	set(8, 4, MD__WIRE_MAX);
	expect(MD__ERR_NONE);
}

static void decode__unknown_type__refused_or_skipped(void)
{
	struct md__msg msg;

	for (unsigned int type = 0; type <= UINT16_MAX; type++) {
		bool known = type && type < MD__MSG_TYPES;

		if (known)
			continue;
		use_recorded(MD__MSG_PING);
		set(6, 2, type);
		if (!(type & MD__MSG_OPTIONAL)) {
			CU_ASSERT_EQUAL(decode(&msg), MD__ERR_TYPE);
			CU_ASSERT_EQUAL(msg.type, type);
			continue;
		}
		CU_ASSERT_EQUAL(decode(&msg), MD__ERR_NONE);
		CU_ASSERT_EQUAL(msg.type, MD__MSG_TYPES);
		CU_ASSERT_EQUAL(msg.number, 13);
	}
	set(8, 4, MD__WIRE_HEADER); /* with no body at all */
	expect(MD__ERR_NONE);
}

/* A member of a recorded message that gets a value which cannot be, or can. */
static const struct rule {
	uint16_t type;
	size_t at; /* in the body */
	unsigned int size;
	uint64_t value;
	bool good;
} rules[] = {
	{ MD__MSG_HELLO, 0, 8, 0, false },
	{ MD__MSG_HELLO, 8, 8, 0, true },
	{ MD__MSG_HELLO, 8, 8, UINT64_MAX, true },
	{ MD__MSG_HELLO, 16, 4, 0, false },
	{ MD__MSG_HELLO, 16, 4, 1, true },
	{ MD__MSG_HELLO, 20, 4, 0, false },
	{ MD__MSG_HELLO, 20, 4, UINT32_MAX, true },
	{ MD__MSG_HELLO_ACK, 0, 8, 0, false },
	{ MD__MSG_GRANT, 0, 8, 0, false },
	{ MD__MSG_GRANT, 8, 8, 0, false },
	{ MD__MSG_GRANT, 16, 8, 0, true },
	{ MD__MSG_GRANT, 16, 8, UINT64_MAX - 0x3fff, true },
	{ MD__MSG_GRANT, 16, 8, UINT64_MAX - 0x3ffe, false },
	{ MD__MSG_GRANT, 24, 8, 0, false },
	{ MD__MSG_GRANT, 24, 8, UINT64_MAX - 0x7f0000000fff, true },
	{ MD__MSG_GRANT, 24, 8, UINT64_MAX - 0x7f0000000ffe, false },
	{ MD__MSG_GRANT, 36, 4, UINT32_MAX, true },
	{ MD__MSG_GRANT, 40, 4, UINT32_MAX, true },
	{ MD__MSG_GRANT_ACK, 0, 8, 0, false },
	{ MD__MSG_GRANT_ACK, 8, 8, 0, false },
	{ MD__MSG_GRANT_ACK, 16, 8, 0, true },
	{ MD__MSG_RECALL, 0, 8, 0, false },
	{ MD__MSG_RECALL, 8, 8, 0, false },
	{ MD__MSG_RECALL, 16, 8, 0, false },
	{ MD__MSG_RECALL, 24, 4, 0, true },
	{ MD__MSG_RECALL, 28, 2, UINT16_MAX, true },
	{ MD__MSG_RECALL, 30, 2, UINT16_MAX, true },
	{ MD__MSG_RECALL_ACK, 0, 8, 0, false },
	{ MD__MSG_RECALL_ACK, 8, 8, 0, false },
	{ MD__MSG_RECALL_DONE, 0, 8, 0, false },
	{ MD__MSG_RECALL_DONE, 8, 8, 0, false },
	{ MD__MSG_FENCED, 0, 8, 0, false },
	{ MD__MSG_FENCED, 8, 8, 0, false },
	{ MD__MSG_FENCED, 16, 8, 0, false },
	{ MD__MSG_FENCED_ACK, 0, 8, 0, false },
	{ MD__MSG_FENCED_ACK, 8, 8, 0, false },
	{ MD__MSG_PERSIST_REQ, 0, 8, 0, false },
	{ MD__MSG_PERSIST_REQ, 24, 4, 0, false },
	{ MD__MSG_PERSIST_REQ, 24, 4, 1, true },
	{ MD__MSG_PERSIST_REQ, 24, 4, 3, false }, /* the third range is empty */
	{ MD__MSG_PERSIST_REQ, 24, 4, MD__WIRE_RANGES + 1, false },
	{ MD__MSG_PERSIST_REQ, 24, 4, UINT32_MAX, false },
	{ MD__MSG_PERSIST_REQ, 40, 8, 0, false },
	{ MD__MSG_PERSIST_REQ, 48, 8, UINT64_MAX - 0x7ff, true },
	{ MD__MSG_PERSIST_REQ, 48, 8, UINT64_MAX - 0x7fe, false },
	{ MD__MSG_PERSIST_RSP, 0, 8, 0, true },
	{ MD__MSG_PERSIST_RSP, 8, 4, UINT32_MAX, true },
	{ MD__MSG_WANT, 0, 8, 0, false },
	{ MD__MSG_WANT, 8, 8, 0, true },
	{ MD__MSG_RELEASE, 0, 8, 0, false },
	{ MD__MSG_PING, 0, 8, 0, true },
	{ MD__MSG_PONG, 0, 8, 0, true },
	{ MD__MSG_ERROR, 0, 4, UINT32_MAX, true },
	{ MD__MSG_ERROR, 0, 4, 0, false },
	{ MD__MSG_BYE, 0, 4, 0, true },
};

static void decode__each_rule_of_values__refused(void)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *r = &rules[i];

		use_recorded(r->type);
		set(MD__WIRE_HEADER + r->at, r->size, r->value);
		expect(r->good ? MD__ERR_NONE : MD__ERR_VALUE);
	}
	for (uint16_t type = 1; type < MD__MSG_TYPES; type++) {
		use_recorded(type);
		set(16, 8, 0);
		expect(MD__ERR_VALUE);
		use_recorded(type);
		set(24, 8, 0);
		expect(MD__ERR_VALUE);
	}
}

static void decode__text_without_end__refused(void)
{
	use_recorded(MD__MSG_GRANT);
	memset(bytes + 80, 'x', MD_NAME_MAX);
	expect(MD__ERR_VALUE);
	bytes[80 + MD_NAME_MAX - 1] = 0;
	expect(MD__ERR_NONE);
	use_recorded(MD__MSG_ERROR);
	memset(bytes + 48, 'x', MD__WIRE_TEXT);
	expect(MD__ERR_VALUE);
	bytes[48 + MD__WIRE_TEXT - 1] = 0;
	expect(MD__ERR_NONE);
}

/* ---- newer versions ----------------------------------------------------- */

static void decode__newer_minor__what_is_known_is_read(void)
{
	struct md__msg old, msg;
	size_t whole;

	for (uint16_t type = 1; type < MD__MSG_TYPES; type++) {
		use_recorded(type);
		CU_ASSERT_EQUAL(decode(&old), MD__ERR_NONE);
		whole = length;
		bytes[5] = 0xff;
		for (length = whole; length <= MD__WIRE_MAX; length += 8) {
			memset(bytes + whole, 0xee, length - whole);
			set(8, 4, length);
			CU_ASSERT_EQUAL(md__wire_length(bytes, length), length);
			CU_ASSERT_EQUAL(decode(&msg), MD__ERR_NONE);
			CU_ASSERT_EQUAL(msg.minor, 0xff);
			CU_ASSERT_EQUAL(msg.length, length);
			msg.minor = old.minor;
			msg.length = old.length;
			CU_ASSERT_EQUAL(memcmp(&msg, &old, sizeof(msg)), 0);
		}
	}
}

static void str__every_value__has_its_own_name(void)
{
	for (unsigned int i = 1; i < MD__MSG_TYPES; i++) {
		for (unsigned int j = 1; j < i; j++)
			CU_ASSERT_STRING_NOT_EQUAL(md__msg_str(i), md__msg_str(j));
	}
	for (unsigned int i = 0; i < MD__ERRS; i++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(md__wire_error_str(i));
		CU_ASSERT(strlen(md__wire_error_str(i)) < MD__WIRE_TEXT);
		for (unsigned int j = 0; j < i; j++)
			CU_ASSERT_STRING_NOT_EQUAL(md__wire_error_str(i), md__wire_error_str(j));
	}
	CU_ASSERT_STRING_EQUAL(md__msg_str(0), "unknown");
	CU_ASSERT_STRING_EQUAL(md__msg_str(MD__MSG_TYPES), "unknown");
	CU_ASSERT_STRING_EQUAL(md__wire_error_str(MD__ERRS), "unknown");
}

static const struct unit_case cases[] = {
	UNIT_CASE(encode__recorded__same_bytes),
	UNIT_CASE(decode__recorded__same_message),
	UNIT_CASE(round_trip__all_members_at_their_extremes__nothing_lost),
	UNIT_CASE(round_trip__each_byte_of_a_body__is_a_member),
	UNIT_CASE(length__each_prefix__more_or_all),
	UNIT_CASE(length__no_message__a_header),
	UNIT_CASE(decode__magic_or_version__refused),
	UNIT_CASE(decode__length__refused),
	UNIT_CASE(decode__unknown_type__refused_or_skipped),
	UNIT_CASE(decode__each_rule_of_values__refused),
	UNIT_CASE(decode__text_without_end__refused),
	UNIT_CASE(decode__newer_minor__what_is_known_is_read),
	UNIT_CASE(str__every_value__has_its_own_name),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("wire", cases, NULL, NULL, argc, argv);
}
