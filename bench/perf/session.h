/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What this side does with the library: its own lease, the grant of it to the other
 * side, and what the other side has granted. Without leases it does nothing.
 *
 * A use is begun before work is posted and ended when its completion was polled. One
 * stands for all that is posted up to the next signalled request, as its completion
 * does: bw tests signal one in a hundred, where messages are small.
 */
#ifndef BENCH_SESSION_H
#define BENCH_SESSION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <mapdirect/mapdirect.h>

#include "qps.h"
#include "wire.h"

struct session {
	struct md_context *ctx;	  /* NULL: no lease anywhere */
	struct md_map *map;	  /* NULL: our memory is not a lease */
	struct md_remote *remote; /* NULL: the other side's is not, or we do not reach into it */
	struct wire *wire;
	struct qps *qps; /* attached to @map */

	struct md_listener *listener;
	struct md_peer *peer;
	struct md_grant *grant;
	bool granting;
	uint64_t token;

	pthread_t thread;   /* takes the events */
	int stop_fd;	    /* readable: it is to end */
	atomic_uint breaks; /* of either lease */
	atomic_uint grants; /* that we have got; the last break before it is over */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	struct md_peer *asks; /* wants a session */
	struct md_remote *granted;
	char lost[256]; /* why the run cannot go on, or "" */
};

/* Opens a context, if there is to be @use of one. */
void session_open(struct session *s, struct wire *wire, bool use);

/* Server: listens at the device's address; returns the port. */
uint16_t session_listen(struct session *s, const struct device *dev, uint64_t token);

/* Makes the session; @address and @port are the server's. NULL: we are the server. */
void session_start(struct session *s, const char *address, uint16_t port, uint64_t token);

/* Attaches the queue pairs to our map, and grants @mr to the other side if @mr. */
void session_attach(struct session *s, struct md_map *map, struct qps *qps, struct md_mr *mr);

/* For other queue pairs in place of those. */
void session_detach_qps(struct session *s);
void session_attach_qps(struct session *s);

/* Waits for what the other side grants. */
void session_await(struct session *s);

/* Before the queue pairs are destroyed, and the map is unmapped. */
void session_stop(struct session *s);
void session_close(struct session *s);

/* Ends the program if it cannot go on; called where a wait is long. */
void session_check(struct session *s);

/* Whatever they failed with but a break ends the program. */
void session_failed(int error);

/* Waits until the lease is there again. */
void session_wait_map(struct session *s);
void session_wait(struct session *s);

/* A use of our own memory. False: a break. */
static inline bool session_get_map(struct session *s)
{
	if (!s->map || !md_map_get(s->map))
		return true;
	session_failed(errno);
	return false;
}

static inline void session_put_map(struct session *s)
{
	if (s->map)
		md_map_put(s->map);
}

/* A use of both sides' memory. False: a break of either. */
static inline bool session_get(struct session *s)
{
	if (!session_get_map(s))
		return false;
	if (!s->remote || !md_remote_get(s->remote))
		return true;
	session_put_map(s);
	session_failed(errno);
	return false;
}

static inline void session_put(struct session *s)
{
	if (s->remote)
		md_remote_put(s->remote);
	session_put_map(s);
}

#endif
