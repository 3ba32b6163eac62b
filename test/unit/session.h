/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Sessions between the fixture's context and others, over queues that a test rules. */
#ifndef MD_TEST_SESSION_H
#define MD_TEST_SESSION_H

#include <stdatomic.h>

#include "fixture.h"

#define SESSIONS 8

enum side {
	HOLDER, /* of the fixture's context, which maps and grants */
	PEER,	/* of a context of its own */
};

/* What a test does to one direction of a connection. */
struct session_way {
	atomic_bool stopped;   /* nothing arrives */
	atomic_int send_error; /* errno of each send; 0: none */
	atomic_uint closed;    /* how often the library has closed it */
	atomic_uint sent;      /* messages that were taken */
};

struct session {
	struct md_context *ctx;	   /* the peer's */
	struct md_peer *peer[2];   /* by enum side: the handle of that side */
	struct session_way way[2]; /* what that side sends */
};

/* The adapter that messages come by; NULL: none. Back to the first after a case. */
extern struct ibv_context *session_adapter;

/*
 * What becomes of a message under way, if it is not NULL: the bytes that arrive instead
 * are in @out, of SESSION_REWRITTEN, and how many there are is returned.
 */
#define SESSION_REWRITTEN (2 * MD_MESSAGE_MAX)
extern size_t (*session_rewrite)(enum side from, const uint8_t *message, size_t length,
				 uint8_t *out);

/* Make @count sessions, without a connection. */
void sessions_make(struct session *s, int count);

/* The same, connect them and wait until both sides know it. */
void sessions_open(struct session *s, int count);

/* Close both sides; the holder's grants are recalled. */
void sessions_close(struct session *s, int count);

/* Let everything happen that can: messages arrive, contexts do what is due. */
void sessions_run(void);

/* md_recall(), with all messages arriving meanwhile. */
int session_recall(struct md_grant *grant);

/* md_remote_wait(), likewise. */
int session_wait(struct md_remote *remote, int timeout_ms);

/* The connection breaks on both sides, and is there again. */
void session_cut(struct session *s);
void session_mend(struct session *s);

/* Both at once, with the events that tell of it. */
void session_reconnect(struct session *s);

/* What is under way from a side arrives; false: there was nothing. */
bool session_deliver(struct session *s, enum side from);

/* Drop what is under way from a side; give it to the other side twice. */
void session_drop(struct session *s, enum side from);
void session_repeat(struct session *s, enum side from);

/* The next event of a peer's own context; NULL after a failed assertion. */
struct md_event *session_event(struct session *s, enum md_event_type type);
void session_pass(struct session *s, enum md_event_type type);

/* The same of the fixture's context, with all messages arriving meanwhile. */
struct md_event *holder_event(enum md_event_type type);
void holder_pass(enum md_event_type type);

/* The remote range that the holder has just granted to a session. */
struct md_remote *session_granted(struct session *s);

#endif
