/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * An RC connection over rdma_cm, for the examples: short messages both ways
 * and RDMA. One thread uses it. Calls return 0 or -1 with errno, ENOTCONN once
 * the connection has ended.
 *
 * Every call that posts also polls the completions of what it posted, so when
 * it has returned, the adapter is done with the buffers, whatever happened.
 */
#ifndef EXAMPLES_CONN_H
#define EXAMPLES_CONN_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rdma/rdma_cma.h>

#define CONN_MSG_MAX 64	 /* bytes in a message */
#define CONN_POST_MAX 32 /* RDMA requests under way at a time */
#define CONN_FDS 2	 /* descriptors to poll for a message or the end */

struct conn {
	struct rdma_cm_id *id;
	struct rdma_event_channel *channel; /* NULL until connected */
	struct ibv_mr *mr;
	unsigned char *buf;
	bool ended;
};

/* The listener is bound to one device, so that its pd is there at once. */
struct rdma_cm_id *conn_listen(const char *addr, const char *port);

/* Take the next request; blocks unless listener->channel->fd is readable. */
int conn_accept(struct conn *c, struct rdma_cm_id *listener);

int conn_connect(struct conn *c, const char *addr, const char *port);

/* Ends and frees; also for a connection that was never made (all zero). */
void conn_close(struct conn *c);

int conn_send(struct conn *c, const void *msg, size_t length);

/*
 * conn_recv() does not wait: 1 for a message of exactly @length bytes, 0 for
 * none now, -1 also for EPROTO. conn_wait() waits for one: 0 or -1.
 */
int conn_recv(struct conn *c, void *msg, size_t length);
int conn_wait(struct conn *c, void *msg, size_t length);

/* CONN_FDS entries to poll(2) after conn_recv() returned 0, not before. */
void conn_poll_fds(const struct conn *c, struct pollfd *pfd);

/* Post one IBV_WR_RDMA_READ or _WRITE; at most CONN_POST_MAX before a reap. */
int conn_post_rdma(struct conn *c, enum ibv_wr_opcode opcode, const struct ibv_sge *local,
		   uint64_t remote_addr, uint32_t rkey);

/* Wait until @count posted requests completed; -1 if any of them failed. */
int conn_reap(struct conn *c, int count);

#endif
