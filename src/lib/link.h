/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The link of a session: introduction, numbers, credits and keep-alive of its
 * connections, one after the other. Pure: messages and the time go in, what is
 * due comes out; no I/O, no lock, no allocation.
 *
 * A connection is expected to keep messages in order. One that loses some, or
 * brings some twice, does no harm: what comes twice or late is dropped by its
 * number, and what matters is sent again until it is answered.
 */
#ifndef MD_LIB_LINK_H
#define MD_LIB_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

/* Messages that a side has room for, and what bulk leaves of it to the rest. */
#define MD__LINK_WINDOW 32
#define MD__LINK_RESERVED 8

/* A peer is silent for this many of its keep-alive times before it is lost. */
#define MD__LINK_PATIENCE 3

enum md__link_state {
	MD__LINK_DOWN,	 /* no connection */
	MD__LINK_HELLO,	 /* introducing */
	MD__LINK_OPEN,	 /* both know that the other knows */
	MD__LINK_CLOSED, /* the session is over */
	MD__LINK_STATES,
};

/* Messages of the link itself that are to be sent, in this order. */
#define MD__LINK_DUE_ERROR (1U << 0) /* or BYE: the last one */
#define MD__LINK_DUE_PONG (1U << 1)
#define MD__LINK_DUE_HELLO (1U << 2)
#define MD__LINK_DUE_ACK (1U << 3)
#define MD__LINK_DUE_PING (1U << 4)

struct md__link {
	enum md__link_state state;

	/* Of the session. */
	uint64_t self;	      /* our name for it, not 0 */
	uint64_t incarnation; /* of our context, not 0 */
	uint64_t keepalive;   /* ns */
	uint64_t other;	      /* its name for it, 0: never heard of */
	uint64_t other_incarnation;

	/* Of this connection. */
	bool greeted;		  /* its HELLO came */
	bool taken;		  /* our HELLO was acknowledged */
	unsigned int due;	  /* MD__LINK_DUE_* */
	uint64_t sent;		  /* number of the last message */
	uint64_t sent_at;	  /* when, ns */
	uint64_t received;	  /* number of the last message */
	uint64_t received_at;	  /* when, or when the connection came */
	uint32_t confirmed;	  /* of what we sent, the last that it has received */
	uint32_t told;		  /* the last that we said to have received */
	uint32_t window;	  /* its room */
	uint64_t other_keepalive; /* ns, as it promised */
	uint64_t stamp;		  /* of the PING to be answered */
	uint64_t hello_at;	  /* when to say HELLO again */

	struct md__error_msg error; /* what ended it, or is to be sent */
};

enum md__link_result {
	MD__LINK_TAKEN,	   /* nothing to do for others */
	MD__LINK_OPENED,   /* the link is open now: replay what is open */
	MD__LINK_PASS,	   /* the message is for the objects of the session */
	MD__LINK_FAILED,   /* @error says why; close the connection */
	MD__LINK_FINISHED, /* the other side has ended the session or the connection */
};

/* @self and @incarnation are random numbers, not 0. */
void md__link_init(struct md__link *l, uint64_t self, uint64_t incarnation, uint64_t keepalive_ns);

/* There is a new connection. The state is DOWN. */
void md__link_up(struct md__link *l, uint64_t now);

/* The connection is gone. A session that is over stays so. */
void md__link_down(struct md__link *l);

/*
 * Take a message as md__wire_decode() gave it, with what it returned. After
 * FAILED and FINISHED the connection is to be closed, after the last due message.
 */
enum md__link_result md__link_input(struct md__link *l, const struct md__msg *msg,
				    enum md__wire_error err, uint64_t now);

/* End the connection by what others found: ERROR is due, and @l->error says so. */
void md__link_fail(struct md__link *l, enum md__wire_error code, const struct md__msg *msg);

/* The same by what the other side, of that version, said before there was a connection. */
void md__link_refused(struct md__link *l, enum md__wire_error code, uint8_t major, uint8_t minor);

/* End the session in peace: BYE is due. */
void md__link_bye(struct md__link *l);

/*
 * Is there room for a message now? Bulk is what may wait: GRANT, PERSIST_REQ,
 * WANT, RELEASE.
 */
bool md__link_has_room(const struct md__link *l, bool bulk);

/* Fill in the link's own next message, if one is due and there is room. */
bool md__link_next(struct md__link *l, struct md__msg *msg);

/* Number a message that is about to be sent. */
void md__link_stamp(struct md__link *l, struct md__msg *msg, uint64_t now);

/* When md__link_timer() has something to do, ns; 0: never. */
uint64_t md__link_timer_at(const struct md__link *l);

/* MD__LINK_TAKEN or MD__LINK_FAILED. */
enum md__link_result md__link_timer(struct md__link *l, uint64_t now);

const char *md__link_state_str(enum md__link_state state);

#endif
