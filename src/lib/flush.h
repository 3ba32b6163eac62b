/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Requests to make a range durable, seen from the holder: the service carries them
 * out, piece by piece, so that a break of another map does not wait for long.
 */
#ifndef MD_LIB_FLUSH_H
#define MD_LIB_FLUSH_H

#include <stdbool.h>
#include <stdint.h>

#include <mapdirect/mapdirect.h>

#include "wire.h"

/* Messages that a peer may have unanswered, with those that it has sent twice. */
#define MD__FLUSHES 16

struct md__flush {
	bool used;
	bool done; /* the answer is due */
	enum md__persist_status status;
	struct md__persist_req req;
};

/* Take a request, with the peer's lock. */
enum md__wire_error md__flush_take(struct md_peer *peer, const struct md__persist_req *req);

/* There is something to carry out. From anywhere. */
void md__flush_kick(struct md_peer *peer);

/* Fill in an answer that is due, with the peer's lock. */
bool md__flush_next(struct md_peer *peer, struct md__msg *msg);

/* Nothing is answered any more on this connection: they are asked again. With the lock. */
void md__flush_forget(struct md_peer *peer);

/* How many bytes the service makes durable in one turn: then others have theirs. */
#define MD__FLUSH_TURN (UINT64_C(4) << 20)

/*
 * Carry out up to @left bytes; by the service, without locks. Returns what is left of
 * them. What is left to do is kicked.
 */
uint64_t md__flush_turn(struct md_peer *peer, uint64_t left);

#endif
