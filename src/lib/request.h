/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Requests to make a remote range durable, seen from the peer that asks:
 * md_persist_remote(). Several travel in one message, and are answered by one.
 * Each holds a use of its remote range until it is answered.
 */
#ifndef MD_LIB_REQUEST_H
#define MD_LIB_REQUEST_H

#include <stdbool.h>
#include <sys/queue.h>

#include <mapdirect/mapdirect.h>

#include "event.h"
#include "wire.h"

struct md__remote;

struct md__request {
	uint64_t offset;
	uint64_t length;
	uint64_t wr_id;
	uint64_t cookie; /* of the message that it travels in; 0: not sent yet */
	bool due;	 /* to be sent, or sent again with the same cookie */
	struct md__slot slot;
	TAILQ_ENTRY(md__request) requests;
};

TAILQ_HEAD(md__requests, md__request);

/* Messages that may be unanswered at a time: the holder has room for twice as many. */
#define MD__REQUESTS_UNANSWERED 8

/*
 * All of one peer's remote ranges, with its lock: fill in the next message; take its
 * answer; the link is open again; when to ask again, 0: never; and do it.
 */
bool md__requests_next(struct md_peer *peer, struct md__msg *msg, uint64_t now);
void md__requests_answer(struct md_peer *peer, const struct md__persist_rsp *rsp);
void md__requests_reopened(struct md_peer *peer);
uint64_t md__requests_timer(const struct md_peer *peer);
void md__requests_tick(struct md_peer *peer, uint64_t now);

/* Those of one remote range, with its peer's lock: nothing is promised to any. */
void md__requests_fail(struct md__remote *r);

/* Forget what was not fetched; false if an event is lent. The memory is freed. */
bool md__requests_drop(struct md__remote *r);

/* The same for a session that is over: what is lent stays so, and so does all memory. */
void md__requests_forget(struct md__remote *r);

/* Is an event of one fetched and not acknowledged? */
bool md__requests_lent(const struct md__remote *r);

void md__requests_free(struct md__remote *r);

#endif
