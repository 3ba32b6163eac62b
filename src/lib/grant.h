/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Grants: regions that peers may use, seen from the holder. */
#ifndef MD_LIB_GRANT_H
#define MD_LIB_GRANT_H

#include <stdbool.h>
#include <sys/queue.h>

#include <mapdirect/mapdirect.h>

#include "offer.h"
#include "wire.h"

struct md__mr;

struct md_grant {
	/* Fixed from md_grant() to md_recall(). */
	struct md_peer *peer;
	uint64_t region; /* its number in the session */
	char name[MD_NAME_MAX];

	TAILQ_ENTRY(md_grant) of_peer; /* protected by the peer's lock */
	TAILQ_ENTRY(md_grant) of_map;  /* protected by the map's lock */

	/* Changed with both locks, read with either. */
	struct md__mr *mr; /* NULL: the application has done with it */

	/* Protected by the peer's lock. */
	struct md__offer offer;
	bool awaited;	       /* counted in the map's open_recalls */
	bool broken;	       /* a lease was broken since it was granted first */
	bool fence_asked;      /* its peer broke the rules */
	bool persistable;      /* PERSIST_REQ is served */
	bool reconnected;      /* by another connection: whether it is, is to be seen */
	unsigned int flushing; /* how many use @mr without the lock */
	enum md_reason reason; /* of the last recall */
	uint64_t recalled_at;  /* when the last recall began, ns */
	uint32_t budget_ms;    /* of the last recall */
	uint32_t rkey;	       /* of this generation */
};

/*
 * All grants of a map, with its lock: offer them under the generation that is live
 * now; recall them, and count whom the break waits for; set to ERR the queue pairs
 * of who is still waited for; tell that nothing comes back.
 */
void md__grants_offer(struct md_map *map);
void md__grants_recall(struct md_map *map, uint64_t now);
void md__grants_fence(struct md_map *map);
void md__grants_lose(struct md_map *map);

/*
 * With the lock of the map: the peers of some grants have another connection; the queue
 * pairs of one peer have changed.
 */
void md__grants_reconnected(struct md_map *map);
void md__grants_attached(struct md_map *map, struct md_peer *peer);

/* Fence the peers of a map that broke the rules. With its lock. */
void md__grants_punish(struct md_map *map);

/* Of one peer, with its lock; NULL: there is no such region (any more). */
struct md_grant *md__grant_find(struct md_peer *peer, uint64_t region);

/*
 * Of one peer, with its lock.
 * next: fill in what is due, if anything is; bulk is what may wait.
 * answer: take an answer of the peer; wanted: it waits for a grant.
 * The rest: the link is open again; the session is over; the peer broke the rules; it
 * has a connection, maybe by another adapter;
 * when to look again, 0: never; and look.
 */
bool md__grants_next(struct md_peer *peer, struct md__msg *msg, bool bulk, uint64_t now);
void md__grants_answer(struct md_peer *peer, const struct md__msg *msg, uint64_t now);
void md__grants_wanted(struct md_peer *peer, const struct md__region_msg *msg);
void md__grants_reopened(struct md_peer *peer, uint64_t now);
void md__grants_gone(struct md_peer *peer, uint64_t now);
void md__grants_accuse(struct md_peer *peer);
void md__grants_connected(struct md_peer *peer);
uint64_t md__grants_timer(const struct md_peer *peer);
void md__grants_tick(struct md_peer *peer, uint64_t now);

#endif
