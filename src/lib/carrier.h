/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Carries sessions over rdma_cm: connects, and connects again. Who comes to us is
 * taken in listener.h.
 *
 * Everything of it is done with the context's net_lock, by the service or by a call,
 * but for sending: see peer.h for who may send. Callbacks of a peer may come with
 * the lock held, so they only set flags.
 */
#ifndef MD_LIB_CARRIER_H
#define MD_LIB_CARRIER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <mapdirect/mapdirect.h>

#include "conn.h"

struct md_context;

enum md__carrier_state {
	MD__CARRIER_IDLE,      /* no connection; connects at @timer, if it is to */
	MD__CARRIER_RESOLVING, /* address, then route */
	MD__CARRIER_CONNECTING,
	MD__CARRIER_ASKING,    /* came to us; the application is asked */
	MD__CARRIER_ACCEPTING, /* came to us; not established yet */
	MD__CARRIER_UP,
	MD__CARRIER_CLOSING, /* the last messages are under way, until @timer */
};

struct md__carrier {
	struct md_context *ctx;
	struct md_peer *peer; /* NULL: closed by the application */
	enum md__carrier_state state;
	struct md__conn *conn;
	uint64_t timer;		 /* ns; 0: none */
	atomic_bool close_asked; /* by the peer */

	bool active;			 /* we connect */
	bool asked;			 /* the application has not answered yet */
	uint64_t pause;			 /* before the last try, ns */
	uint64_t up_since;		 /* ns; 0: it has not been up since the last try */
	struct sockaddr_storage address; /* where to */
	uint64_t name;			 /* passive: the other side's for the session */
	uint8_t private_len;
	uint8_t private_data[MD_PRIVATE_MAX];

	TAILQ_ENTRY(md__carrier) carriers;
};

TAILQ_HEAD(md__carriers, md__carrier);
TAILQ_HEAD(md__listeners, md_listener);

/*
 * What a request says beside rdma_cm's own words; all that a request has room for
 * (56 bytes with RDMA_PS_TCP: rdma_connect(3)).
 */
struct md__cm_hello {
	uint32_t magic;
	uint8_t major;
	uint8_t minor;
	uint8_t length; /* of the application's bytes */
	uint8_t zero;
	uint64_t self;
	uint64_t other; /* 0: a new session */
	uint8_t bytes[MD_PRIVATE_MAX];
};

_Static_assert(sizeof(struct md__cm_hello) == 56, "a request has no more room");

/* And what a refusal says. */
struct md__cm_refusal {
	uint32_t magic;
	uint8_t major;
	uint8_t minor;
	uint16_t code; /* enum md__wire_error */
};

/*
 * With the net_lock. new and list: one with a peer. begin: @id becomes the
 * connection's, which starts to be made. accept: the same of a request. drop: end it,
 * when nobody sends. events: take those that have come.
 */
struct md__carrier *md__carrier_new(struct md_context *ctx, void *user_data);
void md__carrier_list(struct md__carrier *carrier);
int md__carrier_begin(struct md__carrier *carrier, struct rdma_cm_id *id);
void md__carrier_accept(struct md__carrier *carrier);
void md__carrier_drop(struct md__carrier *carrier);
bool md__carrier_is_over(const struct md__carrier *carrier);
void md__carriers_events(struct md_context *ctx);

/* How the peer of a carrier reaches it. */
extern const struct md_peer_ops md__carrier_ops;

/* Do what is due. By the service, without locks. */
void md__carriers_turn(struct md_context *ctx, uint64_t now);

/* The earliest timer of all; 0: none. Without locks. */
uint64_t md__carriers_timer(struct md_context *ctx);

/*
 * The peer is closed: say what is left to say, and end; who asks is refused. Without
 * locks.
 */
void md__carrier_leave(struct md__carrier *carrier);

/* The context is closed, nobody else is there: end what is left. */
void md__carriers_stop(struct md_context *ctx);

/* In a child after fork(2): close the descriptors; only free the memory. */
void md__carriers_forked(struct md_context *ctx);
void md__carriers_free(struct md_context *ctx);

#endif
