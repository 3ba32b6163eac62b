/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Remote ranges: grants, seen from the peer that may use them. */
#ifndef MD_LIB_REMOTE_H
#define MD_LIB_REMOTE_H

#include <stdbool.h>
#include <sys/queue.h>

#include <mapdirect/mapdirect.h>

#include "event.h"
#include "guard.h"
#include "hold.h"
#include "request.h"
#include "wire.h"

enum md__remote_slot {
	MD__SLOT_GRANTED,
	MD__SLOT_RECALLED,
	MD__SLOT_FENCED,
	MD__SLOT_REMOTE_LOST,
	MD__REMOTE_SLOTS,
};

/*
 * A use may end in one thread while another releases the range: as with maps, the
 * memory stays until md_close(), the guard is kept, and a new range takes it over.
 */
struct md__remote {
	struct md__guard guard;

	struct md_remote pub;
	struct md_context *ctx;
	uint64_t region;
	TAILQ_ENTRY(md__remote) remotes; /* of the peer, or its spares; with its lock */

	/* Protected by the peer's lock. */
	struct md__hold hold;
	bool released;	      /* the application has done with it */
	unsigned int waiters; /* in md_remote_wait() */
	bool want_due;	      /* the holder is to hear of them */
	int64_t requests;     /* how many are in @pending */
	struct md__requests pending, finished;

	struct md__slot slot[MD__REMOTE_SLOTS];
	uint64_t last_fetched;
};

struct md__remote *md__to_remote(struct md_remote *pub);

/* The failure of a call that needs the grant: EAGAIN, ESTALE or ECHILD. */
int md__remote_fail_gone(int err);

/*
 * All of one peer, with its lock.
 * take: GRANT, RECALL or FENCED; what they return is 0 or what is wrong with it:
 * SESSION is a region that is not known here, and not to be.
 * next: fill in what is due, if anything is.
 * drained: look for which all uses have ended.
 */
enum md__wire_error md__remotes_take(struct md_peer *peer, const struct md__msg *msg);
bool md__remotes_next(struct md_peer *peer, struct md__msg *msg, bool bulk);
void md__remotes_drained(struct md_peer *peer);
void md__remotes_reopened(struct md_peer *peer);
void md__remotes_lost(struct md_peer *peer, int error, const char *why);

/*
 * Before a peer is closed, with its lock: what keeps it from that, or NULL, and no new
 * use begins. Then: what was not fetched is dropped.
 */
const char *md__remotes_left(struct md_peer *peer);
void md__remotes_forget(struct md_peer *peer);

/* Is an event of one of them fetched and not acknowledged? */
bool md__remotes_lent(const struct md_peer *peer);

/* What is left of another session, in which nobody has an event, is to be used again. */
void md__remotes_reuse(struct md_peer *peer);

void md__remotes_free(struct md_peer *peer);

#endif
