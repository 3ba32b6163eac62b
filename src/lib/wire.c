// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Each body is a list of members; one loop writes them, one reads them. */

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "wire.h"

struct member {
	uint16_t at;   /* in struct md__msg */
	uint16_t size; /* 2, 4 or 8: a number; more: bytes; 0: the end */
};

#define M(field)                                                                                   \
	{                                                                                          \
		offsetof(struct md__msg, field), sizeof(((struct md__msg *)0)->field)              \
	}

static const struct member hello[] = {
	M(hello.incarnation), M(hello.other), M(hello.window), M(hello.keepalive_ms), { 0 },
};
static const struct member hello_ack[] = { M(hello_ack.session), { 0 } };
static const struct member grant[] = {
	M(grant.region), M(grant.generation), M(grant.addr), M(grant.length), M(grant.rkey),
	M(grant.access), M(grant.flags),      M(grant.zero), M(grant.name),   { 0 },
};
static const struct member recall[] = {
	M(recall.region), M(recall.barrier), M(recall.id), M(recall.budget_ms),
	M(recall.reason), M(recall.flags),   { 0 },
};
static const struct member answer[] = {
	M(answer.region),
	M(answer.generation),
	M(answer.id),
	{ 0 },
};

#define RANGE(n) M(persist_req.range[n].offset), M(persist_req.range[n].length)

static const struct member persist_req[] = {
	M(persist_req.region),
	M(persist_req.generation),
	M(persist_req.cookie),
	M(persist_req.count),
	M(persist_req.zero),
	RANGE(0),
	RANGE(1),
	RANGE(2),
	RANGE(3),
	RANGE(4),
	RANGE(5),
	RANGE(6),
	RANGE(7),
	{ 0 },
};
static const struct member persist_rsp[] = {
	M(persist_rsp.cookie),
	M(persist_rsp.status),
	M(persist_rsp.zero),
	{ 0 },
};
static const struct member region[] = { M(region.region), M(region.generation), { 0 } };
static const struct member ping[] = { M(ping.stamp), { 0 } };
static const struct member error[] = {
	M(error.code), M(error.type), M(error.number), M(error.text), { 0 },
};

static const struct {
	const char *name;
	const struct member *body;
} types[MD__MSG_TYPES] = {
	[MD__MSG_HELLO] = { "HELLO", hello },
	[MD__MSG_HELLO_ACK] = { "HELLO_ACK", hello_ack },
	[MD__MSG_GRANT] = { "GRANT", grant },
	[MD__MSG_GRANT_ACK] = { "GRANT_ACK", answer },
	[MD__MSG_RECALL] = { "RECALL", recall },
	[MD__MSG_RECALL_ACK] = { "RECALL_ACK", answer },
	[MD__MSG_RECALL_DONE] = { "RECALL_DONE", answer },
	[MD__MSG_FENCED] = { "FENCED", recall },
	[MD__MSG_FENCED_ACK] = { "FENCED_ACK", answer },
	[MD__MSG_PERSIST_REQ] = { "PERSIST_REQ", persist_req },
	[MD__MSG_PERSIST_RSP] = { "PERSIST_RSP", persist_rsp },
	[MD__MSG_WANT] = { "WANT", region },
	[MD__MSG_RELEASE] = { "RELEASE", region },
	[MD__MSG_PING] = { "PING", ping },
	[MD__MSG_PONG] = { "PONG", ping },
	[MD__MSG_ERROR] = { "ERROR", error },
	[MD__MSG_BYE] = { "BYE", error },
};

/* ---- numbers ------------------------------------------------------------ */

static void put(uint8_t *to, unsigned int size, uint64_t value)
{
	for (unsigned int i = 0; i < size; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *from, unsigned int size)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < size; i++)
		value |= (uint64_t)from[i] << 8 * i;
	return value;
}

static void put_member(uint8_t *to, const struct md__msg *msg, const struct member *m)
{
	const void *from = (const char *)msg + m->at;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	switch (m->size) {
	case 2:
		memcpy(&u16, from, sizeof(u16));
		put(to, m->size, u16);
		break;
	case 4:
		memcpy(&u32, from, sizeof(u32));
		put(to, m->size, u32);
		break;
	case 8:
		memcpy(&u64, from, sizeof(u64));
		put(to, m->size, u64);
		break;
	default:
		memcpy(to, from, m->size);
	}
}

static void get_member(const uint8_t *from, struct md__msg *msg, const struct member *m)
{
	void *to = (char *)msg + m->at;
	uint64_t value = m->size <= 8 ? get(from, m->size) : 0;
	uint16_t u16 = (uint16_t)value;
	uint32_t u32 = (uint32_t)value;

	switch (m->size) {
	case 2:
		memcpy(to, &u16, sizeof(u16));
		break;
	case 4:
		memcpy(to, &u32, sizeof(u32));
		break;
	case 8:
		memcpy(to, &value, sizeof(value));
		break;
	default:
		memcpy(to, from, m->size);
	}
}

/* ---- messages ----------------------------------------------------------- */

size_t md__wire_encode(const struct md__msg *msg, void *out)
{
	uint8_t *bytes = out;
	size_t at = MD__WIRE_HEADER;

	assert(msg->type < MD__MSG_TYPES && types[msg->type].body);
	for (const struct member *m = types[msg->type].body; m->size; m++) {
		put_member(bytes + at, msg, m);
		at += m->size;
	}
	put(bytes, 4, MD__WIRE_MAGIC);
	put(bytes + 4, 1, MD__WIRE_MAJOR);
	put(bytes + 5, 1, MD__WIRE_MINOR);
	put(bytes + 6, 2, msg->type);
	put(bytes + 8, 4, at);
	put(bytes + 12, 4, msg->seen);
	put(bytes + 16, 8, msg->number);
	put(bytes + 24, 8, msg->session);
	return at;
}

static bool is_length(uint64_t length)
{
	return length >= MD__WIRE_HEADER && length <= MD__WIRE_MAX && length % 8 == 0;
}

size_t md__wire_length(const void *in, size_t size)
{
	const uint8_t *bytes = in;
	uint64_t length;

	if (size < MD__WIRE_HEADER)
		return 0;
	length = get(bytes + 8, 4);
	if (get(bytes, 4) != MD__WIRE_MAGIC || !is_length(length))
		return MD__WIRE_HEADER;
	return length;
}

static size_t body_size(const struct member *m)
{
	size_t size = 0;

	for (; m->size; m++)
		size += m->size;
	return size;
}

static bool is_text(const char *text, size_t size)
{
	return memchr(text, 0, size);
}

static bool is_range(uint64_t start, uint64_t length)
{
	return length && length - 1 <= UINT64_MAX - start;
}

static bool are_ranges(const struct md__persist_req *req)
{
	if (!req->count || req->count > MD__WIRE_RANGES)
		return false;
	for (uint32_t i = 0; i < req->count; i++) {
		if (!is_range(req->range[i].offset, req->range[i].length))
			return false;
	}
	return true;
}

/* What no sender of any minor version means. */
static bool is_sane(const struct md__msg *msg)
{
	switch (msg->type) {
	case MD__MSG_HELLO:
		return msg->hello.incarnation && msg->hello.window && msg->hello.keepalive_ms;
	case MD__MSG_HELLO_ACK:
		return msg->hello_ack.session;
	case MD__MSG_GRANT:
		return msg->grant.region && msg->grant.generation &&
		       is_range(msg->grant.addr, msg->grant.length) &&
		       is_text(msg->grant.name, sizeof(msg->grant.name));
	case MD__MSG_RECALL:
	case MD__MSG_FENCED:
		return msg->recall.region && msg->recall.barrier && msg->recall.id;
	case MD__MSG_GRANT_ACK:
	case MD__MSG_RECALL_ACK:
	case MD__MSG_RECALL_DONE:
	case MD__MSG_FENCED_ACK:
		return msg->answer.region && msg->answer.generation;
	case MD__MSG_PERSIST_REQ:
		return msg->persist_req.region && are_ranges(&msg->persist_req);
	case MD__MSG_WANT:
	case MD__MSG_RELEASE:
		return msg->region.region;
	case MD__MSG_ERROR:
		return msg->error.code && is_text(msg->error.text, sizeof(msg->error.text));
	case MD__MSG_BYE:
		return is_text(msg->error.text, sizeof(msg->error.text));
	default:
		return true;
	}
}

enum md__wire_error md__wire_decode(const void *in, size_t size, struct md__msg *msg)
{
	const uint8_t *bytes = in;
	const struct member *body;

	*msg = (struct md__msg){ 0 };
	if (size < MD__WIRE_HEADER)
		return MD__ERR_LENGTH;
	if (get(bytes, 4) != MD__WIRE_MAGIC)
		return MD__ERR_MAGIC;
	msg->major = bytes[4];
	msg->minor = bytes[5];
	msg->type = (uint16_t)get(bytes + 6, 2);
	msg->length = (uint32_t)get(bytes + 8, 4);
	if (msg->major != MD__WIRE_MAJOR)
		return MD__ERR_VERSION;
	if (!is_length(msg->length) || msg->length > size)
		return MD__ERR_LENGTH;
	msg->seen = (uint32_t)get(bytes + 12, 4);
	msg->number = get(bytes + 16, 8);
	msg->session = get(bytes + 24, 8);
	if (!msg->number || !msg->session)
		return MD__ERR_VALUE;
	if (!msg->type || msg->type >= MD__MSG_TYPES) {
		if (!(msg->type & MD__MSG_OPTIONAL))
			return MD__ERR_TYPE;
		msg->type = MD__MSG_TYPES;
		return MD__ERR_NONE;
	}
	body = types[msg->type].body;
	if (msg->length < MD__WIRE_HEADER + body_size(body))
		return MD__ERR_LENGTH;
	for (bytes += MD__WIRE_HEADER; body->size; bytes += body->size, body++)
		get_member(bytes, msg, body);
	return is_sane(msg) ? MD__ERR_NONE : MD__ERR_VALUE;
}

const char *md__msg_str(unsigned int type)
{
	return type && type < MD__MSG_TYPES ? types[type].name : "unknown";
}

const char *md__wire_error_str(unsigned int err)
{
	static const char *const text[MD__ERRS] = {
		[MD__ERR_NONE] = "no error",
		[MD__ERR_MAGIC] = "not a message of this protocol",
		[MD__ERR_VERSION] = "another major version of the protocol",
		[MD__ERR_LENGTH] = "a message of a wrong length",
		[MD__ERR_TYPE] = "a message of an unknown type",
		[MD__ERR_VALUE] = "a message with a value that cannot be",
		[MD__ERR_STATE] = "a message that is not allowed now",
		[MD__ERR_SESSION] = "the session is not known any more",
		[MD__ERR_CREDITS] = "more messages than there was room for",
		[MD__ERR_SILENT] = "no message for too long",
		[MD__ERR_REFUSED] = "the application refused it",
		[MD__ERR_MEMORY] = "no memory",
	};

	return err < MD__ERRS ? text[err] : "unknown";
}
