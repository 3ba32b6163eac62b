/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A peer: a session with another context. What it says to the other side is not
 * queued but due: each grant and each remote range knows what it has to say, so
 * that nothing is allocated to say it, and nothing overflows.
 */
#ifndef MD_LIB_PEER_H
#define MD_LIB_PEER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include <mapdirect/mapdirect.h>

#include "event.h"
#include "flush.h"
#include "link.h"

struct md_grant;
struct md__carrier;
struct md__remote;
TAILQ_HEAD(md__peers, md_peer);
TAILQ_HEAD(md__remotes, md__remote);

enum md__peer_slot {
	MD__SLOT_PEER_REQUEST,
	MD__SLOT_PEER_UP,
	MD__SLOT_PEER_DOWN,
	MD__SLOT_PEER_CLOSED,
	MD__PEER_SLOTS,
};

/* Answers about regions that are not known here; the holder asks again. */
#define MD__STRAYS 8

struct md__stray {
	uint16_t type;
	struct md__answer_msg answer;
};

/*
 * The memory of a peer stays until md_close(): whoever was about to look at it may
 * still do so. One that is closed is taken for the next, first of all.
 */
struct md_peer {
	/* Fixed from md_peer_new() to md_peer_close(). */
	struct md_context *ctx;
	struct md_peer_ops ops;
	void *arg;
	struct md__carrier *carrier; /* NULL: the application carries it */

	TAILQ_ENTRY(md_peer) peers; /* protected by the context's list_lock */
	uint64_t turn;		    /* the last in which it was flushed; with the list_lock, too */

	/* Read and written by anybody. */
	atomic_bool due;	       /* there may be something to send */
	atomic_bool flush_due;	       /* there may be something to make durable */
	_Atomic uint64_t timer;	       /* when to look at it, ns; 0: never */
	_Atomic unsigned int draining; /* remote ranges of which uses may be open */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* CLOCK_MONOTONIC: a grant is over, nobody sends any more */

	/* Protected by the lock. */
	void *user_data;
	struct md__link link;
	bool connected;	       /* the connection may be used */
	bool hang_up;	       /* close it, after the last message */
	bool sending;	       /* a thread is in ops.send or ops.close, without the lock */
	bool send_more;	       /* it is to look again */
	unsigned int attached; /* queue pairs, in all maps */
	unsigned int ranges;   /* how many of @remotes there are */
	unsigned int strays;   /* how many of @stray there are */
	struct md__stray stray[MD__STRAYS];
	uint64_t last_region;		  /* that was granted */
	uint64_t last_cookie;		  /* of a PERSIST_REQ */
	uint64_t ask_again_at;		  /* for those without an answer, ns; 0: none */
	unsigned int unanswered;	  /* messages */
	bool requests_due;		  /* some may not be sent yet */
	char adapter[IBV_SYSFS_NAME_MAX]; /* by which messages come; "": not by RDMA */
	struct md__flush flush[MD__FLUSHES];
	TAILQ_HEAD(, md_grant) grants;
	struct md__remotes remotes;
	struct md__remotes spares; /* released, to be used again */
	uint64_t retry_at;	   /* the connection took nothing: when to try again, ns */
	uint64_t last_until;	   /* when to hang up all the same, ns */
	size_t in_length, out_length;
	uint8_t in[MD__WIRE_MAX];  /* the beginning of a message */
	uint8_t out[MD__WIRE_MAX]; /* one that was not taken; while sending: not locked */

	struct md__slot slot[MD__PEER_SLOTS];
	uint64_t last_fetched;
};

/* Send what is due, unless another thread is at it. Without locks. */
void md__peer_send(struct md_peer *peer);

/* Have the service send what is due. From anywhere. */
void md__peer_kick(struct md_peer *peer);

/* Do what its timer is for. Without locks. */
void md__peer_tick(struct md_peer *peer, uint64_t now);

/*
 * For who carries a session: what the public calls of the same names do, without
 * their checks. connected() is by an adapter, NULL: by the one of before. unreached()
 * tells that there still is no connection; refused() ends the session by what the
 * other side said before there was one.
 */
int md__peer_connected(struct md_peer *peer, const struct ibv_context *verbs);
int md__peer_take(struct md_peer *peer, const void *bytes, size_t length);
void md__peer_lost(struct md_peer *peer, int error, const char *why);
void md__peer_unreached(struct md_peer *peer, int error, const char *why);
void md__peer_refused(struct md_peer *peer, enum md__wire_error code, uint8_t major, uint8_t minor);
/* The name of its adapter, NULL: it stays. With the lock. */
void md__peer_set_adapter(struct md_peer *peer, const struct ibv_context *verbs);

void md__peer_set_user_data(struct md_peer *peer, void *user_data);
void md__peer_names(struct md_peer *peer, uint64_t *self, uint64_t *other);
bool md__peer_is_over(struct md_peer *peer);

/* Queue MD_EVENT_PEER_REQUEST. */
void md__peer_post_request(struct md_peer *peer, const struct md_event *event);

/* Begin an event of a peer: all but message and error. */
void md__peer_event(struct md_peer *peer, enum md_event_type type, struct md_event *event);

/* "the peer 0123456789abcdef", for sentences: a name that differs from all others. */
#define MD__PEER_NAME 40
void md__peer_name(const struct md_peer *peer, char name[MD__PEER_NAME]);

#endif
