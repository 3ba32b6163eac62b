/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A client's time as the writer: the session, the connection, the remote range and
 * the epoch. They begin together and, whichever is lost, end together: the client
 * then begins a new one, and reads anew where the log ends.
 */
#ifndef MD_LOG_SESSION_H
#define MD_LOG_SESSION_H

#include <mapdirect/mapdirect.h>

#include "../common/conn.h"
#include "log.h"

struct session {
	const struct options *opt;
	struct md_context *ctx;
	struct md_peer *peer;
	struct md_remote *remote; /* NULL until it was granted */
	struct conn conn;
	bool connected;
	bool up;      /* the server has taken the session */
	bool welcome; /* and told @epoch */
	bool over;    /* @why */
	uint64_t epoch;
	char why[192];
	char down[192];	 /* why it has had no connection */
	int64_t give_up; /* when it is lost unless this is put off; on now_ms() */
	/* Called for each MD_EVENT_PERSISTED without an error. */
	void (*persisted)(void *arg, uint64_t wr_id);
	void *arg;
};

/* Until it is usable. -1: it is over before that. */
int session_begin(struct session *s);

/* -1: the library will not have it ended, as somebody has to answer before. */
int session_end(struct session *s);

/* It is over, for this reason. Returns -1. */
int session_lose(struct session *s, const char *why);

/* Handle what has come; if there is nothing, wait so long. -1: it is over. */
int session_turn(struct session *s, int timeout_ms);

/*
 * Read from the remote range, or write to it. Count requests of one size, next to
 * each other on both sides; on the local one within a ring of so many. When it
 * returns, all have completed. 1, 0 if the range is recalled now, -1: over.
 */
struct transfer {
	enum ibv_wr_opcode opcode;
	struct ibv_mr *mr;
	size_t size;	    /* of each */
	unsigned int count; /* up to CONN_POST_MAX */
	uint64_t first;	    /* number of the first in the ring; modulo ring */
	uint64_t ring;
	uint64_t offset; /* of the first in the range */
};

int session_transfer(struct session *s, const struct transfer *t);

#endif
