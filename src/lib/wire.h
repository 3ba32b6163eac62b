/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The messages of a session as bytes: the pure codec, with no state and no I/O.
 *
 * All numbers are little-endian and lie on a multiple of their size. A message
 * is a header and a body, together a multiple of 8 and at most MD__WIRE_MAX
 * bytes:
 *
 *   at  size
 *    0   4    magic "MDP1"
 *    4   1    major version: another one is another protocol
 *    5   1    minor version of the sender
 *    6   2    type
 *    8   4    length of the message, header included
 *   12   4    how many messages the sender has received on this connection,
 *             modulo 2^32: this returns credits
 *   16   8    number of this message on this connection, from 1
 *   24   8    the sender's name for the session
 *
 * The bodies are the structs below, member for member. The first 12 bytes are
 * the same in every major version, so that each can refuse another in words.
 * A newer minor version may make a body longer (what is not known is ignored),
 * give new meaning to bits and bytes that were zero, and add types: one with
 * MD__MSG_OPTIONAL set is skipped by who does not know it.
 */
#ifndef MD_LIB_WIRE_H
#define MD_LIB_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include <mapdirect/mapdirect.h>

#define MD__WIRE_MAGIC UINT32_C(0x3150444d) /* "MDP1" */
#define MD__WIRE_MAJOR 1
#define MD__WIRE_MINOR 0
#define MD__WIRE_HEADER 32
#define MD__WIRE_MAX 256
#define MD__WIRE_RANGES 8 /* in one PERSIST_REQ */
#define MD__WIRE_TEXT 64  /* in an ERROR */

enum md__msg_type {
	MD__MSG_HELLO = 1,
	MD__MSG_HELLO_ACK,
	MD__MSG_GRANT,
	MD__MSG_GRANT_ACK,
	MD__MSG_RECALL,
	MD__MSG_RECALL_ACK,
	MD__MSG_RECALL_DONE,
	MD__MSG_FENCED,
	MD__MSG_FENCED_ACK,
	MD__MSG_PERSIST_REQ,
	MD__MSG_PERSIST_RSP,
	MD__MSG_WANT,
	MD__MSG_RELEASE,
	MD__MSG_PING,
	MD__MSG_PONG,
	MD__MSG_ERROR,
	MD__MSG_BYE,
	MD__MSG_TYPES,
};

#define MD__MSG_OPTIONAL 0x8000

/*
 * HELLO is the first message of both sides on each connection.
 * @incarnation: one number for the life of the sender's context
 * @other:       the receiver's name for the session, 0: not known, so it is new
 * @window:      messages that the sender has room for
 * @keepalive_ms: it will not be silent for longer, and expects the same
 */
struct md__hello {
	uint64_t incarnation;
	uint64_t other;
	uint32_t window;
	uint32_t keepalive_ms;
};

/* HELLO_ACK: the HELLO of @session was taken. */
struct md__hello_ack {
	uint64_t session;
};

#define MD__GRANT_RESTORED (1U << 0) /* a lease was broken meanwhile */

/* GRANT: @region may be used; the grant of a later @generation replaces it. */
struct md__grant_msg {
	uint64_t region;
	uint64_t generation;
	uint64_t addr;
	uint64_t length;
	uint32_t rkey;
	uint32_t access; /* IBV_ACCESS_REMOTE_* */
	uint32_t flags;	 /* MD__GRANT_* */
	uint32_t zero;
	char name[MD_NAME_MAX]; /* ends with a zero */
};

#define MD__RECALL_RESTORE (1U << 0) /* the holder will lease again by itself */
#define MD__RECALL_FINAL (1U << 1)   /* this grant does not come back */

/*
 * RECALL kills all grants of @region up to generation @barrier, also those that
 * arrive later. FENCED says that the holder did not wait any longer.
 * Their answers carry the same @region, @barrier and @id.
 */
struct md__recall_msg {
	uint64_t region;
	uint64_t barrier;
	uint64_t id;
	uint32_t budget_ms; /* from its arrival; FENCED: 0 */
	uint16_t reason;    /* enum md_reason */
	uint16_t flags;	    /* MD__RECALL_* */
};

/* RECALL_ACK, RECALL_DONE, FENCED_ACK; GRANT_ACK with an @id of 0. */
struct md__answer_msg {
	uint64_t region;
	uint64_t generation;
	uint64_t id;
};

struct md__wire_range {
	uint64_t offset;
	uint64_t length;
};

/* PERSIST_REQ: make these ranges of a grant durable; RSP has the same @cookie. */
struct md__persist_req {
	uint64_t region;
	uint64_t generation;
	uint64_t cookie;
	uint32_t count;
	uint32_t zero;
	struct md__wire_range range[MD__WIRE_RANGES];
};

enum md__persist_status {
	MD__PERSIST_DONE,
	MD__PERSIST_STALE,	 /* the grant is recalled: nothing is promised */
	MD__PERSIST_UNSUPPORTED, /* the order of write and request is not known */
	MD__PERSIST_RANGE,	 /* not inside the grant */
	MD__PERSIST_FAILED,	 /* the holder's flush failed */
};

struct md__persist_rsp {
	uint64_t cookie;
	uint32_t status; /* enum md__persist_status */
	uint32_t zero;
};

/* WANT: lease again, please. RELEASE: the grant is not needed any more. */
struct md__region_msg {
	uint64_t region;
	uint64_t generation;
};

/* PING is answered by PONG with the same stamp; a PONG of 0 returns credits. */
struct md__ping_msg {
	uint64_t stamp;
};

enum md__wire_error {
	MD__ERR_NONE,
	MD__ERR_MAGIC,
	MD__ERR_VERSION, /* another major version */
	MD__ERR_LENGTH,
	MD__ERR_TYPE,	 /* not known, and not to be skipped */
	MD__ERR_VALUE,	 /* a member that cannot be */
	MD__ERR_STATE,	 /* not allowed now */
	MD__ERR_SESSION, /* not, or no more, a session of this one */
	MD__ERR_CREDITS, /* more messages than there was room for */
	MD__ERR_SILENT,	 /* no message for too long */
	MD__ERR_REFUSED, /* the application does not want this peer */
	MD__ERR_MEMORY,
	MD__ERRS,
};

/* ERROR and BYE end the connection; BYE, ERR_VERSION, _SESSION and _REFUSED the session. */
struct md__error_msg {
	uint32_t code;		  /* enum md__wire_error */
	uint32_t type;		  /* of the message that is objected to, or 0 */
	uint64_t number;	  /* its number, or 0 */
	char text[MD__WIRE_TEXT]; /* for a log; ends with a zero */
};

struct md__msg {
	uint16_t type;
	uint8_t major;
	uint8_t minor;
	uint32_t length; /* in bytes as decoded; md__wire_encode() sets it */
	uint32_t seen;
	uint64_t number;
	uint64_t session;
	union {
		struct md__hello hello;
		struct md__hello_ack hello_ack;
		struct md__grant_msg grant;
		struct md__recall_msg recall; /* RECALL, FENCED */
		struct md__answer_msg answer; /* GRANT_ACK, RECALL_*, FENCED_ACK */
		struct md__persist_req persist_req;
		struct md__persist_rsp persist_rsp;
		struct md__region_msg region; /* WANT, RELEASE */
		struct md__ping_msg ping;     /* PING, PONG */
		struct md__error_msg error;   /* ERROR, BYE */
	};
};

/**
 * md__wire_encode - write a message
 * @msg: type, seen, number, session and body; the rest is ours
 * @out: MD__WIRE_MAX bytes
 *
 * Returns its length.
 */
size_t md__wire_encode(const struct md__msg *msg, void *out);

/**
 * md__wire_length - how long the message is that begins with these bytes
 * @in:   bytes
 * @size: how many there are
 *
 * 0: more bytes are needed to tell. What is no message has the length of a
 * header, for md__wire_decode() to say what is wrong.
 */
size_t md__wire_length(const void *in, size_t size);

/**
 * md__wire_decode - read one whole message
 * @in:     bytes, md__wire_length() of them at least
 * @size:   how many there are
 * @msg:    filled in, the header as far as it could be read
 *
 * Returns MD__ERR_NONE for a message whose members are as they must be; type
 * MD__MSG_TYPES then says that it is to be skipped.
 */
enum md__wire_error md__wire_decode(const void *in, size_t size, struct md__msg *msg);

/* Names, for messages and tests; "unknown" for a value without a name. */
const char *md__msg_str(unsigned int type);
const char *md__wire_error_str(unsigned int error);

#endif
